package httpapi_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/caiatech/caiatop/probe/httpapi"
	"github.com/caiatech/caiatop/probe/httpapi/httpapitest"
)

// value returns one sample of a page of metrics, by its name with labels.
func value(t *testing.T, page, sample string) float64 {
	t.Helper()
	for line := range strings.Lines(page) {
		if rest, ok := strings.CutPrefix(line, sample+" "); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			return n
		}
	}
	t.Errorf("no %s in:\n%s", sample, page)
	return 0
}

// inTrouble has something to say everywhere.
func inTrouble() (httpapi.Status, httpapi.Stats, httpapi.Metrics) {
	oldest, lag := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), int64(9)
	status := httpapi.Status{
		State: "FALLBACK", Since: oldest, Reason: "5 probes failed", Next: "wait", Unready: "disk full",
		Service: httpapi.Service{URL: "http://s", ProbeMS: 1.5}, Outbox: httpapi.Outbox{Pending: 7, Oldest: &oldest, Bytes: 70},
		Stores: []httpapi.Store{{Name: "govc", Lag: 7, Error: "refused"}, {Name: "git", InStep: true}, {Name: "text", Unknown: true, Lag: 99}},
		Bytes:  1000, Parked: 2,
		Backup: httpapi.Backup{Target: "/x", State: "failing", LastSuccess: &oldest, Lag: &lag, Oldest: &oldest},
	}
	stats := httpapi.Stats{
		Govc:   httpapi.GovcStats{Integrated: true, ServiceURL: "http://s", FallbackMode: true, DocumentsInMemory: 42},
		Engine: httpapi.EngineStats{Reads: 11, Writes: 12, Switches: 3},
	}
	metrics := httpapi.Metrics{Operations: []httpapi.Latency{
		{Op: "read", Store: "git", Total: 4},
		{Op: "write", Store: "govc", Count: 2, P50MS: 5, P95MS: 10, P99MS: 20, MaxMS: 30, Total: 9, TotalErrors: 2, TotalMS: 1500},
	}}
	return status, stats, metrics
}

func TestWhatMonitoringReads(t *testing.T) {
	e := &httpapitest.Engine{}
	status, stats, metrics := inTrouble()
	e.SetStatus(status)
	e.SetFacts(stats, metrics)
	address := serveTCP(t, httpapi.NewServer(e, nil), httpapi.TCPOptions{})
	ask(t, address, "GET", "/nowhere", "", nil)
	r := ask(t, address, "GET", "/metrics", "", nil)
	if r.status != http.StatusOK || !strings.HasPrefix(r.header.Get("Content-Type"), "text/plain") {
		t.Fatalf("%d %v", r.status, r.header)
	}
	for sample, want := range map[string]float64{
		"caiatop_healthy": 0, "caiatop_ready": 0, `caiatop_state{state="FALLBACK"}`: 1, `caiatop_state{state="PRIMARY"}`: 0, `caiatop_state{state="other"}`: 0,
		"caiatop_state_start_time_seconds": 1767323045, "caiatop_documents_bytes": 1000, "caiatop_memory_documents": 42,
		"caiatop_outbox_pending_operations": 7, "caiatop_outbox_bytes": 70, "caiatop_outbox_oldest_time_seconds": 1767323045, "caiatop_parked_operations": 2,
		`caiatop_store_lag_operations{store="govc"}`: 7, `caiatop_store_failing{store="govc"}`: 1, `caiatop_store_in_step{store="git"}`: 1,
		"caiatop_service_up": 0, "caiatop_service_probe_duration_seconds": 0.0015, "caiatop_reads_total": 11, "caiatop_writes_total": 12, "caiatop_fallbacks_total": 3,
		`caiatop_operations_total{op="write",result="ok",store="govc"}`: 9, `caiatop_operations_total{op="write",result="error",store="govc"}`: 2,
		`caiatop_operation_duration_seconds{op="write",store="govc",quantile="0.99"}`: 0.02,
		`caiatop_operation_duration_seconds_sum{op="write",store="govc"}`:             1.5, `caiatop_operation_duration_seconds_count{op="write",store="govc"}`: 9,
		`caiatop_http_requests_total{code="404"}`: 1,
		"caiatop_backup_failing":                  1, "caiatop_backup_lag_commits": 9, "caiatop_backup_last_success_timestamp_seconds": 1767323045, "caiatop_backup_oldest_timestamp_seconds": 1767323045,
	} {
		if got := value(t, r.body, sample); got != want {
			t.Errorf("%s is %v, want %v", sample, got, want)
		}
	}
	for _, unknown := range []string{`lag_operations{store="text"}`, `op="read",store="git",quantile="0.5"} 0`} {
		if strings.Contains(r.body, unknown) {
			t.Errorf("a value that nobody knows is told: %s", unknown)
		}
	}
	for _, part := range []string{"go_goroutines ", "process_resident_memory_bytes "} {
		if !strings.Contains(r.body, part) {
			t.Errorf("no %s", part)
		}
	}
	problems, err := promlint.New(strings.NewReader(r.body)).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	e.SetStatus(httpapi.Status{State: "ELSEWHERE"})
	if got := value(t, ask(t, address, "GET", "/metrics", "", nil).body, `caiatop_state{state="other"}`); got != 1 {
		t.Errorf("a state that is not listed: %v", got)
	}
	e.Fail(httpapi.ErrUnavailable)
	if r := ask(t, address, "GET", "/metrics", "", nil); r.status != http.StatusServiceUnavailable {
		t.Errorf("without the engine: %+v", r)
	}
}

