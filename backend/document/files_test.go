package document_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/caiatech/caiatop/backend/document"
)

var created = time.Date(2026, 2, 3, 4, 5, 6, 789, time.UTC)

type failer interface {
	Helper()
	Fatalf(string, ...any)
}

func mustID(t failer, s string) document.ID {
	t.Helper()
	id, err := document.ParseID(s)
	if err != nil {
		t.Fatalf("ParseID(%q): %v", s, err)
	}
	return id
}

func mustType(t failer, s string) document.Type {
	t.Helper()
	kind, err := document.ParseType(s)
	if err != nil {
		t.Fatalf("ParseType(%q): %v", s, err)
	}
	return kind
}

func newDoc(t failer, text string) document.Document {
	t.Helper()
	return document.Document{
		ID: mustID(t, "doc"), Source: document.Source{Type: mustType(t, "text")},
		Content: document.Content{Text: text}, CreatedAt: created, UpdatedAt: created,
	}
}

func hashOf(t failer, d document.Document) document.Hash {
	t.Helper()
	h, err := d.Hash()
	if err != nil {
		t.Fatalf("Hash: %v", err)
	}
	return h
}

func filesOf(t failer, d document.Document, transport document.Transport) map[string][]byte {
	t.Helper()
	files, err := d.Files(transport)
	if err != nil {
		t.Fatalf("Files: %v", err)
	}
	byName := map[string][]byte{}
	for _, f := range files {
		byName[f.Name] = f.Data
	}
	return byName
}

func fromFiles(t failer, files map[string][]byte) document.Document {
	t.Helper()
	d, err := document.FromFiles(files, document.Type{})
	if err != nil {
		t.Fatalf("FromFiles: %v", err)
	}
	return d
}

// anyBytes draws text, any bytes, and what encodings are likely to trip over.
func anyBytes() *rapid.Generator[[]byte] {
	return rapid.OneOf(
		rapid.SliceOfN(rapid.Byte(), 0, 100),
		rapid.Map(rapid.String(), func(s string) []byte { return []byte(s) }),
		rapid.Map(rapid.SampledFrom([]string{
			"", "\n", "\x00", "\r\n", "\ufeff", "\xff", "aGk=", "\xed\xa0\x80", "\u2028", "\ufffd",
		}), func(s string) []byte { return []byte(s) }),
	)
}

// anyText draws strings as JSON can hold them.
func anyText() *rapid.Generator[string] {
	return rapid.Map(rapid.String(), func(s string) string { return strings.ToValidUTF8(s, "?") })
}

func anyValue(depth int) *rapid.Generator[any] {
	kinds := []*rapid.Generator[any]{
		rapid.Map(anyText(), func(s string) any { return s }),
		rapid.Map(rapid.Bool(), func(b bool) any { return b }),
		rapid.Map(rapid.Int64(), func(n int64) any { return json.Number(fmt.Sprint(n)) }),
		rapid.Map(rapid.Float64Range(-1e20, 1e20), func(f float64) any { return json.Number(fmt.Sprintf("%.3f", f)) }),
		rapid.Just[any](nil),
	}
	if depth > 0 {
		kinds = append(kinds,
			rapid.Map(rapid.SliceOfN(anyValue(depth-1), 0, 3), func(v []any) any { return v }),
			rapid.Map(rapid.MapOfN(anyText(), anyValue(depth-1), 0, 3), func(v map[string]any) any { return v }),
		)
	}
	return rapid.OneOf(kinds...)
}

func anyDocument() *rapid.Generator[document.Document] {
	return rapid.Custom(func(t *rapid.T) document.Document {
		at := func(label string) time.Time {
			return time.Unix(rapid.Int64Range(0, 4e9).Draw(t, label), rapid.Int64Range(0, 999_999_999).Draw(t, label+" ns")).UTC()
		}
		id, err := document.EscapeID(rapid.StringN(1, -1, 200).Draw(t, "id"))
		if err != nil {
			t.Fatalf("EscapeID: %v", err)
		}
		return document.Document{
			ID:     id,
			Source: document.Source{Type: mustType(t, "text"), URL: anyText().Draw(t, "url"), Path: anyText().Draw(t, "path")},
			Content: document.Content{
				Text: string(anyBytes().Draw(t, "text")), Raw: anyBytes().Draw(t, "raw"),
				Metadata: rapid.MapOfN(anyText(), anyValue(2), 0, 5).Draw(t, "metadata"),
			},
			CreatedAt: at("created"), UpdatedAt: at("updated"),
		}
	})
}

