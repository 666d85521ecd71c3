package engine

import (
	"context"
	"sync/atomic"
	"time"
)

// Times of the gate: replicators that nobody waits for let callers go first.
const (
	quietFor      = 2 * time.Millisecond   // callers count as gone after this,
	gitYieldMost  = 100 * time.Millisecond // and are yielded to no longer than
	textYieldMost = 500 * time.Millisecond // these
)

// gate lets replicators yield to callers who append to the outbox.
type gate struct {
	active atomic.Int64 // callers appending now
	last   atomic.Int64 // time of the last append's end, ns since the epoch
	now    func() time.Time
}

func (g *gate) enter() { g.active.Add(1) }

func (g *gate) leave() {
	g.last.Store(g.now().UnixNano())
	g.active.Add(-1)
}

// yield waits until no caller has appended for quietFor, but no longer than
// limit.
func (g *gate) yield(ctx context.Context, limit time.Duration) {
	busy := func() bool {
		return g.active.Load() > 0 || time.Duration(g.now().UnixNano()-g.last.Load()) < quietFor
	}
	if !busy() {
		return
	}
	most := time.NewTimer(limit)
	defer most.Stop()
	look := time.NewTicker(quietFor)
	defer look.Stop()
	for busy() {
		select {
		case <-ctx.Done():
			return
		case <-most.C:
			return
		case <-look.C:
		}
	}
}

// pause waits for d, or until the context ends or something wakes it.
func pause(ctx context.Context, d time.Duration, wake <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-wake:
	}
}
