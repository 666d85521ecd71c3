package ui

import (
	"iter"
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

// Hang breaks a line into lines of at most w cells, after spaces and slashes
// and else only where a word is longer than a line. All lines but the first
// begin under the cell indent of the first, where that leaves room to read.
// The text must be free of line ends and escape sequences.
func Hang(s string, w, indent int) []string {
	w = max(w, 2) // a character may take two cells
	indent = max(min(indent, w/2, w-2), 0)
	var out []string
	line, used := "", 0 // used are the cells of line
	next := func() {
		out = append(out, strings.TrimRight(line, " "))
		line, used = strings.Repeat(" ", indent), indent
	}
	for word := range words(s) {
		for {
			n := ansi.StringWidth(strings.TrimRight(word, " "))
			if used+n <= w {
				break
			}
			begun := used > indent || (len(out) == 0 && used > 0)
			if begun && (n <= w-indent || w-used < 2) {
				next()
				continue
			}
			head := ansi.Truncate(word, w-used, "")
			if head == "" {
				break // no character of it fits into any line
			}
			line, word = line+head, word[len(head):]
			next()
		}
		line, used = line+word, used+ansi.StringWidth(word)
	}
	return append(out, strings.TrimRight(line, " "))
}

// words yields the parts of s that belong on one line, each with the space or
// slash that ends it.
func words(s string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for s != "" {
			end := strings.IndexAny(s, " /") + 1
			if end == 0 {
				end = len(s)
			}
			if !yield(s[:end]) {
				return
			}
			s = s[end:]
		}
	}
}

// Longest returns the first of some forms of a text that fits into w cells, the
// last one if none does.
func Longest(w int, forms ...string) string {
	for _, form := range forms[:len(forms)-1] {
		if ansi.StringWidth(form) <= w {
			return form
		}
	}
	return forms[len(forms)-1]
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
