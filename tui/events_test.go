package tui

import (
	"strings"
	"testing"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/lipgloss"
	"github.com/muesli/termenv"

	"github.com/caiatech/caiatop/probe/journal"
	"github.com/caiatech/caiatop/tui/task"
)

// TestFailuresBecomeEvents: the status line says where their full text is.
func TestFailuresBecomeEvents(t *testing.T) {
	lib := newLibrary(t, 3)
	s := start(t, lib, healthy(), 80, 24, termenv.Ascii)
	lib.fail = errBroken
	s.press("s")
	if line := s.statusLine(); !strings.Contains(line, "Press 5 for the full text") {
		t.Errorf("told: %q", line)
	}
	s.press("5")
	for _, want := range []string{"Events  1 ", "■ error   console   Adding samples failed: disk on fire "} {
		if !strings.Contains(s.View(), want) {
			t.Errorf("%q is not shown:\n%s", want, s.View())
		}
	}
	// Looking at the page, the next one comes by itself.
	s.press("s")
	if !strings.Contains(s.View(), "Events  2 ") {
		t.Errorf("shown:\n%s", s.View())
	}
	if got := lib.events.Since(0)[0]; got.Kind != consoleKind || got.Level != journal.Error || !got.At.Equal(noon) {
		t.Errorf("the event is %+v", got)
	}
}

// TestOnlyFailuresBecomeEvents: results and warnings stay on the status line.
func TestOnlyFailuresBecomeEvents(t *testing.T) {
	lib := newLibrary(t, 3)
	s := start(t, lib, healthy(), 80, 24, termenv.Ascii)
	s.send(task.Result("done"))
	s.send(task.Warn("careful"))
	if n := lib.events.Newest(); n != 0 {
		t.Errorf("%d events", n)
	}
	s.send(task.Panicked("juggling", "dropped", []byte("goroutine 1\nmain.go:1")))
	if got := lib.events.Since(0); len(got) != 1 || !strings.Contains(got[0].Text, "goroutine 1\nmain.go:1") {
		t.Errorf("events %v", got)
	}
}

// reader is a source of events that takes none.
type reader struct{ found []journal.Entry }

func (r reader) Since(uint64) []journal.Entry { return r.found }

func TestEventsThatCannotBeAddedTo(t *testing.T) {
	lib := newLibrary(t, 3)
	s := start(t, lib, healthy(), 80, 24, termenv.Ascii)
	source := reader{[]journal.Entry{{Seq: 7, At: noon, Level: journal.Warning, Kind: "far", Text: "from elsewhere"}}}
	for _, events := range []Options{{Events: source}, {}} {
		o := s.o
		o.Events, o.Renderer = events.Events, lipgloss.DefaultRenderer()
		other := &session{t: t, Model: New(t.Context(), o)}
		other.pause = s.pause
		other.send(tea.WindowSizeMsg{Width: 80, Height: 24})
		other.send(task.Failure("juggling", errBroken))
		other.press("5")
		if got := other.View(); strings.Contains(got, "Juggling failed: disk on fire  ") != (events.Events == nil) ||
			strings.Contains(got, "from elsewhere") != (events.Events != nil) {
			t.Errorf("shown:\n%s", got)
		}
		other.Close()
	}
}

// TestEventsArriveWhileLookedAt: a snapshot tells of them.
func TestEventsArriveWhileLookedAt(t *testing.T) {
	lib := newLibrary(t, 3)
	s := start(t, lib, healthy(), 80, 24, termenv.Ascii)
	s.press("5")
	happen(lib.events, 3)
	s.send(statsMsg{withEvents(3)})
	if view := s.View(); !strings.Contains(view, "Events  3 ") || !strings.Contains(view, "▸    11:13:00 ■ error") {
		t.Errorf("shown:\n%s", view)
	}
}

// TestTwoQuickEscapesAreTwo: they arrive as one key with alt, and did nothing.
func TestTwoQuickEscapesAreTwo(t *testing.T) {
	lib := newLibrary(t, 3)
	happen(lib.events, 20)
	s := start(t, lib, withEvents(20), 80, 24, termenv.Ascii)
	s.press("5", "/", "state", "enter", "enter", "alt+esc")
	if view := s.View(); !strings.Contains(view, "Events  20 ") {
		t.Errorf("details or filter are still there:\n%s", view)
	}
}

// BenchmarkEventsKeyToView is one key among 10,000 events, drawn.
func BenchmarkEventsKeyToView(b *testing.B) {
	lib := newLibrary(b, 3)
	happen(lib.events, journal.Keep)
	s := start(b, lib, withEvents(journal.Keep), 120, 40, termenv.ANSI)
	s.press("5")
	for i := 0; b.Loop(); i++ {
		s.press([]string{"up", "down"}[i%2])
		s.View()
	}
}
