package gitrepo

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
)

func TestBranches(t *testing.T) {
	both(t, func(t *testing.T, r *Repo) {
		first := commit(t, r, put(t, "a", "1"))
		if err := r.CreateBranch("topic/one", first); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]error{"topic/one": ErrExists, "topic": ErrInvalid, "topic/one/more": ErrInvalid, "-x": ErrInvalid, "a b": ErrInvalid} {
			if err := r.CreateBranch(name, first); !errors.Is(err, want) {
				t.Errorf("%s: got %v, want %v", name, err, want)
			}
		}
		if err := r.CreateBranch("ghost", Hash{9}); !errors.Is(err, ErrNotFound) {
			t.Errorf("a branch at no commit: %v", err)
		}
		second := commitOn(t, r, "topic/one", when, put(t, "a", "2"))
		got, err := r.Branches()
		if err != nil || len(got) != 2 || got[0] != (Branch{"main", first}) || got[1] != (Branch{"topic/one", second}) {
			t.Fatalf("%v, %v", got, err)
		}
		if err := r.DeleteBranch("topic/one"); err != nil {
			t.Fatal(err)
		}
		if err := r.DeleteBranch("topic/one"); !errors.Is(err, ErrNotFound) {
			t.Errorf("second delete: %v", err)
		}
		// The folder that the deleted branch left is no obstacle.
		if err := r.CreateBranch("topic", second); err != nil {
			t.Fatal(err)
		}
		if err := r.SetRef(context.Background(), "refs/caiatop/last", second); err != nil {
			t.Fatal(err)
		}
		if h, err := r.Ref("refs/caiatop/last"); err != nil || h != second {
			t.Fatalf("%s, %v", h, err)
		}
		if err := r.SetRef(context.Background(), "HEAD", second); !errors.Is(err, ErrInvalid) {
			t.Errorf("HEAD: %v", err)
		}
	})
}

func TestPackedRefs(t *testing.T) {
	needGit(t)
	r, dir := disked(t)
	first := commit(t, r, put(t, "a", "1"))
	for _, name := range []string{"gone", "stays"} {
		if err := r.CreateBranch(name, first); err != nil {
			t.Fatal(err)
		}
	}
	git(t, dir, "tag", "-a", "-m", "v", "v1", "main")
	git(t, dir, "pack-refs", "--all", "--prune")
	if h, err := r.Tip(""); err != nil || h != first {
		t.Fatalf("%s, %v", h, err)
	}
	second := commit(t, r, put(t, "a", "2"))
	if err := r.DeleteBranch("gone"); err != nil {
		t.Fatal(err)
	}
	if err := r.DeleteBranch("main"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Tip(""); !errors.Is(err, ErrNotFound) {
		t.Fatalf("a deleted branch came back from packed-refs: %v", err)
	}
	if err := r.CreateBranch("main", second); err != nil {
		t.Fatal(err)
	}
	got, err := r.Branches()
	if err != nil || len(got) != 2 || got[0].Tip != second || got[1] != (Branch{"stays", first}) {
		t.Fatalf("%v, %v", got, err)
	}
	if got := git(t, dir, "for-each-ref", "--format=%(refname)"); got != "refs/heads/main\nrefs/heads/stays\nrefs/tags/v1" {
		t.Fatalf("git sees %q", got)
	}
	fsck(t, dir)
}

func TestDamagedRefs(t *testing.T) {
	r, dir := disked(t)
	commit(t, r, put(t, "a", "1"))
	main := filepath.Join(dir, "refs", "heads", "main")
	for name, content := range map[string]string{"empty": "", "junk": "not a hash\n", "circle": "ref: refs/heads/main\n", "outside": "ref: ../../secret\n"} {
		write(t, main, content)
		if _, err := r.Tip(""); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := r.Commit(context.Background(), CommitInput{Changes: []Change{put(t, "a", "2")}, Author: ann, At: when}); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: a commit over it: %v", name, err)
		}
	}
}
