package tui

import (
	"fmt"
	"strings"
	"testing"

	"github.com/muesli/termenv"

	"github.com/caiatech/caiatop/backend/engine"
)

// indexing is a console whose text index lacks operations.
func indexing(behind int64) *engine.Stats {
	s := healthy()
	s.Stores[2].Lag = behind
	return s
}

func TestASearchSaysThatTheIndexIsBehind(t *testing.T) {
	lib := newLibrary(t, 12)
	s := start(t, lib, indexing(1240), 80, 24, termenv.Ascii)
	s.press("2", "F", "fox", "enter")
	got := s.View()
	for _, want := range []string{"documents with fox", "the index is 1,240 behind", "Nothing was found so far"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not shown:\n%s", want, got)
		}
	}
	// The index comes nearer: nothing is asked again yet.
	lib.hits = []engine.Hit{{Row: lib.rows[3], Snippet: engine.MarkStart + "fox" + engine.MarkEnd}}
	s.send(statsMsg{indexing(7)})
	if got := s.View(); !strings.Contains(got, "the index is 7 behind") || !strings.Contains(got, "Found  0") {
		t.Errorf("while it is filled:\n%s", got)
	}
	s.send(statsMsg{indexing(0)})
	if got := s.View(); !strings.Contains(got, "Found  1 ") || strings.Contains(got, "behind") || !strings.Contains(got, "report-00003") {
		t.Errorf("once it is full:\n%s", got)
	}
	fits(t, s.Model)
}

func TestAFullIndexIsNotAskedAgain(t *testing.T) {
	lib := newLibrary(t, 12)
	s := start(t, lib, healthy(), 80, 24, termenv.Ascii)
	s.press("2", "F", "fox", "enter")
	lib.hits = []engine.Hit{{Row: lib.rows[3], Snippet: "fox"}}
	changed := healthy()
	changed.Writes++
	s.send(statsMsg{changed})
	if got := s.View(); !strings.Contains(got, "Found  0") {
		t.Errorf("results changed under the cursor:\n%s", got)
	}
}

func TestSearchesThatFindNothingSayWhy(t *testing.T) {
	for query, want := range map[string]string{
		"fox dog": "a document must hold every word",
		`"!"`:     "needs a letter or a digit",
	} {
		s := start(t, newLibrary(t, 12), healthy(), 80, 24, termenv.Ascii)
		s.press("2", "F", query, "enter")
		if !strings.Contains(s.View(), want) {
			t.Errorf("%s: %q is not shown:\n%s", query, want, s.View())
		}
		fits(t, s.Model)
	}
}

func TestAFailedSearchGoesBackToTheList(t *testing.T) {
	lib := newLibrary(t, 12)
	s := start(t, lib, healthy(), 80, 24, termenv.Ascii)
	s.press("2")
	lib.fail = fmt.Errorf("search: %w", errBroken)
	s.press("F", "fox", "enter")
	if got := s.View(); !strings.Contains(got, "■ Searching failed: search: disk on fire") || !strings.Contains(got, "Documents  12") {
		t.Errorf("shown:\n%s", got)
	}
}

func TestTheBestHitsAreCalledSo(t *testing.T) {
	lib := newLibrary(t, 200)
	for _, r := range lib.rows {
		lib.hits = append(lib.hits, engine.Hit{Row: r, Snippet: "fox"})
	}
	s := start(t, lib, healthy(), 80, 24, termenv.Ascii)
	s.press("2", "F", "fox", "enter")
	if !strings.Contains(s.View(), "Found  the best 100") {
		t.Errorf("shown:\n%s", s.View())
	}
}
