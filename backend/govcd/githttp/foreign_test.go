package githttp

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caiatech/caiatop/backend/gitrepo"
)

// TestWhatGitMakes is cloned object by object: tags of tags, of a tree and of a
// file, links, submodules, empty commits, merges of three, a detached HEAD.
func TestWhatGitMakes(t *testing.T) {
	work := filepath.Join(t.TempDir(), "work")
	git(t, "", "init", "-q", "-b", "main", work)
	for _, c := range [][2]string{{"user.name", "A"}, {"user.email", "a@b"}} {
		git(t, work, "config", c[0], c[1])
	}
	if err := os.Symlink("nowhere", filepath.Join(work, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(work, "run"), []byte("#!/bin/sh\n"), 0o755); err != nil { //nolint:gosec // it is a program
		t.Fatal(err)
	}
	for _, args := range []string{
		"commit -q --allow-empty -m empty",
		"update-index --add --cacheinfo 160000,1111111111111111111111111111111111111111,sub",
		"add link run", "commit -q -m files",
		"branch a HEAD^", "branch b HEAD^",
		"checkout -q a", "commit -q --allow-empty -m a", "checkout -q b", "commit -q --allow-empty -m b",
		"checkout -q main", "commit -q --allow-empty -m main", "merge -q -m three a b",
		"tag -m one one", "tag -m two two one", "tag -m file file HEAD:run", "tag -m tree tree HEAD^{tree}", "tag lightfile HEAD:link",
	} {
		git(t, work, strings.Fields(args)...)
	}
	bare := filepath.Join(t.TempDir(), "bare.git")
	git(t, "", "clone", "-q", "--bare", work, bare)
	r, err := gitrepo.OpenDisk(bare, gitrepo.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}()
	url := serve(t, r, Options{})
	all := git(t, work, "rev-list", "--objects", "--all", "--no-object-names")
	for _, v := range []int{0, 2} {
		dir := filepath.Join(t.TempDir(), "c")
		git(t, "", "-c", version(v), "clone", "-q", "--mirror", url, dir)
		if got := git(t, dir, "rev-list", "--objects", "--all", "--no-object-names"); got != all {
			t.Errorf("version %d: the objects are\n%s\nwant\n%s", v, got, all)
		}
		if got, want := git(t, dir, "show-ref"), git(t, bare, "show-ref"); got != want {
			t.Errorf("version %d: the references are\n%s\nwant\n%s", v, got, want)
		}
		fsck(t, dir)
	}
	git(t, bare, "update-ref", "--no-deref", "HEAD", "main^2")
	dir := filepath.Join(t.TempDir(), "c")
	git(t, "", "clone", "-q", url, dir)
	if got, want := git(t, dir, "rev-parse", "HEAD"), git(t, bare, "rev-parse", "main^2"); got != want {
		t.Errorf("a detached HEAD is at %s, want %s", got, want)
	}
}
