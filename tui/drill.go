package tui

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/charmbracelet/bubbles/key"
	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"

	"github.com/caiatech/caiatop/backend/action"
	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/tui/task"
	"github.com/caiatech/caiatop/tui/ui"
)

// drillLengths are how long a drill of this console can last.
var drillLengths = []struct {
	length time.Duration
	word   string
}{{30 * time.Second, "30s"}, {engine.DefaultDrill, "1m"}, {5 * time.Minute, "5m"}, {engine.MaxDrill, "15m"}}

// drill offers the drills that can be held, or ends the one that runs.
func (m *Model) drill() tea.Cmd {
	service := engine.Service{}
	if m.stats != nil {
		service = m.stats.Service
	}
	switch {
	case m.drilling() != "":
		return m.endDrill()
	case len(engine.DrillsAt(service)) == 0:
		return m.onNotice(task.Warn("There is no service here whose outage could be rehearsed"))
	}
	c := &chooser{kinds: engine.DrillsAt(service), service: service}
	c.length = slices.IndexFunc(drillLengths, func(l struct {
		length time.Duration
		word   string
	},
	) bool {
		return l.length == engine.DefaultDrill
	})
	m.push(c)
	return nil
}

// chooser asks which drill, and for how long. The first kind has the focus, so
// that two keys rehearse the plainest outage, and one ends it.
type chooser struct {
	kinds   []engine.DrillInfo
	service engine.Service
	at      int
	length  int // index into drillLengths
}

func (c *chooser) key(m *Model, msg tea.KeyMsg) tea.Cmd {
	a, _ := m.shown().keys.Action(msg)
	last := len(c.kinds) - 1
	switch {
	case key.Matches(msg, m.answers.Leave):
		m.pop()
	case key.Matches(msg, m.answers.Enter):
		m.pop()
		return m.startDrill(engine.Drill{Kind: c.kinds[c.at].Kind, For: drillLengths[c.length].length})
	case key.Matches(msg, m.answers.Left):
		c.length = max(c.length-1, 0)
	case key.Matches(msg, m.answers.Right):
		c.length = min(c.length+1, len(drillLengths)-1)
	case key.Matches(msg, m.answers.Switch):
		c.at = (c.at + 1) % len(c.kinds)
	case a.Name == action.Up:
		c.at = max(c.at-1, 0)
	case a.Name == action.Down:
		c.at = min(c.at+1, last)
	case a.Name == action.Top:
		c.at = 0
	case a.Name == action.Bottom:
		c.at = last
	}
	return nil
}

func (c *chooser) draw(t *ui.Theme, w, h int) []string {
	width := ui.DialogWidth(w)
	inner := width - 4
	end := []string{c.lengths(t, inner), ui.Longest(inner,
		t.Paint(ui.Accent, "enter")+" begin   up down choose   left right how long   esc cancel",
		t.Paint(ui.Accent, "enter")+" begin   arrows choose   esc cancel",
		t.Paint(ui.Accent, "enter")+" begin, esc cancel", "enter, esc cancel")}
	room := max(h-2, 1)
	if room < len(end)+1 {
		end = end[1:]
	}
	list := c.list(t, inner, max(room-len(end), 1))
	room -= len(list) + len(end)
	// What is said beside goes where there is room for all of it.
	beside := func(lines ...string) []string {
		if len(lines) > room {
			return nil
		}
		room -= len(lines)
		return lines
	}
	command := beside(t.Paint(ui.Dim, ui.Fit("same as: "+c.command(), inner)))
	about := beside(ui.Wrap(c.about(), inner, 4)...)
	intro := beside(append(ui.Wrap("Rehearses an outage of the service. Reads and writes go on, nothing is lost, and it ends by itself; d ends it at once.", inner, 4), "")...)
	gap := beside("")
	var lines []string
	for _, part := range [][]string{intro, list, gap, about, command, beside(""), end} {
		lines = append(lines, part...)
	}
	return t.Box("Drill", lines, width, min(len(lines)+2, h), true)
}

// list is a part of the kinds in n lines, with the one that has the focus.
func (c *chooser) list(t *ui.Theme, w, n int) []string {
	n = min(n, len(c.kinds))
	top := max(min(c.at-n/2, len(c.kinds)-n), 0)
	names := 0
	for _, info := range c.kinds {
		names = max(names, ansi.StringWidth(string(info.Kind)))
	}
	lines := make([]string, 0, n)
	for i, info := range c.kinds[top : top+n] {
		line := ui.Fit(button(t, ui.Fit(string(info.Kind), names)+" ", top+i == c.at)+" "+info.Means, w)
		lines = append(lines, line)
	}
	return lines
}

