package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/govcd"
	"github.com/caiatech/caiatop/backend/store"
	"github.com/caiatech/caiatop/probe"
)

// setPhase changes the phase and waits for it.
func setPhase(t *testing.T, h *Host, to Phase) {
	t.Helper()
	if err := h.SetPhase(t.Context(), to); err != nil {
		t.Fatal(err)
	}
	wantPhase(t, h, to)
}

func wantPhase(t *testing.T, h *Host, want Phase) {
	t.Helper()
	if s := h.Stats(); s.Phase != want || s.Change.Wanted != "" {
		t.Errorf("phase %s, being changed to %q, want %s", s.Phase, s.Change.Wanted, want)
	}
}

func awaitPhase(t *testing.T, h *Host, want Phase) {
	t.Helper()
	await(t, h, "phase "+string(want), func(s *Stats) bool { return s.Phase == want && s.Change.Wanted == "" })
}

// settled: nothing that this phase has lacks anything.
func settled(s *Stats) bool {
	for _, r := range s.Stores {
		if !r.Detached && (r.Unknown || r.Lag != 0) {
			return false
		}
	}
	return s.Outbox.Pending == 0
}

func commits(t *testing.T, dir string) int {
	t.Helper()
	return strings.Count(gitOutput(t, dir, "log", "--format=%H"), "\n")
}

// TestGovcOnlyAndBack: git is left as it was, then has everything again, with
// what happened meanwhile.
func TestGovcOnlyAndBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := start(t, setup(dir))
	awaitState(t, h, StatePrimary)
	put(t, h, doc("a", "one"), doc("b", "two"), doc("c", "three"))
	setPhase(t, h, PhaseGovcOnly)
	before := commits(t, dir)
	put(t, h, doc("a", "one changed"), doc("d", "four"))
	if _, err := h.Delete(t.Context(), mustID("b")); err != nil {
		t.Fatal(err)
	}
	if err := h.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := await(t, h, "every store in step", settled)
	git := s.Stores[1]
	if n := commits(t, dir); n != before || !git.Detached || git.Cursor == 0 {
		t.Errorf("git has %d commits, had %d; %+v", n, before, git)
	}
	if s.Kept.Documents != 0 || s.Kept.All || strings.Join(s.Safe, "+") != "state+govc" {
		t.Errorf("the service keeps its data, yet %+v; safe %v", s.Kept, s.Safe)
	}
	if page, err := h.List(t.Context(), Query{Contains: "a"}); err != nil || page.Rows[0].Git != Detached || page.Rows[0].Govc != InStep {
		t.Errorf("%+v, %v", page.Rows, err)
	}
	if _, err := h.History(t.Context(), mustID("a"), 1); !errors.Is(err, ErrNoGit) || !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("history: %v", err)
	}
	wantText(t, h, "a", "one changed", probe.Govc)
	stop(t, h)

	s2 := setup(dir)
	s2.Detached = true // without effect: that service has the only copy
	h = start(t, s2)
	awaitState(t, h, StatePrimary)
	wantPhase(t, h, PhaseGovcOnly)
	wantText(t, h, "d", "four", probe.Govc)
	setPhase(t, h, PhaseDual)
	for id, text := range map[string]string{"a": "one changed", "c": "three", "d": "four"} {
		if got := inGit(t, h, dir, id); got != text {
			t.Errorf("git holds %q of %s", got, id)
		}
	}
	if out := gitOutput(t, dir, "ls-tree", "-r", "-d", "--name-only", "main"); strings.Contains(out, "/b\n") {
		t.Errorf("b was deleted while git was away:\n%s", out)
	}
	put(t, h, doc("e", "five"))
	s = await(t, h, "every store in step", healthyAndInStep)
	if strings.Join(s.Safe, "+") != "state+git" {
		t.Errorf("safe %v", s.Safe)
	}
	if revisions, err := h.History(t.Context(), mustID("a"), 10); err != nil || len(revisions) != 2 {
		t.Errorf("%d revisions, %v", len(revisions), err)
	}
	stop(t, h)
	gitOutput(t, dir, "fsck", "--strict", "--full")
}

// inGit is the text of a document at the tip of git.
func inGit(t *testing.T, h *Host, dir, id string) string {
	t.Helper()
	row, err := h.o.State.Lookup(t.Context(), mustID(id))
	if err != nil {
		t.Fatal(err)
	}
	return gitOutput(t, dir, "show", "main:"+row.Folder.String()+"/content.txt")
}

