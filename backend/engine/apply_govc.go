package engine

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/caiatech/caiatop/backend/govc"
	"github.com/caiatech/caiatop/backend/state"
	"github.com/caiatech/caiatop/backend/store"
	"github.com/caiatech/caiatop/probe"
)

// applyPrimary writes the operations and reads them back. Where the service
// holds something else than was expected, everything is compared and what may be
// written is tried once more. What the service refuses for good, or fails at
// while it takes others, is found by applying the operations one by one, and
// returned as parked.
func (e *Engine) applyPrimary(ctx context.Context, ops []store.Op, todo []wanted) (commit string, parked []state.Parked, err error) {
	commit, err = e.applyOnce(ctx, ops, todo)
	if errors.Is(err, store.ErrConflict) {
		var refused error
		if ops, todo, refused = e.dropDone(ctx, ops, todo); refused != nil {
			return "", nil, refused
		}
		if len(ops) == 0 {
			return commit, nil, nil
		}
		var again string
		again, err = e.applyOnce(ctx, ops, todo)
		commit = cmp.Or(again, commit)
	}
	if err == nil {
		return commit, nil, nil
	}
	if len(ops) == 1 {
		if !e.refusal(err, todo[0]) {
			return "", nil, err
		}
		return commit, []state.Parked{e.park(todo[0], parkedRefused, err)}, nil
	}
	if !refusedForGood(err) && (gone(err) || !e.healthUp()) {
		return "", nil, err
	}
	each := oneByOne{e: e, commit: commit}
	if err := each.apply(ctx, ops, todo); err != nil {
		return "", nil, err
	}
	return each.commit, each.parked, nil
}

// oneByOne applies operations that failed together.
type oneByOne struct {
	e      *Engine
	commit string // the newest that was made
	parked []state.Parked
	taken  bool  // the service took or refused one: it is not to blame
	last   error // of one that was not taken
}

// apply tries those that fail while others are taken attemptsMost times and
// then sets them aside; if none is taken the service is to blame.
func (o *oneByOne) apply(ctx context.Context, ops []store.Op, todo []wanted) error {
	failed := make([]int, 0, len(ops))
	for i := range ops {
		failed = append(failed, i)
	}
	for range attemptsMost {
		var again []int
		for _, i := range failed {
			done, err := o.one(ctx, ops[i], todo[i])
			if err != nil {
				return err
			}
			if !done {
				again = append(again, i)
			}
		}
		if failed = again; len(failed) == 0 {
			return nil
		}
		if !o.taken {
			return o.last
		}
	}
	for _, i := range failed {
		o.parked = append(o.parked, o.e.park(todo[i], parkedRefused, o.last))
	}
	return nil
}

// one compares again before it applies: the failure took time, in which others
// may have written, and a part of what failed may be there. It reports whether
// nothing is left to do. An error is about the service as a whole.
func (o *oneByOne) one(ctx context.Context, op store.Op, w wanted) (done bool, err error) {
	ops, todo, err := o.e.dropDone(ctx, []store.Op{op}, []wanted{w})
	if err == nil && len(ops) == 0 {
		return true, nil
	}
	commit := ""
	if err == nil {
		commit, err = o.e.applyOnce(ctx, ops, todo)
		o.commit = cmp.Or(commit, o.commit)
	}
	switch {
	case err == nil:
		o.taken = true
		return true, nil
	case errors.Is(err, errLocal):
		return false, err
	case refusedForGood(err):
		o.taken = true
		o.parked = append(o.parked, o.e.park(w, parkedRefused, err))
		return true, nil
	case gone(err) || ctx.Err() != nil:
		return false, err
	}
	o.last = err
	return false, nil
}

// refusedForGood reports an error about the operation that no other attempt
// will change.
func refusedForGood(err error) bool {
	_, refused := errors.AsType[*govc.RefusedError](err)
	return refused || errors.Is(err, store.ErrTooLarge)
}

// gone reports an error about the service as a whole.
func gone(err error) bool {
	return errors.Is(err, store.ErrIdentity) || errors.Is(err, store.ErrUnauthorized) || errors.Is(err, store.ErrDiskFull) ||
		(errors.Is(err, store.ErrUnavailable) && !errors.Is(err, store.ErrAmbiguous))
}

// refusal reports whether a single operation is to be set aside: it was refused
// for good, or attemptsMost attempts failed with a good probe before each.
func (e *Engine) refusal(err error, w wanted) bool {
	if refusedForGood(err) {
		return true
	}
	if gone(err) {
		return false
	}
	e.mu.Lock()
	health := e.view.health
	e.mu.Unlock()
	if e.failing.seq != w.newest.Seq {
		e.failing.seq, e.failing.count, e.failing.probed = w.newest.Seq, 0, time.Time{}
	}
	if health.Up && health.At.After(e.failing.probed) {
		e.failing.count++
		e.failing.probed = health.At
	}
	return e.failing.count >= attemptsMost
}

// applyOnce returns the commit that was made, also beside an error that is about
// some of the operations only.
func (e *Engine) applyOnce(ctx context.Context, ops []store.Op, todo []wanted) (commit string, err error) {
	size := int64(0)
	trailers := make([]store.Trailer, 0, len(ops))
	for i, op := range ops {
		ops[i].Over, ops[i].Hash = todo[i].over(), todo[i].newest.Hash
		if op.Doc != nil {
			size += op.Doc.Content.Size()
		}
		if op.ID != "" {
			trailers = append(trailers, store.Trailer{Key: trailerOp, Value: op.ID})
		}
	}
	ctx, cancel := context.WithTimeout(ctx, writeBudget+time.Duration(size>>20)*time.Second)
	defer cancel()
	started := e.o.Now()
	receipt, err := e.o.Primary.Apply(ctx, store.Batch{Ops: ops, Author: e.o.Author, At: started.UTC(), Trailers: trailers})
	took := e.o.Now().Sub(started)
	for _, op := range ops {
		kind := probe.Write
		if op.Doc == nil {
			kind = probe.Delete
		}
		e.o.Recorder.Observe(kind, probe.Govc, took, err)
	}
	e.tellSlow(slowCall{probe.Write, probe.Govc}, took)
	if err == nil {
		e.noteWritten(ops, todo)
		e.breaker.report(e.o.Now(), false)
	}
	e.noteTip(receipt.Commit)
	e.noteWindow(receipt.Window)
	e.written += int64(receipt.Written)
	return receipt.Commit, err
}

// noteWritten remembers the document that was written last, and that the ones
// written are no longer missing.
func (e *Engine) noteWritten(ops []store.Op, todo []wanted) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i, op := range ops {
		delete(e.missing, op.Key.ID)
		if op.Doc != nil {
			e.lastWritten = writtenDocument{op.Key, todo[i].newest.Hash}
		}
	}
}

func (e *Engine) park(w wanted, reason string, err error) state.Parked {
	return state.Parked{
		Store: primaryReplica, ID: w.newest.Key.ID, Seq: w.newest.Seq, OpID: w.newest.OpID,
		Reason: reason, Detail: err.Error(), At: e.o.Now(),
	}
}
