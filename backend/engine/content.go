package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/state"
	"github.com/caiatech/caiatop/backend/store"
)

// errLocal marks failures of our own side, for which no store is to blame.
var errLocal = errors.New("here")

func local(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", errLocal, err)
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// payload returns the content of an operation: from the outbox, else from the
// git commit that took it, else from wherever the same version still is.
func (e *Engine) payload(ctx context.Context, op state.Outgoing) (document.Document, error) {
	if op.Doc != nil {
		return *op.Doc, nil
	}
	return e.version(ctx, op.Key, op.Hash, op.Commit)
}

// version finds one version of a document among the local sources, by its
// hash. Trimmed payloads are read at the commit that holds them, and whatever
// is found is believed only if it has the hash. The error wraps
// store.ErrNotFound if no source has it.
func (e *Engine) version(ctx context.Context, key store.Key, hash document.Hash, commit string) (document.Document, error) {
	sources := []func() (document.Document, error){
		func() (document.Document, error) { return e.o.Memory.Get(ctx, key) },
		func() (document.Document, error) {
			row, found, err := e.o.State.Newest(ctx, key.ID)
			if err != nil || !found || row.Doc == nil {
				return document.Document{}, orNotFound(err)
			}
			return *row.Doc, nil
		},
		func() (document.Document, error) {
			doc, _, err := e.o.State.Kept(ctx, key.ID)
			return doc, err
		},
		func() (document.Document, error) {
			if commit == "" {
				return document.Document{}, store.ErrNotFound
			}
			return e.o.Git.GetAt(ctx, commit, key)
		},
		func() (document.Document, error) { return e.o.Git.Get(ctx, key) },
	}
	var trouble error
	for _, read := range sources {
		doc, err := read()
		if err != nil {
			if !errors.Is(err, store.ErrNotFound) {
				trouble = errors.Join(trouble, err)
			}
			continue
		}
		if got, err := doc.Hash(); err == nil && got == hash {
			return doc, nil
		}
	}
	if err := ctx.Err(); err != nil {
		return document.Document{}, err
	}
	return document.Document{}, fmt.Errorf("version %.12s of %q: %w", hash, key.ID, errors.Join(store.ErrNotFound, trouble))
}

func orNotFound(err error) error {
	if err == nil {
		return store.ErrNotFound
	}
	return err
}
