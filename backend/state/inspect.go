package state

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/store"
)

const (
	// maxDefects bounds what Defects names.
	maxDefects = 100
	// sumAttempts is how often the sums are counted while writes go on.
	sumAttempts = 5
)

// Inspected is one operation of the outbox as it lies in the file.
type Inspected struct {
	Outgoing
	// Err says what of it cannot be read, nil for nothing; then only Seq and what
	// could be read are set. It wraps store.ErrCorrupt.
	Err error
}

// Inspect is Next for verification: an operation that cannot be read is returned
// with what is wrong, instead of ending the call. At most maxOps (1 to MaxNext).
func (db *DB) Inspect(ctx context.Context, after int64, maxOps int) ([]Inspected, error) {
	var found []Inspected
	err := db.readers.use(ctx, func(r *reader) error {
		return r.each(ctx, qNext, func(scan func(...any) error) error {
			var seq int64
			op, payload, err := scanOutgoing(func(into ...any) error {
				err := scan(into...)
				if p, ok := into[0].(*int64); ok {
					seq = *p
				}
				return err
			})
			if err == nil {
				err = op.decode(payload)
			}
			op.Seq = seq
			if err != nil && !errors.Is(err, store.ErrCorrupt) {
				err = fmt.Errorf("%w: %w", store.ErrCorrupt, err)
			}
			found = append(found, Inspected{op, err})
			return nil
		}, after, min(max(maxOps, 1), MaxNext))
	})
	return found, wrap(err, fmt.Sprintf("inspect the operations after %d in", after), db.file)
}

// MendPayload gives an operation whose payload cannot be read its document
// again. Nothing happens to one that has left the outbox, was trimmed, or is of
// another version than hash. It reports whether it was mended.
func (db *DB) MendPayload(ctx context.Context, seq int64, hash document.Hash, doc document.Document) (mended bool, err error) {
	payload, err := encodePayload(doc)
	if err != nil {
		return false, fmt.Errorf("mend operation %d: %w", seq, err)
	}
	err = db.submit(ctx, int64(len(payload)), func(t *txn) error {
		var before int64
		const look = `SELECT length(payload) FROM outbox WHERE seq = ? AND hash = ? AND id = ? AND payload IS NOT NULL`
		err := db.conn.QueryRowContext(t.ctx, look, seq, hashColumn(hash), doc.ID.String()).Scan(&before)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err == nil {
			_, err = db.conn.ExecContext(t.ctx, `UPDATE outbox SET payload = ? WHERE seq = ?`, payload, seq)
		}
		if err != nil {
			t.failed = err
			return err
		}
		t.wrote, mended = true, true
		t.m.payload += int64(len(payload)) - before
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("mend operation %d: %w", seq, err)
	}
	return mended, nil
}

// Defects reads the whole file and says what of its structure is damaged, at
// most 100 sentences, none if nothing is. Writes go on meanwhile.
func (db *DB) Defects(ctx context.Context) (defects []string, err error) {
	err = db.readers.use(ctx, func(r *reader) error {
		defects, err = integrity(ctx, r.conn)
		return err
	})
	if errors.Is(wrap(err, "", ""), store.ErrCorrupt) {
		return append(defects, err.Error()), nil
	}
	return defects, wrap(err, "check", db.file)
}

// integrity lets SQLite look at a file as a whole.
func integrity(ctx context.Context, conn *sql.Conn) (defects []string, err error) {
	rows, err := conn.QueryContext(ctx, fmt.Sprintf(`PRAGMA integrity_check(%d)`, maxDefects))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var said string
		if err := rows.Scan(&said); err != nil {
			return defects, err
		}
		if said != "ok" {
			defects = append(defects, said)
		}
	}
	return defects, rows.Err()
}

// Sums are numbers that the state file keeps instead of counting.
type Sums struct{ Documents, Bytes, Payload int64 }

// CountSums returns the sums as they are kept and as the tables have them. known
// is false while writes change them faster than they can be counted.
func (db *DB) CountSums(ctx context.Context) (kept, counted Sums, known bool, err error) {
	for range sumAttempts {
		before := db.memory.Load()
		err = db.readers.use(ctx, func(r *reader) error {
			counted, err = count(ctx, r.conn)
			return err
		})
		if err != nil {
			return kept, counted, false, wrap(err, "count", db.file)
		}
		if db.memory.Load() == before {
			return Sums{before.documents, before.bytes, before.payload}, counted, true, nil
		}
	}
	return kept, counted, false, nil
}

func count(ctx context.Context, conn *sql.Conn) (s Sums, err error) {
	err = conn.QueryRowContext(ctx, `SELECT count(*), coalesce(sum(size), 0),
		(SELECT coalesce(sum(length(payload)), 0) FROM outbox) FROM documents WHERE deleted = 0`).
		Scan(&s.Documents, &s.Bytes, &s.Payload)
	return s, err
}

// MendSums makes the sums those of the tables.
func (db *DB) MendSums(ctx context.Context) error {
	err := db.submit(ctx, 0, func(t *txn) error {
		s, err := count(t.ctx, db.conn)
		if err == nil {
			_, err = t.exec(wUnclean)
		}
		if err != nil {
			t.failed = err
			return err
		}
		t.m.documents, t.m.bytes, t.m.payload = s.Documents, s.Bytes, s.Payload
		return nil
	})
	if err != nil {
		return fmt.Errorf("count the state file: %w", err)
	}
	return nil
}
