package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/caiatech/caiatop/backend/durable"
	"github.com/caiatech/caiatop/backend/durable/powercut"
	"golang.org/x/sync/errgroup"
)

// needUnnamed skips where the file system of the tests has no unnamed files.
func needUnnamed(t testing.TB, dir string) {
	t.Helper()
	f, err := durable.Volume{}.CreateUnnamed(dir, "tmp", filePerm)
	if err != nil {
		t.Skipf("no unnamed files in %s: %v", dir, err)
	}
	if err := f.Abort(); err != nil {
		t.Fatal(err)
	}
}

// Nobody sees the spare files, and pack, index and references are what they
// are without them.
func TestSpareFilesAreNotSeen(t *testing.T) {
	needGit(t)
	r, dir := disked(t)
	needUnnamed(t, dir)
	modes := func() (out []string) {
		t.Helper()
		for _, pattern := range []string{"objects/pack/*", "refs/heads/main", testMark} {
			for _, name := range matches(t, dir, pattern) {
				info, err := os.Lstat(name)
				if err != nil {
					t.Fatal(err)
				}
				out = append(out, filepath.Ext(name)+info.Mode().String())
			}
		}
		slices.Sort(out)
		return slices.Compact(out)
	}
	if _, err := markedCommit(t, r, put(t, "a", "0")); err != nil { // without any
		t.Fatal(err)
	}
	want := modes()
	for i := range 5 {
		spared(t, r)
		if got := git(t, dir, "count-objects", "-v"); !strings.Contains(got, "garbage: 0") || !strings.Contains(got, fmt.Sprint("packs: ", i+1)) {
			t.Fatalf("%s", got)
		}
		git(t, dir, "prune")
		if _, err := markedCommit(t, r, put(t, "a", fmt.Sprint(i+1))); err != nil {
			t.Fatal(err)
		}
		wantNoLocks(t, dir)
	}
	if got := modes(); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	spared(t, r)
	git(t, dir, "gc", "-q", "--prune=now")
	tip := commit(t, r, put(t, "a", "last"))
	if left := matches(t, dir, "objects/pack/tmp*"); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	wantFile(t, r, tip, "a", "last")
	fsck(t, dir)
}

// A lock that somebody has is waited for and respected, with a spare file at
// hand, too.
func TestASpareLockIsALock(t *testing.T) {
	r, dir := disked(t)
	needUnnamed(t, dir)
	first := commit(t, r, put(t, "a", "1"))
	spared(t, r)
	lock := filepath.Join(dir, "refs/heads/main.lock")
	write(t, lock, "")
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	s := r.objects.(*packStore) //nolint:forcetypeassert // it is on disk
	if f := s.spares.lock(lock, []byte("x")); f != nil {
		t.Error("took a lock that somebody has")
	}
	if data, err := os.ReadFile(lock); err != nil || len(data) != 0 {
		t.Errorf("wrote into it: %q, %v", data, err)
	}
	d := r.refs.(*diskRefs) //nolint:forcetypeassert // it is on disk
	if _, err := d.lock(gone, lock); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	wantRef(t, r, "refs/heads/main", first)
	if err := os.Remove(lock); err != nil {
		t.Fatal(err)
	}
	commit(t, r, put(t, "a", "2"))
}

// Git moves main while we do: each takes the lock of the other as one of its
// own, and no commit of either is lost.
func TestGitTakesTheLockAtTheSameTime(t *testing.T) {
	needGit(t)
	r, dir := disked(t)
	commit(t, r, put(t, "a", "0"))
	const each = 25
	var theirs, ours []string
	var group errgroup.Group
	group.Go(func() error {
		for len(theirs) < each {
			tip, err := tryGit(dir, "rev-parse", "main")
			if err != nil {
				return fmt.Errorf("%s: %w", tip, err)
			}
			tip = strings.TrimSpace(tip)
			made, err := tryGit(dir, "commit-tree", "-p", tip, "-m", fmt.Sprint("theirs ", len(theirs)), tip+"^{tree}")
			if err != nil {
				return fmt.Errorf("%s: %w", made, err)
			}
			made = strings.TrimSpace(made)
			out, err := tryGit(dir, "update-ref", "refs/heads/main", made, tip)
			switch {
			case err == nil:
				theirs = append(theirs, made)
			case !strings.Contains(out, "main.lock") && !strings.Contains(out, "but expected"):
				return fmt.Errorf("%s: %w", out, err)
			}
		}
		return nil
	})
	group.Go(func() error {
		for i := range each {
			refilled(r)
			h, err := r.Commit(context.Background(), CommitInput{
				Changes: []Change{{Path: mustPath("a"), Data: fmt.Append(nil, i)}}, Author: ann, At: when, AllowEmpty: true,
			})
			if errors.Is(err, ErrMoved) {
				continue
			}
			if err != nil {
				return err
			}
			ours = append(ours, h.String())
		}
		return nil
	})
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	history := strings.Fields(git(t, dir, "rev-list", "main"))
	for _, h := range append(theirs, ours...) {
		if !slices.Contains(history, h) {
			t.Errorf("%s is lost", h)
		}
	}
	wantNoLocks(t, dir)
	closeRepo(t, r)
	fsck(t, dir)
}

