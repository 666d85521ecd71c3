package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/caiatech/caiatop/backend/state"
)

// absentMost is how many operations are kept for an embedded service that does
// not run. To send more takes about as long as to compare everything.
const absentMost = 100_000

// recordable is what is recorded of a commit that the primary made: the proof,
// later, that it lost nothing since. A service that forgets at its end proves
// nothing.
func (e *Engine) recordable(commit string) string {
	if e.o.Embedded != nil && !e.o.Embedded.Keeps() {
		return ""
	}
	return commit
}

// recordTip records a commit that moved no cursor.
func (e *Engine) recordTip(ctx context.Context, commit string) error {
	if commit = e.recordable(commit); commit == "" {
		return nil
	}
	return local(e.o.State.Advance(ctx, state.Advance{Store: primaryReplica, Tip: commit}))
}

// recordNewest records what the service has newest, where that can be told.
func (e *Engine) recordNewest(ctx context.Context) error {
	tip, err := e.o.Primary.Tip(ctx)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	if err != nil {
		return err
	}
	e.noteTip(tip)
	return e.recordTip(ctx, tip)
}

// wentBack reports whether the service lacks the commit that was recorded with
// the cursor: it was restored from an earlier copy, or lost its newest commits.
func (e *Engine) wentBack(ctx context.Context) (bool, error) {
	tip := e.o.State.Tip(primaryReplica)
	if tip == "" {
		return false, nil
	}
	reached, err := e.o.Primary.Reaches(ctx, tip)
	if errors.Is(err, errors.ErrUnsupported) {
		return false, nil
	}
	return err == nil && !reached, err
}

// detachPrimary lets go of the outbox for a primary that this engine does not
// talk to. Whichever service comes back later is compared as a whole. An
// embedded service that only rests keeps its place, as long as it does not miss
// too much.
func (e *Engine) detachPrimary(ctx context.Context) error {
	seq, attached := e.o.State.Cursor(primaryReplica)
	if e.o.Primary != nil || !attached || !e.phase().stores().git || (e.o.Rests && e.o.State.Summary().MaxSeq-seq <= e.o.absentMost) {
		return nil
	}
	if err := e.o.State.SetMeta(ctx, metaRefill, "detached"); err != nil {
		return fmt.Errorf("state file: %w", err)
	}
	return e.o.State.Detach(ctx, primaryReplica)
}
