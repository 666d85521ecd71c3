package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/state"
	"github.com/caiatech/caiatop/backend/store"
)

// releaseAbove is the size of a library in bytes from which the memory that a
// copy needed is given back at once (32 MiB).
const releaseAbove = 32 << 20

// snapshotPage is how many documents a snapshot copies at a time.
const snapshotPage = govcBatchOps

// stepReseeding copies every document to a primary that lost its data, writes
// the marker that declares it whole, and leads to the replay of what came
// meanwhile. Nothing the primary holds is overwritten unless it is ours.
func (e *Engine) stepReseeding(ctx context.Context) *verdict {
	for ctx.Err() == nil {
		v, err := e.reseed(ctx)
		if err == nil {
			return v
		}
		if v := e.judgeReseed(ctx, err); v != nil {
			return v
		}
	}
	return nil
}

// judgeReseed is judge, but that a repository which vanishes while it is
// refilled only means to begin again.
func (e *Engine) judgeReseed(ctx context.Context, err error) *verdict {
	if errors.Is(err, store.ErrIdentity) {
		if why := e.breaker.report(e.o.Now(), true); why != "" {
			return unreachable(why + ", the last one: " + err.Error())
		}
		return nil
	}
	return e.judge(ctx, err)
}

func (e *Engine) reseed(ctx context.Context) (*verdict, error) {
	if _, err := e.o.Primary.EnsureRepo(ctx); err != nil {
		return nil, err
	}
	if err := e.takeNewer(ctx); err != nil {
		return nil, err
	}
	// Whatever is appended from here on is replayed after the copy. That a copy
	// was begun is recorded first: a crash leads back here.
	if err := e.o.State.SetMeta(ctx, metaRefill, "begun"); err != nil {
		return nil, local(err)
	}
	through, err := e.hold(ctx, primaryReplica)
	if err != nil {
		return nil, local(err)
	}
	if err := e.takeAhead(ctx); err != nil {
		return nil, err
	}
	total := e.o.State.Summary().Documents
	e.mu.Lock()
	e.view.refillFrom = through
	e.mu.Unlock()
	e.setProgress("comparing documents with govc, and copying", total)
	defer e.clearProgress()
	started, before := e.o.Now(), e.written
	compared, parked, err := e.copyAll(ctx)
	if err != nil {
		return nil, err
	}
	copied := e.written - before
	if err := e.copyDeletes(ctx, through); err != nil {
		return nil, err
	}
	gone, err := e.copyGone(ctx)
	if err != nil {
		return nil, err
	}
	marked, err := e.raiseEpoch(ctx)
	if err != nil {
		return nil, err
	}
	missing, err := e.parkAll(ctx, parked, through)
	if err == nil {
		err = e.recordTip(ctx, marked)
	}
	if err != nil {
		return nil, err
	}
	if err := e.o.State.SetMeta(ctx, metaRefill, ""); err != nil {
		return nil, local(err)
	}
	e.govcMark.reset(through)
	e.setReplicaError(primaryReplica, nil) // it has been looked at
	e.mu.Lock()
	clear(e.missing)
	e.mu.Unlock()
	if e.o.State.Summary().Bytes > releaseAbove {
		debug.FreeOSMemory() // the copy leaves much behind that is not needed again
	}
	text := fmt.Sprintf("Compared %s with govc and copied %s in %s", count(compared, "document"), number(copied), roundDuration(e.o.Now().Sub(started)))
	if copied == compared {
		text = fmt.Sprintf("Copied %s to govc in %s", count(copied, "document"), roundDuration(e.o.Now().Sub(started)))
	}
	if gone > 0 {
		text += fmt.Sprintf("; deleted %s there again that were deleted here", number(gone))
	}
	level, next := Info, ""
	if missing > 0 {
		level, next = Error, missingAdvice
		text += fmt.Sprintf("; found in no store: %s of the index", count(missing, "document"))
	}
	e.event(level, "reseed", text, next)
	return &verdict{to: StateReplaying, reason: "the service was refilled"}, nil
}

// hold makes the outbox keep everything after the newest operation, for a
// replica that is about to take a snapshot, and returns that operation. A
// replica with a cursor has that held already.
func (e *Engine) hold(ctx context.Context, replica string) (through int64, err error) {
	for {
		through = e.o.State.Summary().MaxSeq
		if _, attached := e.o.State.Cursor(replica); attached {
			return through, nil
		}
		err := e.o.State.Attach(ctx, replica, through)
		if !errors.Is(err, state.ErrTrimmed) {
			return through, err
		}
	}
}

