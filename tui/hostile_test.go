package tui

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/hinshun/vt10x"
	"github.com/muesli/termenv"
	"pgregory.net/rapid"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/backend/govc"
	"github.com/caiatech/caiatop/probe/journal"
)

// sgr is the only sequence that a frame may hold.
var sgr = regexp.MustCompile(`\x1b\[[0-9;]*m`)

// safe checks that a frame holds nothing that a terminal would act on.
func safe(t testing.TB, view string) {
	t.Helper()
	if !utf8.ValidString(view) {
		t.Fatalf("the frame is not UTF-8")
	}
	for _, r := range sgr.ReplaceAllString(view, "") {
		if (r != '\n' && unicode.IsControl(r)) || unicode.Is(unicode.Bidi_Control, r) || unicode.Is(unicode.Cf, r) {
			t.Fatalf("%U in a frame", r)
		}
	}
}

func TestHostileTextsAreHarmless(t *testing.T) {
	files, err := filepath.Glob("termsafe/testdata/hostile/*")
	if err != nil || len(files) < 12 {
		t.Fatalf("hostile files: %v, %v", files, err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(filepath.Base(file), func(t *testing.T) {
			for _, profile := range []termenv.Profile{termenv.Ascii, termenv.ANSI} {
				showHostile(t, string(data), profile)
			}
		})
	}
}

// showHostile puts a text into every place that text comes in by, and looks at
// every screen.
func showHostile(t *testing.T, evil string, profile termenv.Profile) {
	t.Helper()
	lib := newLibrary(t, 3)
	name, err := document.EscapeID(evil)
	if err != nil {
		t.Fatal(err)
	}
	lib.rows[0].ID, lib.rows[0].Source = name, evil
	lib.text[name.String()] = evil + "\n" + evil
	lib.hits = []engine.Hit{{Row: lib.rows[0], Snippet: engine.MarkStart + evil + engine.MarkEnd + evil + engine.MarkStart}}
	stats := fallback()
	stats.Reason, stats.Next, stats.Repository, stats.Service.URL = evil, evil, evil, evil
	stats.Service.Health.Err, stats.Service.Health.Version, stats.Service.Dialect = evil, evil, evil
	stats.Service.Health.Status, stats.Service.Health.Checks = evil, map[string]string{evil: evil}
	stats.Events[0].Text, stats.Stores[0].Err, stats.Safe = evil, evil, []string{evil}
	stats.Ops[0].Op = "x\x1b]0;"
	for range 3 {
		lib.events.Add(journal.Entry{At: noon, Level: journal.Level(evil), Kind: evil, Text: evil + "\n" + evil, Next: evil})
	}
	stats.Newest = lib.events.Newest()
	stats.StateDir, stats.GitDir = evil, evil
	stats.Facts = engine.FactsOf(govc.Info{Reason: evil, Version: evil, Implementation: evil, Capabilities: []string{evil}})
	stats.Facts.Lineage, stats.Facts.Tip = evil, evil
	stats.Facts.Access = govc.Access{
		Method: evil, Unused: []string{evil}, Confirmed: true, Subject: evil, Rights: map[string]string{evil: evil}, Expires: noon,
		Problem: evil, TLSVersion: evil, Peer: evil, Proxy: evil,
	}
	s := start(t, lib, stats, 120, 40, profile)
	look := func(keys ...string) {
		t.Helper()
		s.press(keys...)
		for _, size := range []tea.WindowSizeMsg{{Width: 40, Height: 12}, {Width: 80, Height: 24}, {Width: 120, Height: 40}} {
			s.send(size)
			fits(t, s.Model)
			safe(t, s.View())
		}
	}
	look()
	look("2")
	look("enter")
	look("esc", "x")
	look("esc", "F", "x", "enter")
	look("esc", "/", evil)
	look("esc", "a", evil, "tab", evil, "tab", evil)
	look("esc", "esc", "5")
	look("enter")
	look("G")
	look("esc", "/", evil)
	look("enter", "esc", "1")
	up := *stats
	up.State, up.Service.Health.Up = engine.StateLocked, true
	s.send(statsMsg{&up})
	s.now = s.now.Add(deafFor)
	look()
	lib.fail = errors.New(evil)
	look("enter", "s")
	look("6")
	look("pgdown")
	look("G")
	look("1", "?", "G")
	look("esc", "5", "G")
	look("enter")
}

func FuzzKeysAndSizes(f *testing.F) {
	f.Add([]byte("2jjGxreport\x00\x01b\x02"))
	f.Add([]byte("?/aF dfb12\x03\x04\x05\x06\x07\x08\x09\x0a"))
	f.Add([]byte{250, 0, 0, 251, 10, 3, 252, 80, 24, '2', 253, 1, 1, 'G', 254, 60, 15, 'x', 255, 200, 60})
	f.Fuzz(func(t *testing.T, script []byte) { play(t, script) })
}

func TestRandomSessions(t *testing.T) {
	outer := t
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.OneOf(rapid.Byte(), rapid.SampledFrom([]byte("125jkGgxaFdfblu/?eHR\r\x1b\t\x13\x03")))
		play(outer, rapid.SliceOfN(key, 1, 60).Draw(t, "script"))
	})
}

