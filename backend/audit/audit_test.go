package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/caiatech/caiatop/backend/durable"
	"github.com/caiatech/caiatop/backend/durable/powercut"
)

func TestALineSaysAllOfAnEntry(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, Options{})
	want := Entry{
		Seq: 1, Time: noon, Who: "ann", Via: "key 1f2e3d4c5b6a", From: "192.0.2.1", What: "commit",
		Repo: "docs", Path: "a/b.txt", Ref: "0123abcd", Result: OK,
	}
	must(t, l.Append(want))
	data, err := os.ReadFile(filepath.Join(dir, first))
	must(t, err)
	const line = `{"seq":1,"time":"2026-11-23T12:00:00Z","who":"ann","via":"key 1f2e3d4c5b6a","from":"192.0.2.1","what":"commit",` +
		`"repo":"docs","path":"a/b.txt","ref":"0123abcd","result":"ok","sum":"`
	if got := string(data); !strings.HasPrefix(got, line) || len(got) != len(line)+len("01234567\"}\n") || !json.Valid(data) {
		t.Errorf("the line is %s", got)
	}
	if all, _ := read(t, durable.Volume{}, dir); len(all) != 1 || all[0] != want {
		t.Errorf("read %+v", all)
	}
}

func TestFilesAreForTheirOwnerOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	for range 2 { // made, and found
		l := open(t, dir, Options{})
		must(t, l.Append(Entry{What: "x"}))
		shut(t, l)
		for path, want := range map[string]os.FileMode{dir: fs.ModeDir | 0o700, filepath.Join(dir, first): 0o600} {
			if info, err := os.Stat(path); err != nil || info.Mode() != want {
				t.Errorf("%s: %v, %v", path, info.Mode(), err)
			}
		}
	}
}

func TestFieldsAreBoundedAndShowable(t *testing.T) {
	key := "caia_" + strings.Repeat("0a", 36)
	token := "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJl"
	for name, c := range map[string]struct{ in, want string }{
		"plain":       {"ann", "ann"},
		"control":     {"a\x1b[2J\r\n\x00b", "a\x1b[2J\r\n\x00b"},
		"c1 and bidi": {"a\u009b2J\u202eb\U000e0041", "a\u009b2J\u202eb\U000e0041"},
		"key":         {"x " + key + " y", "x [redacted] y"},
		"typo in key": {key[:40], "[redacted]"},
		"token":       {"Bearer " + token, "Bearer [redacted]"},
		"at limit":    {strings.Repeat("a", MaxName), strings.Repeat("a", MaxName)},
		"past limit":  {strings.Repeat("a", MaxName+1), strings.Repeat("a", MaxName-3) + "…"},
		"in a rune":   {strings.Repeat("é", MaxName), strings.Repeat("é", MaxName/2-2) + "…"},
	} {
		body, err := encode(Entry{Time: noon, Who: c.in})
		must(t, err)
		line := appendLine(nil, 1, body)
		for _, r := range string(line[:len(line)-1]) {
			if r < 0x20 || (r >= 0x7f && r < 0xa0) || r == 0x202e || r >= 0xe0000 {
				t.Errorf("%s: %q is in the line", name, r)
			}
		}
		var got Entry
		if err := json.Unmarshal(line, &got); err != nil || got.Who != c.want {
			t.Errorf("%s: %q (%v), want %q", name, got.Who, err, c.want)
		}
	}
}

// TestTheLongestLineFits: a line that is longer than MaxLine counts as damaged.
func TestTheLongestLineFits(t *testing.T) {
	long := strings.Repeat("\u202e", MaxPath)
	worst := Entry{Time: noon, Who: long, Via: long, From: long, What: long, Repo: long, Path: long, Ref: long, Result: long}
	for _, text := range []string{long, strings.Repeat("\x01", MaxPath)} {
		worst.Path, worst.Who = text, text
		body, err := encode(worst)
		must(t, err)
		line := appendLine(nil, 1<<63, body)
		if seq, ok := intact(line[:len(line)-1]); !ok || seq != 1<<63 {
			t.Errorf("a line of %d bytes is not intact", len(line))
		}
	}
}

