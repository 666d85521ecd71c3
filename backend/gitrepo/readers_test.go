package gitrepo

import (
	"context"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

// nowhere is a sink that keeps nothing.
type nowhere struct{}

func (nowhere) Object(context.Context, Hash, plumbing.ObjectType, []byte) error { return nil }

func (nowhere) Reached(context.Context, Hash, Hash) (bool, error) { return true, nil }

// writers are the methods that may wait for a commit that is being made.
var writers = []string{
	"Close", "Commit", "CommitChain", "Confirm", "CreateBranch", "CreateTag", "DeleteBranch", "DeleteTag", "Merge", "Rewrite",
	"MergeFavouring", "ReceiveFrom", "Restore", "Revert", "SetRef",
}

// readersOf are calls of all the methods that read, with what they ask for at a
// commit that has the file a/b and the one before it.
func readersOf(t *testing.T, r *Repo, tip, before, blob Hash) map[string]func(context.Context) error {
	t.Helper()
	file, folder := path(t, "a/b"), path(t, "a")
	all := func(string) bool { return true }
	return map[string]func(context.Context) error{
		"IsAncestor": func(ctx context.Context) error { _, err := r.IsAncestor(ctx, before, tip); return err },
		"Tip":        func(context.Context) error { _, err := r.Tip(Main); return err },
		"Ref":        func(context.Context) error { _, err := r.Ref(headsPrefix + Main); return err },
		"Branches":   func(context.Context) error { _, err := r.Branches(); return err },
		"Head":       func(ctx context.Context) error { _, _, err := r.Head(ctx); return err },
		"ReadOnly":   func(context.Context) error { r.ReadOnly(); return nil },
		"Diff": func(ctx context.Context) error {
			return r.Diff(ctx, before, tip, pathRoot, func(Edit) error { return nil })
		},
		"Log": func(ctx context.Context) error {
			_, err := r.Log(ctx, tip, LogOptions{Path: file, Limit: 9})
			return err
		},
		"EachCommit": func(ctx context.Context) error {
			return r.EachCommit(ctx, tip, pathRoot, func(Commit) bool { return true })
		},
		"ReadCommit":      func(ctx context.Context) error { _, err := r.ReadCommit(ctx, tip); return err },
		"Find":            func(ctx context.Context) error { _, err := r.Find(ctx, tip, file); return err },
		"Finder":          func(ctx context.Context) error { _, err := r.Finder(ctx, tip); return err },
		"ReadFile":        func(ctx context.Context) error { _, err := r.ReadFile(ctx, tip, file); return err },
		"ReadShared":      func(ctx context.Context) error { _, err := r.ReadShared(ctx, tip, file); return err },
		"ReadBlob":        func(ctx context.Context) error { _, err := r.ReadBlob(ctx, blob); return err },
		"ReadBlobShared":  func(ctx context.Context) error { _, err := r.ReadBlobShared(ctx, blob); return err },
		"ReadFolder":      func(ctx context.Context) error { _, err := r.ReadFolder(ctx, tip, folder); return err },
		"ReadFiles":       func(ctx context.Context) error { _, err := r.ReadFiles(ctx, tip, folder, all); return err },
		"ReadFilesShared": func(ctx context.Context) error { _, err := r.ReadFilesShared(ctx, tip, folder, all); return err },
		"List":            func(ctx context.Context) error { _, err := r.List(ctx, tip, pathRoot); return err },
		"Walk":            func(ctx context.Context) error { return r.Walk(ctx, tip, pathRoot, func(Entry) error { return nil }) },
		"WalkTree": func(ctx context.Context) error {
			return r.WalkTree(ctx, tip, pathRoot, func(Entry) error { return nil })
		},
		"Maintenance": func(context.Context) error { return r.Maintenance().Err },
		"Settle":      func(ctx context.Context) error { return r.Settle(ctx) },
		"Damage":      func(context.Context) error { r.Damage(); return nil },
		"Lost":        func(context.Context) error { _, err := r.Lost(blob); return err },
		"Look":        func(context.Context) error { return r.Look() },
		"Tags":        func(ctx context.Context) error { _, err := r.Tags(ctx); return err },
		"Tag":         func(ctx context.Context) error { _, err := r.Tag(ctx, "v1"); return err },
		"Object":      func(ctx context.Context) error { _, _, err := r.Object(ctx, blob); return err },
		"Send":        func(ctx context.Context) error { return r.Send(ctx, before, tip, nowhere{}) },
		"NewChain":    func(ctx context.Context) error { _, err := r.NewChain(ctx, Main, tip); return err },
		"Ahead":       func(ctx context.Context) error { _, _, err := r.Ahead(ctx, before, tip); return err },
		"Whole":       func(ctx context.Context) error { _, err := r.Whole(ctx, tip); return err },
		"Verify":      func(ctx context.Context) error { _, err := r.Verify(ctx, VerifyOptions{}); return err },
	}
}

// A commit may take as long as it wants to: whoever reads does not wait for it.
func TestReadersGoOnWhileTheWriterIsHeld(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) *Repo{
		"memory": func(t *testing.T) *Repo {
			r := NewMemory(Options{})
			t.Cleanup(func() { closeRepo(t, r) })
			return r
		},
		"disk": func(t *testing.T) *Repo { r, _ := disked(t); return r },
	} {
		t.Run(name, func(t *testing.T) {
			r := open(t)
			before := commit(t, r, put(t, "a/b", "one"))
			tip := commit(t, r, put(t, "a/b", "two"))
			if err := r.CreateTag(t.Context(), TagInput{Name: "v1", Commit: tip}); err != nil {
				t.Fatal(err)
			}
			at, err := r.Find(t.Context(), tip, path(t, "a/b"))
			if err != nil {
				t.Fatal(err)
			}
			readers := readersOf(t, r, tip, before, at.Hash)
			unaccounted(t, readers)
			release := heldWriter(r)
			for name, read := range readers {
				if err := soon(read); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			if now, err := r.Tip(Main); err != nil || now != tip {
				t.Errorf("the held commit is at %s already, %v", now, err)
			}
			if err := release(); err != nil {
				t.Fatal(err)
			}
			if now, err := r.Tip(Main); err != nil || now == tip {
				t.Errorf("the commit that was held did nothing: %s, %v", now, err)
			}
		})
	}
}

// heldWriter begins a commit that is made when release is called, which returns
// its error.
func heldWriter(r *Repo) (release func() error) {
	planning, goOn, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		_, err := r.Commit(context.Background(), CommitInput{Author: ann, At: when, Plan: func(context.Context, Hash) ([]Change, error) {
			close(planning)
			<-goOn
			return []Change{{Path: mustPath("held"), Data: []byte("long")}}, nil
		}})
		done <- err
	}()
	<-planning
	return func() error {
		close(goOn)
		return <-done
	}
}

