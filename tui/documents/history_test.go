package documents

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/caiatech/caiatop/backend/store"
)

// storied is a desk on a document of three versions and a deletion between.
func storied(t *testing.T) *desk {
	t.Helper()
	s := newShelf(t)
	s.add("one", "first\n", nil)
	s.remove("one")
	s.add("one", "second\n", map[string]any{"k": "v"})
	s.add("one", "third\n", nil)
	return newDesk(t, s)
}

func TestHistory(t *testing.T) {
	d := storied(t)
	d.press("H")
	d.see("History  one", "2026-03-14 12:03", "somebody", "Write one", "Delete one", "current", "deleted", "enter what it changed")
	d.miss("more words")
	d.press("enter")
	d.see("-second", "+third", `-k: "v"`, "R restore")
	d.press("esc", "j", "enter")
	d.see("+second", `+k: "v"`)
	d.press("esc", "j", "enter")
	d.see("-first")
	d.press("esc", "G", "enter")
	d.see("+first")
	d.press("esc", "esc")
	d.see("all documents")
}

func TestRestore(t *testing.T) {
	d := storied(t)
	d.press("H", "jj", "R")
	d.heard("This revision is a deletion")
	d.press("j", "R")
	d.see("Restore  one", "-third", "+first", "enter do it")
	d.press("esc")
	d.see("History  one")
	d.wrote()
	d.press("enter", "R", "enter")
	d.wrote("put one")
	d.heard("Restored: one")
	if d.shelf.text("one") != "first\n" {
		t.Errorf("one is %q", d.shelf.text("one"))
	}
	d.press("esc", "g", "R")
	d.heard("one holds this already")
	if len(d.history.rows) != 5 {
		t.Errorf("the list was not read again: %d revisions", len(d.history.rows))
	}
	d.press("esc", "R")
	d.heard("Choose the revision to restore")
	d.see("History  one")
}

func TestARestoreMeetsAChange(t *testing.T) {
	d := storied(t)
	d.press("H", "G", "R")
	d.shelf.add("one", "fourth\n", nil)
	d.press("enter")
	d.wrote()
	d.see("it changed meanwhile", "-fourth", "+first")
	d.press("enter") // meant for what was shown before
	d.wrote()
	d.press("wait", "enter")
	d.wrote("put one")
}

func TestADeletedDocumentIsRestored(t *testing.T) {
	d := storied(t)
	d.press("H", "G")
	d.shelf.remove("one")
	d.press("R")
	d.see("+first")
	d.press("enter")
	if d.shelf.text("one") != "first\n" {
		t.Errorf("one is %q", d.shelf.text("one"))
	}
}

func TestHistoryIsPaged(t *testing.T) {
	s := newShelf(t)
	for i := range 250 {
		s.add("one", fmt.Sprint(i, "\n"), nil)
	}
	d := newDesk(t, s)
	d.press("H")
	if len(d.history.rows) != historyPage {
		t.Fatalf("%d revisions at first", len(d.history.rows))
	}
	d.history.limit, d.history.rows = 3, d.history.rows[:3]
	d.press("jj")
	d.history.rows, d.history.limit = d.history.rows[:3], 3
	d.holding = true
	d.press("enter") // the one before it is not in the list yet
	d.release()
	d.see("-246", "+247")
	d.press("esc")
	for range 20 {
		d.press("G")
	}
	if len(d.history.rows) != 250 {
		t.Fatalf("%d revisions at the end", len(d.history.rows))
	}
	d.press("enter")
	d.see("+0")
}

func TestHistoryFails(t *testing.T) {
	d := storied(t)
	d.shelf.fail = store.ErrUnavailable
	d.press("H")
	d.heard("Reading the history of one failed")
	if d.history != nil {
		t.Error("an empty history is shown")
	}
	d.shelf.fail = nil
	d.press("H")
	d.shelf.fail = errBroken
	d.press("enter")
	d.heard("Reading a revision of one failed: disk on fire")
	d.press("R")
	d.heard("Restoring one failed: disk on fire")
	d.see("History  one")
}

func TestStaleRepliesOfAHistoryAreDropped(t *testing.T) {
	d := storied(t)
	d.shelf.add("two", "x\n", nil)
	d.list.stale = true
	d.run(d.changed())
	d.holding = true
	d.press("H", "esc", "j", "H", "enter")
	slices.Reverse(d.held) // the reply about one comes last
	d.release()
	if d.history.id.String() != "two" || len(d.history.rows) != 1 {
		t.Errorf("the history of %s with %d revisions", d.history.id, len(d.history.rows))
	}
	d.press("esc")
	d.holding = true
	d.press("k", "u", "esc", "j", "u")
	slices.Reverse(d.held) // the reply about one comes last
	d.release()
	d.see("Undo  two", "-x")
	d.miss("third")
	d.press("esc", "H")
	d.holding = true
	d.press("enter", "esc")
	d.release()
	if d.history.opened != nil {
		t.Error("a revision opens that was left")
	}
	d.holding = true
	d.press("u", "esc")
	d.release()
	if d.change != nil {
		t.Error("an undo opens that was left")
	}
}

