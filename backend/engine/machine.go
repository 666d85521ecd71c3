package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/store"
)

// transitions lists where each state of the primary may lead. One goroutine,
// runPrimary, owns the state; everybody else sends it commands or reports.
var transitions = map[State][]State{
	StateProbing:   {StateReplaying, StateReseeding, StateFallback, StateLocked},
	StatePrimary:   {StateFallback, StateReseeding, StateLocked},
	StateFallback:  {StateReplaying, StateReseeding, StateLocked},
	StateReplaying: {StatePrimary, StateFallback, StateReseeding, StateLocked},
	StateReseeding: {StateReplaying, StateFallback, StateLocked},
	StateLocked:    {StateReplaying, StateReseeding, StateFallback},
}

// verdict is where a state leads and why. As an error it is the cause with
// which the context of the running state is cancelled.
type verdict struct {
	to     State
	reason string
	next   string
	// held: FALLBACK lasts until the operator ends it.
	held bool
	// unjudged: the service answers, and it cannot be told what it holds.
	unjudged bool
	// lost: the service had something that it lacks now.
	lost bool
}

func (v *verdict) Error() string { return string(v.to) + ": " + v.reason }

// recovery is the operator's command to look at the primary again.
type recovery struct {
	adopt bool
	reply chan error
}

// runPrimary is the goroutine that owns the state of the primary and writes to
// it. Each state is one call that returns where to go next.
func (e *Engine) runPrimary(ctx context.Context) {
	steps := map[State]func(context.Context) *verdict{
		StateProbing:   e.stepProbing,
		StatePrimary:   e.stepPrimary,
		StateFallback:  e.stepFallback,
		StateReplaying: e.stepReplaying,
		StateReseeding: e.stepReseeding,
		StateLocked:    e.stepLocked,
	}
	e.renew(ctx)
	for ctx.Err() == nil {
		e.mu.Lock()
		state, stepCtx := e.view.state, e.stateCtx
		e.mu.Unlock()
		next := steps[state](stepCtx)
		var forced *verdict
		if errors.As(context.Cause(stepCtx), &forced) {
			next = forced
		}
		if ctx.Err() == nil {
			e.enter(ctx, next)
		}
	}
	e.mu.Lock()
	e.leaveState(nil)
	e.mu.Unlock()
}

// renew ends the context of the running state and makes the next one.
func (e *Engine) renew(ctx context.Context) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.renewLocked(ctx)
}

func (e *Engine) renewLocked(ctx context.Context) {
	if e.leaveState != nil {
		e.leaveState(nil)
	}
	e.stateCtx, e.leaveState = context.WithCancelCause(ctx)
}

// enter makes the transition, state and context in one step, so that no
// command falls between them. It records it as an event and wakes whoever
// waits for the state to change. A nil verdict stays where it is.
func (e *Engine) enter(ctx context.Context, v *verdict) {
	now := e.o.Now()
	e.mu.Lock()
	from, v := e.view.state, e.inDrill(v)
	if v != nil && from != v.to && !slices.Contains(transitions[from], v.to) {
		e.renewLocked(ctx)
		e.mu.Unlock()
		if e.o.Strict {
			panic(fmt.Sprintf("engine: no transition from %s to %s (%s)", from, v.to, v.reason))
		}
		e.event(Error, "state", fmt.Sprintf("Refused to go from %s to %s: %s", from, v.to, v.reason),
			"This is a defect: keep the log file of the state folder and start caiatop again")
		return
	}
	e.renewLocked(ctx)
	if v == nil || from == v.to {
		e.mu.Unlock()
		if v != nil {
			e.explain(v)
		}
		return
	}
	e.view.reason, e.view.next, e.view.held, e.view.unjudged = v.reason, v.next, v.held, v.unjudged
	e.view.state, e.view.since = v.to, now
	if v.to == StateFallback {
		e.view.switches++
		e.recentSwitches = append(e.recentSwitches, now)
	}
	e.mu.Unlock()

	if v.to == StatePrimary {
		e.gitFill.Store(true)
		signal(e.wakeGit)
	}
	level := Info
	switch {
	case v.to == StateLocked:
		level = Error
	case v.to == StateFallback, v.to == StateReseeding && (v.lost || from != StateProbing):
		level = Warning
	}
	e.event(level, "state", fmt.Sprintf("%s, from %s: %s", v.to, from, v.reason), e.nextOf(v))
}

// current returns the state of the primary.
func (e *Engine) current() State {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.view.state
}

// explain gives the present state another reason.
func (e *Engine) explain(v *verdict) {
	e.mu.Lock()
	e.view.reason, e.view.next, e.view.held, e.view.unjudged = v.reason, v.next, v.held, v.unjudged
	e.mu.Unlock()
	e.touch()
}

// interrupt ends the running state with v if it is one of from.
func (e *Engine) interrupt(v *verdict, from ...State) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.leaveState == nil || !slices.Contains(from, e.view.state) {
		return false
	}
	e.leaveState(v)
	return true
}

// waitContext returns a context that ends when the state is left, and whether a
// write waits for the primary: while it serves, and while a replay is slower
// than the writes that come.
func (e *Engine) waitContext() (context.Context, bool) {
	lag := e.lag(primaryReplica)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stateCtx == nil {
		return nil, false
	}
	return e.stateCtx, e.view.state == StatePrimary || (e.view.state == StateReplaying && lag > govcBatchOps/2)
}

