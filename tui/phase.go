package tui

import (
	"context"
	"fmt"
	"slices"

	"github.com/charmbracelet/bubbles/key"
	tea "github.com/charmbracelet/bubbletea"

	"github.com/caiatech/caiatop/backend/action"
	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/tui/task"
	"github.com/caiatech/caiatop/tui/termsafe"
	"github.com/caiatech/caiatop/tui/ui"
)

// phaseChoice lets an operator choose which stores are in use. What a change
// does is said before it is begun.
type phaseChoice struct {
	now    engine.Phase
	wanted engine.Phase // being changed to, "" if no change is under way
	detail string       // how far that is
	at     int          // of engine.Phases
}

// askPhase opens the choice.
func (m *Model) askPhase() tea.Cmd {
	if m.stats == nil {
		return m.onNotice(task.Warn("The state of the engine is not known yet"))
	}
	s := m.stats
	c := &phaseChoice{now: s.Phase, wanted: s.Change.Wanted, detail: termsafe.Line(s.Change.Detail).String()}
	c.at = max(slices.Index(engine.Phases(), s.Phase), 0)
	m.push(c)
	return nil
}

func (c *phaseChoice) key(m *Model, msg tea.KeyMsg) tea.Cmd {
	keys, last := m.shown().keys, len(engine.Phases())-1
	switch {
	case key.Matches(msg, m.answers.Leave):
		m.pop()
	case key.Matches(msg, keys.Binding(action.Up)):
		c.at = max(c.at-1, 0)
	case key.Matches(msg, keys.Binding(action.Down)):
		c.at = min(c.at+1, last)
	case key.Matches(msg, m.answers.Enter):
		m.pop()
		return m.confirmPhase(c, engine.Phases()[c.at])
	}
	return nil
}

func (c *phaseChoice) draw(t *ui.Theme, w, h int) []string {
	width := ui.DialogWidth(w)
	var lines []string
	for i, p := range engine.Phases() {
		mark := ""
		switch p {
		case c.now:
			mark = ", in effect"
		case c.wanted:
			mark = ", being changed to"
		}
		lines = append(lines, button(t, string(p)+mark, i == c.at))
		if i == c.at {
			for _, line := range ui.Wrap(p.About(), width-8, 3) {
				lines = append(lines, t.Paint(ui.Dim, "    "+line))
			}
		}
	}
	if c.wanted != "" && c.detail != "" {
		lines = append(append(lines, ""), ui.Wrap(c.detail, width-4, 3)...)
	}
	return fitted(t, "Phase", append(lines, "", t.Paint(ui.Dim, "up, down choose   enter goes on   esc cancels")), width, h)
}

// confirmPhase says what a change does, what is checked and how it is called as a
// command, and asks.
func (m *Model) confirmPhase(c *phaseChoice, to engine.Phase) tea.Cmd {
	text, yes := c.now.Plan(to), "change it"
	switch {
	case to == c.now && c.wanted == "":
		return m.onNotice(task.Result("The phase is %s already", to))
	case to == c.now:
		text, yes = []string{fmt.Sprintf("The change to %s is taken back; the phase stays %s.", c.wanted, c.now)}, "take it back"
	case c.wanted != "" && to != c.wanted:
		return m.onNotice(task.Warn("The phase is being changed to %s; choose %s to take that back first", c.wanted, c.now))
	}
	m.push(&confirm{
		title: fmt.Sprintf("Phase %s to %s", c.now, to), yes: yes, text: text, command: "caiatop phase set " + string(to),
		run: func() tea.Cmd { return m.setPhase(to) },
	})
	return nil
}

func (m *Model) setPhase(to engine.Phase) tea.Cmd {
	control := m.o.Control
	m.status = task.Result("Changing the phase to %s …", to)
	return m.tasks.Go("changing the phase", controlLimit, func(ctx context.Context) tea.Msg {
		err := control.SetPhase(ctx, to)
		switch {
		case err != nil && ctx.Err() != nil:
			return task.Warn("The phase is still being changed to %s; press p on the Overview to see how far it is or to take it back", to)
		case err != nil:
			return task.Failure("changing the phase", err)
		}
		return task.Result("The phase is %s now", to)
	})
}