// lengths is the line of how long it may last.
func (c *chooser) lengths(t *ui.Theme, w int) string {
	line := "for"
	for i, l := range drillLengths {
		word := " " + l.word + " "
		if i == c.length {
			word = t.Paint(ui.Selected, "["+l.word+"]")
		}
		line += " " + word
	}
	return ui.Fit(line, w)
}

// about says what becomes of the service.
func (c *chooser) about() string {
	kind := c.kinds[c.at].Kind
	switch {
	case !c.service.Embedded:
		return "Only this client is disturbed: the service and its other clients notice nothing."
	case kind == engine.DrillEmptyRestart && c.service.Durable:
		return "Its folder is not touched: it comes back at the end, and is sent what it missed."
	case kind == engine.DrillEmptyRestart, kind == engine.DrillDown && !c.service.Durable:
		return "Its memory is gone, and everything is copied back from here."
	case kind == engine.DrillDown:
		return "It comes back with its data, and is sent what it missed."
	}
	return "The service is what it was, at the end and meanwhile."
}

func (c *chooser) command() string {
	return fmt.Sprintf("caiatop drill start %s --for %s", c.kinds[c.at].Kind, drillLengths[c.length].word)
}

// drilledMsg says that a drill began or ended here.
type drilledMsg struct {
	drill engine.Drill
	runs  bool
}

func (m *Model) startDrill(d engine.Drill) tea.Cmd {
	control := m.o.Control
	return m.tasks.Go("the drill", controlLimit, func(ctx context.Context) tea.Msg {
		status, err := control.StartDrill(ctx, d)
		if err != nil {
			return task.Failure("the drill", err)
		}
		return drilledMsg{status.Drill, true}
	})
}

func (m *Model) endDrill() tea.Cmd {
	control := m.o.Control
	return m.tasks.Go("the end of the drill", controlLimit, func(ctx context.Context) tea.Msg {
		status, err := control.StopDrill(ctx)
		if err != nil {
			return task.Failure("the end of the drill", err)
		}
		return drilledMsg{status.Drill, false}
	})
}

// knownDrill is what a drill here came to, until a snapshot of later says so.
type knownDrill struct {
	kind engine.DrillKind // "" for none
	at   time.Time
}

// onDrilled remembers what no snapshot says yet: a key that is pressed at once
// must neither begin a drill again unasked nor be refused.
func (m *Model) onDrilled(msg drilledMsg) tea.Cmd {
	kind := msg.drill.Kind
	if !msg.runs {
		kind = ""
	}
	m.drilled = nil
	if m.stats == nil || m.stats.Drill.Kind != kind {
		m.drilled = &knownDrill{kind, m.o.Now()}
	}
	if msg.runs {
		return m.onNotice(task.Warn("The drill %s runs for %s; press d on the Overview to end it", kind, ui.Age(msg.drill.For)))
	}
	return m.drillEnded(msg.drill.Kind)
}

// followDrill compares what is shown of a drill with the newest snapshot.
func (m *Model) followDrill(before, now *engine.Stats) tea.Cmd {
	if m.drilled != nil {
		if now.Drill.Kind == m.drilled.kind || now.At.After(m.drilled.at) {
			m.drilled = nil
		}
		return nil
	}
	if before != nil && before.Drill.Running() && !now.Drill.Running() {
		return m.drillEnded(before.Drill.Kind)
	}
	return nil
}

func (m *Model) drillEnded(kind engine.DrillKind) tea.Cmd {
	switch {
	case kind == "":
		return m.onNotice(task.Result("No drill runs"))
	case kind == engine.DrillDown && m.stats != nil && m.stats.Service.Embedded:
		return m.onNotice(task.Result("The drill has ended: the embedded service is up again"))
	}
	return m.onNotice(task.Result("The drill %s has ended", kind))
}

// drilling is the drill that runs, "" if none does.
func (m *Model) drilling() engine.DrillKind {
	switch {
	case m.drilled != nil:
		return m.drilled.kind
	case m.stats != nil:
		return m.stats.Drill.Kind
	}
	return ""
}

// banner says for as long as a drill runs that what is shown is rehearsed. It
// names the time of its end, which does not change, instead of counting down.
func (m *Model) banner(s *engine.Stats) part {
	kind := string(s.Drill.Kind)
	until := s.Drill.Ends.In(m.o.Location).Format(time.TimeOnly)
	return part{forms: []string{
		m.theme.Paint(ui.Warn, m.theme.Glyphs.Warn+" DRILL "+kind+" until "+until),
		m.theme.Paint(ui.Warn, m.theme.Glyphs.Warn+" DRILL "+kind),
		m.theme.Paint(ui.Warn, "DRILL"),
	}, keep: []int{8, 12, 14}}
}
