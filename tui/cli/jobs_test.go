package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/bench"
	"github.com/caiatech/caiatop/probe/httpapi"
)

// jobs are the events about jobs, as "level text" and what to do.
func jobs(t *testing.T, l Local) (said, next []string) {
	t.Helper()
	events, err := l.Events(t.Context(), 0, httpapi.MaxEvents)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		if e.Kind == jobKind {
			said, next = append(said, e.Level+" "+e.Text), append(next, e.Next)
		}
	}
	return said, next
}

// TestEventsTellOfJobs: what an import, an export and a benchmark did, and what
// kept them from doing all.
func TestEventsTellOfJobs(t *testing.T) {
	l, _ := newLocal(t, false)
	dir := t.TempDir()
	for name, size := range map[string]int{"a.txt": 1, "b.txt": 2} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(strings.Repeat("x", size)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	long := filepath.Join(t.TempDir(), strings.Repeat("é", 120), strings.Repeat("é", 120), strings.Repeat("é", 120), strings.Repeat("é", 120), strings.Repeat("x", 100))
	if err := os.MkdirAll(long, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"import", dir}, {"export", filepath.Join(dir, "out")}, {"import", long}} {
		if code, said := runOn(t, l, args...); code != ExitOK {
			t.Fatalf("%q: exit code %d: %s", args, code, said)
		}
	}
	if err := os.Truncate(filepath.Join(dir, "b.txt"), 11<<20); err != nil {
		t.Fatal(err)
	}
	if code, said := runOn(t, l, "import", dir, "--plain"); code != ExitData || !strings.Contains(said, "named above") {
		t.Fatalf("exit code %d: %s", code, said)
	}
	said, next := jobs(t, l)
	if len(said) != 8 || len(next) != 8 {
		t.Fatalf("%d events: %q", len(said), said)
	}
	for i, want := range []string{
		"info The import of ", "info The import of ", "info The export into ", "info The export into ", "info The import of ", "info The import of ",
		"info The import of ", "warning The import of ",
	} {
		end := " begins"
		if i%2 == 1 {
			end = " ended: "
		}
		if !strings.HasPrefix(said[i], want) || !strings.Contains(said[i], end) && len(said[i]) < httpapi.MaxNote || (next[i] != "") != (i == 7) {
			t.Errorf("%q, next %q", said[i], next[i])
		}
	}
	if !strings.Contains(said[1], "2 documents (3 B)") || !strings.Contains(said[3], "2 documents (3 B)") ||
		!strings.Contains(said[7], "1 failed") || !strings.HasSuffix(said[7], "1 file could not be imported") {
		t.Errorf("%q", said)
	}
}

// TestEventsTellOfABenchmark, also of one that was left, and without an engine it
// does its work all the same.
func TestEventsTellOfABenchmark(t *testing.T) {
	l, _ := newLocal(t, false)
	ctx, cancel := context.WithCancel(t.Context())
	running, fails := Session(bare{l}), false
	deps := Deps{
		Running: func(ctx context.Context, _ Flags, _ Caller) (Session, error) {
			if running == nil {
				return nil, ErrNoneRuns
			}
			return running, ctx.Err()
		},
		Bench: func(context.Context, func(bench.Progress)) (bench.Report, error) {
			if fails {
				cancel()
				return bench.Report{}, ctx.Err()
			}
			return bench.Report{}, nil
		},
		Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: io.Discard, IsTerminal: func(io.Writer) bool { return false },
	}
	if code := Run(ctx, deps, []string{"bench"}); code != ExitOK {
		t.Errorf("exit code %d", code)
	}
	fails = true
	if code := Run(ctx, deps, []string{"bench"}); code != ExitInterrupted {
		t.Errorf("a benchmark that was left: exit code %d", code)
	}
	said, _ := jobs(t, l)
	if len(said) != 4 || !strings.HasPrefix(said[1], "info A benchmark by command ended: ") || !strings.HasPrefix(said[3], "warning ") {
		t.Errorf("%q", said)
	}
	running, fails = nil, false
	if code := Run(t.Context(), deps, []string{"bench"}); code != ExitOK {
		t.Errorf("without an engine: exit code %d", code)
	}
}

// deaf is an engine that notes nothing.
type deaf struct{ bare }

func (deaf) Note(context.Context, httpapi.Note) error { return httpapi.ErrInternal }

// TestAJobThatCannotBeNoted is done, and it is said that the events lack it.
func TestAJobThatCannotBeNoted(t *testing.T) {
	l, host := newLocal(t, false)
	var out strings.Builder
	deps := Deps{
		Open:  func(context.Context, Flags, Caller) (Session, error) { return deaf{bare{l}}, nil },
		Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: &out, IsTerminal: func(io.Writer) bool { return false },
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if code := Run(t.Context(), deps, []string{"import", dir}); code != ExitOK || strings.Count(out.String(), "do not tell of this: internal error") != 2 {
		t.Errorf("exit code %d: %s", code, &out)
	}
	if page, err := host.List(t.Context(), engine.Query{}); err != nil || page.Total != 1 {
		t.Errorf("%+v, %v", page, err)
	}
}

// TestAJobWithoutAnOutcome ends without a gap in its sentence.
func TestAJobWithoutAnOutcome(t *testing.T) {
	l, _ := newLocal(t, false)
	a := &app{Deps: Deps{Stderr: io.Discard}}
	a.ended(t.Context(), l, "The import", "", nil, "")
	a.ended(t.Context(), l, "The import", "", errors.New("the disk is full"), "Free space")
	said, _ := jobs(t, l)
	if want := []string{"info The import ended", "warning The import ended: The disk is full"}; !slices.Equal(said, want) {
		t.Errorf("%q, want %q", said, want)
	}
}
