package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/caiatech/caiatop/backend/durable"
)

// linkFS is hookFS with files of several names.
type linkFS struct{ hookFS }

func (f linkFS) Link(old, name string) error {
	if err := f.before("link", name); err != nil {
		return err
	}
	return os.Link(old, name)
}

// hookedOver is a repository whose steps are watched, with links or without.
func hookedOver(t testing.TB, links bool) (r *Repo, dir string, hook *func(operation, name string) error) {
	t.Helper()
	hook = new(func(operation, name string) error)
	dir = filepath.Join(t.TempDir(), "repo.git")
	watched := hookFS{machineFS{}, func(operation, name string) error {
		if *hook == nil {
			return nil
		}
		return (*hook)(operation, name)
	}}
	v := durable.Volume{FS: watched}
	if links {
		v.FS = linkFS{watched}
	}
	r, err := OpenDisk(dir, Options{Volume: v})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeRepo(t, r) })
	return r, dir, hook
}

// wantNoKeeps fails if anything of ours is kept.
func wantNoKeeps(t testing.TB, dir string) {
	t.Helper()
	if left := matches(t, dir, "objects/pack/*.keep"); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// writings are all ways to store objects and to move a reference to them.
func writings(t *testing.T) map[string]func(r *Repo) error {
	ctx := context.Background()
	author := Signature{"Ann Author", "ann@example.org"}
	return map[string]func(r *Repo) error{
		"a commit": func(r *Repo) error { _, err := markedCommit(t, r, put(t, "new", "x")); return err },
		"a large commit": func(r *Repo) error {
			_, err := markedCommit(t, r, put(t, "new", strings.Repeat("x", overlapBytes+1)))
			return err
		},
		"another branch": func(r *Repo) error { commitOn(t, r, "side", when, put(t, "new", "x")); return nil },
		"a chain":        func(r *Repo) error { return chained(t, r) },
		"a tag": func(r *Repo) error {
			return r.CreateTag(ctx, TagInput{Name: "v1", Commit: tipOf(t, r), Message: "m", Tagger: author, At: when})
		},
		"a merge": func(r *Repo) error {
			_, err := r.Merge(ctx, MergeInput{From: "other", Author: author, At: when})
			return err
		},
		"a revert": func(r *Repo) error {
			_, err := r.Revert(ctx, RevertInput{Commit: tipOf(t, r), Author: author, At: when})
			return err
		},
		"a copy in parts": func(r *Repo) error { return received(t, r) },
	}
}

func chained(t *testing.T, r *Repo) error {
	t.Helper()
	link := Link{Changes: []Change{put(t, "new", "x")}, Message: "m", Author: ann, At: when}
	_, err := r.CommitChain(context.Background(), "refs/caiatop/import/x", Hash{}, tipOf(t, r), []Link{link, link})
	return err
}

// received copies commits whose objects are stored in many parts.
func received(t *testing.T, r *Repo) error {
	t.Helper()
	ctx := context.Background()
	src := NewMemory(Options{})
	defer closeRepo(t, src)
	if _, err := src.ReceiveFrom(ctx, r, tipOf(t, r), nil); err != nil {
		return err
	}
	for n := range 2 {
		var changes []Change
		for i := range maxPacks / 2 {
			changes = append(changes, put(t, fmt.Sprintf("d/%d/f", i), fmt.Sprint(n, i)))
		}
		commit(t, src, changes...)
	}
	_, err := r.receive(ctx, src, tipOf(t, src), 1, nil)
	return err
}

// Git repacks, and removes what it finds to be garbage, when a pack has its
// name and the reference is about to move.
func TestGitRepacksBeforeTheReferenceMoves(t *testing.T) {
	needGit(t)
	for name, do := range writings(t) {
		for _, links := range []bool{true, false} {
			t.Run(fmt.Sprint(name, ", links: ", links), func(t *testing.T) {
				r, dir, hook := hookedOver(t, links)
				commit(t, r, put(t, "old", "1"))
				if err := r.CreateBranch("other", tipOf(t, r)); err != nil {
					t.Fatal(err)
				}
				commitOn(t, r, "other", when, put(t, "other", "1"))
				commit(t, r, put(t, "old", "2"))
				most, runs := 0, 0
				var mu sync.Mutex // the maintenance comes here, too
				*hook = func(operation, name string) error {
					mu.Lock()
					defer mu.Unlock()
					if operation == "syncdir" {
						most = max(most, len(matches(t, dir, "objects/pack/*.pack")))
					}
					if operation != "rename" || !strings.Contains(name, "refs/") || runs == 2 {
						return nil
					}
					runs++
					for _, args := range [][]string{{"repack", "-adq"}, {"prune", "--expire=now"}} {
						if out, err := tryGit(dir, args...); err != nil {
							return fmt.Errorf("git %s: %w: %s", args, err, out)
						}
					}
					return nil
				}
				if err := do(r); err != nil {
					t.Fatal(err)
				}
				mu.Lock()
				if runs == 0 || most > maxPacks {
					t.Errorf("git ran %d times, there were %d packs", runs, most)
				}
				runs = 2
				mu.Unlock()
				wantNoKeeps(t, dir)
				look(t, r, nil)
				closeRepo(t, r)
				if left := matches(t, dir, "objects/caiatop-keep*"); len(left) != 0 {
					t.Errorf("left behind: %v", left)
				}
				fsck(t, dir)
			})
		}
	}
}

// A commit whose reference did not move leaves a pack that git takes for
// garbage. The next commit must not rely on what is in it.
func TestAPackThatNothingLedToIsWrittenAgain(t *testing.T) {
	needGit(t)
	for _, again := range []string{"the same commit", "another commit", "after a consolidation", "after a crash"} {
		t.Run(again, func(t *testing.T) {
			r, dir, hook := hookedOver(t, true)
			commit(t, r, put(t, "old", "1"))
			crashed := again == "after a crash"
			fail := errors.New("injected")
			*hook = func(operation, name string) error {
				if operation == "rename" && strings.HasSuffix(name, "heads/main") || crashed && operation == "remove" {
					return fail
				}
				return nil
			}
			in := CommitInput{Changes: []Change{put(t, "new", "x")}, Author: ann, At: when}
			if _, err := r.Commit(t.Context(), in); !errors.Is(err, fail) {
				t.Fatalf("got %v", err)
			}
			repacks := func(operation, name string) error {
				if operation == "rename" && strings.HasSuffix(name, "heads/main") {
					git(t, dir, "repack", "-adq")
				}
				return nil
			}
			switch again {
			case "another commit":
				in.At = in.At.Add(secondsOf(1))
			case "after a consolidation":
				*hook = nil
				consolidateAll(t, r)
			case "after a crash":
				if kept := matches(t, dir, "objects/pack/*.keep"); len(kept) != 1 {
					t.Fatalf("%v", kept)
				}
				closeRepo(t, r) // and could remove nothing
				if err := os.Remove(filepath.Join(dir, "refs/heads/main.lock")); err != nil {
					t.Fatal(err)
				}
				*hook = nil
				var err error
				if r, err = OpenDisk(dir, Options{Volume: durable.Volume{FS: linkFS{hookFS{machineFS{}, repacks}}}}); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { closeRepo(t, r) })
				wantNoKeeps(t, dir)
			}
			*hook = repacks
			tip, err := r.Commit(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			wantFile(t, r, tip, "new", "x")
			closeRepo(t, r)
			wantNoKeeps(t, dir)
			fsck(t, dir)
		})
	}
}

// A process that died leaves a pack that nothing leads to. The next one has it
// open when git removes it: nothing is lost by that.
func TestGarbageOfADeadProcessIsCollected(t *testing.T) {
	needGit(t)
	r, dir, hook := hookedOver(t, true)
	first := commit(t, r, put(t, "old", "1"))
	tag := TagInput{Name: "v1", Commit: first, Message: "one", Tagger: ann, At: when}
	if err := r.CreateTag(t.Context(), tag); err != nil {
		t.Fatal(err)
	}
	died := errors.New("injected")
	*hook = func(operation, name string) error {
		if operation == "rename" && strings.HasSuffix(name, "heads/main") || operation == "remove" {
			return died
		}
		return nil
	}
	if _, err := r.Commit(t.Context(), CommitInput{Changes: []Change{put(t, "new", "x")}, Author: ann, At: when}); !errors.Is(err, died) {
		t.Fatalf("got %v", err)
	}
	closeRepo(t, r)
	if err := os.Remove(filepath.Join(dir, "refs/heads/main.lock")); err != nil {
		t.Fatal(err)
	}
	r = opened(t, dir)
	before := len(matches(t, dir, "objects/pack/*.pack"))
	git(t, dir, "repack", "-adq")
	git(t, dir, "prune", "--expire=now")
	if before < 2 {
		t.Fatalf("there was no garbage: %d packs", before)
	}
	tip := commit(t, r, put(t, "new", "y"))
	wantFile(t, r, tip, "new", "y")
	look(t, r, nil)
	closeRepo(t, r)
	fsck(t, dir)
}

// Git prunes our temporary files while we are about to name them: they are
// written once more.
func TestGitPrunesATemporaryFile(t *testing.T) {
	for _, suffix := range []string{".pack", ".idx"} {
		for _, what := range []string{"a commit", "a consolidation"} {
			t.Run(what+" "+suffix, func(t *testing.T) {
				r, dir, hook := hookedOver(t, true)
				commit(t, r, put(t, "a", "1"))
				tip := commit(t, r, put(t, "a", "2"))
				pruned := false
				*hook = func(operation, name string) error {
					if operation != "rename" || !strings.HasSuffix(name, suffix) || pruned {
						return nil
					}
					pruned = true
					for _, file := range matches(t, dir, "objects/pack/tmp_*") {
						if err := os.Remove(file); err != nil {
							return err
						}
					}
					return nil
				}
				if what == "a commit" {
					tip = commit(t, r, put(t, "a", "2"), put(t, "b", "1"))
				} else if m := settle(t, r); m.Packs != 1 || m.Err != nil {
					t.Errorf("%+v", m)
				}
				*hook = nil
				if !pruned {
					t.Fatal("nothing was there to be pruned")
				}
				wantFile(t, r, tip, "a", "2")
				wantNoKeeps(t, dir)
				closeRepo(t, r)
				fsck(t, dir)
			})
		}
	}
}

// What a dead process kept is let go of, and what others keep is not.
func TestStaleKeepsAreRemoved(t *testing.T) {
	r, dir := disked(t)
	commit(t, r, put(t, "a", "1"))
	commit(t, r, put(t, "a", "2"))
	commit(t, r, put(t, "a", "3"))
	packs := matches(t, dir, "objects/pack/*.pack")
	keep := func(n int) string { return strings.TrimSuffix(packs[n], ".pack") + ".keep" }
	write(t, keep(0), "") // as a person does
	write(t, keep(1), keepText)
	h := r.hold()
	if err := h.keeps.put(strings.TrimSuffix(filepath.Base(packs[2]), ".pack"), h); err != nil { // of one who lives
		t.Fatal(err)
	}
	again := opened(t, dir)
	for n, want := range []bool{true, false, true} {
		if _, err := os.Lstat(keep(n)); (err == nil) != want {
			t.Errorf("keep %d: %v", n, err)
		}
	}
	if n := len(again.objects.(*packStore).ours()); n != 1 { //nolint:forcetypeassert // it is on disk
		t.Errorf("%d packs are for the maintenance", n)
	}
	h.done(true)
	if _, err := os.Lstat(keep(2)); err == nil {
		t.Error("still kept")
	}
	// What nobody lives to remove any more is seen by the maintenance, too.
	write(t, keep(1), keepText)
	if m := settle(t, again); m.Packs != 2 {
		t.Errorf("%+v", m)
	}
	if left := matches(t, dir, "objects/pack/*.keep"); len(left) != 1 || left[0] != keep(0) {
		t.Errorf("left: %v", left)
	}
	closeRepo(t, again)
	closeRepo(t, r)
	if left := matches(t, dir, "objects/caiatop-keep*"); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}
