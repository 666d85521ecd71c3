package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/caiatech/caiatop/backend/state"
	"github.com/caiatech/caiatop/backend/store"
)

// keeping collects copies to be made at once.
type keeping struct {
	e       *Engine
	put     []state.KeptCopy
	size    int64
	missing int
	first   string // of what is missing
}

// take brings one document from wherever it is.
func (k *keeping) take(ctx context.Context, row state.Row) error {
	doc, err := k.e.anywhere(ctx, row, store.Key{ID: row.ID, Folder: row.Folder})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		now, lookup := k.e.o.State.Lookup(ctx, row.ID)
		switch {
		case lookup != nil && !errors.Is(lookup, store.ErrNotFound):
			return local(lookup)
		case lookup != nil || now.Seq != row.Seq:
			return nil // written or deleted meanwhile: the outbox carries it
		}
		if k.missing++; k.missing == 1 {
			k.first = row.ID.String()
		}
		return nil
	}
	k.put = append(k.put, state.KeptCopy{ID: row.ID, Seq: row.Seq, Hash: row.Hash, Doc: &doc})
	if k.size += doc.Content.Size(); len(k.put) == state.MaxKeep || k.size > keptBatchBytes {
		return k.flush(ctx)
	}
	return nil
}

func (k *keeping) flush(ctx context.Context) error {
	put := k.put
	k.put, k.size = nil, 0
	if len(put) == 0 {
		return nil
	}
	if s := k.e.o.State.Summary(); s.KeptBytes > k.e.o.KeptBytes {
		err := fmt.Errorf("the kept copies have %d bytes, engine.kept_bytes allows %d", s.KeptBytes, k.e.o.KeptBytes)
		text := err.Error()
		k.e.phased.blocked.Store(&text)
		return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	return local(k.e.o.State.Keep(ctx, state.Keep{Put: put}))
}

// end keeps what is left, and fails if something was missing.
func (k *keeping) end(ctx context.Context) error {
	if err := k.flush(ctx); err != nil {
		return err
	}
	if k.missing > 0 {
		return k.e.incomplete(k.first, k.missing)
	}
	k.e.phased.blocked.Store(nil)
	return nil
}

// keepAll keeps a copy of every document that has none.
func (e *Engine) keepAll(ctx context.Context) error {
	k := &keeping{e: e}
	e.phased.counted.Store(e.o.State.Summary().Kept)
	for after := ""; ; {
		rows, err := e.o.State.Unkept(ctx, after, snapshotPage)
		if err != nil {
			return local(err)
		}
		if len(rows) == 0 {
			return k.end(ctx)
		}
		after = rows[len(rows)-1].ID.String()
		for _, row := range rows {
			if err := k.take(ctx, row); err != nil {
				return err
			}
		}
		e.phased.counted.Add(int64(len(rows)))
		e.touch()
		e.gate.yield(ctx, gitYieldMost)
	}
}

// keepRest reads every document at the service, and keeps a copy of those that
// it does not deliver.
func (e *Engine) keepRest(ctx context.Context) error {
	// What the service has not passed yet may be set aside there: the outbox holds
	// only what comes after the cursor of the copies.
	mark := e.keptMark.now()
	if at, _ := e.o.State.Cursor(primaryReplica); !e.serving() || at < mark {
		return fmt.Errorf("%w, which has to be in step first: %s", errServiceFirst, e.current())
	}
	k := &keeping{e: e}
	e.phased.counted.Store(0)
	for after := ""; ; {
		rows, err := e.o.State.Scan(ctx, after, snapshotPage)
		if err != nil {
			return local(err)
		}
		if len(rows) == 0 {
			return k.end(ctx)
		}
		after = rows[len(rows)-1].ID.String()
		looked := int64(len(rows))
		lacks, err := e.undelivered(ctx, slices.DeleteFunc(rows, func(r state.Row) bool { return r.Seq > mark }))
		if err != nil {
			return err
		}
		for _, row := range lacks {
			if err := k.take(ctx, row); err != nil {
				return err
			}
		}
		e.phased.counted.Add(looked)
		e.touch()
		e.gate.yield(ctx, gitYieldMost)
	}
}

// undelivered returns the documents that the service does not deliver in the
// version that the index has.
func (e *Engine) undelivered(ctx context.Context, rows []state.Row) ([]state.Row, error) {
	lacks := make([]bool, len(rows))
	group, readCtx := errgroup.WithContext(ctx)
	group.SetLimit(readers)
	for i, row := range rows {
		group.Go(func() error {
			doc, err := e.o.Primary.Get(readCtx, store.Key{ID: row.ID, Folder: row.Folder})
			if err == nil {
				err = matches(doc, row.Hash)
			}
			lacks[i] = err != nil
			if err == nil || errors.Is(err, store.ErrNotFound) || aboutDocument(err) {
				return nil
			}
			return fmt.Errorf("%w: %w", errServiceFirst, err)
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var out []state.Row
	for i, row := range rows {
		if lacks[i] {
			out = append(out, row)
		}
	}
	return out, nil
}
