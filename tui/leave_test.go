package tui

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/charmbracelet/bubbles/key"
	tea "github.com/charmbracelet/bubbletea"
	"github.com/muesli/termenv"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/tui/documents"
	"github.com/caiatech/caiatop/tui/drafts"
	"github.com/caiatech/caiatop/tui/task"
	"github.com/caiatech/caiatop/tui/ui"
)

// writing is a page with text that was not saved.
type writing struct {
	still
	tasks  *task.Runner
	w, h   int
	saved  bool
	fail   error
	hang   bool
	kept   int
	hint   string
	typed  []string
	typing bool
}

func (w *writing) SetSize(width, h int) tea.Cmd   { w.w, w.h = width, h; return nil }
func (w *writing) SetStats(*engine.Stats) tea.Cmd { return nil }
func (w *writing) View() []string                 { return ui.Frame([]string{"precious words"}, w.w, w.h) }
func (w *writing) ShortHelp() []key.Binding       { return nil }
func (w *writing) FullHelp() [][]key.Binding      { return nil }
func (w *writing) Unsaved() bool                  { return !w.saved }
func (w *writing) Hint() string                   { return w.hint }
func (w *writing) Typing() bool                   { return w.typing }

func (w *writing) Type(msg tea.KeyMsg) tea.Cmd {
	w.typed = append(w.typed, msg.String())
	return nil
}

func (w *writing) Keep() tea.Cmd {
	return w.tasks.Go("keeping", 0, func(ctx context.Context) tea.Msg {
		if w.hang {
			<-ctx.Done()
		}
		if ctx.Err() != nil {
			return documents.Kept{Err: ctx.Err()}
		}
		if w.fail == nil {
			w.kept++
		}
		return documents.Kept{Err: w.fail}
	})
}

// somewhere says that drafts can be kept.
type somewhere struct{ documents.Drafts }

func (somewhere) List(context.Context) ([]drafts.Draft, error) { return nil, nil }

// shelf keeps drafts in memory.
type shelf struct {
	mu   sync.Mutex
	kept map[string]drafts.Draft
}

func (s *shelf) Save(ctx context.Context, d drafts.Draft) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept[d.ID.String()+" of "+d.Owner] = d
	return ctx.Err()
}

func (s *shelf) Drop(_ context.Context, id document.ID, owner string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.kept, id.String()+" of "+owner)
	return nil
}

func (s *shelf) List(context.Context) ([]drafts.Draft, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.kept)), nil
}

// TestADocumentThatIsWrittenBecomesADraft: the way through the documents page.
func TestADocumentThatIsWrittenBecomesADraft(t *testing.T) {
	for _, keys := range [][]string{{"ctrl+c", "ctrl+c"}, {"ctrl+c", "tab", "enter"}, nil} {
		synctest.Test(t, func(t *testing.T) {
			lib, kept := newLibrary(t, 3), &shelf{kept: map[string]drafts.Draft{}}
			lib.drafts = kept
			s := start(t, lib, healthy(), 80, 24, termenv.Ascii)
			s.press("2", "a", "note", "tab", "tab", "precious words")
			delete(kept.kept, "note of ada") // what was kept while it was typed
			s.press(keys...)
			if len(keys) > 0 && !s.quit {
				t.Errorf("%q: the console goes on:\n%s", keys, s.View())
			}
			s.Close()
			if got := kept.kept["note of ada"].Document.Content.Text; got != "precious words" {
				t.Errorf("%q: the draft is %q of %v", keys, got, kept.kept)
			}
		})
	}
}

// write shows a page with unsaved text.
func (s *session) write() *writing {
	w := &writing{tasks: s.tasks}
	s.o.Drafts = somewhere{}
	s.tabs = append(s.tabs, newTab("writing", "writing", w))
	s.run(s.show(len(s.tabs) - 1))
	s.send(tea.WindowSizeMsg{Width: s.w, Height: s.h})
	return w
}

func TestUnsavedTextIsNotLostByAKey(t *testing.T) {
	for name, tt := range map[string]struct {
		set   func(w *writing)
		keys  []string
		quits bool
		kept  int
		shows string
	}{
		"q asks":                    {nil, []string{"q"}, false, 0, "Unsaved text"},
		"ctrl+c asks":               {nil, []string{"ctrl+c"}, false, 0, "Unsaved text"},
		"on another page":           {nil, []string{"1", "q"}, false, 0, "Unsaved text"},
		"cancel is the default":     {nil, []string{"q", "enter"}, false, 0, "precious words"},
		"esc stays":                 {nil, []string{"q", "tab", "esc"}, false, 0, "precious words"},
		"q again stays":             {nil, []string{"q", "q"}, false, 0, "precious words"},
		"keep and quit":             {nil, []string{"q", "tab", "enter"}, true, 1, ""},
		"ctrl+c twice":              {nil, []string{"ctrl+c", "ctrl+c"}, true, 1, ""},
		"ctrl+c over another":       {nil, []string{"ctrl+c", "esc", "ctrl+c"}, false, 0, "Unsaved text"},
		"saved text needs no word":  {func(w *writing) { w.saved = true }, []string{"q"}, true, 0, ""},
		"what cannot be kept stays": {func(w *writing) { w.fail = errBroken }, []string{"q", "tab", "enter"}, false, 0, "precious words"},
		"but nobody is locked in":   {func(w *writing) { w.fail = errBroken }, []string{"q", "tab", "enter", "ctrl+c", "ctrl+c"}, true, 0, ""},
		"typing is left by ctrl+c":  {func(w *writing) { w.typing = true }, []string{"q", "ctrl+c"}, false, 0, "Unsaved text"},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, newLibrary(t, 3), healthy(), 80, 24, termenv.Ascii)
			w := s.write()
			if tt.set != nil {
				tt.set(w)
			}
			s.press(tt.keys...)
			if s.quit != tt.quits || w.kept != tt.kept {
				t.Errorf("ended %v, want %v; kept %d times, want %d", s.quit, tt.quits, w.kept, tt.kept)
			}
			if !tt.quits && !strings.Contains(s.View(), tt.shows) {
				t.Errorf("%q is not shown:\n%s", tt.shows, s.View())
			}
			fits(t, s.Model)
			s.Close()
			if want := max(tt.kept, 1); w.fail == nil && !w.saved && w.kept != want {
				t.Errorf("after the end it is kept %d times, want %d", w.kept, want)
			}
		})
	}
}

