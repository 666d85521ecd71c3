package wiretest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// TestWatchSees: each rule is seen to be broken, by the client that is
// watched and by nobody else.
func TestWatchSees(t *testing.T) {
	const commit = `{"message":"m","author":"A","email":"a@b.c"}`
	add := func(path, content string) string { return `{"path":"` + path + `","content":"` + content + `"}` }
	for _, c := range []struct {
		first                   []string // what comes before it, as method, path, body
		method, path, body, why string
	}{
		{nil, "HEAD", "/health", "", "method"},
		{nil, "OPTIONS", "/api/v2/repos", "", "method"},
		{nil, "GET", "/health?" + strings.Repeat("x", 2049), "", "query"},
		{nil, "POST", "/api/v2/repos/r/files", add("a", strings.Repeat("x", 10<<20)), "body"},
		{nil, "GET", "/api/v1/repos/r/read/a?ref=main", "", "at a ref"},
		{[]string{"POST", "/api/v2/repos/r/files", add("a", "x")}, "GET", "/api/v2/repos", "", "listed beside a writer"},
		{nil, "GET", "/api/v2/repos/r", "", "can end the service"},
		{nil, "GET", "/api/v2/repos/r/status", "", "can end the service"},
		{nil, "POST", "/api/v2/repos/r/checkout", `{"branch":"main"}`, "loses files"},
		{nil, "POST", "/api/v2/repos/r/merge", `{}`, "loses files"},
		{[]string{"GET", "/api/v1/repos/r/log", ""}, "GET", "/api/v2/repos/r/commits", "", "mixed"},
		{nil, "DELETE", "/api/v2/repos/r/files?path=a", "", "does not delete"},
		{nil, "POST", "/api/v2/repos/r/files", "x", "not JSON"},
		{nil, "POST", "/api/v2/repos/r/commits", `{"message":"m"}`, "author or email"},
		{nil, "POST", "/api/v1/repos/r/commit", strings.Replace(commit, "m\"", "ü\"", 1), "ASCII"},
		{nil, "POST", "/api/v1/repos/r/commit", strings.Replace(commit, "A", "A>", 1), "author ends"},
		{nil, "POST", "/api/v1/repos/r/commit", strings.Replace(commit, "a@", "<a@", 1), "email ends"},
		{nil, "POST", "/api/v2/repos/r/files", add("a", ""), "empty"},
		{nil, "POST", "/api/v1/repos/r/add", add("a", `\u0000`), "binary"},
		{nil, "POST", "/api/v1/repos/r/add", add("../a", "x"), "path"},
		{nil, "POST", "/api/v1/repos/r/add", add("a//b", "x"), "path"},
	} {
		for _, agent := range []string{"client", "somebody else"} {
			w := NewWatch(http.NotFoundHandler(), "client")
			ask := func(method, path, body string) {
				r := httptest.NewRequest(method, path, strings.NewReader(body))
				r.Header.Set("User-Agent", agent)
				w.ServeHTTP(httptest.NewRecorder(), r)
			}
			if len(c.first) > 0 {
				ask(c.first[0], c.first[1], c.first[2])
			}
			before := len(w.Broken())
			ask(c.method, c.path, c.body)
			broken := strings.Join(w.Broken()[before:], "; ")
			if agent == "client" && !strings.Contains(broken, c.why) {
				t.Errorf("%s %.60s %.60s: %q, want %q", c.method, c.path, c.body, broken, c.why)
			}
			if agent != "client" && broken != "" {
				t.Errorf("%s: %s", agent, broken)
			}
		}
	}
}

// TestWatchSeesTwoWriters: of one repository, at once.
func TestWatchSeesTwoWriters(t *testing.T) {
	inside, release := make(chan struct{}), make(chan struct{})
	w := NewWatch(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		inside <- struct{}{}
		<-release
	}), "client")
	var group sync.WaitGroup
	for _, repo := range []string{"one", "other", "one"} {
		group.Go(func() {
			r := httptest.NewRequest(http.MethodPost, "/api/v1/repos/"+repo+"/add", strings.NewReader(`{"path":"a","content":"x"}`))
			r.Header.Set("User-Agent", "client")
			w.ServeHTTP(httptest.NewRecorder(), r)
		})
	}
	for range 3 {
		<-inside
	}
	close(release)
	group.Wait()
	if broken := w.Broken(); len(broken) != 1 || !strings.Contains(broken[0], "/repos/one/add") {
		t.Errorf("broken: %q", broken)
	}
}

// TestFragileNewEnds: asked for a status beside a writer, it ends and answers
// nobody until it is started anew.
func TestFragileNewEnds(t *testing.T) {
	e := NewEmulator(EmulatorOptions{Fragile: true})
	server := httptest.NewServer(e)
	defer server.Close()
	ask := func(method, path, body string) (int, error) {
		r, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Close = true
		got, err := http.DefaultClient.Do(r)
		if err != nil {
			return 0, err
		}
		_, err = io.Copy(io.Discard, got.Body)
		if closeErr := got.Body.Close(); err == nil {
			err = closeErr
		}
		return got.StatusCode, err
	}
	if status, err := ask("POST", "/api/v2/repos", `{"id":"r"}`); err != nil || status != http.StatusCreated {
		t.Fatal(status, err)
	}
	if status, err := ask("GET", "/api/v2/repos/r/status", ""); err != nil || status != http.StatusOK {
		t.Errorf("a status with nothing staged: %d, %v", status, err)
	}
	if _, err := ask("POST", "/api/v2/repos/r/files", `{"path":"a","content":"x"}`); err != nil {
		t.Fatal(err)
	}
	if status, err := ask("GET", "/api/v2/repos/r/status", ""); err == nil {
		t.Errorf("a status beside a writer: %d", status)
	}
	if status, err := ask("GET", "/health/live", ""); err == nil || e.Dead() == "" {
		t.Errorf("it lives on: %d, %q", status, e.Dead())
	}
	e.Restart()
	if status, err := ask("GET", "/api/v2/repos/r", ""); err != nil || status != http.StatusNotFound {
		t.Errorf("after the restart: %d, %v", status, err)
	}
}
