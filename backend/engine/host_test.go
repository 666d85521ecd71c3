package engine

import (
	"context"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/govc"
	"github.com/caiatech/caiatop/backend/govcd"
	"github.com/caiatech/caiatop/backend/store"
	"github.com/caiatech/caiatop/probe"
)

// patience bounds every wait of a test.
const patience = 30 * time.Second

func setup(dir string) Setup {
	return Setup{
		Dir: dir, Repository: "caia-documents", Phase: PhaseDual, Version: "test", Strict: true,
		Author: store.Author{Name: "caiatop", Email: "caiatop@example.org"},
	}
}

func start(t *testing.T, s Setup) *Host {
	t.Helper()
	h, err := Start(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, h) })
	return h
}

func stop(t *testing.T, h *Host) {
	t.Helper()
	if h.closers == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := h.Close(ctx); err != nil {
		t.Errorf("close: %v", err)
	}
	everyTroubleSaysWhatToDo(t, h)
}

// await returns the first snapshot for which ok holds.
func await(t *testing.T, h *Host, what string, ok func(*Stats) bool) *Stats {
	t.Helper()
	feed := h.Subscribe()
	defer feed.Close()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		select {
		case <-feed.C:
			if s := h.Stats(); ok(s) {
				return s
			}
		case <-timeout.C:
			s := h.Stats()
			t.Fatalf("%s did not happen: state %s (%s), outbox %+v, stores %+v, events %+v", what, s.State, s.Reason, s.Outbox, s.Stores, s.Events)
		}
	}
}

func awaitState(t *testing.T, h *Host, want State) *Stats {
	t.Helper()
	return await(t, h, "state "+string(want), func(s *Stats) bool { return s.State == want })
}

func inStep(s *Stats) bool {
	for _, r := range s.Stores {
		if r.Unknown || r.Lag != 0 {
			return false
		}
	}
	return s.Outbox.Pending == 0
}

func doc(id, text string) document.Document {
	return document.Document{
		ID: mustID(id), Source: document.Source{Type: mustType("text")},
		Content: document.Content{Text: text, Metadata: map[string]any{"title": id}},
	}
}

func put(t *testing.T, h *Host, docs ...document.Document) Ack {
	t.Helper()
	ack, err := h.Put(t.Context(), docs...)
	if err != nil {
		t.Fatal(err)
	}
	return ack
}

func wantText(t *testing.T, h *Host, id, text string, from ...probe.Store) {
	t.Helper()
	found, err := h.Get(t.Context(), mustID(id))
	if err != nil {
		t.Fatal(err)
	}
	if found.Document.Content.Text != text {
		t.Errorf("%s: %q, want %q (served by %s)", id, found.Document.Content.Text, text, found.ServedBy)
	}
	for _, f := range from {
		if found.ServedBy == f {
			return
		}
	}
	if len(from) > 0 {
		t.Errorf("%s was served by %s, want %v", id, found.ServedBy, from)
	}
}

// gitOutput runs real git on the state's repository.
func gitOutput(t *testing.T, dir string, args ...string) string {
	t.Helper()
	out, err := exec.Command("git", append([]string{"-C", filepath.Join(dir, GitDir)}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// outside is a client of the service that knows nothing of the engine.
func outside(t *testing.T, h *Host, dir string) *govc.Client {
	t.Helper()
	key, err := embeddedKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	c, err := govc.New(govc.Options{URL: h.Stats().Service.URL, Repo: "caia-documents", APIKey: govc.Secret(key)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if _, err := c.Describe(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

// service runs a govc service of its own for the test and returns its URL.
func service(t *testing.T, key string) string {
	t.Helper()
	s := govcd.New(govcd.Options{Key: key})
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
