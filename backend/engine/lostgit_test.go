package engine

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caiatech/caiatop/backend/gitstore"
	"github.com/caiatech/caiatop/backend/memstore"
	"github.com/caiatech/caiatop/backend/store"
	"github.com/caiatech/caiatop/probe"
)

// lookNow makes the git replicator look at the repository.
func lookNow(h *Host) { signal(h.wakeGit) }

// gitWhole holds when git is known to hold every document.
func gitWhole(s *Stats) bool {
	return !s.Stores[1].Unknown && s.Stores[1].Lag == 0 && s.Stores[1].Err == ""
}

// removeGit deletes the folder; an engine that runs may write to it meanwhile.
func removeGit(t *testing.T, dir string) {
	t.Helper()
	var err error
	for range 1000 {
		if err = os.RemoveAll(filepath.Join(dir, GitDir)); err == nil {
			return
		}
	}
	t.Fatal(err)
}

// trimmed says that git has everything and that the outbox let go of it: until
// then a lost git folder is simply written from the outbox.
func trimmed(s *Stats) bool { return gitWhole(s) && s.Outbox.Bytes == 0 }

// toldAbout are the events of a kind from that level on.
func toldAbout(h *Host, kind string, level Level) (texts []string) {
	for _, ev := range h.Journal().Since(0) {
		if ev.Kind == kind && ev.Level.AtLeast(level) {
			texts = append(texts, ev.Text)
		}
	}
	return texts
}

func TestADeletedGitFolderComesBackWithItsHistory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := start(t, detached(dir))
	for i := range 30 {
		put(t, h, doc(fmt.Sprintf("d%02d", i), "one"))
	}
	replace(t, h, "d00", "two")
	synced(t, h)
	before := gitOutput(t, dir, "rev-parse", "main")
	removeGit(t, dir)
	lookNow(h)
	await(t, h, "noticed", func(*Stats) bool { return len(toldAbout(h, "git", Warning)) > 0 })
	put(t, h, doc("later", "written meanwhile"))
	await(t, h, "git whole", gitWhole)
	synced(t, h)
	gitOutput(t, dir, "fsck", "--strict", "--full")
	if !strings.Contains(gitOutput(t, dir, "rev-list", "main"), strings.TrimSpace(before)) {
		t.Error("the history from before is not part of the branch")
	}
	wantHistory(t, h, "d00", "two", "one")
	wantText(t, h, "later", "written meanwhile")
}

// TestAWrittenRepositoryHasNoMark: a push that was forced before the next commit
// of ours let go of our history, and git may collect what nothing names.
func TestAWrittenRepositoryHasNoMark(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := start(t, detached(dir))
	put(t, h, doc("a", "one"))
	taken(t, h)
	c := cloneOf(t, dir)
	put(t, h, doc("b", "two"))
	taken(t, h)
	last := gitOutput(t, dir, "rev-parse", "main")
	removeGit(t, dir)
	lookNow(h)
	await(t, h, "noticed", func(*Stats) bool { return len(toldAbout(h, "git", Warning)) > 0 })
	await(t, h, "git whole", gitWhole)
	if mark := gitOutput(t, dir, "rev-parse", gitstore.LastRef); mark != last {
		t.Errorf("the mark is at %s, main at %s", mark, last)
	}
	c.write("c", "three")
	c.push(h, "--force")
	taken(t, h)
	for id, text := range map[string]string{"a": "one", "b": "two", "c": "three"} {
		wantText(t, h, id, text)
	}
	gitOutput(t, dir, "merge-base", "--is-ancestor", strings.TrimSpace(last), "main")
}

func TestAnEmptyRepositoryInThePlaceOfGitHidesTheLoss(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := start(t, detached(dir))
	put(t, h, doc("a", "one"), doc("b", "two"))
	synced(t, h)
	scratch, there := t.TempDir(), filepath.Join(dir, GitDir)
	empty := filepath.Join(scratch, "empty.git")
	if out, err := exec.Command("git", "init", "-q", "--bare", "-b", "main", empty).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for i := range 1000 { // until nothing is made in between
		if err := os.Rename(there, filepath.Join(scratch, fmt.Sprint(i))); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		if os.Rename(empty, there) == nil {
			break
		}
	}
	if _, err := os.Stat(empty); err == nil {
		t.Fatal("the folder could not be replaced")
	}
	put(t, h, doc("c", "three"))
	await(t, h, "git whole", gitWhole)
	synced(t, h)
	gitOutput(t, dir, "fsck", "--strict", "--full")
	if names := gitOutput(t, dir, "ls-tree", "-r", "--name-only", "main"); strings.Count(names, "/content.txt") != 3 {
		t.Errorf("three documents were acknowledged, git holds:\n%s", names)
	}
	wantHistory(t, h, "a", "one")
}