// TestManyShareOneSync: while one sync runs, all others wait for the next.
func TestManyShareOneSync(t *testing.T) {
	disk := powercut.New()
	l := open(t, "/audit", Options{Volume: disk.Volume()})
	const many = 100
	running, proceed := make(chan struct{}), make(chan struct{})
	var once sync.Once
	disk.Before(func(op powercut.Op) {
		if op.Kind == powercut.Sync {
			once.Do(func() {
				close(running)
				<-proceed
			})
		}
	})
	before := disk.Count(powercut.Sync)
	var all sync.WaitGroup
	add := func(i int) { all.Go(func() { must(t, l.Append(Entry{Who: fmt.Sprint(i), What: "x"})) }) }
	add(0)
	<-running
	for i := range many - 1 {
		add(i + 1)
	}
	for waiting := 0; waiting < many-1; runtime.Gosched() {
		l.mu.Lock()
		waiting = len(l.pending.bodies)
		l.mu.Unlock()
	}
	close(proceed)
	all.Wait()
	if got := disk.Count(powercut.Sync) - before; got != 2 {
		t.Errorf("%d entries took %d syncs, want 2", many, got)
	}
	entries, report := read(t, disk.Volume(), "/audit")
	if len(entries) != many || report != (Report{Lines: many}) {
		t.Errorf("%d entries, %+v", len(entries), report)
	}
}

func TestWaitingEntriesAreBounded(t *testing.T) {
	disk := powercut.New()
	l := open(t, "/audit", Options{Volume: disk.Volume()})
	l.turn <- struct{}{} // somebody writes
	var all sync.WaitGroup
	errs := make(chan error, MaxBatch+1)
	for range MaxBatch + 1 {
		all.Go(func() {
			if err := l.Append(Entry{What: "x"}); err != nil {
				errs <- err
			}
		})
	}
	if err := <-errs; !errors.Is(err, ErrBusy) {
		t.Errorf("one past the limit: %v", err)
	}
	<-l.turn
	all.Wait()
	if entries, _ := read(t, disk.Volume(), "/audit"); len(entries) != MaxBatch || len(errs) != 0 {
		t.Errorf("%d entries, %d more errors", len(entries), len(errs))
	}
}

func TestRotationKeepsSoManyFiles(t *testing.T) {
	disk := powercut.New()
	o := Options{Volume: disk.Volume(), MaxFile: MaxLine, Keep: 3}
	l := open(t, "/audit", o)
	const entries = 1000
	for i := range entries {
		must(t, l.Append(Entry{What: "x", Who: fmt.Sprint(i), Path: strings.Repeat("p", 200)}))
		if i%170 == 0 { // a start in between changes nothing
			shut(t, l)
			l = open(t, "/audit", o)
		}
	}
	files, err := disk.ReadDir("/audit")
	must(t, err)
	if len(files) != 4 {
		t.Errorf("%d files", len(files))
	}
	for _, f := range files {
		info, err := f.Info()
		must(t, err)
		if info.Size() > MaxLine {
			t.Errorf("%s has %d bytes", f.Name(), info.Size())
		}
	}
	all, report := read(t, disk.Volume(), "/audit")
	if report.Damaged != 0 || report.Missing != 0 || all[len(all)-1].Who != fmt.Sprint(entries-1) || all[len(all)-1].Seq != entries {
		t.Errorf("%+v, the last is %+v", report, all[len(all)-1])
	}
}

func TestABatchLargerThanAFileIsSplit(t *testing.T) {
	disk := powercut.New()
	l := open(t, "/audit", Options{Volume: disk.Volume(), MaxFile: MaxLine, Keep: 100})
	l.turn <- struct{}{}
	var bodies [][]byte
	for range 500 {
		body, err := encode(Entry{Time: noon, What: "x", Path: strings.Repeat("p", 500)})
		must(t, err)
		bodies = append(bodies, body)
	}
	must(t, l.record(bodies))
	<-l.turn
	if _, report := read(t, disk.Volume(), "/audit"); report != (Report{Lines: 500}) {
		t.Errorf("%+v", report)
	}
}

func TestAClosedRecordTakesNothing(t *testing.T) {
	l := open(t, t.TempDir(), Options{})
	shut(t, l)
	if err := l.Append(Entry{What: "x"}); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
}

func TestASmallFileIsRefused(t *testing.T) {
	if _, err := Open(t.TempDir(), Options{MaxFile: MaxLine - 1}); err == nil {
		t.Error("taken")
	}
}

