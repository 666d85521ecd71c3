package engine

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/store"
)

func newest(t *testing.T, h *Host, id string) Found {
	t.Helper()
	found, err := h.Get(t.Context(), mustID(id))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// replace writes another text over what is there.
func replace(t *testing.T, h *Host, id, text string) {
	t.Helper()
	found := newest(t, h, id)
	found.Document.Content.Text = text
	if _, err := h.Replace(t.Context(), found.Document, found.Hash); err != nil {
		t.Fatal(err)
	}
}

// undo does the inverse of the newest change.
func undo(t *testing.T, h *Host, id string) Change {
	t.Helper()
	c, err := h.Undo(t.Context(), mustID(id))
	if err != nil {
		t.Fatal(err)
	}
	if c.Before == nil {
		_, err = h.Remove(t.Context(), c.ID, c.Base)
	} else {
		_, err = h.Replace(t.Context(), *c.Before, c.Base)
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// history is a document's, each revision as its text or "deleted", the newest
// first.
func history(t *testing.T, h *Host, id string) []string {
	t.Helper()
	revisions, err := h.History(t.Context(), mustID(id), MaxHistory)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, r := range revisions {
		if r.Deleted {
			out = append(out, "deleted")
			continue
		}
		doc, err := h.GetAt(t.Context(), mustID(id), r.Commit)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, doc.Content.Text)
	}
	return out
}

func wantHistory(t *testing.T, h *Host, id string, want ...string) {
	t.Helper()
	if got := history(t, h, id); !slices.Equal(got, want) {
		t.Errorf("the history of %s is %q, want %q", id, got, want)
	}
}

func synced(t *testing.T, h *Host) {
	t.Helper()
	if err := h.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestReplaceNeedsTheVersionThatWasRead(t *testing.T) {
	t.Parallel()
	h := start(t, detached(t.TempDir()))
	if _, err := h.Replace(t.Context(), doc("a", "one"), document.Hash{1}); !errors.Is(err, store.ErrConflict) {
		t.Errorf("a new document with a base: %v", err)
	}
	if _, err := h.Replace(t.Context(), doc("a", "one"), document.Hash{}); err != nil {
		t.Fatal(err)
	}
	var conflict *ConflictError
	if _, err := h.Replace(t.Context(), doc("a", "again"), document.Hash{}); !errors.As(err, &conflict) || conflict.ID != mustID("a") {
		t.Errorf("a new document that exists: %v", err)
	}
	read := newest(t, h, "a")
	put(t, h, doc("a", "two"))
	if _, err := h.Replace(t.Context(), doc("a", "three"), read.Hash); !errors.Is(err, store.ErrConflict) {
		t.Errorf("over a write that came between: %v", err)
	}
	if _, err := h.Remove(t.Context(), mustID("a"), read.Hash); !errors.Is(err, store.ErrConflict) {
		t.Errorf("removed a newer version: %v", err)
	}
	if _, err := h.Remove(t.Context(), mustID("a"), document.Hash{}); !errors.Is(err, store.ErrConflict) {
		t.Errorf("removed what must not exist: %v", err)
	}
	wantText(t, h, "a", "two")
	read = newest(t, h, "a")
	if _, err := h.Remove(t.Context(), mustID("a"), read.Hash); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Remove(t.Context(), mustID("a"), read.Hash); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("removed twice: %v", err)
	}
	if _, err := h.Replace(t.Context(), doc("a", "three"), read.Hash); !errors.Is(err, store.ErrConflict) {
		t.Errorf("over one that was deleted: %v", err)
	}
	if _, err := h.Replace(t.Context(), doc("a", "three"), document.Hash{}); err != nil {
		t.Errorf("a deleted one is created again: %v", err)
	}
	if writes := h.Stats().Writes; writes != 4 {
		t.Errorf("%d writes are counted, 4 were done: refused ones are none", writes)
	}
}

// Every edit adds one to what it read: none may be lost, whoever wins.
func TestEditorsNeverOverwriteEachOther(t *testing.T) {
	t.Parallel()
	h := start(t, detached(t.TempDir()))
	put(t, h, doc("a", ""))
	const editors, edits = 4, 25
	var lost atomic.Int64
	var all sync.WaitGroup
	for range editors {
		all.Go(func() {
			for done := 0; done < edits; {
				found, err := h.Get(t.Context(), mustID("a"))
				if err != nil {
					t.Error(err)
					return
				}
				found.Document.Content.Text += "x"
				switch _, err := h.Replace(t.Context(), found.Document, found.Hash); {
				case err == nil:
					done++
				case errors.Is(err, store.ErrConflict):
					lost.Add(1)
				default:
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	if n := len(newest(t, h, "a").Document.Content.Text); n != editors*edits {
		t.Errorf("%d edits are there, %d were acknowledged", n, editors*edits)
	}
	t.Logf("%d edits were refused and made again", lost.Load())
}

func TestTheHashOfAnothersVersionIsABase(t *testing.T) {
	t.Parallel()
	address := service(t, "k")
	h := start(t, external(t.TempDir(), address))
	awaitState(t, h, StatePrimary)
	put(t, h, doc("a", "ours"))
	await(t, h, "every store in step", inStep)
	read := newest(t, h, "a")
	theirs := read.Document.Clone()
	theirs.Content.Text = "theirs"
	other := colleague(t, address)
	if _, err := other.Apply(t.Context(), store.Batch{
		Ops: []store.Op{{Key: store.Key{ID: mustID("a"), Folder: read.Folder}, Doc: &theirs}}, Author: h.o.Author, At: time.Now(),
	}); err != nil {
		t.Fatal(err)
	}
	found := newest(t, h, "a")
	if found.Document.Content.Text != "theirs" || found.Hash == read.Hash {
		t.Fatalf("read %q, %s", found.Document.Content.Text, found.Hash)
	}
	if _, err := h.Replace(t.Context(), doc("a", "mine"), read.Hash); !errors.Is(err, store.ErrConflict) {
		t.Errorf("over a change of others: %v", err)
	}
	c, err := h.Undo(t.Context(), mustID("a"))
	if err != nil || c.Base != found.Hash || c.Before == nil || c.Before.Content.Text != "ours" {
		t.Errorf("undo of a change of others: %+v, %v", c, err)
	}
	found.Document.Content.Text = "both"
	if _, err := h.Replace(t.Context(), found.Document, found.Hash); err != nil {
		t.Errorf("the hash that was just read is no base: %v", err)
	}
	wantHistory(t, h, "a", "both", "theirs", "ours")
}

func TestHistoryAndUndoInEveryPhase(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]func(string) Setup{
		"dual":     setup,
		"primary":  func(dir string) Setup { s := setup(dir); s.Phase = PhasePrimary; return s },
		"git-only": func(dir string) Setup { s := setup(dir); s.Phase = PhaseGitOnly; return s },
		"detached": detached,
	} {
		t.Run(name, func(t *testing.T) {
			h := start(t, s(t.TempDir()))
			if _, err := h.History(t.Context(), mustID("a"), 10); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("one that was never there: %v", err)
			}
			first := doc("a", "one")
			first.Content.Raw = []byte{0, 0xff}
			put(t, h, first)
			created := newest(t, h, "a").Document
			replace(t, h, "a", "two")
			if _, err := h.Delete(t.Context(), mustID("a")); err != nil {
				t.Fatal(err)
			}
			wantHistory(t, h, "a", "deleted", "two", "one")
			// Also when every store has passed the delete and the index has forgotten.
			await(t, h, "every store in step", func(s *Stats) bool {
				_, err := h.o.State.Lookup(t.Context(), mustID("a"))
				return errors.Is(err, store.ErrNotFound)
			})
			wantHistory(t, h, "a", "deleted", "two", "one")

			undo(t, h, "a") // the delete
			wantText(t, h, "a", "two")
			if back := newest(t, h, "a").Document; !back.CreatedAt.Equal(created.CreatedAt) || string(back.Content.Raw) != "\x00\xff" ||
				back.Content.Metadata["title"] != "a" {
				t.Errorf("came back as %+v", back)
			}
			wantHistory(t, h, "a", "two", "deleted", "two", "one")
			if c := undo(t, h, "a"); c.Before != nil { // the undo, which created it
				t.Errorf("undone to %+v", c.Before)
			}
			if _, err := h.Get(t.Context(), mustID("a")); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("it was deleted before: %v", err)
			}
			undo(t, h, "a")
			replace(t, h, "a", "three")
			undo(t, h, "a") // an edit
			wantText(t, h, "a", "two")
			undo(t, h, "a") // the undo of the edit
			wantText(t, h, "a", "three")

			put(t, h, doc("b", "one"))
			if c := undo(t, h, "b"); c.Before != nil || c.Now == nil { // a create
				t.Errorf("%+v", c)
			}
			if _, err := h.Get(t.Context(), mustID("b")); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// withExtra is a document with a field that only its metadata.json knows.
func withExtra(t *testing.T, text, extra string) document.Document {
	t.Helper()
	meta := `{"id":"a","source":{"type":"text"},"metadata":{"title":"a"}` + extra + `}`
	d, err := document.FromFiles(map[string][]byte{
		document.MetadataFile: []byte(meta), document.TextFile: []byte(text),
	}, mustType("text"))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func metadataOf(t *testing.T, d document.Document) string {
	t.Helper()
	files, err := d.Files(document.AnyBytes)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f.Name == document.MetadataFile {
			return string(f.Data)
		}
	}
	return ""
}

func TestAnUndoResurrectsAnUnknownField(t *testing.T) {
	t.Parallel()
	h := start(t, detached(t.TempDir()))
	put(t, h, withExtra(t, "one", ""))
	synced(t, h)
	before := newest(t, h, "a").Document
	put(t, h, withExtra(t, "two", `,"later":"added"`))
	if !strings.Contains(metadataOf(t, newest(t, h, "a").Document), "later") {
		t.Fatal("the field is not there")
	}
	plain := before
	plain.UpdatedAt = time.Time{} // from a caller who cannot know of the field
	plain.Content.Text = "three"
	if _, err := h.Replace(t.Context(), plain, newest(t, h, "a").Hash); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(metadataOf(t, newest(t, h, "a").Document), "later") {
		t.Error("an edit lost a field that it does not know")
	}
	undo(t, h, "a")
	wantText(t, h, "a", "two")
	revisions, err := h.History(t.Context(), mustID("a"), 10)
	if err != nil || len(revisions) != 4 {
		t.Fatalf("%+v, %v", revisions, err)
	}
	if _, err := h.Restore(t.Context(), mustID("a"), revisions[3].Commit, newest(t, h, "a").Hash); err != nil {
		t.Fatal(err)
	}
	wantText(t, h, "a", "one")
	if got := metadataOf(t, newest(t, h, "a").Document); strings.Contains(got, "later") {
		t.Errorf("a field came along that the version did not have: %s", got)
	}
}
