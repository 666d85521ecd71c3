package events

import (
	"testing"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"
	"pgregory.net/rapid"

	"github.com/caiatech/caiatop/backend/action"
	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/probe/journal"
)

// TestNewsWhileReading: what happens between a question and its reply is asked
// for afterwards, and snapshots that are behind bring nothing back.
func TestNewsWhileReading(t *testing.T) {
	s := open(t, 80, 24)
	s.run(s.SetVisible(false))
	s.loaded = false
	first := s.SetVisible(true) // there is nothing yet
	answer := first()
	s.happen(3)
	s.SetStats(&engine.Stats{At: s.at, Newest: 3})
	if again, _ := s.Update(answer); again == nil {
		t.Fatal("the first events are not asked for")
	} else {
		s.run(again)
	}
	s.shows(t, "Events  3 ")
	s = open(t, 80, 24)
	s.happen(3)
	ask := s.SetStats(&engine.Stats{At: s.at, Newest: 3})
	reply := ask()
	s.happen(2)
	if cmd := s.SetStats(&engine.Stats{At: s.at, Newest: 5}); cmd != nil {
		t.Error("two questions at once")
	}
	again, ok := s.Update(reply)
	if !ok || again == nil {
		t.Fatal("what happened meanwhile is not asked for")
	}
	s.shows(t, "Events  3 ")
	s.run(again)
	s.shows(t, "Events  5 ")
	if _, ok := s.Update(reply); !ok {
		t.Error("its own message is not known")
	}
	s.shows(t, "Events  5 ")
	if cmd := s.SetStats(&engine.Stats{At: s.at, Newest: 4}); cmd != nil {
		t.Error("an older snapshot is a reason to read")
	}
	if cmd := s.SetStats(&engine.Stats{At: s.at.AddDate(0, 0, 1), Newest: 4}); cmd != nil {
		t.Error("an older snapshot is a reason to read on another day")
	}
	s.happen(1)
	s.run(s.SetNewest(6))
	s.shows(t, "Events  6 ")
}

// TestAnyMovementKeepsTheListWhole plays random keys and events against a list
// that is made anew each time.
func TestAnyMovementKeepsTheListWhole(t *testing.T) {
	names := []string{
		action.Up, action.Down, action.PageUp, action.PageDown, action.Top, action.Bottom, action.Follow, action.Level, action.Back,
		action.OpenEvent, "none",
	}
	outer := t
	rapid.Check(t, func(t *rapid.T) {
		s := open(outer, 60, rapid.IntRange(3, 20).Draw(t, "height"))
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			before := s.list.selected()
			switch step := rapid.SampledFrom(append(names, "happen", "filter", "size")).Draw(t, "step"); step {
			case "happen":
				s.happen(rapid.IntRange(1, 30).Draw(t, "n"))
				s.tell()
				if after := s.list.selected(); !s.list.follow && before != after && before != nil {
					t.Fatalf("the cursor went from %v to %v", before, after)
				}
			case "filter":
				s.list.setFilter(rapid.SampledFrom([]string{"", "kind:slow", "3", "zebra"}).Draw(t, "filter"), s.rowsHeight())
				s.run(s.changed())
			case "size":
				s.run(s.SetSize(rapid.IntRange(0, 100).Draw(t, "w"), rapid.IntRange(0, 30).Draw(t, "h")))
			default:
				s.do(step)
			}
			whole(t, s)
		}
	})
}

func whole(t *rapid.T, s *session) {
	l := &s.list
	var want []*event
	for _, e := range l.all {
		if e.Level.AtLeast(l.level) && parseFilter(l.filter).takes(e) {
			want = append(want, e)
		}
	}
	if len(want) != len(l.shown) || (len(want) > 0 && (l.cursor < 0 || l.cursor >= len(want))) {
		t.Fatalf("%d events are shown, want %d; cursor %d", len(l.shown), len(want), l.cursor)
	}
	if h := s.rowsHeight(); l.top < 0 || (len(want) > 0 && (l.cursor < l.top || l.cursor >= l.top+h)) || (l.top > 0 && l.top+h > len(want)) {
		t.Fatalf("line %d of %d is the first of %d, with the cursor on %d", l.top, len(want), h, l.cursor)
	}
	if l.follow && len(want) > 0 && l.cursor != len(want)-1 {
		t.Fatalf("following, the cursor is on %d of %d", l.cursor, len(want))
	}
	lines := s.View()
	if len(lines) != max(s.h, 0) {
		t.Fatalf("%d lines of %d", len(lines), s.h)
	}
	for _, line := range lines {
		if ansi.StringWidth(line) != s.w {
			t.Fatalf("%d cells of %d: %q", ansi.StringWidth(line), s.w, line)
		}
	}
}

// full returns a page of as many events as there can be.
func full(b *testing.B) *session {
	s := open(b, 200, 60)
	s.happen(journal.Keep)
	s.tell()
	return s
}

// BenchmarkMoveToView is one movement among 10,000 events, drawn.
func BenchmarkMoveToView(b *testing.B) {
	s := full(b)
	for i := 0; b.Loop(); i++ {
		s.do([]string{action.Up, action.Down}[i%2])
		s.View()
	}
}

// BenchmarkArrivalToView is one event more after 10,000, drawn.
func BenchmarkArrivalToView(b *testing.B) {
	s := full(b)
	for b.Loop() {
		s.happen(1)
		s.tell()
		s.View()
	}
}

// BenchmarkFilterToView is one letter of a filter over 10,000 events, drawn.
func BenchmarkFilterToView(b *testing.B) {
	s := full(b)
	s.do(action.FilterEvents)
	for i := 0; b.Loop(); i++ {
		if i%2 == 0 {
			s.typed("9")
		} else {
			s.run(s.Type(tea.KeyMsg{Type: tea.KeyBackspace}))
		}
		s.View()
	}
}
