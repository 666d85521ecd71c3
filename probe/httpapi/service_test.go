package httpapi_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/caiatech/caiatop/probe/httpapi"
	"github.com/caiatech/caiatop/probe/httpapi/httpapitest"
)

// TestServiceFacts travel whole, and what is not known is absent instead of
// zero.
func TestServiceFacts(t *testing.T) {
	e := &httpapitest.Engine{}
	address := serveTCP(t, httpapi.NewServer(e, nil), httpapi.TCPOptions{})
	const route = "/api/v1/storage/service"
	var keys map[string]any
	r := ask(t, address, http.MethodGet, route, "", nil)
	if err := json.Unmarshal([]byte(r.body), &keys); err != nil || r.status != http.StatusOK {
		t.Fatalf("%+v: %v", r, err)
	}
	if got := slices.Sorted(maps.Keys(keys)); !slices.Equal(got, []string{"capabilities", "embedded", "known", "repository"}) {
		t.Errorf("of an unknown service these are told: %v", got)
	}
	if list, ok := keys["capabilities"].([]any); !ok || len(list) != 0 {
		t.Errorf("capabilities are %v, want []", keys["capabilities"])
	}

	at, durable := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), true
	want := httpapi.ServiceFacts{
		Known: true, URL: "https://s", Dialect: "v2", Reason: "because", Version: "1", Implementation: "i", Durable: &durable,
		Capabilities: []httpapi.Capability{{Name: "batch", Has: true, Means: "many"}, {Name: "delete", Means: "hidden"}}, WindowMS: 1.5,
		Repository: "docs", Lineage: "l", Epoch: 3, Tip: "abc", TipAt: &at,
		Access:  &httpapi.ServiceAccess{Method: "token", Confirmed: true, Subject: "ada", Rights: map[string]string{"*": "read"}, Expires: &at, CSRF: true},
		TLS:     &httpapi.ServiceTLS{Version: "TLS 1.3", Peer: "p", Insecure: true, Proxy: "x:1"},
		Latency: &httpapi.ServiceLatency{DNSMS: 1, ConnectMS: 2, TLSMS: 3, FirstByteMS: 4, Reused: true},
	}
	e.SetService(want)
	got, err := start(t, t.TempDir(), e).Service(t.Context())
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v\nwant %+v", got, err, want)
	}
	e.Fail(httpapi.ErrUnavailable)
	if r := ask(t, address, http.MethodGet, route, "", nil); r.status != http.StatusServiceUnavailable {
		t.Errorf("without the engine: %+v", r)
	}
}
