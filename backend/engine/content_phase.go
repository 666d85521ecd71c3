package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/state"
	"github.com/caiatech/caiatop/backend/store"
)

// In a phase without git the service may have the only copy of a document, and
// what is made of documents has to ask it.

// elsewhere reports whether there may be documents that no store on this side
// has.
func (e *Engine) elsewhere() bool {
	return !e.phase().stores().git && e.o.State.Meta(metaKept) != keptAll
}

// known is the newest version of a document, from this side where it can be. The
// error wraps store.ErrNotFound if it is nowhere.
func (e *Engine) known(ctx context.Context, row state.Row) (document.Document, error) {
	key := store.Key{ID: row.ID, Folder: row.Folder}
	if e.elsewhere() && e.serving() {
		return e.anywhere(ctx, row, key)
	}
	return e.version(ctx, key, row.Hash, row.Commit)
}

// awaitContent waits until every document can be read, or the context ends.
func (e *Engine) awaitContent(ctx context.Context) error {
	for e.elsewhere() && !e.serving() {
		if pause(ctx, suspectRetry, nil); ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// alreadyThere reports whether the service delivers what is wanted. Its errors
// are about the service as a whole.
func (e *Engine) alreadyThere(ctx context.Context, w wanted) (bool, error) {
	doc, err := e.o.Primary.Get(ctx, w.newest.Key)
	switch {
	case err == nil:
		return matches(doc, w.newest.Hash) == nil, nil
	case errors.Is(err, store.ErrNotFound), aboutDocument(err):
		return false, nil
	}
	return false, fmt.Errorf("look for %q: %w", w.newest.Key.ID, err)
}
