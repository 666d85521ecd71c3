package bench

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// The rotation of the log file leaves one goroutine behind.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("gopkg.in/natefinch/lumberjack%2ev2.(*Logger).millRun"))
}

func TestRunMeasuresEveryStoreAndLeavesNothingBehind(t *testing.T) {
	scratch := t.TempDir()
	t.Setenv("TMPDIR", scratch)
	var seen []Progress
	report, err := Run(t.Context(), Options{Documents: 60, DocBytes: 300}, func(p Progress) { seen = append(seen, p) })
	if err != nil {
		t.Fatal(err)
	}
	measured := map[string]Row{}
	for _, r := range report.Rows {
		measured[r.Op+" "+r.Store] = r
	}
	for _, name := range []string{"write memory", "write git", "write govc", "read memory", "read git", "read govc", "merge memory", "merge git"} {
		r := measured[name]
		if r.Count == 0 || r.P50 <= 0 || r.P50 > r.P95 || r.P95 > r.P99 || r.P99 > r.Max || r.Rate <= 0 || r.Published == 0 {
			t.Errorf("%s: %+v", name, r)
		}
	}
	if r := measured["merge govc"]; r.Count != 0 || r.Published != 30*time.Millisecond {
		t.Errorf("the service offers no merge, yet: %+v", r)
	}
	if report.Documents != 60 || report.DocBytes != 300 || report.Took <= 0 || report.Machine == "" {
		t.Errorf("%+v", report)
	}
	if !slices.IsSortedFunc(seen, func(a, b Progress) int { return a.Done - b.Done }) || seen[len(seen)-1].Done != seen[len(seen)-1].Total {
		t.Errorf("progress %+v", seen)
	}
	if left, err := filepath.Glob(filepath.Join(scratch, "*")); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestRunEndsWithItsContextAndRemovesItsFolder(t *testing.T) {
	scratch := t.TempDir()
	t.Setenv("TMPDIR", scratch)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := Run(ctx, Options{Documents: 50}, func(p Progress) {
		if p.What == "write on git" {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	left, err := os.ReadDir(scratch)
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestRunRefusesSizesOutOfBounds(t *testing.T) {
	for _, o := range []Options{{Documents: -1}, {Documents: MaxDocuments + 1}, {DocBytes: -1}, {DocBytes: 11 << 20}} {
		if _, err := Run(t.Context(), o, nil); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
}

func TestSummarizeTakesNearestRanks(t *testing.T) {
	times := make([]time.Duration, 100)
	for i := range times {
		times[i] = time.Duration(100-i) * time.Millisecond // unsorted on purpose
	}
	r := summarize("write", "git", times)
	if r.Count != 100 || r.P50 != 50*time.Millisecond || r.P95 != 95*time.Millisecond || r.P99 != 99*time.Millisecond || r.Max != 100*time.Millisecond {
		t.Errorf("%+v", r)
	}
	if r.Published != 10*time.Millisecond {
		t.Errorf("published %s", r.Published)
	}
}
