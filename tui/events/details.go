package events

import (
	"strconv"

	"github.com/caiatech/caiatop/backend/action"
	"github.com/caiatech/caiatop/tui/termsafe"
	"github.com/caiatech/caiatop/tui/ui"
)

const (
	// maxTextLines bounds the lines of a text that are shown, before they are
	// wrapped. A journal bounds their bytes.
	maxTextLines = 200
	// neighbours is how many events before and after one its details show.
	neighbours = 3
	// labelWidth is the room before a value.
	labelWidth = 8
)

// details are one event in full. They stay as they are while others arrive, but
// for its neighbours.
type details struct {
	event *event
	top   int
	drawn int // lines in view when it was drawn last
	total int // lines then
}

func (d *details) move(name string) {
	page := max(d.drawn-1, 1)
	switch name {
	case action.Up:
		d.top--
	case action.Down:
		d.top++
	case action.PageUp:
		d.top -= page
	case action.PageDown:
		d.top += page
	case action.Top:
		d.top = 0
	case action.Bottom:
		d.top = d.total
	}
	d.clamp()
}

func (d *details) clamp() { d.top = max(min(d.top, d.total-d.drawn), 0) }

func (p *Page) drawDetails() []string {
	d := p.details
	lines := p.detailLines(p.w - 4)
	d.total, d.drawn = len(lines), max(min(len(lines), p.h-2), 0)
	d.clamp()
	title := "Event " + strconv.FormatUint(d.event.Seq, 10)
	if d.total > d.drawn {
		title += "  lines " + strconv.Itoa(d.top+1) + " to " + strconv.Itoa(d.top+d.drawn) + " of " + strconv.Itoa(d.total)
	}
	return p.o.Theme.Box(title, lines[d.top:d.top+d.drawn], p.w, p.h, true)
}

// detailLines lays out an event: what it is, its text, what to do, and what
// happened around it.
func (p *Page) detailLines(w int) []string {
	t, e := p.o.Theme, p.details.event
	glyph, tone := p.grade(e.Level)
	at := ui.Unknown
	if !e.At.IsZero() {
		at = e.At.In(p.o.Location).Format("2006-01-02 15:04:05.000")
	}
	lines := []string{
		p.label("time") + at,
		p.label("level") + t.Paint(tone, glyph+" "+word(e.Level)),
		p.label("kind") + termsafe.Line(e.Kind).String(),
		"",
	}
	for _, line := range termsafe.Lines(e.Text, maxTextLines) {
		lines = append(lines, ui.Hang(line.String(), w, 0)...)
	}
	if e.Next != "" {
		lines = append(lines, "")
		for i, line := range ui.Hang(termsafe.Line(e.Next).String(), w-labelWidth, 0) {
			label := ""
			if i == 0 {
				label = "next"
			}
			lines = append(lines, p.label(label)+t.Paint(ui.Strong, line))
		}
	}
	lines = append(lines, "", t.Paint(ui.Dim, "around it"))
	table, wide := columns(w)
	for _, other := range p.list.around(e, neighbours) {
		lines = append(lines, p.drawRow(table, wide, w, other, other == e))
	}
	return lines
}

func (p *Page) label(name string) string { return p.o.Theme.Paint(ui.Dim, ui.Fit(name, labelWidth)) }
