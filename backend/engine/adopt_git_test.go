package engine

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestANewStateTakesTheVersionThatWeWrite of a document that somebody moved: it
// lies in git twice from then on, and only one of the two is written to.
func TestANewStateTakesTheVersionThatWeWrite(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := start(t, detached(dir))
	put(t, h, doc("a", "one"))
	taken(t, h)
	c := cloneOf(t, dir)
	was := newest(t, h, "a").Folder.String()
	// The name sorts before that of the old folder, and after it.
	for _, month := range []string{"aaa/2020-01", "zzz/2020-01"} {
		away := filepath.Join(c.dir, "documents", month, "0/0/0/a")
		if err := os.MkdirAll(away, 0o700); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"metadata.json", "content.txt"} {
			data, err := os.ReadFile(filepath.Join(c.dir, was, name))
			if err != nil {
				t.Fatal(err)
			}
			c.file(filepath.Join(away, name), string(data))
		}
	}
	if err := os.RemoveAll(filepath.Join(c.dir, was)); err != nil {
		t.Fatal(err)
	}
	c.push(h)
	taken(t, h)
	put(t, h, doc("a", "written after the move"))
	taken(t, h)
	stop(t, h)
	losesItsState(t, dir)
	h = start(t, detached(dir))
	taken(t, h)
	wantText(t, h, "a", "written after the move")
	if found := newest(t, h, "a"); found.Folder.String() != was {
		t.Errorf("it lies in %s, not in %s", found.Folder, was)
	}
	if n := h.Stats().Documents; n != 1 {
		t.Errorf("%d documents", n)
	}
	wantEvent(t, h, "git", "lies in "+was+" already")
}

// TestANewStateBringsADeletedBranchBack: its first commit would have let go of
// every document.
func TestANewStateBringsADeletedBranchBack(t *testing.T) {
	t.Parallel()
	for _, to := range []string{"", "main~1"} {
		dir := t.TempDir()
		h := start(t, detached(dir))
		put(t, h, doc("a", "one"))
		taken(t, h)
		put(t, h, doc("b", "two"))
		taken(t, h)
		stop(t, h)
		git := filepath.Join(dir, GitDir)
		was := runGit(t, git, "rev-parse", "main")
		if to == "" {
			runGit(t, git, "update-ref", "-d", "refs/heads/main")
		} else {
			runGit(t, git, "update-ref", "refs/heads/main", to)
		}
		losesItsState(t, dir)
		h = start(t, detached(dir))
		put(t, h, doc("c", "three"))
		taken(t, h)
		wantText(t, h, "a", "one")
		wantText(t, h, "b", "two")
		wantText(t, h, "c", "three")
		if n := h.Stats().Documents; n != 3 {
			t.Errorf("main at %q: %d documents", to, n)
		}
		runGit(t, git, "merge-base", "--is-ancestor", was, "main")
		stop(t, h)
	}
}

// TestANewStateSaysWhatItLeavesOut: what lies among the documents of a
// repository and cannot be shown as one was counted, and nobody was told.
func TestANewStateSaysWhatItLeavesOut(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := start(t, detached(dir))
	put(t, h, doc("a", "one"))
	taken(t, h)
	c := cloneOf(t, dir)
	c.file("documents/text/2026/11/"+strings.Repeat("n", 201)+"/metadata.json", "{}")
	if err := os.Symlink("text", filepath.Join(c.dir, "documents", "latest")); err != nil {
		t.Fatal(err)
	}
	at := c.commit("theirs")
	c.git("update-index", "--add", "--cacheinfo", "160000,"+at+",documents/module")
	c.git("commit", "-q", "-m", "more")
	c.git("push", "-q", "origin", "main")
	lookNow(h)
	taken(t, h)
	wantEvent(t, h, "git", "documents/module (submodule)")
	stop(t, h)
	losesItsState(t, dir)
	h = start(t, detached(dir))
	taken(t, h)
	wantText(t, h, "a", "one")
	wantEvent(t, h, "git", "documents/latest (symbolic link), documents/module (submodule), documents/text/2026/11/nnn")
}
