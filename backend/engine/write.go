package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/gitrepo"
	"github.com/caiatech/caiatop/backend/state"
	"github.com/caiatech/caiatop/backend/store"
	"github.com/caiatech/caiatop/probe"
)

// ErrClosing refuses writes while the engine drains.
var ErrClosing = fmt.Errorf("%w: the engine is shutting down", store.ErrUnavailable)

// localReserve is the part of a write's budget that is kept for the way back.
const localReserve = 500 * time.Millisecond

// Put creates or overwrites documents, at most MaxBatch and each identity once.
// The time of creation is kept of a document that exists; where it is zero it
// is now, and the time of the update always is.
//
// When Put returns without error every document is durable on this machine.
// Errors wrap document.ErrInvalid, store.ErrDiskFull, store.ErrReadOnly or
// store.ErrUnavailable; then none of the documents was written. One that also
// wraps store.ErrAmbiguous (the disk failed at the wrong moment) leaves that
// open until the next start.
func (e *Engine) Put(ctx context.Context, docs ...document.Document) (Ack, error) {
	started := e.o.Now()
	ack, err := e.put(ctx, docs)
	e.observe(probe.Write, started, len(docs), err)
	return ack, err
}

func (e *Engine) put(ctx context.Context, docs []document.Document) (Ack, error) {
	if err := e.admit(ctx, len(docs)); err != nil {
		return Ack{}, err
	}
	if err := errors.Join(e.awaitAdopted(ctx), e.roomToKeep()); err != nil {
		return Ack{}, err
	}
	now := e.o.Now().UTC()
	ops := make([]state.Operation, 0, len(docs))
	seen := make(map[document.ID]struct{}, len(docs))
	for _, doc := range docs {
		if _, twice := seen[doc.ID]; twice {
			return Ack{}, fmt.Errorf("put %q: %w: it is given twice", doc.ID, document.ErrInvalid)
		}
		seen[doc.ID] = struct{}{}
		op, err := e.operation(ctx, doc, now, false)
		if err != nil {
			return Ack{}, fmt.Errorf("put: %w", err)
		}
		ops = append(ops, op)
	}
	return e.commit(ctx, ops)
}

// operation completes one document and computes what is recorded of it. whole
// says that it has everything that it is to have.
func (e *Engine) operation(ctx context.Context, doc document.Document, now time.Time, whole bool) (state.Operation, error) {
	row, err := e.o.State.Lookup(ctx, doc.ID)
	known := err == nil && !row.Deleted
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return state.Operation{}, err
	}
	if known && !whole {
		// What an edit does not know of must survive it.
		earlier, err := e.known(ctx, row)
		if err == nil {
			doc = doc.Inherit(earlier)
		}
	}
	if known {
		doc.CreatedAt = row.CreatedAt
	}
	if doc.CreatedAt.IsZero() {
		doc.CreatedAt = now
	}
	doc.CreatedAt, doc.UpdatedAt = doc.CreatedAt.UTC(), now
	if err := doc.Validate(); err != nil {
		return state.Operation{}, err
	}
	// Git would have to refuse it later, and everything behind it would wait.
	for _, data := range [][]byte{[]byte(doc.Content.Text), doc.Content.Raw} {
		if err := gitrepo.CheckContent(data); err != nil {
			return state.Operation{}, fmt.Errorf("%w: content of %q: %w", document.ErrInvalid, doc.ID, err)
		}
	}
	hash, err := doc.Hash()
	if err != nil {
		return state.Operation{}, err
	}
	return state.Operation{OpID: e.o.NewID(), Key: store.NewKey(e.o.Layout, doc), Doc: &doc, Hash: hash, At: now}, nil
}

// Delete removes documents, at most MaxBatch. An identity that does not exist
// is an error that wraps store.ErrNotFound, and then nothing is deleted. Git
// history keeps what was deleted.
func (e *Engine) Delete(ctx context.Context, ids ...document.ID) (Ack, error) {
	started := e.o.Now()
	ack, err := e.remove(ctx, ids)
	e.observe(probe.Delete, started, len(ids), err)
	return ack, err
}

func (e *Engine) remove(ctx context.Context, ids []document.ID) (Ack, error) {
	if err := e.admit(ctx, len(ids)); err != nil {
		return Ack{}, err
	}
	now := e.o.Now().UTC()
	ops := make([]state.Operation, 0, len(ids))
	seen := make(map[document.ID]struct{}, len(ids))
	for _, id := range ids {
		if _, twice := seen[id]; twice {
			continue
		}
		seen[id] = struct{}{}
		row, err := e.o.State.Lookup(ctx, id)
		if err == nil && row.Deleted {
			err = store.ErrNotFound
		}
		if err != nil {
			return Ack{}, fmt.Errorf("delete %q: %w", id, err)
		}
		ops = append(ops, state.Operation{OpID: e.o.NewID(), Key: store.Key{ID: id, Folder: row.Folder}, At: now})
	}
	return e.commit(ctx, ops)
}

// awaitAdopted waits until the index of a new state knows what git holds: a
// document that is there already keeps its folder and its time of creation.
func (e *Engine) awaitAdopted(ctx context.Context) error {
	select {
	case <-e.adopted: // in all but the first moments
		return nil
	default:
	}
	ctx, cancel := context.WithTimeout(ctx, e.o.Budget)
	defer cancel()
	select {
	case <-e.adopted:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: the documents that git holds are still being taken over: %w", store.ErrUnavailable, ctx.Err())
	}
}

