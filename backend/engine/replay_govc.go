package engine

import (
	"context"
	"fmt"
	"time"
)

// stepReplaying sends what the primary lacks until nothing is left.
func (e *Engine) stepReplaying(ctx context.Context) *verdict {
	for ctx.Err() == nil {
		err := e.takeAhead(ctx)
		if err == nil {
			break
		}
		if v := e.judge(ctx, err); v != nil {
			return v
		}
	}
	pending, target, conflicts := e.lag(primaryReplica), e.o.State.Summary().MaxSeq, e.conflicts.Load()
	started := e.o.Now()
	sent := int64(0)
	e.setProgress("sending pending operations to govc", pending)
	defer e.clearProgress()
	if err := e.retryRefused(ctx); err != nil {
		return e.judge(ctx, err)
	}
	for ctx.Err() == nil {
		n, err := e.govcRound(ctx)
		if err != nil {
			if v := e.judge(ctx, err); v != nil {
				return v
			}
			continue
		}
		sent += n
		e.advanceProgress(n)
		// Writes that keep coming do not keep the state: what was pending has
		// arrived, and the rest is no more than PRIMARY sends at a time.
		if n == 0 || (e.govcMark.now() >= target && e.lag(primaryReplica) < govcBatchOps) {
			e.breaker.clear()
			e.setReplicaError(primaryReplica, nil)
			if sent > 0 {
				e.tellReplay(sent, started, e.conflicts.Load()-conflicts)
			}
			return &verdict{to: StatePrimary, reason: "the service has caught up"}
		}
	}
	return nil
}

// tellReplay records what a replay did.
func (e *Engine) tellReplay(sent int64, started time.Time, conflicts int64) {
	text := fmt.Sprintf("Replayed %s operations to govc in %s", number(sent), roundDuration(e.o.Now().Sub(started)))
	if conflicts == 0 {
		e.event(Info, "replay", text+", without a conflict", "")
		return
	}
	e.event(Warning, "replay", fmt.Sprintf("%s, with %s", text, count(conflicts, "conflict")), "Look at the events before this one: each conflict names its copy")
}
