package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// step is one thing that happens to a history of two branches.
type step struct {
	onto   int // the branch
	merge  bool
	behind int // which of the last tips of the other branch is merged
	change Change
}

// fileOrFolder is a path that may be either.
const fileOrFolder = "d"

func drawHistory(rt *rapid.T) []step {
	files := rapid.SampledFrom([]string{"a", "b", "d/x", "d/y", "d/e/z", fileOrFolder})
	change := func() (c Change) {
		c = Change{Path: mustPath(files.Draw(rt, "file")), Delete: rapid.IntRange(0, 4).Draw(rt, "delete") == 0}
		if !c.Delete {
			// With the path in it, nothing is taken for renamed.
			c.Data = fmt.Appendf(nil, "%s %d\n", c.Path, rapid.IntRange(1, 3).Draw(rt, "line"))
		}
		return c
	}
	var out []step
	// Left to chance, a run in forty has no history whose sides took over what
	// the other had before.
	if rapid.IntRange(0, 7).Draw(rt, "crossed") == 5 {
		out = []step{{onto: 0, change: change()}, {onto: 1, change: change()}, {onto: 0, merge: true}, {onto: 1, merge: true, behind: 1}}
	}
	for range rapid.IntRange(1, 14).Draw(rt, "steps") {
		s := step{onto: rapid.IntRange(0, 1).Draw(rt, "onto"), merge: rapid.IntRange(0, 2).Draw(rt, "kind") == 0}
		if s.merge {
			s.behind = rapid.IntRange(0, 2).Draw(rt, "behind")
		} else {
			s.change = change()
		}
		out = append(out, s)
	}
	return out
}

var sides = [...]string{"left", "right"}

// play makes a history; what conflicts in it is decided for the branch that
// is merged into.
func play(r *Repo, steps []step) error {
	ctx := context.Background()
	start := []Change{{Path: mustPath("a"), Data: []byte("a\n")}, {Path: mustPath("d/x"), Data: []byte("x\n")}, {Path: mustPath("d/y"), Data: []byte("y\n")}}
	first, err := r.Commit(ctx, CommitInput{Changes: start, Author: ann, At: when})
	if err != nil {
		return err
	}
	var tips [len(sides)][]Hash
	for i, branch := range sides {
		if err := r.CreateBranch(branch, first); err != nil {
			return err
		}
		tips[i] = []Hash{first}
	}
	for i, s := range steps {
		at := when.Add(time.Duration(i+1) * time.Second)
		var h Hash
		if s.merge {
			others := tips[1-s.onto]
			h, err = r.Merge(ctx, MergeInput{
				Into: sides[s.onto], Theirs: others[max(len(others)-1-s.behind, 0)], Favour: FavourOurs, Author: ann, At: at,
			})
		} else {
			h, err = r.Commit(ctx, CommitInput{Branch: sides[s.onto], Changes: []Change{s.change}, AllowEmpty: true, Author: ann, At: at})
		}
		if err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
		tips[s.onto] = append(tips[s.onto], h)
	}
	return nil
}

// outcome is the tree of a merge, or the paths of its conflicts.
type outcome struct {
	tree      string
	conflicts []string
	bases     int
	unsure    bool // the bases conflict with each other somewhere
}

// unsureIn reports whether a tree has what is never stored.
func unsureIn(data []byte) bool {
	for len(data) > 0 {
		it, rest, err := nextItem(data)
		if err != nil || it.mode == modeUnsure {
			return true
		}
		data = rest
	}
	return false
}

// mergeSides merges the branches without moving them.
func mergeSides(r *Repo, into, from string) (outcome, error) {
	ctx := context.Background()
	ours, err := r.tipCommit(headsPrefix + into)
	if err != nil {
		return outcome{}, err
	}
	theirs, err := r.tipCommit(headsPrefix + from)
	if err != nil {
		return outcome{}, err
	}
	bases, err := r.mergeBases(ctx, ours, theirs)
	if err != nil {
		return outcome{}, err
	}
	b := &builder{repo: r}
	base, err := b.origin(ctx, bases, MergeInput{}, new(int))
	if err != nil {
		return outcome{}, err
	}
	out := outcome{bases: len(bases)}
	for _, virtual := range b.virtual {
		out.unsure = out.unsure || unsureIn(virtual.data)
	}
	tree, _, err := b.merge(ctx, base, ours.Tree, theirs.Tree, MergeInput{})
	var conflict *ConflictError
	if errors.As(err, &conflict) {
		out.conflicts = conflict.Paths
		return out, nil
	}
	for _, s := range b.out {
		if unsureIn(s.data) {
			return outcome{}, fmt.Errorf("the tree %s would be stored", s.hash)
		}
	}
	out.tree = tree.String()
	return out, err
}

// gitMerge lets real git merge.
func gitMerge(dir, into, from string) (outcome, error) {
	out, err := tryGit(dir, "-c", "merge.directoryRenames=false", "-c", "core.quotePath=false",
		"merge-tree", "--write-tree", "--name-only", "--no-messages", into, from)
	lines := strings.Split(strings.TrimRight(out, "\n"), "\n")
	var exit *exec.ExitError
	switch {
	case err == nil:
		return outcome{tree: lines[0]}, nil
	case errors.As(err, &exit) && exit.ExitCode() == 1:
		return outcome{conflicts: lines[1:]}, nil
	}
	return outcome{}, fmt.Errorf("%w: %s", err, out)
}