func TestFilesOfATextOnlyStore(t *testing.T) {
	for _, c := range []struct {
		data     string
		kept     string
		encoding document.Encoding
	}{
		{"plain", "plain", document.UTF8},
		{"a\r\nb\t\ufeff\u2028\x1b", "a\r\nb\t\ufeff\u2028\x1b", document.UTF8},
		{"", "\n", document.Empty},
		{"\n", "\n", document.UTF8},
		{"a\x00b", base64.StdEncoding.EncodeToString([]byte("a\x00b")), document.Base64},
		{"\xff", base64.StdEncoding.EncodeToString([]byte("\xff")), document.Base64},
	} {
		files := filesOf(t, newDoc(t, c.data), document.TextOnly)
		var meta struct {
			Encoding map[string]document.Encoding `json:"encoding"`
		}
		if err := json.Unmarshal(files[document.MetadataFile], &meta); err != nil {
			t.Fatal(err)
		}
		if string(files[document.TextFile]) != c.kept || meta.Encoding[document.TextFile] != c.encoding {
			t.Errorf("%q is kept as %q, encoding %q; want %q, %q", c.data, files[document.TextFile], meta.Encoding[document.TextFile], c.kept, c.encoding)
		}
	}
}

// TestRecordedFiles: a store that cannot list a folder learns from metadata.json
// what to read, if we wrote it for such a store.
func TestRecordedFiles(t *testing.T) {
	d := newDoc(t, "")
	for _, c := range []struct {
		raw       string
		transport document.Transport
		want      []string
		complete  bool
	}{
		{"", document.TextOnly, []string{document.TextFile}, true},
		{"raw", document.TextOnly, []string{document.TextFile, document.RawFile}, true},
		{"\x00", document.TextOnly, []string{document.TextFile, document.RawFile}, true},
		{"raw", document.AnyBytes, nil, false},
	} {
		d.Content.Raw = []byte(c.raw)
		got, complete, err := document.RecordedFiles(filesOf(t, d, c.transport)[document.MetadataFile])
		if err != nil || complete != c.complete || !slices.Equal(got, c.want) {
			t.Errorf("raw %q: RecordedFiles = %q, %v, %v; want %q, %v", c.raw, got, complete, err, c.want, c.complete)
		}
	}
	if _, complete, err := document.RecordedFiles([]byte("{")); !errors.Is(err, document.ErrInvalid) || complete {
		t.Errorf("RecordedFiles of broken metadata: %v, %v", complete, err)
	}
}

func TestFilesAreSortedAndComplete(t *testing.T) {
	d := newDoc(t, "")
	for _, raw := range [][]byte{nil, {}, {0}} {
		d.Content.Raw = raw
		files, err := d.Files(document.AnyBytes)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, f := range files {
			names = append(names, f.Name)
		}
		want := []string{document.TextFile, document.MetadataFile}
		if len(raw) > 0 {
			want = append(want, document.RawFile)
		}
		if !slices.Equal(names, want) {
			t.Errorf("files %q with %d raw bytes, want %q", names, len(raw), want)
		}
	}
}

func TestMalformedFiles(t *testing.T) {
	const good = `"id":"a","source":{"type":"text"},"created_at":"2026-01-01T00:00:00Z","updated_at":"2026-01-01T00:00:00Z"`
	for name, files := range map[string]map[string][]byte{
		"none":              {},
		"no metadata":       {document.TextFile: []byte("x")},
		"empty metadata":    {document.MetadataFile: nil},
		"not JSON":          {document.MetadataFile: []byte("{")},
		"list":              {document.MetadataFile: []byte("[]")},
		"bad id":            {document.MetadataFile: []byte(`{"id":".git"}`)},
		"no id":             {document.MetadataFile: []byte(`{}`)},
		"bad type":          {document.MetadataFile: []byte(`{"id":"a","source":{"type":"a/b"}}`)},
		"bad time":          {document.MetadataFile: []byte(`{"id":"a","created_at":"yesterday"}`)},
		"bad metadata":      {document.MetadataFile: []byte(`{"id":"a","metadata":[1]}`)},
		"bad source":        {document.MetadataFile: []byte(`{"id":"a","source":7}`)},
		"unknown encoding":  {document.MetadataFile: []byte(`{` + good + `,"encoding":{"content.txt":"rot13"}}`), document.TextFile: []byte("x")},
		"broken base64":     {document.MetadataFile: []byte(`{` + good + `,"encoding":{"content.txt":"base64"}}`), document.TextFile: []byte("!")},
		"broken raw base64": {document.MetadataFile: []byte(`{` + good + `,"encoding":{"raw":"base64"}}`), document.RawFile: []byte("a")},
		"trailing text":     {document.MetadataFile: []byte(`{` + good + `} more`)},
	} {
		if d, err := document.FromFiles(files, mustType(t, "text")); !errors.Is(err, document.ErrInvalid) {
			t.Errorf("%s: %+v, %v; want ErrInvalid", name, d, err)
		}
	}
}

