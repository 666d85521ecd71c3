package compare

import (
	"fmt"
	"maps"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/tui/termsafe"
)

func shown(lines []Line) string {
	var out []string
	for _, line := range lines {
		if line.Text != termsafe.Line(line.Text.String()) {
			panic("a line that termsafe does not know: " + line.Text.String())
		}
		out = append(out, line.Text.String())
	}
	return strings.Join(out, "\n")
}

func TestTexts(t *testing.T) {
	tests := []struct{ name, before, after, want string }{
		{"equal", "a\n", "a\n", ""},
		{"nothing", "", "", ""},
		{"new", "", "a\n", "@@ -0,0 +1 @@\n+a"},
		{"gone", "a\nb\n", "", "@@ -1,2 +0,0 @@\n-a\n-b"},
		{"context", "1\n2\n3\n4\n5\n", "1\n2\n3\nx\n5\n", "@@ -3,3 +3,3 @@\n 3\n-4\n+x\n 5"},
		{"two hunks", "1\n2\n3\n4\n5\n6\n", "x\n2\n3\n4\n5\ny\n", "@@ -1,2 +1,2 @@\n-1\n+x\n 2\n@@ -5,2 +5,2 @@\n 5\n-6\n+y"},
		{"newline at the end", "a", "a\n", "@@ -1 +1 @@\n-a\n\\ no newline at the end\n+a"},
		{"line ends", "a\r\nb\r\n", "a\nb\r\n", "@@ -1,2 +1,2 @@\n-a^M\n+a\n b^M"},
		{"CRLF on both sides", "a\r\n", "b\r\n", "@@ -1 +1 @@\n-a\n+b"},
		{"control characters", "a\tb\r\nc\x1bd", "a\tb\r\nc\xffd", "@@ -1,2 +1,2 @@\n a      b\n-c^[d\n\\ no newline at the end\n+c\\xffd\n\\ no newline at the end"},
		{"of equal lines the last ones are new", "x\n1\na\nb\na\n", "y\n1\na\nb\na\nb\na\n", "@@ -1,2 +1,2 @@\n-x\n+y\n 1\n@@ -5 +5,3 @@\n a\n+b\n+a"},
		{"of equal lines the last is new", "a\na\n", "a\na\na\n", "@@ -2 +2,2 @@\n a\n+a"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := shown(Texts(tt.before, tt.after, 1)); got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

// What differs at the far end of a line must be seen.
func TestTheDifferenceOfLongLinesIsShown(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	got := shown(Texts(long+"one\n", long+"two\n", 0))
	if !strings.Contains(got, "xone") || !strings.Contains(got, "xtwo") || !strings.Contains(got, "bytes alike") {
		t.Errorf("got %.300q", got)
	}
}

func TestTextsAreBounded(t *testing.T) {
	var a, b strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&a, "%0100d\n", i)
		fmt.Fprintf(&b, "%0100d\n", -i-1)
	}
	for name, lines := range map[string][]Line{
		"lines": Texts(a.String(), b.String(), 3),
		"bytes": Texts(strings.Repeat(strings.Repeat("x", 4000)+"\n", 2600), strings.Repeat(strings.Repeat("y", 4000)+"\n", 2600), 3),
	} {
		total, changed, left := 0, 0, 0
		for _, line := range lines {
			total += len(line.Text.String())
			if line.Kind == Added || line.Kind == Removed {
				changed++
			}
		}
		last := lines[len(lines)-1]
		if _, err := fmt.Sscanf(last.Text.String(), "… %d more", &left); err != nil || last.Kind != Header {
			t.Fatalf("%s: the last line is %q", name, last.Text)
		}
		want := map[string]int{"lines": 200_000, "bytes": 5200}[name]
		if len(lines) > MaxLines || total > MaxBytes+5000 || changed+left != want {
			t.Errorf("%s: %d lines, %d bytes, %d shown and %d left of %d", name, len(lines), total, changed, left, want)
		}
	}
}

func TestAnyContext(t *testing.T) {
	for context, want := range map[int]int{-1: 3, 0: 3, 1: 5, math.MaxInt: 6} {
		if got := Texts("1\n2\n3\n4\n", "1\n2\nx\n4\n", context); len(got) != want {
			t.Errorf("context %d: %d lines, want %d", context, len(got), want)
		}
	}
	long := strings.Repeat("a\n", 2*MaxLines)
	got := Texts("x\n"+long, "y\n"+long, math.MaxInt)
	if last := got[len(got)-1]; last.Kind != Header || !strings.Contains(last.Text.String(), "alike") || len(got) > MaxLines {
		t.Errorf("%d lines, the last one is %q", len(got), last.Text)
	}
}

// Whatever the texts are, the edits lead from one to the other.
func TestEditsLeadFromOneTextToTheOther(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kinds := rapid.SampledFrom([]int{2, 5, 50, 5000}).Draw(t, "kinds")
		line := rapid.Custom(func(t *rapid.T) string { return fmt.Sprintf("%d\n", rapid.IntRange(0, kinds).Draw(t, "line")) })
		a := rapid.SliceOfN(line, 0, 300).Draw(t, "a")
		b := rapid.SliceOfN(line, 0, 300).Draw(t, "b")
		if rapid.Bool().Draw(t, "related") && len(a) > 0 {
			at := rapid.IntRange(0, len(a)-1).Draw(t, "at")
			b = append(append(append([]string{}, a[:at]...), b[:min(len(b), 5)]...), a[at:]...)
		}
		var out []string
		at := 0
		for i, e := range diff(a, b) {
			if e.aFrom < at || (i > 0 && e.aFrom == at) || e.bFrom-len(out) != e.aFrom-at {
				t.Fatalf("edit %+v after line %d", e, at)
			}
			out = append(out, a[at:e.aFrom]...)
			out = append(out, b[e.bFrom:e.bTo]...)
			at = e.aTo
		}
		out = append(out, a[at:]...)
		if strings.Join(out, "") != strings.Join(b, "") {
			t.Fatalf("%q became %q, want %q", a, out, b)
		}
	})
}

