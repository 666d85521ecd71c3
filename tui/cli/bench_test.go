package cli_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/caiatech/caiatop/bench"
	"github.com/caiatech/caiatop/tui/cli"
)

func TestBench(t *testing.T) {
	w := newWorld(t)
	report := bench.Report{
		At: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Took: 1500 * time.Millisecond, Documents: 1000, DocBytes: 1024, Machine: "m\x1bachine",
		Rows: []bench.Row{
			{Op: "write", Store: "git", Published: 10 * time.Millisecond, Count: 200, P50: 2 * time.Millisecond, P95: 3 * time.Millisecond, P99: 4 * time.Millisecond, Rate: 500},
			{Op: "read", Store: "git", Published: time.Millisecond, Count: 1, P50: 2 * time.Millisecond},
			{Op: "read", Store: "memory", Published: time.Millisecond, Count: 1, P50: time.Millisecond},
			{Op: "merge", Store: "govc", Published: time.Millisecond},
		},
	}
	w.bench = func(_ context.Context, progress func(bench.Progress)) (bench.Report, error) {
		progress(bench.Progress{What: "write on git", Done: 1, Total: 12})
		return report, nil
	}
	w.terminal = true
	code, stdout, stderr := w.run("bench")
	for _, want := range []string{"10.0ms", "5.0x faster", "2.0x slower", "the same", "m^[achine", "1,000 documents of 1,024 bytes"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("the report lacks %q:\n%s", want, stdout)
		}
	}
	if code != cli.ExitOK || !strings.Contains(stderr, "write on git, 1 of 12") || !strings.HasSuffix(stderr, "\r\x1b[K") {
		t.Errorf("exit code %d, %q", code, stderr)
	}
	w.terminal = false
	_, stdout, stderr = w.run("bench", "--json")
	var got struct {
		Seconds float64
		Rows    []struct {
			Op    string
			Count int
			P50MS float64 `json:"p50_ms"`
		}
	}
	if err := json.Unmarshal([]byte(stdout), &got); err != nil {
		t.Fatal(err)
	}
	if stderr != "" || got.Seconds != 1.5 || len(got.Rows) != 4 || got.Rows[0].P50MS != 2 || got.Rows[3].Count != 0 {
		t.Errorf("%q, %+v", stderr, got)
	}
	w.bench = func(context.Context, func(bench.Progress)) (bench.Report, error) {
		return bench.Report{}, errors.New("no room")
	}
	if code, _, stderr := w.run("bench"); code != cli.ExitInternal || !strings.Contains(stderr, "no room") {
		t.Errorf("exit code %d, %q", code, stderr)
	}
}