func TestFilesThatVanishInsideGitAreWrittenAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := start(t, detached(dir))
	put(t, h, doc("a", "one"))
	put(t, h, doc("b", "two"))
	synced(t, h)
	packs, err := filepath.Glob(filepath.Join(dir, GitDir, "objects", "pack", "*"))
	if err != nil || len(packs) == 0 {
		t.Fatalf("%v, %v", packs, err)
	}
	for _, p := range packs {
		if err := os.Remove(p); err != nil {
			t.Fatal(err)
		}
	}
	put(t, h, doc("c", "three"))
	await(t, h, "git whole", gitWhole)
	synced(t, h)
	gitOutput(t, dir, "fsck", "--strict", "--full")
	wantHistory(t, h, "a", "one")
}

// A start without the files: nothing is open, and the documents are gone but
// for what other places hold.
func TestFilesThatVanishedInsideGitBeforeTheStart(t *testing.T) {
	t.Parallel()
	address := service(t, "k")
	dir := t.TempDir()
	h := start(t, external(dir, address))
	awaitState(t, h, StatePrimary)
	put(t, h, doc("a", "one"), doc("b", "two"))
	await(t, h, "every store in step", inStep)
	stop(t, h)
	if err := os.RemoveAll(filepath.Join(dir, GitDir, "objects", "pack")); err != nil {
		t.Fatal(err)
	}
	h = start(t, external(dir, address))
	awaitState(t, h, StatePrimary)
	await(t, h, "every store in step", inStep)
	stop(t, h)
	gitOutput(t, dir, "fsck", "--strict", "--full")
	if names := gitOutput(t, dir, "ls-tree", "-r", "--name-only", "main"); strings.Count(names, "/content.txt") != 2 {
		t.Errorf("git holds:\n%s", names)
	}
	aside, err := filepath.Glob(filepath.Join(dir, GitDir+".damaged-*"))
	if err != nil || len(aside) != 1 {
		t.Errorf("the damaged repository was not kept: %v, %v", aside, err)
	}
}

// Git and service are both away, and the process was restarted: nothing serves
// the old documents, and nothing may say that something does.
func TestNothingIsSaidToBeSafeThatNobodyHolds(t *testing.T) {
	t.Parallel()
	address := service(t, "k")
	front := inFront(t, address)
	dir := t.TempDir()
	h := start(t, external(dir, front.url))
	awaitState(t, h, StatePrimary)
	put(t, h, doc("a", "one"))
	await(t, h, "every store in step", func(s *Stats) bool { return inStep(s) && trimmed(s) })
	stop(t, h)
	removeGit(t, dir)
	front.set(cutOff)
	h = start(t, external(dir, front.url))
	awaitState(t, h, StateFallback)
	s := await(t, h, "the loss shown", func(s *Stats) bool { return s.Parked == 1 })
	if slices.Contains(s.Safe, "git") || s.Stores[1].Lag == 0 {
		t.Errorf("git is said to be safe: %v, %+v", s.Safe, s.Stores[1])
	}
	_, err := h.Get(t.Context(), mustID("a"))
	if !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), GitDir) || !strings.Contains(err.Error(), "FALLBACK") {
		t.Errorf("nobody holds it, got %v", err)
	}
	page, err := h.List(t.Context(), Query{})
	if err != nil || len(page.Rows) != 1 || page.Rows[0].Git != Missing || page.Rows[0].Govc == InStep {
		t.Errorf("%+v, %v", page.Rows, err)
	}
	await(t, h, "the missing document named", func(*Stats) bool {
		told := toldAbout(h, "missing", Error)
		return len(told) > 0 && strings.Contains(told[0], `"a"`)
	})
	put(t, h, doc("b", "written meanwhile"))
	wantText(t, h, "b", "written meanwhile")

	// What is known to be missing is known after a restart, too.
	stop(t, h)
	h = start(t, external(dir, front.url))
	awaitState(t, h, StateFallback)
	if s := h.Stats(); slices.Contains(s.Safe, "git") || s.Parked != 1 {
		t.Errorf("the loss was forgotten: %v, %d", s.Safe, s.Parked)
	}
	front.heal()
	await(t, h, "good probes", func(s *Stats) bool { return s.Service.Health.Up })
	if err := h.Recover(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	awaitState(t, h, StatePrimary)
	await(t, h, "every store in step", func(s *Stats) bool { return inStep(s) && s.Parked == 0 && slices.Contains(s.Safe, "git") })
	wantText(t, h, "a", "one")
	stop(t, h)
	gitOutput(t, dir, "fsck", "--strict", "--full")
	if names := gitOutput(t, dir, "ls-tree", "-r", "--name-only", "main"); strings.Count(names, "/content.txt") != 2 {
		t.Errorf("git holds:\n%s", names)
	}
}

