package gitrepo

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

func look(t *testing.T, r *Repo, want error) {
	t.Helper()
	if err := r.Look(); !errors.Is(err, want) {
		t.Fatalf("look: %v, want %v", err, want)
	}
}

// restore is Restore of main, last seen at tip.
func restore(t *testing.T, r *Repo, dir string, tip Hash) Restored {
	t.Helper()
	done, err := r.Restore(t.Context(), Main, tip, dir+".aside")
	if err != nil {
		t.Fatal(err)
	}
	look(t, r, nil)
	return done
}

func TestADeletedRepositoryIsWrittenAgainFromOpenFiles(t *testing.T) {
	r, dir := disked(t)
	commit(t, r, put(t, "a", "one"))
	tip := commit(t, r, put(t, "b", "two"))
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	look(t, r, ErrGone)
	if done := restore(t, r, dir, tip); !done.Whole || !done.Written || done.Aside != "" {
		t.Fatalf("%+v", done)
	}
	if now, err := r.Tip(Main); err != nil || now != tip {
		t.Fatalf("%s, %v, want %s", now, err, tip)
	}
	next := commit(t, r, put(t, "c", "three"))
	fsck(t, dir)
	again := opened(t, dir)
	wantFile(t, again, next, "a", "one")
	wantFile(t, again, next, "c", "three")
}

func TestACommitOverVanishedPacksIsRefused(t *testing.T) {
	r, dir := disked(t)
	tip := commit(t, r, put(t, "a", "one"))
	if err := os.RemoveAll(filepath.Join(dir, "objects")); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "objects", "pack"), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := r.Commit(t.Context(), CommitInput{Changes: []Change{put(t, "b", "two")}, Message: "m", At: time.Now(), Author: Signature{"a", "a@example.org"}})
	if !errors.Is(err, ErrLost) {
		t.Fatalf("the branch would have a history that is not there: %v", err)
	}
	wantFile(t, r, tip, "a", "one") // still read
	if done := restore(t, r, dir, tip); !done.Whole {
		t.Fatalf("%+v", done)
	}
	commit(t, r, put(t, "b", "two"))
	fsck(t, dir)
}

func TestARepositoryDamagedBeforeItWasOpenedIsMovedAside(t *testing.T) {
	r, dir := disked(t)
	tip := commit(t, r, put(t, "a", "one"))
	closeRepo(t, r)
	if err := os.RemoveAll(filepath.Join(dir, "objects", "pack")); err != nil {
		t.Fatal(err)
	}
	r = opened(t, dir)
	done := restore(t, r, dir, Hash{})
	if done.Whole || done.Aside != dir+".aside" {
		t.Fatalf("%+v", done)
	}
	if now, err := os.ReadFile(filepath.Join(done.Aside, "refs", "heads", Main)); err != nil || string(now) != tip.String()+"\n" {
		t.Errorf("what was there is %q, %v", now, err)
	}
	wantFile(t, r, commit(t, r, put(t, "b", "two")), "b", "two")
	fsck(t, dir)
}

func TestAWholeRepositoryIsLeftAlone(t *testing.T) {
	r, dir := disked(t)
	tip := commit(t, r, put(t, "a", "one"))
	if done := restore(t, r, dir, tip); !done.Whole || done.Aside != "" {
		t.Fatalf("%+v", done)
	}
	if now, err := r.Tip(Main); err != nil || now != tip {
		t.Fatalf("%s, %v", now, err)
	}
	if done, err := NewMemory(Options{}).Restore(t.Context(), Main, tip, ""); err != nil || !done.Whole {
		t.Fatalf("in memory: %+v, %v", done, err)
	}
}

func TestSomethingElseInThePlaceOfTheRepositoryIsLeftAlone(t *testing.T) {
	r, dir := disked(t)
	tip := commit(t, r, put(t, "a", "one"))
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "letter.txt"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if done, err := r.Restore(t.Context(), Main, tip, dir+".aside"); !errors.Is(err, ErrInvalid) {
		t.Fatalf("%+v, %v", done, err)
	}
	if data, err := os.ReadFile(filepath.Join(dir, "letter.txt")); err != nil || string(data) != "mine" {
		t.Errorf("%q, %v", data, err)
	}
}

