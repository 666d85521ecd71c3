package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/durable"
	"github.com/caiatech/caiatop/backend/durable/powercut"
)

// inChain makes a chain of commits upon a branch, each with one change.
func inChain(r *Repo, branch string, changes ...Change) (Hash, error) {
	ctx := context.Background()
	tip, err := r.Tip(branch)
	if err != nil {
		return Hash{}, err
	}
	c, err := r.NewChain(ctx, branch, tip)
	if err != nil {
		return Hash{}, err
	}
	for _, change := range changes {
		if _, err := c.Add(ctx, Link{Changes: []Change{change}, Message: "chained", Author: ann, At: when}); err != nil {
			return Hash{}, err
		}
	}
	return c.Tip(), c.Publish(ctx)
}

func chain(t testing.TB, r *Repo, branch string, changes ...Change) Hash {
	t.Helper()
	h, err := inChain(r, branch, changes...)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func journaledAt(t testing.TB, dir string) *Repo {
	t.Helper()
	r, err := OpenDisk(dir, Options{Journal: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeRepo(t, r) })
	return r
}

// journaled is a repository with a journal and one commit. Nothing is published
// but by those who have to.
func journaled(t testing.TB) (*Repo, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "repo.git")
	r := journaledAt(t, dir)
	commit(t, r, put(t, "first", "1"))
	return r, dir
}

// paused keeps the journal from publishing until the result is called.
func paused(r *Repo) (release func()) {
	r.journal.turn <- struct{}{}
	return sync.OnceFunc(func() { <-r.journal.turn })
}

func wantGone(t *testing.T, paths ...string) {
	t.Helper()
	for _, path := range paths {
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is there: %v", path, err)
		}
	}
}

// What is in the journal is read at once; git sees it when it is published, and
// a clean end leaves nothing of the journal.
func TestACommitInTheJournalIsSeenAtOnce(t *testing.T) {
	needGit(t)
	r, dir := journaled(t)
	release := paused(r)
	defer release()
	before := git(t, dir, "rev-parse", "main")
	chain(t, r, "", put(t, "a/1", "one"), put(t, "a/2", "two"))
	h := chain(t, r, "", put(t, "a/1", "changed"))
	if tip, err := r.Tip(""); err != nil || tip != h {
		t.Fatalf("%s, %v; want %s", tip, err, h)
	}
	branches, err := r.Branches()
	if err != nil || len(branches) != 1 || branches[0].Tip != h {
		t.Fatalf("%v, %v", branches, err)
	}
	wantFile(t, r, h, "a/1", "changed")
	wantFile(t, r, h, "a/2", "two")
	if err := readable(r, h); err != nil {
		t.Fatal(err)
	}
	if whole, err := r.Whole(t.Context(), h); err != nil || !whole {
		t.Fatalf("whole %t, %v", whole, err)
	}
	if now := git(t, dir, "rev-parse", "main"); now != before {
		t.Fatalf("git sees %s", now)
	}
	fsck(t, dir)
	release()
	closeRepo(t, r)
	if now := git(t, dir, "rev-parse", "main"); now != h.String() {
		t.Fatalf("git sees %s, not %s", now, h)
	}
	wantGone(t, segmentPath(dir, 0), segmentPath(dir, 1), filepath.Join(dir, "refs/heads/main.lock"))
	fsck(t, dir)
}

// Whoever writes otherwise finds the references in the files, and builds upon
// what the journal acknowledged.
func TestOtherWritersFindTheJournalPublished(t *testing.T) {
	r, dir := journaled(t)
	for i, write := range []func(tip Hash) error{
		func(Hash) error { _, err := r.Tip(""); commit(t, r, put(t, "c", "1")); return err },
		func(tip Hash) error { return r.CreateBranch("side", tip) },
		func(tip Hash) error { return r.SetRef(t.Context(), "refs/caiatop/last", tip) },
		func(Hash) error { return r.DeleteBranch("side") },
	} {
		h := chain(t, r, "", put(t, "a", fmt.Sprint(i)))
		if err := write(h); err != nil {
			t.Fatal(err)
		}
		if d, ok := r.refs.(*diskRefs); !ok || d.journal.active.end != 0 {
			t.Fatal("the journal has records")
		}
		if now := git(t, dir, "rev-parse", "main"); i > 0 && now != h.String() {
			t.Fatalf("%d: git sees %s, not %s", i, now, h)
		}
	}
	if _, err := r.Tip("side"); !errors.Is(err, ErrNotFound) {
		t.Fatal(err)
	}
}

