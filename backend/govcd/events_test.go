package govcd

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// reader is a client of a stream: each write waits until it is taken.
type reader struct {
	header http.Header
	status int
	writes chan string
	ctx    context.Context //nolint:containedctx // ends the stream, as that of a request
	done   chan struct{}   // closed when the handler returned
}

func (r *reader) Header() http.Header    { return r.header }
func (r *reader) WriteHeader(status int) { r.status = status }
func (r *reader) Flush()                 {}

func (r *reader) Write(p []byte) (int, error) {
	select {
	case r.writes <- string(p):
		return len(p), nil
	case <-r.ctx.Done():
		return 0, io.ErrClosedPipe
	}
}

// listenTo opens a stream, and takes the word that it listens.
func listenTo(t *testing.T, h http.Handler, query, last string) *reader {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r := &reader{header: http.Header{}, writes: make(chan string), ctx: ctx, done: make(chan struct{})}
	request := httptest.NewRequestWithContext(ctx, "GET", docs+"/events"+query, nil)
	if last != "" {
		request.Header.Set("Last-Event-ID", last)
	}
	go func() {
		defer close(r.done)
		h.ServeHTTP(r, request)
	}()
	t.Cleanup(func() {
		cancel()
		<-r.done
	})
	if first := r.take(t); first != ": listening\n\n" || r.status != 200 || r.header.Get("Content-Type") != "text/event-stream; charset=utf-8" {
		t.Fatalf("status %d, %v, %q", r.status, r.header, first)
	}
	return r
}

func (r *reader) take(t *testing.T) string {
	t.Helper()
	select {
	case text := <-r.writes:
		return text
	case <-r.done:
		t.Fatalf("the stream ended with status %d", r.status)
		return ""
	}
}

// next takes one event of a kind.
func (r *reader) next(t *testing.T, kind string) (e commitEvent) {
	t.Helper()
	text := r.take(t)
	head, data, ok := strings.Cut(text, "data: ")
	if err := json.Unmarshal([]byte(data), &e); err != nil || !ok || !strings.HasSuffix(text, "\n\n") {
		t.Fatalf("%q: %v", text, err)
	}
	want := "event: " + kind + "\n"
	if kind == "commit" {
		want = "id: " + e.Hash + "\n" + want
	}
	if head != want {
		t.Fatalf("the event begins with %q, want %q", head, want)
	}
	return e
}

func TestEvents(t *testing.T) {
	h := withRepo(t, Options{})
	stream := listenTo(t, h, "", "")
	first := decode[batchAnswer](t, send(t, h, "POST", docs+"/batch", batchOf(put("d/a", "1"), put("b", "1")))).Hash
	e := stream.next(t, "commit")
	if e.Hash != first || e.Parent != "" || e.Author != "A" || e.Email != "a@b.c" || e.Message != "m" || e.Branch != "main" ||
		fmt.Sprint(e.Paths) != "[b d/a]" || e.More || e.Timestamp.IsZero() {
		t.Errorf("%+v", e)
	}
	want(t, ask(t, h, "DELETE", docs+"/files?path=b", ""), 200, "removed")
	commit(t, h, "gone")
	second := stream.next(t, "commit")
	if second.Parent != first || fmt.Sprint(second.Paths) != "[b]" || second.Message != "gone" {
		t.Errorf("%+v", second)
	}
	want(t, ask(t, h, "POST", docs+"/branches", `{"name":"side"}`), 201, "side")
	want(t, send(t, h, "POST", docs+"/batch?branch=side", batchOf(put("s", "1"), put("t", "1"))), 201, "hash")
	third := stream.next(t, "commit")
	want(t, ask(t, h, "POST", docs+"/merge", `{"from":"side"}`), 200, `"fast_forward":true`)
	fourth := stream.next(t, "commit")
	if third.Branch != "side" || fourth.Branch != "main" || third.Hash != fourth.Hash || fourth.Parent != second.Hash || fmt.Sprint(fourth.Paths) != "[s t]" {
		t.Errorf("%+v\n%+v", third, fourth)
	}
	// What fails, and what changes no branch, is no event.
	want(t, send(t, h, "POST", docs+"/batch", batchOf(put("d", "1"))), 409, "BATCH_FAILED")
	want(t, ask(t, h, "POST", docs+"/merge", `{"from":"side"}`), 200, "already up to date")
	commitAll := decode[batchAnswer](t, send(t, h, "POST", docs+"/batch", batchOf(put("d/b", "1"))))
	if e := stream.next(t, "commit"); e.Hash != commitAll.Hash {
		t.Errorf("%+v", e)
	}
	// Who comes back gets what came since, and then goes on.
	for _, back := range []*reader{listenTo(t, h, "", second.Hash), listenTo(t, h, "?since="+second.Hash, "")} {
		for _, hash := range []string{third.Hash, fourth.Hash, commitAll.Hash} {
			if e := back.next(t, "commit"); e.Hash != hash {
				t.Errorf("came back: %+v, want %s", e, hash)
			}
		}
	}
	// A commit that moved two branches is the first of the two.
	if e := listenTo(t, h, "", third.Hash).next(t, "commit"); e.Branch != "main" || e.Hash != fourth.Hash {
		t.Errorf("after the first move comes %+v", e)
	}
	want(t, ask(t, h, "GET", docs+"/events?since=yesterday", ""), 400, "INVALID_SINCE")
	want(t, ask(t, h, "GET", "/api/v2/repos/nowhere/events", ""), 404, "REPO_NOT_FOUND")
}

