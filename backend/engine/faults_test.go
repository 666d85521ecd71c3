package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/store"
)

func detached(dir string) Setup {
	s := setup(dir)
	s.Detached = true
	return s
}

func TestAWriteSurvivesAMomentOfFailingWrites(t *testing.T) {
	t.Parallel()
	address := service(t, "k")
	front := inFront(t, address)
	h := start(t, external(t.TempDir(), front.url))
	awaitState(t, h, StatePrimary)
	front.set(func(w http.ResponseWriter, r *http.Request) bool {
		if isWrite(r) {
			refuse(w, http.StatusInternalServerError)
			return true
		}
		return false
	})
	put(t, h, doc("a", "one"))
	if !happens(h, soon, func(s *Stats) bool { return s.Parked > 0 || s.State == StateFallback }) {
		t.Fatalf("nothing was noticed: %+v", h.Stats())
	}
	front.heal()
	if h.Stats().State == StatePrimary {
		if err := h.Fallback(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.Recover(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	await(t, h, "every store in step", healthyAndInStep)
	if there := texts(t, colleague(t, address)); there["a"] != "one" {
		t.Errorf("the service takes writes again, but a is set aside for good: %v, parked %d", there, h.Stats().Parked)
	}
}

func TestOnePoisonedDocumentHoldsUpItsBatch(t *testing.T) {
	t.Parallel()
	address := service(t, "k")
	front := inFront(t, address)
	h := start(t, external(t.TempDir(), front.url))
	awaitState(t, h, StatePrimary)
	front.set(func(w http.ResponseWriter, r *http.Request) bool {
		if !isWrite(r) {
			return false
		}
		body, err := io.ReadAll(r.Body)
		if err != nil || bytes.Contains(body, []byte("/poison/")) {
			refuse(w, http.StatusInternalServerError)
			return true
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		return false
	})
	put(t, h, doc("poison", "one"), doc("b", "two"), doc("c", "three"))
	happens(h, soon, func(s *Stats) bool { return s.State == StateFallback || (inStep(s) && s.Parked == 1) })
	s := h.Stats()
	there := texts(t, colleague(t, address))
	if s.State != StatePrimary || s.Parked != 1 || there["b"] != "two" || there["c"] != "three" {
		t.Errorf("%s (%s), %d parked, the service holds %v", s.State, s.Reason, s.Parked, there)
	}
}

func TestASetAsideWriteIsAcknowledgedAsThere(t *testing.T) {
	t.Parallel()
	h := start(t, setup(t.TempDir()))
	awaitState(t, h, StatePrimary)
	large := doc("large", "")
	large.Content.Raw = []byte(strings.Repeat("\xff\x00", document.MaxContent/2))
	if ack := put(t, h, large); ack.Durability != Local {
		t.Errorf("the service does not hold it, yet it is acknowledged as %s", ack.Durability)
	}
}

func TestReadsFailWhileADocumentIsOverwritten(t *testing.T) {
	t.Parallel()
	h := start(t, detached(t.TempDir()))
	put(t, h, doc("a", "start"))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		for i := 0; ; i++ {
			if _, err := h.Put(ctx, doc("a", fmt.Sprint(i))); err != nil {
				ended <- err
				return
			}
		}
	}()
	var last error
	for range 5000 {
		if _, err := h.Get(t.Context(), mustID("a")); err != nil {
			last = err
			break
		}
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if last != nil {
		t.Errorf("the document exists, but a read failed: %v", last)
	}
}

func TestOneBrokenDocumentEndsPrimary(t *testing.T) {
	t.Parallel()
	address := service(t, "k")
	front := inFront(t, address)
	h := start(t, external(t.TempDir(), front.url))
	awaitState(t, h, StatePrimary)
	put(t, h, doc("a", "one"))
	await(t, h, "every store in step", inStep)
	front.set(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/folder") {
			return false
		}
		w.Header().Set("Content-Type", "application/json")
		_, err := fmt.Fprintf(w, `{"files":[{"path":%q,"content":"{"}]}`, r.URL.Query().Get("path")+"/metadata.json")
		return err == nil
	})
	for range 2 * tripConsecutive {
		wantText(t, h, "a", "one")
	}
	if happens(h, time.Second, func(s *Stats) bool { return s.State != StatePrimary }) {
		t.Errorf("%s because one document cannot be read: %s", h.Stats().State, h.Stats().Reason)
	}
}

func TestImpatientCallersEndPrimary(t *testing.T) {
	t.Parallel()
	address := service(t, "k")
	front := inFront(t, address)
	h := start(t, external(t.TempDir(), front.url))
	awaitState(t, h, StatePrimary)
	put(t, h, doc("a", "one"))
	await(t, h, "every store in step", inStep)
	front.set(func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/folder") {
			pause(r.Context(), 200*time.Millisecond, nil) // slow, and far from failing
		}
		return false
	})
	for range 2 * tripConsecutive {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		_, _ = h.Get(ctx, mustID("a")) // whether it is served in time is not the question
		cancel()
	}
	if happens(h, time.Second, func(s *Stats) bool { return s.State != StatePrimary }) {
		t.Errorf("%s because callers had no time: %s", h.Stats().State, h.Stats().Reason)
	}
}

