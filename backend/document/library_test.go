package document_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/document"
)

// TestLibraryForms reads what the CAIA Library writes.
func TestLibraryForms(t *testing.T) {
	pdf := mustType(t, "pdf")
	for name, c := range map[string]struct {
		files           map[string][]byte
		kind, url, text string
	}{
		"source as object": {map[string][]byte{
			document.MetadataFile: []byte(`{"id":"a","source":{"type":"text","url":"https://x"},"created_at":"2026-01-01T00:00:00Z","updated_at":"2026-01-01T00:00:00Z"}`),
			document.TextFile:     []byte("text"),
		}, "text", "https://x", "text"},
		"source as string": {map[string][]byte{
			document.MetadataFile: []byte(`{"id":"a","source":"https://x/\u00e9","created_at":"2026-01-01T00:00:00+02:00","updated_at":"2026-01-01T00:00:00Z"}`),
			document.TextFile:     []byte("text"),
		}, "pdf", "https://x/é", "text"},
		"text.txt": {map[string][]byte{
			document.MetadataFile:   []byte(`{"id":"a","source":"https://x"}`),
			document.LegacyTextFile: []byte("legacy"),
		}, "pdf", "https://x", "legacy"},
		"both texts": {map[string][]byte{
			document.MetadataFile:   []byte(`{"id":"a"}`),
			document.TextFile:       []byte("new"),
			document.LegacyTextFile: []byte("legacy"),
		}, "pdf", "", "new"},
		"no text": {map[string][]byte{
			document.MetadataFile: []byte(`{"id":"a","source":null,"metadata":null}`),
		}, "pdf", "", ""},
		"files of others": {map[string][]byte{
			document.MetadataFile: []byte(`{"id":"a"}`), "notes.md": []byte("x"), document.TextFile: []byte("text"),
		}, "pdf", "", "text"},
	} {
		d, err := document.FromFiles(c.files, pdf)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if d.ID.String() != "a" || d.Source.Type.String() != c.kind || d.Source.URL != c.url || d.Content.Text != c.text {
			t.Errorf("%s: %+v", name, d)
		}
		if d.CreatedAt.Location() != time.UTC || d.UpdatedAt.Location() != time.UTC {
			t.Errorf("%s: the times are not UTC", name)
		}
		again := fromFiles(t, filesOf(t, d, document.TextOnly))
		if hashOf(t, again) != hashOf(t, d) {
			t.Errorf("%s: the hash changes when we write it", name)
		}
	}
}

// TestTypeIsNeeded: neither metadata nor folder names a type.
func TestTypeIsNeeded(t *testing.T) {
	d, err := document.FromFiles(map[string][]byte{document.MetadataFile: []byte(`{"id":"a"}`)}, document.Type{})
	if err == nil {
		err = d.Validate()
	}
	if !errors.Is(err, document.ErrInvalid) {
		t.Errorf("a document without a type: %v, want ErrInvalid", err)
	}
}

func TestLayouts(t *testing.T) {
	id, kind := mustID(t, "report-42"), mustType(t, "pdf")
	at := time.Date(2026, 1, 1, 0, 30, 0, 0, time.FixedZone("east", 3600)) // still December in UTC
	for layout, want := range map[document.Layout]string{
		// printf report-42 | sha256sum begins with the three digits.
		document.LayoutFanOut:  "documents/pdf/2025-12/" + fan + "/report-42",
		document.LayoutLibrary: "documents/pdf/2025/12/report-42",
	} {
		folder := layout.Folder(kind, at, id)
		if folder.String() != want {
			t.Errorf("%v: %q, want %q", layout, folder, want)
		}
		parsed, err := document.ParsePath(folder.String())
		if err != nil || parsed != folder {
			t.Errorf("%v: the folder is no valid path: %v", layout, err)
		}
		if got, ok := document.IDOfFolder(folder); !ok || got != id {
			t.Errorf("%v: IDOfFolder = %q, %v", layout, got, ok)
		}
		if again, err := document.ParseLayout(layout.String()); err != nil || again != layout {
			t.Errorf("ParseLayout(%q) = %v, %v", layout, again, err)
		}
	}
	if l, err := document.ParseLayout(""); err != nil || l != document.LayoutFanOut {
		t.Errorf("the default layout is %v, %v", l, err)
	}
	if _, err := document.ParseLayout("flat"); !errors.Is(err, document.ErrInvalid) {
		t.Errorf("ParseLayout(flat): %v", err)
	}
}

// fan is the fan-out of the id report-42.
const fan = "e/4/f"

func TestLongestFolderIsAPath(t *testing.T) {
	id, kind := mustID(t, strings.Repeat("x", document.MaxID)), mustType(t, strings.Repeat("t", document.MaxType))
	for _, layout := range []document.Layout{document.LayoutFanOut, document.LayoutLibrary} {
		file := layout.Folder(kind, created, id).String() + "/" + document.MetadataFile
		if _, err := document.ParsePath(file); err != nil {
			t.Errorf("%v: %v", layout, err)
		}
	}
}