// Git is gone beyond repair while the service is down: memory has what was
// written last, and git is made of it.
func TestGitIsRebuiltFromMemory(t *testing.T) {
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
	h = startWith(t, s, func(o *Options) { o.Memory = kept })
	await(t, h, "the loss shown", func(s *Stats) bool { return s.Parked == 1 })
	wantText(t, h, "a", "one", probe.Git, probe.Memory)
	if _, err := h.Get(t.Context(), mustID("b")); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("nobody holds b: %v", err)
	}
	put(t, h, doc("b", "again")) // the newer version ends the loss
	await(t, h, "nothing is missing", func(s *Stats) bool { return s.Parked == 0 && gitWhole(s) })
	if names := gitOutput(t, dir, "ls-tree", "-r", "--name-only", "main"); strings.Count(names, "/content.txt") != 2 {
		t.Errorf("git holds:\n%s", names)
	}
}

// The folder goes at any moment, commits under way included: what was
// acknowledged is read in between, and git is whole in the end.
func TestTheGitFolderGoesWhileDocumentsAreWritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := start(t, detached(dir))
	put(t, h, doc("first", "text"))
	synced(t, h)
	ctx, cancel := context.WithCancel(t.Context())
	written, ended := make(chan int, 1000), make(chan error, 1)
	go func() {
		defer close(written)
		for i := range 1000 {
			if _, err := h.Put(ctx, doc(fmt.Sprintf("d%d", i), fmt.Sprint(i))); err != nil {
				ended <- err
				return
			}
			written <- i
		}
		ended <- nil
	}()
	last := -1
	for i := range written {
		last = i
		if i%150 == 70 {
			removeGit(t, dir)
		}
		if i == 700 {
			cancel()
		}
	}
	cancel()
	if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	for i := range last + 1 {
		wantText(t, h, fmt.Sprintf("d%d", i), fmt.Sprint(i))
	}
	lookNow(h)
	await(t, h, "git whole", func(s *Stats) bool { return gitWhole(s) && s.Parked == 0 && slices.Contains(s.Safe, "git") })
	stop(t, h)
	gitOutput(t, dir, "fsck", "--strict", "--full")
	if names := gitOutput(t, dir, "ls-tree", "-r", "--name-only", "main"); strings.Count(names, "/content.txt") < last+2 {
		t.Errorf("git holds %d documents of %d", strings.Count(names, "/content.txt"), last+2)
	}
}

// cutOff is a service that cannot be reached.
func cutOff(w http.ResponseWriter, _ *http.Request) bool {
	refuse(w, http.StatusBadGateway)
	return true
}

func TestDocumentsInMemoryAreCountedThoughMemoryFallsBehind(t *testing.T) {
	t.Parallel()
	h := start(t, detached(t.TempDir()))
	put(t, h, doc("stays", "text"), doc("goes", "text"))
	await(t, h, "both in memory", func(s *Stats) bool { return s.Cached == 2 })
	// Memory is behind by more than it is handed: the delete does not reach it.
	h.mu.Lock()
	h.unfed[mustID("goes")] = struct{}{}
	h.mu.Unlock()
	put(t, h, doc("next", "text"))
	key := store.Key{ID: mustID("goes"), Folder: newest(t, h, "goes").Folder}
	s := await(t, h, "what memory was not told of forgotten", func(*Stats) bool {
		_, err := h.o.Memory.Get(t.Context(), key)
		return errors.Is(err, store.ErrNotFound)
	})
	if s.Cached != 2 {
		t.Errorf("%d documents are counted", s.Cached)
	}
}
