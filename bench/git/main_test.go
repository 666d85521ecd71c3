package main

import (
	"bytes"
	"context"
	"encoding/json"
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

// temporary gives the harness a folder of its own to work in, which it has to
// leave empty.
func temporary(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	t.Cleanup(func() {
		left, err := os.ReadDir(dir)
		if err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	})
}

// TestEveryRowIsMeasured runs all sections with a few samples, real git being
// the judge, and finds each row in the table and in the JSON.
func TestEveryRowIsMeasured(t *testing.T) {
	temporary(t)
	o := options{Options: beside.Options{Sizes: []int{120}, Limit: time.Minute, Samples: 2}, commits: 12}
	var progress, table bytes.Buffer
	rep, err := measure(t.Context(), o, t.TempDir(), &progress)
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
		"import, a document", "import and its compression, a document", "import, processor time a document", "import, bytes a document on disk", "memory: read by path", whatMemoryCommit, "memory: merge, one document a side",
		whatColdRead, "disk: read by path, warm", "disk: read by path, cached", "disk: heap of all cached trees, a document", whatDiskCommit, whatDiskBatch,
		"history: size on disk", "history: most packs seen", "history: open and read the newest commit", "history: log of one document",
	} {
		i := slices.IndexFunc(read.Rows, func(x row) bool { return x.What == what && x.Docs == 120 })
		if i < 0 || read.Rows[i].Ours.Count == 0 || read.Rows[i].Ours.Median <= 0 {
			t.Errorf("%q was not measured", what)
		}
		if !strings.Contains(table.String(), what) {
			t.Errorf("the table lacks %q", what)
		}
	}
	if m := read.Machine; m.Cores == 0 || m.Go == "" || !strings.HasPrefix(m.Git, "git version") || m.FileSystem == "" || m.LoadAfter == "" {
		t.Errorf("the machine is not described: %+v", m)
	}
}

// TestInterruptLeavesNothing: the folder goes, and the exit code says why.
func TestInterruptLeavesNothing(t *testing.T) {
	temporary(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out bytes.Buffer
	code := run(ctx, []string{"--sizes", "100"}, &out, watcher{"memory", cancel})
	if code != beside.ExitInterrupted {
		t.Errorf("exit code %d, want %d", code, beside.ExitInterrupted)
	}
}

// watcher calls then when it is told a word.
type watcher struct {
	word string
	then func()
}

func (w watcher) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte(w.word)) {
		w.then()
	}
	return len(b), nil
}

func TestWrongUse(t *testing.T) {
	temporary(t)
	for _, args := range []string{"--sizes 10", "--sizes 1000001", "--sizes 1000,1000", "--sizes 2000,1000", "--sizes x", "--sizes ", "--commits 0", "--limit 0s", "--nothing", "1000", "--json /none/x.json"} {
		var out, errs bytes.Buffer
		if code := run(t.Context(), strings.Split(args, " "), &out, &errs); code != beside.ExitUsage || errs.Len() == 0 || out.Len() > 0 {
			t.Errorf("%s: exit code %d, said %q", args, code, &errs)
		}
	}
}

// TestNoRoomIsSaid: what does not fit is skipped with a reason, not tried.
func TestNoRoomIsSaid(t *testing.T) {
	if why := noRoom(t.TempDir(), 1<<40, 1); !strings.Contains(why, "it needs") {
		t.Errorf("a million million documents fit: %q", why)
	}
	if why := noRoom(filepath.Join(t.TempDir(), "none"), 1, 1); why == "" {
		t.Error("a disk that is not there has room")
	}
}

// TestDocumentsAreWhatIsPromised: their sizes, and that they differ and
// compress like text.
func TestDocumentsAreWhatIsPromised(t *testing.T) {
	for i := range 50 {
		d, again, edited, other := makeDoc(i, 0), makeDoc(i, 0), makeDoc(i, 1), makeDoc(i+1, 0)
		if len(d.text) != textBytes || len(d.meta) < 290 || len(d.meta) > 340 || !json.Valid(d.meta) {
			t.Fatalf("%d: %d and %d bytes: %s", i, len(d.meta), len(d.text), d.meta)
		}
		if !bytes.Equal(d.text, again.text) || bytes.Equal(d.text, edited.text) || bytes.Equal(d.text, other.text) || bytes.Equal(d.meta, edited.meta) {
			t.Fatalf("%d: the same where it should differ, or the other way round", i)
		}
	}
}

func TestTargets(t *testing.T) {
	us := func(ours, peer float64) row {
		p := beside.Once(peer)
		return row{Docs: targetDocs, Unit: inMicros, Ours: beside.Once(ours), Peer: &p}
	}
	for _, c := range []struct {
		row    row
		target target
		want   string
	}{
		{us(10, 100), target{most: 10}, "yes"},
		{us(11, 100), target{most: 10}, "no"},
		{us(10, 100), target{most: 10, advantage: 10}, "yes"},
		{us(10, 99), target{most: 10, advantage: 10}, "no"},
		{us(13, 10), target{within: 1.3}, "yes"},
		{us(14, 10), target{within: 1.3}, "no"},
		{row{Docs: targetDocs, Ours: beside.Once(1)}, target{advantage: 2}, "no"}, // no peer, nothing proved
		{row{Docs: targetDocs - 1, Ours: beside.Once(1)}, target{most: 2}, ""},
		{row{Docs: 1, Ours: beside.Once(1)}, target{most: 2, all: true}, "yes"},
		{us(1, 1), target{}, ""},
	} {
		rep := &report{}
		rep.add(c.row, c.target)
		if got := rep.Rows[0].Reached; got != c.want {
			t.Errorf("%+v with %+v: %q, want %q", c.row, c.target, got, c.want)
		}
	}
}
