package tui

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/muesli/termenv"

	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/probe/journal"
	"github.com/caiatech/caiatop/tui/task"
)

func TestAResultGoesAwayAfterAWhile(t *testing.T) {
	s := start(t, newLibrary(t, 3), healthy(), 80, 24, termenv.Ascii)
	s.press("s")
	if !slices.Contains(s.waited, noticeFor) {
		t.Fatalf("waits %v, not %s", s.waited, noticeFor)
	}
	first := s.told
	s.press("s")
	s.send(expiredMsg{first})
	if !strings.Contains(s.View(), "Added 5 samples") {
		t.Error("the end of an older notice took a newer one away")
	}
	s.send(expiredMsg{s.told})
	if strings.Contains(s.View(), "Added 5 samples") {
		t.Error("the notice stays")
	}
	s.press("?", "G")
	if !strings.Contains(s.View(), "Added 5 samples") {
		t.Error("help does not keep it")
	}
}

func TestAResultGoesAwayWithItsPage(t *testing.T) {
	s := start(t, newLibrary(t, 3), healthy(), 80, 24, termenv.Ascii)
	s.press("s", "2")
	if strings.Contains(s.View(), "Added 5 samples") {
		t.Error("the notice stays")
	}
}

// TestErrorsGoAway: one stayed long after the draft that it was about.
func TestErrorsGoAway(t *testing.T) {
	for name, tt := range map[string]struct {
		fail  []string // keys that lead to an error
		error string
		keys  []string // keys that end it
	}{
		"with esc":              {[]string{"s"}, "Adding samples failed", []string{"esc"}},
		"with another page":     {[]string{"s"}, "Adding samples failed", []string{"2"}},
		"with a success":        {[]string{"s"}, "Adding samples failed", []string{"s"}},
		"with the next action":  {[]string{"2", "enter"}, "Reading report-00000 failed", []string{"enter"}},
		"with a dropped draft":  {[]string{"2", "a", "note", "ctrl+s"}, "Saving note failed", []string{"esc", "tab", "tab", "enter"}},
		"with a dialog's leave": {[]string{"s", "?"}, "Adding samples failed", []string{"esc"}},
	} {
		t.Run(name, func(t *testing.T) {
			lib := newLibrary(t, 3)
			s := start(t, lib, healthy(), 120, 30, termenv.Ascii)
			s.press("2", "1")
			lib.fail = errBroken
			s.press(tt.fail...)
			if s.status.Level != task.Failed || !strings.Contains(s.View(), tt.error) {
				t.Fatalf("%q is not told:\n%s", tt.error, s.View())
			}
			s.press("down", "up")
			if !strings.Contains(s.View(), tt.error) {
				t.Error("the error went away before anything else happened")
			}
			lib.fail = nil
			s.press(tt.keys...)
			if line := s.statusLine(); strings.Contains(line, "failed") {
				t.Errorf("the error stays: %q", line)
			}
			if s.press("esc", "esc", "?"); !strings.Contains(s.View()+strings.Join(s.top().(*help).lines, "\n"), tt.error) {
				t.Error("the help does not keep it")
			}
		})
	}
}

func TestWarningsAndErrorsStay(t *testing.T) {
	lib := newLibrary(t, 3)
	s := start(t, lib, healthy(), 80, 24, termenv.Ascii)
	lib.fail = errBroken
	s.press("s")
	lib.fail = nil
	s.press("down", "Z")
	if !strings.Contains(s.View(), "Adding samples failed") {
		t.Error("an error went away by itself")
	}
	if slices.Contains(s.waited, noticeFor) {
		t.Error("an error is taken away after a while")
	}
	s.send(statsMsg{fallback()})
	s.send(task.Warn("The service was left; press r to take it back"))
	s.press("2", "1")
	if !strings.Contains(s.View(), "press r to take it back") {
		t.Error("a warning went away with its page")
	}
	s.send(statsMsg{healthy()})
	if strings.Contains(s.View(), "press r to take it back") {
		t.Error("what to do about FALLBACK is told in PRIMARY")
	}
}

