package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/backend/store"
)

const (
	// adoptPatience is how long documents that git holds may take to become
	// known, from the last one that did.
	adoptPatience = 15 * time.Second
	adoptEvery    = 5 * time.Millisecond
)

// awaitAdopted waits until a new state knows what git holds already. Before, a
// document that is there would be told as absent, and a list or an export of
// some documents as one of all.
func (l Local) awaitAdopted(ctx context.Context) error {
	if l.adopted.Load() {
		return nil
	}
	tick := time.NewTicker(adoptEvery)
	defer tick.Stop()
	patience := time.NewTimer(adoptPatience)
	defer patience.Stop()
	for known := l.engine.Stats().Documents; ; {
		err := l.engine.Ready(ctx)
		if errors.Is(err, engine.ErrClosing) {
			return nil // said by what is asked for
		}
		if !l.adopting(err) {
			l.adopted.Store(true)
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return apiError(fmt.Errorf("the documents that git holds are still being taken over: %w", ctx.Err()))
		case <-patience.C:
			return apiError(err)
		}
		if now := l.engine.Stats().Documents; now != known {
			known = now
			patience.Reset(adoptPatience)
		}
	}
}

// adopting reports whether err, of the engine's Ready, is about the documents
// that git holds: it comes before what else is not available, which is a full
// outbox.
func (l Local) adopting(err error) bool {
	return errors.Is(err, store.ErrUnavailable) && l.engine.Stats().Outbox.Bytes < engine.MaxOutboxBytes
}