func docOf(t *testing.T, kind, text string, metadata map[string]any) *document.Document {
	t.Helper()
	id, err := document.ParseID("a")
	if err != nil {
		t.Fatal(err)
	}
	of, err := document.ParseType(kind)
	if err != nil {
		t.Fatal(err)
	}
	return &document.Document{ID: id, Source: document.Source{Type: of}, Content: document.Content{Text: text, Metadata: metadata}}
}

func TestDocuments(t *testing.T) {
	before := docOf(t, "text", "one\n", map[string]any{"a": 1, "b": "x\x1b", "same": []any{"<"}})
	after := docOf(t, "pdf", "two\n", map[string]any{"b": "y", "c": nil, "same": []any{"<"}})
	after.Source.URL = "http://x"
	after.Content.Raw = []byte("raw")
	want := "type\n-type: text\n+type: pdf\nsource\n+url: http://x\nmetadata\n-a: 1\n-b: \"x\\u001b\"\n+b: \"y\"\n+c: null\n" +
		"raw bytes\n+raw: 3 bytes, sha256 5ec4c2a6d2b1\ntext\n@@ -1 +1 @@\n-one\n+two"
	got := shown(Documents(before, after, 3))
	head, _, _ := strings.Cut(got, "sha256 ")
	if wantHead, _, _ := strings.Cut(want, "sha256 "); head != wantHead || !strings.HasSuffix(got, "\ntext\n@@ -1 +1 @@\n-one\n+two") {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	other := *before
	other.Content.Metadata = maps.Clone(before.Content.Metadata)
	if got := Documents(before, &other, 3); got != nil {
		t.Errorf("equal documents differ:\n%s", shown(got))
	}
	if got := shown(Documents(nil, before, 3)); !strings.HasSuffix(got, "@@ -0,0 +1 @@\n+one") || strings.Contains(got, "\n-") {
		t.Errorf("a new document:\n%s", got)
	}
	if got := shown(Documents(before, nil, 3)); !strings.HasSuffix(got, "@@ -1 +0,0 @@\n-one") || strings.Contains(got, "\n+") {
		t.Errorf("a removed document:\n%s", got)
	}
	if got := Documents(nil, nil, 3); got != nil {
		t.Errorf("nothing: %s", shown(got))
	}
}

func benchmarkTexts(lines int, other bool) (before, after string) {
	var a, b strings.Builder
	for i := range lines {
		fmt.Fprintf(&a, "line %d of a text that is long enough to be one, with some words: %0*d\n", i, 40, i)
		switch {
		case other:
			fmt.Fprintf(&b, "row %d of another text that is long enough to be one, with words: %0*d\n", i, 40, i)
		case i%1000 == 0:
			fmt.Fprintf(&b, "changed %d\n", i)
		default:
			fmt.Fprintf(&b, "line %d of a text that is long enough to be one, with some words: %0*d\n", i, 40, i)
		}
	}
	return a.String(), b.String()
}

func BenchmarkTexts(b *testing.B) {
	for _, bb := range []struct {
		name  string
		texts func() (before, after string)
	}{
		{"100000 lines, 100 changed", func() (string, string) { return benchmarkTexts(100_000, false) }},
		{"100000 lines, all different", func() (string, string) { return benchmarkTexts(100_000, true) }},
		{"10 MiB in two kinds of lines", func() (string, string) {
			return strings.Repeat("a\nb\n", 10<<18), strings.Repeat("b\nb\na\n", 10<<20/6)
		}},
		{"10 MiB in one line", func() (string, string) { return strings.Repeat("a", 10<<20-1), strings.Repeat("a", 10<<20-2) + "b" }},
	} {
		b.Run(bb.name, func(b *testing.B) {
			before, after := bb.texts()
			b.SetBytes(int64(len(before) + len(after)))
			for b.Loop() {
				if len(Texts(before, after, 3)) == 0 {
					b.Fatal("no difference")
				}
			}
		})
	}
}

func BenchmarkMerge(b *testing.B) {
	base, mine := benchmarkTexts(100_000, false)
	theirs := base + "one more\n"
	for b.Loop() {
		if _, clean := Merge(base, mine, theirs); !clean {
			b.Fatal("not clean")
		}
	}
}