// play makes a session of bytes: keys, snapshots and sizes.
func play(t *testing.T, script []byte) {
	t.Helper()
	lib := newLibrary(t, 30)
	happen(lib.events, 60)
	s := start(t, lib, withEvents(60), 80, 24, termenv.Ascii)
	states := []func() *engine.Stats{healthy, fallback, reseeding, locked, empty}
	for i := 0; i < len(script) && i < 200; i++ {
		switch b := script[i]; {
		case b < 32 || b == 127:
			s.send(tea.KeyMsg{Type: tea.KeyType(b)})
		case b < 127:
			s.press(string(rune(b)))
		case b < 160:
			s.send(tea.KeyMsg{Type: tea.KeyType(-int(b - 127))})
		case b < 165:
			happen(lib.events, int(b-159))
			s.send(statsMsg{withEvents(lib.events.Newest())})
		case b < 170:
			s.send(statsMsg{states[int(b)%len(states)]()})
		case b >= 250 && i+2 < len(script):
			s.send(tea.WindowSizeMsg{Width: int(script[i+1]) - 2, Height: int(script[i+2]) - 2})
			i += 2
		default:
			s.press("wörld 漢字\u202e")
		}
		fits(t, s.Model)
		safe(t, s.View())
	}
}

// TestOnAnEmulatedScreen draws frames on a terminal of their size and reads
// them back.
func TestOnAnEmulatedScreen(t *testing.T) {
	for _, name := range []string{"overview-fallback", "documents-delete", "dialog-help", "events-many", "events-details"} {
		for _, size := range [][2]int{{80, 24}, {60, 15}, {30, 8}, {29, 7}, {10, 3}, {1, 1}} {
			s := drawn(t, name, size[0], size[1], termenv.ANSI)
			screen := vt10x.New(vt10x.WithSize(size[0], size[1]))
			if _, err := screen.Write([]byte("\x1b[H" + strings.ReplaceAll(s.View(), "\n", "\r\n"))); err != nil {
				t.Fatal(err)
			}
			plain := sgr.ReplaceAllString(s.View(), "")
			want := strings.Split(plain, "\n")
			got := strings.Split(strings.TrimSuffix(screen.String(), "\n"), "\n")
			for i := range want {
				if i >= len(got) || strings.TrimRight(got[i], " ") != strings.TrimRight(want[i], " ") {
					t.Fatalf("%s on %v: line %d:\ngot  %q\nwant %q", name, size, i, got, want[i])
				}
			}
		}
	}
}

func TestTinyTerminals(t *testing.T) {
	s := start(t, newLibrary(t, 3), healthy(), 29, 7, termenv.Ascii)
	if got := strings.TrimRight(strings.Split(s.View(), "\n")[0], " "); got != "caiatop ● PRIMARY" {
		t.Errorf("shown: %q", got)
	}
	for w := range 34 {
		for h := range 12 {
			s.send(tea.WindowSizeMsg{Width: w, Height: h})
			fits(t, s.Model)
		}
	}
	s.send(tea.WindowSizeMsg{Width: 5000, Height: 5000})
	fits(t, s.Model)
	s.send(tea.WindowSizeMsg{Width: -1, Height: -1})
	fits(t, s.Model)
}

// BenchmarkKeyToView is one key in a list of 10,000 rows, drawn.
func BenchmarkKeyToView(b *testing.B) {
	s := start(b, newLibrary(b, 10_000), healthy(), 120, 40, termenv.ANSI)
	s.press("2")
	for i := 0; b.Loop(); i++ {
		key := "down"
		if i%200 > 100 {
			key = "up"
		}
		s.press(key)
		s.View()
	}
}

// BenchmarkSnapshotToView is one snapshot on the overview, drawn.
func BenchmarkSnapshotToView(b *testing.B) {
	s := start(b, newLibrary(b, 3), healthy(), 120, 40, termenv.ANSI)
	stats := healthy()
	for b.Loop() {
		next := *stats
		s.send(statsMsg{&next})
		s.View()
	}
}
