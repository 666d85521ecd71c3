package state

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"

	"github.com/caiatech/caiatop/backend/store"
)

// Limits of one transaction. A single request is never split.
const (
	groupRequests = 256
	groupBytes    = 16 << 20 // of payload
)

// request is one call's part of a transaction.
type request struct {
	// apply looks first and writes then: an error of its own means that it
	// wrote nothing, an error of the file ends the whole transaction.
	apply func(t *txn) error
	bytes int64
	err   error
	done  chan struct{}
}

// txn is the transaction under way, seen by one request after the other.
type txn struct {
	ctx    context.Context
	db     *DB
	m      memory // becomes the committed one
	wrote  bool
	failed error // of the file: nothing of the transaction may stay
}

// submit hands apply to the writer and waits for the outcome. A context that
// ends before the writer took the request leaves nothing behind.
func (db *DB) submit(ctx context.Context, bytes int64, apply func(t *txn) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r := &request{apply: apply, bytes: bytes, done: make(chan struct{})}
	select {
	case db.requests <- r:
	case <-db.closing:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	<-r.done
	return r.err
}

// run is the writer goroutine. Close ends it.
func (db *DB) run() {
	defer close(db.stopped)
	for {
		select {
		case <-db.closing:
			return
		default:
		}
		select {
		case first := <-db.requests:
			group := db.collect(first)
			db.write(group)
			for _, r := range group {
				close(r.done)
			}
		case <-db.closing:
			return
		}
	}
}

// collect takes what is waiting besides the first request.
func (db *DB) collect(first *request) []*request {
	group := []*request{first}
	bytes := first.bytes
	// Callers that were just answered get a chance to queue again: one sync
	// serves them all.
	runtime.Gosched()
	for len(group) < groupRequests && bytes < groupBytes {
		select {
		case r := <-db.requests:
			group = append(group, r)
			bytes += r.bytes
		default:
			return group
		}
	}
	return group
}

// write runs the group in one transaction and sets the outcome of each
// request. Once a request was taken no context can end it.
func (db *DB) write(group []*request) {
	err := db.fatal
	if err == nil {
		err = db.transact(group)
	}
	if err == nil {
		return
	}
	for _, r := range group {
		r.err = err
	}
}

// transact returns an error only if nothing of the group stays.
func (db *DB) transact(group []*request) error {
	t := &txn{ctx: context.Background(), db: db, m: *db.memory.Load()}
	if err := t.begin(); err != nil {
		return wrap(err, "begin a transaction in", db.file)
	}
	for _, r := range group {
		r.err = r.apply(t)
		if t.failed != nil {
			return t.abort(t.failed)
		}
	}
	if !t.wrote {
		return t.rollback()
	}
	if t.m.clean {
		// From the first change on the stored sums are wrong until Close.
		t.m.clean = false
		if _, err := t.exec(wUnclean); err != nil {
			return t.abort(err)
		}
	}
	if err := db.commit(t.ctx); err != nil {
		return t.abort(err)
	}
	db.memory.Store(&t.m)
	return nil
}

func (t *txn) begin() error {
	_, err := t.db.stmts[wBegin].ExecContext(t.ctx)
	return err
}

func (t *txn) rollback() error {
	_, err := t.db.stmts[wRollback].ExecContext(t.ctx)
	return wrap(err, "roll back in", t.db.file)
}

// abort undoes the transaction after an error of the file.
func (t *txn) abort(cause error) error {
	// SQLite rolls back by itself after some errors; a second one then fails
	// with the plain code 1, which says just that.
	const noTransaction = 1
	if err := t.rollback(); err != nil {
		if code, ok := resultCode(err); !ok || code != noTransaction {
			cause = errors.Join(cause, err)
		}
	}
	if fatal(cause) {
		t.db.fatal = fmt.Errorf("%w: %s could not be synced, check the disk and start again: %s", store.ErrReadOnly, t.db.file, cause)
	}
	return wrap(cause, "write", t.db.file)
}

// exec runs a statement and returns the number of rows it changed.
func (t *txn) exec(stmt int, args ...any) (int64, error) {
	result, err := t.db.stmts[stmt].ExecContext(t.ctx, args...)
	if err != nil {
		t.failed = err
		return 0, err
	}
	t.wrote = true
	n, err := result.RowsAffected()
	if err != nil {
		t.failed = err
	}
	return n, err
}

// row reads one row, and reports whether there was one.
func (t *txn) row(stmt int, args []any, into ...any) (bool, error) {
	err := t.db.stmts[stmt].QueryRowContext(t.ctx, args...).Scan(into...)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		t.failed = err
	}
	return err == nil, err
}
