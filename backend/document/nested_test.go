package document_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caiatech/caiatop/backend/document"
)

// TestDeepMetadataIsAThousandTimesItsSize: 18 kB of brackets became 162 MB.
func TestDeepMetadataIsAThousandTimesItsSize(t *testing.T) {
	for name, text := range map[string]string{
		"deep":  strings.Repeat("[", 9000) + strings.Repeat("]", 9000),
		"wide":  "[" + strings.Repeat("[],", 60_000) + "[]]",
		"quote": `["\"[[[[", "` + strings.Repeat("[", 100) + `"]`,
	} {
		var value any
		if err := json.Unmarshal([]byte(text), &value); err != nil {
			t.Fatal(err)
		}
		d := newDoc(t, "x")
		d.Content.Metadata = map[string]any{"value": value}
		meta := filesOf(t, d, document.AnyBytes)[document.MetadataFile]
		if most := len(text) + 4096; len(meta) > most {
			t.Errorf("%s: %d bytes became %d", name, len(text), len(meta))
		}
		if inLines := strings.Count(string(meta), "\n") > 3; inLines != (name == "quote") {
			t.Errorf("%s: written in lines is %t", name, inLines)
		}
	}
}

func TestMetadataAtTheLimitOfDepth(t *testing.T) {
	for levels, ok := range map[int]bool{document.MaxDepth: true, document.MaxDepth + 1: false} {
		for _, pair := range [][2]string{{"[", "]"}, {`{"a":`, "}"}} {
			var value any
			text := strings.Repeat(pair[0], levels) + "0" + strings.Repeat(pair[1], levels)
			if err := json.Unmarshal([]byte(text), &value); err != nil {
				t.Fatal(err)
			}
			d := newDoc(t, "x")
			d.Content.Metadata = map[string]any{"value": value}
			if err := d.Validate(); (err == nil) != ok {
				t.Errorf("%d levels of %s: %v", levels, pair[0], err)
			}
		}
	}
}
