package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/govc"
	"github.com/caiatech/caiatop/backend/state"
	"github.com/caiatech/caiatop/backend/store"
	"github.com/caiatech/caiatop/probe"
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
}

// isOurs reports whether the primary may be overwritten where it holds h.
func (w wanted) isOurs(h document.Hash) bool {
	_, issued := w.ours[h]
	return issued || h == w.base
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
	commit, parked, err := e.bring(ctx, fold(rows), true)
	e.pace(err)
	if err != nil {
		return 0, err
	}
	last := rows[len(rows)-1].Seq
	advance := func() error {
		return local(e.o.State.Advance(ctx, state.Advance{Store: primaryReplica, Seq: last, Park: parked}))
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
// version. With check, each document is compared there before it is written.
// Documents go out in batches of at most govcBatchBytes.
func (e *Engine) bring(ctx context.Context, list []wanted, check bool) (commit string, parked []state.Parked, err error) {
	var ops []store.Op
	var todo []wanted
	size := int64(0)
	flush := func() error {
		if len(ops) == 0 {
			return nil
		}
		newest, refused, err := e.send(ctx, ops, todo, check)
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

// send compares, unless nobody else can have written, and writes one batch.
func (e *Engine) send(ctx context.Context, ops []store.Op, todo []wanted, check bool) (string, []state.Parked, error) {
	if check {
		alone, err := e.aloneThere(ctx)
		if err != nil {
			return "", nil, err
		}
		if !alone {
			if ops, todo, err = e.dropDone(ctx, ops, todo); err != nil {
				return "", nil, err
			}
		}
	}
	if len(ops) == 0 {
		return "", nil, nil
	}
	return e.applyPrimary(ctx, ops, todo)
}

// aloneThere reports whether nobody has ever committed to the embedded service
// but this engine, since it filled it: then what it holds needs no comparison.
// Once anybody else has, everything is compared until the next fill.
func (e *Engine) aloneThere(ctx context.Context) (bool, error) {
	if e.ownTip == "" {
		return false, nil
	}
	tip, err := e.o.Primary.Tip(ctx)
	if tip != e.ownTip {
		e.ownTip = ""
	}
	return e.ownTip != "", err
}

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
			if w.isOurs(hash) {
				return write, theirs, nil
			}
			return foreign, theirs, nil
		}
	}
}

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
	alone := e.ownTip
	e.ownTip = ""
	if err == nil {
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
	_, parked, err := e.bring(ctx, list, true)
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
	e.event(Info, "missing", fmt.Sprintf("govc holds %d documents again that it had lost or refused", len(brought)))
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
		if err := e.addEarlier(ctx, &w); err != nil {
			return nil, err
		}
		list = append(list, w)
	}
	return list, nil
}

// retryRefused gives operations that were refused before another chance: the
// service is back, and may have changed.
func (e *Engine) retryRefused(ctx context.Context) error {
	if e.o.State.ParkedCount() == 0 {
		return nil
	}
	parked, err := e.o.State.ParkedIn(ctx, primaryReplica, maxMissing)
	if err != nil {
		return local(err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, p := range parked {
		if p.Reason == parkedRefused && len(e.missing) < maxMissing {
			e.missing[p.ID] = false
		}
	}
	return nil
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
