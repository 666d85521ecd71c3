package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/govc"
	"github.com/caiatech/caiatop/backend/store"
	"github.com/caiatech/caiatop/probe"
)

// soon bounds what needs no hold-down: without a defect it takes well under a
// second.
const soon = 10 * time.Second

// intercept sees every request before the service does, and reports whether it
// answered.
type intercept func(w http.ResponseWriter, r *http.Request) bool

// between is a proxy in front of a service, whose faults a test sets.
type between struct {
	url     string
	forward http.Handler
	fault   atomic.Pointer[intercept]
}

func (b *between) set(f intercept) { b.fault.Store(&f) }

func (b *between) heal() { b.fault.Store(nil) }

func inFront(t *testing.T, target string) *between {
	t.Helper()
	to, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	pool := &http.Transport{}
	forward := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(to) },
		Transport: pool,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
			w.WriteHeader(http.StatusBadGateway)
		},
	}
	b := &between{forward: forward}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f := b.fault.Load(); f != nil && (*f)(w, r) {
			return
		}
		forward.ServeHTTP(w, r)
	}))
	b.url = server.URL
	t.Cleanup(func() {
		server.Close()
		pool.CloseIdleConnections()
	})
	return b
}

// refuse answers as a service that has a fault of its own.
func refuse(w http.ResponseWriter, status int) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": "injected", "code": "INJECTED"})
}

// happens reports whether ok holds of a snapshot within d.
func happens(h *Host, d time.Duration, ok func(*Stats) bool) bool {
	feed := h.Subscribe()
	defer feed.Close()
	timeout := time.NewTimer(d)
	defer timeout.Stop()
	for {
		select {
		case <-feed.C:
			if ok(h.Stats()) {
				return true
			}
		case <-timeout.C:
			return ok(h.Stats())
		}
	}
}

func healthyAndInStep(s *Stats) bool { return s.State == StatePrimary && inStep(s) }

// texts returns every document's text at the service, by id.
func texts(t *testing.T, c *govc.Client) map[string]string {
	t.Helper()
	all := map[string]string{}
	for entry, err := range c.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		d, err := c.Get(t.Context(), entry.Key)
		if err != nil {
			t.Fatal(err)
		}
		all[entry.Key.ID.String()] = d.Content.Text
	}
	return all
}

