package overview

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/caiatech/caiatop/backend/backup"
	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/probe"
	"github.com/caiatech/caiatop/tui/termsafe"
	"github.com/caiatech/caiatop/tui/ui"
)

// service describes the primary in five lines.
func (p *Page) service(w int) []string {
	s := p.stats.Service
	if s.URL == "" && p.stats.Phase == engine.PhaseGitOnly {
		return []string{p.theme.Paint(ui.Dim, "none: this phase keeps documents in git"), "", "", "", ""}
	}
	glyph, word, tone := p.theme.Service(s)
	first := p.theme.Paint(tone, glyph+" "+word)
	if s.Health.Version != "" {
		first += "   " + termsafe.Line(s.Health.Version).String()
	}
	if s.Dialect != "" {
		first += "   api " + termsafe.Line(s.Dialect).String()
	}
	uptime := ui.Unknown
	if s.Health.Up && s.Health.Uptime > 0 {
		uptime = p.since(s.Health.At.Add(-s.Health.Uptime))
	}
	second := fmt.Sprintf("up %-8s  probe %s", uptime, ui.Duration(s.Health.Latency))
	if !s.Health.Up {
		second = fmt.Sprintf("for %-7s  failed probes %s", p.since(s.Health.Since), ui.Count(int64(s.Health.Streak)))
	}
	last := p.trouble(w)
	if last == "" {
		last = p.breakdown(w)
	}
	lines := []string{first, second, p.checks(), p.kept(w), last}
	for i := range lines {
		lines[i] = ui.Fit(lines[i], w)
	}
	return lines
}

// kept says whether a restart of the service keeps its data, as far as that is
// known, after the warning that nobody checks who the service is.
func (p *Page) kept(w int) string {
	s, said := p.stats.Service, p.stats.Facts.Durable
	long, short := "durable: not declared", "durable "+ui.Unknown
	switch {
	case s.Durable:
		long, short = "durable: yes", "durable yes"
	case s.Embedded, said != nil:
		long, short = "durable: no, in memory only", "durable no"
	}
	if !p.stats.Facts.Access.Insecure {
		return long
	}
	warning := p.theme.Insecure() + "  "
	return ui.Longest(w, warning+long, warning+short)
}

// breakdown says where the time of a request to the service goes.
func (p *Page) breakdown(w int) string {
	l := p.stats.Facts.Latency
	return ui.Breakdown(w, l.DNS, l.Connect, l.TLS, l.FirstByte)
}

// The checks that matter most, and the short names of long ones: the line is cut
// where a pane ends.
var (
	checkOrder = []string{"storage", "repositories", "memory"}
	checkNames = map[string]string{"repositories": "repos"}
)

// checks lists the service's own checks: what is not healthy first, then what
// matters most.
func (p *Page) checks() string {
	checks := p.stats.Service.Health.Checks
	if !p.stats.Service.Health.Up || len(checks) == 0 {
		return p.theme.Paint(ui.Dim, "checks "+ui.Unknown)
	}
	rank := func(name string) int {
		at := slices.Index(checkOrder, name)
		if at < 0 {
			at = len(checkOrder)
		}
		if checks[name] == "healthy" {
			at += len(checkOrder) + 1
		}
		return at
	}
	names := slices.SortedFunc(maps.Keys(checks), func(a, b string) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), strings.Compare(a, b))
	})
	var out []string
	for _, name := range names[:min(len(names), 8)] {
		glyph, tone := p.theme.Glyphs.Good, ui.Good
		if checks[name] != "healthy" {
			glyph, tone = p.theme.Glyphs.Warn, ui.Warn
		}
		text := termsafe.Line(cmp.Or(checkNames[name], name)).String() + " " + p.theme.Paint(tone, glyph)
		if checks[name] != "healthy" {
			text += " " + termsafe.Line(checks[name]).String()
		}
		out = append(out, text)
	}
	return strings.Join(out, "  ")
}

// trouble quotes why the last probe failed.
func (p *Page) trouble(w int) string {
	if err := p.stats.Service.Health.Err; err != "" {
		// One line: of what happened and its cause, the cause.
		text := ui.Gist(termsafe.Line(err).String())
		if _, cause, ok := strings.Cut(text, ": "); ok && ansi.StringWidth(text) > w {
			text = cause
		}
		return p.theme.Paint(ui.Warn, ui.Fit(text, w))
	}
	return ""
}

