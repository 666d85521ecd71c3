package documents

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/backend/store"
	"github.com/caiatech/caiatop/tui/drafts"
)

var (
	_ Source = (*engine.Engine)(nil)
	_ Drafts = (*drafts.Store)(nil)
)

// TestEditOnTheEngine goes through an edit, a conflict, a history, an undo of a
// delete and a draft with the engine and the drafts of the product.
func TestEditOnTheEngine(t *testing.T) {
	host, err := engine.Start(t.Context(), engine.Setup{Dir: t.TempDir(), Phase: engine.PhaseGitOnly, Repository: "r", Detached: true, Author: store.Author{Name: "Ada", Email: "ada@example.org"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := host.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	kept, err := drafts.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	text := func() string {
		found, err := host.Get(t.Context(), docID(t, "one"))
		if err != nil {
			return err.Error()
		}
		return found.Document.Content.Text
	}
	d := deskOn(t, host, kept, 100, 22)
	d.press("a", "one", "tab", "tab", "a", "enter", "b", "enter", "c", "enter", "f2", "ctrl+n", "n", "tab", "1.00", "ctrl+s")
	d.heard("Saved one")
	before, err := host.Get(t.Context(), docID(t, "one"))
	if err != nil || before.Document.Content.Metadata["n"] != json.Number("1.00") {
		t.Fatalf("%+v, %v", before, err)
	}
	d.press("e", "ctrl+s")
	if after, err := host.Get(t.Context(), docID(t, "one")); err != nil || after.Hash != before.Hash {
		t.Errorf("saving without a change made another version: %v", err)
	}

	d.press("e", "mine ")
	theirs := before.Document.Clone()
	theirs.Content.Text = "a\nb\nc theirs\n"
	if _, err := host.Replace(t.Context(), theirs, before.Hash); err != nil {
		t.Fatal(err)
	}
	d.tick(4)
	if list, err := kept.List(t.Context()); err != nil || len(list) != 1 {
		t.Fatalf("%v, %v", list, err)
	}
	again := deskOn(t, host, kept, 100, 22)
	again.see("Draft of one", "based on an older version")
	again.press("wait", "e", "ctrl+s", "wait")
	again.see("m merge (clean)", "+c theirs")
	again.press("m")
	if got := text(); got != "mine a\nb\nc theirs\n" {
		t.Fatalf("merged %q: %q", got, again.told)
	}
	if list, err := kept.List(t.Context()); err != nil || len(list) != 0 {
		t.Fatalf("%v, %v", list, err)
	}

	again.press("H", "G")
	again.see("current")
	again.press("R", "enter")
	if got := text(); got != "a\nb\nc\n" {
		t.Fatalf("restored %q: %q", got, again.told)
	}
	again.press("esc", "x", "one", "enter", "u")
	again.see("Undo  one", "+b")
	again.press("enter")
	if got := text(); got != "a\nb\nc\n" {
		t.Fatalf("after the undo of the delete: %q: %q", got, again.told)
	}
	again.press("u")
	again.see("this deletes it")
}
