package gitrepo

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caiatech/caiatop/backend/durable"
)

const testMark = "refs/caiatop/last"

func markedCommit(t testing.TB, r *Repo, changes ...Change) (Hash, error) {
	t.Helper()
	return r.Commit(context.Background(), CommitInput{Changes: changes, Mark: testMark, Author: ann, At: when})
}

func wantRef(t testing.TB, r *Repo, name string, want Hash) {
	t.Helper()
	got, err := r.Ref(name)
	if errors.Is(err, ErrNotFound) {
		err = nil
	}
	if err != nil || got != want {
		t.Fatalf("%s is at %s, %v; want %s", name, got, err, want)
	}
}

func TestMarkMovesWithTheBranch(t *testing.T) {
	both(t, func(t *testing.T, r *Repo) {
		ctx := context.Background()
		first, err := markedCommit(t, r, put(t, "a", "1"))
		if err != nil {
			t.Fatal(err)
		}
		wantRef(t, r, testMark, first)
		if _, err := markedCommit(t, r, put(t, "a", "1")); !errors.Is(err, ErrNothing) {
			t.Fatal(err)
		}
		theirs := commit(t, r, put(t, "b", "1")) // as somebody else's push
		wantRef(t, r, testMark, first)
		second, err := markedCommit(t, r, put(t, "a", "2"))
		if err != nil {
			t.Fatal(err)
		}
		wantRef(t, r, testMark, second)
		if err := r.SetRef(ctx, testMark, theirs); err != nil {
			t.Fatal(err)
		}
		// From wherever it is; a merge and a fast-forward take it along.
		if err := r.CreateBranch("side", first); err != nil {
			t.Fatal(err)
		}
		commitOn(t, r, "side", when, put(t, "s", "1"))
		merged, err := r.Merge(ctx, MergeInput{From: "side", Mark: testMark, Author: ann, At: when})
		if err != nil {
			t.Fatal(err)
		}
		wantRef(t, r, testMark, merged)
		commitOn(t, r, "side", when, put(t, "s", "2"))
		ahead, err := r.Merge(ctx, MergeInput{Into: "side", From: "main", Author: ann, At: when})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := r.Merge(ctx, MergeInput{From: "side", Mark: testMark, Author: ann, At: when}); err != nil || got != ahead {
			t.Fatalf("%s, %v", got, err)
		}
		wantRef(t, r, testMark, ahead)
		for _, mark := range []string{"HEAD", "refs/heads/x", "refs/tags/x", "refs/heads", "refs/tags", "refs/../x", "last"} {
			if _, err := r.Commit(ctx, CommitInput{Changes: []Change{put(t, "a", "3")}, Mark: mark, Author: ann, At: when}); !errors.Is(err, ErrInvalid) {
				t.Errorf("mark %s: %v", mark, err)
			}
		}
		wantRef(t, r, "refs/heads/main", ahead)
	})
}

func TestReferencesMoveTogetherOrNotAtAll(t *testing.T) {
	both(t, func(t *testing.T, r *Repo) {
		ctx := context.Background()
		first := commit(t, r, put(t, "a", "1"))
		second := commit(t, r, put(t, "a", "2"))
		err := r.move(ctx, refUpdate{name: "refs/x/one", target: first}, refUpdate{name: "refs/heads/main", old: first, target: first})
		if !errors.Is(err, ErrMoved) {
			t.Fatalf("got %v", err)
		}
		wantRef(t, r, "refs/x/one", Hash{})
		wantRef(t, r, "refs/heads/main", second)
		gone, cancel := context.WithCancel(ctx)
		change, err := r.refs.prepare(gone, refUpdate{name: "refs/x/one", target: first}, refUpdate{name: "refs/x/two", target: first})
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		if err := change.commit(gone); !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v", err)
		}
		wantRef(t, r, "refs/x/one", Hash{})
		if err := r.move(ctx, refUpdate{name: "refs/x/one", target: first}, refUpdate{name: "refs/x/two", target: first}); err != nil {
			t.Fatal(err)
		}
		wantRef(t, r, "refs/x/two", first)
	})
}

// A branch that moved costs no objects, unless there are many of them.
func TestAMovedBranchIsFoundBeforeObjectsAreWritten(t *testing.T) {
	r, dir := disked(t)
	first := commit(t, r, put(t, "a", "1"))
	other := opened(t, dir)
	_, err := r.Commit(context.Background(), CommitInput{
		Author: ann, At: when, Parent: &first, Mark: testMark,
		Plan: func(context.Context, Hash) ([]Change, error) {
			commit(t, other, put(t, "b", "1"))
			return []Change{put(t, "a", "2")}, nil
		},
	})
	if !errors.Is(err, ErrMoved) {
		t.Fatalf("got %v", err)
	}
	if packs := matches(t, dir, "objects/pack/*.pack"); len(packs) != 2 {
		t.Errorf("%d packs", len(packs))
	}
	wantNoLocks(t, dir)
}