func TestFoldersOfOthers(t *testing.T) {
	for _, s := range []string{
		"documents", "documents/pdf", "documents/pdf/2025-12", "documents/pdf/2025-12/a/b/c", "documents/pdf/2025/12",
		"documents/pdf/2025-12/a/b/c/id/more", "documents/pdf/2025/12/id/more", "other/pdf/2025/12/id", "documents/pdf/2025-12/aa/b/c/id",
		"documents/pdf/25/12/id", "a", "caiatop/deleted",
	} {
		p, err := document.ParsePath(s)
		if err != nil {
			t.Fatalf("ParsePath(%q): %v", s, err)
		}
		if id, ok := document.IDOfFolder(p); ok {
			t.Errorf("IDOfFolder(%q) = %q, but this is no document's folder", s, id)
		}
	}
	if id, ok := document.IDOfFolder(document.Path{}); ok {
		t.Errorf("the root is the folder of %q", id)
	}
}

func TestValidate(t *testing.T) {
	good := newDoc(t, "x")
	for name, c := range map[string]struct {
		change func(*document.Document)
		want   error
	}{
		"good":              {func(*document.Document) {}, nil},
		"no id":             {func(d *document.Document) { d.ID = document.ID{} }, document.ErrInvalid},
		"no type":           {func(d *document.Document) { d.Source.Type = document.Type{} }, document.ErrInvalid},
		"content at limit":  {func(d *document.Document) { d.Content.Text = strings.Repeat("x", document.MaxContent) }, nil},
		"content past it":   {func(d *document.Document) { d.Content.Text = strings.Repeat("x", document.MaxContent+1) }, document.ErrTooLarge},
		"text and raw":      {func(d *document.Document) { d.Content.Raw = make([]byte, document.MaxContent) }, document.ErrTooLarge},
		"url at limit":      {func(d *document.Document) { d.Source.URL = strings.Repeat("x", document.MaxSource) }, nil},
		"url past it":       {func(d *document.Document) { d.Source.URL = strings.Repeat("x", document.MaxSource+1) }, document.ErrTooLarge},
		"path past it":      {func(d *document.Document) { d.Source.Path = strings.Repeat("x", document.MaxSource+1) }, document.ErrTooLarge},
		"metadata fits":     {func(d *document.Document) { d.Content.Metadata = metadataOf(document.MaxMetadata - 1000) }, nil},
		"metadata too long": {func(d *document.Document) { d.Content.Metadata = metadataOf(document.MaxMetadata) }, document.ErrTooLarge},
		"metadata no JSON":  {func(d *document.Document) { d.Content.Metadata = map[string]any{"f": func() {}} }, document.ErrInvalid},
		"bad number":        {func(d *document.Document) { d.Content.Metadata = map[string]any{"f": json1e} }, document.ErrInvalid},
	} {
		d := good.Clone()
		c.change(&d)
		err := d.Validate()
		if (c.want == nil) != (err == nil) || !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if err != nil && !errors.Is(err, document.ErrInvalid) {
			t.Errorf("%s: %v is no ErrInvalid", name, err)
		}
		if _, hashErr := d.Hash(); hashErr != nil && err == nil {
			t.Errorf("%s: Hash fails where Validate does not: %v", name, hashErr)
		}
	}
}

// json1e is a number that JSON cannot hold.
const json1e = json.Number("1e")

func metadataOf(bytes int) map[string]any { return map[string]any{"k": strings.Repeat("x", bytes)} }

func TestHashText(t *testing.T) {
	h := hashOf(t, newDoc(t, "x"))
	if back, err := document.ParseHash(h.String()); err != nil || back != h || h.IsZero() {
		t.Errorf("ParseHash(%q) = %v, %v", h, back, err)
	}
	for _, s := range []string{"", "ab", h.String() + "00", h.String()[1:], strings.Repeat("g", 64)} {
		if _, err := document.ParseHash(s); !errors.Is(err, document.ErrInvalid) {
			t.Errorf("ParseHash(%q): %v, want ErrInvalid", s, err)
		}
	}
}

// FuzzFromFiles: no files make it panic, and what it reads can be written and
// read again, through every kind of store, with the same hash.
func FuzzFromFiles(f *testing.F) {
	f.Add([]byte(`{"id":"a","source":"https://x","created_at":"2026-01-01T00:00:00Z","updated_at":"2026-01-01T00:00:00Z","x":[1,2.50]}`), []byte("text"), []byte(nil))
	f.Add([]byte(`{"id":"a","source":{"type":"t"},"encoding":{"content.txt":"base64","raw":"empty"},"metadata":{"k":1e400}}`), []byte("aGk="), []byte("\n"))
	f.Add([]byte(`{"ID":"a","Source":{"TYPE":"t"},"METADATA":{"k":null},"Encoding":{"raw":"empty"}}`), []byte("\xff"), []byte("x"))
	f.Add([]byte(`{"id":"a"} {"id":"b"}`), []byte(""), []byte("\x00"))
	f.Fuzz(func(t *testing.T, metadata, text, raw []byte) {
		files := map[string][]byte{document.MetadataFile: metadata, document.TextFile: text, document.RawFile: raw}
		d, err := document.FromFiles(files, mustType(t, "text"))
		if err != nil {
			if !errors.Is(err, document.ErrInvalid) {
				t.Fatalf("FromFiles: %v, want ErrInvalid", err)
			}
			return
		}
		if d.Validate() != nil {
			return
		}
		want := hashOf(t, d)
		for _, transport := range []document.Transport{document.TextOnly, document.AnyBytes} {
			again := fromFiles(t, filesOf(t, d, transport))
			if got := hashOf(t, again); got != want {
				t.Fatalf("the hash became %v, was %v", got, want)
			}
			if again.Content.Text != d.Content.Text || string(again.Content.Raw) != string(d.Content.Raw) {
				t.Fatalf("the content became %q, %q", again.Content.Text, again.Content.Raw)
			}
		}
	})
}