func TestHealth(t *testing.T) {
	e := &httpapitest.Engine{}
	address := serveTCP(t, httpapi.NewServer(e, nil), httpapi.TCPOptions{})
	asJSON := http.Header{"Accept": {"application/json"}}
	check := func(path string, header http.Header, status int, parts ...string) {
		t.Helper()
		r := ask(t, address, "GET", path, "", header)
		for _, part := range parts {
			if r.status != status || !strings.Contains(r.body, part) {
				t.Errorf("%s %v: %+v, want %d with %q", path, header, r, status, part)
			}
		}
	}
	const health, ready, live = "/api/v1/storage/health", "/readyz", "/livez"
	check(health, nil, 200, `"status":"healthy"`, `"reasons":[]`)
	check(ready, nil, 200, "ok\n")
	check(ready, asJSON, 200, `{"status":"ok"}`)
	check(live, nil, 200, "ok\n")
	check(live, asJSON, 200, `{"status":"ok"}`)

	status, _, _ := inTrouble()
	e.SetStatus(status)
	check(health, nil, 503, `"status":"unhealthy"`, "FALLBACK: 5 probes failed", "govc: refused", "set aside: 2", "disk full", `"code":"unavailable"`, `"fix":"wait"`)
	check(ready, nil, 503, "disk full\n")
	check(ready, asJSON, 503, `"code":"unavailable"`, "disk full")
	check(live, nil, 200, "ok\n")

	// A service that is away is no reason to send writes elsewhere.
	status.Ready, status.Unready = true, ""
	e.SetStatus(status)
	check(health, nil, 503, "FALLBACK")
	check(ready, nil, 200, "ok\n")

	e.SetStatus(httpapi.Status{State: "PRIMARY", Ready: true})
	check(health, nil, 503, `"reasons":["PRIMARY: `)
	e.Fail(httpapi.ErrUnavailable)
	check(health, nil, 503, `"code":"unavailable"`)
	check(ready, nil, 503, "unavailable")
	check(live, nil, 200, "ok\n")
}

func TestProbesAreAnsweredHoweverBusy(t *testing.T) {
	b := newBlocked()
	address := serveTCP(t, httpapi.NewServer(b, nil), httpapi.TCPOptions{})
	const most = 64
	for range most {
		connect(t, address, "POST /api/v1/storage/sync HTTP/1.1\r\nHost: localhost\r\n\r\n")
	}
	for range most {
		<-b.entered
	}
	for path, status := range map[string]int{"/livez": 200, "/readyz": 200, "/api/v1/documents": 503} {
		if r := ask(t, address, "GET", path, "", nil); r.status != status {
			t.Errorf("%s: %+v, want %d", path, r, status)
		}
	}
	close(b.release)
}

// TestPublishedStats: others read these fields by these names.
func TestPublishedStats(t *testing.T) {
	e := &httpapitest.Engine{}
	_, stats, metrics := inTrouble()
	e.SetFacts(stats, metrics)
	address := serveTCP(t, httpapi.NewServer(e, nil), httpapi.TCPOptions{})
	var got map[string]map[string]any
	if err := json.Unmarshal([]byte(ask(t, address, "GET", "/api/v1/storage/stats", "", nil).body), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"govc_integrated": true, "service_url": "http://s", "fallback_mode": true, "documents_in_memory": 42.0}
	if !maps.Equal(got["govc"], want) {
		t.Errorf("govc is %v, want %v", got["govc"], want)
	}
	if keys := slices.Sorted(maps.Keys(got)); !slices.Equal(keys, []string{"engine", "git", "govc"}) {
		t.Errorf("the parts are %v", keys)
	}
}
