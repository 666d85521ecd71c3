package cli_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/probe/httpapi"
	"github.com/caiatech/caiatop/tui/cli"
)

func TestStatusOfAnEngineInTrouble(t *testing.T) {
	w := newWorld(t).serve()
	oldest := time.Date(2026, 1, 2, 3, 14, 4, 0, time.UTC)
	w.engine.SetStatus(httpapi.Status{
		State: "FALLBACK", Since: oldest, Reason: "5 probes \x1b[31mrefused", Next: "It goes back by itself", Phase: "dual",
		Service:    httpapi.Service{URL: "http://127.0.0.1:1", Embedded: true, Error: "unavailable: govc: check liveness: dial tcp 127.0.0.1:1: connect: connection refused"},
		Outbox:     httpapi.Outbox{Pending: 1234, Oldest: &oldest, Bytes: 4096},
		Stores:     []httpapi.Store{{Name: "govc", Lag: 1234}, {Name: "git", Cursor: 5, InStep: true}, {Name: "text", Unknown: true}},
		Parked:     2,
		Progress:   &httpapi.Progress{What: "copying", Done: 1, Total: 3},
		Latencies:  []httpapi.Latency{{Op: "write", Store: "git", Count: 7, Rate: 1.5, P50MS: 0.31, P95MS: 1, P99MS: 2, MaxMS: 12}},
		Safe:       []string{"state", "git"},
		Repository: "docs", StateDir: "/s", PID: 42,
	})
	code, stdout, stderr := w.run("status")
	if code != cli.ExitDegraded || stderr != "" {
		t.Errorf("exit code %d, stderr %q", code, stderr)
	}
	for _, want := range []string{
		"FALLBACK (NOT HEALTHY) for 2m", "5 probes ^[[31mrefused", "(embedded), down: connection refused\n", "1,234 pending, 4.00 KiB of content not in git yet, the oldest from 2m ago",
		"1,234 behind", "in step at 5", "text          -\n", "2 operations were set aside", "copying: 1 of 3", "state, git", "0.31ms", "12.0ms",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("the report lacks %q:\n%s", want, stdout)
		}
	}
	w.engine.SetStatus(httpapi.Status{State: "PRIMARY", Parked: 1})
	if _, stdout, _ := w.run("status"); !strings.Contains(stdout, "1 operation was set aside") {
		t.Errorf("one operation: %s", stdout)
	}
	w.engine.SetStatus(httpapi.Status{State: "FALLBACK", Outbox: httpapi.Outbox{Pending: 1234}})
	if code, stdout, _ := w.run("status", "--json"); code != cli.ExitDegraded || !strings.Contains(stdout, `"pending": 1234`) {
		t.Errorf("JSON: %d %s", code, stdout)
	}
}

// A store that is known to be damaged is neither healthy nor in step, and is
// named by whatever asks.
func TestADamagedStoreIsShownAsHealthy(t *testing.T) {
	w := newWorld(t).serve()
	w.engine.SetStatus(httpapi.Status{
		State: "PRIMARY", Ready: true, Next: "put the named file back",
		Stores: []httpapi.Store{{Name: "git", Cursor: 5, Damage: "object 12: corrupt repository: /s/pack-34.pack at 56"}},
	})
	code, stdout, _ := w.run("status")
	if code != cli.ExitDegraded || !strings.Contains(stdout, "DAMAGED, at 5: object 12: corrupt repository: /s/pack-34.pack at 56") ||
		strings.Contains(stdout, "in step") || !strings.Contains(stdout, "put the named file back") {
		t.Errorf("%d:\n%s", code, stdout)
	}
	if _, stdout, _ := w.run("healthcheck", "-v"); !strings.Contains(stdout, "/s/pack-34.pack") {
		t.Errorf("healthcheck -v: %s", stdout)
	}
	code, stdout, _ = w.run("healthcheck", "--json")
	if code != cli.ExitDegraded || !strings.Contains(stdout, "/s/pack-34.pack") {
		t.Errorf("healthcheck: %d %s", code, stdout)
	}
}

func TestNoEngineRuns(t *testing.T) {
	w := newWorld(t)
	code, stdout, stderr := w.run("status")
	if code != cli.ExitNoneRuns || stdout != "" || !strings.Contains(stderr, "no engine runs") || !strings.Contains(stderr, "try: start it with: caiatop") {
		t.Errorf("status: %d %q %q", code, stdout, stderr)
	}
	for _, command := range []string{"recover", "ls"} {
		if code, _, stderr := w.run(command); code != cli.ExitUnavailable || !strings.Contains(stderr, "start it with") {
			t.Errorf("%s: %d %q", command, code, stderr)
		}
	}
}

func TestWithoutATerminalTheConsoleIsAReport(t *testing.T) {
	w := newWorld(t).serve()
	w.console = errors.New("the console was started")
	if out := w.must("--repo", "r"); !strings.Contains(out, "PRIMARY (healthy)") || w.flags["repo"] != "r" {
		t.Errorf("flags %v, report %s", w.flags, out)
	}
	w.engine.SetStatus(httpapi.Status{State: "FALLBACK"})
	if code, out, _ := w.run(); code != cli.ExitDegraded || !strings.Contains(out, "FALLBACK (NOT HEALTHY)") {
		t.Errorf("%d %s", code, out)
	}
}

// TestADamagedFileThatNothingNeedsIsUnhealthy: a container whose git folder has
// one would be restarted for ever.
func TestADamagedFileThatNothingNeedsIsUnhealthy(t *testing.T) {
	stats := &engine.Stats{
		State:  engine.StatePrimary,
		Stores: []engine.StoreStats{{Name: "git", Cursor: 5, Warning: "/s/pack-34.pack: corrupt"}},
	}
	if !cli.Healthy(stats) {
		t.Error("it is not healthy")
	}
	w := newWorld(t).serve()
	w.engine.SetStatus(httpapi.Status{
		State: "PRIMARY", Ready: true, Healthy: true,
		Stores: []httpapi.Store{{Name: "git", Cursor: 5, InStep: true, Warning: "/s/pack-34.pack: corrupt"}},
	})
	if code, stdout, _ := w.run("status"); code != cli.ExitOK || !strings.Contains(stdout, "in step at 5; damaged, and needed by nothing: /s/pack-34.pack: corrupt") {
		t.Errorf("%d:\n%s", code, stdout)
	}
	if code, stdout, _ := w.run("healthcheck", "-v"); code != cli.ExitOK {
		t.Errorf("healthcheck: %d %s", code, stdout)
	}
}
