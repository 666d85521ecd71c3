package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/govc"
	"github.com/caiatech/caiatop/backend/state"
	"github.com/caiatech/caiatop/backend/store"
)

// takeAhead takes over what was written at the primary upon the commit that is
// recorded here: others wrote there, or this state is an earlier copy of the one
// that wrote it. What is pending here is left to the replay, which compares. A
// delete is taken over from the embedded service only, whose folder nobody else
// uses: elsewhere a document that is gone was never said to be deleted.
//
// It ends with the newest commit recorded; until then it is begun again, and
// changes nothing twice.
func (e *Engine) takeAhead(ctx context.Context) error {
	recorded := e.o.State.Tip(primaryReplica)
	if recorded == "" {
		return nil
	}
	tip, err := e.o.Primary.Tip(ctx)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	if err != nil {
		return err
	}
	e.noteTip(tip)
	if tip == recorded || tip == "" {
		return nil
	}
	if upon, err := e.o.Primary.Reaches(ctx, recorded); err != nil || !upon {
		return err // it went back: what it holds is compared as a whole
	}
	changes, complete, err := e.o.Primary.Changed(ctx, recorded, tip)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	if err != nil {
		return err
	}
	a := ahead{e: e, deletes: e.o.Embedded != nil}
	if !complete {
		if changes, err = e.listed(ctx); err != nil {
			return err
		}
	}
	if err := a.takeAll(ctx, changes); err != nil {
		return err
	}
	return e.recordTip(ctx, tip)
}

// listed is what the primary holds, as if all of it were new.
func (e *Engine) listed(ctx context.Context) (all []govc.Change, err error) {
	for entry, err := range e.o.Primary.List(ctx) {
		if err != nil {
			return nil, err
		}
		all = append(all, govc.Change{Key: entry.Key})
	}
	return all, nil
}

// ahead takes over changes in batches, and counts them.
type ahead struct {
	e                          *Engine
	deletes                    bool
	ops                        []state.Operation
	size                       int64 // of the content in ops
	taken, deleted, unreadable int
}

func (a *ahead) takeAll(ctx context.Context, changes []govc.Change) error {
	a.e.setProgress("taking over what is newer at govc", int64(len(changes)))
	defer a.e.clearProgress()
	for _, c := range changes {
		if err := a.take(ctx, c); err != nil {
			return err
		}
		a.e.advanceProgress(1)
	}
	if err := a.flush(ctx); err != nil {
		return err
	}
	if a.unreadable > 0 {
		a.e.event(Warning, "inbound", count(int64(a.unreadable), "document")+" that changed at govc cannot be read, and were not taken over",
			"Look at them at the service; what is written again with the same id replaces them")
	}
	if a.taken+a.deleted > 0 {
		text := fmt.Sprintf("Took over from govc what was written there after the commit that is recorded here: %s", count(int64(a.taken), "document"))
		if a.deleted > 0 {
			text += ", and " + count(int64(a.deleted), "delete")
		}
		a.e.event(Info, "inbound", text, "")
	}
	return nil
}

// take looks at one document that differs.
func (a *ahead) take(ctx context.Context, c govc.Change) error {
	row, err := a.e.o.State.Lookup(ctx, c.Key.ID)
	known := err == nil && !row.Deleted
	switch {
	case err != nil && !errors.Is(err, store.ErrNotFound):
		return local(err)
	case err == nil && row.Seq > a.e.govcMark.now():
		return nil // ours is on its way, and is compared
	case c.Deleted && !(known && a.deletes):
		return nil // and is not looked for: it is gone
	case known && row.Folder != c.Key.Folder:
		return nil // the one that the index knows lies elsewhere
	case known:
		aside, err := a.e.o.State.ParkedAt(ctx, c.Key.ID)
		if err != nil || len(aside) > 0 {
			return local(err) // ours never arrived
		}
	}
	doc, err := a.e.o.Primary.Get(ctx, c.Key)
	switch {
	case errors.Is(err, store.ErrNotFound):
		if known && c.Deleted && a.deletes {
			a.ops = append(a.ops, a.operation(c.Key, nil, document.Hash{}, row.Hash))
			a.deleted++
		}
		return a.full(ctx)
	case aboutDocument(err):
		a.unreadable++
		return nil
	case err != nil:
		return err
	}
	hash, err := doc.Hash()
	if err != nil {
		a.unreadable++
		return nil //nolint:nilerr // told with the others
	}
	expect := document.Hash{}
	if known {
		if expect = row.Hash; hash == row.Hash {
			return nil
		}
		w := snapshotOf(row)
		if err := a.e.addEarlier(ctx, &w); err != nil || w.isOurs(hash) {
			return err // it went back, and is written again when that is seen
		}
	}
	a.ops, a.size = append(a.ops, a.operation(c.Key, &doc, hash, expect)), a.size+doc.Content.Size()
	a.taken++
	return a.full(ctx)
}

func (a *ahead) operation(key store.Key, doc *document.Document, hash, expect document.Hash) state.Operation {
	return state.Operation{OpID: a.e.o.NewID(), Key: key, Doc: doc, Hash: hash, At: a.e.o.Now(), Origin: primaryReplica, Expect: &expect}
}

// full appends what there is if that is enough for a batch.
func (a *ahead) full(ctx context.Context) error {
	if len(a.ops) < govcBatchOps && a.size <= govcBatchBytes {
		return nil
	}
	return a.flush(ctx)
}

// flush appends what nobody has changed here meanwhile.
func (a *ahead) flush(ctx context.Context) error {
	_, err := a.e.appendNew(ctx, a.ops)
	a.ops, a.size = nil, 0
	return local(err)
}
