package documents

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/backend/store"
)

const baseText = "a\nb\nc\nd\ne\nf\ng\n"

// clash is a desk on which saving one met a change of others: the first line is
// changed here, theirs is what the others wrote, "" for a deletion.
func clash(t *testing.T, theirs string) *desk {
	t.Helper()
	s := newShelf(t)
	s.add("one", baseText, map[string]any{"k": json.Number("1")})
	d := newDesk(t, s)
	d.press("e", "mine ")
	if theirs == "" {
		s.remove("one")
	} else {
		s.add("one", theirs, map[string]any{"k": json.Number("1"), "new": "theirs"})
	}
	d.press("ctrl+s")
	d.heard(" meanwhile. Choose what is to stay")
	d.press("w", "m", "t", "c", "esc") // in the middle of typing
	d.wrote()
	d.wait()
	return d
}

const (
	elsewhere = "a\nb\nc\nd\ne\nf\ng theirs\n"
	sameLine  = "theirs a\nb\nc\nd\ne\nf\ng\n"
)

func TestAChangedBaseShowsThreeSides(t *testing.T) {
	d := clash(t, elsewhere)
	d.see("base", "theirs", "mine", "-g", "+g theirs", "+mine a", "m merge (clean)")
	d.run(d.SetSize(60, 12))
	d.see("theirs", "m merge", "esc")
	d.miss("- mine")
	d.press("G")
	d.see("+g theirs")
	d.press("tab", "g")
	d.see("- mine ", "+mine a")
	d.press("shift+tab", "shift+tab")
	d.see("- base ", "k: 1")
}

func TestConflictChoices(t *testing.T) {
	tests := []struct {
		name   string
		theirs string
		keys   []string
		one    string // what the document holds at the end
		copy   string // what the copy holds, "-" for none
		open   bool
		drafts []string
	}{
		{"clean merge", elsewhere, []string{"m"}, "mine a\nb\nc\nd\ne\nf\ng theirs\n", "-", false, nil},
		{"mine", elsewhere, []string{"w"}, "mine " + baseText, "-", false, nil},
		{"theirs, asked", elsewhere, []string{"t", "enter"}, elsewhere, "-", true, []string{"one"}},
		{"theirs, mine kept", elsewhere, []string{"t", "tab", "enter"}, elsewhere, "-", false, []string{"one"}},
		{"theirs, mine dropped", elsewhere, []string{"t", "tab", "tab", "enter"}, elsewhere, "-", false, nil},
		{"copy", elsewhere, []string{"c", "enter"}, elsewhere, "mine " + baseText, false, nil},
		{"copy with a bad id", elsewhere, []string{"c", "/", "enter"}, elsewhere, "-", true, []string{"one"}},
		{"copy given up", elsewhere, []string{"c", "esc"}, elsewhere, "-", true, []string{"one"}},
		{"back to the editor", elsewhere, []string{"esc"}, elsewhere, "-", true, []string{"one"}},
		{"back, and again", elsewhere, []string{"esc", "ctrl+s", "wait", "w"}, "mine " + baseText, "-", false, nil},
		{"deleted: no merge", "", []string{"m"}, "-", "-", true, []string{"one"}},
		{"deleted: mine", "", []string{"w"}, "mine " + baseText, "-", false, nil},
		{"deleted: theirs", "", []string{"t", "shift+tab", "enter"}, "-", "-", false, nil},
		{"deleted: copy", "", []string{"c", "enter"}, "-", "mine " + baseText, false, nil},
		{"both sides: with marks", sameLine, []string{"m", "ctrl+s", "tab", "enter"}, "<<<<<<< mine\nmine a\n||||||| base\na\n=======\ntheirs a\n>>>>>>> theirs\nb\nc\nd\ne\nf\ng\n", "-", false, nil},
		{"both sides: marks are asked about", sameLine, []string{"m", "ctrl+s", "enter"}, sameLine, "-", true, []string{"one"}},
		{"the merge can be undone", sameLine, []string{"m", "ctrl+z", "ctrl+s"}, "mine " + baseText, "-", false, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := clash(t, tt.theirs)
			d.tick(4)
			d.press(tt.keys...)
			d.tick(4)
			if got := d.shelf.text("one"); got != tt.one {
				t.Errorf("one holds %q, want %q\n%s", got, tt.one, d.screen())
			}
			if got := d.shelf.text("one.mine"); got != tt.copy {
				t.Errorf("the copy holds %q, want %q\n%s", got, tt.copy, d.screen())
			}
			if (d.edit != nil) != tt.open {
				t.Errorf("open: %v\n%s", d.edit != nil, d.screen())
			}
			if tt.open && !d.Unsaved() {
				t.Error("what was typed is gone")
			}
			d.hands(tt.drafts...)
		})
	}
}

func TestACleanMergeTakesMetadataOfBoth(t *testing.T) {
	d := clash(t, elsewhere)
	d.press("esc", "f2", "ctrl+n", "own", "tab", "7", "ctrl+s", "wait", "m")
	got := d.shelf.newest("one").Content.Metadata
	if got["new"] != "theirs" || got["own"] != json.Number("7") || got["k"] != json.Number("1") {
		t.Errorf("%v", got)
	}
}

