package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/caiatech/caiatop/bench/beside"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestEveryRowIsMeasured runs all sections with a few samples, and finds each row
// in the table and in the JSON.
func TestEveryRowIsMeasured(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	var progress, table bytes.Buffer
	rep, err := measure(t.Context(), options{Options: beside.Options{Sizes: []int{100, 130}, Limit: time.Minute, Samples: 1}}, &progress)
	if err != nil {
		t.Fatalf("%v\n%s", err, &progress)
	}
	if err := rep.print(&table); err != nil {
		t.Fatal(err)
	}
	data, err := beside.Encode(rep)
	if err != nil {
		t.Fatal(err)
	}
	var read report
	if err := json.Unmarshal(data, &read); err != nil || len(read.Rows) != len(rep.Rows) {
		t.Fatalf("the JSON has %d rows of %d, %v", len(read.Rows), len(rep.Rows), err)
	}
	for _, what := range []string{
		"memory a document", whatPut, whatBarePut, "requests a put", whatGet, whatBareGet, "requests a get", whatBatch, whatBareBatch,
		"put: cost(130)/cost(100)", "put, 32 clients", "batch of 100, 4 clients", "durable put, one client", "durable put, 32 clients",
	} {
		i := slices.IndexFunc(read.Rows, func(x row) bool { return x.What == what })
		if i < 0 || read.Rows[i].Ours.Count == 0 || read.Rows[i].Ours.Median <= 0 {
			t.Errorf("%q was not measured", what)
		}
		if !strings.Contains(table.String(), what) {
			t.Errorf("%q is not in the table", what)
		}
	}
	for _, what := range []string{"lost, merged or misattributed commits", "durable: lost, merged or misattributed commits"} {
		i := slices.IndexFunc(read.Rows, func(x row) bool { return x.What == what })
		if i < 0 || read.Rows[i].Ours.Count < writers || read.Rows[i].Ours.Median != 0 || read.Rows[i].Reached != "yes" {
			t.Errorf("%q: %+v", what, read.Rows[max(i, 0)])
		}
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestJudgeFindsWhatIsWrong: a put that was told another's commit, another author
// or a commit that does not exist, and a commit that nobody was told of.
func TestJudgeFindsWhatIsWrong(t *testing.T) {
	s := &site{n: 100, rep: &report{progress: beside.Progress{To: io.Discard}}}
	t.Cleanup(func() {
		if err := s.close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if err := errors.Join(s.start(t.Context(), ""), s.fill(t.Context())); err != nil {
		t.Fatal(err)
	}
	before, err := s.commits(t.Context(), 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	var done []written
	for i := range 3 {
		got, err := s.client.Apply(t.Context(), putOf(1000+i, 1, author))
		if err != nil {
			t.Fatal(err)
		}
		done = append(done, written{1000 + i, got.Commit, author})
	}
	for what, c := range map[string]struct {
		wrong  int
		change func(done []written) []written
	}{
		"as it is":        {0, func(d []written) []written { return d }},
		"nobody was told": {1, func(d []written) []written { return d[1:] }},
		"exchanged": {2, func(d []written) []written {
			d[0].commit, d[1].commit = d[1].commit, d[0].commit
			return d
		}},
		"the same twice": {2, func(d []written) []written { d[0].commit = d[1].commit; return d }},
		"another author": {1, func(d []written) []written { d[2].by.Name = "somebody"; return d }},
		"lost":           {1, func(d []written) []written { return append(d, written{1003, strings.Repeat("1", 40), author}) }},
	} {
		wrong, err := s.judge(t.Context(), before[0].Hash, c.change(slices.Clone(done)))
		if err != nil || wrong < c.wrong || (c.wrong == 0 && wrong > 0) {
			t.Errorf("%s: %d are wrong, want %d, %v", what, wrong, c.wrong, err)
		}
	}
}

func TestCommandLine(t *testing.T) {
	for _, args := range [][]string{
		{"--sizes", "0"},
		{"--sizes", "1000,100"},
		{"--sizes", "x"},
		{"--sizes", "10000000"},
		{"more"},
		{"--limit", "0s"},
		{"--json", filepath.Join(t.TempDir(), "none", "out.json")},
		{"--profile", filepath.Join(t.TempDir(), "none", "p")},
		{"--what"},
	} {
		if code := run(t.Context(), args, io.Discard, io.Discard); code != beside.ExitUsage {
			t.Errorf("%q ends with %d", args, code)
		}
	}
	if code := run(t.Context(), []string{"--help"}, io.Discard, io.Discard); code != 0 {
		t.Errorf("--help ends with %d", code)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	var said bytes.Buffer
	if code := run(ended, []string{"--sizes", "100"}, io.Discard, &said); code != beside.ExitInterrupted {
		t.Errorf("an interrupt ends with %d: %s", code, &said)
	}
}
