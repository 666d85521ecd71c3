package state

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/store"
)

// Defects reads derived.db as a whole and says what of it is damaged, at most
// 100 sentences, none if nothing is. Index waits meanwhile, searches go on.
func (d *Derived) Defects(ctx context.Context) (defects []string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, ErrClosed
	}
	defects, err = integrity(ctx, d.conn)
	if err == nil && len(defects) == 0 {
		// The words against the texts that they were made of.
		_, err = d.conn.ExecContext(ctx, `INSERT INTO words(words, rank) VALUES ('integrity-check', 1)`)
	}
	if errors.Is(wrap(err, "", ""), store.ErrCorrupt) {
		defects, err = append(defects, err.Error()), nil
	}
	if len(defects) > 0 {
		d.broken.Store(true)
	}
	return defects, wrap(err, "check", d.file)
}

// Outdated returns which of these documents are not indexed, or as another text.
func (d *Derived) Outdated(ctx context.Context, ops []TextOp) (ids []document.ID, err error) {
	err = d.read(ctx, func(r *reader) error {
		for _, op := range ops {
			var meta, text string
			err := r.conn.QueryRowContext(ctx, `SELECT meta, text FROM docs WHERE id = ?`, op.ID.String()).Scan(&meta, &text)
			if err != nil && !errors.Is(err, sql.ErrNoRows) {
				return err
			}
			if err != nil || text != plain(op.Text, MaxText) || !sameWords(meta, plain(op.Meta, MaxMetaText)) {
				ids = append(ids, op.ID)
			}
		}
		return nil
	})
	if err != nil {
		return nil, d.fail(err, "compare texts with")
	}
	return ids, nil
}

// sameWords compares metadata, which older versions wrote in any order. What is
// cut at the limit may hold other words then, and is believed.
func sameWords(a, b string) bool {
	if a == b || (len(a) > MaxMetaText-4 && len(b) > MaxMetaText-4) {
		return true
	}
	x, y := strings.Fields(a), strings.Fields(b)
	slices.Sort(x)
	slices.Sort(y)
	return slices.Equal(x, y)
}

// Indexed returns the ids of documents that are indexed, after one and in order,
// at most limit (MaxRows). No ids mean the end.
func (d *Derived) Indexed(ctx context.Context, after string, limit int) (ids []document.ID, err error) {
	err = d.read(ctx, func(r *reader) (err error) {
		rows, err := r.conn.QueryContext(ctx, `SELECT id FROM docs WHERE id > ? ORDER BY id LIMIT ?`, after, min(max(limit, 1), MaxRows))
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, rows.Close()) }()
		for rows.Next() {
			var text string
			if err := rows.Scan(&text); err != nil {
				return err
			}
			id, err := document.ParseID(text)
			if err != nil {
				return fmt.Errorf("%w: an id: %w", store.ErrCorrupt, err)
			}
			ids = append(ids, id)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, d.fail(err, "list the documents of")
	}
	return ids, nil
}

// Mend applies changes and leaves the cursor where it is.
func (d *Derived) Mend(ctx context.Context, ops []TextOp) error {
	return d.Index(ctx, ops, d.Cursor())
}

// Renew removes the file and makes it anew, empty and Fresh, while others
// search. It is for a file that is damaged; its filling is the caller's.
func (d *Derived) Renew(ctx context.Context, stateID string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return ErrClosed
	}
	d.swap.Lock()
	defer d.swap.Unlock()
	err := errors.Join(d.readers.close(), d.closeWriter())
	d.conn, d.writer, d.stmts = nil, nil, nil
	if removed := removeDatabase(d.file); removed != nil {
		// Without the file nothing can be opened again: closed, as far as callers
		// can tell, until the next start.
		d.closed = true
		return wrap(errors.Join(err, removed), "remove", d.file)
	}
	// What could not be closed well belonged to a file that is gone.
	fresh, err := openDerived(ctx, d.file, stateID)
	if err != nil {
		d.closed = true
		return wrap(err, "remake", d.file)
	}
	d.writer, d.conn, d.stmts, d.readers = fresh.writer, fresh.conn, fresh.stmts, fresh.readers
	d.fresh.Store(true)
	d.broken.Store(false)
	d.cursor.Store(0)
	return nil
}

// read runs f with a connection of the file as it is now.
func (d *Derived) read(ctx context.Context, f func(r *reader) error) error {
	d.swap.RLock()
	defer d.swap.RUnlock()
	return d.readers.use(ctx, f)
}
