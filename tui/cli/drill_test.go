package cli_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caiatech/caiatop/probe/httpapi"
	"github.com/caiatech/caiatop/tui/cli"
)

func TestDrillCommands(t *testing.T) {
	w := newWorld(t).serve()
	if out := w.must("drill", "status"); !strings.HasPrefix(out, "no drill runs") {
		t.Errorf("%q", out)
	}
	if out := w.must("drill", "start", "slow", "--for", "90s", "--delay", "200ms", "--jitter", "50ms"); out != "slow, or now with: caiatop drill stop\n" {
		t.Errorf("%q", out)
	}
	var status httpapi.DrillStatus
	if err := json.Unmarshal([]byte(w.must("drill", "status", "--json")), &status); err != nil {
		t.Fatal(err)
	}
	if want := (httpapi.Drill{Kind: "slow", Seconds: 90, DelayMS: 200, JitterMS: 50}); !status.Running || status.Drill != want {
		t.Errorf("%+v", status)
	}
	code, _, stderr := w.run("drill", "start", "down")
	if code != cli.ExitTempFail || !strings.Contains(stderr, "caiatop drill stop") {
		t.Errorf("a second one: %d, %s", code, stderr)
	}
	if out := w.must("drill", "stop"); !strings.HasPrefix(out, "the drill slow was ended") {
		t.Errorf("%q", out)
	}
	if out := w.must("drill", "stop"); out != "no drill runs\n" {
		t.Errorf("%q", out)
	}
	w.must("drill", "start", "bandwidth", "--bandwidth", "16KiB")
	if err := json.Unmarshal([]byte(w.must("drill", "status", "--json")), &status); err != nil || status.BytesPerSecond != 16<<10 || status.Seconds != 60 {
		t.Errorf("%+v, %v", status, err)
	}
	if calls := w.engine.Calls(); !slices.Contains(calls, "start drill slow 90s") || !slices.Contains(calls, "start drill bandwidth 60s") {
		t.Errorf("%q", calls)
	}
}

func TestDrillCommandsThatCannotBe(t *testing.T) {
	w := newWorld(t)
	if code, _, _ := w.run("drill", "stop"); code != cli.ExitUnavailable {
		t.Errorf("without an engine: %d", code)
	}
	w.serve()
	for _, args := range [][]string{
		{"drill"},
		{"drill", "start"},
		{"drill", "start", "down", "slow"},
		{"drill", "begin"},
		{"drill", "stop", "now"},
		{"drill", "start", "down", "--for", "soon"},
		{"drill", "start", "bandwidth", "--bandwidth", "wide"},
		{"drill", "start", "bandwidth", "--bandwidth", "0"},
	} {
		if code, _, stderr := w.run(args...); code != cli.ExitUsage || stderr == "" {
			t.Errorf("%q: %d, %s", args, code, stderr)
		}
	}
	w.engine.Fail(httpapi.NewError(httpapi.ErrInvalid, ""))
	if code, _, stderr := w.run("drill", "start", "fire"); code != cli.ExitData || !strings.Contains(stderr, "caiatop drill start --help") {
		t.Errorf("%d, %s", code, stderr)
	}
	if calls := w.engine.Calls(); !slices.Equal(calls, []string{"start drill fire 60s"}) {
		t.Errorf("%q", calls)
	}
}

// TestStatusTellsOfADrill: who reads that the service is down reads why.
func TestStatusTellsOfADrill(t *testing.T) {
	w := newWorld(t).serve()
	ends := time.Date(2026, 1, 2, 3, 16, 47, 0, time.UTC)
	w.engine.SetStatus(httpapi.Status{State: "FALLBACK", Healthy: true, Drill: &httpapi.DrillStatus{Running: true, Drill: httpapi.Drill{Kind: "down"}, Ends: &ends, Error: "a: b: c: the port is in use"}})
	out := w.must("status")
	if !strings.Contains(out, "down, ends by itself in 42s; it cannot be ended yet: A: the port is in use, or now with: caiatop drill stop") {
		t.Errorf("%s", out)
	}
}
