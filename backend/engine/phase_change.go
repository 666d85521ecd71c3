package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/caiatech/caiatop/backend/state"
)

// Times of a change of the phase.
const (
	// phaseLook and phaseLookMost are how often a change looks whether it can go
	// on: less and less often while it waits.
	phaseLook     = 50 * time.Millisecond
	phaseLookMost = time.Second
	// drainMost is how long a store that is left may take for what it still
	// lacks, all of which is durable elsewhere.
	drainMost = 10 * time.Second
	// waitersMost bounds those who wait for one change.
	waitersMost = 256
)

// phaseRequest asks for a change of the phase. reply takes one outcome.
type phaseRequest struct {
	to    Phase
	reply chan error
}

// SetPhase changes the phase and returns once it is in effect. Reads and writes
// go on. When ctx ends earlier the change goes on, also after a start: Stats says
// how far it is. The phase in effect takes back a change that is under way.
//
// Errors: *PhaseError (it would lose the only durable copy of something, or
// somebody took it back), ErrPhaseBusy, document.ErrInvalid, ErrNoPrimary (an
// engine without the service cannot attach or leave stores), ErrClosing.
func (e *Engine) SetPhase(ctx context.Context, to Phase) error {
	if _, err := ParsePhase(string(to)); err != nil {
		return err
	}
	r := phaseRequest{to, make(chan error, 1)}
	select {
	case e.phased.requests <- r:
	case <-ctx.Done():
		return fmt.Errorf("change the phase: %w", ctx.Err())
	case <-e.ended:
		return fmt.Errorf("change the phase: %w", ErrClosing)
	}
	select {
	case err := <-r.reply:
		return err
	case <-ctx.Done():
		return fmt.Errorf("the change of the phase to %s goes on (%s): %w", to, e.phaseChange().Detail, ctx.Err())
	case <-e.ended:
		return fmt.Errorf("the change of the phase to %s goes on after the next start: %w", to, ErrClosing)
	}
}

// phaseChange is what Stats shows.
func (e *Engine) phaseChange() PhaseChange {
	rec := e.o.State.Phase()
	c := PhaseChange{Since: rec.Since, Wanted: Phase(rec.Wanted), Step: rec.Step, Begun: rec.Begun, Asked: rec.Asked}
	if detail := e.phased.detail.Load(); detail != nil && rec.Wanted != "" {
		c.Detail = *detail
	}
	return c
}

// phases is the goroutine that owns the phase.
type phases struct {
	e       *Engine
	run     context.Context //nolint:containedctx // of the parts, which outlive this goroutine
	waiters []phaseRequest
	wait    time.Duration
	told    string // the last trouble
}

// runPhases carries out changes of the phase, one at a time. The stores' own
// goroutines do the work.
func (e *Engine) runPhases(ctx, run context.Context) {
	p := &phases{e: e, run: run}
	defer p.answer(ErrClosing)
	e.sweepPhases(ctx)
	for ctx.Err() == nil {
		rec := e.o.State.Phase()
		if rec.Wanted == "" || !e.canChange(rec) {
			p.listen(ctx, nil)
			continue
		}
		if !p.advance(ctx, rec) {
			p.wait = min(max(2*p.wait, phaseLook), phaseLookMost)
			timer := time.NewTimer(p.wait)
			p.listen(ctx, timer.C)
			timer.Stop()
		}
	}
}

// listen takes one request, if one comes before the time to look again.
func (p *phases) listen(ctx context.Context, look <-chan time.Time) {
	select {
	case <-ctx.Done():
	case r := <-p.e.phased.requests:
		p.wait = 0
		p.begin(ctx, r)
	case <-look:
	}
}

// sweepPhases drops copies that a crash left behind.
func (e *Engine) sweepPhases(ctx context.Context) {
	rec := e.o.State.Phase()
	if !Phase(rec.Name).stores().kept && (rec.Wanted == "" || !Phase(rec.Wanted).stores().kept) && e.o.State.Summary().Kept > 0 {
		if err := e.o.State.ClearKept(ctx); err != nil && ctx.Err() == nil {
			e.trouble(Warning, "phase", "Copies that are needed no more could not be dropped: "+err.Error(), "It is tried again at the next start; look at the disk that holds the state folder")
		}
	}
}

