package storetest

import (
	"encoding/json"
	"math/rand/v2"
	"strings"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/store"
)

func contentCases() []testCase {
	return []testCase{
		{"content/empty", testEmpty},
		{"content/large", testLarge},
		{"content/binary raw", testBinaryRaw},
		{"content/text", testTexts},
		{"content/metadata types", testMetadataTypes},
		{"content/unknown fields", testUnknownFields},
		{"ids", testIDs},
	}
}

func testEmpty(s *suite) {
	d := newDoc(s, "empty", "")
	s.put(d)
	s.wantHeld(d)
	bare := document.Document{ID: d.ID, Source: document.Source{Type: d.Source.Type}, CreatedAt: epoch, UpdatedAt: epoch}
	s.put(bare)
	s.wantHeld(bare)
	rawOnly := bare.Clone()
	rawOnly.Content.Raw = []byte{0}
	s.put(rawOnly)
	s.wantHeld(rawOnly)
}

// testLarge holds 1 MiB of text that compresses badly, in lines.
func testLarge(s *suite) {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+\n"
	random := rand.New(rand.NewPCG(1, 2))
	var text strings.Builder
	for text.Len() < 1<<20 {
		text.WriteByte(letters[random.IntN(len(letters))])
	}
	d := newDoc(s, "large", text.String())
	s.put(d)
	s.wantHeld(d)
	d = edited(d, text.String()[1:]+"x")
	s.put(d)
	s.wantHeld(d)
}

func testBinaryRaw(s *suite) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	for id, raw := range map[string][]byte{
		"raw-all":     all,
		"raw-nul":     {0},
		"raw-nuls":    make([]byte, 1000),
		"raw-newline": {'\n'},
		"raw-base64":  []byte("aGVsbG8="),
		"raw-text":    []byte("plain text\n"),
	} {
		d := newDoc(s, id, "beside it")
		d.Content.Raw = raw
		s.put(d)
		s.wantHeld(d)
	}
}

func testTexts(s *suite) {
	for id, text := range map[string]string{
		"invalid-utf8":  "abc\xff\xfe\x80def",
		"cut-rune":      "caf\xc3",
		"surrogate":     "\xed\xa0\x80",
		"nul":           "a\x00b",
		"crlf":          "one\r\ntwo\r\n",
		"mixed-ends":    "one\rtwo\nthree\r\n\n",
		"bom":           "\ufeffwith a mark",
		"utf16":         "\xff\xfea\x00b\x00",
		"tabs":          "\ta\t\tb \t\n",
		"no-end":        "no newline at the end",
		"one-newline":   "\n",
		"spaces":        "   ",
		"unicode":       "Größe 文書 документ \U0001f4c4 e\u0301 \u00e9 \u202ertl\u202c",
		"replacement":   "\ufffd is a legal character",
		"separators":    "a\u2028b\u2029c\u0085d",
		"controls":      "\x01\x02\x1b[31mred\x1b[0m\x7f",
		"json-like":     `{"text": "\u0000", "a": "<&>"}`,
		"base64-like":   "aGVsbG8=",
		"looks-deleted": "caiatop/deleted",
	} {
		d := newDoc(s, id, text)
		s.put(d)
		s.wantHeld(d)
	}
}

func testMetadataTypes(s *suite) {
	d := newDoc(s, "metadata", "text")
	d.Content.Metadata = map[string]any{
		"string": "x", "empty": "", "html": "<a href='#'>&amp;</a>", "unicode": "Größe \U0001f4c4\u2028",
		"control": "a\x00\x1bb", "bool": true, "null": nil, "int": 42, "float": 1.5, "negative": -0.25,
		"big": json.Number("12345678901234567890"), "exact": json.Number("2.50"), "exponent": json.Number("1e3"),
		"list": []any{"a", json.Number("1"), nil, []any{}}, "object": map[string]any{"b": map[string]any{}, "a": "z"},
		"": "empty key", "key with \"quotes\"\n": "odd key", "id": "not the id", "encoding": "not the encoding",
	}
	s.put(d)
	s.wantHeld(d)
	got, err := s.store.Get(s.Context(), s.op(d).Key)
	if err != nil {
		s.Fatalf("Get: %v", err)
	}
	for name, want := range map[string]any{
		"big": json.Number("12345678901234567890"), "exact": json.Number("2.50"), "exponent": json.Number("1e3"),
		"bool": true, "null": nil, "string": "x",
	} {
		if got.Content.Metadata[name] != want {
			s.Errorf("metadata[%q] = %#v, want %#v", name, got.Content.Metadata[name], want)
		}
	}
}

func testUnknownFields(s *suite) {
	const metadata = `{
		"id": "foreign", "source": {"type": "text", "path": "p"}, "metadata": {"k": 1},
		"created_at": "2026-03-14T15:09:26Z", "updated_at": "2026-03-15T00:00:00.5Z",
		"reviewed_by": {"name": "Ann", "score": 2.50, "tags": ["a", null, "<b>"]},
		"version": 12345678901234567890, "nothing": null
	}`
	d, err := document.FromFiles(map[string][]byte{
		document.MetadataFile: []byte(metadata),
		document.TextFile:     []byte("text"),
	}, document.Type{})
	if err != nil {
		s.Fatalf("FromFiles: %v", err)
	}
	s.put(d)
	s.wantHeld(d)
	got, err := s.store.Get(s.Context(), s.op(d).Key)
	if err != nil {
		s.Fatalf("Get: %v", err)
	}
	files, err := got.Files(document.AnyBytes)
	if err != nil {
		s.Fatalf("Files: %v", err)
	}
	for _, f := range files {
		if f.Name != document.MetadataFile {
			continue
		}
		for _, field := range []string{`"reviewed_by"`, `2.50`, `"<b>"`, `"version": 12345678901234567890`, `"nothing": null`} {
			if !strings.Contains(string(f.Data), field) {
				s.Errorf("metadata.json lost %s:\n%s", field, f.Data)
			}
		}
	}
}

// testIDs stores many awkward identities side by side: none may be taken for
// another.
func testIDs(s *suite) {
	ids := []string{
		"a b", " a", "a ", "100%", "100%25", "a%2Fb", "a%00", "a+b", "a&b", "a#b", "a?b", "a?b=c", "a;b", "a=b", "a:b", "a,b", "a@b",
		"a'b", `a"b`, "a<b>", "a|b", "a*b", "a[b]", "a{b}", "a$b", "a`b", "a^b", "a!b", "a~b", "(a)", "-rf", "--", "...", ".hidden", "a.", "a..b",
		"metadata.json", "raw", "HEAD", "refs", "con", "doc", "Doc", "DOC", "0", "Größe", "Gro\u0308ße", "文書", "документ", "\U0001f4c4",
		"\u00e9", "e\u0301", "\u212a", "k", "\u0130", strings.Repeat("x", document.MaxID), strings.Repeat("é", document.MaxID/2),
	}
	docs := make([]document.Document, len(ids))
	ops := make([]store.Op, len(ids))
	for i, id := range ids {
		docs[i] = newDoc(s, id, "text of "+id)
		ops[i] = s.op(docs[i])
	}
	s.apply(ops...)
	s.wantHeld(docs...)
	for i, d := range docs {
		docs[i] = edited(d, "changed "+d.ID.String())
	}
	s.put(docs[0], docs[3], docs[len(docs)-1])
	s.wantHeld(docs[0], docs[3], docs[len(docs)-1])
	s.remove(docs[4])
	s.wantAbsent(docs[4])
	s.wantHeld(docs[0], docs[3])
}
