package engine

import (
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
	rows, err := e.o.State.Next(ctx, e.govcMark.now(), govcBatchOps, govcBatchBytes)
	if err != nil {
		return 0, local(err)
	}
	if len(rows) == 0 {
		// The newest operations are gone with the documents they belonged to.
		e.govcMark.pass(e.o.State.Summary().MaxSeq, "")
		return 0, nil
	}
	commit, parked, err := e.bring(ctx, fold(rows), true)
	if err != nil {
		return 0, err
	}
	last := rows[len(rows)-1].Seq
	// Callers are woken before the cursor is written: the operations are at the
	// primary and read back, and the cursor is a hint that replay corrects.
	e.govcMark.pass(last, commit)
	if err := e.o.State.Advance(ctx, state.Advance{Store: primaryReplica, Seq: last, Park: parked}); err != nil {
		return 0, local(err)
	}
	for _, p := range parked {
		e.event(Warning, "parked", fmt.Sprintf("%q is set aside at govc (%s): %s", p.ID, p.Reason, p.Detail))
	}
	e.setReplicaError(primaryReplica, nil)
	e.touch()
	return int64(len(rows)), nil
}

// bring makes the primary hold what is wanted, unless it holds somebody else's
// version. With check, each document is read there before it is written.
func (e *Engine) bring(ctx context.Context, list []wanted, check bool) (commit string, parked []state.Parked, err error) {
	var ops []store.Op
	var todo []wanted
	for _, w := range list {
		op := store.Op{ID: w.newest.OpID, Key: w.newest.Key}
		if !w.newest.Delete {
			doc, err := e.payload(ctx, w.newest)
			if err != nil {
				parked = append(parked, e.park(w, parkedMissing, err))
				continue
			}
			if err := e.o.Primary.Fits(doc); err != nil {
				parked = append(parked, e.park(w, parkedTooLarge, err))
				continue
			}
			op.Doc = &doc
		}
		ops, todo = append(ops, op), append(todo, w)
	}
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
		return "", parked, nil
	}
	commit, refused, err := e.applyPrimary(ctx, ops, todo)
	return commit, append(parked, refused...), err
}

// aloneThere reports whether nobody has committed to the primary since our own
// last batch: then what it holds needs no comparison. Somebody's write between
// this look and our commit is the window that remains at a service without
// conditional writes.
func (e *Engine) aloneThere(ctx context.Context) (bool, error) {
	if e.ownTip == "" {
		return false, nil
	}
	tip, err := e.o.Primary.Tip(ctx)
	if errors.Is(err, errors.ErrUnsupported) {
		return false, nil
	}
	return tip == e.ownTip, err
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
			return foreign, theirs, nil
		}
	}
}

// applyPrimary writes the operations and reads them back. What the service
// refuses for good is found by applying the operations one by one, and
// returned as parked.
func (e *Engine) applyPrimary(ctx context.Context, ops []store.Op, todo []wanted) (commit string, parked []state.Parked, err error) {
	receipt, err := e.applyOnce(ctx, ops)
	if err == nil {
		e.noteWritten(ops, todo)
		return receipt.Commit, nil, nil
	}
	if !e.refusal(err, todo) {
		return "", nil, err
	}
	if len(ops) == 1 {
		return "", []state.Parked{e.park(todo[0], parkedRefused, err)}, nil
	}
	for i := range ops {
		one, refused, err := e.applyPrimary(ctx, ops[i:i+1], todo[i:i+1])
		if err != nil {
			return "", nil, err
		}
		parked = append(parked, refused...)
		if one != "" {
			commit = one
		}
	}
	return commit, parked, nil
}

// refusal reports whether an error is about the operations and not about the
// service: refused for good, or attemptsMost failures of the same operation
// while the probes were good.
func (e *Engine) refusal(err error, todo []wanted) bool {
	var refused *govc.RefusedError
	if errors.As(err, &refused) || errors.Is(err, store.ErrTooLarge) {
		return true
	}
	if errors.Is(err, store.ErrIdentity) || errors.Is(err, store.ErrUnauthorized) || !e.healthUp() {
		return false
	}
	first := todo[0].newest.Seq
	if e.failing.seq != first || e.failing.ops != len(todo) {
		e.failing.seq, e.failing.ops, e.failing.count = first, len(todo), 0
	}
	e.failing.count++
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
	e.ownTip = ""
	if err == nil {
		e.ownTip = receipt.Commit
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
	var list []wanted
	for _, id := range ids {
		row, err := e.o.State.Lookup(ctx, id)
		if err != nil || row.Deleted {
			continue
		}
		list = append(list, snapshotOf(row))
	}
	_, _, err := e.bring(ctx, list, true)
	if err != nil {
		return 0, err
	}
	e.mu.Lock()
	for _, id := range ids {
		if _, still := e.missing[id]; still {
			e.missing[id] = true // tried once; from here on it is only listed
		}
	}
	e.mu.Unlock()
	e.event(Warning, "missing", fmt.Sprintf("govc had lost %d documents; they were written again", len(list)))
	return int64(len(list)), nil
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
