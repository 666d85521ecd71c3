package documents

import (
	"maps"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/caiatech/caiatop/tui/drafts"
)

func TestDraftsAreKeptWhileTyping(t *testing.T) {
	s := newShelf(t)
	s.add("one", "text", nil)
	d := newDesk(t, s)
	d.press("e")
	d.tick(5)
	d.hands()
	d.press("a")
	for range 8 { // never quiet for long
		d.tick(1)
		d.press("b")
	}
	if d.drawer.saves != 0 {
		t.Fatalf("%d drafts after four seconds of typing", d.drawer.saves)
	}
	for range 12 {
		d.tick(1)
		d.press("b")
	}
	if d.drawer.saves != 1 {
		t.Fatalf("%d drafts after ten seconds of typing", d.drawer.saves)
	}
	d.tick(3)
	if d.drawer.saves != 2 || d.drawer.kept["one/ada"].Document.Content.Text != "a"+strings.Repeat("b", 20)+"text" {
		t.Fatalf("%d drafts, the newest %q", d.drawer.saves, d.drawer.kept["one/ada"].Document.Content.Text)
	}
	d.tick(5)
	if len(d.ticks) > 0 || d.drawer.saves != 2 {
		t.Errorf("at rest something still ticks: %v, %d drafts", d.ticks, d.drawer.saves)
	}
	if got := d.drawer.kept["one/ada"]; got.Base != s.hash("one") || got.New || !got.At.Equal(d.now) {
		t.Errorf("the draft is %+v", got)
	}
	d.press("ctrl+s")
	d.hands()
}

func TestADraftGoesWithItsReason(t *testing.T) {
	s := newShelf(t)
	s.add("one", "text", nil)
	d := newDesk(t, s)
	d.press("e", "x")
	d.tick(4)
	d.hands("one")
	d.press("backspace")
	d.tick(4)
	d.hands()
	d.press("y")
	d.tick(4)
	d.press("backspace", "esc")
	d.hands()
}

// TestALateDraftDoesNotComeBack: a draft that was still being written when the
// edit was dropped.
func TestALateDraftDoesNotComeBack(t *testing.T) {
	s := newShelf(t)
	s.add("one", "text", nil)
	d := newDesk(t, s)
	d.press("e", "x")
	late := d.keep(d.edit, Kept{quiet: true})
	d.press("esc", "tab", "tab", "enter")
	d.run(late)
	d.hands()
}

func TestAFullDiskDoesNotStopTheEdit(t *testing.T) {
	s := newShelf(t)
	s.add("one", "text", nil)
	d := newDesk(t, s)
	d.press("e", "x")
	d.drawer.fail = errBroken
	d.tick(4)
	d.see("no draft is kept: disk on fire")
	d.heard("No draft is kept: disk on fire")
	d.told = nil
	d.press("y")
	d.tick(4)
	if len(d.told) > 0 {
		t.Errorf("told again: %q", d.told)
	}
	d.press("esc", "shift+tab", "enter")
	d.see("xy|text")
	if d.edit == nil {
		t.Fatal("the edit closed without a draft")
	}
	d.drawer.fail = nil
	d.press("z")
	d.tick(4)
	d.miss("no draft is kept")
	d.hands("one")
	d.press("ctrl+s")
	d.wrote("put one")
}

func TestKeepForQuitting(t *testing.T) {
	s := newShelf(t)
	d := newDesk(t, s)
	if d.Unsaved() || d.Keep() != nil {
		t.Fatal("there is something to keep")
	}
	d.press("a", "a/b", "tab", "tab", "words", "f2", "ctrl+n", "k", "ctrl+n", "k")
	msg, ok := d.Keep()().(Kept)
	if !ok || msg.Err != nil {
		t.Fatalf("%+v", msg)
	}
	d.hands(unnamed)
	got := d.drawer.kept[unnamed+"/ada"]
	if got.Document.Content.Text != "words" || len(got.Document.Content.Metadata) != 2 || !got.New {
		t.Errorf("kept %+v", got)
	}
	d.send(msg)
	d.drawer.fail = errBroken
	if msg := d.Keep()().(Kept); msg.Err == nil {
		t.Error("nothing is told of a draft that could not be kept")
	}
	alone := sizedDesk(t, s, nil, 80, 20)
	alone.press("a", "x")
	if msg := alone.Keep()().(Kept); msg.Err == nil || !alone.Unsaved() {
		t.Error("a console without drafts kept one")
	}
	alone.press("esc")
	alone.miss("keep draft")
}