func TestUntilAged(t *testing.T) {
	tests := []struct {
		name   string
		age    time.Duration // of the state
		oldest time.Duration // of the outbox; 0: nothing is queued
		want   time.Duration
	}{
		{"seconds", 1500 * time.Millisecond, 0, 500 * time.Millisecond},
		{"the last second", 59 * time.Second, 0, time.Second},
		{"minutes", 61 * time.Second, 0, 59 * time.Second},
		{"hours", 3*time.Hour + 10*time.Second, 0, 50 * time.Second},
		{"the soonest counts", 61 * time.Second, 700 * time.Millisecond, 300 * time.Millisecond},
		{"from the future", -time.Hour, 0, time.Second},
	}
	for _, tt := range tests {
		s := &engine.Stats{At: noon, Since: noon.Add(-tt.age)}
		if tt.oldest > 0 {
			s.Outbox.Oldest = noon.Add(-tt.oldest)
		}
		if got := untilAged(s); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
	if got := untilAged(&engine.Stats{At: noon}); got != 0 {
		t.Errorf("without an age it waits %s", got)
	}
}

// aging is a Feed whose state began at its first reading.
type aging struct {
	feed
	since time.Time
}

func (a aging) Current() *engine.Stats {
	s := fallback()
	s.At, s.Since = time.Now(), a.since
	return s
}

// TestAgesMoveOnWithoutNews: nothing happens but the passing of time.
func TestAgesMoveOnWithoutNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := aging{feed{make(chan *engine.Stats)}, time.Now()}
		m := New(t.Context(), Options{Feed: source, Documents: newLibrary(t, 1), Now: time.Now, Location: time.UTC})
		defer m.Close()
		m.Update(tea.WindowSizeMsg{Width: 80, Height: 24})
		_, cmd := m.Update(statsMsg{source.Current()})
		for range 3 {
			msg := firstAged(t, cmd)
			_, cmd = m.Update(msg)
		}
		if !strings.Contains(m.View(), "FALLBACK for 3s") {
			t.Errorf("after three seconds:\n%s", m.View())
		}
	})
}

// firstAged runs what a command holds until the snapshot that was waited for.
func firstAged(t *testing.T, cmd tea.Cmd) tea.Msg {
	t.Helper()
	msgs := make(chan tea.Msg, 64)
	var run func(tea.Cmd)
	run = func(cmd tea.Cmd) {
		if cmd == nil {
			return
		}
		go func() {
			msg := cmd()
			if batch, ok := msg.(tea.BatchMsg); ok {
				for _, c := range batch {
					run(c)
				}
				return
			}
			msgs <- msg
		}()
	}
	run(cmd)
	timeout, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	for {
		select {
		case msg := <-msgs:
			if aged, ok := msg.(agedMsg); ok {
				return aged
			}
		case <-timeout.Done():
			t.Fatal("nothing asks for the next snapshot")
		}
	}
}

func TestASCIIFramesHoldNothingElse(t *testing.T) {
	lib := newLibrary(t, 12)
	lib.rows[0].ID = id(t, "Bücher-漢字-é")
	lib.events.Add(journal.Entry{At: noon, Level: journal.Error, Kind: "Bücher", Text: "漢字 é"})
	stats := fallback()
	stats.Newest = 1
	s := start(t, lib, stats, 80, 24, termenv.ANSI)
	s.o.ASCII = true
	for _, keys := range [][]string{{"1"}, {"5"}, {"enter"}, {"2"}, {"?"}, {"esc", "a"}} {
		s.press(keys...)
		for _, size := range []tea.WindowSizeMsg{{Width: 29, Height: 7}, {Width: 60, Height: 15}, {Width: 120, Height: 40}} {
			s.send(size)
			fits(t, s.Model)
			for _, r := range s.View() {
				if r >= 0x80 {
					t.Fatalf("%q is in a frame for ASCII:\n%s", r, s.View())
				}
			}
		}
	}
}

func TestMonoHasNoColours(t *testing.T) {
	lib := newLibrary(t, 1)
	seen := map[bool]bool{}
	for _, mono := range []bool{false, true} {
		s := start(t, lib, healthy(), 80, 24, termenv.ANSI)
		s.theme.Mono = false
		coloured := New(t.Context(), Options{Feed: feed{}, Documents: lib, Control: lib, Renderer: s.o.Renderer, Mono: mono, Location: time.UTC})
		coloured.Update(tea.WindowSizeMsg{Width: 80, Height: 24})
		coloured.Update(statsMsg{healthy()})
		seen[mono] = strings.Contains(coloured.View(), "\x1b[")
		coloured.Close()
	}
	if !seen[false] || seen[true] {
		t.Errorf("escape sequences: %v in colour, %v in mono", seen[false], seen[true])
	}
}
