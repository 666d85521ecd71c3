package govc_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/govc"
	"github.com/caiatech/caiatop/backend/govcd"
)

// TestChangedTellsWhatDiffers, also where one answer cannot hold it.
func TestChangedTellsWhatDiffers(t *testing.T) {
	_, url := startService(t, govcd.Options{})
	c := openClient(t, govc.Options{URL: url})
	commit := func(docs ...document.Document) string {
		t.Helper()
		receipt, err := c.Apply(t.Context(), put(docs...))
		if err != nil || receipt.Written != len(docs) || receipt.Window != 0 {
			t.Fatalf("%+v, %v", receipt, err)
		}
		return receipt.Commit
	}
	gone, back := newDoc(t, "gone", "one"), newDoc(t, "back", "one")
	first := commit(newDoc(t, "same", "one"), newDoc(t, "other", "one"), gone, back)
	commit(newDoc(t, "other", "two"))
	for _, d := range []document.Document{gone, back} {
		if _, err := c.Apply(t.Context(), remove(d)); err != nil {
			t.Fatal(err)
		}
	}
	back.Content.Text = "two"
	last := commit(back)
	check := func(to string, more int) {
		t.Helper()
		changes, complete, err := c.Changed(t.Context(), first, to)
		if err != nil || !complete || len(changes) != 3+more {
			t.Fatalf("%d changes, complete: %v, %v", len(changes), complete, err)
		}
		for _, change := range changes {
			if change.Deleted != (change.Key == keyOf(gone)) {
				t.Errorf("%+v", change)
			}
		}
	}
	check(last, 0)
	for i := range 2 {
		var docs []document.Document
		for k := range 300 {
			docs = append(docs, newDoc(t, fmt.Sprintf("many-%d-%d", i, k), "text"))
		}
		last = commit(docs...)
	}
	check(last, 600)
}

func TestAPlainServiceComparesNoCommits(t *testing.T) {
	c := openClient(t, govc.Options{URL: startPlain(t)})
	if _, _, err := c.Changed(t.Context(), "a", "b"); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("got %v", err)
	}
}
