package govc_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/govc"
	"github.com/caiatech/caiatop/backend/store"
)

// TestNamedFindsWhatCommitsName (NEW): where nothing can be listed, the log
// names documents, and the months and types that there are say where to look.
func TestNamedFindsWhatCommitsName(t *testing.T) {
	var at clock
	o := others["new"]
	o.Now = at.now // January 2027
	s := emulate(t, o, nil)
	c := openClient(t, govc.Options{URL: s.url})
	kind := newDoc(t, "x", "").Source.Type
	other, err := document.ParseType("article")
	if err != nil {
		t.Fatal(err)
	}
	add := func(layout document.Layout, kind document.Type, id, message string, created time.Time) store.Key {
		t.Helper()
		d := newDoc(t, id, "x")
		d.Source.Type, d.CreatedAt = kind, created
		key := store.NewKey(layout, d)
		body := fmt.Sprintf(`{"path":"%s/metadata.json","content":"{\"id\":\"%s\"}"}`, key.Folder, id)
		asked(t, http.MethodPost, s.url+"/api/v2/repos/docs/files", body)
		asked(t, http.MethodPost, s.url+"/api/v2/repos/docs/commits", fmt.Sprintf(`{"message":%q}`, message))
		return key
	}
	now := at.now()
	want := []store.Key{
		add(document.LayoutLibrary, kind, "lib", "Add document lib", now),
		add(document.LayoutFanOut, kind, "fan", "Put document fan\n\nOp-Id: 1", now),
		add(document.LayoutLibrary, kind, "again", "Update document again", now),
	}
	add(document.LayoutLibrary, other, "unknown-type", "Add document unknown-type", now)
	add(document.LayoutLibrary, kind, "unnamed", "Write something", now)
	add(document.LayoutLibrary, kind, "old", "Add document old", now.AddDate(0, -3, 0))
	gone := newDoc(t, "gone", "x")
	gone.CreatedAt = now
	key := store.NewKey(document.LayoutFanOut, gone)
	for _, op := range []store.Op{{ID: "1", Key: key, Doc: &gone}, {ID: "2", Key: key}} {
		if _, err := c.Apply(t.Context(), store.Batch{Ops: []store.Op{op}}); err != nil {
			t.Fatal(err)
		}
	}
	found, err := c.Named(t.Context(), []document.Type{kind})
	slices.Reverse(found)
	if err != nil || !slices.Equal(found, want) {
		t.Errorf("Named = %v, %v; want %v", found, err, want)
	}
}
