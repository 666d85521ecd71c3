package tui

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/charmbracelet/bubbles/key"
	"github.com/charmbracelet/x/ansi"

	"github.com/caiatech/caiatop/backend/action"
	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/tui/overview"
	"github.com/caiatech/caiatop/tui/task"
	"github.com/caiatech/caiatop/tui/termsafe"
	"github.com/caiatech/caiatop/tui/ui"
)

// frameLines is the header, the status and the footer.
const frameLines = 3

// etaAfter is how long a copy must run before its end is foretold.
const etaAfter = 5 * time.Second

// tiny is all that a very small terminal shows. Where there is no room for all
// of it, the word of the state is what stays.
func (m *Model) tiny() string {
	const name = "caiatop "
	glyph, word, tone := m.state()
	for _, text := range []string{glyph + " " + word, word} {
		switch room := m.w - ansi.StringWidth(text); {
		case room >= len(name):
			return name + m.theme.Paint(tone, text)
		case room >= 0:
			return m.theme.Paint(tone, text)
		}
	}
	return m.theme.Paint(tone, word)
}

func (m *Model) state() (glyph, word string, tone ui.Tone) {
	if m.stats == nil {
		return m.theme.Glyphs.None, "STARTING", ui.Dim
	}
	return m.theme.State(m.stats.State)
}

// part is one fact of the header in its forms, the longest first. Where room
// is short, the form with the lowest keep of all gives way to the next one.
type part struct {
	forms []string
	keep  []int // one a form
	shown int   // index into forms; len(forms) leaves it out
}

func (p part) text() string {
	if p.shown < len(p.forms) {
		return p.forms[p.shown]
	}
	return ""
}

// header is the first line: name, state, and as many facts as there is room
// for. The state is never shortened.
func (m *Model) header() string {
	glyph, word, tone := m.state()
	head := " " + m.theme.Paint(ui.Strong, "caiatop") + "  " + m.theme.Paint(tone, glyph+" "+word)
	if m.stats == nil {
		return head
	}
	parts := m.facts()
	room := m.w - ansi.StringWidth(head)
	for width(parts) > room && shorten(parts) {
	}
	for _, p := range parts {
		if text := p.text(); text != "" {
			head += "   " + text
		}
	}
	return head
}

func width(parts []part) int {
	n := 0
	for _, p := range parts {
		if text := p.text(); text != "" {
			n += 3 + ansi.StringWidth(text)
		}
	}
	return n
}

// shorten takes the next form of the part whose form is kept least.
func shorten(parts []part) bool {
	least := -1
	for i, p := range parts {
		if p.shown < len(p.forms) && (least < 0 || p.keep[p.shown] < parts[least].keep[parts[least].shown]) {
			least = i
		}
	}
	if least < 0 {
		return false
	}
	parts[least].shown++
	return true
}

// facts are the parts of the header after the state.
func (m *Model) facts() []part {
	s := m.stats
	var parts []part
	if s.Facts.Access.Insecure {
		parts = append(parts, part{forms: []string{m.theme.Insecure(), m.theme.Paint(ui.Bad, "INSECURE")}, keep: []int{12, 13}})
	}
	if s.Drill.Running() {
		parts = append(parts, m.banner(s))
	}
	if s.Progress != nil {
		parts = append(parts, part{forms: progressForms(s), keep: []int{7, 10, 11}})
	}
	if s.Service.URL != "" {
		full := termsafe.Line(s.Service.URL).String()
		host := full
		if u, err := url.Parse(s.Service.URL); err == nil && u.Host != "" {
			host = termsafe.Line(u.Host).String()
		}
		forms := []string{"govc " + full, host}
		if s.Service.Embedded {
			forms = []string{"govc " + full + " (embedded)", host + " (embedded)", host}
		}
		parts = append(parts, part{forms: forms, keep: []int{2, 4, 6}})
	}
	if s.Repository != "" {
		parts = append(parts, part{forms: []string{"repo " + termsafe.Line(s.Repository).String()}, keep: []int{1}})
	}
	phase := "phase " + termsafe.Line(string(s.Phase)).String()
	if s.Change.Wanted != "" {
		phase += " > " + termsafe.Line(string(s.Change.Wanted)).String()
	}
	parts = append(parts, part{forms: []string{phase}, keep: []int{5}})
	safe := "safe: " + overview.Places(s)
	short, _, _ := strings.Cut(safe, ", also ")
	return append(parts, part{forms: []string{safe, short}, keep: []int{3, 9}})
}

// progressForms says how far a copy is, its rate and its end, longest first.
func progressForms(s *engine.Stats) []string {
	p := s.Progress
	done := fmt.Sprintf("%s/%s", ui.Count(p.Done), ui.Count(p.Total))
	ran := s.At.Sub(p.Started)
	if ran < etaAfter || p.Done <= 0 {
		return []string{done}
	}
	rate := float64(p.Done) / ran.Seconds()
	left := time.Duration(float64(max(p.Total-p.Done, 0)) / rate * float64(time.Second))
	speed := fmt.Sprintf("%s  %s/s", done, strings.TrimSpace(ui.Rate(rate)))
	return []string{speed + "  ETA " + ui.Age(left), speed, done}
}

// statusLine is the last result or error.
func (m *Model) statusLine() string {
	text := m.status.Text.String()
	if text == "" {
		return ""
	}
	glyph, tone := m.theme.Glyphs.Good, ui.Good
	switch m.status.Level {
	case task.Careful:
		glyph, tone = m.theme.Glyphs.Warn, ui.Warn
	case task.Failed:
		glyph, tone = m.theme.Glyphs.Bad, ui.Bad
	case task.Done:
	}
	return " " + m.theme.Paint(tone, glyph) + " " + ui.Fit(text, m.w-4)
}

// footer lists keys: those of the page as far as there is room, help and quit
// always, or what the page itself says about its keys.
func (m *Model) footer() string {
	shown := m.shown()
	hint := shown.hint()
	switch {
	case m.top() != nil:
		return m.theme.Paint(ui.Dim, ui.Fit(" esc closes this", m.w))
	case hint == "" && m.typing():
		return m.theme.Paint(ui.Dim, ui.Fit(" esc leaves", m.w))
	case m.typing():
		return m.theme.Paint(ui.Dim, ui.Fit(" "+hint, m.w))
	}
	right, rightWidth := "", 0
	for _, name := range []string{action.Help, action.Quit} {
		text, n := m.keyHint(shown.keys.Binding(name))
		right, rightWidth = right+text+"  ", rightWidth+n+2
	}
	if hint != "" {
		return m.theme.Paint(ui.Dim, ui.Fit(" "+hint, m.w-rightWidth)) + right
	}
	left, leftWidth := " ", 1
	for _, b := range shown.ShortHelp() {
		text, n := m.keyHint(b)
		if leftWidth+n+2+rightWidth > m.w {
			break
		}
		left, leftWidth = left+text+"  ", leftWidth+n+2
	}
	return ui.Fit(left, m.w-rightWidth) + right
}

// keyHint returns a key with what it does, and the width.
func (m *Model) keyHint(b key.Binding) (string, int) {
	h := b.Help()
	return m.theme.Paint(ui.Accent, h.Key) + " " + m.theme.Paint(ui.Dim, h.Desc), ansi.StringWidth(h.Key) + 1 + ansi.StringWidth(h.Desc)
}