func (e *Engine) stepProbing(ctx context.Context) *verdict {
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case command := <-e.recoverC:
			v, err := e.assess(ctx, command.adopt)
			command.reply <- err
			if v != nil {
				return v
			}
		case h := <-e.healthC:
			if !h.Up {
				if err := e.troubled(); err != nil {
					return &verdict{to: StateFallback, reason: "the embedded service cannot be started: " + err.Error(), next: e.embeddedAdvice(err)}
				}
				return unreachable("no good answer yet: " + h.Err)
			}
			v, err := e.assess(ctx, false)
			if err != nil {
				return unassessed(err)
			}
			return v
		}
	}
	return nil
}

// unreachableNext is what ends an outage of which no more is known.
const unreachableNext = "It ends after good probes, or press r (caiatop recover) to try now"

func unreachable(reason string) *verdict {
	return &verdict{to: StateFallback, reason: reason, next: unreachableNext}
}

// unassessed is a service that answers probes, and not what it is or holds.
func unassessed(err error) *verdict {
	v := unreachable(errorText(err))
	v.unjudged = true
	return v
}

// stepFallback waits for the operator, or for good probes if the operator does
// not hold the engine here.
func (e *Engine) stepFallback(ctx context.Context) *verdict {
	var goodSince time.Time
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
			return nil
		case command := <-e.recoverC:
			v, err := e.assess(ctx, command.adopt)
			command.reply <- err
			if v != nil {
				return v
			}
		case h := <-e.healthC:
			if !h.Up || e.held() {
				goodSince = time.Time{}
				continue
			}
			now := e.o.Now()
			if goodSince.IsZero() {
				goodSince = now
			}
			if now.Sub(goodSince) < e.holdDown(now) {
				continue
			}
			v, err := e.assess(ctx, false)
			if err == nil && v != nil {
				return v
			}
			goodSince = time.Time{}
			e.explain(e.rehearsed(unassessed(err)))
		}
	}
	return nil
}

// holdDown is how long probes must be good before FALLBACK ends by itself: it
// grows with every recent switch, so that a flapping service causes a bounded
// number of them.
func (e *Engine) holdDown(now time.Time) time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.holdDownLocked(now)
}

func (e *Engine) holdDownLocked(now time.Time) time.Duration {
	e.recentSwitches = slices.DeleteFunc(e.recentSwitches, func(t time.Time) bool { return now.Sub(t) > holdWindow })
	return min(goodFor*time.Duration(max(1, len(e.recentSwitches))), holdMost)
}

func (e *Engine) held() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.view.held
}

// stepLocked waits for a person.
func (e *Engine) stepLocked(ctx context.Context) *verdict {
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-e.healthC: // probes go on, they decide nothing here
		case command := <-e.recoverC:
			v, err := e.assess(ctx, command.adopt)
			command.reply <- err
			if v != nil {
				return v
			}
		}
	}
	return nil
}

// stepPrimary carries operations to the service as they come.
func (e *Engine) stepPrimary(ctx context.Context) *verdict {
	for ctx.Err() == nil {
		n, err := e.primaryRound(ctx)
		if err != nil {
			if v := e.judge(ctx, err); v != nil {
				return v
			}
			continue
		}
		if n > 0 {
			continue
		}
		select {
		case <-ctx.Done():
		case <-e.wakeGovc:
		case <-e.healthC: // counted by onHealth
		case command := <-e.recoverC:
			command.reply <- nil // it is already so
		}
	}
	return nil
}

// judge says what an error of the primary means: another state, or nil to try
// again after a pause.
func (e *Engine) judge(ctx context.Context, err error) *verdict {
	if ctx.Err() != nil {
		return nil
	}
	e.setReplicaError(primaryReplica, err)
	switch {
	case errors.Is(err, errLocal):
		// Our own side failed, whatever else the error wraps; the primary is not
		// to blame.
		e.trouble(Error, "engine", "Nothing can be sent to govc because of a fault here: "+err.Error(), "Look at the disk that holds the state folder; it is tried again every second")
		pause(ctx, time.Second, nil)
		return nil
	case errors.Is(err, store.ErrUnauthorized):
		return refused(err)
	case errors.Is(err, store.ErrIdentity):
		return reseeding("the service lost the repository: " + err.Error())
	case errors.Is(err, store.ErrDiskFull):
		// It says itself that it takes nothing, however well it answers probes.
		return &verdict{to: StateFallback, reason: "the service has no room: " + err.Error(), next: "Free space on the disk of the service; it is tried again after good probes, or press r (caiatop recover) to try now"}
	}
	if aboutDocument(err) {
		// The service answers, but not for this document: refusal counts.
		pause(ctx, suspectRetry, nil)
		return nil
	}
	if why := e.breaker.report(e.o.Now(), true); why != "" {
		return unreachable(why + ", the last one: " + err.Error())
	}
	pause(ctx, time.Duration(float64(suspectRetry)*(0.5+e.o.Rand())), nil)
	return nil
}

// aboutDocument reports an error that one document causes at a primary that is
// well.
func aboutDocument(err error) bool {
	return errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrCorrupt) ||
		errors.Is(err, store.ErrTooLarge) || errors.Is(err, document.ErrInvalid)
}

func locked(reason, next string) *verdict {
	return &verdict{to: StateLocked, reason: reason, next: next}
}

func reseeding(reason string) *verdict {
	return &verdict{to: StateReseeding, reason: reason, next: "Everything is copied back from here; reads and writes go on"}
}

// lost is reseeding a service that had something which it lacks now.
func lost(reason string) *verdict {
	v := reseeding(reason)
	v.lost = true
	return v
}
