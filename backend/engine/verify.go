package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/caiatech/caiatop/backend/document"
)

// ErrVerifying: a verification runs already.
var ErrVerifying = errors.New("a verification runs already")

const (
	// Settings of the state file: what runs, and what the last one found.
	metaVerifying = "verify.running"
	metaVerified  = "verify.last"

	verifyKind = "verify"

	// Documents a second that are read: here, from a service in this process, and
	// from one that others depend on as well.
	verifyHereRate  = 5000
	verifyThereRate = 500
	// MaxSample bounds VerifyOptions.Sample.
	MaxSample = 1_000_000

	// mendPatience is how long nothing may happen while something is mended, and
	// mendQuiet once nothing more is known to be under way.
	mendPatience = 20 * time.Second
	mendQuiet    = 500 * time.Millisecond
	mendLook     = 20 * time.Millisecond
)

// verification is the one that runs, or the last one.
type verification struct {
	mu     sync.Mutex
	report Verification
	cancel context.CancelFunc // nil: none runs
	done   chan struct{}      // closed when it ended
	over   bool               // the engine ends: none begins any more
}

// Verify begins to compare every part of the store with every other one. It
// returns at once; the work goes on until it is done, stopped or the engine
// ends, whoever asked for it. ErrVerifying if one runs, document.ErrInvalid for
// a sample below 0 or above MaxSample.
//
// Its reads are counted apart ("verify"), and let callers go first. Nothing is
// changed without Repair, but that damage of git's files, once seen, is mended
// by the engine as always.
func (e *Engine) Verify(ctx context.Context, o VerifyOptions) (Verification, error) {
	if o.Sample < 0 || o.Sample > MaxSample {
		return Verification{}, fmt.Errorf("verify: %w: a sample has 1 to %d documents", document.ErrInvalid, MaxSample)
	}
	r := &e.verify
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.over:
		return Verification{}, ErrClosing
	case r.cancel != nil:
		return r.report.clone(true), ErrVerifying
	}
	started := e.o.Now()
	// Recorded first: a process that ends in between says so at its next start.
	if err := e.o.State.SetMeta(ctx, metaVerifying, started.UTC().Format(time.RFC3339)); err != nil {
		return Verification{}, fmt.Errorf("verify: %w", err)
	}
	run, cancel := context.WithCancel(context.Background())
	r.report, r.cancel, r.done = newVerification(o, started), cancel, make(chan struct{})
	v := &verifier{e: e, o: o}
	e.start(func() { v.run(run) })
	return r.report.clone(true), nil
}

// Verification returns the verification that runs, or the last one.
func (e *Engine) Verification() Verification {
	e.verify.mu.Lock()
	defer e.verify.mu.Unlock()
	return e.verify.report.clone(true)
}

// StopVerification ends the one that runs, if any, and waits until it has ended.
func (e *Engine) StopVerification(ctx context.Context) error {
	e.verify.mu.Lock()
	cancel, done := e.verify.cancel, e.verify.done
	e.verify.mu.Unlock()
	if cancel == nil {
		return nil
	}
	cancel()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop the verification: %w", ctx.Err())
	}
}

// endVerification is part of the engine's end: nothing begins after it.
func (e *Engine) endVerification() {
	e.verify.mu.Lock()
	defer e.verify.mu.Unlock()
	e.verify.over = true
	if e.verify.cancel != nil {
		e.verify.cancel()
	}
}

// verifyStats is what Stats shows: no findings.
func (e *Engine) verifyStats() Verification {
	e.verify.mu.Lock()
	defer e.verify.mu.Unlock()
	return e.verify.report.clone(false)
}

// loadVerification takes over what the process before this one found, and tells
// of a verification that it did not finish.
func (e *Engine) loadVerification(ctx context.Context) error {
	e.verify.report.State = VerifyNone
	if kept := e.o.State.Meta(metaVerified); kept != "" {
		if err := json.Unmarshal([]byte(kept), &e.verify.report); err != nil {
			e.verify.report = Verification{State: VerifyNone}
			e.event(Warning, verifyKind, "What the last verification found cannot be read: "+err.Error(), "Run it again: caiatop verify")
		}
	}
	began := e.o.State.Meta(metaVerifying)
	if began == "" {
		return nil
	}
	e.event(Warning, verifyKind, "The verification of "+began+" was not finished: the process ended", "Run it again: caiatop verify")
	if err := e.o.State.SetMeta(ctx, metaVerifying, ""); err != nil {
		return fmt.Errorf("state file: %w", err)
	}
	return nil
}

// verifier is one run.
type verifier struct {
	e      *Engine
	o      VerifyOptions
	pace   pacer
	sample map[document.ID]struct{} // nil: all
}

