package engine

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/memstore"
	"github.com/caiatech/caiatop/backend/state"
)

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Until the folder is written again, what it held is only in files that this
// process has open.
func TestAnEndRightAfterGitWasDeletedLosesIt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := start(t, detached(dir))
	for i := range 20 {
		put(t, h, doc(fmt.Sprintf("d%d", i), fmt.Sprint(i)))
	}
	synced(t, h)
	removeGit(t, dir)
	stop(t, h)
	h = start(t, detached(dir))
	for i := range 20 {
		wantText(t, h, fmt.Sprintf("d%d", i), fmt.Sprint(i))
	}
}

func TestAPackThatVanishedWithoutItsIndexIsLostAtTheEnd(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := start(t, detached(dir))
	put(t, h, doc("a", "one"))
	synced(t, h)
	packs, err := filepath.Glob(filepath.Join(dir, GitDir, "objects", "pack", "*.pack"))
	if err != nil || len(packs) == 0 {
		t.Fatalf("%v, %v", packs, err)
	}
	for _, p := range packs {
		if err := os.Remove(p); err != nil {
			t.Fatal(err)
		}
	}
	stop(t, h)
	gitOutput(t, dir, "fsck", "--strict", "--full")
	h = start(t, detached(dir))
	wantText(t, h, "a", "one")
}

// Writes to git failed already for another reason when the folder was deleted.
func TestGitIsSaidToBeWholeBeforeItIsMended(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := start(t, detached(dir))
	put(t, h, doc("a", "one"))
	synced(t, h)
	writeFile(t, filepath.Join(dir, GitDir, "refs", "heads", "main.lock"), "")
	put(t, h, doc("b", "two"))
	await(t, h, "the failure told", func(*Stats) bool { return len(toldAbout(h, "git", Error)) > 0 })
	removeGit(t, dir)
	await(t, h, "git whole", func(s *Stats) bool {
		return gitWhole(s) && slices.Contains(toldAbout(h, "git", Info), "git takes writes again")
	})
	texts := toldAbout(h, "git", Info)
	mended := slices.IndexFunc(texts, func(s string) bool { return strings.Contains(s, "written again") })
	if again := slices.Index(texts, "git takes writes again"); mended < 0 || again < mended {
		t.Errorf("in this order: %q", texts)
	}
}

// The commit that says that git is whole must not come before what git lacks is
// recorded: after a crash in between nobody knew.
func TestACrashForgetsWhatGitLacks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	kept := memstore.New(cacheBytes)
	s := detached(dir)
	h := startWith(t, s, func(o *Options) { o.Memory = kept })
	put(t, h, doc("a", "one"), doc("b", "two"))
	synced(t, h)
	await(t, h, "memory holds both", func(s *Stats) bool { return s.Cached == 2 && trimmed(s) })
	stop(t, h)
	removeGit(t, dir)
	kept.Drop(mustID("b"))
	unrecorded := make(chan struct{}, 1)
	h = startWith(t, s, func(o *Options) {
		o.Memory = kept
		db, git := o.State, o.Git
		mine := func(v string) bool { return strings.HasPrefix(v, db.StateID()) }
		o.Now = func() time.Time { // asked before and after each commit
			if _, _, err := git.Trailer(context.Background(), trailerSeq, mine, trailerDepth); err == nil {
				if n, err := db.ParkedAmong(context.Background(), gitReplica); err != nil || n == 0 {
					signal(unrecorded)
				}
			}
			return time.Now()
		}
	})
	await(t, h, "the loss shown", func(s *Stats) bool { return s.Parked == 1 && !s.Stores[1].Unknown })
	select {
	case <-unrecorded:
		t.Error("git was said to be whole while nothing was recorded as missing")
	default:
	}
	if err := h.Sync(t.Context()); err == nil {
		t.Error("git is said to hold every write")
	}
}

