package tui

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/muesli/termenv"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/backend/store"
)

// TestAnOpenPreviewFollows: it went on saying "still on its way" after the
// recovery.
func TestAnOpenPreviewFollows(t *testing.T) {
	const onItsWay = "still on its way"
	later := func(s *engine.Stats, d time.Duration) statsMsg {
		s.At = s.At.Add(d)
		return statsMsg{s}
	}
	for name, tt := range map[string]struct {
		change func(lib *library) *engine.Stats
		shows  string
		lacks  string
	}{
		"the store has it now": {func(lib *library) *engine.Stats {
			lib.rows[3].Govc = engine.InStep
			s := healthy()
			s.Outbox.Pending = 0
			s.Stores[1].Lag = 0
			return s
		}, "served by  govc", onItsWay},
		"the state changed": {func(lib *library) *engine.Stats {
			lib.text["report-00003"] = "what git has"
			return fallback()
		}, "what git has", "quick brown fox"},
		"another version": {func(lib *library) *engine.Stats {
			lib.text["report-00003"] = "second version"
			lib.rows[3].Hash = document.Hash{1}
			s := healthy()
			s.Writes++
			return s
		}, "second version", "quick brown fox"},
	} {
		t.Run(name, func(t *testing.T) {
			lib := newLibrary(t, 12)
			s := start(t, lib, healthy(), 120, 40, termenv.Ascii)
			s.press("2", "down", "down", "down", "enter")
			if view := s.View(); !strings.Contains(view, onItsWay) || !strings.Contains(view, "quick brown fox") {
				t.Fatalf("the preview is not what the test needs:\n%s", view)
			}
			s.send(later(tt.change(lib), time.Second))
			if view := s.View(); !strings.Contains(view, tt.shows) || strings.Contains(view, tt.lacks) {
				t.Errorf("%q is not shown, or %q still is:\n%s", tt.shows, tt.lacks, view)
			}
			fits(t, s.Model)
		})
	}
}

// TestAPreviewIsNotReadForNothing: news about other documents are no reason.
func TestAPreviewIsNotReadForNothing(t *testing.T) {
	lib := newLibrary(t, 12)
	s := start(t, lib, healthy(), 120, 40, termenv.Ascii)
	s.press("2", "enter") // in step everywhere
	lib.text["report-00000"] = "read again"
	for i := range 5 {
		stats := healthy()
		stats.At, stats.Writes = stats.At.Add(time.Duration(i+1)*time.Second), stats.Writes+uint64(i)+1
		lib.rows[9].Hash = document.Hash{byte(i + 1)}
		s.send(statsMsg{stats})
	}
	if strings.Contains(s.View(), "read again") {
		t.Error("it was read though nothing told that it changed")
	}
}

// TestAPreviewFromASearchFollows: its row is not in the list's window.
func TestAPreviewFromASearchFollows(t *testing.T) {
	lib := newLibrary(t, 12)
	lib.rows[3].Govc = engine.Behind
	lib.hits = []engine.Hit{{Row: lib.rows[3], Snippet: "fox"}}
	s := start(t, lib, healthy(), 120, 40, termenv.Ascii)
	s.press("2", "/", "00009", "enter", "F", "fox", "enter", "enter")
	if view := s.View(); !strings.Contains(view, "still on its way") {
		t.Fatalf("not pending:\n%s", view)
	}
	lib.rows[3].Govc = engine.InStep
	stats := healthy()
	stats.At, stats.Stores[1].Lag = stats.At.Add(time.Second), 0
	s.send(statsMsg{stats})
	if view := s.View(); strings.Contains(view, "still on its way") {
		t.Errorf("it is in step, and the preview says:\n%s", view)
	}
}

// TestAHiddenPreviewIsReadWhenItIsSeen: a page that nobody looks at asks for
// nothing.
func TestAHiddenPreviewIsReadWhenItIsSeen(t *testing.T) {
	lib := newLibrary(t, 12)
	s := start(t, lib, healthy(), 120, 40, termenv.Ascii)
	s.press("2", "enter", "1")
	lib.text["report-00000"] = "what git has"
	stats := fallback()
	stats.At = stats.At.Add(time.Second)
	lib.fail = errBroken // told if it were asked
	s.send(statsMsg{stats})
	lib.fail = nil
	if strings.Contains(s.statusLine(), "failed") {
		t.Error("a hidden page was read")
	}
	s.press("2")
	if view := s.View(); !strings.Contains(view, "what git has") {
		t.Errorf("it was not read again:\n%s", view)
	}
}

func TestAPreviewThatCannotBeReadAgain(t *testing.T) {
	lib := newLibrary(t, 12)
	s := start(t, lib, healthy(), 120, 40, termenv.Ascii)
	s.press("2", "enter")
	lib.fail = fmt.Errorf("get: %w", store.ErrUnavailable)
	stats := fallback()
	stats.At = stats.At.Add(time.Second)
	s.send(statsMsg{stats})
	view := s.View()
	if !strings.Contains(view, "as it was before; reading it again failed") || !strings.Contains(view, "quick brown fox") {
		t.Errorf("what was shown is gone, or does not say that it is old:\n%s", view)
	}
	fits(t, s.Model)
	lib.fail = nil
	stats = fallback()
	stats.At, stats.Writes = stats.At.Add(2*time.Second), stats.Writes+1
	s.send(statsMsg{stats})
	if strings.Contains(s.View(), "as it was before") {
		t.Errorf("it could be read again:\n%s", s.View())
	}
	lib.rows = lib.rows[1:]
	stats = healthy()
	stats.At = stats.At.Add(3 * time.Second)
	s.send(statsMsg{stats})
	if view := s.View(); strings.Contains(view, "served by") || !strings.Contains(view, "there is no such document") {
		t.Errorf("the document is gone and still shown:\n%s", view)
	}
}

// TestPathsBreakAtSlashes: a folder went on at the left edge after a hyphen.
func TestPathsBreakAtSlashes(t *testing.T) {
	s := start(t, newLibrary(t, 3), healthy(), 40, 30, termenv.Ascii)
	s.press("2", "enter")
	view := s.View()
	for _, want := range []string{"│ folder     documents/text/2026-03/", "│            6/c/report-00000 "} {
		if !strings.Contains(view, want) {
			t.Errorf("%q is not shown:\n%s", want, view)
		}
	}
}

// TestNarrowDialogsAreWhole: the line to answer on was cut.
func TestNarrowDialogsAreWhole(t *testing.T) {
	for w := minWidth; w <= 80; w++ {
		for name, keys := range map[string][]string{
			"drill": {"d"}, "fall back": {"f"}, "bench": {"b"}, "chosen": {"d", "tab"},
			"new": {"2", "a"}, "delete": {"2", "x"}, "wrong id": {"2", "x", "y", "enter"}, "right id": {"2", "x", "report-00000"},
		} {
			for _, h := range []int{minHeight, 12, 24} {
				s := start(t, newLibrary(t, 3), healthy(), w, h, termenv.Ascii)
				s.press(keys...)
				fits(t, s.Model)
				answer := ""
				for line := range strings.Lines(s.View()) {
					for _, part := range []string{"cancel", "ctrl+s", "its id", "enter delete"} {
						if strings.Contains(line, part) {
							answer = line
						}
					}
				}
				if answer == "" || strings.Contains(answer, "…") {
					t.Errorf("%s at %dx%d: %q\n%s", name, w, h, answer, s.View())
				}
			}
		}
	}
}
