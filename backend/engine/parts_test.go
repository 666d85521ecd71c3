package engine

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/state"
	"github.com/caiatech/caiatop/backend/store"
)

func TestBreakerTripsAfterFailuresInARow(t *testing.T) {
	t.Parallel()
	var b breaker
	now := time.Unix(1_000_000, 0)
	for i := range tripConsecutive - 1 {
		if why := b.report(now, true); why != "" {
			t.Fatalf("tripped after %d failures: %s", i+1, why)
		}
	}
	if why := b.report(now, true); why == "" {
		t.Fatalf("did not trip after %d failures", tripConsecutive)
	}
	b.clear()
	if why := b.report(now, true); why != "" {
		t.Fatalf("tripped at once after clear: %s", why)
	}
}

func TestBreakerTripsWhenHalfOfTheCallsFail(t *testing.T) {
	t.Parallel()
	var b breaker
	now := time.Unix(1_000_000, 0)
	why := ""
	calls := 0
	for ; calls < tripCalls; calls++ { // ok, failed, ok, failed: never two in a row
		why = b.report(now, calls%2 == 1)
		if why != "" {
			break
		}
	}
	if why == "" || calls != tripCalls-1 {
		t.Fatalf("after %d calls: %q, want a trip at call %d", calls+1, why, tripCalls)
	}
}

func TestBreakerForgetsOldCalls(t *testing.T) {
	t.Parallel()
	var b breaker
	now := time.Unix(1_000_000, 0)
	for i := range tripCalls - 1 {
		b.report(now, i%2 == 1)
	}
	if why := b.report(now.Add(tripWindow), true); why != "" {
		t.Fatalf("calls older than the window still count: %s", why)
	}
}

func TestWatermarkNamesTheCommitThatCarriedAnOperation(t *testing.T) {
	t.Parallel()
	w := newWatermark(0)
	w.pass(3, "a")
	w.pass(5, "b")
	w.pass(4, "never goes back")
	for seq, want := range map[int64]string{1: "a", 3: "a", 4: "b", 5: "b"} {
		if commit, passed := w.wait(t.Context(), seq); !passed || commit != want {
			t.Errorf("operation %d: %q, %v, want %q", seq, commit, passed, want)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, passed := w.wait(ended, 6); passed {
		t.Error("operation 6 has not passed")
	}
}

func TestWatermarkWakesWaiters(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWatermark(0)
		passed := make(chan string, 1)
		go func() {
			commit, _ := w.wait(t.Context(), 2)
			passed <- commit
		}()
		synctest.Wait()
		w.pass(1, "one")
		synctest.Wait()
		select {
		case c := <-passed:
			t.Fatalf("woken by operation 1: %q", c)
		default:
		}
		w.pass(2, "two")
		if c := <-passed; c != "two" {
			t.Fatalf("got %q", c)
		}
	})
}

func TestGateYieldsToCallersButNotForEver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := gate{now: time.Now}
		started := time.Now()
		g.yield(t.Context(), gitYieldMost)
		if waited := time.Since(started); waited != 0 {
			t.Errorf("nobody calls, yet it waited %s", waited)
		}
		g.enter()
		g.leave()
		g.yield(t.Context(), gitYieldMost)
		if waited := time.Since(started); waited < quietFor || waited > 3*quietFor {
			t.Errorf("after one call it waited %s", waited)
		}
		g.enter() // a caller that never ends
		started = time.Now()
		g.yield(t.Context(), gitYieldMost)
		if waited := time.Since(started); waited != gitYieldMost {
			t.Errorf("it waited %s for a caller, want %s", waited, gitYieldMost)
		}
	})
}

func TestFoldKeepsTheNewestAndKnowsOurs(t *testing.T) {
	t.Parallel()
	key := func(s string) store.Key { return store.Key{ID: mustID(s)} }
	h := func(b byte) document.Hash { return document.Hash{b} }
	rows := []state.Outgoing{
		{Seq: 1, Key: key("a"), Hash: h(1), Base: h(9)},
		{Seq: 2, Key: key("b"), Hash: h(2)},
		{Seq: 3, Key: key("a"), Hash: h(3), Base: h(1)},
		{Seq: 4, Key: key("c"), Hash: h(4), Origin: primaryReplica},
		{Seq: 5, Key: key("b"), Delete: true, Base: h(2)},
	}
	got := fold(rows)
	if len(got) != 2 {
		t.Fatalf("%d documents, want a and b; what came from the primary is not sent back", len(got))
	}
	a, b := got[0], got[1]
	if a.newest.Seq != 3 || !a.isOurs(h(1)) || !a.isOurs(h(3)) || !a.isOurs(h(9)) || a.isOurs(h(2)) {
		t.Errorf("a: %+v", a)
	}
	if b.newest.Seq != 5 || !b.newest.Delete || !b.isOurs(h(2)) || b.isOurs(h(1)) {
		t.Errorf("b: %+v", b)
	}
}

func TestABatchForGitHoldsEachDocumentOnce(t *testing.T) {
	t.Parallel()
	key := func(s string) store.Key { return store.Key{ID: mustID(s)} }
	rows := []state.Outgoing{{Seq: 1, Key: key("a")}, {Seq: 2, Key: key("b")}, {Seq: 3, Key: key("a")}, {Seq: 4, Key: key("c")}}
	if got, newest := onceEach(rows, false); len(got) != 2 || got[1].Seq != 2 || newest[mustID("a")] != 1 {
		t.Errorf("got %+v", got)
	}
	if got, _ := onceEach(rows[1:], false); len(got) != 3 {
		t.Errorf("got %+v", got)
	}
	if got, newest := onceEach(rows, true); len(got) != 4 || newest[mustID("a")] != 3 || newest[mustID("b")] != 2 {
		t.Errorf("behind: got %+v, %v", got, newest)
	}
}

func TestConflictIDsFitAndStayUnique(t *testing.T) {
	t.Parallel()
	op := newID()
	short, err := conflictID(mustID("report"), op)
	if err != nil || short.String() != "report.conflict-"+op {
		t.Fatalf("%q, %v", short, err)
	}
	one, err := conflictID(mustID(strings.Repeat("é", document.MaxID/2)), op)
	if err != nil {
		t.Fatal(err)
	}
	two, err := conflictID(mustID(strings.Repeat("é", document.MaxID/2-1)+"xx"), op)
	if err != nil {
		t.Fatal(err)
	}
	if len(one.String()) > document.MaxID || one == two {
		t.Errorf("%q (%d bytes) and %q", one, len(one.String()), two)
	}
}

func TestTransitionsLeadOutOfEveryState(t *testing.T) {
	t.Parallel()
	for _, s := range []State{StateProbing, StatePrimary, StateFallback, StateReplaying, StateReseeding, StateLocked} {
		if len(transitions[s]) == 0 {
			t.Errorf("no way out of %s", s)
		}
		for _, to := range transitions[s] {
			if to == StatePrimary && s != StateReplaying {
				t.Errorf("%s leads to PRIMARY without a replay", s)
			}
		}
	}
}
