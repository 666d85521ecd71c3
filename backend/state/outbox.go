package state

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/store"
)

// MaxNext bounds the operations of one Next.
const MaxNext = 10_000

// Outgoing is one operation of the outbox.
type Outgoing struct {
	Seq    int64
	OpID   string
	Key    store.Key
	Delete bool
	Hash   document.Hash      // of the document after the operation, zero for a delete
	Base   document.Hash      // of the document before, zero if it was absent
	Doc    *document.Document // nil for a delete and if git has it at Commit
	Commit string             // of git, holds the document; "" if none
	At     time.Time
	Origin string // "" for a caller's
}

// errEnough ends a loop over rows early.
var errEnough = errors.New("enough")

// Next returns the operations after a sequence number in order: at most maxOps
// (1 to MaxNext) with payloads of at most maxBytes together, but at least one
// if there is one. Operations that have left the outbox are skipped; an
// attached store that starts at its cursor never misses any.
func (db *DB) Next(ctx context.Context, after int64, maxOps int, maxBytes int64) ([]Outgoing, error) {
	var ops []Outgoing
	var bytes int64
	err := db.readers.use(ctx, func(r *reader) error {
		return r.each(ctx, qNext, func(scan func(...any) error) error {
			op, payload, err := scanOutgoing(scan)
			if err != nil {
				return err
			}
			bytes += int64(len(payload))
			if len(ops) > 0 && bytes > maxBytes {
				return errEnough
			}
			if err := op.decode(payload); err != nil {
				return err
			}
			ops = append(ops, op)
			return nil
		}, after, min(max(maxOps, 1), MaxNext))
	})
	if err != nil && !errors.Is(err, errEnough) {
		return nil, wrap(err, fmt.Sprintf("read the operations after %d in", after), db.file)
	}
	return ops, nil
}

// Newest returns the newest operation on a document, and false if it has left
// the outbox or there never was one.
func (db *DB) Newest(ctx context.Context, id document.ID) (Outgoing, bool, error) {
	var op Outgoing
	err := db.readers.use(ctx, func(r *reader) error {
		var payload []byte
		var err error
		op, payload, err = scanOutgoing(r.stmts[qNewest].QueryRowContext(context.WithoutCancel(ctx), id.String()).Scan)
		if err != nil {
			return err
		}
		return op.decode(payload)
	})
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return Outgoing{}, false, nil
	case err != nil:
		return Outgoing{}, false, wrap(err, fmt.Sprintf("read the newest operation on %q in", id), db.file)
	}
	return op, true, nil
}

// EachIssued calls visit with each version of a document that is still in the
// outbox, the oldest first, as Next would return it, and ends with visit's first
// error. It looks through all of the outbox.
func (db *DB) EachIssued(ctx context.Context, id document.ID, visit func(Outgoing) error) error {
	err := db.readers.use(ctx, func(r *reader) error {
		return r.each(ctx, qIssued, func(scan func(...any) error) error {
			op, payload, err := scanOutgoing(scan)
			if err != nil {
				return err
			}
			if err := op.decode(payload); err != nil {
				return err
			}
			return visit(op)
		}, id.String())
	})
	if err != nil {
		return wrap(err, fmt.Sprintf("read the operations on %q in", id), db.file)
	}
	return nil
}

// Oldest returns the time of the first operation after a sequence number, and
// false if there is none.
func (db *DB) Oldest(ctx context.Context, after int64) (time.Time, bool, error) {
	var at time.Time
	err := db.readers.use(ctx, func(r *reader) error {
		var column any
		if err := r.stmts[qOldest].QueryRowContext(context.WithoutCancel(ctx), after).Scan(&column); err != nil {
			return err
		}
		var err error
		at, err = parseTime(column)
		return err
	})
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return time.Time{}, false, nil
	case err != nil:
		return time.Time{}, false, wrap(err, fmt.Sprintf("read the oldest operation after %d in", after), db.file)
	}
	return at, true, nil
}

// scanOutgoing reads one row. The payload is decoded apart, because its size
// decides whether it is wanted.
func scanOutgoing(scan func(...any) error) (op Outgoing, payload []byte, err error) {
	var id, folder string
	var hash, base []byte
	var at any
	err = scan(&op.Seq, &op.OpID, &id, &folder, &op.Delete, &hash, &base, &at, &op.Origin, &op.Commit, &payload)
	if err != nil {
		return Outgoing{}, nil, err
	}
	if op.Hash, err = parseHash(hash); err != nil {
		return Outgoing{}, nil, err
	}
	if op.Base, err = parseHash(base); err != nil {
		return Outgoing{}, nil, err
	}
	if op.At, err = parseTime(at); err != nil {
		return Outgoing{}, nil, err
	}
	op.Key.ID, err = document.ParseID(id)
	if err != nil {
		return Outgoing{}, nil, fmt.Errorf("%w: operation %d: %w", store.ErrCorrupt, op.Seq, err)
	}
	if folder == "" {
		return op, payload, nil
	}
	if op.Key.Folder, err = document.ParsePath(folder); err != nil {
		return Outgoing{}, nil, fmt.Errorf("%w: operation %d: %w", store.ErrCorrupt, op.Seq, err)
	}
	return op, payload, nil
}

func (op *Outgoing) decode(payload []byte) error {
	if payload == nil {
		if !op.Delete && op.Commit == "" {
			return fmt.Errorf("%w: operation %d has no payload and no commit", store.ErrCorrupt, op.Seq)
		}
		return nil
	}
	d, err := decodePayload(payload)
	if err != nil {
		return fmt.Errorf("operation %d: %w", op.Seq, err)
	}
	if d.ID != op.Key.ID {
		return fmt.Errorf("%w: operation %d holds the document %q", store.ErrCorrupt, op.Seq, d.ID)
	}
	op.Doc = &d
	return nil
}