// anyHolds reports whether a document of the index has this text.
func anyHolds(t *testing.T, h *Host, text string) bool {
	t.Helper()
	page, err := h.List(t.Context(), Query{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range page.Rows {
		found, err := h.Get(t.Context(), row.ID)
		if err != nil {
			t.Fatal(err)
		}
		if found.Document.Content.Text == text {
			return true
		}
	}
	return false
}

// aside is put for goroutines that are not the test's own.
func aside(t *testing.T, h *Host, d document.Document) {
	if _, err := h.Put(t.Context(), d); err != nil {
		t.Error(err)
	}
}

func get(t *testing.T, h *Host, id string) Found {
	t.Helper()
	found, err := h.Get(t.Context(), mustID(id))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// changed is somebody's later version of what was found.
func changed(found Found, text string) (store.Key, document.Document) {
	d := found.Document.Clone()
	d.Content.Text = text
	d.UpdatedAt = d.UpdatedAt.Add(time.Second)
	return store.Key{ID: d.ID, Folder: found.Folder}, d
}

func TestABatchOnAnotherDocumentHidesTheirChange(t *testing.T) {
	t.Parallel()
	address := service(t, "k")
	h := start(t, external(t.TempDir(), address))
	awaitState(t, h, StatePrimary)
	put(t, h, doc("x", "base"))
	put(t, h, doc("y", "one"))
	key, theirs := changed(get(t, h, "x"), "theirs")
	writeThere(t, colleague(t, address), key, theirs)
	put(t, h, doc("y", "two")) // the service's newest commit is ours again
	put(t, h, doc("x", "ours"))
	await(t, h, "every store in step", inStep)
	for _, text := range []string{"theirs", "ours"} {
		if !anyHolds(t, h, text) {
			t.Errorf("the version %q is in no document any more", text)
		}
	}
}

func TestACommitOfOursThatTookTheirStagedChangeHidesIt(t *testing.T) {
	t.Parallel()
	address := service(t, "k")
	front := inFront(t, address)
	h := start(t, external(t.TempDir(), address))
	awaitState(t, h, StatePrimary)
	put(t, h, doc("x", "base"))
	put(t, h, doc("y", "one"))
	key, theirs := changed(get(t, h, "x"), "theirs")
	var once atomic.Bool
	front.set(func(w http.ResponseWriter, r *http.Request) bool {
		if isCommit(r) && once.CompareAndSwap(false, true) {
			aside(t, h, doc("y", "two")) // between their additions and their commit
		}
		return front.stages(w, r)
	})
	// Another process: it does not share this process's turn to write.
	writeThere(t, colleague(t, front.url), key, theirs)
	if !once.Load() {
		t.Fatal("no commit was seen")
	}
	put(t, h, doc("x", "ours"))
	await(t, h, "every store in step", inStep)
	for _, text := range []string{"theirs", "ours"} {
		if !anyHolds(t, h, text) {
			t.Errorf("the version %q is in no document any more", text)
		}
	}
}

func TestAWriteDuringAConflictIsLost(t *testing.T) {
	t.Parallel()
	address := service(t, "k")
	front := inFront(t, address)
	h := start(t, external(t.TempDir(), front.url))
	awaitState(t, h, StatePrimary)
	put(t, h, doc("a", "base"))
	key, theirs := changed(get(t, h, "a"), "theirs")
	if err := h.Fallback(t.Context()); err != nil {
		t.Fatal(err)
	}
	put(t, h, doc("a", "ours"))
	writeThere(t, colleague(t, address), key, theirs)
	var reads atomic.Int32
	front.set(func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/folder") && h.Stats().State == StateReplaying && reads.Add(1) == 2 {
			// While the replicator compares, a caller writes and is acknowledged.
			aside(t, h, doc("a", "acknowledged"))
		}
		return false
	})
	if err := h.Recover(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	awaitState(t, h, StatePrimary)
	await(t, h, "every store in step", inStep)
	if reads.Load() < 2 {
		t.Fatal("the second read of the comparison was not seen")
	}
	for _, text := range []string{"theirs", "ours", "acknowledged"} {
		if !anyHolds(t, h, text) {
			t.Errorf("the version %q is in no document any more", text)
		}
	}
}

func TestAReseedDropsAPendingDelete(t *testing.T) {
	t.Parallel()
	address := service(t, "k")
	h := start(t, external(t.TempDir(), address))
	awaitState(t, h, StatePrimary)
	put(t, h, doc("a", "one"), doc("b", "two"))
	await(t, h, "every store in step", inStep)
	if err := h.Fallback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Delete(t.Context(), mustID("a")); err != nil {
		t.Fatal(err)
	}
	// Another console that shares the repository raised the epoch.
	c := colleague(t, address)
	marker, found, err := c.ReadMarker(t.Context())
	if err != nil || !found {
		t.Fatalf("marker: %v, %v", found, err)
	}
	marker.Epoch++
	if _, err := c.WriteMarker(t.Context(), marker); err != nil {
		t.Fatal(err)
	}
	if err := h.Recover(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	awaitState(t, h, StatePrimary)
	await(t, h, "every store in step", inStep)
	if there := texts(t, c); len(there) != 1 || there["b"] != "two" {
		t.Errorf("a was deleted and every store is in step, yet the service holds %v", there)
	}
}

func TestATooLargeDocumentDoesNotKeepANewServiceOut(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := setup(dir)
	s.Detached = true
	h := start(t, s)
	large := doc("large", "")
	large.Content.Raw = []byte(strings.Repeat("\xff\x00", document.MaxContent/2))
	put(t, h, large, doc("small", "fits"))
	stop(t, h)
	h = start(t, setup(dir))
	if !happens(h, soon, func(s *Stats) bool { return s.State == StatePrimary }) {
		s := h.Stats()
		t.Errorf("still %s (%s): %+v", s.State, s.Reason, s.Events[0])
	}
}

func TestATooLargeDocumentOfAnOutageKeepsTheServiceOut(t *testing.T) {
	t.Parallel()
	h := start(t, setup(t.TempDir()))
	awaitState(t, h, StatePrimary)
	drill(t, h, Drill{Kind: DrillDown})
	awaitState(t, h, StateFallback)
	large := doc("large", "")
	large.Content.Raw = []byte(strings.Repeat("\xff\x00", document.MaxContent/2))
	put(t, h, large)
	endDrill(t, h)
	if err := h.Recover(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if !happens(h, soon, func(s *Stats) bool { return s.State == StatePrimary }) {
		s := h.Stats()
		t.Errorf("still %s (%s): %+v", s.State, s.Reason, s.Events[0])
	}
}

func TestAFirstAttachmentEndsUnderSteadyWrites(t *testing.T) {
	t.Parallel()
	for name, id := range map[string]func(i int) string{
		"of new documents":   func(i int) string { return fmt.Sprintf("steady-%d", i) },
		"of known documents": func(i int) string { return fmt.Sprintf("doc-0-%04d", i%(MaxBatch/4)) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			h := start(t, detached(dir))
			for part := range 2 {
				docs := make([]document.Document, MaxBatch/4)
				for i := range docs {
					docs[i] = doc(fmt.Sprintf("doc-%d-%04d", part, i), "text")
				}
				put(t, h, docs...)
			}
			stop(t, h)
			writesUntil(t, start(t, setup(dir)), id, func(s *Stats) bool { return s.State == StateReplaying || s.State == StatePrimary })
		})
	}
}

// writesUntil fails unless ok holds in the end, while a caller writes without a
// pause.
func writesUntil(t *testing.T, h *Host, id func(int) string, ok func(*Stats) bool) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		for i := 0; ; i++ {
			if _, err := h.Put(ctx, doc(id(i), fmt.Sprint(i))); err != nil {
				ended <- err
				return
			}
		}
	}()
	reached := happens(h, 2*soon, ok)
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if s := h.Stats(); !reached {
		t.Errorf("still %s (%s) after %d writes: %+v", s.State, s.Reason, s.Writes, s.Events[0])
	}
}

func TestAnEarlierVersionOfOursWinsAfterOneWasParked(t *testing.T) {
	t.Parallel()
	address := service(t, "k")
	h := start(t, external(t.TempDir(), address))
	awaitState(t, h, StatePrimary)
	put(t, h, doc("a", "one"))
	large := doc("a", "")
	large.Content.Raw = []byte(strings.Repeat("\xff\x00", document.MaxContent/2))
	put(t, h, large)
	await(t, h, "the large one set aside", func(s *Stats) bool { return s.Parked == 1 })
	// Somebody writes anything at all, so that the next batch compares.
	other := doc("z", "theirs")
	other.CreatedAt = time.Now().UTC()
	other.UpdatedAt = other.CreatedAt
	writeThere(t, colleague(t, address), store.NewKey(document.LayoutFanOut, other), other)
	put(t, h, doc("a", "three"))
	await(t, h, "every store in step", inStep)
	wantText(t, h, "a", "three", probe.Govc)
	if page, err := h.List(t.Context(), Query{Contains: ".conflict-"}); err != nil || page.Total != 0 {
		t.Errorf("nobody else touched a, yet there are %d conflict copies (%v)", page.Total, err)
	}
}

func TestAReplayNeverEndsUnderWritesThatOutpaceIt(t *testing.T) {
	t.Parallel()
	front := inFront(t, service(t, "k"))
	h := start(t, external(t.TempDir(), front.url))
	awaitState(t, h, StatePrimary)
	put(t, h, doc("a", "one"))
	if err := h.Fallback(t.Context()); err != nil {
		t.Fatal(err)
	}
	put(t, h, doc("a", "two"))
	front.set(func(_ http.ResponseWriter, r *http.Request) bool {
		if isWrite(r) {
			pause(r.Context(), 30*time.Millisecond, nil) // a service elsewhere
		}
		return false
	})
	if err := h.Recover(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	writesUntil(t, h, func(i int) string { return fmt.Sprintf("steady-%d", i) }, func(s *Stats) bool { return s.State == StatePrimary && s.Writes > 10 })
}
