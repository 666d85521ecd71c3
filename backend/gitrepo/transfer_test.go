package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

// grown is a repository with n commits of size bytes each.
func grown(t testing.TB, n, size int) *Repo {
	t.Helper()
	r := NewMemory(Options{})
	t.Cleanup(func() { closeRepo(t, r) })
	grow(t, r, 0, n, size)
	return r
}

func grow(t testing.TB, r *Repo, from, n, size int) {
	t.Helper()
	for i := from; i < from+n; i++ {
		filler := strings.Repeat(fmt.Sprint(i), size/len(fmt.Sprint(i)))
		commitOn(t, r, "", when.Add(time.Duration(i)*time.Second), put(t, fmt.Sprintf("a/%d/f%d", i%7, i), filler), put(t, "same", "same"))
	}
}

func tipOf(t testing.TB, r *Repo) Hash {
	t.Helper()
	tip, err := r.Tip("")
	if err != nil {
		t.Fatal(err)
	}
	return tip
}

// merged makes a side branch with commits of its own and merges it.
func merged(t testing.TB, r *Repo, name string, at time.Time) (side, merge Hash) {
	t.Helper()
	if err := r.CreateBranch(name, tipOf(t, r)); err != nil {
		t.Fatal(err)
	}
	commitOn(t, r, name, at, put(t, name+"/1", name+" one"))
	side = commitOn(t, r, name, at, put(t, name+"/2", name+" two"))
	commitOn(t, r, "", at, put(t, "beside-"+name, name))
	merge, err := r.Merge(context.Background(), MergeInput{From: name, Author: ann, At: at})
	if err != nil {
		t.Fatal(err)
	}
	return side, merge
}

func TestACopyHasEverything(t *testing.T) {
	src := grown(t, 20, 100)
	// The clock of the one who wrote the side branch is wrong.
	merged(t, src, "late", when.Add(time.Hour))
	merged(t, src, "early", when.Add(-1000*time.Hour))
	commit(t, src, del(t, "a/3"), put(t, "same/below", "a folder now"))
	commit(t, src, put(t, "last", "word"))
	dst, dir := disked(t)
	tip := tipOf(t, src)
	done, err := dst.ReceiveFrom(context.Background(), src, tip, nil)
	if err != nil || done.Tip != tip || tipOf(t, dst) != tip {
		t.Fatalf("%+v, %v; want tip %s", done, err, tip)
	}
	fsck(t, dir)
	if n := git(t, dir, "rev-list", "--count", "main"); n != "30" {
		t.Errorf("%s commits", n)
	}
	again, err := dst.ReceiveFrom(context.Background(), src, tip, nil)
	if err != nil || again.Objects != 0 {
		t.Errorf("a second copy: %+v, %v", again, err)
	}
}