func TestADraftFollowsItsName(t *testing.T) {
	s := newShelf(t)
	d := newDesk(t, s)
	d.press("a", "ab")
	d.tick(4)
	d.hands("ab")
	d.press("c")
	d.tick(4)
	d.hands("abc")
	d.press("ctrl+s")
	d.hands()
}

// leftOver holds a draft of one, made of what it is now, and one of somebody else.
func leftOver(t *testing.T, s *shelf, base string) *drawer {
	t.Helper()
	one := doc(t, "one", "typed "+base, map[string]any{"k": "v"})
	return &drawer{kept: map[string]drafts.Draft{
		"one/ada": {ID: one.ID, Base: s.hash("one"), Document: one, At: noon.Add(2 * time.Minute), Owner: "ada"},
		"two/bob": {ID: docID(t, "two"), New: true, Document: doc(t, "two", "bobs", nil), At: noon, Owner: "bob"},
	}}
}

func TestLeftoverDraftsAreOffered(t *testing.T) {
	s := newShelf(t)
	s.add("one", "text", map[string]any{"k": "v"})
	dr := leftOver(t, s, "text")
	d := sizedDesk(t, s, dr, 80, 20)
	d.see("Draft of one from 12:02, based on the newest version", "later", "e continue", "x drop")
	d.press("e")
	if d.edit != nil {
		t.Fatal("a key that was being typed answered")
	}
	d.now = d.now.Add(deafFor)
	d.press("e")
	d.see("typed text", "Edit one")
	d.press("ctrl+s")
	if s.text("one") != "typed text" || len(dr.kept) != 1 {
		t.Errorf("saved %q, drafts %v", s.text("one"), dr.kept)
	}
}

func TestLeftoverDraftsCanWaitOrGo(t *testing.T) {
	s := newShelf(t)
	s.add("one", "text", map[string]any{"k": "v"})
	dr := leftOver(t, s, "text")
	d := sizedDesk(t, s, dr, 80, 20)
	d.now = d.now.Add(deafFor)
	d.press("esc")
	if d.Typing() || len(dr.kept) != 2 {
		t.Fatal("esc did more than to wait")
	}
	d.press("e")
	d.see("continue the draft", "based on the newest version")
	d.press("wait", "esc")
	d.press("e", "wait", "tab", "tab", "enter")
	d.see("Edit one", "text")
	d.miss("typed")
	if len(dr.kept) != 1 {
		t.Error("the draft is still there")
	}
	dr = leftOver(t, s, "text")
	d = sizedDesk(t, s, dr, 80, 20)
	d.now = d.now.Add(deafFor)
	d.press("x")
	if d.Typing() || len(dr.kept) != 1 {
		t.Error("x does not drop the draft")
	}
}

func TestADraftOfAnOlderVersionIsMerged(t *testing.T) {
	s := newShelf(t)
	s.add("one", baseText, map[string]any{"k": "v"})
	dr := leftOver(t, s, baseText)
	s.add("one", elsewhere, map[string]any{"k": "v"})
	d := sizedDesk(t, s, dr, 100, 20)
	d.now = d.now.Add(deafFor)
	d.see("based on an older version")
	d.press("e", "ctrl+s")
	d.see("m merge (clean)")
	d.press("wait", "m")
	if got := s.text("one"); got != "typed a\nb\nc\nd\ne\nf\ng theirs\n" {
		t.Errorf("merged %q", got)
	}
}

func TestADraftOfADeletedDocument(t *testing.T) {
	s := newShelf(t)
	s.add("one", baseText, map[string]any{"k": "v"})
	dr := leftOver(t, s, baseText)
	s.remove("one")
	d := sizedDesk(t, s, dr, 100, 20)
	d.now = d.now.Add(deafFor)
	d.see("was deleted meanwhile")
	d.press("e", "ctrl+s")
	d.see("theirs: deleted")
	d.press("wait", "w")
	if got := s.newest("one"); got == nil || got.Content.Text != "typed "+baseText || got.Content.Metadata["k"] != "v" {
		t.Errorf("saved %+v", got)
	}
}

