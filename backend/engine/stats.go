package engine

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/caiatech/caiatop/backend/govc"
	"github.com/caiatech/caiatop/backend/state"
	"github.com/caiatech/caiatop/probe"
)

// Bounds of what a snapshot shows, and how often it is made.
const (
	shownEvents  = 50
	publishEvery = 100 * time.Millisecond
	slotEvery    = 5 * time.Second
	second       = time.Second
)

// Subscription delivers the newest snapshot. A slow reader misses older ones
// and blocks nobody.
type Subscription struct {
	// C has a capacity of one and is closed when the engine ends.
	C      <-chan *Stats
	c      chan *Stats
	engine *Engine
}

// Subscribe starts delivering snapshots, the present one first.
func (e *Engine) Subscribe() *Subscription {
	c := make(chan *Stats, 1)
	s := &Subscription{C: c, c: c, engine: e}
	c <- e.published.Load()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.subscribers == nil {
		s.end() // the engine is closed
		return s
	}
	e.subscribers[s] = struct{}{}
	return s
}

// Close ends the delivery.
func (s *Subscription) Close() {
	s.engine.mu.Lock()
	defer s.engine.mu.Unlock()
	delete(s.engine.subscribers, s)
}

func (s *Subscription) end() { close(s.c) }

// Stats makes a snapshot of this moment, for callers that ask once. Whoever
// watches subscribes.
func (e *Engine) Stats() *Stats { return e.snapshot() }

// runPublisher makes a snapshot when something changed, at most ten a second,
// and when the passing of time alone changes what is shown: rates fall to zero
// and series move on. At rest it sleeps.
func (e *Engine) runPublisher(ctx context.Context) {
	for {
		e.awaitChange(ctx)
		if ctx.Err() != nil {
			return
		}
		e.publish()
		pause(ctx, publishEvery, nil)
	}
}

// awaitChange waits until there is something to publish. The journal takes
// records of the log as well, of which the engine knows nothing.
func (e *Engine) awaitChange(ctx context.Context) {
	last := e.published.Load()
	added := e.o.Journal.Added()
	if e.o.Journal.Newest() != last.Newest {
		return
	}
	var tick <-chan time.Time
	if wait := nextChange(last); wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		tick = timer.C
	}
	select {
	case <-ctx.Done():
	case <-e.dirty:
	case <-added:
	case <-tick:
	}
}

// nextChange says when a snapshot becomes stale by time alone, 0 for never.
func nextChange(s *Stats) time.Duration {
	wait := time.Duration(0)
	for _, op := range s.Ops {
		switch {
		case op.Rate > 0:
			return second
		case op.Count > 0 || op.Errors > 0:
			wait = slotEvery
		}
	}
	return wait
}

func (e *Engine) publish() {
	s := e.snapshot()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.published.Store(s)
	for sub := range e.subscribers {
		select {
		case <-sub.c: // the older one was not read
		default:
		}
		sub.c <- s
	}
}

