package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/caiatech/caiatop/backend/durable"
	"github.com/caiatech/caiatop/backend/durable/powercut"
)

// A faultStep is one that can fail and is done again, word by word.
type faultStep struct {
	name string
	do   func(r *Repo) (Hash, error)
}

// faultySteps are what a process does while its disk fails.
func faultySteps(t testing.TB) []faultStep {
	ctx := context.Background()
	var steps []faultStep
	change := func(name, branch string, n int, changes ...Change) {
		steps = append(steps, faultStep{name, func(r *Repo) (Hash, error) {
			return r.Commit(ctx, CommitInput{Branch: branch, Changes: changes, Message: name, Author: ann, At: when.Add(secondsOf(n))})
		}})
	}
	change("put", Main, 1, put(t, "d/1", "one"))
	steps = append(steps, faultStep{"consolidate", func(r *Repo) (Hash, error) {
		_, err := consolidateOnce(r)
		return Hash{}, err
	}})
	change("batch", Main, 2, put(t, "d/2", "two"), put(t, "e/3", "three"), del(t, "d/1"))
	change("side", sideBranch, 3, put(t, "s", "side"))
	return steps
}

// Whichever change of the disk fails, and with what: the error is typed, the
// same process goes on when the disk does, and what it acknowledges then is
// there after a power cut.
func TestEveryFaultOfTheDiskIsSurvived(t *testing.T) {
	needGit(t)
	base := powercut.New()
	r, err := OpenDisk(powerDir, Options{Volume: base.Volume()})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		commit(t, r, put(t, fmt.Sprintf("d/0%d", i), "before"))
	}
	closeRepo(t, r)
	for _, errno := range []syscall.Errno{syscall.ENOSPC, syscall.EIO} {
		stride := 3
		if raced {
			stride = 7
		}
		if soakRounds(t) > 0 {
			stride = 1
		}
		var judge gitJudge
		n := 1
		for ; judge.sample(t, faulted(t, base, errno, n, n%2*300)); n += stride {
		}
		judge.end(t)
		if n < 40 {
			t.Errorf("%s: the steps change the disk %d times only", errno, n)
		}
		t.Logf("%s at every %d. of %d changes", errno, stride, n)
		if errno == syscall.ENOSPC {
			continue
		}
		// The syncs are few, and what matters most: all of them.
		for n := 1; judge.sample(t, faultedAt(t, base, powercut.Fault{Kind: powercut.SyncDir, N: n, Err: errno})); n++ {
		}
		judge.end(t)
	}
}

// gitJudge lets real git look at every seventh disk that had a fault, and at
// the last one.
type gitJudge struct {
	seen int
	last *powercut.Disk // not looked at yet
}

// sample takes what faulted left, and reports whether anything failed there.
func (g *gitJudge) sample(t *testing.T, left *powercut.Disk) bool {
	t.Helper()
	if left == nil {
		return false
	}
	g.last = left
	if g.seen++; g.seen%7 == 0 {
		g.end(t)
	}
	return true
}

func (g *gitJudge) end(t *testing.T) {
	t.Helper()
	if g.seen == 0 {
		t.Fatal("nothing failed: this test tests nothing")
	}
	if g.last == nil {
		return
	}
	dir := filepath.Join(t.TempDir(), "left.git")
	if err := g.last.Export(powerDir, dir); err != nil {
		t.Fatal(err)
	}
	fsck(t, dir)
	g.last = nil
}

// unsynced is a repository in which a commit failed at its n-th sync of a
// folder, and that commit.
func unsynced(t *testing.T, n int) (*powercut.Disk, *Repo, CommitInput) {
	t.Helper()
	d := powercut.New()
	r, err := OpenDisk(powerDir, Options{Volume: d.Volume()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeRepo(t, r) })
	commit(t, r, put(t, "a", "1"))
	spared(t, r)
	in := CommitInput{Changes: []Change{put(t, "a", "2")}, Message: "the same again", Author: ann, At: when}
	d.Fail(powercut.Fault{Kind: powercut.SyncDir, N: n, Err: syscall.EIO})
	if _, err := r.Commit(context.Background(), in); !errors.Is(err, syscall.EIO) {
		t.Fatalf("the commit whose sync fails: %v", err)
	}
	return d, r, in
}

