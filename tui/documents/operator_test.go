package documents

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"
)

// TestWhatIsTypedIntoEmptyMetadataIsNotSwallowed: the first key opens a row.
func TestWhatIsTypedIntoEmptyMetadataIsNotSwallowed(t *testing.T) {
	s := newShelf(t)
	s.add("one", "text", nil)
	d := newDesk(t, s)
	d.press("e", "f2", "owner", "tab", "me", "ctrl+s")
	d.heard("Saved one")
	if got := d.shelf.newest("one").Content.Metadata["owner"]; got != "me" {
		t.Errorf("owner is %v", got)
	}
	s = newShelf(t)
	s.add("two", "text", nil)
	d = newDesk(t, s)
	d.press("e", "f2")
	d.press("pgup", "up", "left", "ctrl+d") // none of these types anything
	d.see("No metadata")
}

// TestTheHintSaysWhatEscDoes: it leaves an editor, but not a question, a
// conflict or the line that asks what to find.
func TestTheHintSaysWhatEscDoes(t *testing.T) {
	s := newShelf(t)
	s.add("one", "text", nil)
	d := newDesk(t, s)
	hint := func(want string) {
		t.Helper()
		if got := d.Hint(); got != want {
			t.Errorf("the hint is %q, want %q\n%s", got, want, d.screen())
		}
	}
	hint("")
	d.press("e")
	hint("")
	d.press("ctrl+f")
	hint("esc closes the search")
	d.see("enter next")
	d.miss("esc leave")
	d.press("esc", "ctrl+g")
	hint("esc closes the line number")
	d.see("enter go")
	d.press("esc", "mine ", "esc")
	hint("esc stay")
	d.press("esc")
	hint("")
	s.add("one", "theirs", nil)
	d.press("ctrl+s", "wait")
	hint("esc goes back to the editor")
	d.press("c")
	hint("esc goes back to both sides")
}

// TestAConflictNamesItsAnswersOnNarrowTerminals: a letter alone says nothing.
func TestAConflictNamesItsAnswersOnNarrowTerminals(t *testing.T) {
	for _, w := range []int{100, 80, 60, 40} {
		t.Run(fmt.Sprint(w), func(t *testing.T) {
			s := newShelf(t)
			s.add("one", "a\nb\nc\n", nil)
			d := newDesk(t, s)
			d.run(d.SetSize(w, 12))
			d.press("e", "mine ")
			s.add("one", "a\nb\ntheirs\n", nil)
			d.press("ctrl+s", "wait")
			d.see("m merge", "mine", "theirs  ", "copy")
		})
	}
}

// TestWhatAProgramLeftIsToldTruly: the path stands where a narrow terminal still
// shows it, and nothing is named that is not there.
func TestWhatAProgramLeftIsToldTruly(t *testing.T) {
	const room = 76 // of the status line at 80 columns, without its sign
	for name, tt := range map[string]struct {
		write func(string) (string, error)
	}{
		"too large": {func(string) (string, error) { return strings.Repeat("x", 12<<20), nil }},
		"failed":    {func(string) (string, error) { return "new", errors.New("exit status 1") }},
	} {
		t.Run(name, func(t *testing.T) {
			d, path := outside(t, "old", tt.write)
			d.press("E")
			told := d.told[len(d.told)-1]
			if at := strings.Index(told, *path); at < 0 || at > 20 {
				t.Errorf("%s stands at %d of %q", *path, at, told)
			}
			if strings.Contains(told, "10485761") {
				t.Errorf("a size that no text has: %q", told)
			}
		})
	}
	d, path := outside(t, "old", func(string) (string, error) { return "gone", nil })
	d.press("E")
	told := d.told[len(d.told)-1]
	if strings.Contains(told, *path) || ansi.StringWidth(told) > room {
		t.Errorf("the file is gone: %q", told)
	}
	d.heard("one is as it was")
	if left, _ := os.ReadDir(os.TempDir()); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// TestADraftOfWhatAProgramWroteTakesItsFileAway once it is kept.
func TestADraftOfWhatAProgramWroteTakesItsFileAway(t *testing.T) {
	var s *shelf
	d, path := outside(t, "old", func(string) (string, error) {
		s.add("one", "theirs", nil)
		return "mine", nil
	})
	s = d.shelf
	d.press("E", "wait", "t", "tab", "enter")
	d.heard("The draft of one is kept")
	d.hands("one")
	if _, err := os.Stat(*path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there: %v", *path, err)
	}
}

// TestALateOfferOfADraftDoesNotAnswerItself: what is typed into a filter, or in
// one go with what came before, is no answer.
func TestALateOfferOfADraftDoesNotAnswerItself(t *testing.T) {
	s := newShelf(t)
	s.add("one", "text", nil)
	first := newDesk(t, s)
	first.press("e", "mine ", "esc", "tab", "tab", "tab", "enter")
	first.hands("one")

	d := sizedDesk(t, s, first.drawer, 100, 22)
	d.looked, d.leftovers, d.question = false, nil, nil // as if it were the first look
	d.holding = true
	d.run(d.SetVisible(true))
	d.press("/")
	d.release()
	d.press("wait", "x")
	d.hands("one")
	d.see("filter x")
	d.press("esc")
	d.see("drafts: 1")

	d = sizedDesk(t, s, first.drawer, 100, 22)
	d.see("A draft was left over")
	for range 3 { // typed in one go, which takes longer than the question is deaf
		d.now = d.now.Add(deafFor / 2)
		d.press("x")
	}
	d.hands("one")
	d.press("wait", "x")
	d.hands()
}

// TestWhatAProgramWroteIsKeptWhereTheConsoleHasToEnd: a signal ends both, and the
// file is not looked at any more.
func TestWhatAProgramWroteIsKeptWhereTheConsoleHasToEnd(t *testing.T) {
	for text, kept := range map[string][]string{"new": {"one"}, "old": nil, "gone": nil} {
		t.Run(text, func(t *testing.T) {
			d, path := outside(t, "old", func(string) (string, error) { return text, errors.New("signal: terminated") })
			d.holding = true
			d.press("E") // each reply is released once; what the program's end leads to is not
			for range 2 {
				held := d.held
				d.held = nil
				for _, msg := range held {
					d.send(msg)
				}
			}
			if !d.Unsaved() {
				t.Fatal("there is nothing to keep")
			}
			msg, ok := d.Keep()().(Kept)
			if !ok || msg.Err != nil {
				t.Fatalf("%T %+v", msg, msg)
			}
			d.send(msg)
			d.hands(kept...)
			if len(kept) > 0 && d.drawer.kept["one/ada"].Document.Content.Text != text {
				t.Errorf("the draft is %+v", d.drawer.kept)
			}
			if _, err := os.Stat(*path); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the file: %v", err)
			}
		})
	}
}