func TestUndo(t *testing.T) {
	d := storied(t)
	d.press("u")
	d.see("Undo  one", "-third", "+second", "enter do it")
	d.wrote()
	d.press("esc")
	d.wrote()
	d.press("u", "enter")
	d.wrote("put one")
	d.heard("Undone: one")
	if d.shelf.text("one") != "second\n" {
		t.Errorf("one is %q", d.shelf.text("one"))
	}
	d.press("u", "enter")
	if d.shelf.text("one") != "third\n" {
		t.Errorf("the undo of the undo is %q", d.shelf.text("one"))
	}
}

func TestUndoOfTheFirstVersionDeletes(t *testing.T) {
	s := newShelf(t)
	s.add("one", "first\n", nil)
	d := newDesk(t, s)
	d.press("u")
	d.see("this deletes it", "-first")
	d.press("enter")
	d.wrote("delete one")
	d.press("u")
	d.see("+first")
	d.press("enter")
	d.wrote("delete one", "put one")
}

func TestUndoRightAfterADelete(t *testing.T) {
	s := newShelf(t)
	for _, id := range []string{"one", "two", "zoo"} {
		s.add(id, "text of "+id+"\n", nil)
	}
	d := newDesk(t, s)
	d.press("x", "one", "enter", "x", "two", "enter")
	d.wrote("delete one", "delete two")
	d.press("u")
	d.see("Undo  two", "+text of two", "u next")
	d.press("u")
	d.see("Undo  one", "+text of one")
	d.press("u")
	d.see("Undo  one")
	d.press("enter")
	if s.text("one") != "text of one\n" {
		t.Errorf("one is %q", s.text("one"))
	}
	d.press("j", "u")
	d.see("Undo  zoo")
	d.press("esc", "x", "zoo", "enter", "u", "H")
	d.see("History  zoo", "Delete zoo")
	d.press("j", "R", "enter")
	if s.text("zoo") != "text of zoo\n" {
		t.Errorf("zoo is %q", s.text("zoo"))
	}
	d.press("esc", "g", "x", "one", "enter", "x", "zoo", "enter")
	if len(d.list.rows) != 0 {
		t.Fatalf("%d documents are left", len(d.list.rows))
	}
	d.press("j", "u", "u", "u", "enter") // zoo, one, two
	if s.text("two") != "text of two\n" {
		t.Errorf("two is %q: %q", s.text("two"), d.told)
	}
}

func TestUndoMeetsAChange(t *testing.T) {
	d := storied(t)
	d.press("u")
	d.shelf.add("one", "fourth\n", nil)
	d.press("enter")
	d.wrote()
	d.heard("Not done: one changed meanwhile")
	d.see("it changed meanwhile", "-fourth", "+third")
	d.press("wait", "enter")
	d.wrote("put one")
	d.press("u")
	d.shelf.fail = errBroken
	d.press("enter")
	d.see("not done: disk on fire")
	d.press("esc", "u")
	d.heard("Undoing one failed: disk on fire")
}

func TestNothingToUndo(t *testing.T) {
	d := newDesk(t, newShelf(t))
	d.press("u")
	d.heard("Nothing is selected")
	d.press("H", "R", "e", "E")
	if d.Typing() || d.history != nil {
		t.Error("something opened")
	}
}

func TestEditsFromAHistory(t *testing.T) {
	d := storied(t)
	d.press("H", "e", "x", "ctrl+s")
	d.see("History  one")
	if len(d.history.rows) != 5 {
		t.Errorf("%d revisions", len(d.history.rows))
	}
	d.press("u", "enter")
	d.see("History  one")
	if len(d.history.rows) != 6 {
		t.Errorf("%d revisions", len(d.history.rows))
	}
	d.press("/")
	d.see("filter")
}

// TestAnEditIsNotReplaced: a key of another page opened a new document
// over an edit.
func TestAnEditIsNotReplaced(t *testing.T) {
	d := storied(t)
	d.press("e", "precious")
	d.run(d.Do("new"))
	d.run(d.Do("delete"))
	d.see("precious")
}

func TestHistoriesFitEverywhere(t *testing.T) {
	evil := "\x1b[31m\u202e\x9b2J漢字\x00"
	for _, size := range [][2]int{{200, 60}, {80, 21}, {60, 12}, {45, 9}, {30, 5}, {10, 4}, {4, 3}, {2, 2}, {1, 1}} {
		s := newShelf(t)
		s.add("one", strings.Repeat(evil, 40)+"\n", map[string]any{evil: evil})
		s.versions["one"][0].author, s.versions["one"][0].message = evil, evil+"\n"+evil
		for i := range 30 {
			s.add("one", fmt.Sprint(evil, i, "\n"), nil)
		}
		d := sizedDesk(t, s, nil, size[0], size[1])
		d.press("H", "G", "enter", "pgdown", "G", "g", "R", "pgdown", "esc", "esc", "u", "down", "pgup", "enter", "esc", "esc", "x")
	}
}
