package events

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/lipgloss"
	"github.com/muesli/termenv"
	"go.uber.org/goleak"

	"github.com/caiatech/caiatop/backend/action"
	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/probe/journal"
	"github.com/caiatech/caiatop/tui/task"
	"github.com/caiatech/caiatop/tui/ui"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

// counted is a journal that counts how often it is read.
type counted struct {
	*journal.Journal
	reads int
}

func (c *counted) Since(seq uint64) []journal.Entry {
	c.reads++
	return c.Journal.Since(seq)
}

// session is a page whose commands run at once.
type session struct {
	*Page
	journal *counted
	at      time.Time
}

func open(t testing.TB, w, h int) *session {
	t.Helper()
	r := lipgloss.NewRenderer(io.Discard)
	r.SetColorProfile(termenv.Ascii)
	tasks := task.New(t.Context())
	t.Cleanup(tasks.Close)
	s := &session{journal: &counted{Journal: journal.New()}, at: noon}
	s.Page = New(Options{Source: s.journal, Tasks: tasks, Theme: ui.NewTheme(r, ui.Unicode()), Location: time.UTC})
	s.run(s.SetSize(w, h))
	s.run(s.SetVisible(true))
	return s
}

func (s *session) run(cmd tea.Cmd) {
	if cmd == nil {
		return
	}
	switch msg := cmd().(type) {
	case nil:
	case tea.BatchMsg:
		for _, c := range msg {
			s.run(c)
		}
	default:
		next, _ := s.Update(msg)
		s.run(next)
	}
}

// tell shows the page a snapshot of this moment.
func (s *session) tell() { s.run(s.SetStats(&engine.Stats{At: s.at, Newest: s.journal.Newest()})) }

// happen adds n events, one a second, every third a warning, every tenth an
// error.
func (s *session) happen(n int) {
	for range n {
		i := s.journal.Newest() + 1
		e := journal.Entry{At: s.at, Level: journal.Info, Kind: "replay", Text: fmt.Sprintf("Event number %d happened", i)}
		switch {
		case i%10 == 0:
			e.Level, e.Kind = journal.Error, "conflict"
		case i%3 == 0:
			e.Level, e.Kind = journal.Warning, "slow"
		}
		s.journal.Add(e)
		s.at = s.at.Add(time.Second)
	}
}

func (s *session) do(names ...string) {
	for _, name := range names {
		s.run(s.Do(name))
	}
}

func (s *session) typed(text string) {
	for _, r := range text {
		s.run(s.Type(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune{r}}))
	}
}

func (s *session) view() string { return strings.Join(s.View(), "\n") }

// under returns the text of the row that the cursor is on.
func (s *session) under(t testing.TB) string {
	t.Helper()
	for _, line := range s.View() {
		if _, after, ok := strings.Cut(line, "▸ "); ok {
			return strings.TrimRight(after, " │")
		}
	}
	t.Fatalf("no cursor:\n%s", s.view())
	return ""
}

func (s *session) shows(t testing.TB, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(s.view(), want) {
			t.Errorf("%q is not shown:\n%s", want, s.view())
		}
	}
}

func TestNewEventsComeLast(t *testing.T) {
	s := open(t, 80, 14)
	s.shows(t, "Nothing happened since the start")
	s.happen(30)
	s.tell()
	s.shows(t, "Events  30", "following")
	if got := s.under(t); !strings.Contains(got, "Event number 30") {
		t.Errorf("the cursor is on %q", got)
	}
	s.happen(1)
	s.tell()
	if got := s.under(t); !strings.Contains(got, "Event number 31") {
		t.Errorf("it does not follow: %q", got)
	}
}

func TestTheCursorStaysOnItsEvent(t *testing.T) {
	for _, move := range []string{action.Up, action.PageUp, action.Top, action.Down, action.PageDown} {
		s := open(t, 80, 14)
		s.happen(50)
		s.tell()
		s.do(action.Up, move)
		before := s.under(t)
		row := s.list.cursor - s.list.top
		s.shows(t, "not following")
		s.happen(40)
		s.tell()
		if got := s.under(t); got != before || s.list.cursor-s.list.top != row {
			t.Errorf("%s: the cursor went from %q to %q", move, before, got)
		}
		s.do(action.Bottom)
		s.happen(1)
		s.tell()
		if got := s.under(t); !strings.Contains(got, "Event number 91") {
			t.Errorf("%s: the end does not follow: %q", move, got)
		}
	}
}

func TestFollowIsAKey(t *testing.T) {
	s := open(t, 80, 14)
	s.happen(50)
	s.tell()
	s.do(action.Follow)
	s.happen(10)
	s.tell()
	if got := s.under(t); !strings.Contains(got, "number 50 ") {
		t.Errorf("it follows still: %q", got)
	}
	s.do(action.Follow)
	if got := s.under(t); !strings.Contains(got, "number 60 ") {
		t.Errorf("it does not follow: %q", got)
	}
}

