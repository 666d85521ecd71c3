package govc_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/govc"
	"github.com/caiatech/caiatop/backend/govcd"
	"github.com/caiatech/caiatop/backend/store"
)

// noWait makes retries immediate.
var noWait = govc.RetryOptions{Sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }}

// serve runs a handler.
func serve(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL
}

// withoutBatch is a service of ours from before batches: what has to be
// written is staged and committed.
func withoutBatch(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/version" {
			h.ServeHTTP(w, r)
			return
		}
		told := httptest.NewRecorder()
		h.ServeHTTP(told, r)
		_, _ = io.WriteString(w, strings.Replace(told.Body.String(), `"`+govcd.CapBatch+`",`, "", 1))
	})
}

// between puts a handler before a working service that takes no batches; it
// returns true if it has answered.
func between(t testing.TB, first func(w http.ResponseWriter, r *http.Request) bool) string {
	t.Helper()
	s := govcd.New(govcd.Options{})
	t.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Errorf("Stop: %v", err)
		}
	})
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		if !first(w, r) {
			withoutBatch(s.Handler()).ServeHTTP(w, r)
		}
	})
}

// hangUp closes the connection without an answer.
func hangUp(t testing.TB, w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		t.Errorf("Hijack: %v", err)
		return
	}
	if err := conn.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func isCommit(r *http.Request) bool {
	return r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/commits")
}

func isAdd(r *http.Request) bool {
	return r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/files")
}

func isRead(r *http.Request) bool {
	return r.Method == http.MethodGet && strings.HasPrefix(r.URL.Path, "/api/v2/repos/")
}

func TestWhatIsNoGovc(t *testing.T) {
	answer := func(status int, kind, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	for name, c := range map[string]struct {
		serve http.HandlerFunc
		part  string
	}{
		"html":       {answer(200, "text/html", "<html><title>Router login</title>"+strings.Repeat("x", 1000)), "Router login"},
		"html 404":   {answer(404, "text/html", "<h1>nothing here</h1>"), "check host, port and path"},
		"other json": {answer(200, "application/json", `{"hello":"world"}`), "dialect probe"},
		"empty":      {answer(200, "", ""), "dialect probe"},
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://elsewhere.invalid/", http.StatusFound)
		}, "elsewhere.invalid"},
		"half": {func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/version" {
				answer(200, "text/html", "<html>")(w, r)
				return
			}
			answer(400, "application/json", `{"error":"limit must be positive: 0","code":"INVALID_LIMIT"}`)(w, r)
		}, "/version"},
	} {
		t.Run(name, func(t *testing.T) {
			client := newClient(t, govc.Options{URL: serve(t, c.serve), Retry: noWait})
			_, err := client.Describe(t.Context())
			var wrong *govc.NotGovcError
			if !errors.As(err, &wrong) || !errors.Is(err, store.ErrIdentity) || !strings.Contains(err.Error(), c.part) {
				t.Fatalf("Describe: %v, want a NotGovcError with %q", err, c.part)
			}
			if len(wrong.Start) > 80 {
				t.Errorf("it quotes %d bytes", len(wrong.Start))
			}
			if _, err := client.Get(t.Context(), keyOf(newDoc(t, "a", ""))); !errors.As(err, &wrong) {
				t.Errorf("Get: %v", err)
			}
		})
	}
}