// soon returns what a call returns, or says that it does not.
func soon(read func(context.Context) error) error {
	const patience = 30 * time.Second // of a machine that is very busy
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- read(ctx) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("it waits for the writer: %w", ctx.Err())
	}
}

// unaccounted fails for a method of a repository that is no writer, and that no
// reader is.
func unaccounted(t *testing.T, readers map[string]func(context.Context) error) {
	t.Helper()
	known := map[string]bool{}
	for name := range readers {
		known[name] = true
	}
	for _, name := range writers {
		known[name] = true
	}
	methods := reflect.TypeFor[*Repo]()
	for i := range methods.NumMethod() {
		name := methods.Method(i).Name
		if !known[name] {
			t.Errorf("%s neither reads nor writes: say which", name)
		}
		delete(known, name)
	}
	for name := range known {
		t.Errorf("there is no %s", name)
	}
}

// A batch makes each tree that it changes once, and nothing that its commit
// does not reach.
func TestABatchMakesEachTreeOnce(t *testing.T) {
	needGit(t)
	const before, batch = 500, 300
	r, dir := disked(t)
	files := func(i int, text string) []Change {
		folder := fmt.Sprintf("documents/text/2026-11/%x/%x/%x/doc-%d/", i%16, i/16%4, i%3, i)
		return []Change{put(t, folder+"metadata.json", fmt.Sprintf("{%q: %d}", text, i)), put(t, folder+"content.txt", fmt.Sprint(text, i))}
	}
	var old, changes []Change
	for i := range before {
		old = append(old, files(i, "old")...)
	}
	commit(t, r, old...)
	stored := kindsOf(t, dir)
	folders := map[string]bool{"": true}
	for i := range batch {
		for _, c := range files(i*3, "new") { // some are there, some are not
			changes = append(changes, c)
			for at := filepath.Dir(c.Path.String()); at != "."; at = filepath.Dir(at) {
				folders[at] = true
			}
		}
	}
	tip := commit(t, r, changes...)
	kinds := map[string]int{}
	fresh := map[string]bool{}
	for name, kind := range kindsOf(t, dir) {
		if _, had := stored[name]; !had {
			fresh[name] = true
			kinds[kind]++
		}
	}
	if kinds["tree"] != len(folders) || kinds["blob"] != len(changes) || kinds["commit"] != 1 {
		t.Errorf("%d changes in %d folders made %v", len(changes), len(folders), kinds)
	}
	// No name is stored twice, neither in one pack nor in two.
	packed := strings.Fields(git(t, dir, "count-objects", "-v"))
	if i := slices.Index(packed, "in-pack:"); packed[i+1] != fmt.Sprint(len(stored)+len(fresh)) {
		t.Errorf("%d objects are stored as %s", len(stored)+len(fresh), packed[i+1])
	}
	reached := 0
	for line := range strings.Lines(git(t, dir, "rev-list", "--objects", tip.String(), "^"+tip.String()+"^")) {
		if name, _, _ := strings.Cut(strings.TrimSpace(line), " "); !fresh[name] {
			t.Errorf("%s was not stored by the commit that reaches it first", name)
		}
		reached++
	}
	if reached != len(fresh) {
		t.Errorf("%d objects were stored, %d of them are reached", len(fresh), reached)
	}
}

// kindsOf are the objects that real git finds in a repository, reached or
// not, with their kinds.
func kindsOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for line := range strings.Lines(git(t, dir, "cat-file", "--batch-all-objects", "--batch-check=%(objectname) %(objecttype)")) {
		name, kind, _ := strings.Cut(strings.TrimSpace(line), " ")
		out[name] = kind
	}
	return out
}