// TestKeptCopiesOutliveAServiceThatForgets: without git, what it forgot comes
// back from the copies, also after a start.
func TestKeptCopiesOutliveAServiceThatForgets(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := start(t, forgetful(dir))
	awaitState(t, h, StatePrimary)
	put(t, h, doc("a", "one"), doc("b", "two"), doc("gone", "three"))
	setPhase(t, h, PhaseGovcOnly)
	// Git is not even there any more.
	if err := os.RemoveAll(filepath.Join(dir, GitDir)); err != nil {
		t.Fatal(err)
	}
	put(t, h, doc("a", "one changed"), doc("c", "four"))
	if _, err := h.Delete(t.Context(), mustID("gone")); err != nil {
		t.Fatal(err)
	}
	s := await(t, h, "three copies", func(s *Stats) bool { return s.Kept.Documents == 3 && settled(s) && len(s.Safe) == 2 })
	if !s.Kept.All || s.Kept.Bytes == 0 || s.Outbox.Bytes != 0 || strings.Join(s.Safe, "+") != "state+kept copies" {
		t.Errorf("%+v, %+v, safe %v", s.Kept, s.Outbox, s.Safe)
	}
	for range 2 { // down, and up with nothing
		toggled(t, h)
		if h.DrillStatus().Running() {
			awaitState(t, h, StateFallback)
			wantText(t, h, "b", "two", probe.State, probe.Memory)
			put(t, h, doc("d", "five"))
		}
	}
	if err := h.Recover(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	awaitState(t, h, StatePrimary)
	want := map[string]string{"a": "one changed", "b": "two", "c": "four", "d": "five"}
	wantAt(t, texts(t, outside(t, h, dir)), want)
	stop(t, h)

	h = start(t, forgetful(dir))
	awaitState(t, h, StatePrimary)
	wantPhase(t, h, PhaseGovcOnly)
	wantAt(t, texts(t, outside(t, h, dir)), want)
	setPhase(t, h, PhaseGitOnly)
	if s := h.Stats(); s.State != StateNone || s.Kept.Documents != 0 || s.Service.URL != "" || s.Service.Embedded {
		t.Errorf("%s, %+v, %+v", s.State, s.Kept, s.Service)
	}
	for id, text := range want {
		wantText(t, h, id, text, probe.Git, probe.Memory)
		if got := inGit(t, h, dir, id); got != text {
			t.Errorf("git holds %q of %s", got, id)
		}
	}
	if err := h.Recover(t.Context(), false); !errors.Is(err, ErrNoPrimary) {
		t.Errorf("recover: %v", err)
	}
}

func wantAt(t *testing.T, got, want map[string]string) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the service holds %v, want %v", got, want)
	}
}

// TestGitOnlyToDualFillsTheService, which begins empty in a folder of its own,
// and again after it was left for a while.
func TestGitOnlyToDualFillsTheService(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := setup(dir)
	s.Phase = PhaseGitOnly
	h := start(t, s)
	put(t, h, doc("a", "one"), doc("b", "two"))
	if got := h.Stats(); got.State != StateNone || got.Service.URL != "" || got.Service.Embedded {
		t.Errorf("%s, %+v", got.State, got.Service)
	}
	setPhase(t, h, PhaseDual)
	wantAt(t, texts(t, outside(t, h, dir)), map[string]string{"a": "one", "b": "two"})
	if ack := put(t, h, doc("c", "three")); ack.Durability != PrimaryAndLocal {
		t.Errorf("%+v", ack)
	}
	setPhase(t, h, PhaseGitOnly)
	put(t, h, doc("a", "one changed"))
	if _, err := h.Delete(t.Context(), mustID("b")); err != nil {
		t.Fatal(err)
	}
	stop(t, h)
	h = start(t, s)
	wantPhase(t, h, PhaseGitOnly)
	setPhase(t, h, PhasePrimary)
	wantText(t, h, "c", "three", probe.Govc)
	wantAt(t, texts(t, outside(t, h, dir)), map[string]string{"a": "one changed", "c": "three"})
}

// TestAServiceThatWasChangedMeanwhileKeepsItsVersion as a conflict.
func TestAServiceThatWasChangedMeanwhileKeepsItsVersion(t *testing.T) {
	t.Parallel()
	url := service(t, "k")
	h := start(t, external(t.TempDir(), url))
	awaitState(t, h, StatePrimary)
	put(t, h, doc("a", "base"), doc("b", "base"))
	setPhase(t, h, PhaseGitOnly)
	put(t, h, doc("a", "ours"))
	found, err := h.Get(t.Context(), mustID("a"))
	if err != nil {
		t.Fatal(err)
	}
	theirs := found.Document.Clone()
	theirs.Content.Text = "theirs"
	key := store.Key{ID: theirs.ID, Folder: found.Folder}
	writeThere(t, colleague(t, url), key, theirs)
	setPhase(t, h, PhaseDual)
	wantText(t, h, "a", "theirs")
	if !anyHolds(t, h, "ours") {
		t.Error("our version is gone")
	}
}

// TestAPushWhileGitWasAwayIsNotOverwritten.
func TestAPushWhileGitWasAwayIsNotOverwritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := start(t, setup(dir))
	awaitState(t, h, StatePrimary)
	put(t, h, doc("a", "base"), doc("b", "base"))
	setPhase(t, h, PhaseGovcOnly)
	put(t, h, doc("a", "ours"))
	if err := h.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	pushText(t, h, dir, map[string]string{"a": "pushed", "b": "pushed too"})
	setPhase(t, h, PhaseDual)
	wantText(t, h, "a", "ours")
	wantText(t, h, "b", "pushed too")
	if !anyHolds(t, h, "pushed") {
		t.Error("the version that was pushed is gone")
	}
	await(t, h, "every store in step", healthyAndInStep)
}