func TestStatusMeans(t *testing.T) {
	for _, c := range []struct {
		status int
		code   string
		read   error
		add    error
	}{
		{404, "FILE_NOT_FOUND", store.ErrNotFound, store.ErrNotFound},
		{404, "REPO_NOT_FOUND", store.ErrIdentity, store.ErrIdentity},
		{401, "UNAUTHORIZED", store.ErrUnauthorized, store.ErrUnauthorized},
		{403, "FORBIDDEN", store.ErrUnauthorized, store.ErrUnauthorized},
		{413, "REQUEST_TOO_LARGE", store.ErrTooLarge, store.ErrTooLarge},
		{408, "REQUEST_TIMEOUT", store.ErrUnavailable, store.ErrAmbiguous},
		{429, "LOGIN_LOCKOUT", store.ErrUnavailable, store.ErrUnavailable},
		{500, "", store.ErrUnavailable, store.ErrAmbiguous},
		{502, "", store.ErrUnavailable, store.ErrAmbiguous},
		{503, "OVERLOADED", store.ErrUnavailable, store.ErrUnavailable},
		{507, "STORAGE_FULL", store.ErrDiskFull, store.ErrDiskFull},
		{400, "INVALID_FILE_PATH", nil, nil},
	} {
		text := strings.Repeat("\x1b[31m", 200)
		on := isRead
		url := between(t, func(w http.ResponseWriter, r *http.Request) bool {
			if !on(r) {
				return false
			}
			w.WriteHeader(c.status)
			if err := json.NewEncoder(w).Encode(map[string]string{"error": text, "code": c.code}); err != nil {
				t.Error(err)
			}
			_, _ = io.WriteString(w, `{"error":"a second value"}`)
			return true
		})
		check := func(what string, err, want error) {
			t.Helper()
			var refused *govc.RefusedError
			if want == nil && (!errors.As(err, &refused) || refused.Code != c.code || len(refused.Message) != 500) {
				t.Errorf("%d %s: %s: %v, want a RefusedError", c.status, c.code, what, err)
			}
			if want != nil && !errors.Is(err, want) {
				t.Errorf("%d %s: %s: %v, want %v", c.status, c.code, what, err, want)
			}
		}
		client := openClient(t, govc.Options{URL: url, Retry: noWait})
		d := newDoc(t, "a", "text")
		_, err := client.Get(t.Context(), keyOf(d))
		check("Get", err, c.read)
		on = func(r *http.Request) bool { return r.Method == http.MethodPost && !isCommit(r) }
		_, err = client.Apply(t.Context(), put(d))
		check("Apply", err, c.add)
		if c.add == nil && errors.Is(err, store.ErrAmbiguous) {
			t.Errorf("a refusal is ambiguous: %v", err)
		}
	}
}

func TestSlowService(t *testing.T) {
	var slow atomic.Pointer[func(*http.Request) bool]
	var calls atomic.Int64
	url := between(t, func(_ http.ResponseWriter, r *http.Request) bool {
		if f := slow.Load(); f == nil || !(*f)(r) {
			return false
		}
		calls.Add(1)
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
		return true
	})
	const limit = 400 * time.Millisecond
	c := openClient(t, govc.Options{URL: url, Retry: noWait, Timeouts: govc.Timeouts{Read: limit, Write: limit}})
	d := newDoc(t, "a", "text")
	if _, err := c.Apply(t.Context(), put(d)); err != nil {
		t.Fatal(err)
	}
	on := func(f func(*http.Request) bool) { slow.Store(&f); calls.Store(0) }
	on(isRead)
	if _, err := c.Get(t.Context(), keyOf(d)); !errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrAmbiguous) {
		t.Errorf("Get: %v, want ErrUnavailable", err)
	}
	if n := calls.Load(); n != 3 {
		t.Errorf("a read was tried %d times, want 3", n)
	}
	on(isCommit)
	if _, err := c.Apply(t.Context(), put(newDoc(t, "b", "text"))); !errors.Is(err, store.ErrAmbiguous) {
		t.Errorf("Apply with a slow commit: %v, want ErrAmbiguous", err)
	}
	if n := calls.Load(); n != 1 {
		t.Errorf("the commit was sent %d times, want once", n)
	}
	on(isAdd)
	if _, err := c.Apply(t.Context(), put(newDoc(t, "c", "text"))); !errors.Is(err, store.ErrAmbiguous) {
		t.Errorf("Apply with a slow add: %v, want ErrAmbiguous", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	on(func(r *http.Request) bool { cancel(); return isRead(r) })
	if _, err := c.Get(ctx, keyOf(d)); !errors.Is(err, context.Canceled) || errors.Is(err, store.ErrUnavailable) {
		t.Errorf("a cancelled Get: %v, want context.Canceled alone", err)
	}
}

// TestDyingService: the service dies in the middle of its answers.
func TestDyingService(t *testing.T) {
	var on atomic.Pointer[func(*http.Request) bool]
	url := between(t, func(w http.ResponseWriter, r *http.Request) bool {
		if f := on.Load(); f == nil || !(*f)(r) {
			return false
		}
		w.Header().Set("Content-Length", "1000")
		w.WriteHeader(http.StatusOK)
		_, _ = io.WriteString(w, `{"path":"`)
		panic(http.ErrAbortHandler)
	})
	c := openClient(t, govc.Options{URL: url, Retry: noWait})
	d := newDoc(t, "a", "text")
	if _, err := c.Apply(t.Context(), put(d)); err != nil {
		t.Fatal(err)
	}
	die := func(f func(*http.Request) bool) { on.Store(&f) }
	die(isRead)
	if _, err := c.Get(t.Context(), keyOf(d)); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Get: %v, want ErrUnavailable", err)
	}
	for _, err := range c.List(t.Context()) {
		if !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("List: %v, want ErrUnavailable", err)
		}
	}
	die(isCommit)
	if _, err := c.Apply(t.Context(), put(newDoc(t, "b", "text"))); !errors.Is(err, store.ErrAmbiguous) {
		t.Errorf("Apply: %v, want ErrAmbiguous", err)
	}
	// What was staged then is committed with the next batch, and both are there.
	die(func(*http.Request) bool { return false })
	if _, err := c.Apply(t.Context(), put(newDoc(t, "c", "text"))); err != nil {
		t.Errorf("Apply after the trouble: %v", err)
	}
	for _, id := range []string{"a", "b", "c"} {
		if _, err := c.Get(t.Context(), keyOf(newDoc(t, id, ""))); err != nil {
			t.Errorf("Get(%q): %v", id, err)
		}
	}
}

