package engine

import (
	"context"
	"errors"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/store"
)

// dropDone reads every document at the primary and drops the operations that
// have nothing to do there, recording conflicts on the way.
func (e *Engine) dropDone(ctx context.Context, ops []store.Op, todo []wanted) ([]store.Op, []wanted, error) {
	drop := make([]bool, len(ops))
	var mu sync.Mutex // guards conflict handling: one at a time
	group, readCtx := errgroup.WithContext(ctx)
	group.SetLimit(readers)
	for i := range ops {
		group.Go(func() error {
			verdict, theirs, err := e.compare(readCtx, ops[i], todo[i])
			if err != nil {
				return err
			}
			drop[i] = verdict != write
			if verdict != foreign {
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			return e.conflict(readCtx, todo[i], ops[i], theirs)
		})
	}
	if err := group.Wait(); err != nil {
		return nil, nil, err
	}
	var keptOps []store.Op
	var keptTodo []wanted
	for i := range ops {
		if !drop[i] {
			keptOps, keptTodo = append(keptOps, ops[i]), append(keptTodo, todo[i])
		}
	}
	return keptOps, keptTodo, nil
}

// comparison is what reading a document at the primary found.
type comparison int

const (
	write   comparison = iota // absent, or an earlier version of ours
	done                      // already as wanted
	foreign                   // somebody else's version
)

// compare reads a document at the primary. A foreign version is believed only
// after a second read.
func (e *Engine) compare(ctx context.Context, op store.Op, w wanted) (comparison, document.Document, error) {
	for attempt := 0; ; attempt++ {
		theirs, err := e.o.Primary.Get(ctx, op.Key)
		switch {
		case errors.Is(err, store.ErrNotFound) && op.Doc == nil:
			return done, document.Document{}, nil
		case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrCorrupt), errors.Is(err, document.ErrInvalid):
			// Absent, or half of a write of ours that was torn: write it whole.
			return write, document.Document{}, nil
		case err != nil:
			return write, document.Document{}, err
		}
		hash, err := theirs.Hash()
		if err != nil {
			return write, document.Document{}, nil //nolint:nilerr // unreadable there: written whole
		}
		switch {
		case op.Doc != nil && hash == w.newest.Hash:
			return done, theirs, nil
		case w.isOurs(hash):
			return write, theirs, nil
		case attempt > 0:
			// One that was never carried here, as after one that was set aside.
			if err := e.addEarlier(ctx, &w); err != nil {
				return write, document.Document{}, err
			}
			if w.parts.mixes(theirs) {
				w.ours[hash] = struct{}{} // a write of ours that was torn is finished
			}
			if w.isOurs(hash) {
				return write, theirs, nil
			}
			return foreign, theirs, nil
		}
	}
}
