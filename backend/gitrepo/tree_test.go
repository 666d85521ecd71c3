package gitrepo

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
	"pgregory.net/rapid"
)

// drawTree gives a tree in git's order, of names that are hard to order.
func drawTree(rt *rapid.T, label string) map[string]side {
	names := rapid.SliceOfN(rapid.StringMatching(`[ab][-./0a]?[-./0a]?[ä!]?`), 0, 24)
	modes := rapid.SampledFrom([]mode{modeFile, modeTree, modeExecutable, modeSymlink, modeSubmodule})
	out := make(map[string]side)
	for _, name := range names.Draw(rt, label) {
		if name = strings.ReplaceAll(name, "/", "~"); name != "." && name != ".." {
			out[name] = side{modes.Draw(rt, "mode"), Hash{byte(rapid.IntRange(1, 3).Draw(rt, "hash"))}}
		}
	}
	return out
}

func treeFrom(entries map[string]side) tree {
	var items []item
	for name, s := range entries {
		items = append(items, item{[]byte(name), s.mode, s.hash})
	}
	slices.SortFunc(items, compareItems)
	var data []byte
	for _, it := range items {
		data = appendItem(data, it.mode, string(it.name), it.hash)
	}
	return tree{data, indexTree(data)}
}

// Every name is found and no other, edits give the tree that is built anew,
// and the differences of two trees are those of their entries.
func TestTreesMatchTheirEntries(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		before, after := drawTree(rt, "before"), drawTree(rt, "after")
		old, want := treeFrom(before), treeFrom(after)
		var edits []edit
		for _, name := range union(before, after) {
			p, ok, err := old.find(name)
			if was, exists := before[name]; err != nil || ok != exists || (side{p.mode, p.hash}) != was {
				rt.Fatalf("%q: found %v %t, %v; want %v", name, p, ok, err, was)
			}
			if s := after[name]; s != before[name] {
				edits = append(edits, edit{
					name: name, from: p.from, to: p.to, before: p.mode, put: s.present(), mode: s.mode, hash: s.hash,
				})
			}
		}
		got, err := editTree(old, edits, nil)
		if err != nil || !bytes.Equal(got.data, want.data) {
			rt.Fatalf("edited: %q, %v; want %q", got.data, err, want.data)
		}
		if fresh := indexTree(got.data); (fresh == nil) != (got.index == nil) || (fresh != nil && (fresh.stride != got.index.stride || !slices.Equal(fresh.offsets, got.index.offsets))) {
			rt.Fatalf("index %v, want %v", got.index, fresh)
		}
		told := make(map[string][2]side)
		err = eachDifference(old, want, func(a, b place) error {
			name := string(a.name) + string(b.name)
			if a.name != nil && b.name != nil {
				name = string(a.name)
			}
			if _, twice := told[name]; twice {
				return fmt.Errorf("%q is told twice", name)
			}
			told[name] = [2]side{{a.mode, a.hash}, {b.mode, b.hash}}
			return nil
		})
		if err != nil || len(told) != len(edits) {
			rt.Fatalf("differences %v, %v; want %v", told, err, edits)
		}
		for _, e := range edits {
			if told[e.name] != [2]side{before[e.name], after[e.name]} {
				rt.Fatalf("%q: %v", e.name, told[e.name])
			}
		}
	})
}

