package document

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
	"unsafe"

	"pgregory.net/rapid"
)

// slowMetadata reads metadata.json with encoding/json alone.
func slowMetadata(raw []byte) (m metadata, ok bool) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	decoder.DisallowUnknownFields()
	return m, decoder.Decode(&m) == nil && onlySpace(raw[decoder.InputOffset():])
}

// slowlyWritten writes metadata.json with encoding/json alone.
func slowlyWritten(m written, indent string) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", indent)
	err := encoder.Encode(m)
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), err
}

var usual = []string{
	`{"created_at":"2030-01-02T03:04:05Z","encoding":{"content.txt":"utf-8"},"id":"a","metadata":{"a":[1,-2.5,0,true,false,null,"x",{},[]]},"source":{"path":"p","type":"t","url":"u"},"updated_at":"2030-01-02T03:04:05.678+02:00"}`,
	" {\n\t\"id\" : \"\\u00e9\\n\\\"\" ,\r\n \"metadata\":{\"k\":\"ü \\ud83d\\ude00 \\ud800\"}} ",
	`{}`, `{"source":{},"encoding":{},"metadata":{}}`,
}

var unusual = []string{
	``, ` `, `[]`, `null`, `{`, `{"id":"a"`, `{"id":"a",}`, `{"id":"a"} x`, `{"id":null}`, `{"ID":"a"}`, `{"id":"a","id":"b"}`, `{"source":"http://x"}`,
	`{"source":{"type":"a","type":"b"}}`, `{"other":1}`, `{"metadata":null}`, `{"metadata":{"a":01}}`, `{"metadata":{"a":1e5}}`, `{"metadata":{"a":-}}`, `{"metadata":{"a":1.}}`,
	`{"metadata":{"a":.5}}`, `{"metadata":{"a":tru}}`, `{"metadata":{"a":[1,]}}`, `{"metadata":{"a":[1 2]}}`, `{"metadata":{"a" 1}}`, "{\"id\":\"a\x01\"}", "{\"id\":\"\xff\"}", `{"id":"\x"}`,
	`{"created_at":"yesterday"}`, `{"created_at":1}`, `{"encoding":{"a":1}}`, `{"metadata":{"a":` + strings.Repeat("[", 70) + strings.Repeat("]", 70) + `}}`,
}

// TestWhatIsUsualIsReadQuickly, and what is not is left to encoding/json.
func TestWhatIsUsualIsReadQuickly(t *testing.T) {
	for _, raw := range usual {
		if _, ok := quickMetadata([]byte(raw)); !ok {
			t.Errorf("%s is not read quickly", raw)
		}
	}
	for _, raw := range unusual {
		if m, ok := quickMetadata([]byte(raw)); ok {
			t.Errorf("%s is read as %+v", raw, m)
		}
	}
}

