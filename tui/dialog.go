package tui

import (
	"slices"
	"strings"
	"time"

	"github.com/charmbracelet/bubbles/key"
	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"

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
	case key.Matches(msg, m.answers.Leave):
		m.pop()
	case key.Matches(msg, m.answers.Enter):
		m.pop()
		if c.chosen {
			return c.run()
		}
	case key.Matches(msg, m.answers.Switch):
		c.chosen = !c.chosen
	case key.Matches(msg, m.answers.Left):
		c.chosen = false
	case key.Matches(msg, m.answers.Right):
		c.chosen = true
	}
	return nil
}

func (c *confirm) draw(t *ui.Theme, w, h int) []string {
	width := ui.DialogWidth(w)
	var lines []string
	for _, text := range c.text {
		lines = append(append(lines, ui.Wrap(text, width-4, 6)...), "")
	}
	if c.command != "" {
		lines = append(lines, t.Paint(ui.Dim, "same as: "+c.command), "")
	}
	lines = append(lines, c.buttons(t, width-4))
	return fitted(t, c.title, lines, width, h)
}

// buttons is the line to answer on, with as much advice as there is room for.
func (c *confirm) buttons(t *ui.Theme, w int) string {
	wide := button(t, "cancel ", !c.chosen) + "   " + button(t, c.yes+" ", c.chosen)
	return ui.Longest(w,
		wide+t.Paint(ui.Dim, "   tab choose   enter do it"),
		wide+t.Paint(ui.Dim, "  tab, enter"),
		wide+t.Paint(ui.Dim, "  tab"),
		wide,
		button(t, "cancel", !c.chosen)+button(t, c.yes, c.chosen))
}

// fitted draws a dialog. Where the pane is too low, empty lines go first, then
// those before the last one, which says how to answer.
func fitted(t *ui.Theme, title string, lines []string, w, h int) []string {
	room := h - 2
	if len(lines) > room {
		lines = slices.DeleteFunc(slices.Clone(lines), func(line string) bool { return line == "" })
	}
	if len(lines) > room && room > 1 {
		cut := ui.Fit(strings.TrimRight(ansi.Truncate(lines[room-2], w-6, ""), " ")+" …", w-4)
		lines = append(lines[:room-2:room-2], cut, lines[len(lines)-1])
	}
	return t.Box(title, lines, w, min(len(lines)+2, h), true)
}

func button(t *ui.Theme, text string, focused bool) string {
	if focused {
		return t.Paint(ui.Selected, t.Glyphs.Cursor+" "+text)
	}
	return "  " + text
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
	if key.Matches(msg, m.answers.Leave, m.answers.Enter) {
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
	title    string
	rows     [][]string // keys, what they do, danger, command
	messages []task.Notice
	width    int      // of lines
	lines    []string // laid out for width
	top      int
	drawn    int // lines in view when it was drawn last
}

func newHelp(m *Model) *help {
	h := &help{title: "Help  " + m.shown().name, messages: m.messages}
	if m.o.Version != "" {
		h.title += "  caiatop " + termsafe.Line(m.o.Version).String()
	}
	for _, b := range slices.Concat(m.shown().FullHelp()...) {
		a, _ := m.shown().keys.Describe(b)
		danger := a.Danger.String()
		if a.Danger == action.Read {
			danger = ""
		}
		h.rows = append(h.rows, []string{strings.Join(b.Keys(), " "), b.Help().Desc, danger, a.Command})
	}
	h.layOut(m.theme, ui.DialogWidth(m.w)-4)
	return h
}

// layOut makes the lines for a width.
func (h *help) layOut(t *ui.Theme, width int) {
	if h.lines != nil && h.width == width {
		return
	}
	table := ui.Table{{Title: "key", Width: 9}, {Title: "does", Width: 13}, {Title: "danger", Width: 11}, {Title: "command"}}
	h.width, h.lines = width, []string{table.Head(t, width)}
	for _, row := range h.rows {
		h.lines = append(h.lines, table.Row(t, width, row, ui.Accent, ui.Plain, ui.Dim, ui.Dim))
	}
	if len(h.messages) > 0 {
		h.lines = append(h.lines, "", t.Paint(ui.Dim, "what happened, newest first"))
	}
	for _, n := range h.messages {
		h.lines = append(h.lines, message(t, n, width)...)
	}
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
	a, _ := m.shown().keys.Action(msg)
	switch {
	case key.Matches(msg, m.answers.Leave, m.answers.Enter), a.Name == action.Help:
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
	width := ui.DialogWidth(w)
	h.layOut(t, width-4)
	h.drawn = max(min(len(h.lines), height-2), 0)
	h.top = max(min(h.top, len(h.lines)-h.drawn), 0)
	return t.Box(h.title, h.lines[h.top:h.top+h.drawn], width, h.drawn+2, true)
}