// TestUnknownFields: an editor that knows less does not lose what others wrote.
func TestUnknownFields(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		extra := rapid.MapOfN(anyText(), anyValue(2), 1, 4).Draw(t, "extra")
		fields := map[string]any{}
		known := []string{"id", "source", "created_at", "updated_at", "metadata", "encoding"}
		for name, value := range extra {
			if !slices.ContainsFunc(known, func(k string) bool { return strings.EqualFold(k, name) }) {
				fields[name] = value
			}
		}
		unknown := len(fields)
		fields["id"], fields["created_at"], fields["updated_at"] = "a", created, created
		fields["source"] = map[string]any{"type": "text"}
		data, err := json.Marshal(fields)
		if err != nil {
			t.Fatalf("Marshal: %v", err)
		}
		d := fromFiles(t, map[string][]byte{document.MetadataFile: data, document.TextFile: []byte("x")})
		want := hashOf(t, d)
		for _, transport := range []document.Transport{document.TextOnly, document.AnyBytes} {
			d = fromFiles(t, filesOf(t, d, transport))
			if hashOf(t, d) != want {
				t.Fatalf("the hash changed")
			}
		}
		var back map[string]json.RawMessage
		if err := json.Unmarshal(filesOf(t, d, document.AnyBytes)[document.MetadataFile], &back); err != nil {
			t.Fatalf("Unmarshal: %v", err)
		}
		for name, value := range fields {
			wantJSON, err := json.Marshal(value)
			if err != nil {
				t.Fatalf("Marshal: %v", err)
			}
			var got bytes.Buffer
			if back[name] == nil || json.Compact(&got, back[name]) != nil {
				t.Fatalf("field %q is lost or broken: %s", name, back[name])
			}
			if !slices.Contains(known, name) && !sameJSON(got.Bytes(), wantJSON) {
				t.Fatalf("field %q became %s, was %s", name, got.Bytes(), wantJSON)
			}
		}
		plain := newDoc(t, "x")
		plain.ID, plain.Content.Metadata = d.ID, d.Content.Metadata
		if unknown > 0 && hashOf(t, plain) == want {
			t.Fatalf("the unknown fields are not part of the hash")
		}
	})
}

// sameJSON compares without regard to the escaping of characters.
func sameJSON(a, b []byte) bool {
	decode := func(data []byte) (any, error) {
		var v any
		decoder := json.NewDecoder(bytes.NewReader(data))
		decoder.UseNumber()
		err := decoder.Decode(&v)
		return v, err
	}
	va, errA := decode(a)
	vb, errB := decode(b)
	return errA == nil && errB == nil && fmt.Sprintf("%#v", va) == fmt.Sprintf("%#v", vb)
}

func TestInherit(t *testing.T) {
	earlier := fromFiles(t, map[string][]byte{
		document.MetadataFile: []byte(`{"id":"doc","source":{"type":"text"},"created_at":"2020-01-01T00:00:00Z","updated_at":"2020-01-01T00:00:00Z","owner":"Ann"}`),
	})
	edit := newDoc(t, "new").Inherit(earlier)
	if !edit.CreatedAt.Equal(earlier.CreatedAt) || edit.Content.Text != "new" || !edit.UpdatedAt.Equal(created) {
		t.Errorf("Inherit: %+v", edit)
	}
	if data := filesOf(t, edit, document.AnyBytes)[document.MetadataFile]; !bytes.Contains(data, []byte(`"owner": "Ann"`)) {
		t.Errorf("an edit lost the unknown field: %s", data)
	}
	if d := newDoc(t, "x").Inherit(document.Document{}); !d.CreatedAt.Equal(created) {
		t.Errorf("inheriting from nothing changed the creation to %v", d.CreatedAt)
	}
}
