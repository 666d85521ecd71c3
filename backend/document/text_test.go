package document

import (
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// What a store reads back has the hash of what was written, also where JSON
// replaced what is not UTF-8; and callers are told instead.
func TestTextThatIsNotUTF8(t *testing.T) {
	base := func() Document {
		id, err := ParseID("a")
		if err != nil {
			t.Fatal(err)
		}
		kind, err := ParseType("text")
		if err != nil {
			t.Fatal(err)
		}
		return Document{ID: id, Source: Source{Type: kind}, Content: Content{Metadata: map[string]any{}}}
	}
	for name, spoil := range map[string]func(*Document){
		"url":          func(d *Document) { d.Source.URL = "http://h/\xff" },
		"path":         func(d *Document) { d.Source.Path = "a/\xff" },
		"name":         func(d *Document) { d.Content.Metadata["\xff"] = "x" },
		"text":         func(d *Document) { d.Content.Metadata["x"] = "\xfe" },
		"nested text":  func(d *Document) { d.Content.Metadata["x"] = []any{map[string]any{"y": "\xfe"}} },
		"nested name":  func(d *Document) { d.Content.Metadata["x"] = []any{map[string]any{"\xfe": "y"}} },
		"year too far": func(d *Document) { d.CreatedAt = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) },
	} {
		d := base()
		spoil(&d)
		if err := d.Validate(); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
		if name != "year too far" {
			sameHashAfterFiles(t, d)
		}
	}
}

type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

func sameHashAfterFiles(t failer, d Document) {
	t.Helper()
	want, err := d.Hash()
	if err != nil {
		t.Fatalf("hash: %v", err)
	}
	for _, transport := range []Transport{AnyBytes, TextOnly} {
		files, err := d.Files(transport)
		if err != nil {
			t.Fatalf("files: %v", err)
		}
		byName := map[string][]byte{}
		for _, f := range files {
			byName[f.Name] = f.Data
		}
		back, err := FromFiles(byName, d.Source.Type)
		if err != nil {
			t.Fatalf("from files: %v", err)
		}
		if got, err := back.Hash(); err != nil || got != want {
			t.Fatalf("%+v reads back as %+v (%v)", d, back, err)
		}
	}
}

func TestHashSurvivesEveryText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bytes := rapid.Custom(func(t *rapid.T) string { return string(rapid.SliceOfN(rapid.Byte(), 0, 12).Draw(t, "bytes")) })
		id, err := ParseID("a")
		if err != nil {
			t.Fatalf("%v", err)
		}
		kind, err := ParseType("text")
		if err != nil {
			t.Fatalf("%v", err)
		}
		d := Document{
			ID: id, Source: Source{Type: kind, URL: bytes.Draw(t, "url"), Path: bytes.Draw(t, "path")},
			// One name only: JSON may replace two different ones by the same.
			Content: Content{Metadata: map[string]any{bytes.Draw(t, "name"): []any{bytes.Draw(t, "text"), map[string]any{"n": bytes.Draw(t, "inner")}}}},
		}
		sameHashAfterFiles(t, d)
	})
}
