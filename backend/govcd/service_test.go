package govcd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/govcd/access"
	"github.com/caiatech/caiatop/config"
)

// ask sends one request to a handler.
func ask(t testing.TB, h http.Handler, method, target, body string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func want(t testing.TB, w *httptest.ResponseRecorder, status int, part string) {
	t.Helper()
	if w.Code != status || !strings.Contains(w.Body.String(), part) {
		t.Errorf("status %d, body %.300s; want %d and %q", w.Code, w.Body, status, part)
	}
}

// unlimited is an access without limits on one address: all requests of a test
// come from one.
func unlimited(t testing.TB, o access.Options) *access.Control {
	t.Helper()
	o.Limits = access.Limits{Requests: rate.Inf, Burst: 1 << 30}
	c, err := access.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func newService(t testing.TB, o Options) *Service {
	t.Helper()
	if o.Access == nil {
		o.Access = unlimited(t, access.Options{AdminKey: config.NewSecret(o.Key)})
	}
	s := New(o)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Errorf("Stop: %v", err)
		}
	})
	return s
}

const docs = "/api/v2/repos/docs"

// withRepo returns a service with the repository "docs".
func withRepo(t testing.TB, o Options) http.Handler {
	t.Helper()
	h := newService(t, o).Handler()
	want(t, ask(t, h, "POST", "/api/v2/repos", `{"id":"docs"}`), 201, `"id":"docs"`)
	return h
}

func add(t testing.TB, h http.Handler, path, content string) {
	t.Helper()
	body, err := json.Marshal(AddFileRequest{Path: path, Content: &content})
	if err != nil {
		t.Fatal(err)
	}
	want(t, ask(t, h, "POST", docs+"/files", string(body)), 201, "added")
}

func commit(t testing.TB, h http.Handler, message string) {
	t.Helper()
	want(t, ask(t, h, "POST", docs+"/commits", `{"message":"`+message+`","author":"A","email":"a@example.org"}`), 201, `"hash"`)
}

func TestLimits(t *testing.T) {
	h := withRepo(t, Options{})
	long := func(n int) string { return strings.Repeat("x", n) }
	want(t, ask(t, h, "GET", "/"+long(MaxURLPath-1), ""), 404, "ENDPOINT_NOT_FOUND")
	want(t, ask(t, h, "GET", "/"+long(MaxURLPath), ""), 413, "PATH_TOO_LONG")
	want(t, ask(t, h, "GET", docs+"/files?path="+long(MaxQuery-5), ""), 404, "FILE_NOT_FOUND")
	want(t, ask(t, h, "GET", docs+"/files?path="+long(MaxQuery-4), ""), 413, "QUERY_TOO_LONG")

	header := func(n int) *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", "/health", nil)
		r.Header.Set("X", long(n-1))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	want(t, header(MaxHeaders), 200, "healthy")
	want(t, header(MaxHeaders+1), 431, "HEADERS_TOO_LARGE")

	envelope := len(`{"path":"b","content":""}`)
	body := func(n int) string { return `{"path":"b","content":"` + long(n-envelope) + `"}` }
	want(t, ask(t, h, "POST", docs+"/files", body(MaxBody)), 201, "added")
	w := ask(t, h, "POST", docs+"/files", body(MaxBody+1))
	want(t, w, 413, `"details":{"actual_size":10485761,"max_size":10485760}`)
	if w.Header().Get("Connection") != "close" {
		t.Error("a refused body leaves the connection open")
	}
	chunked := httptest.NewRequest("POST", docs+"/files", io.MultiReader(strings.NewReader(body(MaxBody+1))))
	w = httptest.NewRecorder()
	h.ServeHTTP(w, chunked)
	want(t, w, 400, "http: request body too large")

	message := func(n int) string { return `{"message":"` + long(n) + `"}` }
	want(t, ask(t, h, "POST", docs+"/commits", message(MaxMessage+1)), 400, "INVALID_COMMIT_MESSAGE")
	want(t, ask(t, h, "POST", docs+"/commits", message(MaxMessage)), 201, "hash")
}