func TestAnInterruptedRefillIsTakenUpAgain(t *testing.T) {
	t.Parallel()
	address := service(t, "k")
	front := inFront(t, address)
	h := start(t, external(t.TempDir(), front.url))
	awaitState(t, h, StatePrimary)
	docs := make([]document.Document, snapshotPage+100)
	for i := range docs {
		docs[i] = doc(fmt.Sprintf("doc-%04d", i), "text")
	}
	put(t, h, docs...)
	await(t, h, "every store in step", inStep)
	if err := h.Fallback(t.Context()); err != nil {
		t.Fatal(err)
	}
	// The service loses every document, but not the marker.
	c := colleague(t, address)
	var gone []store.Op
	for entry, err := range c.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		gone = append(gone, store.Op{Key: entry.Key})
	}
	if _, err := c.Apply(t.Context(), store.Batch{Ops: gone, Author: store.Author{Name: "Fault", Email: "f@example.org"}, At: time.Now()}); err != nil {
		t.Fatal(err)
	}
	var commits atomic.Int32
	front.set(func(w http.ResponseWriter, r *http.Request) bool {
		if isCommit(r) && commits.Add(1) > 1 {
			refuse(w, http.StatusServiceUnavailable) // the first page arrives
			return true
		}
		return false
	})
	if err := h.Recover(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	await(t, h, "the failed refill", func(s *Stats) bool { return s.State == StateFallback && s.Switches == 2 })
	front.heal()
	if err := h.Recover(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	await(t, h, "every store in step", healthyAndInStep)
	if n := len(texts(t, c)); n != len(docs) {
		t.Errorf("every store is in step, yet the service holds %d of %d documents", n, len(docs))
	}
}

func TestAServiceThatWentBackInTimeIsTrusted(t *testing.T) {
	t.Parallel()
	address := service(t, "k")
	h := start(t, external(t.TempDir(), address))
	awaitState(t, h, StatePrimary)
	put(t, h, doc("a", "one"))
	earlier := get(t, h, "a")
	put(t, h, doc("a", "two"))
	await(t, h, "every store in step", inStep)
	if err := h.Fallback(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := colleague(t, address)
	writeThere(t, c, store.Key{ID: earlier.Document.ID, Folder: earlier.Folder}, earlier.Document)
	if err := h.Recover(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	await(t, h, "every store in step", healthyAndInStep)
	if there := texts(t, c); there["a"] != "two" {
		t.Errorf("every store is in step, yet the document written last reads %q there", there["a"])
	}
}

func TestWaitingForAStateOutlivesTheEngine(t *testing.T) {
	t.Parallel()
	h := start(t, detached(t.TempDir()))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- h.waitFor(ctx, StateLocked) }()
	for waiting := false; !waiting; {
		h.mu.Lock()
		waiting = len(h.subscribers) == 1
		h.mu.Unlock()
	}
	stop(t, h)
	timeout := time.NewTimer(time.Second)
	defer timeout.Stop()
	select {
	case err := <-ended:
		if !errors.Is(err, ErrClosing) {
			t.Errorf("got %v", err)
		}
	case <-timeout.C:
		t.Error("the engine is closed, and somebody still waits (at full speed) for its state")
	}
	cancel()
}

func TestAReplayIgnoresTheLimitOfABatch(t *testing.T) {
	t.Parallel()
	front := inFront(t, service(t, "k"))
	h := start(t, external(t.TempDir(), front.url))
	awaitState(t, h, StatePrimary)
	if err := h.Fallback(t.Context()); err != nil {
		t.Fatal(err)
	}
	const size = 1 << 20
	for i := range 2 * govcBatchBytes / size {
		put(t, h, doc(fmt.Sprintf("doc-%02d", i), strings.Repeat("x", size)))
	}
	await(t, h, "git in step", func(s *Stats) bool { return s.Stores[1].Lag == 0 && s.Outbox.Bytes == 0 })
	var batch, most atomic.Int64
	front.set(func(_ http.ResponseWriter, r *http.Request) bool {
		switch {
		case !isWrite(r):
		default:
			n := batch.Add(r.ContentLength)
			most.Store(max(n, most.Load()))
			if isCommit(r) {
				batch.Store(0)
			}
		}
		return false
	})
	if err := h.Recover(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	await(t, h, "every store in step", healthyAndInStep)
	if most.Load() > govcBatchBytes+size {
		t.Errorf("one batch had %d bytes, the limit is %d", most.Load(), govcBatchBytes)
	}
}

func TestARoundThatIsCutShortSetsWritesAside(t *testing.T) {
	t.Parallel()
	h := start(t, setup(t.TempDir()))
	awaitState(t, h, StatePrimary)
	if err := h.Fallback(t.Context()); err != nil {
		t.Fatal(err)
	}
	put(t, h, doc("a", "one"))
	await(t, h, "git in step", func(s *Stats) bool { return s.Stores[1].Lag == 0 && s.Outbox.Bytes == 0 })
	row, err := h.o.State.Lookup(t.Context(), mustID("a"))
	if err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel() // the state is left after the round has read the outbox
	_, parked, err := h.bring(ended, []wanted{snapshotOf(row)})
	if err == nil || len(parked) != 0 {
		t.Errorf("nothing was read and nothing failed (%v), yet %+v is set aside and the cursor may pass it", err, parked)
	}
}

func TestOurOwnTroubleIsNotTheServices(t *testing.T) {
	t.Parallel()
	h := start(t, setup(t.TempDir()))
	awaitState(t, h, StatePrimary)
	for _, cause := range []error{store.ErrIdentity, store.ErrUnauthorized} {
		if v := h.judge(t.Context(), local(cause)); v != nil {
			t.Errorf("a local error that wraps %q leads to %v", cause, v)
		}
	}
}

func TestADurableWriteIsAcknowledgedThoughItsCallerLeft(t *testing.T) {
	t.Parallel()
	front := inFront(t, service(t, "k"))
	h := start(t, external(t.TempDir(), front.url))
	awaitState(t, h, StatePrimary)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	front.set(func(_ http.ResponseWriter, r *http.Request) bool {
		if isWrite(r) {
			cancel() // durable here by now, and on its way
		}
		return false
	})
	ack, err := h.Put(ctx, doc("a", "one"))
	if err != nil || len(ack.OpIDs) != 1 {
		t.Errorf("%+v, %v", ack, err)
	}
	wantText(t, h, "a", "one")
}

func TestALostReplyMakesNoSecondCommit(t *testing.T) {
	t.Parallel()
	address := service(t, "k")
	front := inFront(t, address)
	h := start(t, external(t.TempDir(), front.url))
	awaitState(t, h, StatePrimary)
	var lost atomic.Bool
	front.set(func(_ http.ResponseWriter, r *http.Request) bool {
		if isCommit(r) && lost.CompareAndSwap(false, true) {
			front.forward.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler) // the connection is cut
		}
		return false
	})
	put(t, h, doc("a", "one"))
	await(t, h, "every store in step", healthyAndInStep)
	found := get(t, h, "a")
	c := colleague(t, address)
	revisions, err := c.History(t.Context(), store.Key{ID: mustID("a"), Folder: found.Folder}, 10)
	if err != nil || len(revisions) != 1 || !lost.Load() {
		t.Errorf("%d commits of one operation, %v", len(revisions), err)
	}
}

func TestClosesWhileTheServiceHangs(t *testing.T) {
	t.Parallel()
	front := inFront(t, service(t, "k"))
	h := start(t, external(t.TempDir(), front.url))
	awaitState(t, h, StatePrimary)
	hangs := make(chan struct{}, 1)
	front.set(func(_ http.ResponseWriter, r *http.Request) bool {
		if isWrite(r) {
			_, _ = io.Copy(io.Discard, r.Body) // so that the server notices that the client left
			signal(hangs)
			<-r.Context().Done()
		}
		return false
	})
	acked := make(chan error, 1)
	go func() {
		_, err := h.Put(t.Context(), doc("a", "one"))
		acked <- err
	}()
	<-hangs
	began := time.Now()
	stop(t, h)
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("it took %s", took)
	}
	if err := <-acked; err != nil {
		t.Error(err)
	}
}
