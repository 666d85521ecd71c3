package system

import (
	"fmt"
	"slices"

	"github.com/caiatech/caiatop/backend/action"
	"github.com/caiatech/caiatop/tui/ui"
)

// The sizes from which on the page is laid out in panes; below it is one pane.
// From wideWidth on there are three beside each other.
const (
	minPanesWidth  = 76
	minPanesHeight = 17
	wideWidth      = 110
)

// pane is one part of the page: its title, and its lines for a width.
type pane struct {
	title string
	draw  func(w int) []string
}

// panes are all parts but the service, in the order in which they are read.
func (p *Page) panes() []pane {
	return []pane{
		{"Identity", p.identity},
		{"Access & TLS", p.access},
		{"This process", p.process},
		{"Capabilities", p.capabilities},
		{"Configuration", p.configuration},
	}
}

func (p *Page) draw() []string {
	switch {
	case p.stats == nil:
		return p.o.Theme.Box("System", []string{"Waiting for the engine."}, p.w, p.h, false)
	case p.w < minPanesWidth || p.h < minPanesHeight:
		return p.one()
	}
	above := p.service(p.w - 4)
	head := p.o.Theme.Box("Service", above, p.w, len(above)+2, true)
	body := p.standard()
	if p.w >= wideWidth {
		body = p.wide()
	}
	room := max(p.h-len(head), 0)
	if p.w < wideWidth && room < minPanesHeight/2 {
		return p.one() // the service has so much to say that nothing else fits
	}
	return append(head, p.window(body, room)...)
}

// standard has two panes beside each other and the rest below.
func (p *Page) standard() []string {
	all := p.panes()
	left := p.w / 2
	out := p.row(all[:2], []int{left, p.w - left})
	for _, one := range all[2:] {
		out = append(out, p.row([]pane{one}, []int{p.w})...)
	}
	return out
}

// wide has three panes above and two below them.
func (p *Page) wide() []string {
	all := p.panes()
	third, half := p.w/3, p.w/2
	out := p.row(all[:3], []int{third, third, p.w - 2*third})
	return append(out, p.row(all[3:], []int{half, p.w - half})...)
}

// row draws panes beside each other, all as high as the highest.
func (p *Page) row(panes []pane, widths []int) []string {
	lines := make([][]string, len(panes))
	h := 0
	for i, one := range panes {
		lines[i] = one.draw(widths[i] - 4)
		h = max(h, len(lines[i])+2)
	}
	blocks := make([][]string, len(panes))
	for i, one := range panes {
		blocks[i] = p.o.Theme.Box(one.title, lines[i], widths[i], h, false)
	}
	return ui.Beside(blocks...)
}

// window is what of some lines is in view; its last line says how much follows.
func (p *Page) window(lines []string, room int) []string {
	p.total, p.room = len(lines), room
	p.clamp()
	shown := slices.Clone(lines[p.top:min(p.top+room, len(lines))])
	if left := p.total - p.top - room; left > 0 && room > 1 {
		keys := ""
		for _, name := range []string{action.Down, action.PageDown, action.Bottom} {
			keys += "  " + p.keys.Binding(name).Help().Key
		}
		shown[room-1] = p.o.Theme.Paint(ui.Dim, ui.Fit(fmt.Sprintf(" … %s more lines:%s", ui.Count(int64(left+1)), keys), p.w))
	}
	return shown
}

// one is the layout of a small terminal: everything in one pane, to be scrolled.
func (p *Page) one() []string {
	w := max(p.w-4, 1)
	lines := p.service(w)
	for _, one := range p.panes() {
		lines = append(append(lines, "", p.o.Theme.Paint(ui.Strong, one.title)), one.draw(w)...)
	}
	p.total, p.room = len(lines), max(min(len(lines), p.h-2), 0)
	p.clamp()
	title := "System"
	if p.total > p.room {
		title = fmt.Sprintf("System  lines %d to %d of %d", p.top+1, p.top+p.room, p.total)
	}
	return p.o.Theme.Box(title, lines[p.top:p.top+p.room], p.w, p.h, true)
}
