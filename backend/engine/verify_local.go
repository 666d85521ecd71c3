package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/state"
	"github.com/caiatech/caiatop/backend/store"
)

const (
	// rebuildAdvice is about a state file that cannot be trusted.
	rebuildAdvice = "End this engine and run: caiatop rebuild (it keeps the damaged file aside)"
	// nowhereAdvice is about a version that no store has.
	nowhereAdvice = "No store has it: bring back a copy of the git folder, or write the document again"
	repairAdvice  = "Run: caiatop verify --repair"
)

// stateFile looks whether the structure of state.db is whole, and whether the
// sums that it keeps are true.
func (v *verifier) stateFile(ctx context.Context) error {
	db := v.e.o.State
	v.expect(PartState, 2)
	defects, err := db.Defects(ctx)
	if err != nil {
		return err
	}
	for _, said := range defects {
		v.find(Finding{Part: PartState, What: "the file is damaged: " + said, Next: rebuildAdvice})
	}
	v.checked(PartState, 1)
	if len(defects) > 0 {
		return nil // sums of a damaged file mean nothing
	}
	kept, counted, known, err := db.CountSums(ctx)
	if err != nil {
		return err
	}
	if !known {
		v.unknown(PartState, "its sums change faster than they can be counted")
		return nil
	}
	v.checked(PartState, 1)
	if kept == counted {
		return nil
	}
	mended := v.find(Finding{
		Part: PartState, Next: repairAdvice,
		What: fmt.Sprintf("it counts %d documents, %d bytes and %d bytes in the outbox, but holds %d, %d and %d",
			kept.Documents, kept.Bytes, kept.Payload, counted.Documents, counted.Bytes, counted.Payload),
	})
	if !v.o.Repair {
		return nil
	}
	if err := db.MendSums(ctx); err != nil {
		return err
	}
	mended()
	return nil
}

// outbox reads every operation that is kept: whether it can be read, and whether
// its document is the version that it should be.
func (v *verifier) outbox(ctx context.Context) error {
	through := v.e.o.State.Summary().MaxSeq
	for after := int64(0); after < through; {
		ops, err := v.e.o.State.Inspect(ctx, after, snapshotPage)
		if err != nil {
			return err
		}
		if len(ops) == 0 {
			return nil
		}
		for _, op := range ops {
			if err := v.operation(ctx, op); err != nil {
				return err
			}
		}
		after = ops[len(ops)-1].Seq
		v.checked(PartOutbox, int64(len(ops)))
		v.e.gate.yield(ctx, textYieldMost)
	}
	return nil
}

// operation judges one operation of the outbox.
func (v *verifier) operation(ctx context.Context, op state.Inspected) error {
	what := ""
	switch {
	case op.Err != nil:
		what = fmt.Sprintf("operation %d cannot be read: %v", op.Seq, op.Err)
	case op.Delete:
		return nil
	case op.Doc != nil:
		if err := matches(*op.Doc, op.Hash); err != nil {
			what = fmt.Sprintf("operation %d: %v", op.Seq, err)
		}
	default: // its payload was let go once git had it
		if _, err := v.e.payload(ctx, op.Outgoing); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if !errors.Is(err, store.ErrNotFound) {
				return err
			}
			if still, err := v.carried(ctx, op); err != nil || !still {
				return err
			}
			v.find(Finding{
				Part: PartOutbox, Document: op.Key.ID.String(), Next: nowhereAdvice,
				What: fmt.Sprintf("operation %d: %v", op.Seq, err),
			})
		}
		return nil
	}
	if what == "" {
		return nil
	}
	f := Finding{Part: PartOutbox, What: what, Next: repairAdvice}
	if !op.Key.ID.IsZero() {
		f.Document = op.Key.ID.String()
	}
	doc, err := v.elsewhere(ctx, op)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		f.Next = "No store has that version, and it holds up what follows it. " + rebuildAdvice + ": every operation that can be read is kept"
	}
	mended := v.find(f)
	if err != nil || !v.o.Repair {
		return nil
	}
	did, err := v.e.o.State.MendPayload(ctx, op.Seq, op.Hash, doc)
	if err != nil {
		return err
	}
	if did {
		mended()
		v.e.appended()
	}
	return nil
}

// elsewhere finds the version of an operation that the outbox cannot deliver.
func (v *verifier) elsewhere(ctx context.Context, op state.Inspected) (document.Document, error) {
	if op.Key.ID.IsZero() || op.Hash.IsZero() || op.Key.Folder.IsZero() {
		return document.Document{}, store.ErrNotFound
	}
	return v.e.anywhere(ctx, state.Row{ID: op.Key.ID, Folder: op.Key.Folder, Hash: op.Hash, Commit: op.Commit}, op.Key)
}

// carried reports whether an operation is the newest one of its document: of an
// older one nobody needs the content.
func (v *verifier) carried(ctx context.Context, op state.Inspected) (bool, error) {
	row, err := v.e.o.State.Lookup(ctx, op.Key.ID)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil && row.Seq == op.Seq, err
}