// canChange reports whether this engine can carry out a change: one without the
// service leaves all but the simplest to one that has it.
func (e *Engine) canChange(rec state.Phase) bool {
	return e.o.Primary != nil || Phase(rec.Name).stores() == Phase(rec.Wanted).stores()
}

// begin takes a request.
func (p *phases) begin(ctx context.Context, r phaseRequest) {
	e, rec := p.e, p.e.o.State.Phase()
	from := Phase(rec.Name)
	switch {
	case string(r.to) == rec.Name && rec.Wanted == "":
		r.reply <- p.record(ctx, rec, state.With{}, true)
		return
	case string(r.to) == rec.Name:
		r.reply <- p.giveUp(ctx, rec, &PhaseError{From: from, To: Phase(rec.Wanted), Why: "it was taken back"}, true)
		return
	case string(r.to) == rec.Wanted && len(p.waiters) < waitersMost:
		p.waiters = append(p.waiters, r)
		return
	case rec.Wanted != "":
		r.reply <- fmt.Errorf("%w: to %s, since %s; wait for it, or take it back: caiatop phase set %s",
			ErrPhaseBusy, rec.Wanted, rec.Begun.Format(time.TimeOnly), rec.Name)
		return
	}
	next := rec
	next.Wanted, next.Step, next.Begun, next.Asked = string(r.to), stepAttaching, e.o.Now(), askedByOperator
	if !e.canChange(next) {
		r.reply <- fmt.Errorf("change the phase: %w; do it in a console or with caiatop serve running", ErrNoPrimary)
		return
	}
	if err := e.wouldLose(from, r.to); err != nil {
		r.reply <- err
		return
	}
	if err := e.o.State.SetPhase(ctx, next, state.With{}); err != nil {
		r.reply <- fmt.Errorf("state file: %w", err)
		return
	}
	p.waiters = append(p.waiters, r)
}

// advance takes one step and reports whether the next one can follow at once.
func (p *phases) advance(ctx context.Context, rec state.Phase) bool {
	e := p.e
	if p.told == "" {
		p.told = rec.Wanted
		e.event(Info, "phase", fmt.Sprintf("The phase is being changed from %s to %s, asked for by the %s", rec.Name, rec.Wanted, rec.Asked), "")
	}
	waiting, err := p.step(ctx, rec)
	switch refusal, refused := errors.AsType[*PhaseError](err); {
	case ctx.Err() != nil:
		return true
	case refused:
		p.failed(p.giveUp(ctx, rec, refusal, false))
		return true
	case err != nil:
		waiting = err.Error()
		e.trouble(Error, "phase", fmt.Sprintf("The change of the phase to %s cannot go on: %s", rec.Wanted, waiting),
			"It is tried again; to take it back: caiatop phase set "+rec.Name)
	}
	if before := e.phased.detail.Swap(&waiting); before == nil || *before != waiting {
		e.touch()
	}
	if waiting != "" {
		return false
	}
	p.wait = 0
	if now := e.o.State.Phase(); now.Wanted == "" {
		p.finish(ctx, rec)
	}
	return true
}

// failed tells trouble of taking back a change.
func (p *phases) failed(err error) {
	if err != nil {
		p.e.trouble(Error, "phase", "The change of the phase could not be taken back: "+err.Error(), "It is tried again; look at the disk that holds the state folder")
	}
}

