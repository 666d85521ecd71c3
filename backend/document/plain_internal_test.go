package document

import (
	"encoding/json"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestPlainNamesBreakNoRule: what is let through without a closer look would
// pass it.
func TestPlainNamesBreakNoRule(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.OneOf(
			rapid.StringMatching(`[.a-cgit0-9~_-]{0,9}`), rapid.StringMatching(`\.?(git|GIT|gitmod|gi7eba)(modules|attributes|~[0-9])?\.?`), rapid.String(),
		).Draw(t, "name")
		if !isPlain(s) {
			return
		}
		if err := checkOddName("name", s, MaxSegment); err != nil {
			t.Error(err)
		}
		if own, is := gitOwnFile(s); is {
			t.Errorf("%q means %s", s, own)
		}
	})
}

// TestFieldsWithoutANameChangeNothingElse: metadata.json is the same, byte for
// byte, whether it is written with or without fields that have no name here.
func TestFieldsWithoutANameChangeNothingElse(t *testing.T) {
	d := Document{
		ID: ID{"a"}, Source: Source{Type: Type{"text"}, URL: "https://a/<b>&c"}, CreatedAt: time.Unix(1, 5), UpdatedAt: time.Unix(2, 0),
		Content: Content{Metadata: map[string]any{"z": 1, "a": []any{"<", nil, true}}},
	}
	for _, metadata := range []map[string]any{d.Content.Metadata, nil} {
		for _, encoding := range []map[string]Encoding{{TextFile: UTF8, RawFile: Base64}, nil} {
			d.Content.Metadata = metadata
			var texts [2]string
			for i, fields := range []any{d.written(encoding), d.writtenWithUnknown(encoding)} {
				text, err := json.Marshal(fields)
				if err != nil {
					t.Fatal(err)
				}
				texts[i] = string(text)
			}
			if texts[0] != texts[1] {
				t.Errorf("%s\n%s", texts[0], texts[1])
			}
		}
	}
}
