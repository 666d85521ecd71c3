package tui

import (
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/caiatech/caiatop/backend/action"
	"github.com/caiatech/caiatop/tui/task"
	"github.com/caiatech/caiatop/tui/termsafe"
	"github.com/caiatech/caiatop/tui/ui"
)

// deafFor is how long a dialog that opened by itself ignores keys, so that what
// is being typed does not answer it.
const deafFor = 400 * time.Millisecond

// dialog lies over the page and has the keys while it is open.
type dialog interface {
	key(m *Model, msg tea.KeyMsg) tea.Cmd
	// draw returns at most h lines of the same width, at most w.
	draw(t *ui.Theme, w, h int) []string
}

func (m *Model) push(d dialog) { m.dialogs = append(m.dialogs, d) }

func (m *Model) pop() { m.dialogs = m.dialogs[:len(m.dialogs)-1] }

func (m *Model) top() dialog {
	if len(m.dialogs) == 0 {
		return nil
	}
	return m.dialogs[len(m.dialogs)-1]
}

// leaves reports keys that close a dialog.
func leaves(msg tea.KeyMsg) bool { return msg.Type == tea.KeyEsc || msg.String() == "q" }

// confirm asks before something disruptive is done. Cancel has the focus.
type confirm struct {
	title   string
	text    []string
	command string
	yes     string
	chosen  bool
	run     func() tea.Cmd
}

func (c *confirm) key(m *Model, msg tea.KeyMsg) tea.Cmd {
	switch {
	case leaves(msg):
		m.pop()
	case msg.Type == tea.KeyEnter:
		m.pop()
		if c.chosen {
			return c.run()
		}
	case msg.Type == tea.KeyTab, msg.Type == tea.KeyShiftTab:
		c.chosen = !c.chosen
	case msg.Type == tea.KeyLeft, msg.String() == "h":
		c.chosen = false
	case msg.Type == tea.KeyRight, msg.String() == "l":
		c.chosen = true
	}
	return nil
}

func (c *confirm) draw(t *ui.Theme, w, h int) []string {
	width := ui.DialogWidth(w)
	var lines []string
	for _, text := range c.text {
		lines = append(append(lines, ui.Wrap(text, width-4, 4)...), "")
	}
	if c.command != "" {
		lines = append(lines, t.Paint(ui.Dim, "same as: "+c.command), "")
	}
	lines = append(lines, button(t, "cancel", !c.chosen)+"   "+button(t, c.yes, c.chosen)+
		t.Paint(ui.Dim, "   tab choose   enter do it"))
	return fitted(t, c.title, lines, width, h)
}

// fitted draws a dialog; where the pane is too low, the last line stays.
func fitted(t *ui.Theme, title string, lines []string, w, h int) []string {
	if room := h - 2; len(lines) > room && room > 0 {
		lines = append(lines[:room-1:room-1], lines[len(lines)-1])
	}
	return t.Box(title, lines, w, min(len(lines)+2, h), true)
}

func button(t *ui.Theme, text string, focused bool) string {
	if focused {
		return t.Paint(ui.Selected, t.Glyphs.Cursor+" "+text+" ")
	}
	return "  " + text + " "
}

// alert opens by itself and tells one thing.
type alert struct {
	title  string
	text   []termsafe.Text
	opened time.Time
}

func newAlert(now time.Time, title string, text ...string) *alert {
	a := &alert{title: title, opened: now}
	for _, s := range text {
		if s != "" {
			a.text = append(a.text, termsafe.Line(s))
		}
	}
	return a
}

func (a *alert) key(m *Model, msg tea.KeyMsg) tea.Cmd {
	if m.o.Now().Sub(a.opened) < deafFor {
		return nil
	}
	if leaves(msg) || msg.Type == tea.KeyEnter {
		m.pop()
	}
	return nil
}

func (a *alert) draw(t *ui.Theme, w, h int) []string {
	width := ui.DialogWidth(w)
	var lines []string
	for _, text := range a.text {
		lines = append(append(lines, ui.Wrap(text.String(), width-4, 6)...), "")
	}
	lines = append(lines, t.Paint(ui.Dim, "enter close"))
	return fitted(t, a.title, lines, width, h)
}

// help lists the keys of a page and what happened last, from the one table.
type help struct {
	title string
	lines []string
	top   int
	drawn int // lines in view when it was drawn last
}

func newHelp(m *Model) *help {
	h := &help{title: "Help  " + m.page}
	if m.o.Version != "" {
		h.title += "  caiatop " + termsafe.Line(m.o.Version).String()
	}
	t := m.theme
	table := ui.Table{{Title: "key", Width: 9}, {Title: "does", Width: 13}, {Title: "danger", Width: 11}, {Title: "command"}}
	const width = ui.MaxDialog - 4
	h.lines = append(h.lines, table.Head(t, width))
	for _, a := range action.For(m.page) {
		danger := a.Danger.String()
		if a.Danger == action.Read {
			danger = ""
		}
		h.lines = append(h.lines, table.Row(t, width,
			[]string{strings.Join(a.Keys(), " "), a.Title, danger, a.Command}, ui.Accent, ui.Plain, ui.Dim, ui.Dim))
	}
	if len(m.messages) > 0 {
		h.lines = append(h.lines, "", t.Paint(ui.Dim, "what happened, newest first"))
	}
	for _, n := range m.messages {
		h.lines = append(h.lines, message(t, n, width)...)
	}
	return h
}

// message is the full text of a notice.
func message(t *ui.Theme, n task.Notice, w int) []string {
	tone := ui.Plain
	if n.Level == task.Failed {
		tone = ui.Bad
	}
	var out []string
	for _, line := range ui.Wrap(n.Text.String(), w, 6) {
		out = append(out, t.Paint(tone, line))
	}
	for _, full := range n.Full {
		for _, line := range ui.Wrap(full.String(), w-2, 6) {
			out = append(out, t.Paint(ui.Dim, "  "+line))
		}
	}
	return out
}

func (h *help) key(m *Model, msg tea.KeyMsg) tea.Cmd {
	a, _ := action.ByKey(m.page, msg.String())
	switch {
	case leaves(msg), a.Name == action.Help, msg.Type == tea.KeyEnter:
		m.pop()
	case a.Name == action.Up:
		h.top--
	case a.Name == action.Down:
		h.top++
	case a.Name == action.PageUp:
		h.top -= max(h.drawn-1, 1)
	case a.Name == action.PageDown:
		h.top += max(h.drawn-1, 1)
	case a.Name == action.Top:
		h.top = 0
	case a.Name == action.Bottom:
		h.top = len(h.lines)
	}
	h.top = max(min(h.top, len(h.lines)-h.drawn), 0)
	return nil
}

func (h *help) draw(t *ui.Theme, w, height int) []string {
	h.drawn = max(min(len(h.lines), height-2), 0)
	h.top = max(min(h.top, len(h.lines)-h.drawn), 0)
	return t.Box(h.title, h.lines[h.top:h.top+h.drawn], ui.DialogWidth(w), h.drawn+2, true)
}
