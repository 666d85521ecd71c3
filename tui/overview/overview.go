// Package overview draws the page that answers whether the data is safe, who
// serves it, how fast, and what to do next.
//
// It shows snapshots of the engine and nothing else: it has no clock (ages
// count to Stats.At), does no I/O and handles no keys.
package overview

import (
	"time"

	"github.com/charmbracelet/bubbles/key"
	tea "github.com/charmbracelet/bubbletea"

	"github.com/caiatech/caiatop/backend/action"
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

	keys  ui.Keys
	drawn drawing
	lines []string
}

// drawing says what a drawing depends on.
type drawing struct {
	stats *engine.Stats
	w, h  int
}

// New returns an empty page. Times of day are shown in location.
func New(theme *ui.Theme, location *time.Location) *Page {
	return &Page{theme: theme, location: location, keys: ui.NewKeys(action.PageOverview)}
}

// ShortHelp returns the keys for the footer.
func (p *Page) ShortHelp() []key.Binding { return p.keys.ShortHelp() }

// FullHelp returns every key that works here.
func (p *Page) FullHelp() [][]key.Binding { return p.keys.FullHelp() }

// SetSize says how many cells the page may fill. There is nothing to ask for.
func (p *Page) SetSize(w, h int) tea.Cmd {
	p.w, p.h = w, h
	return nil
}

// SetStats shows another snapshot, which must not change afterwards. There is
// nothing to ask for.
func (p *Page) SetStats(s *engine.Stats) tea.Cmd {
	p.stats = s
	return nil
}

// View returns exactly as many lines of exactly the width that SetSize said.
func (p *Page) View() []string {
	now := drawing{p.stats, p.w, p.h}
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
	if p.troubled() {
		return p.standardStory()
	}
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

// standardStory is the same while the service does not serve: the story has the
// whole width, latencies come where there is room for them.
func (p *Page) standardStory() []string {
	const middle, minLatency, why = 7, 5, 7
	top := 7
	if p.h >= minPanesHeight+3 {
		top++ // a line more for the sentences
	}
	left := p.w / 2
	out := p.theme.Box("Storage mode", p.story(p.w-4, top-2), p.w, top, true)
	out = append(out, ui.Beside(
		p.theme.Box("Service", p.service(left-4), left, middle, false),
		p.theme.Box("Throughput  docs/s", p.throughput(p.w-left-4), p.w-left, middle, false),
	)...)
	rest := p.h - top - middle
	if latency := rest - why; latency >= minLatency {
		out = append(out, p.theme.Box("Latency", p.latency(p.w-4, latency-2), p.w, latency, false)...)
		rest = why
	}
	return append(out, p.theme.Box("Why", p.why(p.w-4, rest-2), p.w, rest, false)...)
}

// The heights of panes of the wide layout.
const (
	wideTop        = 8
	wideStores     = 6
	wideThroughput = 6
)

// wide puts three panes above, latencies and events below.
func (p *Page) wide() []string {
	third := p.w / 3
	left, right := 2*third, p.w-2*third
	var out []string
	if p.troubled() {
		out = ui.Beside(
			p.theme.Box("Storage mode", p.story(left-4, wideTop-2), left, wideTop, true),
			p.theme.Box("Service", p.service(right-4), right, wideTop, false),
		)
	} else {
		out = ui.Beside(
			p.theme.Box("Service", p.service(third-4), third, wideTop, false),
			p.theme.Box("Storage mode", p.mode(third-4, wideTop-2), third, wideTop, false),
			p.theme.Box("Throughput  docs/s", p.throughput(right-4), right, wideTop, false),
		)
	}
	return append(out, p.wideBody(left, right, p.h-wideTop)...)
}

// wideBody is what lies below the upper panes. Without anything to chart it is
// as low as its content.
func (p *Page) wideBody(left, right, h int) []string {
	table := p.latency(left-4, h-wideStores-2)
	var between []string // latencies and stores
	spare := h - wideStores - len(table) - 3
	switch {
	case p.troubled() && spare >= wideThroughput:
		between = p.theme.Box("Throughput  docs/s", p.throughput(left-4), left, wideThroughput, false)
	case !p.troubled() && spare >= minCharts && p.charted():
		between = ui.Beside(p.chart(probe.Write, left/2, spare), p.chart(probe.Read, left-left/2, spare))
	}
	why := p.why(right-4, h-2)
	if !p.charted() {
		h = min(h, max(len(table)+3+len(between)+wideStores, len(why)+2))
	}
	body := p.theme.Box("Latency", table, left, h-wideStores-len(between), false)
	body = append(body, between...)
	body = append(body, p.theme.Box("Stores", p.stores(left-4), left, wideStores, false)...)
	return ui.Beside(body, p.theme.Box("Why", why, right, h, false))
}

// one is the layout of a small terminal: the facts in the order of what
// matters, then as many events as there is room for.
func (p *Page) one() []string {
	w, h := p.w-4, p.h-2
	var lines []string
	if p.troubled() {
		lines = p.story(w, max(h-1, 1))
	} else {
		lines = p.mode(w, 5)
	}
	lines = append(lines, p.safety())
	lines = append(lines, p.service(w)[:2]...)
	if p.stats.Facts.Access.Insecure {
		lines = append(lines, p.theme.Insecure())
	}
	lines = append(lines, p.rates())
	if room := h - len(lines) - 1; room > 0 {
		lines = append(append(lines, ""), p.why(w, room)...)
	}
	return p.theme.Box("Overview", lines, p.w, p.h, false)
}
