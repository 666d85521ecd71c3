package httpapi_test

import (
	"errors"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caiatech/caiatop/probe/httpapi"
	"github.com/caiatech/caiatop/probe/httpapi/httpapitest"
)

func TestDrillsTravel(t *testing.T) {
	e := &httpapitest.Engine{}
	client := start(t, t.TempDir(), e)
	want := httpapi.Drill{Kind: "slow", Seconds: 90, DelayMS: 200, JitterMS: 50, Rate: 0.25, Path: "/api", BytesPerSecond: 4096}
	began, err := client.StartDrill(t.Context(), want)
	if err != nil || !began.Running || began.Drill != want || began.Kinds == nil {
		t.Errorf("%+v, %v", began, err)
	}
	if _, err := client.StartDrill(t.Context(), httpapi.Drill{Kind: "down"}); !errors.Is(err, httpapi.ErrConflict) {
		t.Errorf("a second one: %v", err)
	}
	if now, err := client.Drill(t.Context()); err != nil || !reflect.DeepEqual(now, began) {
		t.Errorf("%+v, %v", now, err)
	}
	if ended, err := client.StopDrill(t.Context()); err != nil || ended.Running || ended.Kind != "slow" {
		t.Errorf("%+v, %v", ended, err)
	}
	if calls := e.Calls(); !slices.Equal(calls, []string{"start drill slow 90s", "start drill down 0s", "drill", "stop drill"}) {
		t.Errorf("%q", calls)
	}
}

// TestDrillsOverHTTP have the rules of their neighbours: a token, a body of
// JSON, and nothing is begun by a request that is not understood.
func TestDrillsOverHTTP(t *testing.T) {
	e := &httpapitest.Engine{}
	address := serveTCP(t, httpapi.NewServer(e, nil), httpapi.TCPOptions{})
	const route = "/api/v1/storage/drill"
	for _, body := range []string{"", "{}", "[]", `{"kind":1}`, `{"kind":"down"`} {
		if r := ask(t, address, http.MethodPost, route, body, http.Header{"Content-Type": {"application/json"}}); r.status != http.StatusBadRequest {
			t.Errorf("%q: %+v", body, r)
		}
	}
	if r := ask(t, address, http.MethodPut, route, "", nil); r.status != http.StatusMethodNotAllowed {
		t.Errorf("PUT: %+v", r)
	}
	if len(e.Calls()) != 0 {
		t.Errorf("%q", e.Calls())
	}
	if r := ask(t, address, http.MethodPost, route, `{"kind":"down","seconds":5}`, http.Header{"Content-Type": {"application/json"}}); r.status != http.StatusOK || !strings.Contains(r.body, `"running":true`) {
		t.Errorf("%+v", r)
	}
	if r := ask(t, address, http.MethodGet, route, "", nil); r.status != http.StatusOK || !strings.Contains(r.body, `"kinds":[]`) {
		t.Errorf("%+v", r)
	}
}

// TestADrillIsLabelled: monitoring can tell what is rehearsed.
func TestADrillIsLabelled(t *testing.T) {
	e := &httpapitest.Engine{}
	address := serveTCP(t, httpapi.NewServer(e, nil), httpapi.TCPOptions{})
	if r := ask(t, address, http.MethodGet, "/metrics", "", nil); strings.Contains(r.body, "caiatop_drill") {
		t.Error("a drill is told where there is none")
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	e.SetStatus(httpapi.Status{State: "FALLBACK", Drill: &httpapi.DrillStatus{Running: true, Drill: httpapi.Drill{Kind: "lost-replies"}, Ends: &at}})
	if r := ask(t, address, http.MethodGet, "/metrics", "", nil); !strings.Contains(r.body, `caiatop_drill{kind="lost-replies"} 1`) {
		t.Errorf("%s", r.body)
	}
}
