// Package tui is the console in a terminal: it shows what the engine publishes
// and lets an operator act on it.
//
// One Model serves one session. It holds the frame (header, status, footer),
// the dialogs and the pages, and decides which of them a key is for. Nothing in
// Update or View does I/O, waits or reads a clock: what takes time runs as a
// task, and everything that is drawn comes from snapshots. A frame never has
// more lines or wider ones than the terminal, whatever the text in it is.
package tui

import (
	"context"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/lipgloss"

	"github.com/caiatech/caiatop/backend/action"
	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/bench"
	"github.com/caiatech/caiatop/config"
	"github.com/caiatech/caiatop/probe/journal"
	"github.com/caiatech/caiatop/tui/documents"
	"github.com/caiatech/caiatop/tui/events"
	"github.com/caiatech/caiatop/tui/overview"
	"github.com/caiatech/caiatop/tui/system"
	"github.com/caiatech/caiatop/tui/task"
	"github.com/caiatech/caiatop/tui/ui"
)

// Feed delivers snapshots of the engine.
type Feed interface {
	// Current returns the newest snapshot, nil if there is none yet.
	Current() *engine.Stats
	// Changes has a capacity of one and holds the newest snapshot; it is closed
	// when the engine ends. One session reads it, and calls this once.
	Changes() <-chan *engine.Stats
}

// Documents is where documents come from and go to.
type Documents = documents.Source

// Control acts on the service.
type Control interface {
	// Fallback leaves the service until Recover is called.
	Fallback(ctx context.Context) error
	// Recover takes the service back now.
	Recover(ctx context.Context) error
	// SetPhase changes which stores are in use and returns once that is in effect.
	SetPhase(ctx context.Context, to engine.Phase) error
	// StartDrill rehearses an outage until its time is over; StopDrill ends it
	// before, and returns it.
	StartDrill(ctx context.Context, d engine.Drill) (engine.DrillStatus, error)
	StopDrill(ctx context.Context) (engine.DrillStatus, error)
	// Samples adds a few documents to start with and returns how many.
	Samples(ctx context.Context) (int, error)
}

// Bencher runs the benchmark. It may call progress from any goroutine, and
// never after it returned.
type Bencher func(ctx context.Context, progress func(bench.Progress)) (bench.Report, error)

// Options of a Model.
type Options struct {
	Feed      Feed      // required
	Documents Documents // required
	Control   Control   // required
	// Events is where events come from; nil: there are none but the console's
	// own. If it has the method Add of a journal.Journal, failures of the
	// console become events too.
	Events events.Source
	Bench  Bencher   // nil: there is no benchmark in this console
	Exec   task.Exec // nil: no program may be run, as over SSH
	// Drafts keeps what was typed and not saved; nil: it is lost with the
	// console.
	Drafts documents.Drafts
	Owner  string // of drafts: who uses this console

	Now      func() time.Time   // nil: time.Now
	Location *time.Location     // of times of day; nil: time.Local
	Renderer *lipgloss.Renderer // of this session's terminal; nil: Run makes one
	ASCII    bool               // draw with nothing but ASCII
	Mono     bool               // draw without colours
	Version  string             // of caiatop, for the help
	// Process, Settings and SettingsFile are what the system page shows beside
	// the service.
	Process      system.Process
	Settings     []config.Origin
	SettingsFile string
	// ConfigHint is shown at the start with the embedded service; "" for how to
	// point at a real one.
	ConfigHint string
}

// The largest frame that is drawn, in cells.
const (
	maxWidth  = 500
	maxHeight = 200
)

// The smallest terminal that shows a page.
const (
	minWidth  = 30
	minHeight = 8
)

// Model is the root model of one session. Close it after use.
type Model struct {
	o     Options
	tasks *task.Runner
	feed  <-chan *engine.Stats
	theme *ui.Theme
	w, h  int

	stats   *engine.Stats
	drilled *knownDrill
	tabs    []tab
	current int // index into tabs
	events  *events.Page
	dialogs []dialog // the last one has the keys
	answers ui.DialogKeys
	leaving leaving

	status   task.Notice
	told     uint64        // notices so far
	messages []task.Notice // newest first
	greeted  bool

	// pause waits; tests do not.
	pause             func(context.Context, time.Duration) bool
	endNotice, endAge context.CancelFunc // of what waits
}

