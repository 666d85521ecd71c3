package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/caiatech/caiatop/backend/store"
)

// metaReady is written to see whether the state file takes writes again.
const metaReady = "ready"

// MetricsSince returns when the window of Stats.Ops begins.
func (e *Engine) MetricsSince() time.Time { return e.o.Recorder.Since() }

// Ready returns nil if a write can be acknowledged now. The error wraps
// ErrClosing, store.ErrUnavailable or what the state file says. After a write
// that failed, the state file is tried here: whoever asks may hold writes back
// for as long as the answer is no.
func (e *Engine) Ready(ctx context.Context) error {
	if e.closing.Load() {
		return ErrClosing
	}
	select {
	case <-e.adopted:
	default:
		return fmt.Errorf("%w: the index is still being filled from git", store.ErrUnavailable)
	}
	if full := e.o.State.Summary().PayloadBytes; full >= MaxOutboxBytes {
		return fmt.Errorf("%w: the outbox holds %d bytes, the most it takes", store.ErrUnavailable, full)
	}
	if err := e.roomToKeep(); err != nil {
		return err
	}
	if e.replicaError(stateFile) == "" {
		return nil
	}
	if err := e.o.State.SetMeta(ctx, metaReady, e.o.Now().UTC().Format(time.RFC3339)); err != nil {
		return fmt.Errorf("state file: %w", err)
	}
	return nil
}
