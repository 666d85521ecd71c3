package gitrepo

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// goesOn reads every version and writes one more, with the Repo that was open
// all the while and with a new one, and lets real git judge it.
func goesOn(t *testing.T, r *Repo, dir string, versions []Hash) []Hash {
	t.Helper()
	versions = append(versions, commit(t, r, put(t, "doc", fmt.Sprint(len(versions)))))
	fresh := opened(t, dir)
	for _, repo := range []*Repo{r, fresh} {
		for i, h := range versions {
			wantFile(t, repo, h, "doc", fmt.Sprint(i))
		}
		look(t, repo, nil)
	}
	if report := verify(t, r); !report.Whole() {
		t.Fatalf("%+v", report)
	}
	closeRepo(t, fresh)
	fsck(t, dir)
	return versions
}

// What git does to a bare repository of its own, it does to ours, and the open
// Repo goes on.
func TestRealGitKeepsHouseWhileTheRepoIsOpen(t *testing.T) {
	needGit(t)
	r, dir := disked(t)
	if err := r.CreateBranch("gone", commit(t, r, put(t, "doc", "0"))); err != nil {
		t.Fatal(err)
	}
	first, err := r.Tip("")
	if err != nil {
		t.Fatal(err)
	}
	versions := []Hash{first}
	for _, args := range []string{
		"pack-refs --all", "prune", "gc --quiet --auto", "repack -adq", "branch -q -D gone", "gc --quiet --prune=now --aggressive",
		"pack-refs --all", "repack -adq --write-midx", "commit-graph write --reachable", "reflog expire --expire=now --all", "prune-packed -q", "maintenance run --quiet",
	} {
		git(t, dir, strings.Fields(args)...)
		versions = goesOn(t, r, dir, versions)
	}
	if got := git(t, dir, "rev-list", "--count", "main"); got != fmt.Sprint(len(versions)) {
		t.Errorf("%s commits of %d", got, len(versions))
	}
	for key, want := range map[string]string{"core.fsync": "all", "core.bare": "true"} {
		if got := git(t, dir, "config", key); got != want {
			t.Errorf("%s is %q", key, got)
		}
	}
	if got := git(t, dir, "symbolic-ref", "HEAD"); got != "refs/heads/main" {
		t.Errorf("HEAD is %q", got)
	}
}

func TestRealGitShowsClonesAndBundles(t *testing.T) {
	needGit(t)
	r, dir := disked(t)
	commit(t, r, put(t, "d/doc", "one\ntwo\n"))
	second := commit(t, r, put(t, "d/doc", "one\nTWO\n"))
	if got := git(t, dir, "log", "--format=%s", "--name-status", "main", "--", "d"); got != "change\n\nM\td/doc\nchange\n\nA\td/doc" {
		t.Errorf("log: %q", got)
	}
	if got := git(t, dir, "show", "--format=%an", second.String()); !strings.HasPrefix(got, "Ann Author") || !strings.Contains(got, "-two\n+TWO") {
		t.Errorf("show: %q", got)
	}
	if got := strings.Split(git(t, dir, "blame", "-s", "main", "--", "d/doc"), "\n"); len(got) != 2 || !strings.HasPrefix(got[1], second.String()[:7]) {
		t.Errorf("blame: %q", got)
	}
	work := t.TempDir()
	bundle := filepath.Join(work, "repo.bundle")
	git(t, dir, "bundle", "create", "-q", bundle, "--all")
	git(t, dir, "bundle", "verify", "-q", bundle)
	for name, source := range map[string]string{"by path": dir, "by transport": "file://" + dir, "from the bundle": bundle} {
		clone := filepath.Join(work, name)
		args := []string{"clone", "-q", source, clone}
		if source == bundle {
			args = []string{"clone", "-q", "-b", "main", source, clone}
		}
		git(t, work, args...)
		if data, err := os.ReadFile(filepath.Join(clone, "d/doc")); err != nil || string(data) != "one\nTWO\n" {
			t.Errorf("%s: %q, %v", name, data, err)
		}
		if got := git(t, clone, "rev-parse", "HEAD"); got != second.String() {
			t.Errorf("%s: at %s", name, got)
		}
	}
	clone := filepath.Join(work, "by transport")
	write(t, filepath.Join(clone, "pushed"), "theirs")
	git(t, clone, "add", ".")
	git(t, clone, "commit", "-q", "-m", "theirs")
	git(t, clone, "push", "-q", "origin", "main", "main:refs/heads/new/branch")
	h := commit(t, r, put(t, "ours", "1"))
	wantFile(t, r, h, "pushed", "theirs")
	git(t, clone, "push", "-q", "origin", "--delete", "new/branch")
	git(t, clone, "pull", "-q", "--ff-only")
	if data, err := os.ReadFile(filepath.Join(clone, "ours")); err != nil || string(data) != "1" {
		t.Errorf("pull: %q, %v", data, err)
	}
	fsck(t, dir)
}

// Somebody forces another history onto main and collects the garbage at once:
// the mark keeps ours.
func TestTheMarkKeepsOurHistoryFromGarbageCollection(t *testing.T) {
	needGit(t)
	r, dir := disked(t)
	var ours []Hash
	for i := range 3 {
		h, err := markedCommit(t, r, put(t, "doc", fmt.Sprint(i)))
		if err != nil {
			t.Fatal(err)
		}
		ours = append(ours, h)
	}
	other := t.TempDir()
	git(t, other, "init", "-q", "-b", "main")
	write(t, filepath.Join(other, "theirs"), "unrelated")
	git(t, other, "add", ".")
	git(t, other, "commit", "-q", "-m", "unrelated")
	git(t, other, "push", "-q", "--force", dir, "main")
	git(t, dir, "reflog", "expire", "--expire=now", "--all")
	git(t, dir, "gc", "-q", "--prune=now")
	fresh := opened(t, dir)
	for _, repo := range []*Repo{r, fresh} {
		wantRef(t, repo, testMark, ours[2])
		for i, h := range ours {
			wantFile(t, repo, h, "doc", fmt.Sprint(i))
		}
		if got := hashes(t, repo, ours[2], LogOptions{}); len(got) != 3 {
			t.Errorf("%d commits", len(got))
		}
		look(t, repo, nil)
	}
	tip, err := r.Tip("")
	if err != nil {
		t.Fatal(err)
	}
	if built, err := r.IsAncestor(context.Background(), ours[2], tip); err != nil || built {
		t.Errorf("%v, %v", built, err)
	}
	if report := verify(t, r); !report.Whole() || report.Unreachable != 0 {
		t.Errorf("%+v", report)
	}
	next, err := markedCommit(t, r, put(t, "doc", "after"))
	if err != nil {
		t.Fatal(err)
	}
	wantFile(t, r, next, "theirs", "unrelated")
	fsck(t, dir)
}