func TestWithoutDraftsTheLossIsTold(t *testing.T) {
	s := start(t, newLibrary(t, 3), healthy(), 80, 24, termenv.Ascii)
	w := s.write()
	s.o.Drafts = nil
	s.press("q")
	if view := s.View(); !strings.Contains(view, "keeps no drafts") || s.quit {
		t.Fatalf("shown:\n%s", view)
	}
	s.press("tab", "enter")
	if !s.quit || w.kept != 0 {
		t.Errorf("ended %v, kept %d times", s.quit, w.kept)
	}
}

// TestADraftThatHangsHoldsNobody: the operator wants to leave, and the disk does
// not answer.
func TestADraftThatHangsHoldsNobody(t *testing.T) {
	ctrlC, tab, enter := tea.KeyMsg{Type: tea.KeyCtrlC}, tea.KeyMsg{Type: tea.KeyTab}, tea.KeyMsg{Type: tea.KeyEnter}
	for _, keys := range [][]tea.KeyMsg{{ctrlC, ctrlC}, {ctrlC, tab, enter, ctrlC}, {ctrlC, tab, enter, ctrlC, ctrlC}} {
		synctest.Test(t, func(t *testing.T) {
			s := start(t, newLibrary(t, 3), nil, 80, 24, termenv.Ascii)
			s.pause = pause
			s.write().hang = true
			began := time.Now()
			msgs := make(chan tea.Msg, 8)
			for _, key := range keys {
				_, cmd := s.Update(key)
				begin(cmd, msgs)
			}
			msg := <-msgs
			if waited := time.Since(began); waited != keepLimit {
				t.Errorf("it took %v", waited)
			}
			if _, cmd := s.Update(msg); cmd == nil {
				t.Error("the console goes on")
			} else if _, ok := cmd().(tea.QuitMsg); !ok {
				t.Error("the console goes on")
			}
			s.Close()
			<-msgs
		})
	}
}

// begin runs a command, and what it is made of, without waiting.
func begin(cmd tea.Cmd, msgs chan<- tea.Msg) {
	if cmd == nil {
		return
	}
	go func() {
		msg := cmd()
		if batch, ok := msg.(tea.BatchMsg); ok {
			for _, c := range batch {
				begin(c, msgs)
			}
			return
		}
		msgs <- msg
	}()
}

// TestAConnectionThatEndsKeepsTheText: nobody is there to be asked, and the
// context of the session has ended before Close.
func TestAConnectionThatEndsKeepsTheText(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	lib := newLibrary(t, 3)
	s := &session{t: t, Model: New(ctx, Options{Feed: feed{}, Documents: lib, Control: lib})}
	w := s.write()
	cancel()
	s.Close()
	if w.kept != 1 {
		t.Errorf("kept %d times", w.kept)
	}
}

// TestAHangingDraftEndsWithClose: Close waits for it, but not for ever.
func TestAHangingDraftEndsWithClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lib := newLibrary(t, 3)
		s := &session{t: t, Model: New(t.Context(), Options{Feed: feed{}, Documents: lib, Control: lib})}
		s.write().hang = true
		began := time.Now()
		s.Close()
		if took := time.Since(began); took != keepLimit {
			t.Errorf("it took %v", took)
		}
	})
}

// TestADefectHidesNoOther: a page that broke breaks the end of the session too.
func TestADefectHidesNoOther(t *testing.T) {
	s := start(t, newLibrary(t, 3), healthy(), 80, 24, termenv.Ascii)
	s.write().tasks = nil // Keep panics
	s.Close()
}

func TestAPageSaysWhatItsKeysAre(t *testing.T) {
	s := start(t, newLibrary(t, 3), healthy(), 80, 24, termenv.Ascii)
	w := s.write()
	last := func() string {
		lines := strings.Split(s.View(), "\n")
		return strings.TrimRight(lines[len(lines)-1], " ")
	}
	for _, tt := range []struct {
		typing bool
		hint   string
		want   string
	}{
		{false, "", ""},
		{true, "", " esc leaves"},
		{true, "ctrl+s save   esc keep draft", " ctrl+s save   esc keep draft"},
		{false, "enter restore   esc back", " enter restore   esc back"},
	} {
		w.typing, w.hint = tt.typing, tt.hint
		got := last()
		if !tt.typing {
			got = strings.TrimRight(strings.TrimSuffix(strings.TrimSuffix(got, "q quit"), "? help  "), " ")
		}
		if got != tt.want {
			t.Errorf("typing %v, hint %q: %q", tt.typing, tt.hint, got)
		}
		fits(t, s.Model)
	}
	s.press("x") // not while it is not typing
	w.typing = true
	s.press("x", "tab")
	if !slices.Equal(w.typed, []string{"x", "tab"}) {
		t.Errorf("typed %q", w.typed)
	}
}