// pushText changes the text of documents in a clone and pushes it.
func pushText(t *testing.T, h *Host, dir string, texts map[string]string) {
	t.Helper()
	work := t.TempDir()
	runGit(t, work, "clone", "-q", filepath.Join(dir, GitDir), ".")
	for id, text := range texts {
		row, err := h.o.State.Lookup(t.Context(), mustID(id))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(work, row.Folder.String(), document.TextFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	runGit(t, work, "-c", "user.name=x", "-c", "user.email=x@example.org", "commit", "-qam", "by hand")
	runGit(t, work, "push", "-q", "origin", "HEAD:main")
}

// TestPrimaryGivesGitBatches: writes one by one are one commit, and nobody who
// asks for git waits for the batch.
func TestPrimaryGivesGitBatches(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := setup(dir)
	s.Phase = PhasePrimary
	at, passed := time.Now(), atomic.Int64{}
	s.Now = func() time.Time { return at.Add(time.Duration(passed.Load())) } // the five seconds do not pass by themselves
	h := start(t, s)
	awaitState(t, h, StatePrimary)
	wantPhase(t, h, PhasePrimary)
	for i := range 10 {
		put(t, h, doc(fmt.Sprintf("d%d", i), "text"))
	}
	if s := h.Stats(); s.Stores[1].Lag != 10 || strings.Join(s.Safe, "+") != "state" || !h.batching() {
		t.Errorf("git is %d behind, safe %v, waits for more: %v", s.Stores[1].Lag, s.Safe, h.batching())
	}
	if revisions, err := h.History(t.Context(), mustID("d3"), 10); err != nil || len(revisions) != 1 {
		t.Errorf("%d revisions, %v", len(revisions), err)
	}
	if n := commits(t, dir); n != 1 {
		t.Errorf("%d commits", n)
	}
	put(t, h, doc("d0", "again"))
	if err := h.Sync(t.Context()); err != nil || commits(t, dir) != 2 {
		t.Errorf("%d commits, %v", commits(t, dir), err)
	}
	put(t, h, doc("d1", "in time"))
	if !h.batching() {
		t.Error("one write does not wait for more")
	}
	passed.Add(int64(gitBatchEvery))
	signal(h.wakeGit)
	await(t, h, "git after five seconds", healthyAndInStep)
	put(t, h, doc("d1", "at the end"))
	setPhase(t, h, PhaseDual)
	if h.batching() {
		t.Error("the phase dual waits as well")
	}
	await(t, h, "every store in step", healthyAndInStep)
}

// TestTheOnlyCopyAtTheServiceIsSeen by everything that is made of documents: the
// full-text index, an edit that knows not of every field, a comparison after
// another console raised the epoch.
func TestTheOnlyCopyAtTheServiceIsSeen(t *testing.T) {
	t.Parallel()
	url, dir := durableService(t), t.TempDir()
	h := start(t, external(dir, url))
	awaitState(t, h, StatePrimary)
	d := doc("a", "findable words")
	put(t, h, d, doc("b", "two"))
	setPhase(t, h, PhaseGovcOnly)
	if s := h.Stats(); !s.Service.Durable || s.Kept.Documents != 0 {
		t.Fatalf("%+v, %+v", s.Service, s.Kept)
	}
	stop(t, h)
	for _, name := range []string{"derived.db", "derived.db-wal", "derived.db-shm"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	if err := os.RemoveAll(filepath.Join(dir, GitDir)); err != nil {
		t.Fatal(err)
	}
	c := colleague(t, url)
	marker, found, err := c.ReadMarker(t.Context())
	if err != nil || !found {
		t.Fatal(found, err)
	}
	marker.Epoch++
	if _, err := c.WriteMarker(t.Context(), marker); err != nil {
		t.Fatal(err)
	}
	h = start(t, external(dir, url))
	awaitState(t, h, StatePrimary)
	s := await(t, h, "every store in step", settled)
	if s.Parked != 0 {
		t.Errorf("%d documents are missing that the service has", s.Parked)
	}
	if hits, err := h.Search(t.Context(), "findable", 1); err != nil || len(hits) != 1 {
		t.Errorf("%d hits, %v", len(hits), err)
	}
	wantText(t, h, "b", "two", probe.Govc)
}

// durableService is service with a folder.
func durableService(t *testing.T) string {
	t.Helper()
	s, err := govcd.Open(t.Context(), govcd.Options{Key: "k", Data: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	url, err := s.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return url
}

// toggled takes the service down, or brings it up again.
func toggled(t *testing.T, h *Host) {
	t.Helper()
	var err error
	if h.DrillStatus().Running() {
		_, err = h.StopDrill(t.Context())
	} else {
		_, err = h.StartDrill(t.Context(), Drill{Kind: DrillDown})
	}
	if err != nil {
		t.Fatal(err)
	}
}
