package httpapi

import (
	"bytes"
	"reflect"
	"testing"
)

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"documents":[{"id":"a","type":"t","text":"x","metadata":{"n":1e400},"created_at":"2026-01-02T03:04:05Z"}]}`))
	f.Add([]byte(`{"documents":[{"id":"a","text_base64":"AA==","raw_base64":"/w=="}]}`))
	f.Add([]byte(`{"documents":[null]}`))
	f.Add([]byte(`{"documents":[{"metadata":{"a":null}}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var first documentBatch
		if decode(bytes.NewReader(data), &first) != nil {
			return
		}
		out, err := encode(first)
		if err != nil {
			t.Fatalf("what was decoded cannot be encoded: %v", err)
		}
		var second documentBatch
		if err := decode(bytes.NewReader(out), &second); err != nil {
			t.Fatalf("what was encoded cannot be decoded: %v", err)
		}
		again, err := encode(second)
		if err != nil || !bytes.Equal(out, again) {
			t.Fatalf("the second round differs: %s, %s, %v", out, again, err)
		}
		for i := range first.Documents {
			if first.Documents[i].Text != second.Documents[i].Text || !bytes.Equal(first.Documents[i].Raw, second.Documents[i].Raw) {
				t.Fatalf("content changed: %+v, %+v", first.Documents[i], second.Documents[i])
			}
		}
	})
}

func FuzzContent(f *testing.F) {
	f.Add("text", []byte{0, 255})
	f.Add("\xff\x00", []byte(nil))
	f.Fuzz(func(t *testing.T, text string, raw []byte) {
		if len(raw) == 0 {
			raw = nil
		}
		want := Document{ID: "a", Type: "t", Text: text, Raw: raw}
		data, err := encode(want)
		if err != nil {
			t.Fatal(err)
		}
		var got Document
		if err := decode(bytes.NewReader(data), &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v, %v, want %+v", got, err, want)
		}
	})
}
