package engine

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// TestCommitsWaitForAPushThatComesIn: git refuses a push under which the branch
// moves, so that one of many documents never got into a store that was written
// to.
func TestCommitsWaitForAPushThatComesIn(t *testing.T) {
	dir := t.TempDir()
	h := start(t, detached(dir))
	put(t, h, doc("a", "one"))
	if err := h.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := gitOutput(t, dir, "rev-parse", "main")
	push := filepath.Join(dir, GitDir, "objects", "tmp_objdir-incoming-1")
	if err := os.Mkdir(push, 0o700); err != nil {
		t.Fatal(err)
	}
	put(t, h, doc("b", "two")) // acknowledged all the same
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := h.Sync(ctx); err == nil {
		t.Error("git is in step while a push comes in")
	}
	if now := gitOutput(t, dir, "rev-parse", "main"); now != before {
		t.Errorf("main moved from %s to %s under a push", before, now)
	}
	if err := os.Remove(push); err != nil {
		t.Fatal(err)
	}
	if err := h.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if now := gitOutput(t, dir, "rev-parse", "main"); now == before {
		t.Error("nothing was committed after the push")
	}
}

// TestAPushThatDoesNotEndHoldsCommitsUpOnce and only for so long.
func TestAPushThatDoesNotEndHoldsCommitsUpOnce(t *testing.T) {
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
