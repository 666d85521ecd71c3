package engine

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/state"
	"github.com/caiatech/caiatop/backend/store"
)

// Names of the replicas, as their cursors are kept in the state file.
const (
	primaryReplica = "govc"
	gitReplica     = "git"
	textReplica    = "text"
)

// readers is how many documents are read at the primary at once.
const readers = 8

// Reasons for which an operation is set aside.
const (
	parkedTooLarge = "too large"
	parkedRefused  = "refused"
	parkedMissing  = "missing"
)

// wanted is what one document's pending operations fold into: the state that
// the primary is to hold, and the versions it may hold instead that are ours.
type wanted struct {
	newest state.Outgoing
	base   document.Hash
	ours   map[document.Hash]struct{}
	parts  parts // of those whose content was looked at, see addEarlier
}

// isOurs reports whether the primary may be overwritten where it holds h.
func (w wanted) isOurs(h document.Hash) bool {
	_, issued := w.ours[h]
	return issued || h == w.base
}

// over are the versions that the primary may lose to what is wanted.
func (w wanted) over() []document.Hash {
	return append(slices.Collect(maps.Keys(w.ours)), w.base)
}

// fold keeps the newest operation of each document, in the order in which the
// documents first appear. Operations that came from the primary are not sent
// back to it.
func fold(rows []state.Outgoing) []wanted {
	var out []wanted
	at := make(map[document.ID]int, len(rows))
	for _, row := range rows {
		i, seen := at[row.Key.ID]
		if !seen {
			i = len(out)
			at[row.Key.ID] = i
			out = append(out, wanted{base: row.Base, ours: map[document.Hash]struct{}{}})
		}
		out[i].newest = row
		if !row.Delete {
			out[i].ours[row.Hash] = struct{}{}
		}
	}
	return slices.DeleteFunc(out, func(w wanted) bool { return w.newest.Origin == primaryReplica })
}

// govcRound carries the next pending operations to the primary and returns how
// many it passed, 0 if none are pending.
func (e *Engine) govcRound(ctx context.Context) (int64, error) {
	if e.lag(primaryReplica) == 0 {
		return e.repairRound(ctx)
	}
	through := e.o.State.Summary().MaxSeq
	rows, err := e.o.State.Next(ctx, e.govcMark.now(), e.batchOps, govcBatchBytes)
	if err != nil {
		return 0, local(err)
	}
	if len(rows) == 0 {
		// What was issued up to here has left the outbox again.
		e.govcMark.pass(through, "")
		return 0, nil
	}
	commit, parked, err := e.bring(ctx, fold(rows))
	e.pace(err)
	if err != nil {
		return 0, err
	}
	last := rows[len(rows)-1].Seq
	advance := func() error {
		// What is done is recorded at the end of the engine, too: else the next
		// start does it again.
		return local(e.o.State.Advance(context.WithoutCancel(ctx), state.Advance{Store: primaryReplica, Seq: last, Park: parked, Tip: e.recordable(commit)}))
	}
	if len(parked) > 0 {
		// Before callers are woken: what was set aside is not at the primary.
		if err := advance(); err != nil {
			return 0, err
		}
		e.govcMark.pass(last, commit)
		e.tellParked(parked)
	} else {
		// Callers are woken before the cursor is written: the operations are at
		// the primary and read back, and the cursor is a hint that replay corrects.
		e.govcMark.pass(last, commit)
		if err := advance(); err != nil {
			return 0, err
		}
	}
	e.setReplicaError(primaryReplica, nil)
	e.touch()
	return int64(len(rows)), nil
}

// pace halves the batches for a service that does not finish one in time, and
// lets them grow again.
func (e *Engine) pace(err error) {
	switch {
	case err == nil:
		e.batchOps = min(2*e.batchOps, govcBatchOps)
	case errors.Is(err, context.DeadlineExceeded):
		e.batchOps = max(e.batchOps/2, govcBatchLeast)
	}
}

// bring makes the primary hold what is wanted, unless it holds somebody else's
// version. Documents go out in batches of at most govcBatchBytes.
func (e *Engine) bring(ctx context.Context, list []wanted) (commit string, parked []state.Parked, err error) {
	var ops []store.Op
	var todo []wanted
	size := int64(0)
	flush := func() error {
		if len(ops) == 0 {
			return nil
		}
		newest, refused, err := e.send(ctx, ops, todo)
		if err != nil {
			return err
		}
		if newest != "" {
			commit = newest
		}
		parked = append(parked, refused...)
		ops, todo, size = nil, nil, 0
		return nil
	}
	for _, w := range list {
		op := store.Op{ID: w.newest.OpID, Key: w.newest.Key}
		if !w.newest.Delete {
			doc, aside, err := e.fitting(ctx, w)
			if err != nil {
				return "", nil, err
			}
			if aside != nil {
				parked = append(parked, *aside)
				continue
			}
			if doc == nil {
				continue // a later operation carries a newer version
			}
			op.Doc = doc
			if size += doc.Content.Size(); size > govcBatchBytes {
				if err := flush(); err != nil {
					return "", nil, err
				}
				size = doc.Content.Size()
			}
		}
		ops, todo = append(ops, op), append(todo, w)
	}
	if err := flush(); err != nil {
		return "", nil, err
	}
	return commit, parked, nil
}

// fitting returns the content of an operation, or why it is set aside, or
// neither if a newer version replaced it.
func (e *Engine) fitting(ctx context.Context, w wanted) (*document.Document, *state.Parked, error) {
	doc, err := e.payload(ctx, w.newest)
	switch {
	case errors.Is(err, store.ErrNotFound):
		row, lookup := e.o.State.Lookup(ctx, w.newest.Key.ID)
		if lookup != nil && !errors.Is(lookup, store.ErrNotFound) {
			return nil, nil, local(lookup)
		}
		if lookup != nil || row.Seq != w.newest.Seq {
			return nil, nil, nil
		}
		aside := e.park(w, parkedMissing, err)
		return nil, &aside, nil
	case err != nil:
		return nil, nil, local(err)
	}
	if err := e.o.Primary.Fits(doc); err != nil {
		aside := e.park(w, parkedTooLarge, err)
		return nil, &aside, nil
	}
	return &doc, nil, nil
}

// send writes one batch. Where the service does not guard what it holds against
// being overwritten, every document is compared there first.
func (e *Engine) send(ctx context.Context, ops []store.Op, todo []wanted) (commit string, parked []state.Parked, err error) {
	if !e.guarded() {
		if ops, todo, err = e.dropDone(ctx, ops, todo); err != nil {
			return "", nil, err
		}
	}
	if len(ops) == 0 {
		return "", nil, nil
	}
	return e.applyPrimary(ctx, ops, todo)
}

// guarded reports that the service replaces only versions that an operation
// names.
func (e *Engine) guarded() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.view.info.Guards()
}
