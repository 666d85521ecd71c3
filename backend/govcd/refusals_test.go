package govcd

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/audit"
	"github.com/caiatech/caiatop/backend/durable"
	"github.com/caiatech/caiatop/backend/govcd/access"
	"github.com/caiatech/caiatop/config"
)

// watch is a clock that only a test moves.
type watch struct{ at time.Time }

func (w *watch) now() time.Time { return w.at }

// recorded is a service with rights whose audit can be read.
func recorded(t *testing.T, clock *watch) (s *Service, read func() []audit.Entry) {
	t.Helper()
	dir := t.TempDir()
	log, err := audit.Open(dir, audit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
	s = newService(t, Options{Access: unlimited(t, access.Options{AdminKey: config.NewSecret("right"), Now: clock.now}), Audit: log, Now: clock.now})
	return s, func() (entries []audit.Entry) {
		t.Helper()
		_, err := audit.Scan(durable.Volume{}, dir, "", func(e audit.Entry) error {
			entries = append(entries, e)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return entries
	}
}

// TestStrangersCannotPushOutTheAudit: of refusals some are recorded, all are
// counted, and none is lost by their number.
func TestStrangersCannotPushOutTheAudit(t *testing.T) {
	clock := &watch{time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}
	s, read := recorded(t, clock)
	h := s.Handler()
	ask := func(from, path, key string) int {
		r := httptest.NewRequest("GET", path, nil)
		r.RemoteAddr = from + ":1"
		if key != "" {
			r.Header.Set("X-Api-Key", key)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code
	}
	const all = 5000
	for i := range all {
		from := fmt.Sprintf("192.0.%d.%d", i/250%8, i%250)
		if got := ask(from, fmt.Sprintf("/api/v2/repos/r%d/status", i), ""); got != 401 {
			t.Fatal(got)
		}
	}
	if got := len(read()); got != refusalBurst {
		t.Errorf("%d of %d refusals are recorded each by itself", got, all)
	}
	clock.at = clock.at.Add(refusalWindow)
	if got := ask("192.0.2.1", "/health", ""); got != 200 {
		t.Error(got)
	}
	sum, sums := 0, 0
	for _, e := range read() {
		sum += max(e.Count, 1)
		if e.Count > 0 {
			sums++
			if e.What != "refusals" || e.Who != "" {
				t.Errorf("%+v", e)
			}
		}
	}
	if sum != all || sums != maxSums+1 {
		t.Errorf("%d refusals in the audit, %d as sums; there were %d", sum, sums, all)
	}
	// The next ones find room again: the same stranger once, the rest as a sum, at
	// the end at the latest.
	before := len(read())
	for range 10 {
		ask("192.0.2.9", "/api/v2/repos", "")
	}
	if got := len(read()) - before; got != 1 {
		t.Errorf("%d of ten like ones are recorded each by itself", got)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	entries := read()
	if e := entries[len(entries)-1]; e.Count != 9 || e.From != "192.0.2.9" || e.Result != "UNAUTHORIZED" || len(entries) != before+2 {
		t.Errorf("%+v", e)
	}
}

// TestRefusalsToldApart: what somebody known tried, and where, is told once each;
// so is what was refused only by a handler.
func TestRefusalsToldApart(t *testing.T) {
	h, c, log, bearer := managed(t)
	reader := bearer("docs:read")
	for range 3 {
		for _, repo := range []string{"docs", "other"} {
			want(t, send(t, h, "POST", "/api/v2/repos/"+repo+"/commits", `{"message":"m"}`, "Authorization", reader), 403, "FORBIDDEN")
			want(t, send(t, h, "POST", "/api/v2/repos", `{"id":"`+repo+`"}`, "Authorization", reader), 403, "FORBIDDEN")
		}
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	var lines []string
	_, err := audit.Scan(durable.Volume{}, filepath.Join(c.Register().Dir, access.AuditDir), "", func(e audit.Entry) error {
		lines = append(lines, fmt.Sprint(e.Who, " ", e.What, " ", e.Repo, " ", e.Result))
		return nil
	})
	const told = "ann commit docs FORBIDDEN|ann repo.create docs FORBIDDEN|ann commit other FORBIDDEN|ann repo.create other FORBIDDEN"
	if got := strings.Join(lines, "|"); err != nil || got != told {
		t.Errorf("%s, %v", got, err)
	}
}

// TestABrokenAccessFileShowsInHealth: it keeps what was read before in force, and
// whoever runs the service gets to know it.
func TestABrokenAccessFileShowsInHealth(t *testing.T) {
	clock := &watch{time.Now()}
	dir := t.TempDir()
	c := unlimited(t, access.Options{Dir: dir, AdminKey: config.NewSecret("right"), Now: clock.now})
	if _, _, err := c.Register().CreateKey(context.Background(), access.KeyRequest{Name: "ci"}); err != nil {
		t.Fatal(err)
	}
	h := newService(t, Options{Access: c, Now: clock.now}).Handler()
	see := func(path, part string) {
		t.Helper()
		clock.at = clock.at.Add(10 * time.Second)
		want(t, ask(t, h, "GET", path, ""), 200, part)
	}
	see("/health", `"status":"healthy"`)
	path := filepath.Join(dir, access.FileName)
	good, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, []byte(`{"version":1,"keys":[`), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	see("/health", `"access":{"status":"warning","message":"The access file cannot be used`)
	see("/health", `"status":"degraded"`)
	see("/health/ready", `"status":"ready"`)
	if text := ask(t, h, "GET", "/health", "").Body.String(); strings.Contains(text, dir) {
		t.Errorf("everybody is told of %s", text)
	}
	want(t, send(t, h, "GET", "/api/v2/repos", "", "X-Api-Key", "right"), 200, "count")
	want(t, send(t, h, "GET", "/metrics", "", "X-Api-Key", "right"), 200, "govc_degraded 1")
	if err := os.WriteFile(path, good, 0o600); err != nil {
		t.Fatal(err)
	}
	see("/health", `"status":"healthy"`)
}

// TestAnAuditThatFailsShowsInHealth, and its recovery is found without a change.
func TestAnAuditThatFailsShowsInHealth(t *testing.T) {
	clock := &watch{time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}
	s, _ := recorded(t, clock)
	h := s.Handler()
	create := func(id string, status int) {
		t.Helper()
		want(t, send(t, h, "POST", "/api/v2/repos", `{"id":"`+id+`"}`, "X-Api-Key", "right"), status, "")
	}
	create("a", 201)
	want(t, ask(t, h, "GET", "/health", ""), 200, `"audit":{"status":"healthy"`)
	if err := s.audit.Close(); err != nil {
		t.Fatal(err)
	}
	create("b", 503)
	want(t, ask(t, h, "GET", "/health", ""), 503, `"audit":{"status":"warning"`)
	want(t, ask(t, h, "GET", "/health/ready", ""), 503, "not_ready")
	want(t, ask(t, h, "GET", "/health/live", ""), 200, "alive")
	mended, err := audit.Open(t.TempDir(), audit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := mended.Close(); err != nil {
			t.Error(err)
		}
	})
	s.audit = mended
	want(t, ask(t, h, "GET", "/health", ""), 200, `"status":"healthy"`)
	create("b", 201)
}

// TestAStreamIsToldToGo: one that came too late to be hung up is refused, and
// begins again with the service.
func TestAStreamIsToldToGo(t *testing.T) {
	s := newService(t, Options{})
	base, err := s.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := s.Handler()
	want(t, ask(t, h, "POST", "/api/v2/repos", `{"id":"docs"}`), 201, "docs")
	s.leaving.Store(true)
	w := ask(t, h, "GET", docs+"/events", "")
	want(t, w, 503, "SERVICE_STOPPED")
	if w.Header().Get("Retry-After") == "" || len(s.streams) > 0 {
		t.Errorf("%v, %d streams", w.Header(), len(s.streams))
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Start("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	want(t, ask(t, h, "POST", "/api/v2/repos", `{"id":"docs"}`), 201, "docs")
	open(t, base)
}

// TestWhatIsUnderWayIsFinished: Stop waits for it, takes no new connection, and
// ends the one that is left.
func TestWhatIsUnderWayIsFinished(t *testing.T) {
	s := newService(t, Options{Grace: 30 * time.Second})
	reading, proceed := make(chan struct{}), make(chan struct{})
	inner := s.handler
	s.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(reading)
		<-proceed
		inner.ServeHTTP(w, r)
	})
	base, err := s.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(client.CloseIdleConnections)
	status, stopped := make(chan int, 1), make(chan error, 1)
	go func() {
		answer, err := client.Post(base+"/api/v2/repos", "application/json", strings.NewReader(`{"id":"docs"}`))
		if err != nil {
			t.Error(err)
			status <- 0
			return
		}
		_ = answer.Body.Close() // its status is what counts
		status <- answer.StatusCode
	}()
	<-reading
	go func() { stopped <- s.Stop(context.Background()) }()
	for {
		other, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get(base + "/health")
		if err != nil {
			break // nobody listens any more
		}
		t.Error(other.Status, other.Body.Close())
	}
	select {
	case err := <-stopped:
		t.Fatalf("Stop did not wait: %v", err)
	default:
	}
	close(proceed)
	if got := <-status; got != 201 {
		t.Errorf("what was under way is answered %d", got)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}
