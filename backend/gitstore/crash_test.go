package gitstore_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/durable/powercut"
	"github.com/caiatech/caiatop/backend/gitrepo"
	"github.com/caiatech/caiatop/backend/gitstore"
	"github.com/caiatech/caiatop/backend/store"
)

// poweredStore is a store on a disk.
func poweredStore(t *testing.T, d *powercut.Disk) *gitstore.Store {
	t.Helper()
	repo, err := gitrepo.OpenDisk("/repo.git", gitrepo.Options{Volume: d.Volume()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeRepo(t, repo) })
	return gitstore.New(repo)
}

// soakSeeds is how many times `make soak` lets the power fail at each step: what
// a disk keeps of that which was not synced is random.
const soakSeeds = 50

// The power fails at every step while documents are put, changed and deleted:
// each is as the last acknowledged batch left it, or the one that was being
// made; never half of a batch.
func TestDocumentsSurviveEveryPowerCut(t *testing.T) {
	seeds := 1
	if os.Getenv("CAIATOP_SOAK_ROUNDS") != "" {
		seeds = soakSeeds
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			cuts := powerCuts(t, seed)
			for _, c := range cuts {
				wholeBatch(t, c)
			}
			if len(cuts) < 60 {
				t.Fatalf("the power failed %d times only", len(cuts))
			}
		})
	}
}

// powerCuts are what the power leaves at every step of a history, and after it.
func powerCuts(t *testing.T, seed int) []storeCut {
	t.Helper()
	d := powercut.New()
	s := poweredStore(t, d)
	var mu sync.Mutex // the repository changes the disk in the background, too
	var cuts []storeCut
	var acknowledged atomic.Int64
	taken := func(step int) storeCut {
		before := int(acknowledged.Load())
		left := d.Cut(rand.New(rand.NewPCG(uint64(step), uint64(seed)))) //nolint:gosec // small
		return storeCut{left, before, int(acknowledged.Load())}
	}
	d.Before(func(op powercut.Op) {
		if n := d.Count(powercut.Change); op.Kind < powercut.Open {
			c := taken(n)
			mu.Lock()
			defer mu.Unlock()
			cuts = append(cuts, c)
		}
	})
	for batch := range cutBatches {
		var ops []store.Op
		for i := range cutDocuments {
			op := putOp(doc(t, fmt.Sprint("doc", i), cutText(batch)))
			if i == batch%cutDocuments && batch > 0 {
				op.Doc = nil
			}
			ops = append(ops, op)
		}
		apply(t, s, []store.Trailer{{Key: "Batch", Value: fmt.Sprint(batch)}}, ops...)
		acknowledged.Store(int64(batch) + 1)
	}
	d.Before(nil)
	mu.Lock()
	defer mu.Unlock()
	return append(cuts, taken(0))
}

const cutDocuments, cutBatches = 4, 8

// cutText is what the documents of a batch hold.
func cutText(batch int) string {
	return strings.Repeat(fmt.Sprint("text of batch ", batch, "\n"), 60)
}

// storeCut is a disk that lost its power, and how many batches were
// acknowledged before and after that.
type storeCut struct {
	disk        *powercut.Disk
	done, later int
}

// wholeBatch fails unless a disk holds the last acknowledged batch, or the one
// that was being made, with all of its documents.
func wholeBatch(t *testing.T, c storeCut) {
	t.Helper()
	left := poweredStore(t, c.disk)
	batch := -1
	if value, _, err := left.Trailer(context.Background(), "Batch", func(string) bool { return true }, 1); err == nil {
		if _, err := fmt.Sscan(value, &batch); err != nil {
			t.Fatal(err)
		}
	}
	if batch < c.done-1 || batch > c.later {
		t.Fatalf("%d batches were acknowledged, the last one found is %d", c.done, batch)
	}
	found := 0
	for e, err := range left.List(context.Background()) {
		if err != nil {
			t.Fatal(err)
		}
		got, err := left.Get(context.Background(), e.Key)
		if err != nil || got.Content.Text != cutText(batch) {
			t.Fatalf("batch %d: %q has %.40q, %v", batch, e.Key.ID, got.Content.Text, err)
		}
		found++
	}
	want := cutDocuments - 1
	if batch <= 0 {
		want = cutDocuments * (batch + 1)
	}
	if found != want {
		t.Fatalf("batch %d: %d documents of %d", batch, found, want)
	}
}

// plumbing runs git with an input, below a repository.
func plumbing(t *testing.T, dir string) func(input string, args ...string) string {
	return func(input string, args ...string) string {
		t.Helper()
		cmd := exec.Command("git", args...)
		cmd.Dir, cmd.Stdin = dir, strings.NewReader(input)
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
			"GIT_AUTHOR_NAME=Gil", "GIT_AUTHOR_EMAIL=gil@example.org", "GIT_COMMITTER_NAME=Gil", "GIT_COMMITTER_EMAIL=gil@example.org")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return strings.TrimSpace(string(out))
	}
}

// Folders whose names no document may have are left out of a listing, and
// counted.
func TestFoldersThatAreLeftOutAreCounted(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed: it writes what we refuse to write")
	}
	dir := filepath.Join(t.TempDir(), "repo.git")
	repo, err := gitrepo.OpenDisk(dir, gitrepo.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeRepo(t, repo) })
	s := gitstore.New(repo)
	apply(t, s, nil, putOp(doc(t, "good", "text")))
	if left := s.Left(); left.Folders != 0 {
		t.Fatalf("before the first listing: %+v", left)
	}
	plumb := plumbing(t, dir)
	tree := plumb("", "rev-parse", "main:documents")
	listing := plumb("", "ls-tree", "-z", tree)
	const hostile = 30
	for i := range hostile {
		listing += fmt.Sprintf("040000 tree %s\tevil\x1b[%dm\x00", tree, i)
	}
	documents := plumb(listing, "mktree", "-z")
	root := plumb("040000 tree "+documents+"\t"+document.Root+"\x00", "mktree", "-z")
	plumb("", "update-ref", "refs/heads/main", plumb("", "commit-tree", "-m", "hostile", root))
	n := 0
	for e, err := range s.List(t.Context()) {
		if err != nil || e.Key.ID.String() != "good" {
			t.Fatalf("%q, %v", e.Key.ID, err)
		}
		n++
	}
	left := s.Left()
	if n != 1 || left.Folders != hostile || len(left.First) != 20 || !strings.HasPrefix(left.First[0], document.Root+"/evil\x1b") {
		t.Errorf("listed %d, left %d: %q", n, left.Folders, left.First)
	}
}
