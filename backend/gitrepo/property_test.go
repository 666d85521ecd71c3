package gitrepo

import (
	"context"
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/caiatech/caiatop/backend/document"
	"pgregory.net/rapid"
)

// model is what a tree holds, in the simplest way to say it.
type model map[string]string

func (m model) apply(c Change) {
	name := c.Path.String()
	if c.Delete {
		maps.DeleteFunc(m, func(k, _ string) bool { return k == name || strings.HasPrefix(k, name+"/") })
		return
	}
	maps.DeleteFunc(m, func(k, _ string) bool {
		return k == name || strings.HasPrefix(k, name+"/") || strings.HasPrefix(name, k+"/")
	})
	m[name] = string(c.Data)
}

// Random changes give the same files as the model, and the same tree in
// memory, on disk, and as real git builds it.
func TestRandomChangesMatchTheModel(t *testing.T) {
	needGit(t)
	base := t.TempDir()
	run := 0
	segment := rapid.SampledFrom([]string{"a", "b", "a.txt", "a-b", "a0", "ä", "B"})
	rapid.Check(t, func(rt *rapid.T) {
		run++
		dir := filepath.Join(base, strconv.Itoa(run))
		disk, err := OpenDisk(dir, Options{CacheBytes: rapid.Int64Range(1, 1<<14).Draw(rt, "cache")})
		if err != nil {
			rt.Fatal(err)
		}
		defer func() {
			if err := disk.Close(); err != nil {
				rt.Error(err)
			}
		}()
		mem := NewMemory(Options{})
		want := model{}
		for range rapid.IntRange(1, 6).Draw(rt, "commits") {
			changes := drawChanges(rt, segment)
			before := maps.Clone(want)
			for _, c := range changes {
				want.apply(c)
			}
			compareCommits(rt, disk, mem, changes, maps.Equal(before, want))
		}
		compareTrees(rt, dir, disk, mem, want, run%5 == 0)
	})
}

func drawChanges(rt *rapid.T, segment *rapid.Generator[string]) []Change {
	var changes []Change
	for range rapid.IntRange(0, 8).Draw(rt, "changes") {
		name := strings.Join(rapid.SliceOfN(segment, 1, 4).Draw(rt, "path"), "/")
		c := Change{Path: mustPath(name), Delete: rapid.IntRange(0, 3).Draw(rt, "kind") == 0}
		if !c.Delete {
			c.Data = rapid.SliceOfN(rapid.Byte(), 0, 3).Draw(rt, "data")
		}
		changes = append(changes, c)
	}
	return changes
}

func compareCommits(rt *rapid.T, disk, mem *Repo, changes []Change, same bool) {
	in := CommitInput{Changes: changes, Message: "m", Author: ann, At: when}
	onDisk, diskErr := disk.Commit(context.Background(), in)
	inMemory, memErr := mem.Commit(context.Background(), in)
	if onDisk != inMemory || errors.Is(diskErr, ErrNothing) != errors.Is(memErr, ErrNothing) {
		rt.Fatalf("disk: %s, %v; memory: %s, %v", onDisk, diskErr, inMemory, memErr)
	}
	if errors.Is(diskErr, ErrNothing) != same {
		rt.Fatalf("%v, but the model says that it is the same: %t", diskErr, same)
	}
	for _, err := range []error{diskErr, memErr} {
		if err != nil && !errors.Is(err, ErrNothing) {
			rt.Fatal(err)
		}
	}
}

func compareTrees(rt *rapid.T, dir string, disk, mem *Repo, want model, judge bool) {
	ctx := context.Background()
	tip, err := disk.Tip("")
	if errors.Is(err, ErrNotFound) {
		return
	}
	if err != nil {
		rt.Fatal(err)
	}
	var listed []string
	for _, r := range []*Repo{disk, mem} {
		listed = listed[:0]
		got := model{}
		err := r.Walk(ctx, tip, pathRoot, func(e Entry) error {
			listed = append(listed, e.Hash.String()+" "+e.Path)
			data, err := r.ReadFile(ctx, tip, mustPath(e.Path))
			got[e.Path] = string(data)
			return err
		})
		if err != nil || !maps.Equal(got, want) {
			rt.Fatalf("files %v, %v; want %v", got, err, want)
		}
	}
	if !judge {
		return // starting git costs more than all the rest
	}
	out, err := tryGit(dir, "-c", "core.quotePath=false", "ls-tree", "-r", "--format=%(objectname) %(path)", "main")
	if err != nil {
		rt.Fatal(out, err)
	}
	if theirs := strings.Split(strings.TrimSuffix(out, "\n"), "\n"); len(listed) > 0 && !slices.Equal(theirs, listed) {
		rt.Fatalf("git lists %v, we %v", theirs, listed)
	}
	if out, err := tryGit(dir, "fsck", "--strict", "--full", "--no-dangling", "--no-progress"); err != nil || out != "" {
		rt.Fatalf("git fsck: %v %s", err, out)
	}
}

func mustPath(s string) document.Path {
	p, err := document.ParsePath(s)
	if err != nil {
		panic(err)
	}
	return p
}
