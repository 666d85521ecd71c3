package engine

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caiatech/caiatop/probe"
	"github.com/caiatech/caiatop/probe/journal"
)

func TestEventsKeepWhatToDoAcrossARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := start(t, detached(dir))
	h.Note(Warning, "job", "the import failed", "import it again")
	stop(t, h)
	h = start(t, detached(dir))
	for _, ev := range h.Journal().Since(0) {
		if ev.Kind == "job" && ev.Next == "import it again" && ev.Level == Warning {
			return
		}
	}
	t.Errorf("got %+v", h.Journal().Since(0))
}

func TestNotesAreBounded(t *testing.T) {
	t.Parallel()
	var n notes
	now := time.Unix(1_000_000, 0)
	for i := range notesMost {
		if ok, _ := n.admit(now); !ok {
			t.Fatalf("note %d was left out", i+1)
		}
	}
	for range 3 {
		if ok, _ := n.admit(now.Add(notesWindow - 1)); ok {
			t.Fatal("one too many was taken")
		}
	}
	if ok, dropped := n.admit(now.Add(notesWindow)); !ok || dropped != 3 {
		t.Errorf("a minute later: %v, %d left out", ok, dropped)
	}
	if ok, dropped := n.admit(now.Add(notesWindow)); !ok || dropped != 0 {
		t.Errorf("then: %v, %d left out", ok, dropped)
	}
}

func TestANoteOfTroubleAlwaysSaysWhatToDo(t *testing.T) {
	t.Parallel()
	h := start(t, detached(t.TempDir()))
	h.Note(Error, "job", "something broke", "")
	everyTroubleSaysWhatToDo(t, h)
}

func TestSlowCallsAreToldOnceInAWhile(t *testing.T) {
	t.Parallel()
	var s slowness
	now := time.Unix(1_000_000, 0)
	write, read := slowCall{probe.Write, probe.Engine}, slowCall{probe.Read, probe.Engine}
	for c, limit := range map[slowCall]time.Duration{
		write: slowWrite, read: slowRead, {probe.Write, probe.Git}: slowSync, {probe.Write, probe.State}: slowSync,
		{probe.Write, probe.Govc}: slowWrite, {probe.Search, probe.Engine}: slowRead,
	} {
		if text := s.report(now, c, limit); text != "" {
			t.Errorf("%v at its limit: %s", c, text)
		}
		if text := s.report(now, c, limit+time.Millisecond); text == "" {
			t.Errorf("%v above its limit is not told", c)
		}
	}
	for range 5 {
		if text := s.report(now.Add(slowEvery-1), write, 3*time.Second); text != "" {
			t.Errorf("told again within %s: %s", slowEvery, text)
		}
	}
	if text := s.report(now.Add(slowEvery), write, 4*time.Second); !strings.Contains(text, "5 more did, the longest 3s") || !strings.Contains(text, "4s") {
		t.Errorf("got %q", text)
	}
	if text := s.report(now.Add(3*slowEvery), write, 4*time.Second); strings.Contains(text, "more did") {
		t.Errorf("counted twice: %q", text)
	}
}

func TestASlowCallerIsAnEventWithAdvice(t *testing.T) {
	t.Parallel()
	h := start(t, detached(t.TempDir()))
	h.measure(probe.Read, probe.Engine, slowRead+time.Second, nil)
	for _, ev := range h.Stats().Events {
		if ev.Kind == kindSlow && ev.Level == Warning && strings.Contains(ev.Text, "read by a caller took 2s") && ev.Next != "" {
			return
		}
	}
	t.Errorf("got %+v", h.Stats().Events)
}

func TestTheLogFileHoldsEventsAndRecords(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := detached(dir)
	s.LogLevel, s.Journal = slog.LevelDebug, journal.New()
	h := start(t, s)
	h.Log().Warn("from a part", "next", "look there")
	h.Log().Debug("a detail")
	h.Note(Info, "job", "an import began", "")
	told := false
	for _, ev := range s.Journal.Since(0) {
		told = told || (ev.Text == "from a part" && ev.Next == "look there" && ev.Level == Warning)
	}
	if !told {
		t.Errorf("the journal lacks the record: %+v", s.Journal.Since(0))
	}
	stop(t, h)
	h.Log().Warn("after the end") // to no effect, and no panic
	data, err := os.ReadFile(filepath.Join(dir, LogFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"from a part", "look there", "a detail", "an import began"} {
		if strings.Count(string(data), want) != 1 {
			t.Errorf("the log holds %q %d times:\n%s", want, strings.Count(string(data), want), data)
		}
	}
}

func TestALogFileThatCannotBeOpenedStopsNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, LogFile), 0o700); err != nil { // a folder in its place
		t.Fatal(err)
	}
	h := start(t, detached(dir))
	put(t, h, doc("a", "one"))
	h.Log().Warn("still told")
	if texts := toldAbout(h, "log", Warning); len(texts) != 2 || !strings.Contains(texts[0], LogFile) {
		t.Errorf("got %q", texts)
	}
}

