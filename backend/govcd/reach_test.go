package govcd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestLocalhostIsEveryLoopbackAddress(t *testing.T) {
	s := newService(t, Options{})
	url, err := s.Start("localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(url, "http://localhost:") {
		t.Fatalf("URL %q", url)
	}
	port := strings.TrimPrefix(url, "http://localhost:")
	hosts := []string{"localhost", "127.0.0.1"}
	if l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp6", "[::1]:0"); err == nil {
		hosts = append(hosts, "[::1]")
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for _, host := range hosts {
		answer, err := client.Get("http://" + host + ":" + port + "/health/live")
		if err != nil {
			t.Errorf("%s: %v", host, err)
			continue
		}
		if err := answer.Body.Close(); err != nil || answer.StatusCode != 200 {
			t.Errorf("%s: %s, %v", host, answer.Status, err)
		}
	}
	for _, taken := range []string{"localhost:" + port, "127.0.0.1:" + port} {
		if _, err := New(Options{}).Start(taken); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("%s is taken: %v", taken, err)
		}
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if again, err := s.Start("localhost:0"); err != nil || again != url {
		t.Errorf("Start again = %q, %v; want %q", again, err, url)
	}
}

// TestAWebPageReachesAServiceWithoutAKey: what a page in the browser of
// somebody who runs an open service could do to it.
func TestAWebPageReachesAServiceWithoutAKey(t *testing.T) {
	h := newService(t, Options{LocalOnly: true}).Handler()
	for _, c := range []struct {
		host, origin, site string
		status             int
	}{
		{"localhost:8080", "", "", 201},
		{"127.0.0.1:8080", "", "", 409},
		{"[::1]:8080", "http://[::1]:8080", "same-origin", 409},
		{"[::1]", "", "", 409},
		{"localhost:8080", "https://evil.example", "cross-site", 403},
		{"localhost:8080", "https://evil.example", "", 403},
		{"localhost:8080", "http://localhost:3000", "same-site", 403},
		{"rebound.example:8080", "http://rebound.example:8080", "same-origin", 403},
		{"localhost.evil.example", "", "", 403},
		{"192.0.2.1:8080", "", "", 403},
		{"", "", "", 403},
	} {
		r := httptest.NewRequest("POST", "/api/v2/repos", strings.NewReader(`{"id":"docs"}`))
		r.Host = c.host
		r.Header.Set("Content-Type", "text/plain") // all that a page can send unasked
		if c.origin != "" {
			r.Header.Set("Origin", c.origin)
		}
		if c.site != "" {
			r.Header.Set("Sec-Fetch-Site", c.site)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != c.status {
			t.Errorf("%+v answers %d %s", c, w.Code, w.Body)
		}
	}
}

// TestTinyFilesAndCommitsEscapeTheLimit: what is kept is bounded, not only the
// content.
func TestTinyFilesAndCommitsEscapeTheLimit(t *testing.T) {
	const room = 20
	h := withRepo(t, Options{MaxBytes: room * fileCost})
	taken := 0
	for ; ask(t, h, "POST", docs+"/files", fmt.Sprintf(`{"path":"f%d","content":"x"}`, taken)).Code == 201; taken++ {
		if taken > room {
			t.Fatal("tiny files are not counted")
		}
	}
	w := ask(t, h, "POST", docs+"/commits", `{"message":"m","author":"`+strings.Repeat("n", room*fileCost)+`"}`)
	want(t, w, 507, "STORAGE_FULL")
	if taken < room-2 {
		t.Errorf("%d tiny files were taken", taken)
	}

	h = withRepo(t, Options{MaxBytes: 100 * commitCost})
	for i := 0; ; i++ {
		if i > 100 {
			t.Fatal("commits are not counted")
		}
		if ask(t, h, "POST", docs+"/files", `{"path":"a","content":"x"}`).Code == 507 {
			break
		}
		commit(t, h, "m")
	}
	want(t, ask(t, h, "DELETE", docs, ""), 200, "deleted")
	want(t, ask(t, h, "POST", "/api/v2/repos", `{"id":"docs"}`), 201, "docs")
	add(t, h, "a", "x")
}

func TestAcceptedFilesCanBeCommittedAtTheLimit(t *testing.T) {
	h := withRepo(t, Options{MaxBytes: 40 * commitCost})
	body := strings.Repeat("x", 40*commitCost-fileCost-1)
	add(t, h, "a", body)
	want(t, ask(t, h, "POST", docs+"/files", `{"path":"b","content":"x"}`), 507, "STORAGE_FULL")
	commit(t, h, "m")
	want(t, ask(t, h, "GET", docs+"/files?path=a", ""), 200, fmt.Sprintf(`"size":%d`, len(body)))
}

func TestLargeBodiesWaitForEachOther(t *testing.T) {
	s := newService(t, Options{})
	h := s.Handler()
	want(t, ask(t, h, "POST", "/api/v2/repos", `{"id":"docs"}`), 201, "docs")
	for range MaxLargeBodies {
		s.bodies <- struct{}{}
	}
	add(t, h, "small", "is not kept waiting")
	done := make(chan struct{})
	go func() {
		defer close(done)
		add(t, h, "large", strings.Repeat("x", largeBody))
	}()
	select {
	case <-done:
		t.Error("one large body too many was read")
	case <-time.After(50 * time.Millisecond):
	}
	<-s.bodies
	<-done
	want(t, ask(t, h, "GET", docs+"/files?path=large", ""), 200, `"size"`)
	for range MaxLargeBodies - 1 {
		<-s.bodies
	}
}

// TestConnectionsAreLimited: connections beyond the limit wait, and are served
// when another one ends.
func TestConnectionsAreLimited(t *testing.T) {
	inner, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := limit(inner, make(chan struct{}, 1))
	accepted := make(chan net.Conn)
	var all sync.WaitGroup
	all.Go(func() {
		defer close(accepted)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- conn
		}
	})
	dial := func() {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() }) // the other side may have closed it
	}
	dial()
	dial()
	first := <-accepted
	select {
	case <-accepted:
		t.Fatal("a second connection was accepted")
	case <-time.After(50 * time.Millisecond):
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	_ = first.Close() // twice, and yet one slot
	second := <-accepted
	dial()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, open := <-accepted; open {
		t.Error("a closed listener accepts")
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
	all.Wait()
}

// FuzzRequest sends anything at all to the whole service: it answers in its own
// form, with nothing that is its own fault.
func FuzzRequest(f *testing.F) {
	f.Add("GET", "/health", "", "", "", "")
	f.Add("HEAD", "/api/v2/repos", "", "", "", "")
	f.Add("OPTIONS", "/api/v2/repos/docs/files", "", "Origin", "https://evil.example", "")
	f.Add("POST", "/api/v2/repos/docs/files/", "path=a", "Content-Type", "application/json; charset=x", `{"path":"b","content":"c"}`)
	f.Add("PUT", "/api/v2/repos/docs/files", "", "Content-Type", "APPLICATION/JSON", `{"path":"a/b","content":"c"}`)
	f.Add("DELETE", "/api/v2/repos/docs/files", "path=.", "Content-Length", "-1", "")
	f.Add("GET", "//api//v2/repos/../repos/docs", "limit=-9223372036854775808&offset=9223372036854775807", "", "", "")
	f.Add("POST", "/api/v2/repos/docs/commits", "", "Expect", "100-continue", `{"message":"m","author":"<>\n","email":"a@b","timestamp":"0001-01-01T00:00:00Z"}`)
	f.Add("POST", "/api/v2/repos/docs/commits", "", "", "", `{"message":"m","timestamp":"9999-12-31T23:59:59.999999999+23:59"}`)
	f.Add("POST", "/api/v2/repos/docs/folders", "", "", "", `{"paths":["","..","a","a","\u0000"]}`)
	f.Add("GET", "/api/v1/repos/\x00/log", "limit=1", "X-Api-Key", "\xff", "")
	f.Add("GET", "/api/v2/repos/docs/tree", "recursive=true&path=a%00b", "", "", "")
	f.Add("GET", "/api/v2/repos/docs/commits", "path=d&limit=1&offset=-1", "", "", "")
	f.Add("BREW", "/", "", "", "", "")
	f.Add("POST", "/api/v2/repos/docs/batch", "branch=main", "If-Match", "*", `{"message":"m","items":[{"op":"delete","path":"d"}]}`)
	f.Add("POST", "/api/v2/repos/docs/batch", "", "Content-Encoding", "gzip", "\x1f\x8b\x08")
	f.Add("POST", "/api/v2/repos/docs/merge", "", "If-None-Match", "*", `{"from":"main","into":"main"}`)
	f.Add("POST", "/api/v2/repos/docs/branches", "", "", "", `{"name":"b","from":"main"}`)
	f.Add("DELETE", "/api/v2/repos/docs/branches/a/../b", "", "", "", "")
	f.Add("POST", "/api/v2/repos/docs/tags", "", "", "", `{"name":"t","message":"m","author":"<>"}`)
	f.Add("GET", "/api/v2/repos/docs/diff", "from=main&to=0000000000000000000000000000000000000000&patch=true", "", "", "")
	f.Add("GET", "/api/v2/repos/docs/search", "q=one&path=d&limit=1", "", "", "")
	f.Add("GET", "/api/v2/repos/docs/events", "", "Last-Event-Id", "0000000000000000000000000000000000000001", "")
	f.Fuzz(func(t *testing.T, method, path, query, name, value, body string) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		if strings.HasSuffix(path, "/events") {
			cancel() // a stream has no end of its own
		}
		r, err := http.NewRequestWithContext(ctx, method, "http://localhost/", strings.NewReader(body))
		if err != nil {
			return // net/http lets no such method through
		}
		r.URL.Path, r.URL.RawQuery = path, query
		if name != "" {
			r.Header[http.CanonicalHeaderKey(name)] = []string{value}
		}
		h := withRepo(t, Options{})
		add(t, h, "d/staged", "one")
		commit(t, h, "first")
		add(t, h, "d/e/f", "two")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code >= 500 && w.Code != http.StatusInsufficientStorage {
			t.Fatalf("%q %q answers %d %s", method, path, w.Code, w.Body)
		}
		if w.Code >= 400 && !strings.Contains(w.Body.String(), `"code":"`) {
			t.Fatalf("%q %q answers %d without a code: %s", method, path, w.Code, w.Body)
		}
		if w.Code >= 300 && w.Code < 400 && !strings.HasPrefix(w.Header().Get("Location"), "/") {
			t.Fatalf("%q %q leads to %q", method, path, w.Header().Get("Location"))
		}
		if loc := w.Header().Get("Location"); strings.HasPrefix(loc, "//") {
			t.Fatalf("%q %q leads to another host: %q", method, path, loc)
		}
		if _, err := io.Copy(io.Discard, w.Body); err != nil {
			t.Fatal(err)
		}
		if method == http.MethodDelete || w.Code < 400 && method != http.MethodGet {
			return
		}
		want(t, ask(t, h, "GET", docs+"/files?path=d/e/f", ""), 200, `"content":"two"`)
	})
}

// TestANameOrATimeThatNoCommitCanHoldIsOurFault: such a commit is the client's
// business, and what was staged stays committable.
func TestANameOrATimeThatNoCommitCanHoldIsOurFault(t *testing.T) {
	h := withRepo(t, Options{})
	add(t, h, "a", "one")
	want(t, ask(t, h, "POST", docs+"/commits", `{"message":"m","author":"<>\n","email":"a@b.example"}`), 201, `"author":"Unknown"`)
	for _, at := range []string{"9999-12-31T23:59:59-23:59", "1969-12-31T23:59:59Z", "0001-01-01T00:00:01Z"} {
		add(t, h, "a", at)
		want(t, ask(t, h, "POST", docs+"/commits", `{"message":"m","timestamp":"`+at+`"}`), 400, "INVALID_TIMESTAMP")
	}
	for _, at := range []string{"1970-01-01T00:00:00Z", "9999-12-31T23:59:59Z"} {
		add(t, h, "a", at)
		want(t, ask(t, h, "POST", docs+"/commits", `{"message":"m","timestamp":"`+at+`"}`), 201, at)
	}
	want(t, ask(t, h, "GET", docs+"/commits", ""), 200, `"total":3`)
}
