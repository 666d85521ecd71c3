package engine

import (
	"errors"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/state"
	"github.com/caiatech/caiatop/backend/store"
)

// TestTheConfigurationWinsOnlyWhenItChanges: a phase that an operator set stays,
// as long as the configuration says what it said before.
func TestTheConfigurationWinsOnlyWhenItChanges(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	begin := func(configured Phase) *Host {
		s := setup(dir)
		s.Phase = configured
		return start(t, s)
	}
	h := begin(PhaseDual)
	awaitState(t, h, StatePrimary)
	put(t, h, doc("a", "one"))
	stop(t, h)
	for i, step := range []struct {
		configured, then, set Phase
	}{
		{configured: PhaseGitOnly, then: PhaseGitOnly},
		{configured: PhaseGitOnly, then: PhaseGitOnly, set: PhasePrimary},
		{configured: PhaseGitOnly, then: PhasePrimary},
		{configured: "", then: PhasePrimary},
		{configured: PhaseGitOnly, then: PhaseGitOnly},
		{configured: PhaseDual, then: PhaseDual},
	} {
		h = begin(step.configured)
		awaitPhase(t, h, step.then)
		if step.set != "" {
			setPhase(t, h, step.set)
		}
		wantText(t, h, "a", "one")
		if t.Failed() {
			t.Fatalf("step %d", i)
		}
		stop(t, h)
	}
}

// TestAChangeThatTheConfigurationTakesBackIsForgotten before it was carried out.
func TestAChangeThatTheConfigurationTakesBackIsForgotten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	run(t, detached(dir), func(h *Host) { put(t, h, doc("a", "one")) })
	s := detached(dir) // cannot attach or leave a service
	s.Phase = PhaseGovcOnly
	run(t, s, func(h *Host) {
		if c := h.Stats().Change; c.Wanted != PhaseGovcOnly || c.Asked != askedByConfiguration || h.Stats().Phase != PhaseDual {
			t.Errorf("%+v", c)
		}
		if err := h.SetPhase(t.Context(), PhaseGitOnly); !errors.Is(err, ErrPhaseBusy) {
			t.Errorf("a second change: %v", err)
		}
	})
	run(t, detached(dir), func(h *Host) {
		wantPhase(t, h, PhaseDual)
		if err := h.SetPhase(t.Context(), PhaseGitOnly); !errors.Is(err, ErrNoPrimary) {
			t.Errorf("without the service: %v", err)
		}
		if err := h.SetPhase(t.Context(), "both"); !errors.Is(err, document.ErrInvalid) {
			t.Errorf("no phase: %v", err)
		}
	})
}

// TestANewStateBeginsInThePhaseThatIsConfigured, unless git holds documents that
// it would never look at.
func TestANewStateBeginsInThePhaseThatIsConfigured(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := setup(dir)
	s.Phase = PhaseGovcOnly
	h := start(t, s)
	wantPhase(t, h, PhaseGovcOnly)
	awaitState(t, h, StatePrimary)
	put(t, h, doc("a", "one"))
	setPhase(t, h, PhaseDual)
	await(t, h, "every store in step", healthyAndInStep)
	stop(t, h)
	losesItsState(t, dir)
	h = start(t, s)
	if got := h.Stats().Phase; got != PhaseDual && got != PhaseGovcOnly {
		t.Errorf("phase %s", got)
	}
	awaitPhase(t, h, PhaseGovcOnly)
	wantText(t, h, "a", "one")
	if n := h.Stats().Documents; n != 1 {
		t.Errorf("%d documents", n)
	}
}

// TestAStateOfAnEarlierVersionKeepsItsPhase.
func TestAStateOfAnEarlierVersionKeepsItsPhase(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		served     bool
		configured Phase
		want       state.Phase
	}{
		{true, "", state.Phase{Name: "dual"}},
		{true, PhaseDual, state.Phase{Name: "dual", Configured: "dual"}},
		{false, PhaseDual, state.Phase{Name: "dual", Configured: "dual"}},
		{false, PhaseGitOnly, state.Phase{Name: "git-only", Configured: "git-only"}},
		{true, PhaseGitOnly, state.Phase{Name: "dual", Wanted: "git-only", Step: stepAttaching, Asked: askedByConfiguration}},
		{true, PhasePrimary, state.Phase{Name: "dual", Wanted: "primary", Step: stepAttaching, Asked: askedByConfiguration}},
	} {
		db, err := state.Open(t.Context(), t.TempDir(), state.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Attach(t.Context(), gitReplica, 0); err != nil {
			t.Fatal(err)
		}
		if c.served {
			if err := db.Attach(t.Context(), primaryReplica, 0); err != nil {
				t.Fatal(err)
			}
		}
		d := doc("a", "one")
		hash, err := d.Hash()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.Append(t.Context(), []state.Operation{{OpID: "1", Key: store.NewKey(document.LayoutFanOut, d), Doc: &d, Hash: hash}}); err != nil {
			t.Fatal(err)
		}
		got, drop := atStart(db, c.configured, false, time.Time{})
		if got != c.want || drop != (storeSet{}) {
			t.Errorf("%+v: %+v, %v", c, got, drop)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