// Merges of random histories, many of them criss-cross, against real git:
//
//   - what we merge, git merges to the same tree;
//   - so what conflicts for git conflicts for us, and every path that git names
//     lies at, above or below one of ours (git renames the file where a file
//     meets a folder);
//   - the converse holds, too, unless a file meets a folder, which git merges
//     if nothing is left in the folder, or several bases conflict with each
//     other: git may take a version of theirs, where we leave it to a person.
//     (git merges the lines of a file, but here each has one.)
func TestRandomMergesAgreeWithRealGit(t *testing.T) {
	needGit(t)
	const judged = 8 // starting git costs more than all the rest
	base := t.TempDir()
	run, crossed, clean := 0, 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		steps := drawHistory(rt)
		mem := NewMemory(Options{})
		if err := play(mem, steps); err != nil {
			rt.Fatal(err)
		}
		ours, err := mergeSides(mem, sides[0], sides[1])
		if err != nil {
			rt.Fatal(err)
		}
		turned, err := mergeSides(mem, sides[1], sides[0])
		if err != nil || turned.tree != ours.tree || !slices.Equal(turned.conflicts, ours.conflicts) {
			rt.Fatalf("%+v, but the other way round %+v, %v", ours, turned, err)
		}
		run++
		if rapid.IntRange(1, judged).Draw(rt, "judged") > 1 && ours.bases < 2 {
			return
		}
		if ours.bases > 1 {
			crossed++
		}
		if ours.conflicts == nil {
			clean++
		}
		dir := filepath.Join(base, strconv.Itoa(run))
		judge(rt, dir, mem, ours)
	})
	if crossed == 0 || clean == 0 {
		t.Errorf("of %d histories %d were criss-cross, and %d merged", run, crossed, clean)
	}
}

// export writes all of a repository in memory to an empty one on disk.
func export(from *Repo, dir string) (err error) {
	disk, err := OpenDisk(dir, Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, disk.Close()) }()
	var all []staged
	kept := from.objects.(*memory).objects
	for i := range kept.shards {
		buckets := kept.shards[i].buckets.Load()
		if buckets == nil {
			continue
		}
		for b := range *buckets {
			for e := (*buckets)[b].Load(); e != nil; e = e.next.Load() {
				all = append(all, staged{hash: e.hash, object: object{e.kind(), e.data}})
			}
		}
	}
	if err := disk.objects.store(context.Background(), all); err != nil {
		return err
	}
	branches, err := from.Branches()
	for _, b := range branches {
		err = errors.Join(err, disk.CreateBranch(b.Name, b.Tip))
	}
	return err
}

func judge(rt *rapid.T, dir string, mem *Repo, ours outcome) {
	if err := export(mem, dir); err != nil {
		rt.Fatal(err)
	}
	theirs, err := gitMerge(dir, sides[0], sides[1])
	if err != nil {
		rt.Fatal(err)
	}
	switch {
	case ours.conflicts == nil && ours.tree != theirs.tree:
		rt.Fatalf("merged to %s, git says %+v", ours.tree, theirs)
	case ours.conflicts != nil && theirs.conflicts == nil && !ours.unsure && !slices.Contains(ours.conflicts, fileOrFolder):
		rt.Fatalf("a conflict in %v, but git merges it", ours.conflicts)
	}
	for _, p := range theirs.conflicts {
		p, _, _ := strings.Cut(p, "~")
		if !slices.ContainsFunc(ours.conflicts, func(q string) bool { return p == q || nested(p, q) }) {
			rt.Fatalf("git has a conflict in %s, we in %v", p, ours.conflicts)
		}
	}
}

// Bases that conflict make a conflict only where the sides differ.
func TestMergeOfBasesThatConflict(t *testing.T) {
	both(t, func(t *testing.T, r *Repo) {
		ctx := context.Background()
		forked(t, r, []Change{put(t, "x", "0"), put(t, "y", "0"), put(t, "z", "0")},
			[]Change{put(t, "x", "main"), put(t, "y", "main")}, []Change{put(t, "x", "side"), put(t, "y", "side")})
		tip, err := r.Tip("main")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Merge(ctx, MergeInput{From: "side", Favour: FavourOurs, Author: ann, At: when.Add(time.Minute)}); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Merge(ctx, MergeInput{Into: "side", Theirs: tip, Favour: FavourOurs, Author: ann, At: when.Add(time.Minute)}); err != nil {
			t.Fatal(err)
		}
		// y is decided on both sides alike, x is not.
		commitOn(t, r, "main", when.Add(time.Hour), put(t, "y", "decided"), put(t, "m", "1"))
		commitOn(t, r, "side", when.Add(time.Hour), put(t, "y", "decided"), put(t, "s", "1"))
		_, err = mergeSide(r)
		var conflict *ConflictError
		if !errors.As(err, &conflict) || !slices.Equal(conflict.Paths, []string{"x"}) {
			t.Fatalf("%v, want a conflict in x", err)
		}
		commitOn(t, r, "side", when.Add(2*time.Hour), put(t, "x", "main"))
		h, err := mergeSide(r)
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]string{"x": "main", "y": "decided", "z": "0", "m": "1", "s": "1"} {
			wantFile(t, r, h, name, want)
		}
	})
}
