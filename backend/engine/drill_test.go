package engine

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/govc"
	"github.com/caiatech/caiatop/backend/store"
)

// crashDrill makes the process that is killed hold a drill of that kind.
const crashDrill = "CAIATOP_TEST_CRASH_DRILL"

func drill(t testing.TB, h *Host, d Drill) DrillStatus {
	t.Helper()
	s, err := h.StartDrill(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func endDrill(t testing.TB, h *Host) {
	t.Helper()
	if s, err := h.StopDrill(t.Context()); err != nil || !s.Running() {
		t.Fatalf("end the drill: %+v, %v", s, err)
	}
}

// takenBack waits until the service serves again, with everything. It is taken
// back by command if an outage was noticed.
func takenBack(t *testing.T, h *Host) {
	t.Helper()
	for {
		s := await(t, h, "a service that serves or was left", func(s *Stats) bool {
			return s.State == StateFallback || s.State == StatePrimary && inStep(s)
		})
		if s.State == StatePrimary {
			return
		}
		if err := h.Recover(t.Context(), false); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDrillsAtARealService: each kind disturbs this client alone, says what it
// does, changes nothing that is shown of the service, and loses nothing.
func TestDrillsAtARealService(t *testing.T) {
	for _, d := range []struct {
		drill  Drill
		local  bool // nothing of what is written reaches the service
		leaves bool // that is noticed soon
	}{
		{Drill{Kind: DrillDown}, true, true},
		{Drill{Kind: DrillBlackHole}, true, false},
		{Drill{Kind: DrillErrors, Rate: 1}, true, false},
		{Drill{Kind: DrillReset, Rate: 1}, true, false},
		{Drill{Kind: DrillSlow, Delay: 5 * time.Millisecond}, false, false},
		{Drill{Kind: DrillBandwidth, Bandwidth: 1 << 20}, false, false},
	} {
		t.Run(string(d.drill.Kind), func(t *testing.T) {
			t.Parallel()
			url := service(t, "k")
			setup := external(t.TempDir(), url)
			if d.local && !d.leaves {
				setup.Budget = 300 * time.Millisecond
			}
			h := start(t, setup)
			awaitState(t, h, StatePrimary)
			put(t, h, doc("before", "one"))
			drill(t, h, d.drill)
			if s := h.Stats(); s.Service.URL != url || s.Drill.Kind != d.drill.Kind || s.Service.Drill != d.drill.Kind || s.Drill.Ends.Sub(s.Drill.Started) != DefaultDrill {
				t.Errorf("%+v at %s", s.Drill, s.Service.URL)
			}
			if d.leaves {
				s := awaitState(t, h, StateFallback)
				if !strings.HasPrefix(s.Reason, "in a drill ("+string(d.drill.Kind)+"), ") || s.Next != drillNext {
					t.Errorf("FALLBACK because %q, next %q", s.Reason, s.Next)
				}
			}
			ack := put(t, h, doc("during", "two"), doc("before", "one changed"))
			if d.local != (ack.Durability == Local) {
				t.Errorf("acknowledged as %+v", ack)
			}
			there := colleague(t, url) // who has no part in the drill
			endDrill(t, h)
			takenBack(t, h)
			if got := texts(t, there); len(got) != 2 || got["during"] != "two" || got["before"] != "one changed" {
				t.Errorf("the service holds %q", got)
			}
			if told := toldAbout(h, kindDrill, Info); len(told) != 2 || h.Stats().Conflicts != 0 {
				t.Errorf("events %q", told)
			}
		})
	}
}

// TestDrillsOfDataAreRefusedAtARealService: what could harm a service that is
// not ours is refused before anything is sent to it.
func TestDrillsOfDataAreRefusedAtARealService(t *testing.T) {
	t.Parallel()
	front := inFront(t, service(t, "k"))
	h := start(t, external(t.TempDir(), front.url))
	awaitState(t, h, StatePrimary)
	put(t, h, doc("a", "one"))
	for _, info := range DrillKinds() {
		if !info.Embedded {
			continue
		}
		if _, err := h.StartDrill(t.Context(), Drill{Kind: info.Kind}); !errors.Is(err, ErrNoDrill) || h.DrillStatus().Running() {
			t.Errorf("%s at a real service: %v", info.Kind, err)
		}
	}
	if offered := DrillsAt(h.Stats().Service); slices.ContainsFunc(offered, func(i DrillInfo) bool { return i.Embedded }) || len(offered) != 6 {
		t.Errorf("offered: %+v", offered)
	}
	if s := h.Stats(); s.State != StatePrimary || s.Switches != 0 || len(toldAbout(h, kindDrill, Info)) != 0 {
		t.Errorf("%s, %d switches", s.State, s.Switches)
	}
}

// TestAnEncryptedServiceHasDrillsThatNeedNoRequests: the proxy cannot look into
// what is said.
func TestAnEncryptedServiceHasDrillsThatNeedNoRequests(t *testing.T) {
	t.Parallel()
	client, err := govc.New(govc.Options{URL: "https://service.example", Repo: "docs"})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	e := newEngine(Options{Primary: client, Now: time.Now})
	e.phased.govc.on.Store(true)
	var kinds []DrillKind
	for _, info := range DrillKinds() {
		if err := e.mayDrill(info.Kind); err == nil {
			kinds = append(kinds, info.Kind)
		} else if !errors.Is(err, ErrNoDrill) {
			t.Errorf("%s: %v", info.Kind, err)
		}
	}
	if want := []DrillKind{DrillDown, DrillSlow, DrillReset, DrillBlackHole, DrillBandwidth}; !slices.Equal(kinds, want) {
		t.Errorf("possible: %q, want %q", kinds, want)
	}
	for _, kind := range kinds {
		if d := (Drill{Kind: kind}); d.fault(true).NeedsHTTP() {
			t.Errorf("%s needs HTTP", kind)
		}
	}
	offered := DrillsAt(Service{URL: "HTTPS://service.example"})
	if len(offered) != len(kinds) {
		t.Errorf("offered: %+v", offered)
	}
	if DrillsAt(Service{}) != nil {
		t.Error("drills are offered without a service")
	}
	if _, err := newEngine(Options{Now: time.Now}).StartDrill(t.Context(), Drill{Kind: DrillDown}); !errors.Is(err, ErrNoPrimary) {
		t.Errorf("without a service: %v", err)
	}
}

// TestAnEmptyRestartForgetsNothing: the service comes back empty and is filled
// again; at the end the one of the folder is back, with its history, and is
// sent what it missed.
func TestAnEmptyRestartForgetsNothing(t *testing.T) {
	for name, s := range map[string]Setup{"kept in its folder": setup(t.TempDir()), "kept in memory": forgetful(t.TempDir())} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := start(t, s)
			awaitState(t, h, StatePrimary)
			put(t, h, doc("a", "one"), doc("b", "one"))
			put(t, h, doc("a", "two"))
			await(t, h, "every store in step", inStep)
			began := time.Now()
			drill(t, h, Drill{Kind: DrillEmptyRestart})
			refilled := func(s *Stats) bool {
				return s.State == StatePrimary && slices.ContainsFunc(newEvents(h, began), func(ev Event) bool { return ev.Kind == "reseed" && ev.Level == Info })
			}
			if happens(h, patience, func(s *Stats) bool { return s.State == StateFallback || refilled(s) }) && h.current() == StateFallback {
				if err := h.Recover(t.Context(), false); err != nil {
					t.Fatal(err)
				}
			}
			await(t, h, "a service that is filled again", refilled)
			if h.Stats().Service.Durable {
				t.Error("what stands in for the service is called durable")
			}
			put(t, h, doc("c", "during"), doc("b", "during"))
			await(t, h, "every store in step", inStep)
			endDrill(t, h)
			if s.Memory {
				return
			}
			await(t, h, "the end of the stand-in", func(s *Stats) bool {
				return slices.ContainsFunc(s.Events, func(ev Event) bool { return strings.Contains(ev.Text, "epoch") })
			})
			takenBack(t, h)
			there := outside(t, h, s.Dir)
			if got := texts(t, there); len(got) != 3 || got["a"] != "two" || got["b"] != "during" || got["c"] != "during" {
				t.Errorf("the service holds %q", got)
			}
			if !h.Stats().Service.Durable {
				t.Error("the service of the folder is not called durable")
			}
			if n := commitsOf(t, h, there, "a"); n != 2 {
				t.Errorf("%d commits of a at the service, want those 2 of before", n)
			}
		})
	}
}

// commitsOf counts the commits of a document at the service.
func commitsOf(t *testing.T, h *Host, there *govc.Client, id string) int {
	t.Helper()
	found, err := h.Get(t.Context(), mustID(id))
	if err != nil {
		t.Fatal(err)
	}
	revisions, err := there.History(t.Context(), store.Key{ID: found.Document.ID, Folder: found.Folder}, 10)
	if err != nil {
		t.Fatal(err)
	}
	return len(revisions)
}

// TestAnEmptyRestartNeedsGit: without it the service may hold the only copy.
func TestAnEmptyRestartNeedsGit(t *testing.T) {
	t.Parallel()
	h := start(t, setup(t.TempDir()))
	awaitState(t, h, StatePrimary)
	put(t, h, doc("a", "one"))
	known := func(yes bool) {
		h.mu.Lock()
		h.view.known[gitReplica] = yes
		h.mu.Unlock()
	}
	known(false)
	defer known(true)
	if _, err := h.StartDrill(t.Context(), Drill{Kind: DrillEmptyRestart}); !errors.Is(err, ErrNoDrill) {
		t.Errorf("with a git that is not whole: %v", err)
	}
	wantText(t, h, "a", "one")
}

// TestLostRepliesMakeNoSecondCommit: the service does what it is asked for, and
// its answers are dropped.
func TestLostRepliesMakeNoSecondCommit(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := start(t, setup(dir))
	awaitState(t, h, StatePrimary)
	drill(t, h, Drill{Kind: DrillLostReplies, Rate: 1})
	var docs []document.Document
	for i := range 8 {
		docs = append(docs, doc(fmt.Sprintf("doc-%02d", i), "text"))
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for part := range slices.Chunk(docs, 4) {
		if _, err := h.Put(ctx, part...); err != nil {
			t.Fatal(err)
		}
	}
	endDrill(t, h)
	takenBack(t, h)
	there := outside(t, h, dir)
	if got := texts(t, there); len(got) != len(docs) {
		t.Errorf("the service holds %d documents of %d", len(got), len(docs))
	}
	for _, d := range docs {
		if n := commitsOf(t, h, there, d.ID.String()); n != 1 {
			t.Errorf("%s: %d commits", d.ID, n)
		}
	}
}

func TestDrillsHaveLimits(t *testing.T) {
	t.Parallel()
	for _, ok := range []Drill{
		{Kind: DrillDown},
		{Kind: DrillDown, For: LeastDrill},
		{Kind: DrillDown, For: MaxDrill},
		{Kind: DrillSlow, Delay: maxDelay, Jitter: maxDelay},
		{Kind: DrillErrors, Rate: 1, Path: "/api"},
		{Kind: DrillBandwidth, Bandwidth: leastBytes},
		{Kind: DrillBandwidth, Bandwidth: maxBytes},
	} {
		if err := ok.complete(); err != nil || ok.For == 0 {
			t.Errorf("%+v: %v", ok, err)
		}
	}
	for _, wrong := range []Drill{
		{},
		{Kind: "fire"},
		{Kind: DrillDown, For: LeastDrill - 1},
		{Kind: DrillDown, For: MaxDrill + 1},
		{Kind: DrillDown, For: -1},
		{Kind: DrillDown, Rate: 1},
		{Kind: DrillSlow, Delay: maxDelay + 1},
		{Kind: DrillSlow, Delay: -1},
		{Kind: DrillSlow, Delay: 1, Jitter: 2},
		{Kind: DrillSlow, Delay: 2, Jitter: -1},
		{Kind: DrillSlow, Bandwidth: 1},
		{Kind: DrillErrors, Rate: 1.01},
		{Kind: DrillErrors, Rate: -0.1},
		{Kind: DrillErrors, Rate: math.NaN()},
		{Kind: DrillErrors, Path: "api"},
		{Kind: DrillErrors, Path: "/" + strings.Repeat("x", maxDrillPath)},
		{Kind: DrillReset, Path: "/"},
		{Kind: DrillBandwidth, Bandwidth: leastBytes - 1},
		{Kind: DrillBandwidth, Bandwidth: maxBytes + 1},
		{Kind: DrillBandwidth, Delay: 1},
	} {
		if err := wrong.complete(); !errors.Is(err, ErrNoDrill) {
			t.Errorf("%+v: %v", wrong, err)
		}
	}
	d := Drill{Kind: DrillSlow}
	if err := d.complete(); err != nil || d.Delay != defaultDelay || d.Jitter != defaultDelay/2 || d.For != DefaultDrill {
		t.Errorf("%+v, %v", d, err)
	}
}