// admit refuses what cannot be taken before anything is done.
func (e *Engine) admit(ctx context.Context, n int) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case e.closing.Load():
		return ErrClosing
	case n == 0:
		return fmt.Errorf("%w: nothing is given", document.ErrInvalid)
	case n > MaxBatch:
		return fmt.Errorf("%w: %s documents at once, the limit is %s", document.ErrInvalid, number(n), number(MaxBatch))
	case e.o.State.Summary().PayloadBytes > MaxOutboxBytes:
		return fmt.Errorf("%w: the outbox holds more than %d bytes that %s", store.ErrUnavailable, MaxOutboxBytes, e.whoLags())
	}
	return nil
}

// pushWaits is how many operations somebody's push may put before a write that
// waits for the primary: so many that the wait can be worth its while. Behind
// more of them a write is acknowledged as local at once.
const pushWaits = 1000

// commit is the acknowledgement point: what it returns without error is
// durable in the state file. While the primary is healthy it also waits for
// the primary's replicator, within the caller's budget.
func (e *Engine) commit(ctx context.Context, ops []state.Operation) (Ack, error) {
	return e.commitBy(ctx, ops, e.o.State.Append)
}

// commitBy is commit by another way into the state file.
func (e *Engine) commitBy(ctx context.Context, ops []state.Operation, enter func(context.Context, []state.Operation) ([]state.Issued, error)) (Ack, error) {
	deadline := e.o.Now().Add(e.o.Budget)
	e.gate.enter()
	started := e.o.Now()
	issued, err := enter(ctx, ops)
	e.tellSlow(slowCall{probe.Write, probe.State}, e.o.Now().Sub(started))
	e.gate.leave()
	e.noteAppend(ctx, err)
	if err != nil {
		return Ack{}, fmt.Errorf("state file: %w", err)
	}
	e.feedMemory(ops, issued)
	e.appended()
	ack := Ack{Durability: Local}
	last := int64(0)
	for i, op := range ops {
		ack.OpIDs = append(ack.OpIDs, op.OpID)
		last = max(last, issued[i].Seq)
	}
	stateCtx, healthy := e.waitContext()
	if !healthy || e.pushedTo.Load()-e.govcMark.now() > pushWaits {
		return ack, nil
	}
	wait, cancel := context.WithTimeout(ctx, deadline.Sub(e.o.Now())-localReserve)
	defer cancel()
	release := context.AfterFunc(stateCtx, cancel) // leaving the state ends the wait
	defer release()
	commit, passed := e.govcMark.wait(wait, last)
	ack.Conflicts = e.conflictsOf(ops, issued)
	if passed && len(ack.Conflicts) == 0 && !e.setAside(ctx, ops) {
		ack.Durability, ack.Commit = PrimaryAndLocal, commit
	}
	return ack, nil
}

// stateFile names the state file among the errors that are shown.
const stateFile = "state"

func stateFileAdvice(err error) string {
	switch {
	case errors.Is(err, store.ErrDiskFull):
		return "Free space on the disk that holds the state folder; reads go on, and writes are taken as soon as there is room"
	case errors.Is(err, store.ErrAmbiguous):
		return "Check the disk that holds the state folder, then start caiatop again"
	case errors.Is(err, store.ErrReadOnly):
		return "Make the state folder writable and start caiatop again; reads go on"
	}
	return "Look at the disk that holds the state folder; reads go on"
}

// noteAppend shows that writes cannot be taken, or can again.
func (e *Engine) noteAppend(ctx context.Context, err error) {
	if ctx.Err() != nil || errors.Is(err, store.ErrConflict) || errors.Is(err, document.ErrInvalid) {
		return // the caller's own
	}
	before := e.replicaError(stateFile)
	if err == nil && before == "" {
		return
	}
	e.setReplicaError(stateFile, err)
	switch {
	case before == "":
		e.event(Error, "state file", "Writes are refused: "+err.Error(), stateFileAdvice(err))
	case err == nil:
		e.event(Info, "state file", "Writes are taken again", "")
	}
}

// setAside reports whether the primary was passed by one of these operations
// without taking it, or whether that cannot be told.
func (e *Engine) setAside(ctx context.Context, ops []state.Operation) bool {
	if e.o.State.ParkedCount() == 0 {
		return false
	}
	for _, op := range ops {
		parked, err := e.o.State.ParkedAt(ctx, op.Key.ID)
		if err != nil {
			return true
		}
		for _, p := range parked {
			if p.OpID == op.OpID {
				return true
			}
		}
	}
	return false
}

// observe measures what a caller saw, once for each document.
func (e *Engine) observe(op probe.Op, started time.Time, n int, err error) {
	if errors.Is(err, document.ErrInvalid) || errors.Is(err, store.ErrNotFound) {
		return // the caller's mistake, not an operation
	}
	took := e.o.Now().Sub(started)
	for range n {
		e.o.Recorder.Observe(op, probe.Engine, took, err)
	}
	e.tellSlow(slowCall{op, probe.Engine}, took)
	if err == nil {
		e.writes.Add(uint64(n))
	}
	e.touch()
}
