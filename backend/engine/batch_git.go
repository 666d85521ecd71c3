package engine

import (
	"context"
	"time"
)

// gitBatchEvery is how long git may wait for operations to be committed together
// in the phase primary, in which it is the backup; gitBatchOps or gitBatchBytes
// of them are committed at once.
const gitBatchEvery = 5 * time.Second

// awaitBatch waits, in the phase primary, until there is a batch for git.
func (e *Engine) awaitBatch(ctx context.Context) {
	for began := e.o.Now(); ctx.Err() == nil && e.batching(); {
		left := gitBatchEvery - e.o.Now().Sub(began)
		if left <= 0 {
			return
		}
		pause(ctx, left, e.wakeGit)
	}
}

// batching reports whether what git lacks may wait for more to come.
func (e *Engine) batching() bool {
	rec := e.o.State.Phase()
	lag := e.lag(gitReplica)
	return Phase(rec.Name) == PhasePrimary && rec.Wanted == "" && !e.closing.Load() &&
		lag > 0 && lag < gitBatchOps && e.phased.flushTo.Load() <= e.gitMark.now() &&
		e.o.State.Summary().PayloadBytes < gitBatchBytes
}

// flushGit has git take the operations up to seq without delay.
func (e *Engine) flushGit(seq int64) {
	for {
		before := e.phased.flushTo.Load()
		if before >= seq || e.phased.flushTo.CompareAndSwap(before, seq) {
			break
		}
	}
	signal(e.wakeGit)
}
