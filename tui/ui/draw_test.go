package ui

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"
	"github.com/muesli/termenv"

	"github.com/caiatech/caiatop/backend/engine"
)

func TestSpark(t *testing.T) {
	theme := themeFor(termenv.Ascii)
	tests := []struct {
		name   string
		values []float64
		width  int
		want   string
	}{
		{"nothing", nil, 3, "   "},
		{"no width", []float64{1}, 0, ""},
		{"all zero", []float64{0, 0}, 2, "  "},
		{"scaled to the highest", []float64{1, 2, 4, 8}, 4, "▁▂▄▇"},
		{"little is not nothing", []float64{0, 0.001, 100}, 3, " ▁▇"},
		{"short series stand right", []float64{5}, 3, "  ▇"},
		{"the highest of a group", []float64{1, 8, 0, 0, 4, 2}, 3, "▇ ▄"},
		{"whole groups from the newest", []float64{8, 1, 1, 1, 1}, 3, "▇▁▁"},
	}
	for _, tt := range tests {
		if got := theme.Spark(tt.values, tt.width); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestChart(t *testing.T) {
	got := themeFor(termenv.Ascii).Chart([]float64{0, 1, 8, 16}, 5, 2)
	want := []string{"    █", "  ▁██"}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("chart:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestBar(t *testing.T) {
	theme := themeFor(termenv.Ascii)
	for _, tt := range []struct {
		done, total int64
		want        string
	}{{0, 10, "░░░░"}, {5, 10, "██░░"}, {10, 10, "████"}, {20, 10, "████"}, {-1, 10, "░░░░"}, {1, 0, "░░░░"}} {
		if got := theme.Bar(tt.done, tt.total, 4); got != tt.want {
			t.Errorf("Bar(%d, %d) = %q, want %q", tt.done, tt.total, got, tt.want)
		}
	}
}

func TestBoxHasItsSize(t *testing.T) {
	for _, profile := range []termenv.Profile{termenv.Ascii, termenv.ANSI} {
		theme := themeFor(profile)
		for w := range 20 {
			for h := range 8 {
				box := theme.Box("a long title 漢字", []string{"one", strings.Repeat("漢", 30)}, w, h, true)
				if len(box) != h {
					t.Fatalf("%dx%d: %d lines", w, h, len(box))
				}
				for _, line := range box {
					if n := ansi.StringWidth(line); n != w {
						t.Fatalf("%dx%d: %d cells in %q", w, h, n, line)
					}
				}
			}
		}
	}
}

func TestOver(t *testing.T) {
	lines := Frame([]string{"aaaaaa", "漢漢漢", "cccccc"}, 6, 3)
	got := Over(lines, []string{"XX"}, 6)
	if got[0] != "aaaaaa" || ansi.StringWidth(got[1]) > 7 || !strings.Contains(got[1], "XX") || got[2] != "cccccc" {
		t.Errorf("over: %q", got)
	}
	if got := Over(lines, []string{strings.Repeat("X", 9), "Y", "Z", "Q"}, 6); len(got) != 3 {
		t.Errorf("a large block made %d lines", len(got))
	}
}

func TestWrap(t *testing.T) {
	tests := []struct {
		in       string
		w, limit int
		want     string
	}{
		{"one two three", 7, 5, "one two|three"},
		{"one two three four", 7, 2, "one two|three …"},
		{"unbreakable", 5, 3, "unbr…"},
		{"", 5, 3, ""},
		{"a b", 0, 3, ""},
	}
	for _, tt := range tests {
		if got := strings.Join(Wrap(tt.in, tt.w, tt.limit), "|"); got != tt.want {
			t.Errorf("Wrap(%q, %d, %d) = %q, want %q", tt.in, tt.w, tt.limit, got, tt.want)
		}
	}
}

func TestTable(t *testing.T) {
	theme := themeFor(termenv.Ascii)
	table := Table{{Title: "id"}, {Title: "n", Width: 4, Right: true}, {Title: "x", Width: 2}}
	if got, want := table.Row(theme, 14, []string{"漢字 long name", "12", "yyy"}), "漢字 …   12 y…"; got != want {
		t.Errorf("row %q, want %q", got, want)
	}
	for w := range 20 {
		if n := ansi.StringWidth(table.Head(theme, w)); n != w {
			t.Errorf("%d cells on %d", n, w)
		}
	}
}

func TestStatesHaveGlyphWordAndTone(t *testing.T) {
	theme := themeFor(termenv.ANSI)
	tones := map[engine.State]Tone{
		engine.StatePrimary: Good, engine.StateFallback: Warn, engine.StateReplaying: Accent, engine.StateReseeding: Accent,
		engine.StateLocked: Bad, engine.StateProbing: Dim, engine.StateNone: Dim,
	}
	for state, want := range tones {
		glyph, word, tone := theme.State(state)
		if glyph == "" || word != string(state) || tone != want {
			t.Errorf("%s: %q %q %d", state, glyph, word, tone)
		}
	}
	if _, word, _ := theme.State("\x1b[31m"); word != "UNKNOWN" {
		t.Errorf("a state that is none is shown as %q", word)
	}
}

func TestGlyphsTakeOneCell(t *testing.T) {
	for _, g := range []Glyphs{Unicode(), ASCII()} {
		all := []string{g.Good, g.Busy, g.Warn, g.Bad, g.None, g.Cursor, g.Caret, g.Across, g.Down, g.BarFull, g.BarRest}
		all = append(all, g.Corners[:]...)
		for _, r := range g.Spark {
			all = append(all, string(r))
		}
		for _, s := range all {
			if ansi.StringWidth(s) != 1 {
				t.Errorf("%q takes %d cells", s, ansi.StringWidth(s))
			}
		}
	}
}

func TestMonoPaintsNothing(t *testing.T) {
	for tone := range toneCount {
		if got := themeFor(termenv.Ascii).Paint(tone, "x"); got != "x" {
			t.Errorf("tone %d: %q", tone, got)
		}
	}
	if got := themeFor(termenv.ANSI).Paint(Bad, "x"); got == "x" {
		t.Error("no colour where there is colour")
	}
}

// Styles of the global renderer would show the colours of another terminal.
func TestStylesAreMadeHereOnly(t *testing.T) {
	err := filepath.WalkDir("..", func(path string, _ os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		data, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(data), "lipgloss.NewStyle") {
			t.Errorf("%s makes a style of the global renderer", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestHang(t *testing.T) {
	for _, tt := range []struct {
		s         string
		w, indent int
		want      string
	}{
		{"", 10, 2, ""},
		{"short", 10, 2, "short"},
		{"id    a-b-c", 11, 6, "id    a-b-c"},
		{"id    a-b-c", 10, 5, "id|     a-b-c"},
		{"dir   one/2026-03/x/last", 15, 6, "dir   one/|      2026-03/|      x/last"},
		{"two words here", 9, 2, "two words|  here"},
		{"k  abcdefghij", 6, 3, "k  abc|   def|   ghi|   j"},
		{"k  漢漢漢", 6, 3, "k  漢|   漢|   漢"},
		{"漢漢", 1, 9, "漢|漢"},
		{"a b", 0, -1, "a|b"},
	} {
		got := Hang(tt.s, tt.w, tt.indent)
		if strings.Join(got, "|") != tt.want {
			t.Errorf("Hang(%q, %d, %d) = %q, want %q", tt.s, tt.w, tt.indent, got, tt.want)
		}
	}
}

func TestHangLosesNothing(t *testing.T) {
	const s = "folder     documents/pdf/2026-03/f/0/8/a-name-with-many-hyphens-and-漢字-in-it  and words"
	letters := func(s string) string { return strings.ReplaceAll(s, " ", "") }
	for w := range 100 {
		for indent := range 14 {
			lines := Hang(s, w, indent)
			if letters(strings.Join(lines, "")) != letters(s) {
				t.Fatalf("%d cells, indent %d: %q", w, indent, lines)
			}
			for _, line := range lines {
				if ansi.StringWidth(line) > max(w, 2) {
					t.Fatalf("%d cells, indent %d: %q is wider", w, indent, line)
				}
			}
		}
	}
}

func TestLongest(t *testing.T) {
	for w, want := range map[int]string{9: "four", 4: "four", 3: "two", 0: "two"} {
		if got := Longest(w, "four", "two"); got != want {
			t.Errorf("%d cells: %q, want %q", w, got, want)
		}
	}
}

// TestSeriesUnderEachOtherStayApart: with a full block as the highest step they
// ran into one.
func TestSeriesUnderEachOtherStayApart(t *testing.T) {
	theme := themeFor(termenv.Ascii)
	values := make([]float64, 100)
	for i := range values {
		values[i] = float64(i)
	}
	full := string(theme.Glyphs.Spark[len(theme.Glyphs.Spark)-1])
	if got := theme.Spark(values, 100); strings.Contains(got, full) || !strings.HasSuffix(got, "▇") {
		t.Errorf("a row of a table: %q", got)
	}
	if got := strings.Join(theme.Chart(values, 100, 1), ""); !strings.Contains(got, full) {
		t.Errorf("a chart does not use its height: %q", got)
	}
}
