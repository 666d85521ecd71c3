package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/state"
	"github.com/caiatech/caiatop/backend/store"
)

// copyGone deletes at the primary what was deleted here while that was not
// known there: a service that came back with earlier data still has it, and no
// pending operation says that it is gone. It returns how many there were. What
// others wrote is left alone, and a service that cannot list tells nothing.
func (e *Engine) copyGone(ctx context.Context) (gone int, err error) {
	var list []wanted
	flush := func() error {
		if len(list) == 0 {
			return nil
		}
		_, parked, err := e.bring(ctx, list)
		gone += len(list) - len(parked)
		list = list[:0]
		return err
	}
	for entry, err := range e.o.Primary.List(ctx) {
		if errors.Is(err, errors.ErrUnsupported) {
			return 0, nil
		}
		if err != nil {
			return gone, err
		}
		w, buried, err := e.buried(ctx, entry.Key)
		if err != nil {
			return gone, err
		}
		if buried {
			list = append(list, w)
		}
		if len(list) == snapshotPage {
			if err := flush(); err != nil {
				return gone, err
			}
		}
	}
	return gone, flush()
}

// buried reports a document that was deleted here and of which the primary has
// a version that git remembers as ours.
func (e *Engine) buried(ctx context.Context, key store.Key) (w wanted, buried bool, err error) {
	row, err := e.o.State.Lookup(ctx, key.ID)
	switch {
	case errors.Is(err, store.ErrNotFound):
		folder, err := e.o.State.Grave(ctx, key.ID)
		if errors.Is(err, store.ErrNotFound) || (err == nil && folder != key.Folder) {
			return w, false, nil
		}
		if err != nil {
			return w, false, local(err)
		}
	case err != nil:
		return w, false, local(err)
	case !row.Deleted || row.Folder != key.Folder:
		return w, false, nil
	}
	there, err := e.o.Primary.Get(ctx, key)
	if aboutDocument(err) || errors.Is(err, store.ErrNotFound) {
		return w, false, nil // nothing that could be ours
	}
	if err != nil {
		return w, false, fmt.Errorf("look for what was deleted: %w", err)
	}
	hash, err := there.Hash()
	if err != nil {
		return w, false, nil //nolint:nilerr // as above
	}
	w = wanted{newest: state.Outgoing{Key: key, Delete: true, At: e.o.Now()}, ours: map[document.Hash]struct{}{}}
	if err := e.addEarlier(ctx, &w); err != nil {
		return w, false, err
	}
	return w, w.isOurs(hash), nil
}