// run looks at one part after the other. What keeps it from looking at one is
// written down as unknown, and the others are looked at all the same.
func (v *verifier) run(ctx context.Context) {
	e := v.e
	e.touch()
	for _, part := range []struct {
		name string
		look func(context.Context) error
	}{
		{PartState, v.stateFile},
		{PartOutbox, v.outbox},
		{PartGit, v.git},
		{PartIndex, v.index},
		{PartGovc, v.govc},
		{PartKept, v.kept},
		{PartText, v.text},
	} {
		if ctx.Err() != nil {
			break
		}
		v.change(func(r *Verification) { r.Part, r.part(part.name).State = part.name, "running" })
		err := v.prepare(ctx)
		if err == nil {
			err = part.look(ctx)
		}
		if err != nil && ctx.Err() == nil {
			v.unknown(part.name, err.Error())
		}
		v.change(func(r *Verification) {
			p := r.part(part.name)
			switch {
			case ctx.Err() != nil:
				p.State = "stopped"
			case p.Unknown != "" && p.Checked == 0 && p.Found == 0:
				p.State = "unknown"
			default:
				p.State = "done"
			}
		})
	}
	v.finish(ctx)
}

// prepare waits until the index knows what git holds, and chooses the sample.
func (v *verifier) prepare(ctx context.Context) error {
	select {
	case <-v.e.adopted:
	case <-ctx.Done():
		return ctx.Err()
	}
	if v.o.Sample == 0 || v.sample != nil {
		return nil
	}
	chosen := make([]document.ID, 0, min(v.o.Sample, 1024))
	seen := 0
	for after := ""; ; {
		rows, err := v.e.o.State.Scan(ctx, after, textBatchOps)
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			break
		}
		for _, row := range rows {
			seen++
			if len(chosen) < v.o.Sample {
				chosen = append(chosen, row.ID)
			} else if at := int(v.e.o.Rand() * float64(seen)); at < len(chosen) {
				chosen[at] = row.ID
			}
		}
		after = rows[len(rows)-1].ID.String()
	}
	v.sample = make(map[document.ID]struct{}, len(chosen))
	for _, id := range chosen {
		v.sample[id] = struct{}{}
	}
	return nil
}

// finish records and tells what came of it.
func (v *verifier) finish(ctx context.Context) {
	e := v.e
	// What is recorded at the end of the engine is recorded, too.
	keep, cancel := context.WithTimeout(context.WithoutCancel(ctx), second)
	defer cancel()
	var kept Verification
	v.change(func(r *Verification) {
		r.Part, r.Ended, r.State = "", e.o.Now(), VerifyDone
		if ctx.Err() != nil {
			r.State = VerifyStopped
		}
		kept = r.clone(true)
	})
	kept.Findings = kept.Findings[:min(len(kept.Findings), keptFindings)]
	data, err := json.Marshal(kept)
	if err == nil {
		err = errors.Join(e.o.State.SetMeta(keep, metaVerified, string(data)), e.o.State.SetMeta(keep, metaVerifying, ""))
	}
	if err != nil {
		e.setReplicaError("verification", fmt.Errorf("verification not recorded: %w", err))
	}
	level, text, next := verifyWords(&kept)
	e.event(level, verifyKind, text, next)
	e.verify.mu.Lock()
	e.verify.cancel()
	e.verify.cancel = nil
	close(e.verify.done)
	e.verify.mu.Unlock()
	e.touch()
}

// verifyWords says what a verification came to.
func verifyWords(r *Verification) (level Level, text, next string) {
	took := roundDuration(r.Ended.Sub(r.Started))
	if r.State == VerifyStopped {
		return Warning, fmt.Sprintf("The verification was stopped after %s; %d findings until then", took, r.Found), "Run it again: caiatop verify"
	}
	text, level = "Verified everything in "+took.String(), Info
	if r.Sample > 0 {
		text = fmt.Sprintf("Verified a sample of %d documents in %s", r.Sample, took)
	}
	switch {
	case r.Found == 0:
		text += ": nothing is wrong"
	case r.Good():
		text += fmt.Sprintf(": %d findings, all mended", r.Found)
	default:
		level = Warning
		text += fmt.Sprintf(": %d findings, %d mended", r.Found, r.Mended)
		next = "Read them: caiatop verify --last"
		if !r.Repair {
			next += "; mend what can be mended: caiatop verify --repair"
		}
	}
	if names := r.Unknown(); len(names) > 0 {
		text += "; not known as a whole: " + strings.Join(names, ", ")
	}
	return level, text, next
}