// TestADraftOfAVersionThatIsGone: history does not hold the base, so that both
// sides are shown and nothing is merged.
func TestADraftOfAVersionThatIsGone(t *testing.T) {
	s := newShelf(t)
	s.add("one", baseText, map[string]any{"k": "v"})
	dr := leftOver(t, s, baseText)
	s.versions = map[string][]shelved{}
	s.add("one", "another", nil)
	d := sizedDesk(t, s, dr, 100, 20)
	d.now = d.now.Add(deafFor)
	d.press("e", "ctrl+s")
	d.see("is not in git's", "another")
	d.miss("m save", "m merge")
	d.press("wait", "w")
	if got := s.newest("one"); got.Content.Text != "typed "+baseText || got.Content.Metadata["k"] != "v" {
		t.Errorf("saved %+v", got)
	}
}

func TestADraftOfANewDocumentIsResumed(t *testing.T) {
	s := newShelf(t)
	s.add("other", "x", nil)
	one := doc(t, "one", "new words", map[string]any{"k": "v"})
	dr := &drawer{kept: map[string]drafts.Draft{"one/ada": {ID: one.ID, New: true, Document: one, At: noon, Owner: "ada"}}}
	d := sizedDesk(t, s, dr, 80, 20)
	d.now = d.now.Add(deafFor)
	d.see("a new document")
	d.press("esc", "a", "tab", "tab", "enter", "esc", "a", "enter", "a", "tab")
	d.see("continue the draft")
	d.press("enter")
	d.see("New document", "new words", "one")
	d.press("ctrl+s")
	if got := s.newest("one"); got == nil || got.Content.Text != "new words" || got.Content.Metadata["k"] != "v" {
		t.Errorf("saved %+v", got)
	}
	if len(dr.kept) != 0 {
		t.Error("the draft is still there")
	}
}

func TestDraftsThatCannotBeListed(t *testing.T) {
	d := sizedDesk(t, newShelf(t), &drawer{fail: errBroken}, 80, 20)
	d.heard("Looking for drafts failed")
	d.press("a")
	d.see("New document")
}

func TestTicksOfAnotherEditEnd(t *testing.T) {
	s := newShelf(t)
	s.add("one", "text", nil)
	d := newDesk(t, s)
	d.press("e", "x", "esc", "tab", "tab", "enter")
	due := append([]tea.Msg(nil), d.ticks...)
	d.press("a")
	d.ticks = due
	d.tick(4)
	d.hands()
	if len(d.ticks) > 0 {
		t.Error("a closed edit still ticks")
	}
}

// TestADraftOfANewDocumentReplacesNoOther: the id on its way to a longer one was
// that of a document whose draft was left over.
func TestADraftOfANewDocumentReplacesNoOther(t *testing.T) {
	s := newShelf(t)
	s.add("one", "text", map[string]any{"k": "v"})
	dr := leftOver(t, s, "text")
	dr.kept[unnamed+"/ada"] = drafts.Draft{ID: docID(t, unnamed), New: true, Document: doc(t, unnamed, "earlier", nil), At: noon, Owner: "ada"}
	d := sizedDesk(t, s, dr, 80, 20)
	d.press("wait", "esc", "a", "tab", "tab", "enter", "one")
	d.tick(4)
	if got := dr.kept["one/ada"].Document.Content.Text; got != "typed text" {
		t.Fatalf("the draft of one holds %q", got)
	}
	d.press("-more", "tab", "tab", "words")
	d.tick(4)
	texts := map[string]string{}
	for name, kept := range dr.kept {
		texts[name] = kept.Document.Content.Text
	}
	want := map[string]string{"one/ada": "typed text", "two/bob": "bobs", unnamed + "/ada": "earlier", "one-more/ada": "words"}
	if !maps.Equal(texts, want) {
		t.Errorf("kept %q", texts)
	}
}