func TestResetMetricsForgetsWhatWasMeasured(t *testing.T) {
	t.Parallel()
	h := start(t, detached(t.TempDir()))
	put(t, h, doc("a", "one"))
	counted := func() (n int64) {
		for _, op := range h.Stats().Ops {
			if op.Op == probe.Write && op.Store == probe.Engine {
				n = op.Count
			}
		}
		return n
	}
	if n := counted(); n != 1 {
		t.Fatalf("%d writes are counted", n)
	}
	h.ResetMetrics()
	if n := counted(); n != 0 {
		t.Errorf("%d writes are still counted", n)
	}
}

// everyTroubleSaysWhatToDo looks at all that happened in a test: no warning
// and no error is without a next step.
func everyTroubleSaysWhatToDo(t *testing.T, h *Host) {
	t.Helper()
	for _, ev := range h.Journal().Since(0) {
		if ev.Level.AtLeast(Warning) && ev.Next == "" && ev.Kind != "log" { // whose records are others'
			t.Errorf("%s %s says nothing of what to do: %s", ev.Level, ev.Kind, ev.Text)
		}
	}
}

func TestTheLogRepeatsEveryEventAtEachStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := start(t, detached(dir))
	h.Note(Warning, "job", "an export was cut short", "begin it again")
	for range 2 {
		stop(t, h)
		h = start(t, detached(dir))
	}
	if texts := toldAbout(h, "job", Warning); len(texts) != 1 || h.Stats().Events[0].Next == "" {
		t.Errorf("the journal holds %q, %+v", texts, h.Stats().Events)
	}
	stop(t, h)
	data, err := os.ReadFile(filepath.Join(dir, LogFile))
	if n := strings.Count(string(data), "an export was cut short"); err != nil || n != 1 {
		t.Errorf("the log holds it %d times, %v", n, err)
	}
}

// A record of the log is shown when it comes, not with the next write.
func TestARecordOfTheLogWaitsForTheNextSnapshot(t *testing.T) {
	t.Parallel()
	h := start(t, detached(t.TempDir()))
	await(t, h, "every store in step", func(s *Stats) bool { return !s.Stores[1].Unknown && !s.Stores[2].Unknown })
	feed := h.Subscribe()
	defer feed.Close()
	h.Log().Warn("from a part")
	want := h.Journal().Newest()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for {
		select {
		case s := <-feed.C:
			if s.Newest >= want {
				return
			}
		case <-limit.C:
			t.Fatal("nothing was published")
		}
	}
}

func TestTroubleThatLastsFloodsTheEvents(t *testing.T) {
	t.Parallel()
	var r repeats
	now := time.Unix(1_000_000, 0)
	if told, more := r.admit(now, "a"); !told || more != 0 {
		t.Error("the first is told")
	}
	for i := range 100 {
		if told, _ := r.admit(now.Add(time.Duration(i)*time.Second), "a"); told {
			t.Fatalf("told again after %d s", i)
		}
	}
	if told, more := r.admit(now.Add(repeatEvery), "a"); !told || more != 100 {
		t.Errorf("told %v, %d more", told, more)
	}
	for i := range 10 * repeatsKept {
		r.admit(now, fmt.Sprint(i))
	}
	if len(r.told) > repeatsKept {
		t.Errorf("%d are remembered", len(r.told))
	}
}

func TestALongJobOfTheEngineIsToldFromBeginToEnd(t *testing.T) {
	t.Parallel()
	h := start(t, detached(t.TempDir()))
	h.job("making an index")("3 documents")
	texts := toldAbout(h, "job", Info)
	if len(texts) != 2 || !strings.HasPrefix(texts[0], "Begins: making an index") || !strings.Contains(texts[1], "3 documents in ") {
		t.Errorf("got %q", texts)
	}
}
