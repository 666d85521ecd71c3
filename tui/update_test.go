package tui

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/muesli/termenv"

	"github.com/caiatech/caiatop/backend/action"
	"github.com/caiatech/caiatop/backend/engine"
)

func TestKeysDoWhatTheySay(t *testing.T) {
	tests := []struct {
		name  string
		stats func() *engine.Stats
		keys  []string
		calls []string
		shows string // in the last frame
	}{
		{"phase is cancelled by default", healthy, []string{"p", "down", "enter", "enter"}, nil, "Throughput"},
		{"phase chosen", healthy, []string{"p", "down", "enter", "tab", "enter"}, []string{"phase primary"}, "The phase is primary now"},
		{"phase left", healthy, []string{"p", "down", "esc"}, nil, "Throughput"},
		{"phase in effect", healthy, []string{"p", "enter"}, nil, "The phase is dual already"},
		{"phase says the command", healthy, []string{"p", "down", "down", "down", "enter"}, nil, "same as: caiatop phase set git-only"},
		{"a change is taken back", changing, []string{"p", "enter", "tab", "enter"}, []string{"phase dual"}, "The phase is dual now"},
		{"a second change", changing, []string{"p", "down", "down", "down", "enter"}, nil, "choose dual to take that back"},
		{"drill is cancelled by esc", healthy, []string{"d", "esc"}, nil, "Throughput"},
		{"drill pressed twice asks once", healthy, []string{"d", "d"}, nil, "esc cancel"},
		{"drill with two keys", healthy, []string{"d", "enter"}, []string{"drill down 1m0s"}, "press d on the Overview"},
		{"drill chosen", healthy, []string{"d", "down", "j", "right", "enter"}, []string{"drill errors 5m0s"}, "The drill errors runs for 5m"},
		{"the last drill for the shortest time", healthy, []string{"d", "G", "h", "h", "enter"}, []string{"drill lost-replies 30s"}, "runs for 30s"},
		{"tab goes around the drills", healthy, []string{"d", "G", "tab", "enter"}, []string{"drill down 1m0s"}, "press d on the Overview"},
		{"drill left with q", healthy, []string{"d", "tab", "q"}, nil, "Throughput"},
		{"drills at a real service", external, []string{"d", "G"}, nil, "Only this client is disturbed"},
		{"no lost replies at a real service", external, []string{"d", "G", "enter"}, []string{"drill bandwidth 1m0s"}, "press d on the Overview"},
		{"drill ends at once", drilled, []string{"d"}, []string{"end drill"}, "the embedded service is up again"},
		{"fallback is cancelled by esc", healthy, []string{"f", "right", "esc"}, nil, "Throughput"},
		{"fallback chosen", healthy, []string{"f", "l", "enter"}, []string{"fallback"}, "The service was left"},
		{"focus goes back to cancel", healthy, []string{"f", "l", "h", "enter"}, nil, "Throughput"},
		{"recover", fallback, []string{"r"}, []string{"recover"}, "is taken back"},
		// The snapshot that says so comes later than the reply.
		{"a drill that was just begun ends at once", healthy, []string{"d", "enter", "d"}, []string{"drill down 1m0s", "end drill"}, "PRIMARY"},
		{"a drill that just ended is not begun again", drilled, []string{"d", "d"}, []string{"end drill"}, "esc cancel"},
		{"recover after a drill", drilled, []string{"d", "r"}, []string{"end drill", "recover"}, "The service is taken back"},
		{"recover during a drill", drilled, []string{"r"}, nil, "press d on the Overview to end it first"},
		{"recover during a drill that lets through", slowed, []string{"r"}, []string{"recover"}, "The service is taken back"},
		{"samples", empty, []string{"s"}, []string{"samples"}, "Added 5 samples"},
		{"pages by number", healthy, []string{"2"}, nil, "Documents  12"},
		{"pages by tab", healthy, []string{"tab", "tab"}, nil, "Events  0"},
		{"the system page by tab", healthy, []string{"tab", "tab", "tab"}, nil, "Access & TLS"},
		{"the system page by number", healthy, []string{"6"}, nil, "caiatop-govcd"},
		{"pages by tab come around", healthy, []string{"tab", "tab", "tab", "tab"}, nil, "Throughput"},
		{"events by number", healthy, []string{"2", "5"}, nil, "Nothing happened since the start"},
		{"events are filtered", healthy, []string{"5", "/", "zebra"}, nil, "filter zebra"},
		{"esc twice at once", healthy, []string{"2", "/", "type:pdf", "enter", "enter", "alt+esc"}, nil, "Documents  12"},
		{"new document from the hint", empty, []string{"a"}, nil, "New document"},
		{"help", healthy, []string{"?"}, nil, "does"},
		{"help closes", healthy, []string{"?", "?"}, nil, "Throughput"},
		{"merged keys are split", healthy, []string{"2", "jj"}, nil, "▸ report-00002"},
		{"merged keys open a field and fill it", healthy, []string{"2/00011"}, nil, "filter 00011"},
		{"esc and a letter at once", healthy, []string{"2", "enter", "alt+1"}, nil, "Throughput"},
		{"unknown keys do nothing", healthy, []string{"Z", "%", "left"}, nil, "Throughput"},
		{"bench is cancelled by default", healthy, []string{"b", "enter"}, nil, "Throughput"},
		{"bench shows its report", healthy, []string{"b", "tab", "enter"}, nil, "80.7x faster"},
		{"filter by type", healthy, []string{"2", "/", "type:pdf", "enter"}, nil, "Documents  4"},
		{"filter is dropped by esc", healthy, []string{"2", "/", "type:pdf", "enter", "esc"}, nil, "Documents  12"},
		{"filter is taken back while typing", healthy, []string{"2", "/", "type:pdf", "esc"}, nil, "Documents  12"},
		{"filter without a match", healthy, []string{"2", "/", "nothing", "enter"}, nil, "No document matches"},
		{"preview and back", healthy, []string{"2", "enter", "esc"}, nil, "Documents  12"},
		{"to the end", healthy, []string{"2", "G"}, nil, "▸ report-00011"},
		{"to the top", healthy, []string{"2", "G", "g"}, nil, "▸ report-00000"},
		{"delete needs the id", healthy, []string{"2", "x", "report-00001", "enter"}, nil, "this is not its id"},
		{"delete", healthy, []string{"2", "x", "report-00000", "enter"}, []string{"delete report-00000"}, "u brings it back"},
		{"delete is left", healthy, []string{"2", "x", "report-00000", "esc"}, nil, "Documents  12"},
		{"new document", healthy, []string{"2", "a", "note", "tab", "tab", "hi", "ctrl+s"}, []string{"put note"}, "Saved note (on govc, and safe here)"},
		{"new document that exists", healthy, []string{"2", "a", "report-00001", "ctrl+s"}, nil, "choose another id"},
		{"new document with a bad id", healthy, []string{"2", "a", "a/b", "ctrl+s"}, nil, "holds '/'"},
		{"a draft is not dropped by one esc", healthy, []string{"2", "a", "note", "esc"}, nil, "What was typed is not saved"},
		{"a draft is not dropped by two", healthy, []string{"2", "a", "note", "esc", "esc"}, nil, "id    note"},
		{"a draft is discarded by choice", healthy, []string{"2", "a", "note", "esc", "tab", "tab", "enter"}, nil, "Documents  12"},
		{"search without a result", healthy, []string{"2", "ctrl+f", "fox", "enter"}, nil, "Nothing was found"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			lib := newLibrary(t, 12)
			lib.drilled = tt.stats().Drill.Kind
			s := start(t, lib, tt.stats(), 80, 24, termenv.Ascii)
			s.press(tt.keys...)
			if !slices.Equal(lib.calls, tt.calls) {
				t.Errorf("calls %q, want %q", lib.calls, tt.calls)
			}
			if !strings.Contains(s.View(), tt.shows) {
				t.Errorf("%q is not shown:\n%s", tt.shows, s.View())
			}
			if s.quit {
				t.Error("the console ended")
			}
			fits(t, s.Model)
		})
	}
}