// mode tells the state of the primary: since when, why, what is queued and
// what ends it.
func (p *Page) mode(w, h int) []string {
	s := p.stats
	lines := []string{p.headline()}
	if s.Progress != nil {
		lines = append(lines, p.progress(w))
	}
	if s.State != engine.StatePrimary {
		// Two lines for what ends it and one for the outbox are kept free.
		lines = append(lines, ui.Condense(p.reason(), w, max(h-len(lines)-3, 1))...)
		lines = append(lines, ui.Condense(p.next(), w, max(h-len(lines)-1, 1))...)
	}
	lines = append(lines, p.phase(w)...)
	lines = append(lines, p.outbox())
	if s.State == engine.StatePrimary || len(lines) < h-1 {
		lines = append(lines, p.gitCursor())
	}
	if s.Backup.Target != "" && len(lines) < h {
		lines = append(lines, "backup "+p.backup())
	}
	if s.Conflicts > 0 && len(lines) < h {
		lines = append(lines, p.conflicts())
	}
	if verified := p.verified(); verified != "" && len(lines) < h {
		lines = append(lines, "verified "+verified)
	}
	if len(lines) < h {
		lines = append(lines, fmt.Sprintf("switches %s   parked %s", ui.Count(int64(s.Switches)), p.parked()))
	}
	if len(lines) < h {
		lines = append(lines, fmt.Sprintf("documents %s   %s", ui.Count(s.Documents), strings.TrimSpace(ui.Bytes(s.Bytes))))
	}
	return lines[:min(len(lines), max(h, 1))]
}

// phase tells of a change of the phase and of the copies that a phase keeps, each
// in one line, where there is such a thing.
func (p *Page) phase(w int) []string {
	s := p.stats
	var lines []string
	if c := s.Change; c.Wanted != "" {
		text := "to phase " + string(c.Wanted)
		if c.Detail != "" {
			text += ": " + c.Detail
		}
		lines = append(lines, p.theme.Paint(ui.Accent, ui.Fit(p.theme.Glyphs.Busy+" "+termsafe.Line(text).String(), w)))
	}
	if k := s.Kept; k.Attached {
		text := fmt.Sprintf("kept  %s copies, %s of %s", ui.Count(k.Documents), strings.TrimSpace(ui.Bytes(k.Bytes)), strings.TrimSpace(ui.Bytes(k.Limit)))
		if k.Err != "" {
			text = p.theme.Paint(ui.Bad, ui.Fit("kept  "+p.theme.Glyphs.Bad+" "+termsafe.Line(k.Err).String(), w))
		}
		lines = append(lines, text)
	}
	return lines
}

// conflicts counts what a person has to decide about.
func (p *Page) conflicts() string {
	return p.theme.Paint(ui.Warn, fmt.Sprintf("%s conflicts %s", p.theme.Glyphs.Warn, ui.Count(p.stats.Conflicts))) + " (caiatop conflicts)"
}

func (p *Page) parked() string {
	n := ui.Count(p.stats.Parked)
	if p.stats.Parked > 0 {
		return p.theme.Paint(ui.Bad, p.theme.Glyphs.Bad+" "+n)
	}
	return n
}

func (p *Page) progress(w int) string {
	pr := p.stats.Progress
	text := fmt.Sprintf(" %s of %s", ui.Count(pr.Done), ui.Count(pr.Total))
	return p.theme.Paint(ui.Accent, p.theme.Bar(pr.Done, pr.Total, max(w-len(text), 0))) + text
}

func (p *Page) gitCursor() string {
	for _, store := range p.stats.Stores {
		if store.Name == probe.Git {
			return "git   " + p.cursor(store)
		}
	}
	return "git   " + ui.Unknown
}

// backup says how far the copy of git at another place is.
func (p *Page) backup() string {
	b, g := p.stats.Backup, p.theme.Glyphs
	switch {
	case b.State == backup.Failing:
		if b.LastSuccess.IsZero() {
			return p.theme.Paint(ui.Bad, g.Bad+" failing") + ", never made"
		}
		return p.theme.Paint(ui.Bad, g.Bad+" failing") + ", made " + p.since(b.LastSuccess) + " ago"
	case b.Lag < 0 && b.State == backup.Pushing:
		return p.theme.Paint(ui.Accent, g.Busy+" pushing")
	case b.Lag < 0:
		return p.theme.Paint(ui.Dim, ui.Unknown+" unknown now")
	case b.Lag == 0:
		return p.theme.Paint(ui.Good, g.Good+" in step")
	}
	return p.theme.Paint(ui.Accent, fmt.Sprintf("%s behind by %s for %s", g.Busy, ui.Count(b.Lag), p.since(b.Oldest)))
}