func TestStorageLimit(t *testing.T) {
	h := withRepo(t, Options{MaxBytes: fileCost + 11})
	want(t, ask(t, h, "POST", docs+"/files", `{"path":"a","content":"0123456789x"}`), 507, "STORAGE_FULL")
	add(t, h, "a", "0123456789")
	want(t, ask(t, h, "POST", docs+"/files", `{"path":"b","content":"x"}`), 507, "STORAGE_FULL")
	want(t, ask(t, h, "GET", "/health", ""), 503, `"storage":{"status":"warning"`)
	want(t, ask(t, h, "DELETE", docs, ""), 200, "deleted")
	want(t, ask(t, h, "POST", "/api/v2/repos", `{"id":"docs"}`), 201, "docs")
	add(t, h, "b", "x")
}

func TestKey(t *testing.T) {
	h := newService(t, Options{Key: "right"}).Handler()
	get := func(path, name, value string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", path, nil)
		if name != "" {
			r.Header.Set(name, value)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	const body = `{"error":"Authentication required","code":"UNAUTHORIZED"}`
	want(t, get("/api/v2/repos", "", ""), 401, body)
	want(t, get("/api/v2/repos", "X-API-Key", "wrong"), 401, `"code":"UNAUTHORIZED"`)
	want(t, get("/api/v2/repos", "X-API-Key", ""), 401, body)
	want(t, get("/api/v2/repos?api_key=right", "", ""), 401, body)
	want(t, get("/api/v2/nowhere", "", ""), 401, body)
	want(t, get("/api/v2/repos", "X-API-Key", "right"), 200, "repositories")
	want(t, get("/health", "", ""), 200, "healthy")
	want(t, get("/version", "", ""), 200, Implementation)
}

func TestSecurityHeaders(t *testing.T) {
	h := newService(t, Options{}).Handler()
	for _, target := range []string{"/health", "/nowhere", "/metrics", "/api/v2/repos"} {
		w := ask(t, h, "GET", target, "")
		for name, value := range map[string]string{
			"Content-Security-Policy": "default-src 'self'", "Referrer-Policy": "strict-origin-when-cross-origin",
			"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "X-Xss-Protection": "1; mode=block",
		} {
			if got := w.Header().Get(name); got != value {
				t.Errorf("%s: %s is %q, want %q", target, name, got, value)
			}
		}
	}
}

func TestFileAndFolderNeverShareAName(t *testing.T) {
	h := withRepo(t, Options{})
	refused := func(path string) {
		t.Helper()
		want(t, ask(t, h, "POST", docs+"/files", `{"path":"`+path+`","content":"x"}`), 400, "INVALID_FILE_PATH")
	}
	add(t, h, "a/b/c", "1")
	refused("a")
	refused("a/b")
	refused("a/b/c/d")
	commit(t, h, "one")
	refused("a")
	refused("a/b")
	refused("a/b/c/d")
	refused("a/b/c/d/e")
	add(t, h, "a/b/c", "2")
	// Once the folder is deleted, a file may take its place, in one commit.
	want(t, ask(t, h, "DELETE", docs+"/files?path=a/b", ""), 200, "removed")
	add(t, h, "a/b", "file")
	refused("a/b/c")
	commit(t, h, "two")
	want(t, ask(t, h, "GET", docs+"/files?path=a/b", ""), 200, `"content":"file"`)
	want(t, ask(t, h, "GET", docs+"/files?path=a/b/c", ""), 404, "FILE_NOT_FOUND")
	want(t, ask(t, h, "DELETE", docs+"/files?path=a/b", ""), 200, "removed")
	add(t, h, "a/b/c", "again")
	commit(t, h, "three")
	want(t, ask(t, h, "GET", docs+"/folder?path=a/b", ""), 200, `"content":"again"`)
}

func TestDelete(t *testing.T) {
	h := withRepo(t, Options{})
	for _, p := range []string{"d/x/1", "d/x/2", "d/xx", "d/y"} {
		add(t, h, p, p)
	}
	commit(t, h, "all")
	add(t, h, "d/x/3", "staged only")
	want(t, ask(t, h, "DELETE", docs+"/files?path=d/x", ""), 200, "removed")
	want(t, ask(t, h, "DELETE", docs+"/files?path=d/x", ""), 404, "FILE_NOT_FOUND")
	for _, p := range []string{"d/x/1", "d/x/2", "d/x/3"} {
		want(t, ask(t, h, "GET", docs+"/files?path="+p, ""), 404, "FILE_NOT_FOUND")
	}
	want(t, ask(t, h, "GET", docs+"/status", ""), 200, `["d/x/1 (deleted)","d/x/2 (deleted)"]`)
	want(t, ask(t, h, "GET", docs+"/folder?path=d/x", ""), 200, `"path":"d/x/1"`) // as committed
	want(t, ask(t, h, "GET", docs+"/tree?path=d", ""), 200, `"total":2`)
	commit(t, h, "gone")
	want(t, ask(t, h, "GET", docs+"/folder?path=d/x", ""), 404, "FILE_NOT_FOUND")
	want(t, ask(t, h, "GET", docs+"/tree?recursive=true", ""), 200, `"total":2`)
	want(t, ask(t, h, "GET", docs+"/commits?path=d/x", ""), 200, `"deleted":true`)
	add(t, h, "n", "never committed")
	want(t, ask(t, h, "DELETE", docs+"/files?path=n", ""), 200, "removed")
	want(t, ask(t, h, "POST", docs+"/commits", `{"message":"m"}`), 400, "nothing to commit")
}

// TestFolders: many folders are read as one commit has them; what has no room
// is named, what does not exist is not.
func TestFolders(t *testing.T) {
	s := newService(t, Options{})
	r, err := s.create(t.Context(), "docs")
	if err != nil {
		t.Fatal(err)
	}
	h := s.Handler()
	ask2 := func(paths ...string) (out foldersAnswer) {
		t.Helper()
		body, err := json.Marshal(FoldersRequest{Paths: paths})
		if err != nil {
			t.Fatal(err)
		}
		w := ask(t, h, "POST", docs+"/folders", string(body))
		want(t, w, 200, `"folders"`)
		if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	if got := ask2("a"); len(got.Folders) != 0 || len(got.Left) != 0 {
		t.Errorf("an empty repository has %+v", got)
	}
	add(t, h, "a/1", "one")
	add(t, h, "b/1", strings.Repeat("x", maxFolders+1))
	add(t, h, "c/1", "three")
	commit(t, h, "m")
	add(t, h, "a/2", "staged")
	got := ask2("a", "nowhere", "a/1", "b", "c")
	if len(got.Folders) != 2 || len(got.Folders[0].Files) != 1 || got.Folders[0].Files[0].Content != "one" || got.Folders[1].Path != "b" {
		t.Errorf("%d folders: %.200v", len(got.Folders), got.Folders)
	}
	if len(got.Left) != 1 || got.Left[0] != "c" {
		t.Errorf("left are %v", got.Left)
	}
	large := []byte(strings.Repeat("x", MaxBody-100))
	for i := range maxFolder/MaxBody + 2 { // a folder that is more than one answer
		p, err := document.ParsePath(fmt.Sprintf("huge/%d", i))
		if err == nil { // not as JSON, which takes seconds under the race detector
			err = r.write(t.Context(), shared, p, large, true, condition{})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	commit(t, h, "huge")
	want(t, ask(t, h, "GET", docs+"/folder?path=huge", ""), 413, codeFolderTooLarge)
	if got := ask2("huge", "c"); len(got.Folders) != 1 || len(got.Left) != 1 || got.Left[0] != "huge" {
		t.Errorf("%d folders, left are %v", len(got.Folders), got.Left)
	}
	most := make([]string, MaxFolders)
	for i := range most {
		most[i] = "a"
	}
	if got := ask2(most...); len(got.Folders) != MaxFolders {
		t.Errorf("%d folders, want %d", len(got.Folders), MaxFolders)
	}
	body, err := json.Marshal(FoldersRequest{Paths: append(most, "a")})
	if err != nil {
		t.Fatal(err)
	}
	want(t, ask(t, h, "POST", docs+"/folders", string(body)), 400, "INVALID_REQUEST")
	want(t, ask(t, h, "POST", docs+"/folders", `{"paths":["../x"]}`), 400, "INVALID_FILE_PATH")
	want(t, ask(t, h, "POST", docs+"/folders", `{}`), 400, "required")
}

func TestFolderShowsOnlyCommits(t *testing.T) {
	h := withRepo(t, Options{})
	add(t, h, "f/a", "1")
	want(t, ask(t, h, "GET", docs+"/folder?path=f", ""), 404, "FILE_NOT_FOUND")
	commit(t, h, "one")
	add(t, h, "f/a", "2")
	want(t, ask(t, h, "PUT", docs+"/files", `{"path":"f/b","content":"written"}`), 201, "written")
	want(t, ask(t, h, "GET", docs+"/folder?path=f", ""), 200, `"content":"1"`)
	want(t, ask(t, h, "GET", docs+"/files?path=f/a", ""), 200, `"content":"2"`)
	want(t, ask(t, h, "GET", docs+"/tree?recursive=true&view=committed", ""), 200, `"total":1`)
	want(t, ask(t, h, "GET", docs+"/tree?recursive=true", ""), 200, `"total":2`)
}

// TestFailedCommitKeepsWhatWasStaged: a commit that fails leaves its files
// staged, for the next one.
func TestFailedCommitKeepsWhatWasStaged(t *testing.T) {
	s := newService(t, Options{})
	made, err := s.create(t.Context(), "docs")
	if err != nil {
		t.Fatal(err)
	}
	add(t, s.Handler(), "a/b", "kept")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := made.commit(ctx, shared, CommitRequest{Message: "m"}, conduct{}); !errors.Is(err, context.Canceled) {
		t.Fatalf("commit with a cancelled context: %v", err)
	}
	made.mu.Lock()
	staged := made.areas[shared]
	staged.taken, staged.index = staged.index, map[string]change{}
	made.mu.Unlock()
	add(t, s.Handler(), "a/c", "staged meanwhile")
	made.settle(shared, turn{}, errors.New("disk on fire"))
	want(t, ask(t, s.Handler(), "GET", docs+"/status", ""), 200, `"staged":["a/b","a/c"]`)
	want(t, ask(t, s.Handler(), "POST", docs+"/files", `{"path":"a","content":"x"}`), 400, "is a folder")
	commit(t, s.Handler(), "both")
	want(t, ask(t, s.Handler(), "GET", docs+"/folder?path=a", ""), 200, "staged meanwhile")
}

func TestPanicIsAnswered(t *testing.T) {
	s := newService(t, Options{})
	w := &recorder{ResponseWriter: httptest.NewRecorder(), status: 200}
	func() {
		defer func() { s.recover(w, httptest.NewRequest("GET", "/", nil), recover()) }()
		panic("boom")
	}()
	if w.status != 500 {
		t.Errorf("a panic is answered with %d", w.status)
	}
}

func TestMetrics(t *testing.T) {
	h := withRepo(t, Options{})
	for i := range 50 {
		ask(t, h, "GET", fmt.Sprintf("/random/%d", i), "")
		ask(t, h, fmt.Sprintf("M%d", i), "/health", "")
	}
	body := ask(t, h, "GET", "/metrics", "").Body.String()
	for _, line := range []string{
		`govc_http_requests_total{method="GET",path="unmatched",status="404"} 50`,
		`govc_http_requests_total{method="OTHER",path="unmatched",status="404"} 50`,
		`govc_http_requests_total{method="POST",path="/api/v2/repos",status="201"} 1`,
		"govc_repositories_total 1", "govc_transactions_active 0", "govc_http_requests_in_flight 1",
		"govc_http_request_duration_seconds{", "govc_uptime_seconds ", "go_memstats_alloc_bytes ", "go_memstats_total_alloc_bytes ",
		"go_memstats_sys_bytes ", "go_goroutines ", "go_memstats_gc_total ", "govc_last_metrics_update_timestamp_seconds ",
	} {
		if !strings.Contains(body, line) {
			t.Errorf("/metrics has no %q", line)
		}
	}
	if n := strings.Count(body, "govc_http_requests_total{"); n != 3 {
		t.Errorf("%d series of requests, want 3", n)
	}
}

func TestOverload(t *testing.T) {
	s := newService(t, Options{})
	for range MaxInFlight {
		s.inFlight <- struct{}{}
	}
	w := ask(t, s.Handler(), "GET", "/api/v2/repos", "")
	want(t, w, 503, "OVERLOADED")
	if w.Header().Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	want(t, ask(t, s.Handler(), "GET", "/health/live", ""), 200, "alive")
	<-s.inFlight
	want(t, ask(t, s.Handler(), "GET", "/api/v2/repos", ""), 200, "repositories")
}