func external() *engine.Stats {
	s := healthy()
	s.Service.Embedded = false
	return s
}

// changing is healthy while the phase is being changed to one that keeps copies.
func changing() *engine.Stats {
	s := healthy()
	s.Change = engine.PhaseChange{
		Since: noon.Add(-3 * time.Hour), Wanted: engine.PhaseGovcOnly, Step: "attaching", Begun: noon.Add(-time.Minute), Asked: "operator",
		Detail: "comparing with the govc service and keeping copies: 412 of 10000 documents",
	}
	s.Kept = engine.KeptStats{Attached: true, Documents: 412, Bytes: 9 << 20, Limit: 4 << 30}
	return s
}

func drilled() *engine.Stats {
	s := fallback()
	s.Drill = engine.DrillStatus{Drill: engine.Drill{Kind: engine.DrillDown, For: time.Minute}, Started: noon.Add(-40 * time.Second), Ends: noon.Add(20 * time.Second)}
	s.Service.Drill = s.Drill.Kind
	s.Reason = "in a drill (down), five probes in a row failed: connection refused"
	s.Next = "The drill ends by itself, or press d (caiatop drill stop). Then good probes end this, or press r (caiatop recover)"
	return s
}

func slowed() *engine.Stats {
	s := healthy()
	s.Drill = engine.DrillStatus{Drill: engine.Drill{Kind: engine.DrillSlow, For: time.Minute}, Started: noon.Add(-40 * time.Second), Ends: noon.Add(20 * time.Second)}
	s.Service.Drill = s.Drill.Kind
	return s
}

