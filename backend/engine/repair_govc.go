package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/state"
	"github.com/caiatech/caiatop/backend/store"
)

// repairRound writes documents again that the primary was seen to miss though
// it passed them. It returns how many it wrote.
func (e *Engine) repairRound(ctx context.Context) (int64, error) {
	e.mu.Lock()
	ids := make([]document.ID, 0, len(e.missing))
	for id, repaired := range e.missing {
		if !repaired {
			ids = append(ids, id)
		}
		if len(ids) == govcBatchOps {
			break
		}
	}
	e.mu.Unlock()
	if len(ids) == 0 {
		return 0, nil
	}
	list, err := e.repairs(ctx, ids)
	if err != nil {
		return 0, err
	}
	commit, parked, err := e.bring(ctx, list)
	if err == nil {
		err = e.recordTip(ctx, commit)
	}
	if err != nil {
		return 0, err
	}
	e.tellParked(parked)
	still := make(map[document.ID]bool, len(parked))
	for _, p := range parked {
		still[p.ID] = true
	}
	brought := slices.DeleteFunc(slices.Clone(ids), func(id document.ID) bool { return still[id] })
	e.mu.Lock()
	for _, id := range ids {
		if _, listed := e.missing[id]; listed {
			e.missing[id] = true // tried once; from here on it is only listed
		}
	}
	for _, id := range brought {
		delete(e.missing, id)
	}
	e.mu.Unlock()
	if len(brought) == 0 {
		return int64(len(ids)), nil
	}
	if err := e.o.State.Unpark(ctx, primaryReplica, brought...); err != nil {
		return 0, local(err)
	}
	e.event(Info, "missing", fmt.Sprintf("govc holds %s documents again that it had lost or refused", number(len(brought))), "")
	return int64(len(ids)), nil
}

// repairs is what the primary is to hold of documents that it lacks.
func (e *Engine) repairs(ctx context.Context, ids []document.ID) ([]wanted, error) {
	var list []wanted
	for _, id := range ids {
		row, err := e.o.State.Lookup(ctx, id)
		if errors.Is(err, store.ErrNotFound) {
			continue // deleted, and no store needs to know any more
		}
		if err != nil {
			return nil, local(err)
		}
		w := snapshotOf(row)
		w.newest.Delete = row.Deleted
		list = append(list, w)
	}
	return list, nil
}

// retryRefused gives operations that were refused before another chance: the
// service is back, and may have changed. So it does those whose content was in
// no store and can be delivered by now.
func (e *Engine) retryRefused(ctx context.Context) error {
	return e.retryParked(ctx, parkedRefused, parkedMissing)
}

// retryMissing is retryRefused for the content alone: git may have it again. It
// wakes the replicator.
func (e *Engine) retryMissing(ctx context.Context) error {
	if e.o.Primary == nil {
		return nil
	}
	if err := e.retryParked(ctx, parkedMissing); err != nil {
		return err
	}
	signal(e.wakeGovc)
	return nil
}

// retryParked marks documents to be written once more that were set aside for
// these reasons.
func (e *Engine) retryParked(ctx context.Context, reasons ...string) error {
	if e.o.State.ParkedCount() == 0 {
		return nil
	}
	parked, err := e.o.State.ParkedIn(ctx, primaryReplica, maxMissing)
	if err != nil {
		return local(err)
	}
	for _, p := range parked {
		if !slices.Contains(reasons, p.Reason) || (p.Reason == parkedMissing && !e.deliverable(ctx, p)) {
			continue
		}
		e.mu.Lock()
		if len(e.missing) < maxMissing {
			e.missing[p.ID] = false
		}
		e.mu.Unlock()
	}
	return nil
}

// deliverable reports whether some store on this side has the version that was
// set aside.
func (e *Engine) deliverable(ctx context.Context, p state.Parked) bool {
	row, err := e.o.State.Lookup(ctx, p.ID)
	if err != nil || row.Deleted || row.Seq != p.Seq {
		return false // a newer operation carries it, or carried it
	}
	_, err = e.payload(ctx, snapshotOf(row).newest)
	return err == nil
}

// snapshotOf is the wanted state of a document that has no pending operation.
func snapshotOf(row state.Row) wanted {
	return wanted{
		newest: state.Outgoing{
			Seq: row.Seq, Key: store.Key{ID: row.ID, Folder: row.Folder},
			Hash: row.Hash, Commit: row.Commit, At: row.UpdatedAt,
		},
		ours: map[document.Hash]struct{}{row.Hash: {}},
	}
}
