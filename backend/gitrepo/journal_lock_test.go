package gitrepo

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/durable"
)

// A lock that is held for long is written anew, so that nobody takes it for that
// of a dead program.
func TestALongHeldLockStaysOurs(t *testing.T) {
	r, dir := journaled(t)
	release := paused(r)
	defer release()
	chain(t, r, "", put(t, "a", "1"))
	path := filepath.Join(dir, "refs/heads/main.lock")
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	hold := r.journal.hold("refs/heads/main")
	for range 2 {
		r.journal.refs.now = func() time.Time { return time.Now().Add(2 * holdRenewed) }
		if err := hold.keep(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if after, err := os.Stat(path); err != nil || after.Size() != before.Size()+2 || !r.journal.refs.isHold(path) {
		t.Fatalf("%v, %v", after, err)
	}
	r.journal.refs.now = time.Now
	release()
	closeRepo(t, r)
	wantGone(t, path)
}

// A branch that another program moved though it was locked is left where it is.
// What was acknowledged is read and kept, and nothing more is.
func TestABranchThatWasMovedInSpiteOfItsLockIsLeftAlone(t *testing.T) {
	needGit(t)
	dir := filepath.Join(t.TempDir(), "repo.git")
	r, err := OpenDisk(dir, Options{Journal: true})
	if err != nil {
		t.Fatal(err)
	}
	commit(t, r, put(t, "first", "1"))
	release := paused(r)
	h := chain(t, r, "", put(t, "a", "1"))
	if err := os.Remove(filepath.Join(dir, "refs/heads/main.lock")); err != nil {
		t.Fatal(err)
	}
	theirs := git(t, dir, "commit-tree", "-p", "main", "-m", "theirs", "main^{tree}")
	git(t, dir, "update-ref", "refs/heads/main", theirs)
	release()
	for range 3 { // the first finds that the lock is gone
		err = r.journal.publish(t.Context(), true)
	}
	if !errors.Is(err, ErrDiverged) {
		t.Fatalf("%v, want ErrDiverged", err)
	}
	if _, err := inChain(r, "", put(t, "b", "1")); !errors.Is(err, ErrDiverged) {
		t.Fatalf("%v, want ErrDiverged", err)
	}
	wantFile(t, r, h, "a", "1")
	if err := r.Close(); !errors.Is(err, ErrDiverged) {
		t.Fatalf("%v, want ErrDiverged", err)
	}
	if now := git(t, dir, "rev-parse", "main"); now != theirs {
		t.Fatalf("the branch is at %s, not at %s", now, theirs)
	}
	if _, err := OpenDisk(dir, Options{Journal: true}); !errors.Is(err, ErrDiverged) {
		t.Fatalf("%v, want ErrDiverged", err)
	}
	if kept := git(t, dir, "rev-parse", keptPrefix+h.String()); kept != h.String() {
		t.Fatalf("kept is %s", kept)
	}
	fsck(t, dir)
}

// clinging is a file system that does not remove locks while hold is set.
type clinging struct {
	durable.FS
	hold *atomic.Bool
}

func (c clinging) Remove(name string) error {
	if strings.HasSuffix(name, "main.lock") && c.hold.Load() {
		return &os.PathError{Op: "remove", Path: name, Err: syscall.EIO}
	}
	return c.FS.Remove(name)
}

// Nobody but this process may remove the lock of its journal: if that fails, it
// is tried again before the branch is wanted next.
func TestALockThatCannotBeRemovedBlocksItsBranchForEver(t *testing.T) {
	hold := &atomic.Bool{}
	v, _ := durable.Volume{}.Track()
	dir := filepath.Join(t.TempDir(), "repo.git")
	r, err := OpenDisk(dir, Options{Volume: durable.Volume{FS: clinging{v.FS, hold}}, Journal: true})
	if err != nil {
		t.Fatal(err)
	}
	defer closeRepo(t, r)
	commit(t, r, put(t, "first", "1"))
	// A file system of tests has no locks of processes; this is that of ours.
	lock, err := lockJournal(durable.Volume{}, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := lock.Release(); err != nil {
			t.Error(err)
		}
	}()
	hold.Store(true)
	chain(t, r, "", put(t, "a", "1"))
	if err := r.journal.publish(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if _, err := inChain(r, "", put(t, "a", "2")); !errors.Is(err, syscall.EIO) {
		t.Fatalf("%v, want EIO", err)
	}
	hold.Store(false)
	chain(t, r, "", put(t, "a", "2"))
	commit(t, r, put(t, "b", "1"))
}