// FuzzQuickMetadata: what is read quickly is read as encoding/json reads it.
func FuzzQuickMetadata(f *testing.F) {
	for _, raw := range append(usual, unusual...) {
		f.Add([]byte(raw))
	}
	f.Add([]byte(`{"metadata":{"` + strings.Repeat("x", maxShared) + `":1}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		quick, ok := quickMetadata(raw)
		if !ok {
			return
		}
		if slow, ok := slowMetadata(raw); !ok || !reflect.DeepEqual(quick, slow) {
			t.Errorf("%q is read as\n%+v, by encoding/json as\n%+v, %v", raw, quick, slow, ok)
		}
	})
}

// TestAnIdentityKeepsNoMetadata: who keeps the identity or the source of a document
// does not keep all of its metadata.json.
func TestAnIdentityKeepsNoMetadata(t *testing.T) {
	raw := []byte(`{"id":"an-id","source":{"type":"a-type","url":"a-url","path":"a-path"},"metadata":{"k":"` + strings.Repeat("x", 200) + `"}}`)
	m, ok := quickMetadata(raw)
	if !ok {
		t.Fatal("it is not read quickly")
	}
	value := m.Metadata["k"].(string)
	if !sharesText(value, value, raw) {
		t.Error("nothing is told of what is a part")
	}
	for _, s := range []string{m.ID, m.Source.Type, m.Source.URL, m.Source.Path} {
		if sharesText(value, s, raw) {
			t.Errorf("%q is a part of metadata.json", s)
		}
	}
}

// sharesText reports whether s lies where it does in the text that value is a part
// of.
func sharesText(value, s string, raw []byte) bool {
	start := uintptr(unsafe.Pointer(unsafe.StringData(value))) - uintptr(bytes.Index(raw, []byte(value)))
	return uintptr(unsafe.Pointer(unsafe.StringData(s)))-start == uintptr(bytes.Index(raw, []byte(s)))
}

// anyMember draws a value, most of them such that decoding JSON yields them.
func anyMember(depth int) *rapid.Generator[any] {
	text := rapid.OneOf(rapid.String(), rapid.StringOf(rapid.SampledFrom([]rune("a\"\\/<>&\b\f\n\r\t\x00\x1f\x7f\u2028\u2029é😀\ufffd"))))
	scalars := []*rapid.Generator[any]{
		rapid.Map(text, func(s string) any { return s }), rapid.Map(rapid.Bool(), func(b bool) any { return b }), rapid.Just(any(nil)),
		rapid.Map(rapid.Int(), func(n int) any { return n }),
		rapid.Map(rapid.SampledFrom([]string{"0", "-0", "1.50", "1e9", "-12", "01", "", "x", "1."}), func(s string) any { return json.Number(s) }),
		rapid.Just(any("\xff")), rapid.Just(any([]any(nil))), rapid.Just(any(map[string]any(nil))),
	}
	if depth > 0 {
		scalars = append(scalars,
			rapid.Map(rapid.SliceOfN(anyMember(depth-1), 0, 3), func(v []any) any { return v }),
			rapid.Map(rapid.MapOfN(text, anyMember(depth-1), 0, 3), func(m map[string]any) any { return m }))
	}
	return rapid.OneOf(scalars...)
}

// TestWhatIsWrittenQuicklyIsTheSame, byte for byte: hashes of documents and of git
// hang on it.
func TestWhatIsWrittenQuicklyIsTheSame(t *testing.T) {
	quickly := 0
	rapid.Check(t, func(t *rapid.T) {
		at := func(label string) time.Time {
			return time.Unix(rapid.Int64Range(-1e11, 3e11).Draw(t, label), rapid.Int64Range(0, 999_999_999).Draw(t, "ns")).UTC()
		}
		m := written{
			CreatedAt: at("created"), UpdatedAt: at("updated"), ID: rapid.String().Draw(t, "id"), Metadata: rapid.MapOfN(rapid.String(), anyMember(3), 0, 4).Draw(t, "metadata"),
			Source:   source{Path: rapid.String().Draw(t, "path"), Type: rapid.String().Draw(t, "type"), URL: rapid.String().Draw(t, "url")},
			Encoding: rapid.MapOfN(rapid.String(), rapid.SampledFrom([]Encoding{UTF8, Base64, Empty}), 0, 3).Draw(t, "encoding"),
		}
		indent := rapid.SampledFrom([]string{"", "  "}).Draw(t, "indent")
		got, ok := m.quick(indent)
		if !ok {
			return
		}
		quickly++
		want, err := slowlyWritten(m, indent)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%v\n%s\n%s", err, got, want)
		}
	})
	if quickly < 20 {
		t.Errorf("only %d were written quickly", quickly)
	}
	deep := func(levels int) written {
		value := any(map[string]any{})
		for range levels - 3 {
			value = map[string]any{"a": value}
		}
		return written{Metadata: map[string]any{"a": value}}
	}
	for levels, want := range map[int]bool{maxIndentedDepth: true, maxIndentedDepth + 1: false} {
		m := deep(levels)
		compact, err := slowlyWritten(m, "")
		if _, ok := m.quick("  "); err != nil || depth(compact) != levels || ok != want {
			t.Errorf("%d levels, %d: %v, %v", levels, depth(compact), ok, err)
		}
	}
	plain := written{Metadata: map[string]any{"k": strings.Repeat("x", maxIndented)}}
	if _, ok := plain.quick("  "); ok {
		t.Error("what may have no lines has them")
	}
}
