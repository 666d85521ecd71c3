package engine

import (
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/store"
)

// TestOneDrillAtATime, which also keeps the service from being taken back.
func TestOneDrillAtATime(t *testing.T) {
	t.Parallel()
	h := start(t, setup(t.TempDir()))
	awaitState(t, h, StatePrimary)
	drill(t, h, Drill{Kind: DrillBlackHole, For: MaxDrill})
	if _, err := h.StartDrill(t.Context(), Drill{Kind: DrillDown}); !errors.Is(err, ErrDrillRuns) || !strings.Contains(err.Error(), "black-hole, for another 15m") {
		t.Errorf("a second drill: %v", err)
	}
	if err := h.Recover(t.Context(), false); !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "caiatop drill stop") {
		t.Errorf("recover: %v", err)
	}
	endDrill(t, h)
	if s, err := h.StopDrill(t.Context()); err != nil || s.Running() {
		t.Errorf("ended twice: %+v, %v", s, err)
	}
	stop(t, h)
	if _, err := h.StartDrill(t.Context(), Drill{Kind: DrillDown}); !errors.Is(err, ErrClosing) {
		t.Errorf("after the end: %v", err)
	}
}

func TestADrillEndsByItself(t *testing.T) {
	t.Parallel()
	h := start(t, setup(t.TempDir()))
	awaitState(t, h, StatePrimary)
	if _, err := h.startDrill(t.Context(), Drill{Kind: DrillLostReplies, For: 20 * time.Millisecond, Rate: 1}); err != nil {
		t.Fatal(err)
	}
	await(t, h, "the end of the drill", func(s *Stats) bool { return !s.Drill.Running() })
	if told := toldAbout(h, kindDrill, Info); len(told) != 2 || !strings.HasSuffix(told[1], "its time was over") {
		t.Errorf("events %q", told)
	}
	takenBack(t, h)
	put(t, h, doc("after", "one"))
	drill(t, h, Drill{Kind: DrillSlow, Delay: time.Millisecond}) // nothing of the first ends it
	if !h.DrillStatus().Running() {
		t.Error("the second drill does not run")
	}
}

// TestADrillThatCannotBeEndedIsEndedAgain: another program listens on the port
// of the service when it is to come back.
func TestADrillThatCannotBeEndedIsEndedAgain(t *testing.T) {
	t.Parallel()
	h := start(t, setup(t.TempDir()))
	awaitState(t, h, StatePrimary)
	drill(t, h, Drill{Kind: DrillDown, For: LeastDrill})
	other, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", strings.TrimPrefix(h.Stats().Service.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.StopDrill(t.Context()); err == nil || !h.DrillStatus().Running() {
		t.Errorf("ended: %v", err)
	}
	await(t, h, "the error", func(s *Stats) bool { return strings.Contains(s.Drill.Err, "in use") })
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	await(t, h, "the end of the drill", func(s *Stats) bool { return !s.Drill.Running() })
	takenBack(t, h)
}

// TestTheEndOfTheEngineEndsADrill, and waits for nothing of it.
func TestTheEndOfTheEngineEndsADrill(t *testing.T) {
	for _, kind := range []DrillKind{DrillBlackHole, DrillEmptyRestart} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			h := start(t, setup(dir))
			awaitState(t, h, StatePrimary)
			put(t, h, doc("a", "one"))
			await(t, h, "every store in step", inStep)
			drill(t, h, Drill{Kind: kind, For: MaxDrill})
			stop(t, h)
			h = start(t, setup(dir))
			if h.DrillStatus().Running() {
				t.Error("the drill runs on")
			}
			takenBack(t, h)
			wantText(t, h, "a", "one", "govc")
		})
	}
}

// TestAKilledDrillIsGone: a process is killed in the middle of the drill that
// changes most. The next one knows of none, and nothing that was acknowledged is
// lost.
func TestAKilledDrillIsGone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	run(t, setup(dir), func(h *Host) { put(t, h, doc("before", "one")) })
	acked := killedWriter(t, dir, 10, crashDrill+"="+string(DrillEmptyRestart))
	h := start(t, setup(dir))
	if h.DrillStatus().Running() || !h.o.Embedded.Keeps() {
		t.Error("something of the drill is left")
	}
	takenBack(t, h)
	held := texts(t, outside(t, h, dir))
	if held["before"] != "one" {
		t.Errorf("the service lost what its folder held: %q", held)
	}
	for _, id := range acked {
		if held[id] != "text of "+id {
			t.Fatalf("%s was acknowledged, the service holds %q", id, held[id])
		}
	}
}

// TestADrillIsNamedOnceInAReason, also where a state is entered again.
func TestADrillIsNamedOnceInAReason(t *testing.T) {
	t.Parallel()
	e := newEngine(Options{Now: time.Now})
	e.view.state, e.view.drill.Kind = StateFallback, DrillDown
	e.enter(t.Context(), unreachable("no answer"))
	e.explain(e.rehearsed(unreachable("no answer")))
	e.leaveState(nil)
	if e.view.reason != "in a drill (down), no answer" {
		t.Errorf("%q", e.view.reason)
	}
	if v := e.rehearsed(&verdict{to: StateFallback, reason: "the operator left", held: true}); v.reason != "the operator left" {
		t.Errorf("%q", v.reason)
	}
}