// TestEventsThatWereForgotten are told from the history of main; where that
// cannot tell, there is a gap.
func TestEventsThatWereForgotten(t *testing.T) {
	s := newService(t, Options{})
	r, err := s.create(t.Context(), "docs")
	if err != nil {
		t.Fatal(err)
	}
	h := s.Handler()
	var hashes []string
	batch := func() {
		hashes = append(hashes, decode[batchAnswer](t, send(t, h, "POST", docs+"/batch", batchOf(put("a", fmt.Sprint(len(hashes)))))).Hash)
	}
	for range 4 {
		batch()
	}
	r.feed.latest = r.feed.latest[3:]
	back := listenTo(t, h, "?since="+hashes[0], "")
	for _, hash := range hashes[1:] {
		if e := back.next(t, "commit"); e.Hash != hash {
			t.Errorf("%+v, want %s", e, hash)
		}
	}
	r.feed.latest = nil
	back = listenTo(t, h, "", hashes[1])
	for i, hash := range hashes[2:] {
		if e := back.next(t, "commit"); e.Hash != hash || e.Parent != hashes[i+1] {
			t.Errorf("%+v, want %s", e, hash)
		}
	}
	gap := func(since string) {
		t.Helper()
		lost := listenTo(t, h, "", since)
		lost.next(t, "gap")
		batch()
		if e := lost.next(t, "commit"); e.Hash != hashes[len(hashes)-1] {
			t.Errorf("after a gap comes %+v", e)
		}
	}
	gap(strings.Repeat("1", 40))
	want(t, ask(t, h, "POST", docs+"/branches", `{"name":"side"}`), 201, "side")
	gap(hashes[0]) // the other branch may have moved as well
}

func TestEventsAreBounded(t *testing.T) {
	s := newService(t, Options{})
	r, err := s.create(t.Context(), "docs")
	if err != nil {
		t.Fatal(err)
	}
	h := s.Handler()
	for _, n := range []int{MaxEventPaths, MaxEventPaths + 1} {
		items := make([]string, n)
		for i := range items {
			items[i] = put(fmt.Sprintf("d/%d/%d", n, i), "x")
		}
		hash := decode[batchAnswer](t, send(t, h, "POST", docs+"/batch", batchOf(items...))).Hash
		at, _ := parseHash(hash)
		c, err := r.git.ReadCommit(t.Context(), at)
		if err != nil {
			t.Fatal(err)
		}
		m := move{branch: "main", after: at}
		if len(c.Parents) > 0 {
			m.before = c.Parents[0]
		}
		e, err := r.event(t.Context(), m)
		if err != nil || len(e.Paths) != MaxEventPaths || e.More != (n > MaxEventPaths) {
			t.Errorf("%d paths become %d, more %v, %v", n, len(e.Paths), e.More, err)
		}
	}
}

