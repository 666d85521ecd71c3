package engine_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/backend/govc"
	"github.com/caiatech/caiatop/backend/store"
	"github.com/caiatech/caiatop/probe"
)

// contents are all kinds that a document can hold. A service that cannot hold
// one as it is gets it encoded; what comes back is the same.
func contents() map[string]document.Content {
	return map[string]document.Content{
		"text":         {Text: "one line\nand another\n"},
		"empty":        {},
		"unicode":      {Text: "Übergrößenträger, 東京, \U0001f9ed, e\u0301, \u2028, \ufeff"},
		"crlf":         {Text: "one\r\ntwo\rthree\n"},
		"invalid-utf8": {Text: "caf\xe9 \xff\xfe"},
		"control":      {Text: "\x1b[31mred\x1b[0m \x00 \x07"},
		"binary":       {Raw: []byte{0, 1, 2, 0xff, 0xfe, '\r', '\n', 0}},
		"text-and-raw": {Text: "what the scan says", Raw: []byte("%PDF-1.7\n\x00\x01")},
		"large":        {Text: strings.Repeat("0123456789abcdef", 1<<16)}, // 1 MiB
		"metadata": {Text: "with metadata", Metadata: map[string]any{
			"title": "Ein Titel <&>", "pages": json.Number("12"), "tags": []any{"a", "ü"}, "nested": map[string]any{"deep": true, "none": nil},
		}},
	}
}

// integration is the whole way of documents to a service and back.
func integration(t *testing.T, s target) {
	s.dropAtEnd(t)
	direct := s.client(t)
	health, err := direct.Health(t.Context())
	if err != nil {
		t.Fatalf("the service is not healthy: %v", err)
	}
	info, err := direct.Describe(t.Context())
	if err != nil {
		t.Fatalf("the service cannot be used: %v", err)
	}
	t.Logf("health %q, version %q, dialect %s, implementation %q, capabilities %v", health.Status, info.Version, info.Dialect, info.Implementation, info.Capabilities)

	h := s.start(t)
	await(t, h, "the service as primary", healthy)
	wrote := map[string]document.Document{}
	for name, content := range contents() {
		d := newDoc(t, name, content)
		put(t, h, engine.PrimaryAndLocal, d)
		wrote[name] = d
	}
	for round := range 3 {
		text := wrote["text"]
		text.Content.Text = strings.Repeat("again ", round+1)
		put(t, h, engine.PrimaryAndLocal, text)
		wrote["text"] = text
	}
	// From text to raw bytes and from raw bytes to text: no file is left over.
	for from, to := range map[string]document.Content{"unicode": {Raw: []byte{0, 1}}, "binary": {Text: "text now"}} {
		d := wrote[from]
		d.Content = to
		put(t, h, engine.PrimaryAndLocal, d)
		wrote[from] = d
	}
	await(t, h, "every store in step", healthy)
	for _, d := range wrote {
		wantThere(t, h, direct, d, probe.Govc)
	}
	wantVersions(t, h, "text", 4)
	wantDeleted(t, h, direct)
	secondEngineJoins(t, s, info, direct, wrote)
}

// wantVersions counts the versions of a document and reads each of them.
func wantVersions(t *testing.T, h *engine.Host, id string, want int) {
	t.Helper()
	revisions, err := h.History(t.Context(), mustID(t, id), 100)
	if err != nil || len(revisions) != want {
		t.Fatalf("%s has %d versions (%v), want %d", id, len(revisions), err, want)
	}
	seen := map[string]bool{}
	for _, r := range revisions {
		d, err := h.GetAt(t.Context(), mustID(t, id), r.Commit)
		if err != nil {
			t.Fatal(err)
		}
		seen[d.Content.Text] = true
	}
	if len(seen) != want {
		t.Errorf("the %d versions of %s hold %d different texts", want, id, len(seen))
	}
}

// wantDeleted deletes a document, which services without a delete are told by
// a tombstone.
func wantDeleted(t *testing.T, h *engine.Host, direct *govc.Client) {
	t.Helper()
	d := newDoc(t, "short-lived", document.Content{Text: "soon gone"})
	put(t, h, engine.PrimaryAndLocal, d)
	found, err := h.Get(t.Context(), d.ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Delete(t.Context(), d.ID); err != nil {
		t.Fatal(err)
	}
	await(t, h, "every store in step", healthy)
	if _, err := h.Get(t.Context(), d.ID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the engine gives a deleted document: %v", err)
	}
	if _, err := direct.Get(t.Context(), store.Key{ID: d.ID, Folder: found.Folder}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the service gives a deleted document: %v", err)
	}
}

// secondEngineJoins starts another console on the same repository. It learns
// of every document only where the service can list them.
func secondEngineJoins(t *testing.T, s target, info govc.Info, direct *govc.Client, wrote map[string]document.Document) {
	t.Helper()
	second := s.start(t)
	await(t, second, "the second engine in step", healthy)
	if info.Has("tree.recursive") {
		if got := second.Stats().Documents; got != int64(len(wrote)) {
			t.Errorf("the second engine knows %d documents, want %d", got, len(wrote))
		}
		for _, d := range wrote {
			wantThere(t, second, direct, d, probe.Govc)
		}
	} else {
		t.Logf("this service cannot list: the second engine knows %d of %d documents", second.Stats().Documents, len(wrote))
	}
	d := newDoc(t, "from-the-second", document.Content{Text: "hello"})
	put(t, second, engine.PrimaryAndLocal, d)
	wantThere(t, second, direct, d, probe.Govc)
}