// spareDisk is a repository on a disk that can fail, with a marked commit.
func spareDisk(t *testing.T, over func(*powercut.Disk) durable.FS) (*powercut.Disk, *Repo, Hash) {
	t.Helper()
	d := powercut.New()
	r, err := OpenDisk(powerDir, Options{Volume: durable.Volume{FS: over(d)}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeRepo(t, r) })
	h, err := markedCommit(t, r, put(t, "a", "1"))
	if err != nil {
		t.Fatal(err)
	}
	return d, r, h
}

func itself(d *powercut.Disk) durable.FS { return d }

// A spare file that cannot be named: a lock is made the other way, as is what
// keeps a pack, and a pack is an error that leaves nothing.
func TestASpareFileThatCannotBeNamed(t *testing.T) {
	for n, what := range []string{"the lock of the mark", "the lock of the branch", "what keeps the pack", "the pack", "the index"} {
		t.Run(what, func(t *testing.T) {
			d, r, first := spareDisk(t, itself)
			spared(t, r)
			d.Fail(powercut.Fault{Kind: powercut.Link, N: n + 1, Err: syscall.EIO})
			h, err := markedCommit(t, r, put(t, "a", "2"))
			if !d.Mend() {
				t.Fatal("nothing failed")
			}
			if n >= 3 {
				if !errors.Is(err, syscall.EIO) {
					t.Fatalf("got %v", err)
				}
				wantRef(t, r, "refs/heads/main", first)
				wantRef(t, r, testMark, first)
				h, err = markedCommit(t, r, put(t, "a", "2"))
			}
			if err != nil {
				t.Fatal(err)
			}
			if left := leftovers(d, powerDir); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
			for seed := range 10 {
				survived(t, d, map[string]Hash{Main: h}, seed)
			}
		})
	}
}

// That no spare file can be made, now or at all, is no error of anything.
func TestSpareFilesThatCannotBeMade(t *testing.T) {
	for name, c := range map[string]struct {
		over  func(*powercut.Disk) durable.FS
		errno syscall.Errno
		later bool // they can be made when the disk can
	}{
		"no such files": {over: func(d *powercut.Disk) durable.FS { return struct{ durable.FS }{d} }},
		"a full disk":   {itself, syscall.ENOSPC, true},
		"a bad disk":    {itself, syscall.EIO, false},
	} {
		t.Run(name, func(t *testing.T) {
			d := powercut.New()
			r, err := OpenDisk(powerDir, Options{Volume: durable.Volume{FS: c.over(d)}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { closeRepo(t, r) })
			if c.errno != 0 {
				d.Fail(powercut.Fault{Kind: powercut.Create, N: 1, Err: c.errno, Lasting: true})
			}
			refilled(r)
			d.Mend()
			tip := commit(t, r, put(t, "a", "1"))
			if c.later {
				spared(t, r)
			}
			tip = commitOn(t, r, Main, when, put(t, "a", tip.String()))
			survived(t, d, map[string]Hash{Main: tip}, 1)
			if left := leftovers(d, powerDir); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// What tells a lock of a dead program is its age: a spare file that was made
// long ago is a new lock.
func TestASpareLockIsAsOldAsItsUse(t *testing.T) {
	d, r, _ := spareDisk(t, itself)
	spared(t, r)
	late := powerDir + "/made-later"
	if err := d.Mkdir(late, folderPerm); err != nil {
		t.Fatal(err)
	}
	path := powerDir + "/refs/heads/x.lock"
	s := r.objects.(*packStore) //nolint:forcetypeassert // it is on disk
	f := s.spares.lock(path, []byte("x"))
	if f == nil {
		t.Fatal("no lock")
	}
	before, err := d.Lstat(late)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := d.Lstat(path); err != nil || info.ModTime().Before(before.ModTime()) {
		t.Errorf("%v, %v", info, err)
	}
	if err := f.Abort(); err != nil {
		t.Fatal(err)
	}
}

// A repository that is closed lets go of its spare files, and makes none again.
func TestSpareFilesEndWithTheRepository(t *testing.T) {
	d, r, tip := spareDisk(t, itself)
	spared(t, r)
	closeRepo(t, r)
	changes := d.Count(powercut.Change)
	refilled(r)
	if n := d.Count(powercut.Change); n != changes {
		t.Errorf("%d changes of the disk", n-changes)
	}
	left := d.Cut(rand.New(rand.NewPCG(1, 1)))
	again, err := OpenDisk(powerDir, Options{Volume: left.Volume(), ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer closeRepo(t, again)
	changes = left.Count(powercut.Change)
	refilled(again)
	wantRef(t, again, "refs/heads/main", tip)
	if n := left.Count(powercut.Change); n != changes {
		t.Errorf("a repository for reading made %d changes", n-changes)
	}
}
