package engine

import (
	"context"
	"fmt"

	"github.com/caiatech/caiatop/backend/state"
	"github.com/caiatech/caiatop/backend/store"
)

// kept looks at the copies that a phase without git keeps of documents: whether
// each can be read and is the version of the index, and whether one is missing
// where there is to be one of every document.
func (v *verifier) kept(ctx context.Context) error {
	if !v.e.phased.kept.on.Load() {
		return nil
	}
	v.expect(PartKept, v.e.o.State.Summary().Kept)
	for after := ""; ; {
		page, err := v.e.o.State.KeptPage(ctx, after, snapshotPage)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			break
		}
		for _, c := range page {
			if err := v.keptCopy(ctx, c); err != nil {
				return err
			}
		}
		after = page[len(page)-1].ID.String()
		v.checked(PartKept, int64(len(page)))
		v.e.gate.yield(ctx, textYieldMost)
	}
	if v.e.o.State.Meta(metaKept) != keptAll {
		return nil // what the service delivers needs none
	}
	return v.unkept(ctx)
}

// keptCopy judges one copy. The copy of an earlier version is one that is
// about to be replaced.
func (v *verifier) keptCopy(ctx context.Context, c state.KeptCopy) error {
	doc, hash, err := v.e.o.State.Kept(ctx, c.ID)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err == nil {
		err = matches(doc, hash)
	}
	row, lookup := v.e.o.State.Lookup(ctx, c.ID)
	if err == nil || lookup != nil || row.Deleted || row.Hash != c.Hash {
		return nil //nolint:nilerr // nobody needs the copy of what is no more
	}
	return v.keepAgain(ctx, row, fmt.Sprintf("its copy cannot be used: %v", err))
}

// unkept looks for documents without a copy.
func (v *verifier) unkept(ctx context.Context) error {
	for after := ""; ; {
		rows, err := v.e.o.State.Unkept(ctx, after, snapshotPage)
		if err != nil || len(rows) == 0 {
			return err
		}
		for _, row := range rows {
			if row.Seq > v.e.keptMark.now() {
				continue // it is on its way
			}
			if now, err := v.e.o.State.Lookup(ctx, row.ID); err != nil || now.Seq != row.Seq {
				continue // written or deleted since
			}
			if err := v.keepAgain(ctx, row, "no copy of it is kept"); err != nil {
				return err
			}
		}
		after = rows[len(rows)-1].ID.String()
		v.e.gate.yield(ctx, textYieldMost)
	}
}

// keepAgain tells what is wrong with the copy of a document, and mends it with
// the version that another place has.
func (v *verifier) keepAgain(ctx context.Context, row state.Row, what string) error {
	f := Finding{Part: PartKept, Document: row.ID.String(), What: what, Next: repairAdvice}
	doc, err := v.e.anywhere(ctx, row, store.Key{ID: row.ID, Folder: row.Folder})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		f.Next = nowhereAdvice
	}
	mended := v.find(f)
	if err != nil || !v.o.Repair {
		return nil //nolint:nilerr // told as what to do
	}
	err = v.e.o.State.Keep(ctx, state.Keep{Put: []state.KeptCopy{{ID: row.ID, Seq: row.Seq, Hash: row.Hash, Size: row.Size, Doc: &doc}}})
	if err == nil {
		mended()
	}
	return err
}
