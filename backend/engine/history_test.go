package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/state"
	"github.com/caiatech/caiatop/backend/store"
)

// gitStands makes git unable to take writes until the function is called.
func gitStands(t *testing.T, dir string) (goesOn func()) {
	t.Helper()
	lock := filepath.Join(dir, GitDir, "refs", "heads", "main.lock")
	if err := os.WriteFile(lock, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(time.Hour) // not taken for that of a dead program
	if err := os.Chtimes(lock, later, later); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(lock); err != nil {
			t.Error(err)
		}
	}
}

func TestHistoryWaitsForGitAndSaysSo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := start(t, detached(dir))
	put(t, h, doc("a", "one"))
	synced(t, h)
	goesOn := gitStands(t, dir)
	put(t, h, doc("a", "two"))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := h.History(ctx, mustID("a"), 10); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the caller's time was up: %v", err)
	}
	if _, err := h.History(t.Context(), mustID("a"), 10); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("git lacks the newest version: %v", err)
	}
	if _, err := h.Undo(t.Context(), mustID("a")); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("git lacks the newest version: %v", err)
	}
	goesOn()
	synced(t, h)
	wantHistory(t, h, "a", "two", "one")
}

func TestAnUndoOfAFoldedEditDeletesTheDocument(t *testing.T) {
	t.Parallel()
	h := start(t, detached(t.TempDir()))
	put(t, h, doc("z", "first commit"))
	synced(t, h)
	var ops []state.Operation // at once, so that git is behind by all of them
	for i := range 2 * gitKeepEvery {
		at := h.o.Now().Add(time.Duration(i))
		op, err := h.operation(t.Context(), doc("a", fmt.Sprint(i)), at, true)
		if err != nil {
			t.Fatal(err)
		}
		ops = append(ops, op)
	}
	op, err := h.operation(t.Context(), doc("b", "one"), h.o.Now(), true)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.o.State.Append(t.Context(), append(ops, op)); err != nil {
		t.Fatal(err)
	}
	h.appended()
	synced(t, h)
	wantHistory(t, h, "a", fmt.Sprint(2*gitKeepEvery-1))
	if c, err := h.Undo(t.Context(), mustID("a")); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("the version before was not kept, the undo is %+v, %v", c, err)
	}
	if c, err := h.Undo(t.Context(), mustID("b")); err != nil || c.Before != nil {
		t.Errorf("b was created in that batch: %+v, %v", c, err)
	}
}

func TestHistoryThatOthersMade(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	work := filepath.Join(t.TempDir(), "work")
	git := func(args ...string) {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-C", work, "-c", "user.name=Ann", "-c", "user.email=ann@example.org"}, args...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	folder := filepath.Join(work, "documents", "text", "2024", "05", "a")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	git("init", "-q", "-b", "main")
	for _, text := range []string{"one", "two"} {
		for name, data := range map[string]string{"metadata.json": `{"id":"a","source":{"type":"text"},"metadata":{}}`, "content.txt": text} {
			if err := os.WriteFile(filepath.Join(folder, name), []byte(data), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		git("add", "-A")
		git("commit", "-qm", "by Ann")
	}
	git("clone", "-q", "--bare", work, filepath.Join(dir, GitDir))
	h := start(t, detached(dir))
	await(t, h, "adopted", func(s *Stats) bool { return s.Documents == 1 })
	wantHistory(t, h, "a", "two", "one")
	undo(t, h, "a")
	wantText(t, h, "a", "one")
	wantHistory(t, h, "a", "one", "two", "one")
	if r, err := h.History(t.Context(), mustID("a"), 2); err != nil || len(r) != 2 || r[1].Author != "Ann" {
		t.Errorf("%+v, %v", r, err)
	}

	// Files beside the document make revisions, but no versions.
	synced(t, h)
	git("remote", "add", "state", filepath.Join(dir, GitDir))
	git("pull", "-q", "--rebase=false", "state", "main")
	if err := os.WriteFile(filepath.Join(folder, "notes.pdf"), []byte("beside"), 0o600); err != nil {
		t.Fatal(err)
	}
	git("add", "-A")
	git("commit", "-qm", "a file beside")
	git("push", "-q", "state", "main")
	if c, err := h.Undo(t.Context(), mustID("a")); err != nil || c.Before == nil || c.Before.Content.Text != "two" {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestUndoAfterAConflict(t *testing.T) {
	t.Parallel()
	address := service(t, "k")
	h := start(t, external(t.TempDir(), address))
	awaitState(t, h, StatePrimary)
	put(t, h, doc("a", "base"))
	await(t, h, "every store in step", inStep)
	if err := h.Fallback(t.Context()); err != nil {
		t.Fatal(err)
	}
	read := newest(t, h, "a")
	theirs := read.Document.Clone()
	theirs.Content.Text = "theirs"
	if _, err := colleague(t, address).Apply(t.Context(), store.Batch{
		Ops: []store.Op{{Key: store.Key{ID: mustID("a"), Folder: read.Folder}, Doc: &theirs}}, Author: h.o.Author, At: time.Now(),
	}); err != nil {
		t.Fatal(err)
	}
	put(t, h, doc("a", "ours"))
	if err := h.Recover(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	awaitState(t, h, StatePrimary)
	await(t, h, "every store in step", inStep)
	wantHistory(t, h, "a", "theirs", "ours", "base")
	undo(t, h, "a")
	wantText(t, h, "a", "ours")
	told := false
	for _, ev := range h.Journal().Since(0) {
		told = told || (ev.Kind == "conflict" && strings.Contains(ev.Next, "Compare"))
	}
	if !told {
		t.Error("nothing says what to do about the conflict")
	}
}
