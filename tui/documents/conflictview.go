package documents

import (
	"unicode/utf8"

	"github.com/caiatech/caiatop/tui/ui"
)

// mergedPane is the place of what comes out of both sides among the panes.
const mergedPane = 3

// besideWidth is the width from which on the three sides stand side by side.
const besideWidth = 100

// paneHeight is the number of lines of a side that are visible.
func (p *Page) paneHeight() int { return max(p.h-p.conflict.foot(p.h)-2, 1) }

// foot is the number of lines below the panes.
func (c *conflict) foot(h int) int {
	switch {
	case h >= 8:
		return 2
	case h >= 4:
		return 1
	}
	return 0
}

// view draws the three sides where there is room, else the one in focus.
func (c *conflict) view(t *ui.Theme, w, h int, saving bool) []string {
	foot := c.foot(h)
	height := max(h-foot, 0)
	var out []string
	if w >= besideWidth && c.focus < mergedPane {
		each := w / mergedPane
		var blocks [][]string
		for i, p := range c.panes[:mergedPane] {
			width := each
			if i == mergedPane-1 {
				width = w - 2*each
			}
			blocks = append(blocks, p.draw(t, width, height, i == c.focus))
		}
		out = ui.Beside(blocks...)
	} else {
		out = c.panes[c.focus].draw(t, w, height, true)
	}
	note, hint := c.remark(t, w, saving), t.Paint(ui.Dim, " "+c.hint(w-1))
	switch {
	case foot == 2:
		out = append(out, note, hint)
	case foot == 1 && (note != "" || c.naming != nil):
		out = append(out, note)
	case foot == 1:
		out = append(out, hint)
	}
	return out
}

func (p pane) draw(t *ui.Theme, w, h int, focused bool) []string {
	lines := p.diff.view(t, max(w-4, 1), max(h-2, 1))
	if len(p.diff.lines) == 0 {
		lines = []string{t.Paint(ui.Dim, "the same")}
	}
	return t.Box(p.title, lines, w, h, focused)
}

func (c *conflict) remark(t *ui.Theme, w int, saving bool) string {
	const name = " id of the copy "
	switch {
	case saving:
		return t.Paint(ui.Warn, " working …")
	case c.naming != nil && c.note.Width() > 0 && w >= 60:
		half := w / 2
		return t.Paint(ui.Accent, name) + c.naming.View(t, max(half-len(name), 1), 1, true)[0] + t.Paint(ui.Warn, " "+ui.Fit(c.note.String(), w-half-1))
	case c.naming != nil:
		return t.Paint(ui.Accent, name) + c.naming.View(t, max(w-len(name), 1), 1, true)[0]
	case c.note.Width() > 0:
		return t.Paint(ui.Warn, " "+ui.Fit(c.note.String(), max(w-1, 1)))
	}
	return t.Paint(ui.Warn, ui.Longest(w, " It was "+c.done()+" while it was edited here. Nothing is lost: choose what is to stay.",
		" It was "+c.done()+" meanwhile: choose what is to stay.", " It was "+c.done()+": choose what is to stay."))
}

// hint names the answers, a merge without open questions first.
func (c *conflict) hint(w int) string {
	if c.naming != nil {
		return ui.Longest(w, "enter save mine under this id   esc back", "enter save  esc back")
	}
	others := "w write mine   t take theirs   c save mine as a copy   tab next side   esc editor"
	short := "w mine  t theirs  c copy  tab side  esc editor"
	tiny := "w mine  t theirs  c copy  esc" // the last line of the terminal says what it does
	switch {
	case c.merged == nil:
		return ui.Longest(w, others, short, tiny)
	case c.clean:
		return ui.Longest(w, "m save the merge (clean)   "+others, "m merge (clean)  "+short, "m merge (clean)  "+tiny+"  tab", "m merge  "+tiny)
	}
	return ui.Longest(w, "m merge in the editor   "+others, "m merge  "+short, "m merge  "+tiny+"  tab", "m merge  "+tiny)
}

func lastRune(s string) (rune, int) { return utf8.DecodeLastRuneInString(s) }
