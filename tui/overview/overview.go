// Package overview draws the page that answers whether the data is safe, who
// serves it, how fast, and what to do next.
//
// It shows snapshots of the engine and nothing else: it has no clock (ages
// count to Stats.At), does no I/O and handles no keys.
package overview

import (
	"time"

	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/probe"
	"github.com/caiatech/caiatop/tui/ui"
)

// The sizes from which on the page is laid out in panes; below it is one pane.
const (
	minPanesWidth  = 76
	minPanesHeight = 17
	wideWidth      = 110
	minCharts      = 6
)

// Page is the overview. The zero value is not usable, see New.
type Page struct {
	theme    *ui.Theme
	location *time.Location
	w, h     int
	stats    *engine.Stats

	drawn key
	lines []string
}

// key says what a drawing depends on.
type key struct {
	stats *engine.Stats
	w, h  int
}

// New returns an empty page. Times of day are shown in location.
func New(theme *ui.Theme, location *time.Location) *Page {
	return &Page{theme: theme, location: location}
}

// SetSize says how many cells the page may fill.
func (p *Page) SetSize(w, h int) { p.w, p.h = w, h }

// SetStats shows another snapshot, which must not change afterwards.
func (p *Page) SetStats(s *engine.Stats) { p.stats = s }

// View returns exactly as many lines of exactly the width that SetSize said.
func (p *Page) View() []string {
	now := key{p.stats, p.w, p.h}
	if p.lines == nil || now != p.drawn {
		p.lines, p.drawn = ui.Frame(p.draw(), p.w, p.h), now
	}
	return p.lines
}

func (p *Page) draw() []string {
	switch {
	case p.stats == nil:
		return p.theme.Box("Overview", []string{"Waiting for the engine."}, p.w, p.h, false)
	case p.w < minPanesWidth || p.h < minPanesHeight:
		return p.one()
	case p.w < wideWidth:
		return p.standard()
	}
	return p.wide()
}

// standard is the layout of an 80 by 24 terminal.
func (p *Page) standard() []string {
	const top, bottom = 7, 6
	middle := p.h - top - bottom
	left := p.w / 2
	third := p.w * 2 / 5
	out := ui.Beside(
		p.theme.Box("Service", p.service(left-4), left, top, false),
		p.theme.Box("Storage mode", p.mode(p.w-left-4, top-2), p.w-left, top, false),
	)
	out = append(out, p.theme.Box("Latency", p.latency(p.w-4, middle-2), p.w, middle, false)...)
	return append(out, ui.Beside(
		p.theme.Box("Throughput  docs/s", p.throughput(third-4), third, bottom, false),
		p.theme.Box("Why", p.why(p.w-third-4, bottom-2), p.w-third, bottom, false),
	)...)
}

// wide puts three panes above, latencies and events below.
func (p *Page) wide() []string {
	const top, stores = 8, 6
	third := p.w / 3
	right := p.w - 2*third
	out := ui.Beside(
		p.theme.Box("Service", p.service(third-4), third, top, false),
		p.theme.Box("Storage mode", p.mode(third-4, top-2), third, top, false),
		p.theme.Box("Throughput  docs/s", p.throughput(right-4), right, top, false),
	)
	rest := p.h - top
	left := 2 * third
	table := p.latency(left-4, rest-stores-2)
	height := rest - stores
	charts := height - len(table) - 3
	if charts >= minCharts {
		height -= charts
	}
	body := p.theme.Box("Latency", table, left, height, false)
	if charts >= minCharts {
		body = append(body, ui.Beside(p.chart(probe.Write, third, charts), p.chart(probe.Read, left-third, charts))...)
	}
	body = append(body, p.theme.Box("Stores", p.stores(left-4), left, stores, false)...)
	return append(out, ui.Beside(body, p.theme.Box("Why", p.why(right-4, rest-2), right, rest, false))...)
}

// one is the layout of a small terminal: the facts in the order of what
// matters, then as many events as there is room for.
func (p *Page) one() []string {
	w, h := p.w-4, p.h-2
	lines := p.mode(w, 5)
	lines = append(lines, p.safety())
	lines = append(lines, p.service(w)[:2]...)
	lines = append(lines, p.rates())
	if room := h - len(lines) - 1; room > 0 {
		lines = append(append(lines, ""), p.why(w, room)...)
	}
	return p.theme.Box("Overview", lines, p.w, p.h, false)
}