func TestMetadataThatBothChangedIsSettledInTheEditor(t *testing.T) {
	s := newShelf(t)
	s.add("one", "x", map[string]any{"k": "old"})
	d := newDesk(t, s)
	d.press("e", "f2", "tab", " mine")
	s.add("one", "x", map[string]any{"k": "theirs"})
	d.press("ctrl+s", "wait", "m")
	d.see("both sides changed k in the metadata")
	d.press("ctrl+s")
	if got := s.newest("one").Content.Metadata["k"]; got != "old mine" {
		t.Errorf("k is %v", got)
	}
}

func TestAConflictThatChangesAgain(t *testing.T) {
	d := clash(t, elsewhere)
	d.shelf.add("one", "third\n"+elsewhere, nil)
	d.press("m")
	d.see("it was changed once more", "+third")
	d.press("w")
	d.see("it was changed once more", "+third")
	d.wait()
	d.press("w")
	if got := d.shelf.text("one"); got != "mine "+baseText {
		t.Errorf("mine was %q", got)
	}
}

func TestAConflictThatCannotBeRead(t *testing.T) {
	s := newShelf(t)
	s.add("one", "x", nil)
	d := newDesk(t, s)
	d.press("e", "!")
	s.add("one", "y", nil)
	d.holding = true
	d.press("ctrl+s")
	s.fail = store.ErrUnavailable
	d.release()
	d.see("cannot be read", "!|x")
	s.fail = nil
	d.press("ctrl+s")
	d.see("theirs", "mine")
	d.wait()
	s.fail = errBroken
	d.press("w")
	d.see("not saved: disk on fire")
	d.press("c", "enter", "esc", "t", "tab", "tab", "esc", "esc")
	if d.edit == nil || d.edit.text.Text() != "!x" {
		t.Error("the text is gone")
	}
}

// TestASaveWhoseReplyWasLost: the second attempt met what the first had written.
func TestASaveWhoseReplyWasLost(t *testing.T) {
	s := newShelf(t)
	s.add("one", "x", nil)
	d := newDesk(t, s)
	d.press("e", "!")
	s.add("one", "!x", nil)
	d.press("ctrl+s")
	d.heard("one holds this already")
	if d.edit != nil {
		t.Error("the edit is still open")
	}
	d.hands()
}

func TestACopyMeetsATakenID(t *testing.T) {
	d := clash(t, elsewhere)
	d.shelf.add("one.mine", "taken", nil)
	d.press("c", "enter")
	d.see("choose another id")
	d.press("2", "enter")
	if d.shelf.text("one.mine2") != "mine "+baseText || d.shelf.text("one.mine") != "taken" {
		t.Error("the copy went elsewhere")
	}
}

func TestConflictFitsEverywhere(t *testing.T) {
	for _, size := range [][2]int{{200, 60}, {120, 37}, {99, 20}, {80, 21}, {60, 12}, {40, 9}, {30, 5}, {10, 4}, {3, 2}, {1, 1}} {
		s := newShelf(t)
		s.add("one", "\x1b[31m\u202eevil\x9b\n"+strings.Repeat("w", 300)+"\n"+baseText, map[string]any{"\x1b]0;x\x07": "\x00"})
		d := sizedDesk(t, s, &drawer{kept: nil, fail: errBroken}, size[0], size[1])
		d.press("e", "m")
		s.add("one", "\x1b[2Jother\n"+baseText, map[string]any{"\x1b]0;y\x07": "\x07"})
		d.press("ctrl+s", "wait", "tab", "G", "pgup", "tab", "down", "tab", "g", "tab", "c", "xx", "esc", "t", "tab", "esc", "m", "ctrl+s")
	}
}

// A document that others delete while it is edited leaves the list, and the
// cursor goes to its neighbour; saved again, it is where the cursor is.
func TestTheCursorIsOnWhatWasSavedAgain(t *testing.T) {
	s := newShelf(t)
	for _, id := range []string{"aaa", "one", "zzz"} {
		s.add(id, baseText, nil)
	}
	d := newDesk(t, s)
	for {
		if r := d.underCursor(); r != nil && r.id.String() == "one" {
			break
		}
		d.press("down")
	}
	d.press("enter", "e", "mine ")
	s.remove("one")
	d.run(d.SetStats(&engine.Stats{Documents: 2}))
	if r := d.underCursor(); r == nil || r.id.String() == "one" {
		t.Fatalf("the list still has it: %v", r)
	}
	d.press("ctrl+s", "wait", "w")
	d.tick(4)
	d.see("mine a")
	if r := d.underCursor(); r == nil || r.id.String() != "one" {
		t.Errorf("the cursor is on %v, the preview shows one\n%s", r, d.screen())
	}
}

func TestGoingBackToTheEditorTakesTheQuestionOffTheScreen(t *testing.T) {
	d := clash(t, elsewhere)
	d.tick(4)
	d.press("esc")
	d.heard("Nothing was saved yet; ctrl+s shows both sides again")
}
