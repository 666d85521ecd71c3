package documents

import (
	"strings"

	"github.com/charmbracelet/x/ansi"

	"github.com/caiatech/caiatop/tui/compare"
	"github.com/caiatech/caiatop/tui/ui"
)

// diffContext is the unchanged lines that are shown around a change.
const diffContext = 3

// diff shows the lines of a comparison and scrolls through them.
type diff struct {
	lines   []compare.Line
	top     int
	width   int
	wrapped []string
}

func newDiff(lines []compare.Line) *diff { return &diff{lines: lines} }

// whole makes lines that differ from nothing.
func whole(lines []line) []compare.Line {
	out := make([]compare.Line, len(lines))
	for i, l := range lines {
		out[i] = compare.Line{Kind: compare.Same, Text: l.text}
	}
	return out
}

func (d *diff) move(name string, height int) {
	d.top = turned(d.top, name, len(d.wrapped), height)
}

// view returns the visible lines, each at most w cells wide.
func (d *diff) view(t *ui.Theme, w, h int) []string {
	if d.wrapped == nil || d.width != w {
		d.wrapped, d.width = d.wrap(t, w), w
	}
	d.top = max(min(d.top, len(d.wrapped)-h), 0)
	return d.wrapped[d.top:min(d.top+h, len(d.wrapped))]
}

// wrap breaks the lines at w cells. What is broken keeps the sign of its line,
// so that no colour is needed to tell what it is.
func (d *diff) wrap(t *ui.Theme, w int) []string {
	out := make([]string, 0, len(d.lines))
	for _, l := range d.lines {
		tone, text := tones[l.Kind], l.Text.String()
		if l.Text.Width() <= w {
			out = append(out, t.Paint(tone, text))
			continue
		}
		sign := ""
		if l.Kind != compare.Header && len(text) > 0 && strings.ContainsRune(" +-", rune(text[0])) {
			sign, text = text[:1], text[1:]
		}
		for part := range strings.SplitSeq(ansi.Hardwrap(text, max(w-len(sign), 2), true), "\n") {
			out = append(out, t.Paint(tone, sign+part))
		}
	}
	return out
}

var tones = map[compare.Kind]ui.Tone{compare.Same: ui.Plain, compare.Added: ui.Good, compare.Removed: ui.Bad, compare.Header: ui.Accent}