func TestStreamsAreBounded(t *testing.T) {
	s := newService(t, Options{})
	r, err := s.create(t.Context(), "docs")
	if err != nil {
		t.Fatal(err)
	}
	h := s.Handler()
	for range MaxStreams {
		if _, _, ok := r.feed.listen(); !ok {
			t.Error("a stream within the limit is refused")
		}
	}
	want(t, ask(t, h, "GET", docs+"/events", ""), 503, "the repository has 64 streams")
	want(t, ask(t, h, "POST", "/api/v2/repos", `{"id":"other"}`), 201, "other")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	other := func() *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(ctx, "GET", "/api/v2/repos/other/events", nil))
		return w
	}
	for range MaxAllStreams - 1 {
		s.streams <- struct{}{}
	}
	want(t, other(), 200, "listening")
	s.streams <- struct{}{}
	w := other()
	want(t, w, 503, "the service has 256 streams")
	if w.Header().Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}

// TestASlowReaderIsCut while it keeps nobody waiting.
func TestASlowReaderIsCut(t *testing.T) {
	s := newService(t, Options{})
	r, err := s.create(t.Context(), "docs")
	if err != nil {
		t.Fatal(err)
	}
	slow := listenTo(t, s.Handler(), "", "")
	hash := decode[batchAnswer](t, send(t, s.Handler(), "POST", docs+"/batch", batchOf(put("a", "1")))).Hash
	at, _ := parseHash(hash)
	for range MaxBacklog + 2 {
		r.feed.add(move{branch: "main", after: at})
	}
	read := 0
	for {
		select {
		case <-slow.writes:
			if read++; read <= MaxBacklog+1 {
				continue
			}
			t.Fatal("nothing was cut")
		case <-slow.done:
		}
		break
	}
}

func TestHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := withRepo(t, Options{})
		stream := listenTo(t, h, "", "")
		start := time.Now()
		for i := range 3 {
			if text := stream.take(t); text != ": \n\n" {
				t.Errorf("heartbeat %q", text)
			}
			if after := time.Since(start); after != time.Duration(i+1)*heartbeat {
				t.Errorf("heartbeat %d comes after %v", i, after)
			}
		}
	})
}

// TestStreamsEndWithTheirRepository: a stream does not keep a repository from
// being deleted, nor the service from stopping in peace.
func TestStreamsEndWithTheirRepository(t *testing.T) {
	h := withRepo(t, Options{})
	stream := listenTo(t, h, "", "")
	want(t, ask(t, h, "DELETE", docs, ""), 200, "deleted")
	<-stream.done

	var log syncBuffer
	s := newService(t, Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	base, err := s.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	want(t, ask(t, s.Handler(), "POST", "/api/v2/repos", `{"id":"docs"}`), 201, "docs")
	lines := open(t, base)
	if err := s.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	for lines.Scan() {
		t.Errorf("after Stop comes %q", lines.Text())
	}
	if strings.Contains(log.String(), "cut off") {
		t.Errorf("a stream was cut off: %s", log.String())
	}
}

// TestAStreamOutlivesTheLimitsOfTheServer on the time for one request.
func TestAStreamOutlivesTheLimitsOfTheServer(t *testing.T) {
	h := withRepo(t, Options{})
	server := httptest.NewUnstartedServer(h)
	server.Config.ReadTimeout, server.Config.WriteTimeout = 20*time.Millisecond, 20*time.Millisecond
	server.Start()
	t.Cleanup(server.Close)
	lines := open(t, server.URL)
	<-time.After(100 * time.Millisecond)
	want(t, send(t, h, "POST", docs+"/batch", batchOf(put("a", "1"))), 201, "hash")
	for lines.Scan() {
		if lines.Text() == "event: commit" {
			return
		}
	}
	t.Errorf("the stream ended: %v", lines.Err())
}

// open opens a stream over a connection and waits until it listens.
func open(t *testing.T, base string) *bufio.Scanner {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{}}
	r, err := http.NewRequestWithContext(t.Context(), "GET", base+docs+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := answer.Body.Close(); err != nil {
			t.Error(err)
		}
		client.CloseIdleConnections()
	})
	lines := bufio.NewScanner(answer.Body)
	if !lines.Scan() || lines.Text() != ": listening" || !lines.Scan() {
		t.Fatalf("%q, %v", lines.Text(), lines.Err())
	}
	return lines
}

type syncBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