// TestTheOldestLeave: the cursor stays on its event until that is gone.
func TestTheOldestLeave(t *testing.T) {
	s := open(t, 80, 14)
	s.happen(journal.Keep)
	s.tell()
	s.do(action.Top)
	for range 30 {
		s.do(action.Down)
	}
	s.do(action.Up)
	row := s.list.cursor - s.list.top
	s.happen(3)
	s.tell()
	if got := s.under(t); !strings.Contains(got, "number 30 ") || s.list.cursor-s.list.top != row {
		t.Errorf("the cursor is on %q, in row %d of %d", got, s.list.cursor-s.list.top, row)
	}
	s.happen(100)
	s.tell()
	if got := s.under(t); !strings.Contains(got, "number 104 ") {
		t.Errorf("the cursor is on %q", got)
	}
	s.shows(t, "Events  10,000")
	if len(s.list.all) != journal.Keep {
		t.Errorf("%d events are held", len(s.list.all))
	}
}

// TestALongGap: more happened between two looks than a journal keeps.
func TestALongGap(t *testing.T) {
	s := open(t, 80, 14)
	s.happen(5)
	s.tell()
	s.run(s.SetVisible(false))
	s.happen(2*journal.Keep + 7)
	s.tell()
	s.run(s.SetVisible(true))
	s.do(action.Top)
	if got := s.under(t); !strings.Contains(got, fmt.Sprintf("number %d ", journal.Keep+13)) {
		t.Errorf("the oldest is %q", got)
	}
}

func TestLevelsAndFilters(t *testing.T) {
	for name, tt := range map[string]struct {
		do    func(s *session)
		shows []string
	}{
		"all":               {func(*session) {}, []string{"Events  60 ", "all levels"}},
		"warnings":          {func(s *session) { s.do(action.Level) }, []string{"Events  24 of 60", "warnings and errors"}},
		"errors":            {func(s *session) { s.do(action.Level, action.Level) }, []string{"Events  6 of 60", "errors only"}},
		"around":            {func(s *session) { s.do(action.Level, action.Level, action.Level) }, []string{"Events  60 "}},
		"by kind":           {func(s *session) { s.do(action.FilterEvents); s.typed("kind:SLOW") }, []string{"Events  18 of 60", "filter kind:SLOW"}},
		"by part of a kind": {func(s *session) { s.do(action.FilterEvents); s.typed("kind:sl") }, []string{"Events  18 of 60"}},
		"by two kinds":      {func(s *session) { s.do(action.FilterEvents); s.typed("kind:slow kind:conflict") }, []string{"Events  24 of 60"}},
		"a kind in a text":  {func(s *session) { s.do(action.FilterEvents); s.typed("slow") }, []string{"Events  18 of 60"}},
		"by words":          {func(s *session) { s.do(action.FilterEvents); s.typed("HAPPENED number 5") }, []string{"Events  15 of 60"}},
		"by both":           {func(s *session) { s.do(action.FilterEvents); s.typed("kind:slow 5") }, []string{"Events  5 of 60"}},
		"and level":         {func(s *session) { s.do(action.FilterEvents); s.typed("5"); s.enter(); s.do(action.Level) }, []string{"Events  6 of 60"}},
		"nothing":           {func(s *session) { s.do(action.FilterEvents); s.typed("zebra") }, []string{"Events  0 of 60", "No event matches"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, 100, 20)
			s.happen(60)
			s.tell()
			tt.do(s)
			s.shows(t, tt.shows...)
		})
	}
}

func (s *session) enter() { s.run(s.Type(tea.KeyMsg{Type: tea.KeyEnter})) }

func TestAFilterIsTakenBack(t *testing.T) {
	s := open(t, 100, 20)
	s.happen(60)
	s.tell()
	s.do(action.FilterEvents)
	s.typed("kind:slow")
	s.enter()
	s.do(action.FilterEvents)
	s.typed(" 5")
	s.shows(t, "Events  5 of 60")
	s.run(s.Type(tea.KeyMsg{Type: tea.KeyEsc}))
	s.shows(t, "Events  18 of 60")
	s.do(action.Level, action.Back)
	s.shows(t, "Events  24 of 60")
	s.do(action.Back)
	s.shows(t, "Events  60 ")
	s.do(action.Back)
	s.shows(t, "Events  60 ")
}

