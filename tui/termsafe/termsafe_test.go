package termsafe

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
)

func TestLine(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"empty", "", ""},
		{"plain", "hello, world", "hello, world"},
		{"accents", "naïve Größe 漢字", "naïve Größe 漢字"},
		{"escape", "a\x1b[31mb", "a^[[31mb"},
		{"nul and del", "\x00\x7f", "^@^?"},
		{"line ends", "a\r\nb", "a^M^Jb"},
		{"c1", "\u009b31m", `\u009b31m`},
		{"raw c1", "\x9b31m", `\x9b31m`},
		{"bidi", "a\u202eb", "a‹U+202E›b"},
		{"joiner", "a\u200db", "a‹U+200D›b"},
		{"tag", "a\U000e0041b", "a‹U+E0041›b"},
		{"private use", "\ue000", "‹U+E000›"},
		{"tab at the start", "\ta", "        a"},
		{"tab to the stop", "abc\td", "abc     d"},
		{"tab after wide", "漢\td", "漢      d"},
		{"marks at the limit", "e\u0301\u0301\u0301\u0301x", "e\u0301\u0301\u0301\u0301x"},
		{"marks past the limit", "e" + strings.Repeat("\u0301", 7) + "x", "e\u0301\u0301\u0301\u0301‹+3›x"},
		{"mark without base", "\u0301x", "◌\u0301x"},
		{"mark after escape", "\x1b\u0301", "^[◌\u0301"},
		{"decomposed syllable", "\u1112\u1161\u11ab", "\u1112\u1161\u11ab"},
		{"row of jamo", "\u1100\u1100", "\u1100‹U+1100›"},
		{"surrogate", "\xed\xa0\x80", `\xed\xa0\x80`},
		{"replacement character itself", "\ufffd", "\ufffd"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := Line(tt.in)
			if got.String() != tt.want {
				t.Errorf("Line(%q) = %q, want %q", tt.in, got, tt.want)
			}
			check(t, got)
		})
	}
}

func TestLineIsBounded(t *testing.T) {
	for _, tt := range []struct {
		n, width int
		cut      bool
	}{{MaxCells - 1, MaxCells - 1, false}, {MaxCells, MaxCells, false}, {MaxCells + 1, MaxCells, true}, {10 << 20, MaxCells, true}} {
		got := Line(strings.Repeat("x", tt.n))
		if got.Width() != tt.width || strings.HasSuffix(got.String(), cut) != tt.cut {
			t.Errorf("%d cells became %d, cut %v", tt.n, got.Width(), strings.HasSuffix(got.String(), cut))
		}
	}
	check(t, Line(strings.Repeat("漢", MaxCells)))
	check(t, Line(strings.Repeat("a\u0301\u200d", MaxCells)))
}

func TestLines(t *testing.T) {
	tests := []struct {
		name, in string
		limit    int
		want     []string
	}{
		{"empty", "", 3, nil},
		{"no limit left", "a", 0, nil},
		{"one", "a", 3, []string{"a"}},
		{"final newline", "a\nb\n", 3, []string{"a", "b"}},
		{"blank lines", "\n\na", 3, []string{"", "", "a"}},
		{"at the limit", "a\nb\nc", 3, []string{"a", "b", "c"}},
		{"past the limit", "a\nb\nc\nd", 3, []string{"a", "b", "… 2 more lines"}},
		{"only the mark", "a\nb", 1, []string{"… 2 more lines"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, line := range Lines(tt.in, tt.limit) {
				got = append(got, line.String())
			}
			if strings.Join(got, "|") != strings.Join(tt.want, "|") || len(got) != len(tt.want) {
				t.Errorf("Lines(%q, %d) = %q, want %q", tt.in, tt.limit, got, tt.want)
			}
		})
	}
}

func TestHostileFiles(t *testing.T) {
	for name, text := range hostile(t) {
		got := Line(text)
		check(t, got)
		if text != "" && got.Width() == 0 {
			t.Errorf("%s: nothing is shown", name)
		}
		for _, line := range Lines(text, 10) {
			check(t, line)
		}
	}
}

func FuzzLine(f *testing.F) {
	for _, text := range hostile(f) {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, s string) {
		check(t, Line(s))
		lines := Lines(s, 5)
		if len(lines) > 5 {
			t.Fatalf("%d lines", len(lines))
		}
		for _, line := range lines {
			check(t, line)
		}
	})
}

func hostile(t testing.TB) map[string]string {
	t.Helper()
	names, err := filepath.Glob("testdata/hostile/*")
	if err != nil || len(names) < 12 {
		t.Fatalf("hostile files: %v, %v", names, err)
	}
	out := map[string]string{}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		out[name] = string(data)
	}
	return out
}

// check holds what every Text promises.
func check(t *testing.T, text Text) {
	t.Helper()
	s := text.String()
	if !utf8.ValidString(s) {
		t.Fatalf("not UTF-8: %q", s)
	}
	marks := 0
	for _, r := range s {
		if unicode.IsControl(r) || hidden(r) || unicode.Is(unicode.Bidi_Control, r) {
			t.Fatalf("%U in %q", r, s)
		}
		if unicode.Is(unicode.M, r) {
			marks++
		} else {
			marks = 0
		}
		if marks > MaxMarks {
			t.Fatalf("more than %d marks in %q", MaxMarks, s)
		}
	}
	if w := ansi.StringWidth(s); w != text.Width() || w > MaxCells {
		t.Fatalf("width %d, recorded %d", w, text.Width())
	}
	if ansi.Strip(s) != s {
		t.Fatalf("a terminal would act on %q", s)
	}
}
