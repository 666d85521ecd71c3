package engine

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/store"
)

func TestARefillShowsWhatTheServiceStillLacks(t *testing.T) {
	t.Parallel()
	h := start(t, detached(t.TempDir()))
	h.mu.Lock()
	h.view.state, h.view.progress = StateReseeding, &Progress{Total: 10, Done: 4}
	h.view.refillFrom = h.o.State.Summary().MaxSeq
	h.mu.Unlock()
	put(t, h, doc("meanwhile", "text"))
	s := h.Stats()
	if govc := s.Stores[0]; s.Outbox.Pending != 7 || govc.Lag != 7 || govc.Unknown {
		t.Errorf("six of ten and one written meanwhile are missing, shown %d and %+v", s.Outbox.Pending, govc)
	}
}

func TestARefusedWriteIsShownUntilOneIsTaken(t *testing.T) {
	t.Parallel()
	h := start(t, detached(t.TempDir()))
	h.noteAppend(t.Context(), document.ErrInvalid)
	if why := h.Stats().StateErr; why != "" {
		t.Errorf("a caller's mistake is shown as trouble: %s", why)
	}
	h.noteAppend(t.Context(), store.ErrDiskFull)
	if h.Stats().StateErr == "" {
		t.Error("nothing is shown of the full disk")
	}
	put(t, h, doc("a", "text"))
	if why := h.Stats().StateErr; why != "" {
		t.Errorf("writes are taken again, shown: %s", why)
	}
}

func TestNoPlaceForTheFullTextIndexStopsNothing(t *testing.T) {
	dir, scratch := t.TempDir(), t.TempDir()
	t.Setenv("TMPDIR", scratch)
	h := start(t, detached(dir))
	put(t, h, doc("a", "needle"))
	stop(t, h)
	if err := os.Remove(filepath.Join(dir, "derived.db")); err != nil {
		t.Fatal(err)
	}
	// A folder that is not empty stands in the way, as a full disk would.
	if err := os.MkdirAll(filepath.Join(dir, "derived.db", "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	h = start(t, detached(dir))
	wantText(t, h, "a", "needle")
	await(t, h, "the index in step", func(s *Stats) bool { return !s.Stores[2].Unknown && s.Stores[2].Lag == 0 })
	if hits, err := h.Search(t.Context(), "needle", 1); err != nil || len(hits) != 1 {
		t.Errorf("%+v, %v", hits, err)
	}
	stop(t, h)
	left, err := os.ReadDir(scratch)
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestTextThatJSONWouldReplaceIsRefused(t *testing.T) {
	t.Parallel()
	h := start(t, detached(t.TempDir()))
	bad := doc("a", "text")
	bad.Source.URL = "http://h/\xff"
	if _, err := h.Put(t.Context(), bad); !errors.Is(err, document.ErrInvalid) {
		t.Errorf("got %v", err)
	}
	good := doc("b", "bytes of any kind: \xff\xfe")
	put(t, h, good)
	wantText(t, h, "b", good.Content.Text)
}