func union(a, b map[string]side) []string {
	names := []string{"", "a", "zz"}
	for _, m := range []map[string]side{a, b} {
		for name := range m {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Edited trees have the names that git gives them.
func TestEditedTreesAreThoseOfGit(t *testing.T) {
	needGit(t)
	_, dir := disked(t)
	var input bytes.Buffer
	var want []string
	rapid.Check(t, func(rt *rapid.T) {
		entries := drawTree(rt, "entries")
		var edits []edit
		for name, s := range entries {
			edits = append(edits, edit{name: name, put: true, mode: s.mode, hash: s.hash})
			kind := map[mode]string{modeTree: "tree", modeSubmodule: "commit"}[s.mode]
			if kind == "" {
				kind = "blob"
			}
			fmt.Fprintf(&input, "%06o %s %s\t%s\x00", s.mode, kind, s.hash, name)
		}
		made, err := editTree(tree{}, edits, nil)
		if err != nil {
			rt.Fatal(err)
		}
		want = append(want, hashObject(plumbing.TreeObject, made.data).String())
		input.WriteByte(0)
	})
	cmd := exec.Command("git", "mktree", "-z", "--missing", "--batch")
	cmd.Dir, cmd.Stdin = dir, &input
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Fields(string(out))
	if !slices.Equal(got, want) {
		t.Fatalf("git names %d trees %v, we %d %v", len(got), got, len(want), want)
	}
}

// A tree that is not in git's order is read as it lies.
func TestUnsortedTreesAreRead(t *testing.T) {
	var data []byte
	for i := range 20 {
		data = appendItem(data, modeFile, fmt.Sprintf("%02d", 20-i), Hash{byte(i + 1)})
	}
	unsorted := tree{data, indexTree(data)}
	if unsorted.index == nil || unsorted.index.sorted {
		t.Fatalf("%+v", unsorted.index)
	}
	for i := range 20 {
		if p, ok, err := unsorted.find(fmt.Sprintf("%02d", 20-i)); err != nil || !ok || p.hash != (Hash{byte(i + 1)}) {
			t.Fatalf("entry %d: %v %t %v", i, p, ok, err)
		}
	}
	if _, ok, err := unsorted.find("none"); ok || err != nil {
		t.Fatalf("%t %v", ok, err)
	}
}

// One change of a folder with a million entries, as the library layout may
// have, is made without decoding the others.
func TestMillionEntries(t *testing.T) {
	const entries, width = 1_000_000, 7
	r := NewMemory(Options{})
	defer closeRepo(t, r)
	blob := commit(t, r, put(t, "flat/0500000", "first"), put(t, "other", "x"))
	first, err := r.Find(context.Background(), blob, path(t, "flat/0500000"))
	if err != nil {
		t.Fatal(err)
	}
	one := appendItem(nil, modeFile, strings.Repeat("0", width), first.Hash)
	data := bytes.Repeat(one, entries)
	for i := range entries {
		number := data[i*len(one)+len("100644 "):][:width]
		copy(number[width-len(strconv.Itoa(i)):], strconv.Itoa(i))
	}
	flat, err := stage(plumbing.TreeObject, data)
	if err != nil {
		t.Fatal(err)
	}
	root, err := stage(plumbing.TreeObject, appendItem(nil, modeTree, "flat", flat.hash))
	if err != nil {
		t.Fatal(err)
	}
	b := &builder{repo: r, out: []staged{flat, root}}
	if err := r.objects.store(context.Background(), b.out); err != nil {
		t.Fatal(err)
	}
	h, err := b.rebuild(context.Background(), root.hash, mustPlan(t, put(t, "flat/0700000", "second")))
	if err != nil {
		t.Fatal(err)
	}
	at := entries / 10 * 7 * (width + 8 + hashSize)
	wantFlat(t, b, h, data[:at], data[at+width+8+hashSize:], "0700000", "second")
	if h, err = b.rebuild(context.Background(), root.hash, mustPlan(t, put(t, "flat/0700000x", "third"), del(t, "flat/0700000"))); err != nil {
		t.Fatal(err)
	}
	wantFlat(t, b, h, data[:at], data[at+width+8+hashSize:], "0700000x", "third")
}

func mustPlan(t *testing.T, changes ...Change) *node {
	t.Helper()
	n, err := new(planner).plan(changes)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// wantFlat stores what was built, and looks at its only folder.
func wantFlat(t *testing.T, b *builder, root Hash, head, tail []byte, name, content string) {
	t.Helper()
	if err := b.repo.objects.store(context.Background(), b.out); err != nil {
		t.Fatal(err)
	}
	it, ok, err := b.repo.lookup(root, "flat/"+name)
	if err != nil || !ok || it.hash != hashObject(plumbing.BlobObject, []byte(content)) {
		t.Fatalf("%v %t %v", it, ok, err)
	}
	folder, err := b.repo.entry(root, "flat")
	if err != nil {
		t.Fatal(err)
	}
	got, err := b.repo.treeAt(folder.hash)
	if err != nil || got.index == nil || !got.index.sorted {
		t.Fatalf("%+v, %v", got.index, err)
	}
	want := slices.Concat(head, appendItem(nil, modeFile, name, it.hash), tail)
	if !bytes.Equal(got.data, want) {
		t.Fatal("other entries changed")
	}
}

// Readers see one commit throughout, whatever is written meanwhile, in a cache
// that drops nearly everything, too.
func TestReadersSeeOneState(t *testing.T) {
	small, err := OpenDisk(t.TempDir(), Options{CacheBytes: 4096})
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]*Repo{"memory": NewMemory(Options{}), "disk": small} {
		t.Run(name, func(t *testing.T) {
			defer closeRepo(t, r)
			const files, commits, readers = 12, 40, 2
			name := func(i int) string { return fmt.Sprintf("d/%d/%d/f", i%3, i) }
			write := func(version int) Hash {
				var changes []Change
				for i := range files {
					changes = append(changes, put(t, name(i), fmt.Sprint(version)))
				}
				return commit(t, r, changes...)
			}
			tips := make(chan Hash, commits)
			var done sync.WaitGroup
			for range readers {
				done.Go(func() {
					for tip := range tips {
						readState(t, r, tip, files, name)
					}
				})
			}
			for version := range commits {
				tips <- write(version)
			}
			close(tips)
			done.Wait()
		})
	}
}

func readState(t *testing.T, r *Repo, tip Hash, files int, name func(int) string) {
	var first []byte
	for i := range files {
		data, err := r.ReadFile(context.Background(), tip, mustPath(name(i)))
		if err != nil {
			t.Errorf("%s: %v", name(i), err)
			return
		}
		if i == 0 {
			first = data
		}
		if !bytes.Equal(data, first) {
			t.Errorf("%s is of version %s, others of %s", name(i), data, first)
		}
	}
}