// step does what the recorded step says. It returns what has to be waited
// for, "" if the next step is recorded.
func (p *phases) step(ctx context.Context, rec state.Phase) (waiting string, err error) {
	e := p.e
	from, to := Phase(rec.Name), Phase(rec.Wanted)
	comes, goes := to.stores().without(from.stores()), from.stores().without(to.stores())
	if err := e.attachParts(p.run, comes); err != nil {
		return "", err
	}
	// Also while draining: what was whole a moment ago may be so no more.
	if waiting, err := e.attachedWhole(ctx, from, to, comes); waiting != "" || err != nil {
		return waiting, err
	}
	if rec.Step == stepAttaching {
		rec.Step, rec.Begun = stepDraining, e.o.Now()
		return "", e.o.State.SetPhase(ctx, rec, state.With{})
	}
	if waiting, err := e.drained(ctx, rec, goes); waiting != "" || err != nil {
		return waiting, err
	}
	// The copies stay held by the outbox until the transaction is through.
	e.endParts(goes)
	with := e.letGo(goes)
	next := state.Phase{Name: rec.Wanted, Since: e.o.Now(), Configured: e.regarded(rec), Begun: rec.Begun}
	if err := e.o.State.SetPhase(context.WithoutCancel(ctx), next, with); err != nil {
		e.resumeParts(p.run, goes)
		return "", fmt.Errorf("state file: %w", err)
	}
	return "", nil
}

// regarded is what counts as regarded of the configuration from now on.
func (e *Engine) regarded(rec state.Phase) string {
	if e.o.Phase != "" {
		return string(e.o.Phase)
	}
	return rec.Configured
}

// resumeParts starts stores again that could not be left.
func (e *Engine) resumeParts(ctx context.Context, list storeSet) {
	if list.govc {
		e.runPart(ctx, &e.phased.govc, e.prober.Run, e.runPrimary)
	}
	if list.git {
		e.runPart(ctx, &e.phased.git, func(ctx context.Context) { e.runGit(ctx, gitFollow) })
	}
	if list.kept {
		e.runPart(ctx, &e.phased.kept, e.runKept)
	}
}

// finish tells that a change is through, and tidies up.
func (p *phases) finish(ctx context.Context, was state.Phase) {
	e, from, to := p.e, Phase(was.Name), Phase(was.Wanted)
	gone := from.stores().without(to.stores())
	err := e.forgetParts(ctx, gone)
	text := fmt.Sprintf("The phase is %s now, before it was %s", to, from)
	for _, replica := range gone.replicas() {
		seq, _ := e.o.State.Cursor(replica)
		text += fmt.Sprintf("; %s was left at operation %d", replica, seq)
	}
	e.event(Info, "phase", text, "")
	if err != nil && ctx.Err() == nil {
		e.trouble(Warning, "phase", "What the phase before had could not be tidied up: "+err.Error(), "Nothing is lost; it is tidied up at the next start")
	}
	p.told = ""
	p.answer(nil)
	e.appended()
}

// giveUp takes a change back: the phase in effect stays, and the stores that
// only the other one has are left. for asked, that is what was asked for.
func (p *phases) giveUp(ctx context.Context, rec state.Phase, why *PhaseError, asked bool) error {
	e := p.e
	gone := Phase(rec.Wanted).stores().without(Phase(rec.Name).stores())
	e.endParts(gone)
	// What the configuration asks for is tried again at the next start, unless a
	// person said no.
	if err := p.record(ctx, rec, e.letGo(gone), asked || rec.Asked == askedByOperator); err != nil {
		return err
	}
	tidy := e.forgetParts(ctx, gone)
	if asked {
		e.event(Info, "phase", fmt.Sprintf("The change of the phase to %s was taken back; it stays %s", rec.Wanted, rec.Name), "")
	} else {
		e.event(Error, "phase", "Refused: "+why.Error(), why.Next)
	}
	p.told = ""
	p.answer(why)
	return tidy
}

// record makes the phase in effect the one that nothing follows.
func (p *phases) record(ctx context.Context, rec state.Phase, with state.With, regarded bool) error {
	next := state.Phase{Name: rec.Name, Since: rec.Since, Configured: rec.Configured, Begun: rec.Begun}
	if regarded {
		next.Configured = p.e.regarded(rec)
	}
	if err := p.e.o.State.SetPhase(context.WithoutCancel(ctx), next, with); err != nil {
		return fmt.Errorf("state file: %w", err)
	}
	p.e.touch()
	return nil
}

// answer tells whoever waits what came of it.
func (p *phases) answer(err error) {
	for _, r := range slices.Backward(p.waiters) {
		r.reply <- err
	}
	p.waiters = nil
}