func wantNoLocks(t testing.TB, dir string) {
	t.Helper()
	for _, pattern := range []string{"refs/heads/*.lock", "refs/caiatop/*.lock", "*.lock"} {
		if left := matches(t, dir, pattern); len(left) != 0 {
			t.Errorf("left behind: %v", left)
		}
	}
}

// hookFS calls before each step with its operation and name; an error of it is
// that of the step.
type hookFS struct {
	durable.FS
	before func(operation, name string) error
}

type machineFS struct{}

func (machineFS) OpenFile(name string, flag int, perm os.FileMode) (durable.Handle, error) {
	file, err := os.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return file, nil
}
func (machineFS) Stat(name string) (os.FileInfo, error)      { return os.Stat(name) }
func (machineFS) Lstat(name string) (os.FileInfo, error)     { return os.Lstat(name) }
func (machineFS) ReadDir(name string) ([]os.DirEntry, error) { return os.ReadDir(name) }
func (machineFS) Mkdir(name string, perm os.FileMode) error  { return os.Mkdir(name, perm) }
func (machineFS) Rename(from, to string) error               { return os.Rename(from, to) }
func (machineFS) Remove(name string) error                   { return os.Remove(name) }
func (machineFS) SyncDir(name string) error                  { return durable.Volume{}.SyncDir(name) }

func (f hookFS) OpenFile(name string, flag int, perm os.FileMode) (durable.Handle, error) {
	if flag != os.O_RDONLY {
		if err := f.before("create", name); err != nil {
			return nil, err
		}
	}
	h, err := f.FS.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return hookHandle{h, f, name}, nil
}

func (f hookFS) Mkdir(name string, perm os.FileMode) error {
	if err := f.before("mkdir", name); err != nil {
		return err
	}
	return f.FS.Mkdir(name, perm)
}

func (f hookFS) Rename(from, to string) error {
	if err := f.before("rename", to); err != nil {
		return err
	}
	return f.FS.Rename(from, to)
}

func (f hookFS) Remove(name string) error {
	if err := f.before("remove", name); err != nil {
		return err
	}
	return f.FS.Remove(name)
}

func (f hookFS) SyncDir(name string) error {
	if err := f.before("syncdir", name); err != nil {
		return err
	}
	return f.FS.SyncDir(name)
}

type hookHandle struct {
	durable.Handle
	fs   hookFS
	name string
}

func (h hookHandle) Sync() error {
	if err := h.fs.before("sync", h.name); err != nil {
		return err
	}
	return h.Handle.Sync()
}

