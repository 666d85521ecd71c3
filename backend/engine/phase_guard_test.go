package engine

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/state"
	"github.com/caiatech/caiatop/backend/store"
	"github.com/caiatech/caiatop/probe"
)

// refusedPhase wants a change to be refused for a reason that says what to do.
func refusedPhase(t *testing.T, h *Host, to, stays Phase, why, next string) {
	t.Helper()
	err := h.SetPhase(t.Context(), to)
	refusal, ok := errors.AsType[*PhaseError](err)
	if !ok || !errors.Is(err, store.ErrConflict) || !strings.Contains(refusal.Why, why) || !strings.Contains(refusal.Next, next) {
		t.Fatalf("got %v (%+v), want it refused: %s", err, refusal, why)
	}
	wantPhase(t, h, stays)
}

// TestCopiesThatDoNotFitRefuseTheChange: at once, or when it turns out, and
// nothing of it stays.
func TestCopiesThatDoNotFitRefuseTheChange(t *testing.T) {
	t.Parallel()
	s := forgetful(t.TempDir())
	s.KeptBytes = 2000
	h := start(t, s)
	awaitState(t, h, StatePrimary)
	put(t, h, doc("a", strings.Repeat("x", 3000)))
	refusedPhase(t, h, PhaseGovcOnly, PhaseDual, "engine.kept_bytes allows (2000)", "Raise engine.kept_bytes")
	// Metadata counts as well, which the index does not know of.
	put(t, h, doc("a", "x"))
	var many []document.Document
	for i := range 3 * state.MaxKeep {
		many = append(many, doc("d"+strings.Repeat("0", i%3)+string(rune('a'+i%26))+strings.Repeat("z", i/26), "y"))
	}
	put(t, h, many...)
	refusedPhase(t, h, PhaseGovcOnly, PhaseDual, "engine.kept_bytes allows 2000", "engine.kept_bytes")
	if got := h.Stats(); got.Kept.Documents != 0 || got.Kept.Attached {
		t.Errorf("%+v", got.Kept)
	}
	if _, attached := h.o.State.Cursor(keptReplica); attached {
		t.Error("the outbox is still held for copies")
	}
	await(t, h, "every store in step", healthyAndInStep)
}

