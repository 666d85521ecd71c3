package engine

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/caiatech/caiatop/backend/state"
	"github.com/caiatech/caiatop/probe"
	"github.com/caiatech/caiatop/probe/journal"
)

const (
	// Above these an operation is slow.
	slowRead  = time.Second
	slowWrite = 2 * time.Second
	slowSync  = time.Second // of the state file or of git
	// slowEvery is how often one operation at one store may be told as slow.
	slowEvery = 10 * time.Second
	// notesMost is how many notes are taken within notesWindow; further ones are
	// counted and told with the first one after it.
	notesMost   = 60
	notesWindow = time.Minute

	// repeatEvery is how often the same trouble may be told again, and
	// repeatsKept how many different ones are remembered.
	repeatEvery = 10 * time.Minute
	repeatsKept = 256

	kindSlow  = "slow"
	kindJob   = "job"
	kindDrill = "drill"
)

// event records that something happened, for the screen at once and in the
// state file for later. next says what to do; only of an Info may it be "".
func (e *Engine) event(level Level, kind, text, next string) {
	ev := e.o.Journal.Add(Event{At: e.o.Now(), Level: level, Kind: kind, Text: text, Next: next})
	e.mu.Lock()
	e.view.events = append(e.view.events, ev)
	if extra := len(e.view.events) - shownEvents; extra > 0 {
		e.view.events = slices.Delete(e.view.events, 0, extra)
	}
	e.mu.Unlock()
	e.touch()
	if kind == kindSlow {
		return // a disk that is slow must not have to take that, too
	}
	ctx, cancel := context.WithTimeout(context.Background(), second)
	defer cancel()
	err := e.o.State.AddEvent(ctx, state.Event{At: ev.At, Level: string(level), Kind: ev.Kind, Text: ev.Text, Next: ev.Next})
	if err != nil {
		e.setReplicaError("events", fmt.Errorf("event not recorded: %w", err))
	}
}

// loadEvents shows what happened before the start.
func (e *Engine) loadEvents(ctx context.Context) error {
	past, err := e.o.State.Events(ctx, journal.Keep)
	if err != nil {
		return fmt.Errorf("state file: %w", err)
	}
	// As records of the log, whose file has them since they happened. The journal
	// makes no entry of an Info without a kind.
	before := e.o.Journal.Newest()
	log := e.o.Journal.Handler(slog.DiscardHandler)
	for _, ev := range slices.Backward(past) {
		r := slog.NewRecord(ev.At, logLevel(Level(ev.Level)), ev.Text, 0)
		r.AddAttrs(slog.String(journal.KindKey, cmp.Or(ev.Kind, "engine")), slog.String(journal.NextKey, ev.Next))
		if err := log.Handle(ctx, r); err != nil {
			return fmt.Errorf("journal: %w", err)
		}
	}
	shown := e.o.Journal.Since(before)
	e.view.events = slices.Clone(shown[max(0, len(shown)-shownEvents):])
	return nil
}