// hooked is a repository whose steps are watched; the hook may be set later.
func hooked(t testing.TB) (r *Repo, dir string, hook *func(operation, name string) error) {
	t.Helper()
	hook = new(func(operation, name string) error)
	dir = filepath.Join(t.TempDir(), "repo.git")
	r, err := OpenDisk(dir, Options{Volume: durable.Volume{FS: hookFS{machineFS{}, func(operation, name string) error {
		if *hook == nil {
			return nil
		}
		return (*hook)(operation, name)
	}}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeRepo(t, r) })
	return r, dir, hook
}

// Whatever step fails before the first reference moves, nothing has happened.
func TestAFailedCommitLeavesNothing(t *testing.T) {
	fail := errors.New("injected")
	for name, step := range map[string]struct{ operation, name string }{
		"create the pack":       {"create", tempPrefix},
		"sync the pack":         {"sync", tempPrefix},
		"name the pack":         {"rename", ".pack"},
		"name the index":        {"rename", ".idx"},
		"lock the branch":       {"create", "main.lock"},
		"lock the mark":         {"create", "last.lock"},
		"sync the branch":       {"sync", "main.lock"},
		"sync the mark":         {"sync", "last.lock"},
		"name the mark":         {"rename", "refs/caiatop/last"},
		"sync the packs' names": {"syncdir", "objects/pack"},
	} {
		t.Run(name, func(t *testing.T) {
			r, dir, hook := hooked(t)
			first, err := markedCommit(t, r, put(t, "a", "1"))
			if err != nil {
				t.Fatal(err)
			}
			*hook = func(operation, name string) error {
				if operation == step.operation && strings.Contains(name, step.name) {
					return fail
				}
				return nil
			}
			if _, err := markedCommit(t, r, put(t, "a", "2")); !errors.Is(err, fail) {
				t.Fatalf("got %v", err)
			}
			*hook = nil
			wantRef(t, r, "refs/heads/main", first)
			wantRef(t, r, testMark, first)
			wantNoLocks(t, dir)
			if left := matches(t, dir, "objects/pack/tmp*"); len(left) != 0 {
				t.Errorf("left behind: %v", left)
			}
			second, err := markedCommit(t, r, put(t, "a", "2"))
			if err != nil {
				t.Fatal(err)
			}
			wantRef(t, r, testMark, second)
		})
	}
}

// Between the two renames the mark may be ahead, and never behind.
func TestTheMarkIsNeverBehindTheBranch(t *testing.T) {
	r, dir, hook := hooked(t)
	first, err := markedCommit(t, r, put(t, "a", "1"))
	if err != nil {
		t.Fatal(err)
	}
	fail := errors.New("injected")
	*hook = func(operation, name string) error {
		if operation == "rename" && strings.HasSuffix(name, "heads/main") {
			return fail
		}
		return nil
	}
	if _, err := markedCommit(t, r, put(t, "a", "2")); !errors.Is(err, fail) {
		t.Fatalf("got %v", err)
	}
	*hook = nil
	wantRef(t, r, "refs/heads/main", first)
	ahead, err := r.Ref(testMark)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := r.ReadCommit(context.Background(), ahead); err != nil || len(c.Parents) != 1 || c.Parents[0] != first {
		t.Fatalf("the mark is at %+v, %v", c, err)
	}
	wantNoLocks(t, dir)
	next, err := markedCommit(t, r, put(t, "a", "3"))
	if err != nil {
		t.Fatal(err)
	}
	wantRef(t, r, testMark, next)
}

func TestAnUnsyncedReferenceIsNamedSo(t *testing.T) {
	r, _, hook := hooked(t)
	commit(t, r, put(t, "a", "1"))
	*hook = func(operation, name string) error {
		if operation == "syncdir" && strings.HasSuffix(name, "refs/heads") {
			return errors.New("injected")
		}
		return nil
	}
	if _, err := markedCommit(t, r, put(t, "a", "2")); !errors.Is(err, durable.ErrUnsynced) {
		t.Fatalf("got %v", err)
	}
	*hook = nil
	tip, err := r.Tip("")
	if err != nil {
		t.Fatal(err)
	}
	wantFile(t, r, tip, "a", "2") // visible
}

// A disk that stalls lets others take our lock for a dead one. What lies there
// then is theirs: it must not become our branch.
func TestAStolenLockIsNotPutIntoPlace(t *testing.T) {
	r, dir, hook := hooked(t)
	first := commit(t, r, put(t, "a", "1"))
	lock := filepath.Join(dir, "refs", "heads", "main.lock")
	*hook = func(operation, name string) error {
		if operation != "rename" || !strings.HasSuffix(name, ".idx") {
			return nil
		}
		write(t, lock+".new", "")
		later := when.AddDate(100, 0, 0)
		return errors.Join(os.Chtimes(lock+".new", later, later), os.Rename(lock+".new", lock))
	}
	_, err := r.Commit(context.Background(), CommitInput{Changes: []Change{put(t, "a", "2")}, Author: ann, At: when})
	if !errors.Is(err, ErrBusy) {
		t.Fatalf("got %v", err)
	}
	*hook = nil
	wantRef(t, r, "refs/heads/main", first)
	if _, err := os.Stat(lock); err != nil {
		t.Errorf("their lock is gone: %v", err)
	}
}

// Git waits a tenth of a second for a lock: it is held while little is written,
// and not while much is.
func TestMuchIsWrittenBeforeTheBranchIsLocked(t *testing.T) {
	for name, size := range map[string]int{"little": 10, "much": overlapBytes + 1} {
		r, dir, hook := hooked(t)
		first := commit(t, r, put(t, "a", "1"))
		locked := false
		*hook = func(operation, name string) error {
			if operation == "rename" && strings.HasSuffix(name, ".pack") {
				_, err := os.Stat(filepath.Join(dir, "refs", "heads", "main.lock"))
				locked = err == nil
			}
			return nil
		}
		second := commit(t, r, put(t, "a", strings.Repeat("x", size)))
		if locked != (name == "little") {
			t.Errorf("%s: locked is %v while it is written", name, locked)
		}
		// A branch that somebody moved meanwhile stays where they moved it.
		*hook = func(operation, name string) error {
			if operation == "rename" && strings.HasSuffix(name, ".pack") && size > overlapBytes {
				write(t, filepath.Join(dir, "refs", "heads", "main"), first.String()+"\n")
			}
			return nil
		}
		_, err := r.Commit(context.Background(), CommitInput{Changes: []Change{put(t, "a", strings.Repeat("y", size))}, Author: ann, At: when, Parent: &second})
		*hook = nil
		if size > overlapBytes {
			if !errors.Is(err, ErrMoved) {
				t.Errorf("%s: %v", name, err)
			}
			wantRef(t, r, "refs/heads/main", first)
		} else if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
