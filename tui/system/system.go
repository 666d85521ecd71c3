// Package system draws the page about what caiatop runs on: the service it
// talks to and the way there, whose repository that is, who we are to it, what
// it can do, this process, and where each setting comes from.
//
// It shows snapshots of the engine and what the process was started with. What
// came from outside is drawn as termsafe.Text only, secrets never reach it, and
// what is not known is "-". The page has no clock and changes nothing.
package system

import (
	"context"
	"time"

	"github.com/charmbracelet/bubbles/key"
	tea "github.com/charmbracelet/bubbletea"

	"github.com/caiatech/caiatop/backend/action"
	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/config"
	"github.com/caiatech/caiatop/tui/task"
	"github.com/caiatech/caiatop/tui/ui"
)

// Process describes the process that shows the page. Empty fields are unknown.
type Process struct {
	Version string // of caiatop
	Go      string
	PID     int
	Started time.Time
	Socket  string
	HTTP    string // host:port, "" if it does not answer there
	Log     string
	// Memory returns what the process takes of the machine's memory, in bytes,
	// less than zero if that cannot be known; nil: it is unknown.
	Memory func() int64
}

// Options of a Page. Theme, Tasks and Location are required.
type Options struct {
	Tasks    *task.Runner
	Theme    *ui.Theme
	Location *time.Location // for times of day
	Process  Process
	Settings []config.Origin
	File     string // that settings were read from, "" for none
}

const (
	// memoryEvery is how often the memory is looked at while the page is seen.
	memoryEvery = 10 * time.Second
	memoryLimit = time.Second
)

// Page is the system page. The zero value is not usable, see New.
type Page struct {
	o       Options
	w, h    int
	visible bool
	stats   *engine.Stats

	memory  int64     // bytes, less than zero if unknown
	looked  time.Time // at the memory, by the clock of snapshots
	looking bool

	top   int // first line in view
	room  int // lines in view when it was drawn last
	total int // lines then

	revision uint64
	keys     ui.Keys
	drawn    drawing
	lines    []string
}

// drawing says what a drawing depends on.
type drawing struct {
	revision uint64
	w, h     int
}

// memoryMsg is what the process takes of the machine's memory.
type memoryMsg struct{ bytes int64 }

// New returns a page that knows nothing of the engine yet.
func New(o Options) *Page {
	return &Page{o: o, keys: ui.NewKeys(action.PageSystem), memory: -1}
}

// ShortHelp returns the keys for the footer.
func (p *Page) ShortHelp() []key.Binding { return p.keys.ShortHelp() }

// FullHelp returns every key that works here.
func (p *Page) FullHelp() [][]key.Binding { return p.keys.FullHelp() }

// SetSize says how many cells the page may fill.
func (p *Page) SetSize(w, h int) tea.Cmd {
	p.w, p.h = w, h
	return p.changed()
}

// SetVisible says whether the page is looked at. A hidden one asks for nothing.
func (p *Page) SetVisible(on bool) tea.Cmd {
	p.visible = on
	return p.changed()
}

// SetStats shows another snapshot, which must not change afterwards.
func (p *Page) SetStats(s *engine.Stats) tea.Cmd {
	p.stats = s
	return p.changed()
}

// Typing says that keys are text: never here.
func (p *Page) Typing() bool { return false }

// Type is never called.
func (p *Page) Type(tea.KeyMsg) tea.Cmd { return nil }

// Update takes the reply to what the page asked for. It reports whether msg was
// one.
func (p *Page) Update(msg tea.Msg) (tea.Cmd, bool) {
	reply, ok := msg.(memoryMsg)
	if !ok {
		return nil, false
	}
	p.memory, p.looking = reply.bytes, false
	p.revision++
	return nil, true
}

// Do moves the view. Names that the page does not know are left alone.
func (p *Page) Do(name string) tea.Cmd {
	p.View() // of which room and total are known
	step := max(p.room-1, 1)
	switch name {
	case action.Up:
		p.top--
	case action.Down:
		p.top++
	case action.PageUp:
		p.top -= step
	case action.PageDown:
		p.top += step
	case action.Top:
		p.top = 0
	case action.Bottom:
		p.top = p.total
	}
	p.clamp()
	return p.changed()
}

func (p *Page) clamp() { p.top = max(min(p.top, p.total-p.room), 0) }

// changed makes the next View draw anew, and looks at the memory if it was not
// looked at lately.
func (p *Page) changed() tea.Cmd {
	p.revision++
	look := p.o.Process.Memory
	if !p.visible || p.looking || look == nil || p.stats == nil {
		return nil
	}
	if now := p.stats.At; p.looked.IsZero() || now.Sub(p.looked) >= memoryEvery {
		p.looking, p.looked = true, now
		return p.o.Tasks.Go("looking at the memory", memoryLimit, func(context.Context) tea.Msg { return memoryMsg{look()} })
	}
	return nil
}

// View returns exactly as many lines of exactly the width that SetSize said.
func (p *Page) View() []string {
	now := drawing{p.revision, p.w, p.h}
	if p.lines == nil || now != p.drawn {
		p.lines, p.drawn = ui.Frame(p.draw(), p.w, p.h), now
	}
	return p.lines
}