// Garbage collection removes packs, too: what it keeps is elsewhere, and what
// nothing names any more is no loss.
func TestGarbageCollectionIsNoLoss(t *testing.T) {
	needGit(t)
	r, dir := disked(t)
	commit(t, r, put(t, "a", "one"))
	tip := commit(t, r, put(t, "a", "two"))
	git(t, dir, "gc", "-q", "--prune=now")
	look(t, r, nil)
	commitOn(t, r, "side", time.Now(), put(t, "b", "gone soon"))
	git(t, dir, "branch", "-D", "side")
	git(t, dir, "reflog", "expire", "--expire=now", "--all")
	git(t, dir, "gc", "-q", "--prune=now")
	look(t, r, ErrLost) // it cannot be told from a loss before everything was walked
	if done := restore(t, r, dir, tip); !done.Whole || done.Written || done.Aside != "" {
		t.Fatalf("%+v", done)
	}
	next := commit(t, r, put(t, "a", "three"))
	git(t, dir, "gc", "-q", "--prune=now")
	look(t, r, nil)
	wantFile(t, r, next, "a", "three")
	fsck(t, dir)
}

// The branch file is torn or names nothing: what was there last is whole.
func TestATornBranchFileStopsTheRestore(t *testing.T) {
	for name, text := range map[string]string{"empty": "", "no name": "xyz\n", "nowhere": "1111111111111111111111111111111111111111\n"} {
		t.Run(name, func(t *testing.T) {
			r, dir := disked(t)
			commit(t, r, put(t, "a", "one"))
			tip := commit(t, r, put(t, "b", "two"))
			if err := os.WriteFile(filepath.Join(dir, "refs", "heads", Main), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if done := restore(t, r, dir, tip); !done.Whole || !done.Written || done.Aside != "" {
				t.Fatalf("%+v", done)
			}
			if now, err := r.Tip(Main); err != nil || now != tip {
				t.Fatalf("%s, %v, want %s", now, err, tip)
			}
			fsck(t, dir)
		})
	}
}

// A pack is gone and its index is not: open, it is still read, and nobody who
// opens the repository later can.
func TestAPackWithoutItsDataPassesForStored(t *testing.T) {
	r, dir := disked(t)
	tip := commit(t, r, put(t, "a", "one"))
	for _, pack := range matches(t, dir, "objects/pack/*.pack") {
		if err := os.Remove(pack); err != nil {
			t.Fatal(err)
		}
	}
	look(t, r, ErrLost)
	if done := restore(t, r, dir, tip); !done.Whole || !done.Written {
		t.Fatalf("%+v", done)
	}
	fsck(t, dir)
	wantFile(t, opened(t, dir), tip, "a", "one")
}

func TestARepositoryWithoutItsConfigurationPassesForWhole(t *testing.T) {
	r, dir := disked(t)
	tip := commit(t, r, put(t, "a", "one"))
	if err := os.Remove(filepath.Join(dir, "config")); err != nil {
		t.Fatal(err)
	}
	look(t, r, ErrGone)
	if done := restore(t, r, dir, tip); !done.Whole {
		t.Fatalf("%+v", done)
	}
	fsck(t, dir)
	wantFile(t, opened(t, dir), tip, "a", "one")
}

func TestADamagedRepositoryStaysWhereItMayNotBeMoved(t *testing.T) {
	r, dir := disked(t)
	if err := os.WriteFile(filepath.Join(dir, "refs", "heads", Main), []byte("xyz\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Restore(t.Context(), Main, Hash{}, ""); !errors.Is(err, ErrCorrupt) {
		t.Fatalf("got %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "refs", "heads", Main)); err != nil {
		t.Fatal(err)
	}
}

// Git takes objects that no reference leads to yet out of their packs, as those
// of a commit that is being made: they are files of their own then.
func TestObjectsThatGitUnpacksAreNotLost(t *testing.T) {
	needGit(t)
	r, dir := disked(t)
	commit(t, r, put(t, "a", "1"))
	early, err := stage(plumbing.BlobObject, []byte("stored before its reference moves"))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.objects.store(context.Background(), []staged{early}); err != nil {
		t.Fatal(err)
	}
	git(t, dir, "repack", "-Adq")
	tip := commit(t, r, put(t, "a", "2"))
	look(t, r, nil)
	if o, err := r.objects.object(early.hash); err != nil || string(o.data) != string(early.data) {
		t.Errorf("%q, %v", o.data, err)
	}
	wantFile(t, r, tip, "a", "2")
}
