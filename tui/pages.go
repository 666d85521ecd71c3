package tui

import (
	"github.com/charmbracelet/bubbles/key"
	tea "github.com/charmbracelet/bubbletea"

	"github.com/caiatech/caiatop/backend/action"
	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/tui/ui"
)

// page is what the frame asks of every page. What is drawn comes from what the
// page was told; commands do what takes time.
type page interface {
	SetSize(w, h int) tea.Cmd
	SetStats(s *engine.Stats) tea.Cmd
	// View returns as many lines of the width that SetSize said.
	View() []string
	ShortHelp() []key.Binding
	FullHelp() [][]key.Binding
}

// active is a page that asks for something and can be acted upon.
type active interface {
	// SetVisible says whether the page is looked at.
	SetVisible(on bool) tea.Cmd
	// Update takes the replies to what the page asked for, and reports whether
	// msg was one.
	Update(msg tea.Msg) (tea.Cmd, bool)
	// Do carries out an action by its name, if the page knows it.
	Do(name string) tea.Cmd
	// Typing says that keys are text, and go to Type.
	Typing() bool
	Type(msg tea.KeyMsg) tea.Cmd
}

// hinting is a page that says itself what can be pressed in it now: "" for the
// keys of its actions, or, while keys are text, for how to leave. The hint is
// one line without escape sequences and without text from outside.
type hinting interface{ Hint() string }

// tab is one page of the console.
type tab struct {
	name string // as actions know the page
	open string // the action that shows it
	keys ui.Keys
	page
}

func newTab(name, open string, p page) tab {
	return tab{name: name, open: open, keys: ui.NewKeys(name), page: p}
}

// active returns the page as one that can be acted upon; a page that is only
// looked at is one on which nothing happens.
func (t tab) active() active {
	if a, ok := t.page.(active); ok {
		return a
	}
	return still{}
}

// hint is what the page says about its keys.
func (t tab) hint() string {
	if h, ok := t.page.(hinting); ok {
		return h.Hint()
	}
	return ""
}

// still is a page that is only looked at.
type still struct{}

func (still) SetVisible(bool) tea.Cmd        { return nil }
func (still) Update(tea.Msg) (tea.Cmd, bool) { return nil, false }
func (still) Do(string) tea.Cmd              { return nil }
func (still) Typing() bool                   { return false }
func (still) Type(tea.KeyMsg) tea.Cmd        { return nil }

// shown is the page in view.
func (m *Model) shown() tab { return m.tabs[m.current] }

// at returns the place of a page by its name.
func (m *Model) at(name string) int {
	for i, t := range m.tabs {
		if t.name == name {
			return i
		}
	}
	return m.current
}

// typing says that keys are text for the page in view.
func (m *Model) typing() bool { return m.shown().active().Typing() }

// Typing says that every key is text now, ctrl+z the undo of it.
func (m *Model) Typing() bool { return m.top() == nil && m.typing() }

// all gives something to every page.
func (m *Model) all(f func(tab) tea.Cmd) tea.Cmd {
	cmds := make([]tea.Cmd, len(m.tabs))
	for i, t := range m.tabs {
		cmds[i] = f(t)
	}
	return tea.Batch(cmds...)
}

// deliver gives a reply to the page that asked for it.
func (m *Model) deliver(msg tea.Msg) tea.Cmd {
	for _, t := range m.tabs {
		if cmd, ok := t.active().Update(msg); ok {
			return cmd
		}
	}
	return nil
}

// show changes the page. What was done or failed on the other one needs no
// telling any more.
func (m *Model) show(i int) tea.Cmd {
	before := m.current
	if i != before {
		m.settleStatus()
	}
	m.current = i
	seen := tea.Batch(m.tabs[before].active().SetVisible(before == i), m.shown().active().SetVisible(true))
	if m.stats != nil && m.shown().name == action.PageSystem {
		seen = tea.Batch(seen, m.age(m.stats)) // it shows an age of its own
	}
	return seen
}

// open shows the page that an action is for, and reports whether it is for one.
func (m *Model) open(a action.Action) (tea.Cmd, bool) {
	if a.Name == action.NextPage {
		return m.show((m.current + 1) % len(m.tabs)), true
	}
	for i, t := range m.tabs {
		if t.open == a.Name {
			return m.show(i), true
		}
	}
	return nil, false
}
