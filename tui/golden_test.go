package tui

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"
	"github.com/muesli/termenv"

	"github.com/caiatech/caiatop/backend/engine"
)

var update = flag.Bool("update", false, "write the golden screens anew")

// screens are the pages in the states that operators meet, and the keys that
// lead there.
var screens = []struct {
	name  string
	stats func() *engine.Stats
	n     int
	keys  []string
}{
	{"overview-healthy", healthy, 0, nil},
	{"overview-fallback", fallback, 0, nil},
	{"overview-reseeding", reseeding, 0, nil},
	{"overview-locked", locked, 0, []string{"esc"}},
	{"overview-empty", empty, 0, nil},
	{"overview-drill", drilled, 0, nil},
	{"overview-slow", slowed, 0, nil},
	{"dialog-locked", locked, 0, nil},
	{"dialog-drill", healthy, 0, []string{"d"}},
	{"dialog-phase", healthy, 0, []string{"p"}},
	{"dialog-phase-change", healthy, 0, []string{"p", "down", "down", "enter"}},
	{"phase-changing", changing, 0, nil},
	{"system-phase", changing, 0, []string{"6"}},
	{"dialog-fallback", healthy, 0, []string{"f"}},
	{"dialog-help", healthy, 0, []string{"?"}},
	{"dialog-bench", healthy, 0, []string{"b", "tab", "enter"}},
	{"documents-list", healthy, 40, []string{"2", "down", "down"}},
	{"documents-empty", empty, 0, []string{"2"}},
	{"documents-filter", healthy, 40, []string{"2", "/", "type:pdf 1"}},
	{"documents-preview", healthy, 40, []string{"2", "down", "enter"}},
	{"documents-delete", healthy, 40, []string{"2", "x", "report"}},
	{"documents-search", healthy, 40, []string{"2", "F", "fox", "enter"}},
	{"documents-new", healthy, 40, []string{"2", "a", "note-1", "tab", "tab", "Hello,", "enter", "world"}},
	{"events-empty", healthy, 0, []string{"5"}},
	{"events-few", few, 0, []string{"5"}},
	{"events-many", many, 0, []string{"5", "up", "pgup"}},
	{"events-filtered", many, 0, []string{"5", "l", "/", "kind:state"}},
	{"events-details", few, 0, []string{"5", "up", "up", "up", "up", "enter"}},
	{"system-healthy", healthy, 0, []string{"6"}},
	{"system-below", healthy, 0, []string{"6", "pgdown"}},
	{"system-end", healthy, 0, []string{"6", "G"}},
	{"system-plain", plain, 0, []string{"6"}},
	{"system-insecure", insecure, 0, []string{"6"}},
	{"system-unknown", unknown, 0, []string{"6"}},
	{"overview-insecure", insecure, 0, nil},
	{"dialog-unsaved", healthy, 0, []string{"write", "ctrl+c"}},
}

// few and many are healthy with as many events in the journal.
func few() *engine.Stats  { return withEvents(7) }
func many() *engine.Stats { return withEvents(340) }

func withEvents(n uint64) *engine.Stats {
	s := healthy()
	s.Newest = n
	return s
}

func TestScreens(t *testing.T) {
	sizes := []struct {
		name string
		w, h int
	}{{"80x24", 80, 24}, {"120x40", 120, 40}, {"60x15", 60, 15}, {"40x12", 40, 12}, {"200x60", 200, 60}}
	for _, screen := range screens {
		for _, size := range sizes {
			t.Run(screen.name+"/"+size.name, func(t *testing.T) {
				s := drawn(t, screen.name, size.w, size.h, termenv.Ascii)
				golden(t, screen.name+"-"+size.name, s.View())
			})
		}
	}
}

func TestScreensInColour(t *testing.T) {
	for _, name := range []string{"overview-fallback", "documents-search", "events-many", "system-insecure"} {
		s := drawn(t, name, 80, 24, termenv.ANSI)
		fits(t, s.Model)
		golden(t, name+"-80x24-colour", strings.ReplaceAll(s.View(), "\x1b", "␛"))
	}
}

// drawn leads a session to a screen.
func drawn(t testing.TB, name string, w, h int, profile termenv.Profile) *session {
	t.Helper()
	for _, screen := range screens {
		if screen.name != name {
			continue
		}
		lib := newLibrary(t, screen.n)
		if screen.n > 0 {
			lib.hits = []engine.Hit{
				{Row: lib.rows[3], Snippet: "quick brown " + engine.MarkStart + "fox" + engine.MarkEnd + " jumps\nover"},
				{Row: lib.rows[8], Snippet: "a second " + engine.MarkStart + "fox" + engine.MarkEnd + " and " + engine.MarkStart + "fox" + engine.MarkEnd},
			}
		}
		stats := screen.stats()
		happen(lib.events, int(stats.Newest))
		s := start(t, lib, stats, w, h, profile)
		s.now = s.now.Add(deafFor)
		keys := screen.keys
		if len(keys) > 0 && keys[0] == "write" {
			s.write()
			keys = keys[1:]
		}
		s.press(keys...)
		fits(t, s.Model)
		return s
	}
	t.Fatalf("no screen %q", name)
	return nil
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", "screens", name+".golden")
	lines := strings.Split(got, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	got = strings.Join(lines, "\n") + "\n"
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v; run with -update", err)
	}
	if got != string(want) {
		t.Errorf("%s differs; got:\n%s\nwant:\n%s", name, got, want)
	}
}

// fits checks that a frame neither overflows nor wraps.
func fits(t testing.TB, m *Model) {
	t.Helper()
	view := m.View()
	if m.w <= 0 || m.h <= 0 {
		if view != "" {
			t.Fatalf("something is drawn on %dx%d: %q", m.w, m.h, view)
		}
		return
	}
	lines := strings.Split(view, "\n")
	if len(lines) != m.h {
		t.Fatalf("%d lines on %dx%d", len(lines), m.w, m.h)
	}
	for i, line := range lines {
		if w := ansi.StringWidth(line); w != m.w {
			t.Fatalf("line %d of %dx%d has %d cells: %q", i, m.w, m.h, w, line)
		}
	}
}
