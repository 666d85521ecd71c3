package state

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/caiatech/caiatop/backend/document"
)

// MaxDropped bounds the operations that are remembered as dropped; the oldest
// are forgotten first.
const MaxDropped = 10_000

// Drop gives up what is parked of a document at a store: it is not counted as
// parked any more, and Dropped tells of it. It reports whether there was such an
// operation.
func (db *DB) Drop(ctx context.Context, name string, id document.ID) (dropped bool, err error) {
	var kept int64
	err = db.submit(ctx, 0, func(t *txn) error {
		dropped = false
		moved, err := t.change(`INSERT OR REPLACE INTO dropped(id, store, seq, op_id, reason, detail, at)
			SELECT id, store, seq, op_id, reason, detail, at FROM parked WHERE id = ? AND store = ?`, id.String(), name)
		if err != nil || moved == 0 {
			return err
		}
		gone, err := t.exec(wUnparkOne, name, id.String())
		if err != nil {
			return err
		}
		t.m.parked -= gone
		dropped = true
		if _, err := t.change(`DELETE FROM dropped WHERE rowid IN (SELECT rowid FROM dropped ORDER BY rowid DESC LIMIT -1 OFFSET ?)`, MaxDropped); err != nil {
			return err
		}
		_, err = t.row(wCountDropped, nil, &kept)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("drop what is parked of %q at %s: %w", id, name, err)
	}
	if dropped {
		db.dropped.Store(kept)
	}
	return dropped, nil
}

// change runs a statement that is not worth preparing.
func (t *txn) change(query string, args ...any) (int64, error) {
	result, err := t.db.conn.ExecContext(t.ctx, query, args...)
	if err == nil {
		var n int64
		if n, err = result.RowsAffected(); err == nil {
			t.wrote = t.wrote || n > 0
			return n, nil
		}
	}
	t.failed = err
	return 0, err
}

// Dropped returns what was dropped of a document at a store, and false if
// nothing was. An operation that was followed by another one is not told of.
func (db *DB) Dropped(ctx context.Context, name string, id document.ID) (p Parked, dropped bool, err error) {
	if db.dropped.Load() == 0 {
		return Parked{}, false, nil
	}
	err = db.readers.use(ctx, func(r *reader) error {
		const query = `SELECT dropped.seq, dropped.op_id, dropped.reason, dropped.detail, dropped.at FROM dropped
			JOIN documents ON documents.id = dropped.id AND documents.seq <= dropped.seq WHERE dropped.id = ? AND dropped.store = ?`
		var at any
		err := r.conn.QueryRowContext(context.WithoutCancel(ctx), query, id.String(), name).Scan(&p.Seq, &p.OpID, &p.Reason, &p.Detail, &at)
		if err != nil {
			return err
		}
		p.Store, p.ID, dropped = name, id, true
		p.At, err = parseTime(at)
		return err
	})
	if errors.Is(err, sql.ErrNoRows) {
		return Parked{}, false, nil
	}
	return p, dropped, wrap(err, fmt.Sprintf("read what was dropped of %q in", id), db.file)
}

// Undrop forgets what was dropped of a document at a store, which has it after
// all or is to get it.
func (db *DB) Undrop(ctx context.Context, name string, id document.ID) error {
	if db.dropped.Load() == 0 {
		return nil
	}
	var kept int64
	err := db.submit(ctx, 0, func(t *txn) error {
		if _, err := t.change(`DELETE FROM dropped WHERE id = ? AND store = ?`, id.String(), name); err != nil {
			return err
		}
		_, err := t.row(wCountDropped, nil, &kept)
		return err
	})
	if err != nil {
		return fmt.Errorf("forget what was dropped of %q: %w", id, err)
	}
	db.dropped.Store(kept)
	return nil
}

// AnyDropped reports whether anything is remembered as dropped, from memory.
func (db *DB) AnyDropped() bool { return db.dropped.Load() > 0 }
