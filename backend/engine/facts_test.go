package engine

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/govc"
	"github.com/caiatech/caiatop/backend/govc/wiretest"
	"github.com/caiatech/caiatop/backend/govcd"
	"github.com/caiatech/caiatop/probe"
)

// announced is what a service of ours says in /version.
func announced(t *testing.T) []string {
	t.Helper()
	server := httptest.NewServer(govcd.New(govcd.Options{}).Handler())
	defer server.Close()
	response, err := http.Get(server.URL + "/version")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if closeErr := response.Body.Close(); err != nil || closeErr != nil {
		t.Fatal(err, closeErr)
	}
	var told struct{ Capabilities []string }
	if err := json.Unmarshal(body, &told); err != nil || len(told.Capabilities) == 0 {
		t.Fatalf("%v: %s", err, body)
	}
	return slices.Sorted(slices.Values(told.Capabilities))
}

// TestEveryCapabilityOfOursIsExplained, what it brings and what its lack means.
func TestEveryCapabilityOfOursIsExplained(t *testing.T) {
	t.Parallel()
	all := announced(t)
	with := CapabilitiesOf(govc.Info{Dialect: govc.DialectV2, Implementation: govcd.Implementation, Capabilities: all})
	without := CapabilitiesOf(govc.Info{Dialect: govc.DialectV2})
	if len(with) != len(all) || len(without) != len(all) {
		t.Fatalf("%d are announced, %d and %d explained: %v", len(all), len(with), len(without), all)
	}
	for i, c := range with {
		if !c.Has || without[i].Has || c.Name != without[i].Name || c.Means == "" || without[i].Means == "" || c.Means == without[i].Means {
			t.Errorf("%+v, %+v", c, without[i])
		}
	}
	means := func(info govc.Info, name string) (bool, string) {
		for _, c := range CapabilitiesOf(info) {
			if c.Name == name {
				return c.Has, c.Means
			}
		}
		return false, ""
	}
	for _, tt := range []struct {
		info govc.Info
		name string
		has  bool
		part string
	}{
		{govc.Info{Dialect: govc.DialectV2}, "delete", false, "hidden, not erased"},
		{govc.Info{Dialect: govc.DialectV2}, "batch", false, "one file a request"},
		{govc.Info{Dialect: govc.DialectV2}, "events", false, "best effort"},
		{govc.Info{Dialect: govc.DialectV2}, "if-match", false, "window"},
		{govc.Info{Dialect: govc.DialectV1}, "delete", true, "API v1"},
		{govc.Info{Dialect: govc.DialectV1}, "tree.recursive", true, "API v1"},
		{govc.Info{Dialect: govc.DialectV2, Capabilities: []string{"of.tomorrow"}}, "of.tomorrow", true, "no use"},
	} {
		if has, text := means(tt.info, tt.name); has != tt.has || !strings.Contains(text, tt.part) {
			t.Errorf("%s in %+v: %t %q", tt.name, tt.info, has, text)
		}
	}
}

func TestFactsOfAPlainServiceAreNotInvented(t *testing.T) {
	t.Parallel()
	f := FactsOf(govc.Info{Dialect: govc.DialectV2, Reason: "because", Version: "1"})
	if f.Durable != nil || f.Implementation != "" || !f.Described || f.Lineage != "" || f.Window != 0 {
		t.Errorf("%+v", f)
	}
	f = FactsOf(govc.Info{Implementation: govcd.Implementation, Durable: true})
	if f.Durable == nil || !*f.Durable {
		t.Error("what a service of ours declares is lost")
	}
}

// talker is a client that says how it reaches its service.
type talker struct {
	Primary
	access  govc.Access
	latency govc.Latency
}

func (c *talker) Access() govc.Access   { return c.access }
func (c *talker) Latency() govc.Latency { return c.latency }