// New returns the model of one session. Its tasks have the values of ctx, but
// end with Close: where ctx ends first, text that is unsaved can still be kept.
func New(ctx context.Context, o Options) *Model {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Location == nil {
		o.Location = time.Local
	}
	if o.Renderer == nil {
		o.Renderer = lipgloss.DefaultRenderer()
	}
	if o.Events == nil {
		o.Events = journal.New()
	}
	glyphs := ui.Unicode()
	if o.ASCII {
		glyphs = ui.ASCII()
	}
	m := &Model{
		o: o, tasks: task.New(context.WithoutCancel(ctx)), feed: o.Feed.Changes(), theme: ui.NewTheme(o.Renderer, glyphs), pause: pause,
		answers: ui.NewDialogKeys(),
	}
	m.theme.Mono = m.theme.Mono || o.Mono
	m.events = events.New(events.Options{Source: o.Events, Tasks: m.tasks, Theme: m.theme, Location: o.Location})
	m.tabs = []tab{
		newTab(action.PageOverview, action.Overview, overview.New(m.theme, o.Location)),
		newTab(action.PageDocuments, action.Documents, documents.New(documents.Options{
			Source: o.Documents, Tasks: m.tasks, Theme: m.theme, Location: o.Location, Now: o.Now, Exec: o.Exec,
			Drafts: o.Drafts, Owner: o.Owner,
		})),
		newTab(action.PageEvents, action.Events, m.events),
		newTab(action.PageSystem, action.System, system.New(system.Options{
			Tasks: m.tasks, Theme: m.theme, Location: o.Location, Process: o.Process, Settings: o.Settings, File: o.SettingsFile,
		})),
	}
	return m
}

// Init starts following the engine.
func (m *Model) Init() tea.Cmd {
	feed := m.o.Feed
	return tea.Batch(m.follow(), m.tasks.Go("reading the state", 0, func(context.Context) tea.Msg {
		return statsMsg{feed.Current()}
	}))
}

// Snapshots: the first one, those that follow ask for, and the end of them.
type (
	statsMsg     struct{ stats *engine.Stats }
	followedMsg  struct{ stats *engine.Stats }
	feedEndedMsg struct{}
)

// follow waits for the next snapshot.
func (m *Model) follow() tea.Cmd {
	changes := m.feed
	return m.tasks.Go("following the engine", 0, func(ctx context.Context) tea.Msg {
		select {
		case s, ok := <-changes:
			if !ok {
				return feedEndedMsg{}
			}
			return followedMsg{s}
		case <-ctx.Done():
			return nil
		}
	})
}

// Update takes one message. What is typed goes to the dialog on top, to an
// open text field, to the page, and last to what works everywhere.
func (m *Model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		return m, m.onSize(msg)
	case tea.KeyMsg:
		return m, m.onKeys(msg)
	case statsMsg:
		return m, m.onStats(msg.stats)
	case followedMsg:
		return m, tea.Batch(m.onStats(msg.stats), m.follow())
	case feedEndedMsg:
		return m, m.onNotice(task.Warn("The engine has ended; press q to leave"))
	case task.Notice:
		return m, m.onNotice(msg)
	case expiredMsg:
		m.onExpired(msg)
	case agedMsg:
		return m, m.onStats(msg.stats)
	case benchProgressMsg:
		return m, m.onBenchProgress(msg)
	case benchDoneMsg:
		return m, m.onBenchDone(msg)
	case drilledMsg:
		return m, m.onDrilled(msg)
	case notedMsg:
		return m, m.events.SetNewest(msg.seq)
	case keptMsg:
		return m, m.onKept(msg)
	case lateMsg:
		return m, m.onLate()
	default:
		return m, m.deliver(msg)
	}
	return m, nil
}

func (m *Model) onSize(msg tea.WindowSizeMsg) tea.Cmd {
	m.w, m.h = min(max(msg.Width, 0), maxWidth), min(max(msg.Height, 0), maxHeight)
	body := max(m.h-frameLines, 0)
	return m.all(func(t tab) tea.Cmd { return t.SetSize(m.w, body) })
}

func (m *Model) onStats(s *engine.Stats) tea.Cmd {
	if s == nil || (m.stats != nil && s.At.Before(m.stats.At)) {
		return nil
	}
	before := engine.State("")
	if m.stats != nil {
		before = m.stats.State
	}
	drill := m.followDrill(m.stats, s)
	m.stats = s
	pages := m.all(func(t tab) tea.Cmd { return t.SetStats(s) })
	if !m.greeted {
		m.greeted = true
		m.greet()
	}
	if s.State == engine.StateLocked && before != s.State {
		m.push(newAlert(m.o.Now(), "A person is needed", ui.Gist(s.Reason), s.Next))
	}
	if s.State == engine.StatePrimary && before != s.State && before != "" && m.status.Level == task.Careful {
		m.status = task.Notice{} // it told what to do about the state before
	}
	return tea.Batch(pages, drill, m.age(s))
}

// View draws the frame: never more lines than the terminal has, none wider.
func (m *Model) View() string {
	if m.w <= 0 || m.h <= 0 {
		return ""
	}
	if m.w < minWidth || m.h < minHeight {
		return m.joined([]string{m.tiny()})
	}
	body := m.shown().View()
	if d := m.top(); d != nil {
		body = ui.Over(body, d.draw(m.theme, m.w, len(body)), m.w)
	}
	lines := make([]string, 0, m.h)
	lines = append(lines, m.header())
	lines = append(lines, body...)
	lines = append(lines, m.statusLine(), m.footer())
	return m.joined(lines)
}

// joined makes the frame of its lines, in characters that the terminal has.
func (m *Model) joined(lines []string) string {
	lines = ui.Frame(lines, m.w, m.h)
	if m.o.ASCII {
		for i, line := range lines {
			lines[i] = ui.Narrow(line)
		}
	}
	return strings.Join(lines, "\n")
}