// Real git cannot move a branch that the journal is ahead of; it tries again
// when that is published, and then is found by the next chain.
func TestGitCannotMoveABranchThatTheJournalIsAheadOf(t *testing.T) {
	needGit(t)
	r, dir := journaled(t)
	release := paused(r)
	defer release()
	was, err := r.Tip("")
	if err != nil {
		t.Fatal(err)
	}
	h := chain(t, r, "", put(t, "a", "1"))
	if out, err := tryGit(dir, "update-ref", "refs/heads/main", was.String()); err == nil || !strings.Contains(out, "main.lock") {
		t.Fatalf("git moved it: %s", out)
	}
	git(t, dir, "pack-refs", "--all")
	git(t, dir, "gc", "--quiet", "--prune=now")
	release()
	if err := r.SetRef(t.Context(), "refs/caiatop/last", h); err != nil {
		t.Fatal(err)
	}
	theirs := git(t, dir, "commit-tree", "-p", "main", "-m", "theirs", "main^{tree}")
	git(t, dir, "update-ref", "refs/heads/main", theirs, h.String())
	c, err := r.NewChain(t.Context(), "", h)
	if err == nil {
		_, err = c.Add(t.Context(), Link{Changes: []Change{put(t, "b", "1")}, Author: ann, At: when})
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Publish(t.Context()); !errors.Is(err, ErrMoved) {
		t.Fatalf("%v, want ErrMoved", err)
	}
	chain(t, r, "", put(t, "b", "2"))
	closeRepo(t, r)
	if log := git(t, dir, "log", "--format=%s", "main"); log != "chained\ntheirs\nchained\nchange" {
		t.Fatal(log)
	}
	fsck(t, dir)
}

// crashed is a copy of a repository with records, as a process that was killed
// leaves it.
func crashed(t *testing.T, changes ...Change) (dir string, before, h Hash) {
	t.Helper()
	r, from := journaled(t)
	release := paused(r)
	before, err := r.Tip("")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range changes {
		h = chain(t, r, "", c)
	}
	dir = copyOf(t, from)
	release()
	return dir, before, h
}

func TestAJournalIsPublishedWhenItIsOpened(t *testing.T) {
	needGit(t)
	for _, journal := range []bool{true, false} {
		dir, _, h := crashed(t, put(t, "a", "1"), put(t, "b", "2"))
		fsck(t, dir)
		r, err := OpenDisk(dir, Options{Journal: journal})
		if err != nil {
			t.Fatal(err)
		}
		if tip, err := r.Tip(""); err != nil || tip != h {
			t.Fatalf("journal %t: %s, %v; want %s", journal, tip, err, h)
		}
		if now := git(t, dir, "rev-parse", "main"); now != h.String() {
			t.Fatalf("git sees %s, not %s", now, h)
		}
		wantGone(t, segmentPath(dir, 0), segmentPath(dir, 1), filepath.Join(dir, "refs/heads/main.lock"))
		commit(t, r, put(t, "c", "3"))
		closeRepo(t, r)
		fsck(t, dir)
	}
}

// The journal of a process that lives is nobody else's.
func TestTheJournalOfALivingProcessIsLeftAlone(t *testing.T) {
	r, dir := journaled(t)
	release := paused(r)
	defer release()
	chain(t, r, "", put(t, "a", "1"))
	var locked *durable.LockedError
	if _, err := OpenDisk(dir, Options{Journal: true}); !errors.As(err, &locked) {
		t.Fatalf("%v, want a LockedError", err)
	}
	other, err := OpenDisk(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer closeRepo(t, other)
	d, ok := other.refs.(*diskRefs)
	if !ok {
		t.Fatal("not on disk")
	}
	path := filepath.Join(dir, "refs/heads/main.lock")
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	d.now = func() time.Time { return info.ModTime().Add(2 * staleAlways) }
	if stale, err := d.stale(path); err != nil || stale {
		t.Fatalf("the lock of a living journal is stale: %t, %v", stale, err)
	}
}

// A branch that somebody moved elsewhere, while no process held it, stays; what
// was acknowledged is kept, and said.
func TestABranchThatLeftTheJournalIsSaid(t *testing.T) {
	needGit(t)
	dir, before, h := crashed(t, put(t, "a", "1"))
	if err := os.Remove(filepath.Join(dir, "refs/heads/main.lock")); err != nil {
		t.Fatal(err)
	}
	theirs := git(t, dir, "commit-tree", "-p", before.String(), "-m", "theirs", "main^{tree}")
	git(t, dir, "update-ref", "refs/heads/main", theirs)
	for range 2 {
		_, err := OpenDisk(dir, Options{Journal: true})
		if !errors.Is(err, ErrDiverged) || !strings.Contains(err.Error(), h.String()) {
			t.Fatalf("%v, want ErrDiverged", err)
		}
		if kept := git(t, dir, "rev-parse", keptPrefix+h.String()); kept != h.String() {
			t.Fatalf("kept is %s", kept)
		}
		fsck(t, dir)
	}
	joined := git(t, dir, "commit-tree", "-p", theirs, "-p", h.String(), "-m", "joined", h.String()+"^{tree}")
	git(t, dir, "update-ref", "refs/heads/main", joined)
	r := journaledAt(t, dir)
	wantFile(t, r, chain(t, r, "", put(t, "b", "1")), "a", "1")
}

// Many readers find every acknowledged commit while segments come and go.
func TestReadersFindWhatTheJournalAcknowledged(t *testing.T) {
	r, dir := journaled(t)
	var tip atomic.Pointer[Hash]
	first, err := r.Tip("")
	if err != nil {
		t.Fatal(err)
	}
	tip.Store(&first)
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				acked := *tip.Load()
				now, err := r.Tip("")
				if err == nil {
					var after bool
					after, err = r.IsAncestor(context.Background(), acked, now)
					if err == nil && !after {
						err = errors.New("the tip is before what was acknowledged")
					}
				}
				if err == nil {
					_, err = r.List(context.Background(), now, pathRoot)
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	const rounds = 30
	for i := range rounds {
		h := chain(t, r, "", put(t, fmt.Sprintf("d/%d/%d", i%5, i), strings.Repeat("x", i)))
		tip.Store(&h)
		if i%4 == 3 {
			if err := r.journal.publish(t.Context(), true); err != nil {
				t.Fatal(err)
			}
		}
	}
	close(stop)
	readers.Wait()
	closeRepo(t, r)
	if n := git(t, dir, "rev-list", "--count", "main"); n != fmt.Sprint(rounds+1) {
		t.Fatalf("%s commits", n)
	}
	fsck(t, dir)
}

// poweredJournal is a repository with a journal on a disk that fails.
func poweredJournal(t *testing.T) (*Repo, *powercut.Disk) {
	t.Helper()
	d := powercut.New()
	r, err := OpenDisk(powerDir, Options{Volume: d.Volume(), Journal: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeRepo(t, r) })
	commit(t, r, put(t, "first", "1"))
	return r, d
}

// While nothing can be published, commits are acknowledged until both segments
// are full, and then refused with the reason. Reading goes on, and so does all
// when the disk is mended.
func TestAJournalThatCannotBePublishedFillsUp(t *testing.T) {
	r, d := poweredJournal(t)
	large := strings.Repeat("0123456789abcdef", 1<<16) // 1 MiB
	chain(t, r, "", put(t, "a", large))
	d.Fail(powercut.Fault{Kind: powercut.Rename, N: 1, Err: syscall.ENOSPC, Lasting: true})
	d.Fail(powercut.Fault{Kind: powercut.Link, N: 1, Err: syscall.ENOSPC, Lasting: true})
	var last Hash
	n := 0
	for ; n < 64; n++ {
		h, err := inChain(r, "", put(t, "a", fmt.Sprint(n)+large))
		if err != nil {
			if !errors.Is(err, durable.ErrDiskFull) {
				t.Fatal(err)
			}
			break
		}
		last = h
	}
	if n < 8 || n > 2*maxSegment>>20 {
		t.Fatalf("%d MiB were acknowledged", n)
	}
	if tip, err := r.Tip(""); err != nil || tip != last {
		t.Fatalf("%s, %v; want %s", tip, err, last)
	}
	wantFile(t, r, last, "a", fmt.Sprint(n-1)+large)
	if r.Maintenance().Err == nil {
		t.Error("nothing says that the journal cannot be published")
	}
	d.Mend()
	h := chain(t, r, "", put(t, "b", "1"))
	if err := r.SetRef(t.Context(), "refs/caiatop/last", h); err != nil {
		t.Fatal(err)
	}
	wantFile(t, r, h, "a", fmt.Sprint(n-1)+large)
	if err := r.Maintenance().Err; err != nil {
		t.Error(err)
	}
}