// TestAnInterruptedCopyGoesOn: the branch stays where it was after each part,
// and the next copy begins there.
func TestAnInterruptedCopyGoesOn(t *testing.T) {
	src := grown(t, 40, 8<<10)
	dst, dir := disked(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	parts := 0
	first, err := dst.receive(ctx, src, tipOf(t, src), 64<<10, func(Copied) {
		if parts++; parts == 2 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) || parts != 2 {
		t.Fatalf("%d parts, %v", parts, err)
	}
	if tipOf(t, dst) != first.Tip || first.Commits == 0 || first.Commits >= 40 {
		t.Fatalf("%+v, the branch is at %s", first, tipOf(t, dst))
	}
	fsck(t, dir)
	second, err := dst.ReceiveFrom(context.Background(), src, tipOf(t, src), nil)
	if err != nil || first.Commits+second.Commits != 40 || tipOf(t, dst) != tipOf(t, src) {
		t.Errorf("%+v, then %+v, %v", first, second, err)
	}
	fsck(t, dir)
}

// TestACopyGoesOnOverAMerge: what the destination has came in from the side.
func TestACopyGoesOnOverAMerge(t *testing.T) {
	src := grown(t, 5, 10)
	side, _ := merged(t, src, "theirs", when.Add(time.Minute))
	grow(t, src, 10, 3, 10)
	dst, dir := disked(t)
	if _, err := dst.ReceiveFrom(context.Background(), src, side, nil); err != nil {
		t.Fatal(err)
	}
	n, oldest, err := src.Ahead(context.Background(), side, tipOf(t, src))
	if err != nil || n != 4 || len(oldest.Parents) != 2 {
		t.Errorf("%d commits ahead from %+v, %v; want 4 from the merge on", n, oldest, err)
	}
	if _, err := dst.ReceiveFrom(context.Background(), src, tipOf(t, src), nil); err != nil {
		t.Fatal(err)
	}
	fsck(t, dir)
	if n := git(t, dir, "rev-list", "--count", "main"); n != "12" {
		t.Errorf("%s commits", n)
	}
}

func TestACopyTakesNothingAway(t *testing.T) {
	ctx := context.Background()
	whole := grown(t, 6, 10)
	log, err := whole.Log(ctx, tipOf(t, whole), LogOptions{})
	if err != nil {
		t.Fatal(err)
	}
	middle := log[3].Hash
	half := NewMemory(Options{})
	defer closeRepo(t, half)
	if _, err := half.ReceiveFrom(ctx, whole, middle, nil); err != nil {
		t.Fatal(err)
	}
	other := NewMemory(Options{})
	defer closeRepo(t, other)
	if _, err := other.ReceiveFrom(ctx, whole, middle, nil); err != nil {
		t.Fatal(err)
	}
	commit(t, other, put(t, "elsewhere", "x"))
	foreign := NewMemory(Options{})
	defer closeRepo(t, foreign)
	commit(t, foreign, put(t, "foreign", "x"))
	named := NewMemory(Options{})
	defer closeRepo(t, named)
	commitOn(t, named, "master", when, put(t, "foreign", "x"))
	for name, c := range map[string]struct {
		dst, src *Repo
		says     string
		foreign  bool
	}{
		"newer, and known":   {dst: whole, src: whole, says: "newer than"},
		"newer, and unknown": {dst: whole, src: half, says: "newer than"},
		"parted":             {dst: other, src: whole, says: "that are not here"},
		"foreign":            {dst: foreign, src: whole, says: "another history", foreign: true},
		"foreign branch":     {dst: named, src: whole, says: "master", foreign: true},
	} {
		t.Run(name, func(t *testing.T) {
			tip := tipOf(t, c.src)
			if c.dst == c.src {
				tip = middle
			}
			was, _ := c.dst.Branches()
			_, err := c.dst.ReceiveFrom(ctx, c.src, tip, nil)
			if !errors.Is(err, ErrNotForward) || errors.Is(err, ErrForeign) != c.foreign || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v; want one that says %q", err, c.says)
			}
			if now, _ := c.dst.Branches(); fmt.Sprint(now) != fmt.Sprint(was) {
				t.Errorf("branches %v, before %v", now, was)
			}
		})
	}
}

// spoiler keeps a history with one blob that is not what its name says.
type spoiler struct{ to *Repo }

func (s spoiler) Object(ctx context.Context, h Hash, kind plumbing.ObjectType, data []byte) error {
	if kind == plumbing.BlobObject && strings.HasPrefix(string(data), "2") {
		data = []byte(strings.Replace(string(data), "2", "3", 1))
	}
	return s.to.objects.store(ctx, []staged{{hash: h, object: object{kind, data}}})
}

func (spoiler) Reached(context.Context, Hash, Hash) (bool, error) { return true, nil }

// TestDamageIsNotCopied: bytes that changed on the disk stop a copy, at
// the last commit that is whole.
func TestDamageIsNotCopied(t *testing.T) {
	good := grown(t, 3, 1000)
	src := NewMemory(Options{})
	defer closeRepo(t, src)
	if err := good.Send(context.Background(), Hash{}, tipOf(t, good), spoiler{src}); err != nil {
		t.Fatal(err)
	}
	if err := src.SetRef(context.Background(), headsPrefix+Main, tipOf(t, good)); err != nil {
		t.Fatal(err)
	}
	dst, dir := disked(t)
	if _, err := dst.ReceiveFrom(context.Background(), src, tipOf(t, src), nil); !errors.Is(err, ErrCorrupt) {
		t.Errorf("%v, want ErrCorrupt", err)
	}
	fsck(t, dir)
	if n := git(t, dir, "rev-list", "--count", "main"); n != "2" {
		t.Errorf("%s commits, want the 2 before the damage", n)
	}
}

// TestAHugeCommitIsCopiedInParts: memory does not grow with a commit.
func TestAHugeCommitIsCopiedInParts(t *testing.T) {
	src := NewMemory(Options{})
	defer closeRepo(t, src)
	changes := make([]Change, 0, 24)
	for i := range 24 {
		changes = append(changes, put(t, fmt.Sprintf("f%d", i), strings.Repeat(fmt.Sprint(i%10), 8<<10)))
	}
	commit(t, src, changes...)
	dst, dir := disked(t)
	if _, err := dst.receive(context.Background(), src, tipOf(t, src), 64<<10, nil); err != nil {
		t.Fatal(err)
	}
	if n := dst.Maintenance().Packs; n < 2 {
		t.Errorf("%d packs: all of it was held at once", n)
	}
	fsck(t, dir)
}
