package gitrepo

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func verify(t testing.TB, r *Repo) VerifyReport {
	t.Helper()
	report, err := r.Verify(context.Background(), VerifyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func TestVerifyOfAWholeRepository(t *testing.T) {
	both(t, func(t *testing.T, r *Repo) {
		ctx := context.Background()
		if report := verify(t, r); !report.Whole() || report.Objects != 0 {
			t.Fatalf("%+v", report)
		}
		first := commit(t, r, put(t, "d/a", "1"), put(t, "b", "2"))
		second := commit(t, r, put(t, "d/a", "2"))
		if err := r.CreateTag(ctx, TagInput{Name: "v", Commit: first, Message: "m", Tagger: ann, At: when}); err != nil {
			t.Fatal(err)
		}
		commitOn(t, r, "side", when, put(t, "only/here", "3"))
		if err := r.DeleteBranch("side"); err != nil {
			t.Fatal(err)
		}
		var steps []int64
		report, err := r.Verify(ctx, VerifyOptions{Progress: func(done, total int64) {
			if done > total {
				t.Errorf("%d of %d", done, total)
			}
			steps = append(steps, done)
		}})
		// 2 commits, 4 trees and 2 blobs, a tag; and the side's 4.
		if err != nil || !report.Whole() || report.References != 2 || report.Objects != 13 || report.Unreachable != 4 {
			t.Errorf("%+v, %v", report, err)
		}
		if len(steps) == 0 {
			t.Error("no progress")
		}
		stopped, cancel := context.WithCancel(ctx)
		cancel()
		if _, err := r.Verify(stopped, VerifyOptions{}); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
		if err := r.SetRef(ctx, testMark, second); err != nil {
			t.Fatal(err)
		}
	})
}

func TestVerifyFindsDamageInMemory(t *testing.T) {
	r := NewMemory(Options{})
	defer closeRepo(t, r)
	tip := commit(t, r, put(t, "d/a", "1"))
	e, err := r.List(context.Background(), tip, path(t, "d"))
	if err != nil {
		t.Fatal(err)
	}
	m := r.objects.(*memory)
	lost := m.objects[e[0].Hash]
	delete(m.objects, e[0].Hash)
	report := verify(t, r)
	if report.Found != 1 || report.Findings[0].Problem != ProblemMissing || report.Findings[0].Object != e[0].Hash || report.Findings[0].Kind != "blob" {
		t.Errorf("%+v", report)
	}
	lost.data = []byte("other")
	m.objects[e[0].Hash] = lost
	if report = verify(t, r); report.Found != 1 || report.Findings[0].Problem != ProblemDamaged {
		t.Errorf("%+v", report)
	}
}

func TestFindingsAreBounded(t *testing.T) {
	r := NewMemory(Options{})
	defer closeRepo(t, r)
	var changes []Change
	for i := range MaxFindings + 10 {
		changes = append(changes, put(t, fmt.Sprintf("f%d", i), fmt.Sprint(i)))
	}
	commit(t, r, changes...)
	m := r.objects.(*memory)
	for h, o := range m.objects {
		o.data = append(bytes.Clone(o.data), 'x')
		m.objects[h] = o
	}
	if report := verify(t, r); len(report.Findings) != MaxFindings || report.Found != MaxFindings+12 {
		t.Errorf("%d of %d", len(report.Findings), report.Found)
	}
}

// damagedCopies are what can be wrong with a repository that has packs of ours
// and of git, loose objects and tags: each hurts a copy.
func damagedCopies(t *testing.T, dir string) map[string]func(dir string) {
	t.Helper()
	pack := func(dir string, n int) string { return matches(t, dir, "objects/pack/*.pack")[n] }
	idx := func(dir string, n int) string { return matches(t, dir, "objects/pack/*.idx")[n] }
	loose := func(dir, rev string) string {
		h := git(t, dir, "rev-parse", rev)
		return filepath.Join(dir, "objects", h[:2], h[2:])
	}
	branch := func(dir, target string) { write(t, filepath.Join(dir, "refs/heads/hurt"), target+"\n") }
	blob := git(t, dir, "rev-parse", "main:d/a")
	raw, err := hex.DecodeString(blob)
	if err != nil {
		t.Fatal(err)
	}
	tree := git(t, dir, "rev-parse", "main^{tree}")
	commitOf := func(dir, tree string) { branch(dir, writeObject(t, dir, "commit", plainCommit(tree))) }
	treeOf := func(entries ...string) func(dir string) {
		return func(dir string) {
			var b bytes.Buffer
			for _, e := range entries {
				b.WriteString(e + "\x00" + string(raw))
			}
			commitOf(dir, writeObject(t, dir, "tree", b.String()))
		}
	}
	commitText := func(text string) func(dir string) {
		return func(dir string) {
			branch(dir, writeObject(t, dir, "commit", strings.ReplaceAll(text, "TREE", tree)))
		}
	}
	who := "Ann <ann@example.org> 1 +0000"
	cases := map[string]func(dir string){
		"a loose object torn":             func(dir string) { truncate(t, loose(dir, "loose:l"), 10) },
		"a loose object empty":            func(dir string) { truncate(t, loose(dir, "loose:l"), 0) },
		"a loose object flipped":          func(dir string) { flip(t, loose(dir, "loose:l"), 12) },
		"a loose object missing":          func(dir string) { remove(t, loose(dir, "loose:l")) },
		"a loose tree missing":            func(dir string) { remove(t, loose(dir, "loose^{tree}")) },
		"a loose object is another":       func(dir string) { replace(t, loose(dir, "loose"), loose(dir, "loose:l")) },
		"a pack missing":                  func(dir string) { remove(t, pack(dir, 0)); remove(t, idx(dir, 0)) },
		"an index missing":                func(dir string) { remove(t, idx(dir, 1)) },
		"a branch at nothing":             func(dir string) { branch(dir, strings.Repeat("1", 40)) },
		"a branch is no name":             func(dir string) { branch(dir, "hello") },
		"a branch is empty":               func(dir string) { write(t, filepath.Join(dir, "refs/heads/hurt"), "") },
		"a branch at a blob":              func(dir string) { branch(dir, blob) },
		"a branch at a tree":              func(dir string) { branch(dir, tree) },
		"a commit whose tree is a blob":   func(dir string) { commitOf(dir, blob) },
		"a commit whose tree is absent":   func(dir string) { commitOf(dir, strings.Repeat("2", 40)) },
		"a commit whose parent is absent": commitText("tree TREE\nparent " + strings.Repeat("3", 40) + "\nauthor " + who + "\ncommitter " + who + "\n\nm\n"),
		"a commit whose parent is a tree": commitText("tree TREE\nparent TREE\nauthor " + who + "\ncommitter " + who + "\n\nm\n"),
		"a commit without a tree":         commitText("author " + who + "\ncommitter " + who + "\n\nm\n"),
		"a commit without an author":      commitText("tree TREE\ncommitter " + who + "\n\nm\n"),
		"a commit without a committer":    commitText("tree TREE\nauthor " + who + "\n\nm\n"),
		"a commit with two authors":       commitText("tree TREE\nauthor " + who + "\nauthor " + who + "\ncommitter " + who + "\n\nm\n"),
		"a commit without an email":       commitText("tree TREE\nauthor Ann 1 +0000\ncommitter " + who + "\n\nm\n"),
		"a commit without a date":         commitText("tree TREE\nauthor Ann <a@b>\ncommitter " + who + "\n\nm\n"),
		"a commit with a padded date":     commitText("tree TREE\nauthor Ann <a@b> 01 +0000\ncommitter " + who + "\n\nm\n"),
		"a commit with a bad date":        commitText("tree TREE\nauthor Ann <a@b> x1 +0000\ncommitter " + who + "\n\nm\n"),
		"a commit with a bad zone":        commitText("tree TREE\nauthor Ann <a@b> 1 0000\ncommitter " + who + "\n\nm\n"),
		"a commit with a bad email":       commitText("tree TREE\nauthor Ann <a<b> 1 +0000\ncommitter " + who + "\n\nm\n"),
		"a commit with a zero byte":       commitText("tree TREE\nauthor " + who + "\ncommitter " + who + "\n\nm\x00\n"),
		"a commit of the far future":      commitText("tree TREE\nauthor Ann <a@b> 99999999999999999999 +0000\ncommitter " + who + "\n\nm\n"),
		"a tree out of order":             treeOf("100644 b", "100644 a"),
		"a name twice":                    treeOf("100644 a", "100644 a"),
		"a name twice, far apart":         treeOf("100644 a", "100644 a-b", "40000 a"),
		"a slash in a name":               treeOf("100644 a/b"),
		"no name":                         treeOf("100644 "),
		"the name ..":                     treeOf("100644 .."),
		"the name .git":                   treeOf("100644 .GIT"),
		"a padded mode":                   treeOf("0100644 a"),
		"a mode that is none":             treeOf("100600 a"),
		"a file as a folder":              treeOf("40000 a"),
		"a tree cut short":                func(dir string) { commitOf(dir, writeObject(t, dir, "tree", "100644 a\x00abc")) },
		"an entry of nothing": func(dir string) {
			commitOf(dir, writeObject(t, dir, "tree", "100644 a\x00"+strings.Repeat("\x00", 20)))
		},
		"a tag of the wrong kind": func(dir string) { tag(t, dir, "object "+blob+"\ntype commit\ntag x\ntagger "+who+"\n\nm\n") },
		"a tag of nothing": func(dir string) {
			tag(t, dir, "object "+strings.Repeat("4", 40)+"\ntype commit\ntag x\ntagger "+who+"\n\nm\n")
		},
		"a tag without a type":    func(dir string) { tag(t, dir, "object "+blob+"\ntag x\ntagger "+who+"\n\nm\n") },
		"a tag without a name":    func(dir string) { tag(t, dir, "object "+blob+"\ntype blob\ntagger "+who+"\n\nm\n") },
		"a tag with a bad tagger": func(dir string) { tag(t, dir, "object "+blob+"\ntype blob\ntag x\ntagger Ann\n\nm\n") },
		"a commit graph flipped": func(dir string) {
			git(t, dir, "commit-graph", "write", "--reachable")
			flip(t, filepath.Join(dir, "objects/info/commit-graph"), 60)
		},
		"an index of all packs flipped": func(dir string) {
			git(t, dir, "multi-pack-index", "write")
			flip(t, filepath.Join(dir, "objects/pack/multi-pack-index"), 1200)
		},
	}
	for n := range 2 {
		for at := range 4 {
			cases[fmt.Sprintf("pack %d flipped at %d/4", n, at)] = func(dir string) { flipPart(t, pack(dir, n), at) }
			cases[fmt.Sprintf("index %d flipped at %d/4", n, at)] = func(dir string) { flipPart(t, idx(dir, n), at) }
		}
	}
	return cases
}

func flipPart(t *testing.T, name string, quarter int) {
	t.Helper()
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	flip(t, name, info.Size()*int64(2*quarter+1)/8)
}

func remove(t *testing.T, name string) {
	t.Helper()
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
}

func replace(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	remove(t, to)
	write(t, to, string(data))
}

func plainCommit(tree string) string {
	return "tree " + tree + "\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\nm\n"
}

func tag(t *testing.T, dir, text string) {
	t.Helper()
	write(t, filepath.Join(dir, "refs/tags/hurt"), writeObject(t, dir, "tag", text)+"\n")
}

// writeObject writes a loose object, whatever is in it.
func writeObject(t *testing.T, dir, kind, data string) string {
	t.Helper()
	cmd := exec.Command("git", "hash-object", "-w", "--literally", "-t", kind, "--stdin")
	cmd.Dir, cmd.Stdin = dir, strings.NewReader(data)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return strings.TrimSpace(string(out))
}

// Whatever real git finds in a damaged repository, we find.
func TestVerifyFindsWhatRealGitFinds(t *testing.T) {
	needGit(t)
	r, dir := disked(t)
	for i := range 6 {
		commit(t, r, put(t, "d/a", strings.Repeat("line\n", 50)+fmt.Sprint(i)), put(t, fmt.Sprint("e/", i), fmt.Sprint(i)))
	}
	git(t, dir, "repack", "-adq") // with deltas
	commit(t, r, put(t, "d/b", "ours"))
	tree := writeObject(t, dir, "tree", "100644 l\x00"+string(func() []byte {
		raw, _ := hex.DecodeString(writeObject(t, dir, "blob", "loose content"))
		return raw
	}()))
	write(t, filepath.Join(dir, "refs/heads/loose"), writeObject(t, dir, "commit", plainCommit(tree))+"\n")
	git(t, dir, "tag", "-a", "-m", "v", "v1", "main")
	if report := verify(t, r); !report.Whole() || report.Unreachable != 0 {
		t.Fatalf("%+v", report)
	}
	fsck(t, dir)
	closeRepo(t, r)
	byGit := 0
	cases := damagedCopies(t, dir)
	for name, hurt := range cases {
		copied := filepath.Join(t.TempDir(), "copy")
		if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		hurt(copied)
		out, err := tryGit(copied, "fsck", "--strict", "--full", "--no-dangling", "--no-progress")
		said := err != nil || strings.TrimSpace(out) != ""
		found := weFind(t, copied)
		switch {
		case said && !found:
			t.Errorf("%s: git says %q (%v), and we find nothing", name, out, err)
		case said:
			byGit++
		}
	}
	if byGit < len(cases)*9/10 {
		t.Errorf("git found %d of %d: this test tests little", byGit, len(cases))
	}
}

// weFind opens and verifies a repository.
func weFind(t *testing.T, dir string) bool {
	t.Helper()
	r, err := OpenDisk(dir, Options{})
	if errors.Is(err, ErrCorrupt) {
		return true
	}
	if err != nil {
		t.Fatal(err)
	}
	defer closeRepo(t, r)
	report := verify(t, r)
	return !report.Whole()
}

// While Verify reads, packs are committed and consolidated away.
func TestVerifyWhilePacksChange(t *testing.T) {
	r, _ := disked(t)
	for i := range maxPacks {
		commit(t, r, put(t, "doc", fmt.Sprint(i)))
	}
	done := make(chan error, 1)
	go func() {
		var err error
		for i := 0; i < 12 && err == nil; i++ {
			_, err = r.Commit(context.Background(), CommitInput{Changes: []Change{{Path: mustPath("doc"), Data: fmt.Appendf(nil, "x%d", i)}}, Author: ann, At: when})
		}
		done <- err
	}()
	for running := true; running; {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			running = false
		default:
		}
		if report := verify(t, r); !report.Whole() {
			t.Fatalf("%+v", report)
		}
	}
	drained(t, r, 1)
}
