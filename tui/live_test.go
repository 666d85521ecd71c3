package tui

import (
	"context"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/backend/store"
)

// liveEngine starts an engine with its embedded service.
func liveEngine(t *testing.T) *engine.Host {
	t.Helper()
	host, err := engine.Start(t.Context(), engine.Setup{
		Dir: t.TempDir(), Repository: "caia-documents", Phase: engine.PhaseDual, Version: "test", Strict: true,
		Author: store.Author{Name: "Test", Email: "test@example.org"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := host.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("closing the engine: %v", err)
		}
	})
	return host
}

// reach reads snapshots until the engine is in a state.
func reach(t *testing.T, changes <-chan *engine.Stats, state engine.State) *engine.Stats {
	t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case s, ok := <-changes:
			if !ok {
				t.Fatalf("the snapshots ended before %s", state)
			}
			if s.State == state {
				return s
			}
		case <-deadline:
			t.Fatalf("%s was not reached", state)
		}
	}
}

func TestLiveFollowsAndControlsAnEngine(t *testing.T) {
	host := liveEngine(t)
	live := NewLive(host.Engine)
	defer live.Close()
	reach(t, live.Changes(), engine.StatePrimary)

	n, err := live.Samples(t.Context())
	if err != nil || n == 0 {
		t.Fatalf("samples: %d, %v", n, err)
	}
	if got := live.Current().Documents; got != int64(n) {
		t.Errorf("the newest snapshot counts %d documents, %d were added", got, n)
	}
	if err := live.Fallback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := reach(t, live.Changes(), engine.StateFallback); s.Reason == "" || s.Next == "" {
		t.Errorf("FALLBACK is not explained: %q, %q", s.Reason, s.Next)
	}
	if err := live.Recover(t.Context()); err != nil {
		t.Fatal(err)
	}
	reach(t, live.Changes(), engine.StatePrimary)
}

func TestLiveLeavesTheEngineRunning(t *testing.T) {
	host := liveEngine(t)
	first, second := NewLive(host.Engine), NewLive(host.Engine)
	reach(t, second.Changes(), engine.StatePrimary)
	for len(first.Changes()) > 0 {
		<-first.Changes()
	}
	first.Close()
	if _, err := second.Samples(t.Context()); err != nil {
		t.Fatalf("the engine does not go on: %v", err)
	}
	deadline := time.After(patience)
	for told := false; !told; {
		select {
		case s := <-second.Changes():
			told = s.Documents > 0
		case <-deadline:
			t.Fatal("the other console is not told of the new documents")
		}
	}
	second.Close()
	select {
	case s := <-first.Changes():
		if s != nil && s.Documents > 0 {
			t.Error("a closed console is still told of changes")
		}
	default:
	}
}

func TestLiveSnapshotsEndWithTheEngine(t *testing.T) {
	host := liveEngine(t)
	live := NewLive(host.Engine)
	defer live.Close()
	reach(t, live.Changes(), engine.StatePrimary)
	if err := host.Engine.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	deadline := time.After(patience)
	for {
		select {
		case _, ok := <-live.Changes():
			if !ok {
				return
			}
		case <-deadline:
			t.Fatal("the snapshots do not end")
		}
	}
}
