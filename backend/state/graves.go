package state

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/store"
)

// MaxGraves is for how many deleted documents that every store has passed the
// state file remembers where they lay; those deleted first are forgotten first.
const MaxGraves = 100_000

// Grave returns the folder in which a deleted document lay that the index does
// not know any more. store.ErrNotFound if there never was one, or if it is
// forgotten.
func (db *DB) Grave(ctx context.Context, id document.ID) (document.Path, error) {
	var text string
	err := db.readers.use(ctx, func(r *reader) error {
		return r.stmts[qGrave].QueryRowContext(context.WithoutCancel(ctx), id.String()).Scan(&text)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return document.Path{}, fmt.Errorf("document %q: %w", id, store.ErrNotFound)
	}
	if err != nil {
		return document.Path{}, wrap(err, "look up a deleted document in", db.file)
	}
	return graveFolder(id, text)
}

func graveFolder(id document.ID, text string) (document.Path, error) {
	folder, err := document.ParsePath(text)
	if err != nil {
		return document.Path{}, fmt.Errorf("%w: the folder of %q: %w", store.ErrCorrupt, id, err)
	}
	return folder, nil
}

// Bury remembers documents that were deleted before this state was made, those
// deleted last first, and where they lay. What the index knows, or is remembered
// already, is left as it is; of more than MaxGraves the first are taken.
func (db *DB) Bury(ctx context.Context, keys []store.Key) error {
	keys = keys[:min(len(keys), MaxGraves)]
	for done := 0; done < len(keys); done += MaxAppend {
		part := keys[done:min(done+MaxAppend, len(keys))]
		err := db.submit(ctx, 0, func(t *txn) error {
			for i, key := range part {
				// Before every delete of this state, so that they are forgotten first.
				added, err := t.exec(wAddGrave, key.ID.String(), key.Folder.String(), -1-done-i)
				if err != nil {
					return err
				}
				t.m.graves = t.m.graves || added > 0
			}
			_, err := t.exec(wTrimGraves, MaxGraves)
			return err
		})
		if err != nil {
			return fmt.Errorf("remember deleted documents: %w", err)
		}
	}
	return nil
}

// exhume returns the folder of a deleted document that is created again, zero
// if none is remembered.
func (t *txn) exhume(id document.ID) (document.Path, error) {
	var text string
	found, err := t.row(wGrave, []any{id.String()}, &text)
	if err != nil || !found {
		return document.Path{}, err
	}
	return graveFolder(id, text)
}

// bury drops the tombstones of deletes up to end, and remembers their folders.
func (t *txn) bury(end int64) error {
	buried, err := t.exec(wBury, end)
	if err != nil {
		return err
	}
	if _, err := t.exec(wDropTombstones, end); err != nil || buried == 0 {
		return err
	}
	t.m.graves = true
	_, err = t.exec(wTrimGraves, MaxGraves)
	return err
}