// copyAll makes the primary hold every document of the index, in the order of
// identities, and returns how many it holds.
func (e *Engine) copyAll(ctx context.Context) (held int64, parked []state.Parked, err error) {
	after := ""
	for {
		rows, err := e.o.State.Scan(ctx, after, snapshotPage)
		if err != nil {
			return 0, nil, local(err)
		}
		if len(rows) == 0 {
			return held, parked, nil
		}
		list := make([]wanted, 0, len(rows))
		for _, row := range rows {
			list = append(list, snapshotOf(row))
		}
		_, aside, err := e.bring(ctx, list)
		if err != nil {
			return 0, nil, err
		}
		parked = append(parked, aside...)
		held += int64(len(rows) - len(aside))
		e.advanceProgress(int64(len(rows)))
		after = rows[len(rows)-1].ID.String()
	}
}

// copyDeletes carries out the deletes among the pending operations up to
// through, which a copy of what exists leaves out.
func (e *Engine) copyDeletes(ctx context.Context, through int64) error {
	for after := e.govcMark.now(); after < through; {
		rows, err := e.o.State.Next(ctx, after, govcBatchOps, govcBatchBytes)
		if err != nil {
			return local(err)
		}
		if len(rows) == 0 {
			return nil
		}
		after = rows[len(rows)-1].Seq
		list := slices.DeleteFunc(fold(rows), func(w wanted) bool { return !w.newest.Delete || w.newest.Seq > through })
		if _, _, err := e.bring(ctx, list); err != nil {
			return err
		}
	}
	return nil
}

// parkAll moves the primary's cursor to through and records what could not be
// brought up to there. What came later is met again by the replay.
func (e *Engine) parkAll(ctx context.Context, parked []state.Parked, through int64) (missing int, err error) {
	parked = slices.DeleteFunc(parked, func(p state.Parked) bool { return p.Seq > through })
	// What was set aside before was given another chance by the copy.
	if err := e.o.State.Unpark(ctx, primaryReplica); err != nil {
		return 0, local(err)
	}
	if err := e.o.State.Advance(ctx, state.Advance{Store: primaryReplica, Seq: through, Park: parked}); err != nil {
		return 0, local(err)
	}
	for _, p := range parked {
		if p.Reason == parkedMissing {
			missing++
		}
	}
	e.tellParked(parked)
	return missing, nil
}

// toldParked bounds the events about one batch of operations set aside.
const toldParked = 10

// missingAdvice says what to do about documents that no store has.
const missingAdvice = "Bring back a copy: the git folder or the service from a backup, or the documents by importing them again"

// parkedAdvice says what to do about an operation that govc did not take.
func (e *Engine) parkedAdvice(reason string) string {
	where := "git"
	if !e.hasGit() {
		where = "the copies that the state file keeps"
	}
	switch reason {
	case parkedTooLarge:
		return "It is safe in " + where + "; make it smaller, or raise the limit of the service, and write it again"
	case parkedMissing:
		return missingAdvice
	}
	return "It is safe in " + where + "; it is tried again when the service comes back, or write it again"
}

func (e *Engine) tellParked(parked []state.Parked) {
	for i, p := range parked {
		if i == toldParked {
			e.event(Warning, "parked", fmt.Sprintf("%s more documents are set aside at govc", number(len(parked)-toldParked)), "List the documents: the column govc shows them")
			return
		}
		e.event(Warning, "parked", fmt.Sprintf("%q is set aside at govc (%s): %s", p.ID, p.Reason, p.Detail), e.parkedAdvice(p.Reason))
	}
}

// inbound records somebody else's version of a document: doc as origin holds
// it, nil if it was deleted there. If the index does not hold the version expect
// any more (zero for none), nothing is recorded and the error wraps
// store.ErrConflict: an operation of ours is never folded over.
func (e *Engine) inbound(ctx context.Context, key store.Key, doc *document.Document, origin string, expect document.Hash) error {
	op := state.Operation{OpID: e.o.NewID(), Key: key, Doc: doc, At: e.o.Now(), Origin: origin, Expect: &expect}
	if doc != nil {
		hash, err := doc.Hash()
		if err != nil {
			return local(err)
		}
		op.Hash = hash
	}
	return e.appendOwn(ctx, op)
}
