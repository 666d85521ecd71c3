package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// records reads JSON lines.
func records(t *testing.T, data []byte) []map[string]any {
	t.Helper()
	var out []map[string]any
	for line := range bytes.Lines(data) {
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		var r map[string]any
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		out = append(out, r)
	}
	return out
}

// disk is a file whose writes can fail, tear lines or hang.
type disk struct {
	mu     sync.Mutex
	data   bytes.Buffer
	fail   error
	torn   int           // bytes of a failed write that arrive
	hang   chan struct{} // closed by the test
	closed int
}

func (d *disk) Write(p []byte) (int, error) {
	if d.hang != nil {
		<-d.hang
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail != nil {
		n := min(d.torn, len(p))
		d.data.Write(p[:n])
		return n, d.fail
	}
	return d.data.Write(p)
}

func (d *disk) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed++
	return nil
}

func (d *disk) set(fail error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fail = fail
}

func (d *disk) lines(t *testing.T) []map[string]any {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	return records(t, d.data.Bytes())
}

func closed(t testing.TB, l *Log) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

var errFull = errors.New("no space left on device")

func messages(found []map[string]any) string {
	var out []string
	for _, r := range found {
		out = append(out, fmt.Sprint(r["msg"]))
	}
	return strings.Join(out, "|")
}

func TestLogFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "caiatop.log")
	if err := os.WriteFile(path, []byte(`{"msg":"before"}`+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	l, err := OpenLog(path, slog.LevelInfo)
	if err != nil {
		t.Fatal(err)
	}
	j := New()
	j.Add(Entry{At: noon, Level: Error, Kind: "state", Text: "Before it was followed", Next: "Nothing."})
	l.Follow(j)
	logger := slog.New(j.Handler(l.Handler()))
	logger.Debug("not written")
	logger.Info("plain", "a", 1)
	logger.Warn("warned", "kind", "slow")
	j.Add(Entry{At: noon, Level: Info, Kind: "replay", Text: "\x1b[31mline\nend"})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	logger.Warn("after the end")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]map[string]any{}
	for _, r := range records(t, data) {
		found[fmt.Sprint(r["msg"])] = r
	}
	if len(found) != 5 || bytes.Count(data, []byte("\n")) != 5 {
		t.Fatalf("lines:\n%s", data)
	}
	state := found["Before it was followed"]
	if state["level"] != "ERROR" || state["kind"] != "state" || state["next"] != "Nothing." || state["time"] != noon.Format(time.RFC3339) {
		t.Errorf("an entry is written as %v", state)
	}
	if r := found["plain"]; r["a"] != 1.0 {
		t.Errorf("a record is written as %v", r)
	}
	if r, ok := found["\x1b[31mline\nend"]; !ok || r["next"] != nil {
		t.Errorf("hostile text is written as %v", r)
	}
	if bytes.ContainsRune(data, 0x1b) {
		t.Error("an escape character is in the file")
	}
	if l.Lost() != 1 {
		t.Errorf("%d lines lost", l.Lost())
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := l.Close(); err != nil {
		t.Errorf("closing twice: %v", err)
	}
}

// TestLogFilesAreBounded writes more than all files may hold.
func TestLogFilesAreBounded(t *testing.T) {
	dir := t.TempDir()
	l, err := OpenLog(filepath.Join(dir, "caiatop.log"), slog.LevelInfo)
	if err != nil {
		t.Fatal(err)
	}
	line := append(bytes.Repeat([]byte("x"), maxLine-1), '\n')
	for range 6 * LogMegabytes << 20 / len(line) {
		l.lines <- line // the goroutine takes them in order
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	within := func() (files int, wrong string) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			info, err := e.Info()
			if err != nil {
				continue // removed meanwhile
			}
			files++
			if info.Mode().Perm() != 0o600 || info.Size() > LogMegabytes<<20 {
				wrong = fmt.Sprintf("%s has the mode %v and %d bytes", e.Name(), info.Mode(), info.Size())
			}
		}
		return files, wrong
	}
	deadline := time.After(20 * time.Second)
	for tick := time.NewTicker(5 * time.Millisecond); ; {
		files, wrong := within()
		if wrong != "" {
			t.Fatal(wrong)
		}
		if files == 1+LogBackups {
			tick.Stop()
			break
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%d files are kept", files)
		}
	}
	if l.Lost() != 0 {
		t.Errorf("%d lines lost", l.Lost())
	}
}

func TestALogThatCannotBeOpened(t *testing.T) {
	if _, err := OpenLog(filepath.Join(t.TempDir(), "none", "caiatop.log"), slog.LevelInfo); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

// TestAFullDiskIsToldOnceAndTriedAgain: every line fails for a while.
func TestAFullDiskIsToldOnceAndTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{torn: 7}
		l := newLog(d, slog.LevelInfo, time.Now)
		j := New()
		l.Follow(j)
		logger := slog.New(j.Handler(l.Handler()))
		logger.Info("before")
		synctest.Wait()
		d.set(errFull)
		for i := range 20 {
			logger.Info("lost", "i", i)
			synctest.Wait()
		}
		told := j.Since(0)
		if len(told) != 1 || !strings.Contains(told[0].Text, "no space left") || told[0].Next == "" {
			t.Fatalf("told: %v", told)
		}
		d.set(nil)
		logger.Info("after")
		synctest.Wait()
		told = j.Since(1)
		if len(told) != 1 || told[0].Text != "The log file is written again; 21 lines are missing" {
			t.Errorf("told: %v", told)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		// A torn line stands between those that are whole.
		var whole []string
		for line := range strings.Lines(d.data.String()) {
			if json.Valid([]byte(line)) {
				whole = append(whole, line)
			}
		}
		if got := messages(records(t, []byte(strings.Join(whole, "")))); got != "before|after|The log file is written again; 21 lines are missing" {
			t.Errorf("in the file: %s\n%s", got, d.data.String())
		}
		if l.Lost() != 21 || d.closed != 1 {
			t.Errorf("%d lost, closed %d times", l.Lost(), d.closed)
		}
	})
}

