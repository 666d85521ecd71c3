package document_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/caiatech/caiatop/backend/document"
)

// TestRoundTrip: every byte comes back from every kind of store, and the hash
// stays what it was.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := anyDocument().Draw(t, "document")
		want := hashOf(t, d)
		// Through one kind of store, then the other, then back.
		got := d
		for i, transport := range []document.Transport{document.AnyBytes, document.TextOnly, document.TextOnly, document.AnyBytes} {
			files := filesOf(t, got, transport)
			if transport == document.TextOnly {
				for name, data := range files {
					if len(data) == 0 || !utf8.Valid(data) || bytes.IndexByte(data, 0) >= 0 {
						t.Fatalf("step %d: %s cannot be carried as text: %q", i, name, data)
					}
				}
			}
			got = fromFiles(t, files)
			if got.Content.Text != d.Content.Text || !bytes.Equal(got.Content.Raw, d.Content.Raw) {
				t.Fatalf("step %d: content %q, raw %q; want %q, %q", i, got.Content.Text, got.Content.Raw, d.Content.Text, d.Content.Raw)
			}
			if got.ID != d.ID || got.Source != d.Source || !got.CreatedAt.Equal(d.CreatedAt) || !got.UpdatedAt.Equal(d.UpdatedAt) {
				t.Fatalf("step %d: %+v, want %+v", i, got, d)
			}
			if h := hashOf(t, got); h != want {
				t.Fatalf("step %d: hash %v, want %v", i, h, want)
			}
		}
		before, after := filesOf(t, d, document.AnyBytes), filesOf(t, got, document.AnyBytes)
		for name := range before {
			if !bytes.Equal(before[name], after[name]) {
				t.Fatalf("%s became %q, was %q", name, after[name], before[name])
			}
		}
	})
}

// TestHashTellsVersionsApart: a change of any part changes the hash, and moving
// bytes from one part to the next does too.
func TestHashTellsVersionsApart(t *testing.T) {
	base := newDoc(t, "text")
	base.Content.Raw = []byte("raw")
	base.Content.Metadata = map[string]any{"k": "v"}
	seen := map[document.Hash]string{hashOf(t, base): "nothing"}
	for name, change := range map[string]func(*document.Document){
		"id":         func(d *document.Document) { d.ID = mustID(t, "other") },
		"type":       func(d *document.Document) { d.Source.Type = mustType(t, "pdf") },
		"url":        func(d *document.Document) { d.Source.URL = "x" },
		"path":       func(d *document.Document) { d.Source.Path = "x" },
		"text":       func(d *document.Document) { d.Content.Text = "Text" },
		"no text":    func(d *document.Document) { d.Content.Text = "" },
		"raw":        func(d *document.Document) { d.Content.Raw = []byte("Raw") },
		"no raw":     func(d *document.Document) { d.Content.Raw = nil },
		"moved":      func(d *document.Document) { d.Content.Text, d.Content.Raw = "textr", []byte("aw") },
		"swapped":    func(d *document.Document) { d.Content.Text, d.Content.Raw = "raw", []byte("text") },
		"metadata":   func(d *document.Document) { d.Content.Metadata = map[string]any{"k": "w"} },
		"number":     func(d *document.Document) { d.Content.Metadata = map[string]any{"k": 1} },
		"text of it": func(d *document.Document) { d.Content.Metadata = map[string]any{"k": "1"} },
		"created":    func(d *document.Document) { d.CreatedAt = d.CreatedAt.Add(1) },
		"updated":    func(d *document.Document) { d.UpdatedAt = d.UpdatedAt.Add(1) },
	} {
		d := base.Clone()
		change(&d)
		if other, twice := seen[hashOf(t, d)]; twice {
			t.Errorf("a change of %s has the hash of a change of %s", name, other)
		}
		seen[hashOf(t, d)] = name
	}
}

// TestHashIgnoresSpelling: the same facts in other types, order, zone and white
// space are the same version.
func TestHashIgnoresSpelling(t *testing.T) {
	d := newDoc(t, "text")
	d.Content.Metadata = map[string]any{"n": 42, "list": []string{"a"}, "sub": struct {
		Z int `json:"z"`
		A int `json:"a"`
	}{1, 2}}
	same := newDoc(t, "text")
	same.CreatedAt = same.CreatedAt.In(time.FixedZone("elsewhere", 3600))
	same.Content.Metadata = map[string]any{"n": json.Number("42"), "list": []any{"a"}, "sub": map[string]any{"a": 2, "z": 1}}
	if hashOf(t, d) != hashOf(t, same) {
		t.Error("the hash depends on Go types or time zones")
	}
	var compact bytes.Buffer
	files := filesOf(t, d, document.AnyBytes)
	if err := json.Compact(&compact, files[document.MetadataFile]); err != nil {
		t.Fatal(err)
	}
	files[document.MetadataFile] = compact.Bytes()
	if hashOf(t, d) != hashOf(t, fromFiles(t, files)) {
		t.Error("the hash depends on white space")
	}
	none, empty := newDoc(t, ""), newDoc(t, "")
	empty.Content.Metadata, empty.Content.Raw = map[string]any{}, []byte{}
	if hashOf(t, none) != hashOf(t, empty) {
		t.Error("the hash tells empty from missing")
	}
}