func logLevel(l Level) slog.Level {
	switch l {
	case Error:
		return slog.LevelError
	case Warning:
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

// Journal returns what happened, as far back as it is kept.
func (e *Engine) Journal() *journal.Journal { return e.o.Journal }

// notes bounds what callers may have recorded.
type notes struct {
	mu      sync.Mutex
	since   time.Time
	taken   int
	dropped int
}

// admit reports whether one more note is taken now, and how many were left out
// before it.
func (n *notes) admit(now time.Time) (bool, int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if now.Sub(n.since) >= notesWindow || now.Before(n.since) {
		n.since, n.taken = now, 0
	}
	if n.taken == notesMost {
		n.dropped++
		return false, 0
	}
	n.taken++
	dropped := n.dropped
	n.dropped = 0
	return true, dropped
}

// Note records what a caller did that an operator may want to know, such as the
// start and the end of an import (kind "job"). next says what to do; of a
// warning or an error it must not be "". At most 60 a minute are taken; how
// many were left out is told with the next one.
func (e *Engine) Note(level Level, kind, text, next string) {
	taken, dropped := e.notes.admit(e.o.Now())
	if !taken {
		return
	}
	if dropped > 0 {
		text += fmt.Sprintf(" (%s notes before this one were left out)", number(dropped))
	}
	if next == "" && level.AtLeast(Warning) {
		next = "Look at what was done at this time"
	}
	e.event(level, kind, text, next)
}

// repeats remembers what was told of trouble that lasts.
type repeats struct {
	mu   sync.Mutex
	told map[string]*repeated
}

type repeated struct {
	at   time.Time
	more int
}

// admit reports whether a text is told now, and how often it was left out
// before.
func (r *repeats) admit(now time.Time, text string) (bool, int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if before := r.told[text]; before != nil && now.Sub(before.at) < repeatEvery && !now.Before(before.at) {
		before.more++
		return false, 0
	}
	more := 0
	if before := r.told[text]; before != nil {
		more = before.more
	}
	if r.told == nil || len(r.told) >= repeatsKept {
		r.told = map[string]*repeated{}
	}
	r.told[text] = &repeated{at: now}
	return true, more
}

// trouble is event for what happens again and again while its cause lasts.
func (e *Engine) trouble(level Level, kind, text, next string) {
	now, more := e.repeats.admit(e.o.Now(), text)
	if !now {
		return
	}
	if more > 0 {
		text += fmt.Sprintf(" (%s times more since it was told last)", number(more))
	}
	e.event(level, kind, text, next)
}

// job records that a long piece of the engine's own work begins. The function
// records its end.
func (e *Engine) job(what string) func(result string) {
	started := e.o.Now()
	e.trouble(Info, kindJob, "Begins: "+what, "") // it may fail and be begun again
	return func(result string) {
		e.event(Info, kindJob, fmt.Sprintf("Ended: %s: %s in %s", what, result, roundDuration(e.o.Now().Sub(started))), "")
	}
}

// slowness remembers what was told as slow.
type slowness struct {
	mu   sync.Mutex
	told map[slowCall]*slowRun
}

type slowCall struct {
	op    probe.Op
	store probe.Store
}

type slowRun struct {
	at      time.Time // of the last event
	more    int       // since then
	longest time.Duration
}

// slowThreshold is the time above which an operation is slow.
func slowThreshold(c slowCall) time.Duration {
	switch {
	case c.store == probe.Git && c.op != probe.Read, c.store == probe.State && c.op != probe.Read:
		return slowSync
	case c.op == probe.Write, c.op == probe.Delete:
		return slowWrite
	}
	return slowRead
}

// report returns what to tell of an operation that took d, "" for nothing.
func (s *slowness) report(now time.Time, c slowCall, d time.Duration) string {
	limit := slowThreshold(c)
	if d <= limit {
		return ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.told == nil {
		s.told = map[slowCall]*slowRun{} // as many as there are operations and stores
	}
	run := s.told[c]
	if run != nil && now.Sub(run.at) < slowEvery {
		run.more++
		run.longest = max(run.longest, d)
		return ""
	}
	text := fmt.Sprintf("A %s by %s took %s, more than %s", c.op, slowWho(c.store), roundDuration(d), limit)
	if run != nil && run.more > 0 {
		text += fmt.Sprintf("; since %s %s more did, the longest %s", run.at.Format(time.TimeOnly), number(run.more), roundDuration(run.longest))
	}
	s.told[c] = &slowRun{at: now}
	return text
}

func slowWho(s probe.Store) string {
	switch s {
	case probe.Engine:
		return "a caller"
	case probe.State:
		return "the state file"
	}
	return string(s)
}

func slowAdvice(c slowCall) string {
	switch c.store {
	case probe.Govc:
		return "Look at the service and the network to it; press f (caiatop fallback) to go on without it meanwhile"
	case probe.Git, probe.State:
		return "Look at the load of the disk that holds the state folder"
	}
	return "Compare the latencies of the stores: the slow one holds up the callers"
}

// measure counts what an operation took, and tells when it was slow.
func (e *Engine) measure(op probe.Op, at probe.Store, took time.Duration, err error) {
	e.o.Recorder.Observe(op, at, took, err)
	e.tellSlow(slowCall{op, at}, took)
}

func (e *Engine) tellSlow(c slowCall, took time.Duration) {
	if text := e.slow.report(e.o.Now(), c, took); text != "" {
		e.event(Warning, kindSlow, text, slowAdvice(c))
	}
}