// TestAFilterKeepsThePlace: what is looked at stays in view.
func TestAFilterKeepsThePlace(t *testing.T) {
	s := open(t, 100, 20)
	s.happen(200)
	s.tell()
	for s.do(action.Up); !strings.Contains(s.under(t), "number 99 "); {
		s.do(action.Up)
	}
	s.do(action.FilterEvents)
	s.typed("kind:slow")
	if got := s.under(t); !strings.Contains(got, "number 99 ") {
		t.Errorf("the cursor is on %q", got)
	}
	s.typed(" 98")
	if got := s.list.cursor; got != 0 {
		t.Errorf("the cursor is on %d of %d", got, len(s.list.shown))
	}
	s.enter()
	s.do(action.Back)
	if got := s.under(t); !strings.Contains(got, "number 99 ") {
		t.Errorf("without a filter the cursor is on %q", got)
	}
	s.happen(3)
	s.tell()
	s.do(action.FilterEvents)
	s.typed("kind:conflict")
	s.happen(10)
	s.tell()
	s.shows(t, "Events  21 of 213")
}

// TestAPlaceIsLeftByFollowing: the newest is the place then.
func TestAPlaceIsLeftByFollowing(t *testing.T) {
	s := open(t, 100, 20)
	s.happen(60)
	s.tell()
	s.do(action.Top, action.Level, action.Follow, action.Follow, action.Back)
	if got := s.under(t); !strings.Contains(got, "number 60 ") {
		t.Errorf("the cursor is on %q", got)
	}
}

func TestDetails(t *testing.T) {
	s := open(t, 80, 24)
	s.happen(5)
	s.journal.Add(journal.Entry{
		At: noon.AddDate(0, 0, -1), Level: journal.Error, Kind: "reseed", Text: strings.Repeat("A long story about what happened. ", 6) + "\nsecond line",
		Next: "Press r to take the service back.",
	})
	s.happen(2)
	s.tell()
	s.do(action.Up, action.Up, action.OpenEvent)
	s.shows(t, "Event 6", "2026-03-13 12:00:00.000", "error", "reseed", "second line", "next    Press r", "Event number 5", "Event number 8", "▸ 03-13 12:00 ■")
	if strings.Contains(s.view(), "Event number 2 ") {
		t.Error("more neighbours than there should be")
	}
	s.happen(1)
	s.tell()
	s.shows(t, "Event 6", "Event number 9")
	if got := s.Hint(); got != "esc back   k up   j down" {
		t.Errorf("hint %q", got)
	}
	s.do(action.Back)
	if got := s.under(t); !strings.Contains(got, "reseed") {
		t.Errorf("the cursor went away: %q", got)
	}
}

func TestLongDetailsScroll(t *testing.T) {
	s := open(t, 60, 12)
	s.journal.Add(journal.Entry{At: noon, Level: journal.Error, Kind: "log", Text: strings.Repeat("line\n", 100) + "the last line"})
	s.tell()
	s.do(action.OpenEvent)
	s.shows(t, "Event 1  lines 1 to 10 of ")
	s.do(action.Bottom)
	s.shows(t, "around it")
	s.do(action.PageUp, action.Up, action.PageDown, action.Down, action.Down, action.Bottom, action.Top)
	s.shows(t, "time    2026-03-14")
}

func TestOldEventsHaveADate(t *testing.T) {
	s := open(t, 80, 12)
	s.journal.Add(journal.Entry{At: noon.Add(-13 * time.Hour), Text: "yesterday"})
	s.journal.Add(journal.Entry{At: noon.Add(-time.Hour), Text: "today"})
	s.journal.Add(journal.Entry{Text: "nobody knows when"})
	s.tell()
	s.shows(t, " 03-13 23:00 ", "    11:00:00 ", "           - ")
	s.at = noon.Add(13 * time.Hour)
	s.tell() // nothing happened but midnight
	s.shows(t, " 03-14 11:00 ")
	s.run(s.SetSize(40, 12))
	s.shows(t, "  03-13    ○ yesterday")
}

// TestTheJournalIsReadOnlyForNews: neither snapshots without news nor a page
// that nobody looks at ask for anything.
func TestTheJournalIsReadOnlyForNews(t *testing.T) {
	s := open(t, 80, 24)
	s.happen(3)
	s.tell()
	before := s.journal.reads
	for range 10 {
		s.tell()
		s.do(action.Up, action.Level, action.Back)
	}
	if s.journal.reads != before {
		t.Errorf("%d reads without news", s.journal.reads-before)
	}
	s.run(s.SetVisible(false))
	s.happen(3)
	s.tell()
	if s.journal.reads != before {
		t.Error("a hidden page reads")
	}
	s.run(s.SetVisible(true))
	s.shows(t, "Events  6")
	if s.journal.reads != before+1 {
		t.Errorf("%d reads for one look", s.journal.reads-before)
	}
}