// cursor says in words how far one replica is.
func (p *Page) cursor(s engine.StoreStats) string {
	g := p.theme.Glyphs
	switch {
	case s.Detached && s.Cursor > 0:
		return p.theme.Paint(ui.Dim, ui.Unknown+" detached at "+ui.Count(s.Cursor))
	case s.Damage != "":
		return p.theme.Paint(ui.Bad, g.Bad+" damaged: "+termsafe.Line(s.Damage).String())
	case s.Unknown:
		return p.theme.Paint(ui.Dim, ui.Unknown+" unknown now")
	case s.Err != "":
		return p.theme.Paint(ui.Bad, g.Bad+" "+termsafe.Line(s.Err).String())
	case s.Lag > 0:
		return p.theme.Paint(ui.Accent, g.Busy+" behind by "+ui.Count(s.Lag))
	case s.Warning != "":
		return p.theme.Paint(ui.Warn, g.Warn+" in step; damaged, and needed by nothing: "+termsafe.Line(s.Warning).String())
	}
	return p.theme.Paint(ui.Good, g.Good+" in step")
}

// stores lists the replicas and how far they are.
func (p *Page) stores(w int) []string {
	table := ui.Table{{Title: "store", Width: 8}, {Title: "operation", Width: 12, Right: true}, {Title: "state"}}
	out := []string{table.Head(p.theme, w)}
	for _, s := range p.stats.Stores {
		number := ui.Count(s.Cursor)
		if s.Unknown {
			number = ui.Unknown
		}
		out = append(out, table.Row(p.theme, w, []string{termsafe.Line(string(s.Name)).String(), number, p.cursor(s)}))
	}
	return out
}

// safety names the places that hold every acknowledged write.
func (p *Page) safety() string {
	return "safe: " + Places(p.stats)
}

// Places names the durable stores that hold every acknowledged write, and
// those that also do.
func Places(s *engine.Stats) string {
	if len(s.Safe) == 0 {
		return ui.Unknown
	}
	text := strings.Join(s.Safe, "+")
	if len(s.Also) > 0 {
		text += ", also " + strings.Join(s.Also, "+")
	}
	return termsafe.Line(text).String()
}

// The most lines that one event takes, and the fewest events that are shown
// before sentences are shortened for more of them.
const (
	maxEventLines = 12
	fewEvents     = 3
)

// clockWidth is the room for the time of day before an event.
const clockWidth = 6

// why lists the newest events, whole sentences where there is room. On an empty
// console it begins with what to do first.
func (p *Page) why(w, h int) []string {
	s := p.stats
	var hint []string
	if s.Documents == 0 && s.Writes == 0 && !p.troubled() {
		hint = ui.Wrap("No documents yet: press s for samples, a to write one, or run: caiatop import DIR", w, h)
		if len(s.Events) == 0 || len(hint)+2 > h {
			return hint
		}
		hint = append(hint, "")
	}
	if len(s.Events) == 0 {
		return []string{p.theme.Paint(ui.Dim, "Nothing happened since the start.")}
	}
	room := h - len(hint)
	lines, shown := p.events(w, room, maxEventLines)
	for limit := maxEventLines - 1; limit > 1 && shown < min(fewEvents, len(s.Events)); limit-- {
		lines, shown = p.events(w, room, limit)
	}
	return append(hint, lines[:min(len(lines), room)]...)
}

// events draws the newest events in h lines, each in at most limit lines, and
// says how many of them are whole.
func (p *Page) events(w, h, limit int) (lines []string, shown int) {
	for _, event := range p.stats.Events {
		if len(lines) >= h {
			break
		}
		tone := ui.Plain
		switch event.Level {
		case engine.Warning:
			tone = ui.Warn
		case engine.Error:
			tone = ui.Bad
		}
		head := event.At.In(p.location).Format("15:04")
		for _, line := range ui.Condense(termsafe.Line(event.Text).String(), w-clockWidth, limit) {
			lines = append(lines, p.theme.Paint(ui.Dim, ui.Fit(head, clockWidth))+p.theme.Paint(tone, line))
			head = ""
		}
		if len(lines) <= h {
			shown++
		}
	}
	return lines, shown
}

// since returns the age of t at the time of the snapshot.
func (p *Page) since(t time.Time) string {
	if t.IsZero() {
		return ui.Unknown
	}
	return ui.Age(max(p.stats.At.Sub(t), 0))
}