// TestWhateverTheEndIsNoIntactLineIsLost puts anything behind and between
// intact lines.
func TestWhateverTheEndIsNoIntactLineIsLost(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var data []byte
		var want []uint64
		seq := uint64(0)
		for range rapid.IntRange(0, 12).Draw(rt, "pieces") {
			if rapid.Bool().Draw(rt, "intact") {
				if len(data) > 0 && data[len(data)-1] != '\n' {
					data = append(data, '\n')
				}
				seq += rapid.Uint64Range(1, 3).Draw(rt, "step")
				body, err := encode(Entry{Time: noon, What: rapid.String().Draw(rt, "what")})
				must(t, err)
				data = appendLine(data, seq, body)
				want = append(want, seq)
				continue
			}
			junk := rapid.OneOf(rapid.SliceOf(rapid.Byte()), rapid.SampledFrom([][]byte{
				[]byte("\n"), []byte("{}\n"), []byte(`{"seq":`), make([]byte, 512), appendLine(nil, 1, []byte(`"what":"old"`)),
			})).Draw(rt, "junk")
			if seq > 0 || !strings.HasPrefix(string(junk), `{"seq":1,`) {
				data = append(data, junk...)
			}
		}
		disk := powercut.New()
		must(t, disk.Mkdir("/audit", 0o700))
		must(t, disk.Volume().WriteFile("/audit/"+first, data, 0o600))
		l, err := Open("/audit", Options{Volume: disk.Volume()})
		must(t, err)
		must(t, l.Append(Entry{What: "next"}))
		must(t, l.Close())
		all, report := read(t, disk.Volume(), "/audit")
		var got []uint64
		for _, e := range all {
			if e.What != Repaired && e.What != "next" {
				got = append(got, e.Seq)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) || all[len(all)-1].What != "next" {
			rt.Fatalf("found %v, want %v (%+v) in %q", got, want, report, data)
		}
	})
}

func TestAnUnfinishedLineIsCutAndToldOf(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, Options{})
	must(t, l.Append(Entry{What: "one"}))
	shut(t, l)
	path := filepath.Join(dir, first)
	data, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(path, append(data, `{"seq":2,"time":"2026`...), 0o600))
	l = open(t, dir, Options{})
	must(t, l.Append(Entry{What: "two"}))
	all, report := read(t, durable.Volume{}, dir)
	if len(all) != 3 || all[1].What != Repaired || !strings.Contains(all[1].Ref, "21 bytes") || all[2].What != "two" || report != (Report{Lines: 3}) {
		t.Errorf("%+v, %+v", all, report)
	}
	if !utf8.ValidString(all[1].Ref) {
		t.Error("the repair is told in something else than text")
	}
}

// TestARecordThatWasMovedAwayIsNoticed: entries were written on into a file that
// no reader finds.
func TestARecordThatWasMovedAwayIsNoticed(t *testing.T) {
	for name, move := range map[string]func(dir string){
		"moved": func(dir string) { must(t, os.Rename(dir, dir+".away")) },
		"replaced by a copy": func(dir string) {
			data, err := os.ReadFile(filepath.Join(dir, first))
			must(t, err)
			must(t, os.Remove(filepath.Join(dir, first)))
			must(t, os.WriteFile(filepath.Join(dir, first), data, 0o600))
		},
	} {
		dir := filepath.Join(t.TempDir(), "audit")
		at := &clock{noon}
		l := open(t, dir, Options{Now: at.now})
		must(t, l.Append(Entry{What: "one"}))
		must(t, l.Failed())
		move(dir)
		if err := l.Failed(); !errors.Is(err, ErrMoved) {
			t.Errorf("%s: %v", name, err)
		}
		if err := l.Append(Entry{What: "lost"}); !errors.Is(err, ErrMoved) {
			t.Errorf("%s: %v", name, err)
		}
		at.at = at.at.Add(retryAfter)
		must(t, l.Append(Entry{What: "two"}))
		must(t, l.Failed())
		all, report := read(t, durable.Volume{}, dir)
		if last := all[len(all)-1]; last.What != "two" || last.Seq != 2 || report.Damaged != 0 {
			t.Errorf("%s: %+v, %+v", name, all, report)
		}
	}
}
