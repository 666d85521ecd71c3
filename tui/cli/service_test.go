package cli

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/backend/govc"
)

// TestServiceFactsInventNothing: what is not known has no field, and what is
// known has one.
func TestServiceFactsInventNothing(t *testing.T) {
	told := func(f engine.Facts) string {
		t.Helper()
		text, err := json.Marshal(serviceFacts(f, &engine.Stats{Repository: "docs"}))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if got, want := told(engine.Facts{}), `{"known":false,"embedded":false,"capabilities":[],"repository":"docs"}`; got != want {
		t.Errorf("of nothing: %s\nwant %s", got, want)
	}
	at := time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)
	f := engine.FactsOf(govc.Info{Dialect: "v2", Reason: "because", Version: "1", Implementation: "caiatop-govcd", Capabilities: []string{"batch"}})
	f.Lineage, f.Epoch, f.Tip, f.TipAt, f.Window = "l", 2, "abc", at, 1500*time.Microsecond
	f.Access = govc.Access{
		Method: govc.MethodToken, Confirmed: true, Subject: "ada", Rights: map[string]string{"*": "read"}, Expires: at, Renews: true, CSRF: true,
		TLSVersion: "TLS 1.3", Peer: "p", Insecure: true, Proxy: "x:1",
	}
	f.Latency = govc.Latency{DNS: time.Millisecond, Connect: 2 * time.Millisecond, TLS: 3 * time.Millisecond, FirstByte: 4 * time.Millisecond, Reused: true, Opened: at}
	got := told(f)
	for _, want := range []string{
		`"known":true`, `"reason":"because"`, `"durable":false`, `{"name":"batch","has":true,`, `{"name":"if-match","has":false,`, `"window_ms":1.5`,
		`"lineage":"l","epoch":2,"tip":"abc","tip_at":"2026-03-14T12:00:00Z"`,
		`"access":{"method":"token","confirmed":true,"subject":"ada","rights":{"*":"read"},"expires":"2026-03-14T12:00:00Z","renews":true,"csrf":true}`,
		`"tls":{"version":"TLS 1.3","peer":"p","insecure":true,"proxy":"x:1"}`,
		`"latency":{"dns_ms":1,"connect_ms":2,"tls_ms":3,"first_byte_ms":4,"reused":true}`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is not in\n%s", want, got)
		}
	}
}
