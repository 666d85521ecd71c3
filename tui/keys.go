package tui

import (
	"context"
	"fmt"
	"time"

	"github.com/charmbracelet/bubbles/key"
	tea "github.com/charmbracelet/bubbletea"

	"github.com/caiatech/caiatop/backend/action"
	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/tui/task"
	"github.com/caiatech/caiatop/tui/ui"
)

// controlLimit bounds what acts on the service.
const controlLimit = 30 * time.Second

// onKeys takes what was typed. Keys typed fast arrive merged in one message,
// each of them is one key, and so do esc and a letter, which look like alt then;
// nothing is bound to alt. A paste is text or nothing.
func (m *Model) onKeys(msg tea.KeyMsg) tea.Cmd {
	if msg.Alt && msg.Type == tea.KeyRunes {
		msg.Alt = false
		return tea.Batch(m.onKey(tea.KeyMsg{Type: tea.KeyEsc}), m.onKeys(msg))
	}
	if msg.Type != tea.KeyRunes || len(msg.Runes) < 2 {
		return m.onKey(msg)
	}
	if msg.Paste {
		if m.top() == nil && m.typing() {
			return m.documents.Type(msg)
		}
		return nil
	}
	cmds := make([]tea.Cmd, 0, len(msg.Runes))
	for _, r := range msg.Runes {
		key := tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune{r}}
		if r == ' ' {
			key.Type = tea.KeySpace
		}
		cmds = append(cmds, m.onKey(key))
	}
	return tea.Batch(cmds...)
}

func (m *Model) typing() bool {
	return m.page == action.PageDocuments && m.documents.Typing()
}

// onKey routes one key.
func (m *Model) onKey(msg tea.KeyMsg) tea.Cmd {
	if msg.Type == tea.KeyCtrlC {
		return tea.Quit
	}
	if msg.Type == tea.KeyEsc {
		m.forgive()
	}
	if d := m.top(); d != nil {
		return d.key(m, msg)
	}
	if m.typing() {
		return m.documents.Type(msg)
	}
	if a, ok := m.keys.Action(msg); ok {
		return m.do(a)
	}
	// The hint of an empty console names this key, so it works there too.
	if m.page == action.PageOverview && key.Matches(msg, ui.NewKeys(action.PageDocuments).Binding(action.New)) {
		return tea.Batch(m.show(action.PageDocuments), m.documents.Do(action.New))
	}
	return nil
}

// do carries out an action.
func (m *Model) do(a action.Action) tea.Cmd {
	switch a.Name {
	case action.Quit:
		return tea.Quit
	case action.Help:
		m.push(newHelp(m))
	case action.Overview:
		return m.show(action.PageOverview)
	case action.Documents:
		return m.show(action.PageDocuments)
	case action.NextPage:
		if m.page == action.PageOverview {
			return m.show(action.PageDocuments)
		}
		return m.show(action.PageOverview)
	case action.Drill:
		return m.drill()
	case action.Fallback:
		m.push(&confirm{
			title: "Fall back", yes: "fall back",
			text: []string{
				"The service is left: reads and writes go on from state file and git, and writes are queued for it.",
				"It lasts until you take it back with r (recover now).",
			},
			command: a.Command, run: m.fallback,
		})
	case action.Recover:
		return m.recover()
	case action.Bench:
		return m.askBench(a)
	case action.Samples:
		return m.samples()
	case action.Open, action.Filter, action.Search, action.New, action.Delete:
		m.forgive() // whatever failed, this is something else
		return m.onDocuments(a.Name)
	default:
		return m.onDocuments(a.Name)
	}
	return nil
}

// onDocuments gives an action to the documents page, if that is in view.
func (m *Model) onDocuments(name string) tea.Cmd {
	if m.page == action.PageDocuments {
		return m.documents.Do(name)
	}
	return nil
}

// forgive takes an error off the status line, since the operator moved on. The
// help keeps it.
func (m *Model) forgive() {
	if m.status.Level == task.Failed {
		m.status = task.Notice{}
	}
}

// show changes the page. What was done or failed on the other one needs no
// telling any more.
func (m *Model) show(page string) tea.Cmd {
	if m.page != page {
		m.forgive()
		if m.status.Level == task.Done && m.told > 0 {
			m.status = task.Notice{}
		}
	}
	m.page, m.keys = page, ui.NewKeys(page)
	return m.documents.SetVisible(page == action.PageDocuments)
}

func (m *Model) fallback() tea.Cmd {
	control := m.o.Control
	return m.tasks.Go("falling back", controlLimit, func(ctx context.Context) tea.Msg {
		if err := control.Fallback(ctx); err != nil {
			return task.Failure("falling back", err)
		}
		return task.Warn("The service was left; press r to take it back")
	})
}

func (m *Model) recover() tea.Cmd {
	if m.stats != nil && m.stats.Service.Drill {
		return m.onNotice(task.Warn("A drill holds the service down; press d to bring it up first"))
	}
	control := m.o.Control
	m.status = task.Result("Looking at the service …")
	return m.tasks.Go("recovering", controlLimit, func(ctx context.Context) tea.Msg {
		if err := control.Recover(ctx); err != nil {
			return task.Failure("recovering", err)
		}
		return task.Result("The service is taken back; what is queued is sent now")
	})
}

func (m *Model) samples() tea.Cmd {
	control := m.o.Control
	return m.tasks.Go("adding samples", controlLimit, func(ctx context.Context) tea.Msg {
		n, err := control.Samples(ctx)
		switch {
		case err != nil:
			return task.Failure("adding samples", err)
		case n == 0:
			return task.Result("The samples are there already")
		}
		return task.Result("Added %d samples; press 2 to see them", n)
	})
}

// drill asks before it takes the service down, and brings it up at once.
func (m *Model) drill() tea.Cmd {
	service := engine.Service{}
	if m.stats != nil {
		service = m.stats.Service
	}
	switch {
	case service.Drill:
		return m.toggleDrill()
	case !service.Embedded:
		return m.onNotice(task.Warn("Only the embedded service can be taken down from here; this one is real"))
	}
	lost := "its memory is gone, and everything is copied back from here afterwards"
	if service.Durable {
		lost = "it comes back with its data"
	}
	m.push(&confirm{
		title: "Drill", yes: "take it down",
		text: []string{
			fmt.Sprintf("This takes the embedded service down: connections are refused, %s.", lost),
			"Watch the fallback, write something, then press d again to bring it up.",
		},
		run: m.toggleDrill,
	})
	return nil
}

func (m *Model) toggleDrill() tea.Cmd {
	control := m.o.Control
	return m.tasks.Go("the drill", controlLimit, func(ctx context.Context) tea.Msg {
		down, err := control.Drill(ctx)
		switch {
		case err != nil:
			return task.Failure("the drill", err)
		case down:
			return task.Warn("The embedded service is down; press d again to bring it up")
		}
		return task.Result("The embedded service is up again")
	})
}
