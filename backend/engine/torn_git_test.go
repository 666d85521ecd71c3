package engine

import (
	"os"
	"path/filepath"
	"testing"
)

// TestATornBranchFileIsPutRightAtTheStart, with its history, and the event says
// what happened. The store is one that git clone made: other git programs sync
// what they write to it from then on.
func TestATornBranchFileIsPutRightAtTheStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := start(t, detached(dir))
	put(t, h, doc("a", "one"))
	taken(t, h)
	put(t, h, doc("a", "two"))
	taken(t, h)
	stop(t, h)
	git := filepath.Join(dir, GitDir)
	was := runGit(t, git, "rev-parse", "main")
	runGit(t, git, "config", "--unset", "core.fsync")
	if err := os.WriteFile(filepath.Join(git, "refs", "heads", "main"), []byte("garbage\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	h = start(t, detached(dir))
	put(t, h, doc("b", "three"))
	taken(t, h)
	wantText(t, h, "a", "two")
	wantEvent(t, h, "git", "deleted or damaged")
	runGit(t, git, "merge-base", "--is-ancestor", was, "main")
	if got := runGit(t, git, "config", "--local", "core.fsync"); got != "all" {
		t.Errorf("core.fsync is %q", got)
	}
}
