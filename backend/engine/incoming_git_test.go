package engine

import (
	"context"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestCommitsWaitForAPushThatComesIn: git refuses a push under which the branch
// moves, so that one of many documents never got into a store that was written
// to.
func TestCommitsWaitForAPushThatComesIn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := start(t, detached(dir))
	put(t, h, doc("a", "one"))
	if err := h.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := gitOutput(t, dir, "rev-parse", "main")
	push := filepath.Join(dir, GitDir, "objects", "tmp_objdir-incoming-1")
	waits := func() bool {
		if err := os.Mkdir(push, 0o700); err != nil {
			t.Fatal(err)
		}
		put(t, h, doc("b", "two")) // acknowledged all the same
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		return h.Sync(ctx) != nil
	}
	// A commit that was begun a moment before the push goes on.
	for range 5 {
		if waits() {
			break
		}
		before = gitOutput(t, dir, "rev-parse", "main")
		if err := os.Remove(push); err != nil {
			t.Fatal(err)
		}
	}
	if now := gitOutput(t, dir, "rev-parse", "main"); now != before {
		t.Errorf("main moved from %s to %s under a push", before, now)
	}
	git := filepath.Join(dir, GitDir)
	theirs := runGit(t, git, "commit-tree", "-p", "main", "-m", "theirs", "main^{tree}")
	runGit(t, git, "update-ref", "refs/heads/main", theirs)
	if err := os.Remove(push); err != nil {
		t.Fatal(err)
	}
	if err := h.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if now := runGit(t, git, "rev-parse", "main"); now == theirs {
		t.Error("nothing was committed after the push")
	}
	runGit(t, git, "merge-base", "--is-ancestor", theirs, "main")
	if told := toldAbout(h, "git", Info); len(told) > 0 {
		t.Errorf("told: %q", told)
	}
}

// TestAPushThatDoesNotEndHoldsCommitsUpOnce and only for so long.
func TestAPushThatDoesNotEndHoldsCommitsUpOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		in := newIncoming(dir, time.Now)
		waited := func() time.Duration {
			began := time.Now()
			in.await(t.Context())
			return time.Since(began)
		}
		if d := waited(); d != 0 {
			t.Errorf("%s without a repository", d)
		}
		dead := filepath.Join(dir, "objects", "tmp_objdir-incoming-dead")
		if err := os.MkdirAll(dead, 0o700); err != nil {
			t.Fatal(err)
		}
		if d := waited(); d < incomingMost || d > incomingMost+time.Second {
			t.Errorf("%s for one that was killed", d)
		}
		if d := waited(); d != 0 {
			t.Errorf("%s for one that was waited for", d)
		}
		other := filepath.Join(dir, "objects", "incoming-2")
		if err := os.Mkdir(other, 0o700); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Second, func() {
			if err := os.Remove(other); err != nil {
				t.Error(err)
			}
		})
		if d := waited(); d < time.Second || d > 2*time.Second {
			t.Errorf("%s for another one", d)
		}
		if len(in.overdue) != 1 {
			t.Errorf("%v are overdue", in.overdue)
		}
	})
}

// TestALargePushIsRefusedForEver: git compares the branch with where it was when
// the push began, and shows no sign of one until the other side has compressed
// what it sends. A store that was always written to refused every large push.
func TestALargePushIsRefusedForEver(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		in := newIncoming(dir, time.Now)
		var pushed atomic.Bool
		told := 0
		in.moved = func(context.Context) bool { return pushed.Load() }
		in.refused = func() { told++ }
		waited := func() time.Duration {
			began := time.Now()
			in.await(t.Context())
			return time.Since(began).Round(100 * time.Millisecond)
		}
		push := func(after time.Duration, moves bool) {
			folder := filepath.Join(dir, "objects", "tmp_objdir-incoming-x")
			appear := func() {
				if err := os.MkdirAll(folder, 0o700); err != nil {
					t.Error(err)
				}
			}
			if after == 0 {
				appear()
			} else {
				time.AfterFunc(after, appear)
			}
			time.AfterFunc(after+2*time.Second, func() {
				if err := os.Remove(folder); err != nil {
					t.Error(err)
				}
				time.AfterFunc(incomingGrace/2, func() { pushed.Store(moves) })
			})
		}
		push(0, true)
		if d := waited(); d < 2*time.Second || d > 2*time.Second+incomingGrace || told != 0 {
			t.Errorf("%s for one that is taken, told %d", d, told)
		}
		pushed.Store(false)
		push(0, false)
		push(6*time.Second, true)
		if d := waited(); d < 8*time.Second || d > 8*time.Second+incomingGrace || told != 1 || !pushed.Load() {
			t.Errorf("%s for one that was refused and came again, told %d", d, told)
		}
		pushed.Store(false)
		push(0, false)
		if d := waited(); d > 3*time.Second || told != 1 {
			t.Errorf("%s for one that is refused so soon after, told %d", d, told)
		}
		pause(t.Context(), incomingRest, nil)
		push(0, false)
		if d := waited(); d < incomingAgain || d > incomingAgain+3*time.Second || told != 2 {
			t.Errorf("%s for one that does not come again, told %d", d, told)
		}
		pushed.Store(true) // before a look: nothing comes in
		if d := waited(); d != 0 {
			t.Errorf("%s for none", d)
		}
	})
}