func TestQuit(t *testing.T) {
	for _, keys := range [][]string{{"q"}, {"ctrl+c"}, {"2", "q"}, {"d", "ctrl+c"}} {
		s := start(t, newLibrary(t, 3), healthy(), 80, 24, termenv.Ascii)
		s.press(keys...)
		if !s.quit {
			t.Errorf("%q did not end the console", keys)
		}
	}
	s := start(t, newLibrary(t, 3), healthy(), 80, 24, termenv.Ascii)
	s.press("2", "a", "q")
	if s.quit {
		t.Error("a letter typed into a field ended the console")
	}
	s.press("ctrl+c")
	if s.quit || !strings.Contains(s.View(), "Unsaved text") {
		t.Errorf("what was typed is lost:\n%s", s.View())
	}
}

func TestEveryActionIsHandled(t *testing.T) {
	for _, page := range []string{action.PageOverview, action.PageDocuments, action.PageEvents, action.PageSystem} {
		for _, a := range action.For(page) {
			lib := newLibrary(t, 60)
			happen(lib.events, 60)
			s := start(t, lib, withEvents(60), 80, 24, termenv.Ascii)
			s.press("5", "up", "pgup", "2", "down", "down", "pgdown", "6", "down", "down", "pgdown")
			home := map[string]string{action.PageOverview: "1", action.PageDocuments: "2", action.PageEvents: "5", action.PageSystem: "6"}
			s.press(home[page])
			switch a.Name {
			case action.Overview:
				s.press("2")
			case action.Documents, action.Events, action.System:
				s.press("1")
			case action.Back:
				if page == action.PageOverview || page == action.PageSystem {
					s.press("2") // nothing is left there
				}
				s.press("enter")
			case action.Up, action.Down, action.PageUp, action.PageDown, action.Top, action.Bottom:
				if page == action.PageOverview {
					continue // nothing moves there
				}
			}
			before, calls := s.View(), len(lib.calls)
			s.press(a.Key)
			if s.View() == before && len(lib.calls) == calls && !s.quit {
				t.Errorf("%s on %s: key %q does nothing", a.Name, page, a.Key)
			}
		}
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	lib := newLibrary(t, 3)
	s := start(t, lib, healthy(), 80, 24, termenv.Ascii)
	lib.fail = fmt.Errorf("put: %w", errBroken)
	s.press("s")
	if got := s.View(); !strings.Contains(got, "■ Adding samples failed: put: disk on fire. Press 5 for the full text") {
		t.Errorf("status:\n%s", got)
	}
	s.press("?", "G")
	if got := s.View(); !strings.Contains(got, "disk on fire") {
		t.Errorf("help does not keep the full text:\n%s", got)
	}
}

func TestAListThatCannotBeReadIsNotEmpty(t *testing.T) {
	lib := newLibrary(t, 3)
	lib.fail = errBroken
	s := start(t, lib, healthy(), 80, 24, termenv.Ascii)
	s.press("2")
	if got := s.View(); strings.Contains(got, "No documents yet") || !strings.Contains(got, "Listing documents failed") {
		t.Fatalf("shown:\n%s", got)
	}
	lib.fail = nil
	s.press("down")
	if got := s.View(); !strings.Contains(got, "Documents  3") {
		t.Errorf("the next key does not try again:\n%s", got)
	}
}

func TestAFailedSaveKeepsTheDraft(t *testing.T) {
	lib := newLibrary(t, 3)
	s := start(t, lib, healthy(), 80, 24, termenv.Ascii)
	s.press("2", "a", "note", "tab", "tab", "precious words")
	lib.fail = errBroken
	s.press("ctrl+s")
	if got := s.View(); !strings.Contains(got, "precious words") || !strings.Contains(got, "not saved") {
		t.Fatalf("the draft is gone:\n%s", got)
	}
	lib.fail = nil
	s.press("ctrl+s")
	if lib.text["note"] != "precious words" {
		t.Errorf("saved %q", lib.text["note"])
	}
}

func TestADialogThatOpensByItselfIgnoresKeys(t *testing.T) {
	s := start(t, newLibrary(t, 3), locked(), 80, 24, termenv.Ascii)
	s.now = noon.Add(deafFor - time.Nanosecond)
	s.press("enter", "esc")
	if !strings.Contains(s.View(), "A person is needed") {
		t.Fatal("a key that was being typed closed the dialog")
	}
	s.now = noon.Add(deafFor)
	s.press("enter")
	if strings.Contains(s.View(), "A person is needed") {
		t.Fatal("the dialog cannot be closed")
	}
	s.send(statsMsg{locked()})
	if strings.Contains(s.View(), "A person is needed") {
		t.Fatal("the dialog opened again without a change of state")
	}
}

func TestCursorStaysOnItsDocument(t *testing.T) {
	lib := newLibrary(t, 2000)
	s := start(t, lib, healthy(), 80, 24, termenv.Ascii)
	s.press("2", "G")
	for range 60 {
		s.press("pgup")
	}
	cursor := cursorLine(t, s)
	before := lib.listed
	if _, err := lib.Delete(t.Context(), id(t, "report-00000"), id(t, "report-00003")); err != nil {
		t.Fatal(err)
	}
	changed := healthy()
	changed.Documents -= 2
	s.send(statsMsg{changed})
	if lib.listed == before {
		t.Fatal("the list was not read again")
	}
	if got := cursorLine(t, s); got != cursor {
		t.Errorf("the cursor went from %q to %q", cursor, got)
	}
	before = lib.listed
	same := *changed
	s.send(statsMsg{&same})
	if lib.listed != before {
		t.Error("the list was read again without a change")
	}
}

func cursorLine(t *testing.T, s *session) string {
	t.Helper()
	for line := range strings.SplitSeq(s.View(), "\n") {
		if _, after, ok := strings.Cut(line, "▸ "); ok {
			return strings.Fields(after)[0]
		}
	}
	t.Fatalf("no cursor:\n%s", s.View())
	return ""
}

func TestScrollingReadsWindows(t *testing.T) {
	lib := newLibrary(t, 5000)
	s := start(t, lib, healthy(), 80, 24, termenv.Ascii)
	s.press("2")
	for i := range 1000 {
		s.press("down")
		if strings.Contains(s.View(), "  … ") {
			t.Fatalf("rows are missing after %d lines", i)
		}
	}
	if got := cursorLine(t, s); got != "report-01000" {
		t.Errorf("the cursor is on %s", got)
	}
	if lib.listed > 20 {
		t.Errorf("%d questions for 1,000 lines", lib.listed)
	}
}

func TestStaleRepliesAreDropped(t *testing.T) {
	lib := newLibrary(t, 12)
	s := start(t, lib, healthy(), 80, 24, termenv.Ascii)
	s.press("2", "/")
	// Two letters are typed before the first question is answered.
	_, first := s.Update(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("1")})
	_, second := s.Update(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("1")})
	s.run(second)
	want := s.View()
	s.run(first)
	if got := s.View(); got != want || !strings.Contains(got, "Documents  1 ") {
		t.Errorf("an old reply was shown:\n%s", got)
	}
}