// TestADiskThatComesAndGoesFillsNoJournal: every other line fails.
func TestADiskThatComesAndGoesFillsNoJournal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{}
		l := newLog(d, slog.LevelInfo, time.Now)
		defer closed(t, l)
		j := New()
		l.Follow(j)
		logger := slog.New(l.Handler())
		for range 100 {
			d.set(errFull)
			logger.Info("lost")
			synctest.Wait()
			d.set(nil)
			logger.Info("written")
			synctest.Wait()
		}
		if n := j.Newest(); n != 2 {
			t.Errorf("%d entries at once: %v", n, j.Since(0))
		}
		<-time.After(tellEvery)
		d.set(errFull)
		logger.Info("lost")
		synctest.Wait()
		if n := j.Newest(); n != 3 {
			t.Errorf("%d entries a minute later: %v", n, j.Since(2))
		}
	})
}

// TestADiskThatHangsStopsNobody: whoever logs goes on, and Close gives up.
func TestADiskThatHangsStopsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{hang: make(chan struct{})}
		l := newLog(d, slog.LevelInfo, time.Now)
		logger := slog.New(l.Handler())
		for range 3 * queued {
			logger.Info("x")
		}
		synctest.Wait()
		if lost := l.Lost(); lost < queued || lost > 2*queued {
			t.Errorf("%d lines lost", lost)
		}
		began := time.Now()
		if err := l.Close(); !errors.Is(err, ErrLogStuck) || time.Since(began) != closeLimit {
			t.Errorf("closed after %v: %v", time.Since(began), err)
		}
		close(d.hang)
		if err := l.Close(); err != nil {
			t.Errorf("closing when it answers: %v", err)
		}
		if got := uint64(len(d.lines(t))) + l.Lost(); got != 3*queued {
			t.Errorf("%d lines are written or counted, of %d", got, 3*queued)
		}
	})
}

// TestEveryEntryIsWrittenOnce: those of the engine, and those of the log, from
// many goroutines.
func TestEveryEntryIsWrittenOnce(t *testing.T) {
	d := &disk{}
	l := newLog(d, slog.LevelWarn, time.Now)
	j := New()
	l.Follow(j)
	logger := slog.New(j.Handler(l.Handler()))
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for i := range 60 {
				j.Add(Entry{At: noon, Level: Warning, Text: fmt.Sprintf("entry %d/%d", w, i)})
				logger.Warn(fmt.Sprintf("record %d/%d", w, i))
				j.Add(Entry{At: noon, Level: Info, Text: "below the level"})
			}
		})
	}
	writers.Wait()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for _, r := range d.lines(t) {
		seen[fmt.Sprint(r["msg"])]++
	}
	if len(seen) != 480 {
		t.Errorf("%d different lines", len(seen))
	}
	for line, n := range seen {
		if n != 1 {
			t.Errorf("%q is there %d times", line, n)
		}
	}
	if n := j.Newest(); n != 720 {
		t.Errorf("%d entries: a line became an entry", n)
	}
}

// TestEntriesThatLeftTheRingAreCounted: the disk hung for longer than the
// journal remembers.
func TestEntriesThatLeftTheRingAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{hang: make(chan struct{})}
		l := newLog(d, slog.LevelInfo, time.Now)
		j := New()
		l.Follow(j)
		j.Add(Entry{At: noon, Text: "first"})
		synctest.Wait() // it hangs on the first
		for range Keep + 10 {
			j.Add(Entry{At: noon, Text: "further"})
		}
		close(d.hang)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if written := len(d.lines(t)); written != Keep+1 || l.Lost() != 10 {
			t.Errorf("%d written, %d lost", written, l.Lost())
		}
	})
}

func TestLinesThatAreTooLongAreCounted(t *testing.T) {
	d := &disk{}
	l := newLog(d, slog.LevelInfo, time.Now)
	slog.New(l.Handler()).Info("x", "huge", strings.Repeat("x", maxLine))
	slog.New(l.Handler()).Info("small")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if got := messages(d.lines(t)); got != "small" || l.Lost() != 1 {
		t.Errorf("written %q, lost %d", got, l.Lost())
	}
}

// BenchmarkLog is one record of the log, from the call to the queue.
func BenchmarkLog(b *testing.B) {
	l := newLog(&disk{}, slog.LevelInfo, time.Now)
	defer closed(b, l)
	j := New()
	logger := slog.New(j.Handler(l.Handler()))
	for b.Loop() {
		logger.Warn("slow", "took", 12*time.Millisecond, "url", "http://127.0.0.1:41873/health", "kind", "slow")
	}
}
