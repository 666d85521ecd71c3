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
		{"scaled to the highest", []float64{1, 2, 4, 8}, 4, "▂▃▅█"},
		{"little is not nothing", []float64{0, 0.001, 100}, 3, " ▁█"},
		{"short series stand right", []float64{5}, 3, "  █"},
		{"the highest of a group", []float64{1, 8, 0, 0, 4, 2}, 3, "█ ▅"},
		{"whole groups from the newest", []float64{8, 1, 1, 1, 1}, 3, "█▂▂"},
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