func TestPastesAreTextOrNothing(t *testing.T) {
	lib := newLibrary(t, 3)
	s := start(t, lib, healthy(), 80, 24, termenv.Ascii)
	paste := tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("qqdf\x1b[31m\u202e"), Paste: true}
	s.send(paste)
	if s.quit || len(s.dialogs) > 0 {
		t.Fatal("a paste was taken as keys")
	}
	s.press("2", "/")
	s.send(paste)
	fits(t, s.Model)
	safe(t, s.View())
	if !strings.Contains(s.View(), "qqdf[31m‹U+202E›") {
		t.Errorf("the paste is not in the field:\n%s", s.View())
	}
}

func TestSnapshotsOutOfOrder(t *testing.T) {
	s := start(t, newLibrary(t, 3), fallback(), 80, 24, termenv.Ascii)
	old := healthy()
	old.At = noon.Add(-time.Second)
	s.send(statsMsg{old})
	s.send(statsMsg{nil})
	if !strings.Contains(s.View(), "▲ FALLBACK") {
		t.Error("an older snapshot replaced a newer one")
	}
}

func TestAStoppedBenchmarkIsNoFailure(t *testing.T) {
	lib := newLibrary(t, 3)
	lib.fail = fmt.Errorf("write on git: %w", context.Canceled)
	s := start(t, lib, healthy(), 80, 24, termenv.Ascii)
	s.press("b", "tab", "enter")
	if got := s.View(); !strings.Contains(got, "● The benchmark was stopped") || len(s.dialogs) != 0 {
		t.Errorf("shown:\n%s", got)
	}
	lib.fail = errBroken
	s.press("b", "tab", "enter")
	if got := s.View(); !strings.Contains(got, "■ The benchmark failed: disk on fire") {
		t.Errorf("shown:\n%s", got)
	}
}
