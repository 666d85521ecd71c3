package tui

import (
	"context"
	"time"

	"github.com/charmbracelet/bubbles/key"
	tea "github.com/charmbracelet/bubbletea"

	"github.com/caiatech/caiatop/backend/action"
	"github.com/caiatech/caiatop/tui/task"
)

// controlLimit bounds what acts on the service.
const controlLimit = 30 * time.Second

// onKeys takes what was typed. Keys typed fast arrive merged in one message,
// each of them is one key, and so do esc and a letter, or esc twice, which look
// like alt then; nothing is bound to alt. A paste is text or nothing.
func (m *Model) onKeys(msg tea.KeyMsg) tea.Cmd {
	if msg.Alt && (msg.Type == tea.KeyRunes || msg.Type == tea.KeyEsc) {
		msg.Alt = false
		return tea.Batch(m.onKey(tea.KeyMsg{Type: tea.KeyEsc}), m.onKeys(msg))
	}
	if msg.Type != tea.KeyRunes || len(msg.Runes) < 2 {
		return m.onKey(msg)
	}
	if msg.Paste {
		if m.top() == nil && m.typing() {
			return m.shown().active().Type(msg)
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

// onKey routes one key.
func (m *Model) onKey(msg tea.KeyMsg) tea.Cmd {
	if msg.Type == tea.KeyCtrlC {
		return m.leave()
	}
	if msg.Type == tea.KeyEsc {
		m.forgive()
	}
	if d := m.top(); d != nil {
		return d.key(m, msg)
	}
	if m.typing() {
		return m.shown().active().Type(msg)
	}
	if a, ok := m.shown().keys.Action(msg); ok {
		return m.do(a)
	}
	// The hint of an empty console names this key, so it works there too.
	documents := m.at(action.PageDocuments)
	if m.shown().name == action.PageOverview && key.Matches(msg, m.tabs[documents].keys.Binding(action.New)) {
		return tea.Batch(m.show(documents), m.tabs[documents].active().Do(action.New))
	}
	return nil
}

// do carries out an action: those of the console itself here, those of a page
// there.
func (m *Model) do(a action.Action) tea.Cmd {
	if cmd, ok := m.open(a); ok {
		return cmd
	}
	switch a.Name {
	case action.Quit:
		return m.leave()
	case action.Help:
		m.push(newHelp(m))
		return nil
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
		return nil
	case action.Recover:
		return m.recover()
	case action.SetPhase:
		return m.askPhase()
	case action.Bench:
		return m.askBench(a)
	case action.Samples:
		return m.samples()
	}
	if a.Page != action.Everywhere {
		m.forgive() // whatever failed, this is something else
	}
	return m.shown().active().Do(a.Name)
}

func (m *Model) fallback() tea.Cmd {
	control := m.o.Control
	return m.tasks.Go("falling back", controlLimit, func(ctx context.Context) tea.Msg {
		if err := control.Fallback(ctx); err != nil {
			return task.Failure("falling back", err)
		}
		return task.Warn("The service was left; press r on the Overview to take it back")
	})
}

func (m *Model) recover() tea.Cmd {
	if m.drilling().Silent() {
		return m.onNotice(task.Warn("A drill keeps the service away; press d on the Overview to end it first"))
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