// TestShownLatencyDoesNotJump: it is a median, and no probe without a change of
// what is shown causes a snapshot.
func TestShownLatencyDoesNotJump(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)
	client := &talker{
		access:  govc.Access{Method: govc.MethodToken, Rights: map[string]string{"*": "read"}, Expires: at},
		latency: govc.Latency{Opened: at, Connect: time.Millisecond},
	}
	e := &Engine{o: Options{Primary: client}, view: view{health: probe.Health{Up: true}}}
	probed := func(first time.Duration) bool {
		client.latency.At, client.latency.FirstByte = client.latency.At.Add(time.Second), first
		return e.lookAround(true)
	}
	const ms = time.Millisecond
	if !probed(ms) {
		t.Error("the first probe is not shown")
	}
	for i := range 100 {
		if probed(ms + time.Duration(i%2)*10*time.Microsecond) {
			t.Fatal("a probe that changes nothing shown is shown")
		}
	}
	for range 14 {
		if probed(900 * ms) {
			t.Fatal("less than half of the probes were slow")
		}
	}
	for range waitsOf {
		probed(900 * ms)
	}
	if f := e.view.facts; f.Latency.FirstByte != 900*ms || f.Latency.Connect != ms || len(e.view.waits) != waitsOf {
		t.Errorf("%+v of %d", f.Latency, len(e.view.waits))
	}
	client.access.Expires = at.In(time.FixedZone("", 3600)) // the same instant
	if e.lookAround(true) {
		t.Error("the same end of a credential is shown as news")
	}
	client.access.Rights = map[string]string{"*": "write"}
	if !e.lookAround(false) {
		t.Error("another right is not shown")
	}
}

func TestTheNewestTipIsKnown(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)
	e := &Engine{o: Options{Now: func() time.Time { return now }}}
	e.noteTip("abc")
	now = now.Add(time.Second)
	e.noteTip("") // a batch that made no commit
	e.noteTip("abc")
	if f := e.view.facts; f.Tip != "abc" || !f.TipAt.Equal(now.Add(-time.Second)) {
		t.Errorf("%q at %s", f.Tip, f.TipAt)
	}
	e.view.describe(govc.Info{Version: "2"})
	if f := e.view.facts; f.Tip != "abc" || f.Version != "2" {
		t.Errorf("after a new description: %+v", f)
	}
}

// TestTheTipIsUnknownAfterAStart though it is recorded, and the service tells it.
func TestTheTipIsUnknownAfterAStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	run(t, setup(dir), func(h *Host) { put(t, h, doc("a", "one")) })
	run(t, setup(dir), func(h *Host) {
		if f := h.Facts(); len(f.Tip) != 40 || f.Tip != h.o.State.Tip(primaryReplica) || f.TipAt.IsZero() {
			t.Errorf("%q at %s", f.Tip, f.TipAt)
		}
	})
}

// TestTheWindowIsNeverMeasured at a service without conditional writes; where
// there are some, there is none.
func TestTheWindowIsNeverMeasured(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		url string
		has bool
	}{
		"plain": {plain(t, wiretest.EmulatorOptions{}), true},
		"ours":  {service(t, "k"), false},
	} {
		t.Run(name, func(t *testing.T) {
			h := start(t, external(t.TempDir(), tt.url))
			awaitState(t, h, StatePrimary)
			put(t, h, doc("a", "one"))
			put(t, h, doc("a", "two"))
			if f := h.Facts(); (f.Window > 0) != tt.has || f.Window > time.Minute {
				t.Errorf("window %s", f.Window)
			}
		})
	}
}

// TestOneSlowBatchIsTheWindowForEver: it is that of the last ones.
func TestOneSlowBatchIsTheWindowForEver(t *testing.T) {
	t.Parallel()
	e := &Engine{}
	e.noteWindow(time.Second)
	for range windowsOf - 1 {
		e.noteWindow(time.Millisecond)
		e.noteWindow(0) // a batch without a commit
	}
	if w := e.view.facts.Window; w != time.Second {
		t.Errorf("%s", w)
	}
	e.noteWindow(time.Millisecond)
	if w := e.view.facts.Window; w != time.Millisecond || len(e.view.windows) != windowsOf {
		t.Errorf("%s of %d", w, len(e.view.windows))
	}
}

func TestNumbersAreShownAsOnTheScreen(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1_000_001: "1,000,001", -12_345: "-12,345"} {
		if got := number(n); got != want {
			t.Errorf("%d is shown as %q", n, got)
		}
	}
	if got := count(1, "document") + ", " + count(1240, "document"); got != "1 document, 1,240 documents" {
		t.Error(got)
	}
}