// TestQuirk13IdleConnection: a kept connection that turns out to be closed is worth
// one more try of what may be repeated, even without a budget; never of a
// commit.
func TestQuirk13IdleConnection(t *testing.T) {
	var on atomic.Pointer[func(*http.Request) bool]
	var cut atomic.Int64
	url := between(t, func(w http.ResponseWriter, r *http.Request) bool {
		if f := on.Load(); f == nil || !(*f)(r) {
			return false
		}
		if cut.Add(1) > 1 {
			return false
		}
		_, _ = io.Copy(io.Discard, r.Body)
		hangUp(t, w)
		return true
	})
	c := openClient(t, govc.Options{URL: url, Retry: govc.RetryOptions{Max: -1}})
	if _, err := c.Describe(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]func(*http.Request) bool{"add": isAdd, "read": isRead} {
		on.Store(&f)
		cut.Store(0)
		if _, err := c.Apply(t.Context(), put(newDoc(t, name, "text"))); err != nil {
			t.Errorf("%s on a stale connection: %v", name, err)
		}
		if cut.Load() < 2 {
			t.Errorf("%s: the connection was never cut", name)
		}
	}
	f := isCommit
	on.Store(&f)
	cut.Store(0)
	if _, err := c.Apply(t.Context(), put(newDoc(t, "commit", "text"))); !errors.Is(err, store.ErrAmbiguous) {
		t.Errorf("commit on a stale connection: %v, want ErrAmbiguous", err)
	}
	if n := cut.Load(); n != 1 {
		t.Errorf("the commit was sent %d times", n)
	}
}

func TestNobodyListens(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	c := newClient(t, govc.Options{URL: "http://" + l.Addr().String(), Retry: noWait})
	_, err = c.Apply(t.Context(), put(newDoc(t, "a", "x")))
	if !errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrAmbiguous) {
		t.Errorf("Apply: %v, want ErrUnavailable", err)
	}
	if _, err := c.EnsureRepo(t.Context()); !errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrAmbiguous) {
		t.Errorf("EnsureRepo: %v, want ErrUnavailable: nothing was sent", err)
	}
}

// TestRetryBudget: when everything fails, retries are a fraction of the calls.
func TestRetryBudget(t *testing.T) {
	var requests atomic.Int64
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	c := newClient(t, govc.Options{URL: url, Retry: noWait, Now: func() time.Time { return now }})
	const calls = 500
	for range calls {
		if _, err := c.RepoExists(t.Context()); !errors.Is(err, store.ErrUnavailable) {
			t.Fatal(err)
		}
	}
	// 10 to begin with, and one for every five calls.
	if extra := requests.Load() - calls; extra < calls/5 || extra > calls/5+11 {
		t.Errorf("%d retries of %d calls", extra, calls)
	}
}

// TestRestartEmpty: a service that comes back empty is another one, not one
// that lacks a document.
func TestRestartEmpty(t *testing.T) {
	s, url := startService(t, govcd.Options{})
	c := openClient(t, govc.Options{URL: url, Retry: noWait})
	d := newDoc(t, "a", "text")
	if _, err := c.Apply(t.Context(), put(d)); err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Get(t.Context(), keyOf(d)); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Get from a stopped service: %v", err)
	}
	if _, err := s.Start("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Get(t.Context(), keyOf(d)); !errors.Is(err, store.ErrIdentity) || errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get after the restart: %v, want ErrIdentity", err)
	}
	if _, err := c.Apply(t.Context(), put(d)); !errors.Is(err, store.ErrIdentity) {
		t.Errorf("Apply after the restart: %v, want ErrIdentity", err)
	}
	if _, found, err := c.ReadMarker(t.Context()); found || err != nil {
		t.Errorf("ReadMarker = %v, %v", found, err)
	}
	if exists, err := c.RepoExists(t.Context()); exists || err != nil {
		t.Errorf("RepoExists = %v, %v", exists, err)
	}
}