// TestAFullKeptStoreRefusesWritesAndTakesDeletes.
func TestAFullKeptStoreRefusesWritesAndTakesDeletes(t *testing.T) {
	t.Parallel()
	s := forgetful(t.TempDir())
	s.KeptBytes = 2000
	s.Phase = PhaseGovcOnly
	h := start(t, s)
	awaitState(t, h, StatePrimary)
	put(t, h, doc("a", strings.Repeat("x", 2500)))
	await(t, h, "a copy", func(s *Stats) bool { return s.Kept.Documents == 1 })
	_, err := h.Put(t.Context(), doc("b", "one more"))
	if !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "caiatop phase set dual") || h.Ready(t.Context()) == nil {
		t.Errorf("got %v, ready %v", err, h.Ready(t.Context()))
	}
	if _, err := h.Delete(t.Context(), mustID("a")); err != nil {
		t.Fatal(err)
	}
	await(t, h, "no copy", func(s *Stats) bool { return s.Kept.Documents == 0 })
	put(t, h, doc("b", "one more"))
	if err := h.Ready(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestGitIsNotLeftAloneWithoutADocument: the service may have the only copy.
func TestGitIsNotLeftAloneWithoutADocument(t *testing.T) {
	t.Parallel()
	h := start(t, setup(t.TempDir()))
	awaitState(t, h, StatePrimary)
	put(t, h, doc("a", "one"))
	s := await(t, h, "every store in step", healthyAndInStep)
	if err := h.o.State.Advance(t.Context(), state.Advance{Store: gitReplica, Seq: s.Stores[1].Cursor, Park: []state.Parked{{
		Store: gitReplica, ID: mustID("a"), Seq: s.Stores[1].Cursor, Reason: parkedMissing,
	}}}); err != nil {
		t.Fatal(err)
	}
	refusedPhase(t, h, PhaseGitOnly, PhaseDual, "git lacks 1 documents", "Bring the service back")
}

// TestADocumentThatNoStoreHasBlocksTheWayBackToGit.
func TestADocumentThatNoStoreHasBlocksTheWayBackToGit(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := forgetful(dir)
	s.Phase = PhaseGovcOnly
	h := start(t, s)
	awaitState(t, h, StatePrimary)
	put(t, h, doc("a", "one"), doc("lost", "two"))
	await(t, h, "two copies", func(s *Stats) bool { return s.Kept.Documents == 2 && settled(s) })
	stop(t, h)
	db, err := state.Open(t.Context(), dir, state.Options{})
	if err == nil {
		err = errors.Join(db.Keep(t.Context(), state.Keep{Drop: []state.KeptCopy{{ID: mustID("lost"), Seq: 2}}}), db.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	h = start(t, s)
	awaitState(t, h, StatePrimary)
	refusedPhase(t, h, PhaseDual, PhaseGovcOnly, `1 documents are in no store that can be asked now, "lost" among them`, "Bring back a copy")
	if got := h.Stats(); !got.Stores[1].Detached {
		t.Errorf("git is still attached: %+v", got.Stores[1])
	}
	put(t, h, doc("lost", "written again"))
	setPhase(t, h, PhaseDual)
	if got := inGit(t, h, dir, "lost"); got != "written again" {
		t.Errorf("git holds %q", got)
	}
}

// TestWhatTheServiceCannotHoldIsKept where git is away, and goes where it can.
func TestWhatTheServiceCannotHoldIsKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := start(t, setup(dir))
	awaitState(t, h, StatePrimary)
	large := func(id string) document.Document {
		d := doc(id, "")
		d.Content.Raw = []byte(strings.Repeat("\xff\x00", document.MaxContent*2/5))
		return d
	}
	put(t, h, large("before"), doc("small", "fits"))
	setPhase(t, h, PhaseGovcOnly)
	put(t, h, large("after"))
	s := await(t, h, "two copies", func(s *Stats) bool { return s.Kept.Documents == 2 && settled(s) })
	if s.Kept.All || s.Parked != 2 || h.o.State.Summary().PayloadBytes != 0 {
		t.Errorf("%+v, %d parked", s.Kept, s.Parked)
	}
	if err := os.RemoveAll(filepath.Join(dir, GitDir)); err != nil {
		t.Fatal(err)
	}
	h.o.Memory.Drop(mustID("before"))
	for _, id := range []string{"before", "after"} {
		found, err := h.Get(t.Context(), mustID(id))
		if err != nil || len(found.Document.Content.Raw) != document.MaxContent*4/5 {
			t.Errorf("%s: %d bytes, %v", id, len(found.Document.Content.Raw), err)
		}
	}
	put(t, h, doc("after", "small now"))
	await(t, h, "one copy", func(s *Stats) bool { return s.Kept.Documents == 1 && settled(s) })
	setPhase(t, h, PhaseDual)
	if s := h.Stats(); s.Kept.Documents != 0 {
		t.Errorf("%+v", s.Kept)
	}
}

// TestAChangeWaitsForAServiceThatIsDown, one at a time, and can be taken back.
func TestAChangeWaitsForAServiceThatIsDown(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := start(t, setup(dir))
	awaitState(t, h, StatePrimary)
	put(t, h, doc("a", "one"))
	drill := func(down bool) {
		t.Helper()
		if toggled(t, h); h.DrillStatus().Running() != down {
			t.Fatalf("%+v", h.DrillStatus())
		}
	}
	drill(true)
	awaitState(t, h, StateFallback)
	done := make(chan error, 1)
	go func() { done <- h.SetPhase(context.WithoutCancel(t.Context()), PhaseGovcOnly) }()
	s := await(t, h, "waiting", func(s *Stats) bool {
		return strings.Contains(s.Change.Detail, "waiting for the govc service: FALLBACK")
	})
	if s.Phase != PhaseDual || s.Change.Wanted != PhaseGovcOnly || s.Change.Step != stepAttaching || s.Change.Asked != askedByOperator {
		t.Errorf("%s, %+v", s.Phase, s.Change)
	}
	put(t, h, doc("b", "two")) // git still has everything
	if err := h.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := h.SetPhase(t.Context(), PhaseGitOnly); !errors.Is(err, ErrPhaseBusy) || !strings.Contains(err.Error(), "caiatop phase set dual") {
		t.Errorf("another change meanwhile: %v", err)
	}
	setPhase(t, h, PhaseDual)
	if err := <-done; err == nil || !strings.Contains(err.Error(), "taken back") {
		t.Errorf("the change that was taken back: %v", err)
	}
	// The next one lasts until the service is back, and what asked for it does not
	// have to.
	ctx, cancel := context.WithCancel(t.Context())
	go func() { done <- h.SetPhase(ctx, PhaseGovcOnly) }()
	await(t, h, "waiting", func(s *Stats) bool { return s.Change.Detail != "" })
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "goes on") {
		t.Errorf("whoever asked and left: %v", err)
	}
	drill(false)
	if err := h.Recover(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	awaitPhase(t, h, PhaseGovcOnly)
	wantText(t, h, "b", "two", probe.Govc)
}

// TestGovcCanBeLeftWhileItIsDown: git has everything.
func TestGovcCanBeLeftWhileItIsDown(t *testing.T) {
	t.Parallel()
	h := start(t, setup(t.TempDir()))
	awaitState(t, h, StatePrimary)
	if err := h.Fallback(t.Context()); err != nil {
		t.Fatal(err)
	}
	put(t, h, doc("a", "one"))
	setPhase(t, h, PhaseGitOnly)
	s := await(t, h, "git in step", settled)
	if s.Parked != 0 || !s.Stores[0].Detached {
		t.Errorf("%+v, %d parked", s.Stores[0], s.Parked)
	}
	setPhase(t, h, PhaseDual)
	wantText(t, h, "a", "one", probe.Govc)
}

// TestAChangeWhileTheServiceIsRefilled waits for it and loses nothing.
func TestAChangeWhileTheServiceIsRefilled(t *testing.T) {
	t.Parallel()
	h := start(t, forgetful(t.TempDir()))
	awaitState(t, h, StatePrimary)
	want := map[string]string{}
	var docs []document.Document
	for i := range 300 {
		id := "d" + strings.Repeat("x", i%7) + string(rune('a'+i%26)) + strings.Repeat("y", i/26)
		docs, want[id] = append(docs, doc(id, id)), id
	}
	put(t, h, docs...)
	for range 2 {
		toggled(t, h)
		if h.DrillStatus().Running() {
			awaitState(t, h, StateFallback)
		}
	}
	if err := h.Recover(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	setPhase(t, h, PhaseGovcOnly) // RESEEDING has begun
	if s := h.Stats(); s.State != StatePrimary && s.State != StateReplaying || s.Kept.Documents != int64(len(want)) {
		t.Errorf("%s, %+v, want %d copies", s.State, s.Kept, len(want))
	}
	for id := range want {
		wantText(t, h, id, id)
	}
}

// TestADocumentThatNoStoreHasBlocksTheWayToKeptCopies: a change does not take
// effect before all of them are there.
func TestADocumentThatNoStoreHasBlocksTheWayToKeptCopies(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	run(t, forgetful(dir), func(h *Host) { put(t, h, doc("lost", "one")) })
	if err := os.RemoveAll(filepath.Join(dir, GitDir)); err != nil {
		t.Fatal(err)
	}
	h := start(t, forgetful(dir))
	awaitState(t, h, StatePrimary)
	put(t, h, doc("b", "two"))
	refusedPhase(t, h, PhaseGovcOnly, PhaseDual, `1 documents are in no store that can be asked now, "lost" among them`, "Bring back a copy")
	if got := h.Stats(); got.Kept.Documents != 0 || got.Kept.Attached {
		t.Errorf("%+v", got.Kept)
	}
	refusedPhase(t, h, PhaseGitOnly, PhaseDual, "git lacks 1 documents", "Bring the service back")
}

// TestGitWasTakenForWholeOnceItsBranchWasKnown, before anything was copied to it:
// a change to git-only then dropped the only copies.
func TestGitWasTakenForWholeOnceItsBranchWasKnown(t *testing.T) {
	t.Parallel()
	h := start(t, forgetful(t.TempDir()))
	awaitState(t, h, StatePrimary)
	put(t, h, doc("a", "one"))
	setPhase(t, h, PhaseGovcOnly)
	if err := h.attachGitPart(t.Context()); err != nil {
		t.Fatal(err)
	}
	await(t, h, "git whole", func(*Stats) bool { return h.phased.gitWhole.Load() })
	h.phased.gitWhole.Store(false) // as while documents are copied
	if waiting, err := h.attachedWhole(t.Context(), PhaseGovcOnly, PhaseGitOnly, storeSet{git: true}); waiting == "" || err != nil {
		t.Errorf("git's branch is known, and that is taken for everything: %q, %v", waiting, err)
	}
	h.phased.git.leavePart()
}

// TestThePhaseStaysWhileADrillHasAnEmptyServiceThere: what that holds proves
// nothing.
func TestThePhaseStaysWhileADrillHasAnEmptyServiceThere(t *testing.T) {
	t.Parallel()
	h := start(t, setup(t.TempDir()))
	awaitState(t, h, StatePrimary)
	put(t, h, doc("a", "one"))
	await(t, h, "every store in step", healthyAndInStep)
	if _, err := h.StartDrill(t.Context(), Drill{Kind: DrillEmptyRestart}); err != nil {
		t.Fatal(err)
	}
	var refused *PhaseError
	if err := h.SetPhase(t.Context(), PhaseGovcOnly); !errors.As(err, &refused) || !strings.Contains(refused.Next, "drill stop") {
		t.Errorf("%v", err)
	}
	if _, err := h.StopDrill(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := h.Recover(t.Context(), false); err != nil {
		t.Log(err) // it may be under way
	}
	awaitState(t, h, StatePrimary)
	setPhase(t, h, PhaseGovcOnly)
}