// text compares the full-text index with the documents, and the other way
// round.
func (v *verifier) text(ctx context.Context) error {
	v.pace = pacer{rate: verifyHereRate, now: v.e.o.Now}
	if !v.e.isKnown(textReplica) {
		v.unknown(PartText, "it is being made")
		return nil
	}
	defects, err := v.e.o.Derived.Defects(ctx)
	if err != nil {
		return err
	}
	if len(defects) > 0 {
		return v.renewText(ctx, defects)
	}
	if err := v.textOfAll(ctx); err != nil {
		return err
	}
	return v.textOfNone(ctx)
}

// renewText makes a damaged index anew.
func (v *verifier) renewText(ctx context.Context, defects []string) error {
	mended := v.find(Finding{
		Part: PartText, Next: repairAdvice + ", or start again: it is made anew then",
		What: fmt.Sprintf("derived.db is damaged: %s (%d defects)", defects[0], len(defects)),
	})
	if !v.o.Repair {
		return nil
	}
	err := v.e.textWork.ask(ctx, func(ctx context.Context) error {
		if err := v.e.o.Derived.Renew(ctx, v.e.o.State.StateID()); err != nil {
			return err
		}
		return v.e.catchUpText(ctx)
	})
	if err != nil {
		return fmt.Errorf("make it anew: %w", err)
	}
	mended()
	return v.textOfAll(ctx)
}

// textOfAll finds documents that are not indexed as they are.
func (v *verifier) textOfAll(ctx context.Context) error {
	var ops []state.TextOp
	rows := map[document.ID]state.Row{}
	flush := func() error {
		outdated, err := v.e.o.Derived.Outdated(ctx, ops)
		if err != nil {
			return err
		}
		for _, id := range outdated {
			if err := v.mendText(ctx, rows[id]); err != nil {
				return err
			}
		}
		ops = ops[:0]
		clear(rows)
		return nil
	}
	err := v.each(ctx, PartText, func(row state.Row) error {
		if row.Seq > v.e.textMark.now() {
			return nil // it is on its way
		}
		doc, err := v.e.version(ctx, store.Key{ID: row.ID, Folder: row.Folder}, row.Hash, row.Commit)
		if errors.Is(err, store.ErrNotFound) {
			return nil // found where it should be
		}
		if err != nil {
			return err
		}
		ops, rows[row.ID] = append(ops, textOp(doc)), row
		if len(ops) == snapshotPage {
			return flush()
		}
		return nil
	})
	if err != nil {
		return err
	}
	return flush()
}

// mendText indexes one document as it is.
func (v *verifier) mendText(ctx context.Context, row state.Row) error {
	if still, err := v.still(ctx, row); err != nil || !still {
		return err
	}
	mended := v.find(Finding{
		Part: PartText, Document: row.ID.String(), Next: repairAdvice,
		What: "it is not indexed as it is: search does not find it by its words",
	})
	if !v.o.Repair {
		return nil
	}
	err := v.e.textWork.ask(ctx, func(ctx context.Context) error {
		now, err := v.e.o.State.Lookup(ctx, row.ID)
		if err != nil || now.Deleted || now.Seq > v.e.textMark.now() {
			return nil //nolint:nilerr // the outbox carries what is newer
		}
		doc, err := v.e.version(ctx, store.Key{ID: now.ID, Folder: now.Folder}, now.Hash, now.Commit)
		if err != nil {
			return err
		}
		return v.e.o.Derived.Mend(ctx, []state.TextOp{textOp(doc)})
	})
	if err != nil {
		return err
	}
	mended()
	return nil
}

// textOfNone finds what is indexed and is no document.
func (v *verifier) textOfNone(ctx context.Context) error {
	for after := ""; ; {
		ids, err := v.e.o.Derived.Indexed(ctx, after, snapshotPage)
		if err != nil || len(ids) == 0 {
			return err
		}
		for _, id := range ids {
			if err := v.textOfOne(ctx, id); err != nil {
				return err
			}
		}
		after = ids[len(ids)-1].String()
		v.e.gate.yield(ctx, textYieldMost)
	}
}

func (v *verifier) textOfOne(ctx context.Context, id document.ID) error {
	gone, err := v.textGone(ctx, id)
	if err != nil || !gone {
		return err
	}
	mended := v.find(Finding{Part: PartText, Document: id.String(), What: "it is indexed, and there is no such document", Next: repairAdvice})
	if !v.o.Repair {
		return nil
	}
	err = v.e.textWork.ask(ctx, func(ctx context.Context) error {
		if gone, err := v.textGone(ctx, id); err != nil || !gone {
			return err
		}
		return v.e.o.Derived.Mend(ctx, []state.TextOp{{ID: id, Delete: true}})
	})
	if err != nil {
		return err
	}
	mended()
	return nil
}

// textGone reports whether a document does not exist, and the text index knows
// everything that the outbox does of it.
func (v *verifier) textGone(ctx context.Context, id document.ID) (bool, error) {
	row, err := v.e.o.State.Lookup(ctx, id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return v.e.lag(textReplica) == 0, nil
	case err != nil:
		return false, err
	}
	return row.Deleted && row.Seq <= v.e.textMark.now(), nil
}
