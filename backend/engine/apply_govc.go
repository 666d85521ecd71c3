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

// applyPrimary writes the operations and reads them back. What the service
// refuses for good, or fails at while it takes others, is found by applying
// the operations one by one, and returned as parked.
func (e *Engine) applyPrimary(ctx context.Context, ops []store.Op, todo []wanted) (commit string, parked []state.Parked, err error) {
	receipt, err := e.applyOnce(ctx, ops)
	if err == nil {
		e.noteWritten(ops, todo)
		return receipt.Commit, nil, nil
	}
	if len(ops) == 1 {
		if !e.refusal(err, todo[0]) {
			return "", nil, err
		}
		return "", []state.Parked{e.park(todo[0], parkedRefused, err)}, nil
	}
	if !refusedForGood(err) && (gone(err) || !e.healthUp()) {
		return "", nil, err
	}
	return e.applyEach(ctx, ops, todo)
}

// applyEach applies the operations one by one. Those that fail while others
// are taken are tried attemptsMost times and then set aside; if none is taken
// the service is to blame.
func (e *Engine) applyEach(ctx context.Context, ops []store.Op, todo []wanted) (commit string, parked []state.Parked, err error) {
	failed := make([]int, 0, len(ops))
	for i := range ops {
		failed = append(failed, i)
	}
	taken := false
	var last error
	for range attemptsMost {
		var again []int
		for _, i := range failed {
			receipt, err := e.applyOnce(ctx, ops[i:i+1])
			switch {
			case err == nil:
				e.noteWritten(ops[i:i+1], todo[i:i+1])
				taken = true
				if receipt.Commit != "" {
					commit = receipt.Commit
				}
			case refusedForGood(err):
				taken = true
				parked = append(parked, e.park(todo[i], parkedRefused, err))
			case gone(err) || ctx.Err() != nil:
				return "", nil, err
			default:
				again, last = append(again, i), err
			}
		}
		failed = again
		if !taken {
			return "", nil, last
		}
		if len(failed) == 0 {
			break
		}
	}
	for _, i := range failed {
		parked = append(parked, e.park(todo[i], parkedRefused, last))
	}
	return commit, parked, nil
}

// refusedForGood reports an error about the operation that no other attempt
// will change.
func refusedForGood(err error) bool {
	_, refused := errors.AsType[*govc.RefusedError](err)
	return refused || errors.Is(err, store.ErrTooLarge)
}

// gone reports an error about the service as a whole.
func gone(err error) bool {
	return errors.Is(err, store.ErrIdentity) || errors.Is(err, store.ErrUnauthorized) ||
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

func (e *Engine) applyOnce(ctx context.Context, ops []store.Op) (store.Receipt, error) {
	size := int64(0)
	trailers := make([]store.Trailer, 0, len(ops))
	for _, op := range ops {
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
	alone := e.ownTip
	e.ownTip = ""
	if err == nil {
		e.noteTip(receipt.Commit)
		if alone != "" {
			e.ownTip = cmp.Or(receipt.Commit, alone)
		}
		e.breaker.report(e.o.Now(), false)
	}
	return receipt, err
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