// snapshot gathers one consistent view.
func (e *Engine) snapshot() *Stats {
	summary := e.o.State.Summary()
	missing, spoilt := e.gitMissing()
	govcSeq, gitSeq, textSeq := e.govcMark.now(), e.gitMark.now(), e.textMark.now()
	s := &Stats{
		At: e.o.Now(), Phase: e.phase(), Change: e.phaseChange(), Kept: e.keptStats(summary),
		Documents: summary.Documents, Bytes: summary.Bytes, Parked: summary.Parked,
		Conflicts: summary.Conflicts, ConflictsFound: e.conflicts.Load(),
		Cached: e.o.Memory.Len(), Ops: e.o.Recorder.Snapshot(),
		Repository: e.o.Repository, StateDir: e.o.StateDir, GitDir: e.o.GitDir,
		Reads: e.reads.Load(), Writes: e.writes.Load(), StateErr: e.replicaError(stateFile),
		Newest: e.o.Journal.Newest(), Backup: e.backupStats(), Verify: e.verifyStats(),
	}
	behind := govcSeq
	if !e.talks() {
		behind = gitSeq
	}
	s.Outbox = Outbox{Pending: summary.MaxSeq - behind, Bytes: summary.PayloadBytes}
	if s.Outbox.Pending > 0 {
		s.Outbox.Oldest = e.oldest(behind)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	v := e.view
	s.State, s.Since, s.Reason, s.Next, s.Switches = v.state, v.since, v.reason, v.next, v.switches
	s.Service = Service{
		URL: e.serviceURL(), Embedded: e.o.Embedded != nil && e.talks(), Dialect: v.info.Dialect,
		Features: v.info.Capabilities, Durable: v.info.Durable, Drill: v.drill.Kind, Health: v.health,
	}
	if e.o.Embedded != nil {
		s.Service.Durable = e.o.Embedded.Keeps() // known at once
	}
	s.Drill, s.Facts = v.drill, e.factsLocked()
	if v.progress != nil {
		p := *v.progress
		s.Progress = &p
	}
	if next := e.nextLocked(); next != "" {
		s.Next = next
	}
	if v.state == StateFallback && !v.held && v.drill.Running() {
		s.Next = drillNext
	}
	s.Events = slices.Clone(v.events)
	slices.Reverse(s.Events)
	s.Stores = []StoreStats{
		e.replicaStats(probe.Govc, primaryReplica, govcSeq, summary),
		e.replicaStats(probe.Git, gitReplica, gitSeq, summary),
		e.replicaStats("text", textReplica, textSeq, summary),
	}
	e.judgePrimary(s)
	e.judgeParts(s)
	s.Stores[1].Lag += missing
	if s.Stores[1].Damage = v.gitDamage; v.gitDamage != "" && s.Next == "" {
		s.Next = damageAdvice
	}
	s.Stores[1].Warning = v.gitWarning
	s.Safe = []string{"state"}
	s.Safe = append(s.Safe, e.safeWithoutGit(s)...)
	if e.hasGit() && v.known[gitReplica] && gitSeq >= summary.MaxSeq && missing == 0 {
		s.Safe = append(s.Safe, "git")
	}
	if v.state == StatePrimary && govcSeq >= summary.MaxSeq && summary.Parked == missing+spoilt && len(e.missing) == 0 && !e.o.State.AnyDropped() {
		s.Also = []string{"govc"}
	}
	return s
}

// nextLocked says what ends FALLBACK as far as that depends on how the service
// is now, "" if it does not. The caller holds the mutex.
func (e *Engine) nextLocked() string {
	v, trouble := e.view, e.troubled()
	switch {
	case v.state != StateFallback || v.held || v.drill.Running():
		return ""
	case trouble != nil, v.next == unreachableNext && e.o.Embedded != nil && e.o.Embedded.Keeps() && (v.unjudged || (!v.health.Up && !v.health.At.IsZero())):
		return e.embeddedAdvice(trouble)
	case v.unjudged:
		return "The service answers, but not about this repository: look at its log. It is tried again after good probes, or press r (caiatop recover) to try now"
	case v.health.Up:
		return fmt.Sprintf("The service answers again: it is taken back after %s of good probes, or press r (caiatop recover) to do it now", e.holdDownLocked(e.o.Now()))
	}
	return ""
}

// judgePrimary corrects what the cursor says of a primary that does not serve:
// nobody knows whether it still holds what it took, and one that is being
// refilled lacks what was not copied yet. The caller holds the mutex.
func (e *Engine) judgePrimary(s *Stats) {
	govc := &s.Stores[0]
	switch {
	case s.State == StateNone:
		govc.Unknown = true
	case s.State == StateReseeding && s.Progress != nil:
		s.Outbox.Pending = max(0, s.Progress.Total-s.Progress.Done) + max(0, e.o.State.Summary().MaxSeq-e.view.refillFrom)
		govc.Lag, govc.Unknown = s.Outbox.Pending, false
	case s.State != StatePrimary && s.State != StateReplaying && govc.Lag == 0:
		govc.Unknown = true
	}
}

func (e *Engine) replicaStats(name probe.Store, replica string, seq int64, summary state.Summary) StoreStats {
	return StoreStats{
		Name: name, Cursor: seq, Lag: max(0, summary.MaxSeq-seq),
		Err: e.view.errs[replica], Unknown: !e.view.known[replica],
	}
}

// oldest returns when the first operation after seq was acknowledged, zero if
// that cannot be read now.
func (e *Engine) oldest(seq int64) time.Time {
	ctx, cancel := context.WithTimeout(context.Background(), second)
	defer cancel()
	at, found, err := e.o.State.Oldest(ctx, seq)
	if err != nil || !found {
		return time.Time{}
	}
	return at
}

// lag is how many operations a replica is behind.
func (e *Engine) lag(replica string) int64 {
	marks := map[string]*watermark{primaryReplica: e.govcMark, gitReplica: e.gitMark, textReplica: e.textMark, keptReplica: e.keptMark}
	return e.o.State.Summary().MaxSeq - marks[replica].now()
}

func (e *Engine) setInfo(info govc.Info) {
	e.mu.Lock()
	e.view.describe(info)
	e.mu.Unlock()
	e.touch()
}

func (e *Engine) setReplicaError(replica string, err error) {
	e.mu.Lock()
	e.view.errs[replica] = errorText(err)
	if err == nil && replica == primaryReplica {
		e.view.known[replica] = true
	}
	e.mu.Unlock()
	e.touch()
}

func (e *Engine) replicaError(replica string) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.view.errs[replica]
}

func (e *Engine) setProgress(what string, total int64) {
	e.mu.Lock()
	e.view.progress = &Progress{What: what, Total: total, Started: e.o.Now()}
	e.mu.Unlock()
	e.touch()
}

// advanceProgress counts n more as done; a total that was too low is raised.
func (e *Engine) advanceProgress(n int64) {
	e.mu.Lock()
	if p := e.view.progress; p != nil {
		p.Done += n
		p.Total = max(p.Total, p.Done)
	}
	e.mu.Unlock()
	e.touch()
}

func (e *Engine) clearProgress() {
	e.mu.Lock()
	e.view.progress = nil
	e.mu.Unlock()
	e.touch()
}