// A branch with a hole in its history is moved aside; what it holds beside the
// hole is still there.
func TestWhatADamagedRepositoryStillHoldsIsGivenUp(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := start(t, detached(dir))
	put(t, h, doc("a", "one"), doc("b", "two"))
	replace(t, h, "a", "newer")
	synced(t, h)
	hole := strings.TrimSpace(gitOutput(t, dir, "rev-parse", "main~1:"+newest(t, h, "a").Folder.String()+"/content.txt"))
	objects, found := "", false
	for _, line := range strings.Split(gitOutput(t, dir, "rev-list", "--objects", "main"), "\n") {
		if name, _, _ := strings.Cut(line, " "); name != "" && name != hole {
			objects += name + "\n"
		} else {
			found = found || name == hole
		}
	}
	stop(t, h)
	old, err := filepath.Glob(filepath.Join(dir, GitDir, "objects", "pack", "*"))
	if err != nil || !found {
		t.Fatal(err, hole)
	}
	pack := exec.Command("git", "-C", filepath.Join(dir, GitDir), "pack-objects", "-q", "objects/pack/pack")
	pack.Stdin = strings.NewReader(objects)
	if out, err := pack.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, name := range old {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	losesItsState(t, dir)
	h = start(t, detached(dir))
	await(t, h, "taken over", func(s *Stats) bool { return s.Documents == 2 && gitWhole(s) })
	put(t, h, doc("c", "three"))
	synced(t, h)
	writeFile(t, filepath.Join(dir, GitDir, "refs", "heads", "main"), strings.Repeat("1", 40)+"\n")
	lookNow(h)
	await(t, h, "moved aside", func(*Stats) bool {
		return slices.ContainsFunc(toldAbout(h, "git", Warning), func(s string) bool { return strings.Contains(s, "was moved to") })
	})
	s := await(t, h, "git known", func(s *Stats) bool { return !s.Stores[1].Unknown })
	if s.Parked != 0 {
		t.Errorf("%d documents are missing", s.Parked)
	}
	stop(t, h)
	h = start(t, detached(dir))
	wantText(t, h, "a", "newer")
	wantText(t, h, "b", "two")
	wantText(t, h, "c", "three")
}

func TestDamagedRepositoriesFillTheDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := start(t, detached(dir))
	put(t, h, doc("a", "one"))
	synced(t, h)
	stop(t, h)
	if err := os.RemoveAll(filepath.Join(dir, GitDir, "objects", "pack")); err != nil {
		t.Fatal(err)
	}
	for i := range maxAside {
		if err := os.Mkdir(filepath.Join(dir, fmt.Sprint(GitDir, asideMark, i)), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	h = start(t, detached(dir))
	await(t, h, "refused", func(*Stats) bool {
		return slices.ContainsFunc(h.Journal().Since(0), func(ev Event) bool { return strings.Contains(ev.Next, "move the folders") })
	})
	if err := os.Remove(filepath.Join(dir, fmt.Sprint(GitDir, asideMark, 0))); err != nil {
		t.Fatal(err)
	}
	await(t, h, "git known", func(s *Stats) bool { return !s.Stores[1].Unknown })
	aside, err := filepath.Glob(filepath.Join(dir, GitDir+asideMark+"*"))
	if err != nil || len(aside) != maxAside {
		t.Errorf("%d damaged repositories are kept, %v", len(aside), err)
	}
}

func TestATreeOfUnreadableFoldersFloodsTheEvents(t *testing.T) {
	t.Parallel()
	h := start(t, detached(t.TempDir()))
	put(t, h, doc("a", "one"))
	synced(t, h)
	e := &Engine{o: h.o, dirty: make(chan struct{}, 1), unreadable: map[string]struct{}{}}
	for range 2 {
		for i := range 100 {
			e.tellUnreadable(fmt.Sprint("documents/", i), os.ErrInvalid)
		}
	}
	if n := len(toldAbout(h, "git", Warning)); n != toldParked+1 {
		t.Errorf("%d events of 100 folders", n)
	}
	if past, err := h.o.State.Events(t.Context(), state.MaxEvents); err != nil || len(past) > 2*toldParked {
		t.Errorf("%d events kept, %v", len(past), err)
	}
}
