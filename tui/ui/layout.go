package ui

import (
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// Box draws a pane of exactly w by h cells around lines, with a title in its
// upper border. Lines past the pane are left out, a short pane is filled up.
// Without room for a border and a line there is nothing.
func (t *Theme) Box(title string, lines []string, w, h int, focused bool) []string {
	if w < 4 || h < 3 {
		return Blank(w, h)
	}
	tone := Dim
	if focused {
		tone = Accent
	}
	g := t.Glyphs
	head := ""
	if title != "" {
		head = ansi.Truncate(" "+title+" ", w-3, "… ")
	}
	rest := strings.Repeat(g.Across, w-3-ansi.StringWidth(head))
	out := make([]string, 0, h)
	out = append(out, t.Paint(tone, g.Corners[0]+g.Across)+t.Paint(Strong, head)+t.Paint(tone, rest+g.Corners[1]))
	side := t.Paint(tone, g.Down)
	for i := range h - 2 {
		line := ""
		if i < len(lines) {
			line = lines[i]
		}
		out = append(out, side+" "+Fit(line, w-4)+" "+side)
	}
	return append(out, t.Paint(tone, g.Corners[3]+strings.Repeat(g.Across, w-2)+g.Corners[2]))
}

// MaxDialog is the most cells that a dialog takes in a line.
const MaxDialog = 76

// DialogWidth returns how wide a dialog is on w cells: as wide as it may be
// with a little of the page beside it.
func DialogWidth(w int) int { return max(min(w-4, MaxDialog), 1) }

// Blank returns h empty lines of w cells.
func Blank(w, h int) []string {
	out := make([]string, max(h, 0))
	for i := range out {
		out[i] = strings.Repeat(" ", max(w, 0))
	}
	return out
}

// Beside joins blocks of the same height line by line.
func Beside(blocks ...[]string) []string {
	if len(blocks) == 0 {
		return nil
	}
	out := make([]string, len(blocks[0]))
	for i := range out {
		var line strings.Builder
		for _, block := range blocks {
			if i < len(block) {
				line.WriteString(block[i])
			}
		}
		out[i] = line.String()
	}
	return out
}

// Frame returns exactly h lines of exactly w cells: what is longer is cut,
// what is missing is blank.
func Frame(lines []string, w, h int) []string {
	out := make([]string, max(h, 0))
	for i := range out {
		if i < len(lines) {
			out[i] = Fit(lines[i], w)
		} else {
			out[i] = Fit("", w)
		}
	}
	return out
}

// Over lays a block over the middle of lines of w cells each. A block that is
// too large is cut by the caller's Frame.
func Over(lines, block []string, w int) []string {
	if len(block) == 0 {
		return lines
	}
	bw := ansi.StringWidth(block[0])
	left, top := max((w-bw)/2, 0), max((len(lines)-len(block))/2, 0)
	out := append([]string(nil), lines...)
	for i, line := range block {
		if top+i >= len(out) {
			break
		}
		under := out[top+i]
		out[top+i] = Fit(ansi.Truncate(under, left, ""), left) + line + ansi.TruncateLeft(under, left+bw, "")
	}
	return out
}

// Wrap breaks one line at spaces into lines of at most w cells, limit lines at
// most; the last one is cut with a mark if something is left.
func Wrap(s string, w, limit int) []string {
	if w <= 0 || limit <= 0 {
		return nil
	}
	var out []string
	line := ""
	words := strings.Fields(s)
	for i, word := range words {
		if line != "" && ansi.StringWidth(line)+1+ansi.StringWidth(word) > w {
			if len(out) == limit-1 {
				return append(out, ansi.Truncate(line+" "+strings.Join(words[i:], " "), w, "…"))
			}
			out, line = append(out, ansi.Truncate(line, w, "…")), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(out, ansi.Truncate(line, w, "…"))
}