// The pack of a commit that failed is found when it is made again. It must not
// be taken for stored before its name is durable; so with the branch.
func TestACommitMadeAgainAfterAFailedSyncIsDurable(t *testing.T) {
	for n, folder := range []string{"objects/pack", "refs/heads"} {
		t.Run(folder, func(t *testing.T) {
			d, r, in := unsynced(t, n+1)
			h, err := r.Commit(context.Background(), in)
			if errors.Is(err, ErrNothing) {
				h, err = r.Tip(Main)
			}
			if err != nil {
				t.Fatal(err)
			}
			for seed := range 20 {
				survived(t, d, map[string]Hash{Main: h}, seed)
			}
		})
	}
}

// The same where the process died, and the next one makes the commit again.
func TestACommitMadeAgainByTheNextProcessIsDurable(t *testing.T) {
	for n, folder := range []string{"objects/pack", "refs/heads"} {
		t.Run(folder, func(t *testing.T) {
			d, _, in := unsynced(t, n+1)
			next, err := OpenDisk(powerDir, Options{Volume: d.Volume()})
			if err != nil {
				t.Fatal(err)
			}
			defer closeRepo(t, next)
			h, err := next.Commit(context.Background(), in)
			if errors.Is(err, ErrNothing) {
				h, err = next.Tip(Main)
			}
			if err != nil {
				t.Fatal(err)
			}
			for seed := range 20 {
				survived(t, d, map[string]Hash{Main: h}, seed)
			}
		})
	}
}

// faulted lets the n-th change of the disk fail and returns the disk after it,
// nil if there is no such change.
func faulted(t *testing.T, base *powercut.Disk, errno syscall.Errno, n, short int) *powercut.Disk {
	t.Helper()
	return faultedAt(t, base, powercut.Fault{Kind: powercut.Change, N: n, Err: errno, Short: short})
}

func faultedAt(t *testing.T, base *powercut.Disk, f powercut.Fault) *powercut.Disk {
	t.Helper()
	n, errno := f.N, f.Err
	d := base.Cut(rand.New(rand.NewPCG(1, 1))) // all is synced: a copy
	r, err := OpenDisk(powerDir, Options{Volume: d.Volume()})
	if err != nil {
		t.Fatal(err)
	}
	if n%2 == 0 {
		spared(t, r)
	}
	d.Fail(f)
	tips := map[string]Hash{}
	for i, s := range faultySteps(t) {
		if n%2 == 0 && i > 0 {
			refilled(r)
		}
		h, err := s.do(r)
		if err != nil {
			if !errors.Is(err, errno) || errors.Is(err, durable.ErrDiskFull) != (errno == syscall.ENOSPC) {
				t.Fatalf("%s with fault %d: %v", s.name, n, err)
			}
			h, err = s.do(r)
			// It was done before its last sync failed: the branch is there.
			if errors.Is(err, ErrNothing) {
				h, err = r.Tip(branchOf(s.name))
			}
		}
		if err != nil {
			t.Fatalf("%s after fault %d: %v", s.name, n, err)
		}
		if !h.IsZero() {
			tips[branchOf(s.name)] = h
			survived(t, d, tips, n)
		}
	}
	happened := d.Mend()
	closeRepo(t, r)
	if !happened {
		return nil
	}
	return d
}

// refilled makes spare files as far as the disk lets it.
func refilled(r *Repo) {
	if s, ok := r.objects.(*packStore); ok {
		s.spares.refill()
	}
}

// sideBranch lies in a folder that its first commit makes.
const sideBranch = "deep/side"

func branchOf(step string) string {
	if step == "side" {
		return sideBranch
	}
	return Main
}

// survived cuts the power a few times and looks for what was acknowledged.
func survived(t *testing.T, d *powercut.Disk, tips map[string]Hash, n int) {
	t.Helper()
	for seed := range uint64(2) {
		left := d.Cut(rand.New(rand.NewPCG(seed, uint64(n)))) //nolint:gosec // small
		r, err := OpenDisk(powerDir, Options{Volume: left.Volume()})
		if err != nil {
			t.Fatalf("fault %d, then a cut: %v", n, err)
		}
		for branch, want := range tips {
			tip, err := r.Tip(branch)
			if err == nil {
				err = readable(r, tip)
			}
			if err != nil || tip != want {
				t.Fatalf("fault %d, then a cut: %s is at %s, want %s: %v", n, branch, tip, want, err)
			}
		}
		closeRepo(t, r)
	}
}
