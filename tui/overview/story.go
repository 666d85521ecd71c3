package overview

import (
	"fmt"
	"slices"
	"strings"

	"github.com/charmbracelet/x/ansi"

	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/tui/termsafe"
	"github.com/caiatech/caiatop/tui/ui"
)

// labelWidth is the room for "why" and "next" before their sentences.
const labelWidth = 5

// troubled says that somebody should know why the service does not serve: the
// story of it then has the whole width.
func (p *Page) troubled() bool {
	return p.stats.State == engine.StateFallback || p.stats.State == engine.StateLocked
}

// story tells a state that needs an operator's eye in at most h lines: since
// when, why, what comes next, and what is queued. What to do is the last that
// gives way.
func (p *Page) story(w, h int) []string {
	figures := p.flow(p.figures(), w)
	room := h - 2 // besides the state and the outbox
	next := p.labelled("next", p.next(), w, max(room-1, 1))
	why := p.labelled("why", p.reason(), w, max(room-len(next), 1))
	lines := append([]string{p.headline()}, why...)
	lines = append(lines, next...)
	lines = append(lines, figures...)
	return lines[:min(len(lines), max(h, 1))]
}

// headline is the state and how long it has lasted.
func (p *Page) headline() string {
	glyph, word, tone := p.theme.State(p.stats.State)
	return p.theme.Paint(tone, glyph+" "+word) + " for " + p.since(p.stats.Since)
}

// reason says why the state is what it is, without the technical chain: that
// stands in the events.
func (p *Page) reason() string { return ui.Gist(termsafe.Line(p.stats.Reason).String()) }

// next says what ends the state or what to do.
func (p *Page) next() string {
	return termsafe.Line(p.stats.Next).String()
}

// labelled returns a sentence in at most limit lines after a label.
func (p *Page) labelled(label, text string, w, limit int) []string {
	var out []string
	for i, line := range ui.Condense(text, w-labelWidth, limit) {
		if i > 0 {
			label = ""
		}
		out = append(out, p.theme.Paint(ui.Dim, ui.Fit(label, labelWidth))+line)
	}
	return out
}

// figures are what is queued, and the counts beside it.
func (p *Page) figures() []string {
	out := []string{
		p.outbox(), "git " + strings.TrimPrefix(p.gitCursor(), "git   "),
		"switches " + ui.Count(int64(p.stats.Switches)), "parked " + p.parked(),
		"documents " + ui.Count(p.stats.Documents),
	}
	if p.stats.Conflicts > 0 {
		out = slices.Insert(out, 1, p.conflicts())
	}
	if p.stats.Backup.Target != "" {
		out = append(out, "backup "+p.backup())
	}
	return out
}

// outbox says how many operations the primary lacks, and since when.
func (p *Page) outbox() string {
	s := p.stats.Outbox
	oldest := ui.Unknown
	if !s.Oldest.IsZero() {
		oldest = p.since(s.Oldest)
	}
	text := fmt.Sprintf("outbox %s   oldest %s", ui.Count(s.Pending), oldest)
	if s.Pending > 0 {
		return p.theme.Paint(ui.Accent, text)
	}
	return text
}

// flow puts texts beside each other as far as there is room.
func (p *Page) flow(texts []string, w int) []string {
	var out []string
	for _, text := range texts {
		if n := len(out); n > 0 && ansi.StringWidth(out[n-1])+3+ansi.StringWidth(text) <= w {
			out[n-1] += "   " + text
			continue
		}
		out = append(out, text)
	}
	return out
}
