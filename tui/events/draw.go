package events

import (
	"fmt"
	"strings"
	"time"

	"github.com/caiatech/caiatop/probe/journal"
	"github.com/caiatech/caiatop/tui/termsafe"
	"github.com/caiatech/caiatop/tui/ui"
)

// chrome is the lines of the pane that are no rows: border, bar and titles.
const chrome = 4

// maxRowBytes is how much of a text is looked at to draw one row: more than any
// terminal shows on a line.
const maxRowBytes = 2048

// rowsHeight is the number of rows that are visible.
func (p *Page) rowsHeight() int { return max(p.h-chrome, 1) }

// View returns exactly as many lines of exactly the width that SetSize said.
func (p *Page) View() []string {
	now := drawing{p.revision, p.w, p.h}
	if p.lines == nil || now != p.drawn {
		p.lines, p.drawn = ui.Frame(p.draw(), p.w, p.h), now
	}
	return p.lines
}

func (p *Page) draw() []string {
	if p.details != nil {
		return p.drawDetails()
	}
	inner := p.w - 4
	lines := append([]string{p.bar(inner)}, p.drawRows(inner)...)
	return p.o.Theme.Box(p.title(), lines, p.w, p.h, true)
}

// title counts what is shown of what there is.
func (p *Page) title() string {
	shown, all := ui.Count(int64(len(p.list.shown))), ui.Count(int64(len(p.list.all)))
	if shown == all {
		return "Events  " + all
	}
	return fmt.Sprintf("Events  %s of %s", shown, all)
}

// bar is the line above the titles: what is typed, or what is shown.
func (p *Page) bar(w int) string {
	t, l := p.o.Theme, &p.list
	if p.input != nil {
		const name = "filter "
		return t.Paint(ui.Accent, name) + p.input.editor.View(t, w-len(name), 1, true)[0]
	}
	var parts []string
	if l.follow {
		parts = append(parts, t.Paint(ui.Good, "following"))
	} else {
		parts = append(parts, t.Paint(ui.Dim, "not following"))
	}
	switch l.level {
	case journal.Warning:
		parts = append(parts, t.Paint(ui.Accent, "warnings and errors"))
	case journal.Error:
		parts = append(parts, t.Paint(ui.Accent, "errors only"))
	case journal.Info:
		parts = append(parts, t.Paint(ui.Dim, "all levels"))
	}
	if l.filter != "" {
		parts = append(parts, t.Paint(ui.Accent, "filter ")+termsafe.Line(l.filter).String())
	}
	return ui.Fit(strings.Join(parts, "   "), w)
}

// The widths of columns.
const (
	clockWidth = 8  // 15:04:05
	dateWidth  = 11 // 01-02 15:04
	levelWidth = 9  // glyph and word
	kindWidth  = 9
)

// columns of the list: narrow panes do without the kind, the word of the level
// and the time of day of older days.
func columns(w int) (table ui.Table, wide bool) {
	if w >= 56 {
		return ui.Table{
			{Width: 1},
			{Title: "time", Width: dateWidth, Right: true},
			{Title: "level", Width: levelWidth},
			{Title: "kind", Width: kindWidth},
			{Title: "what happened"},
		}, true
	}
	return ui.Table{{Width: 1}, {Title: "time", Width: clockWidth}, {Width: 1}, {Title: "what happened"}}, false
}

func (p *Page) drawRows(w int) []string {
	t, l := p.o.Theme, &p.list
	table, wide := columns(w)
	lines := []string{table.Head(t, w)}
	switch {
	case !p.loaded:
		return append(lines, t.Paint(ui.Dim, "Reading …"))
	case len(l.all) == 0:
		return append(lines, ui.Wrap("Nothing happened since the start.", w, 3)...)
	case len(l.shown) == 0:
		return append(lines, ui.Wrap("No event matches. esc shows all.", w, 3)...)
	}
	for i := l.top; i < min(l.top+p.rowsHeight(), len(l.shown)); i++ {
		lines = append(lines, p.drawRow(table, wide, w, l.shown[i], i == l.cursor))
	}
	return lines
}

func (p *Page) drawRow(table ui.Table, wide bool, w int, e *event, selected bool) string {
	t := p.o.Theme
	glyph, tone := p.grade(e.Level)
	text := firstLine(e.Text).String()
	var cells []string
	var tones []ui.Tone
	if wide {
		cells = []string{" ", p.clock(e.At, dateWidth), glyph + " " + word(e.Level), termsafe.Line(e.Kind).String(), text}
		tones = []ui.Tone{ui.Plain, ui.Dim, tone, ui.Accent, ui.Plain}
	} else {
		cells = []string{" ", p.clock(e.At, clockWidth), glyph, text}
		tones = []ui.Tone{ui.Plain, ui.Dim, tone, ui.Plain}
	}
	if !selected {
		return table.Row(t, w, cells, tones...)
	}
	cells[0] = t.Glyphs.Cursor
	return t.Paint(ui.Selected, table.Row(t, w, cells))
}

// firstLine is what a row shows of a text: its first line, as far as a row goes.
func firstLine(s string) termsafe.Text {
	line, rest, more := strings.Cut(s, "\n")
	if len(line) > maxRowBytes {
		line = strings.ToValidUTF8(line[:maxRowBytes], "")
	}
	if more && strings.TrimSpace(rest) != "" {
		line += " …"
	}
	return termsafe.Line(line)
}

// clock is the time of day to the second, of another day the date and the time
// to the minute, or in few cells the date.
func (p *Page) clock(at time.Time, w int) string {
	at = at.In(p.o.Location)
	switch {
	case at.IsZero():
		return ui.Unknown
	case sameDay(at, p.now, p.o.Location):
		return at.Format("15:04:05")
	case w < dateWidth:
		return at.Format("01-02")
	}
	return at.Format("01-02 15:04")
}

// grade returns glyph and tone of a level.
func (p *Page) grade(level journal.Level) (string, ui.Tone) {
	g := p.o.Theme.Glyphs
	switch {
	case level.AtLeast(journal.Error):
		return g.Bad, ui.Bad
	case level.AtLeast(journal.Warning):
		return g.Warn, ui.Warn
	}
	return g.None, ui.Dim
}

// word is the name of a level; an unknown one counts as the lowest.
func word(level journal.Level) string {
	for _, known := range levels {
		if level == known {
			return string(level)
		}
	}
	return string(journal.Info)
}
