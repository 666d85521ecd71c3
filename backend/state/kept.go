package state

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/store"
)

// keptMark stands in the outbox where a payload went into the kept copies. No
// commit has that name.
const keptMark = "kept"

// MaxKeep bounds the documents of one Keep.
const MaxKeep = advanceChunk

// KeptCopy is the newest version of a document that is kept here, because no
// other place that survives a power cut has it.
type KeptCopy struct {
	ID   document.ID
	Seq  int64 // the operation that brought the version
	Hash document.Hash
	Size int64              // of the payload, in bytes
	Doc  *document.Document // to be kept; nil in what KeptPage returns
}

// Keep is one step of the kept copies.
type Keep struct {
	Put []KeptCopy
	// Drop names copies to be dropped, up to the operation Seq of each.
	Drop []KeptCopy
	// Store, if set, has its cursor moved to Seq, and the payloads of the operations
	// passed leave the outbox if Release is set, for they are in Put or were
	// followed by what is.
	Store   string
	Seq     int64
	Release bool
	// Spare is a store for which the payloads stay while it is attached.
	Spare string
}

// Keep enters and drops copies and moves the cursor, all in one transaction. A
// copy that is newer than what is put stays. document.ErrInvalid for more than
// MaxKeep documents, otherwise the errors of Advance.
func (db *DB) Keep(ctx context.Context, k Keep) error {
	if len(k.Put)+len(k.Drop) > MaxKeep {
		return fmt.Errorf("keep copies: %w: more than %d documents", document.ErrInvalid, MaxKeep)
	}
	payloads := make([][]byte, len(k.Put))
	size := int64(0)
	for i, c := range k.Put {
		var err error
		if c.Doc == nil || c.Doc.ID != c.ID || c.Hash.IsZero() {
			return fmt.Errorf("keep copies: %w: a copy without document or hash", document.ErrInvalid)
		}
		if payloads[i], err = encodePayload(*c.Doc); err != nil {
			return fmt.Errorf("keep copies: %w", err)
		}
		size += int64(len(payloads[i]))
	}
	err := db.submit(ctx, size, func(t *txn) error { return t.keep(k, payloads) })
	if err == nil && k.Store != "" {
		// What was left over: trimming is done in steps.
		err = db.Advance(ctx, Advance{Store: k.Store, Seq: k.Seq})
	}
	if err != nil {
		return fmt.Errorf("keep copies: %w", err)
	}
	return nil
}

func (t *txn) keep(k Keep, payloads [][]byte) error {
	from := t.m.cursors[k.Store]
	switch {
	case k.Store == "":
	case !from.attached:
		return ErrNotAttached
	case k.Seq > t.m.issued:
		return fmt.Errorf("%w: the newest operation is %d", document.ErrInvalid, t.m.issued)
	}
	for i, c := range k.Put {
		if err := t.keepOne(c, payloads[i]); err != nil {
			return err
		}
	}
	for _, c := range k.Drop {
		if err := t.unkeep(c); err != nil {
			return err
		}
	}
	if k.Store == "" || k.Seq <= from.seq {
		return nil
	}
	if k.Release && !t.m.cursors[k.Spare].attached {
		if err := t.dropPayload(from.seq, k.Seq); err != nil {
			return err
		}
		if _, err := t.exec(wRelease, from.seq, k.Seq); err != nil {
			return err
		}
	}
	return t.pass(k.Store, from.seq, k.Seq)
}

func (t *txn) keepOne(c KeptCopy, payload []byte) error {
	var seq, size int64
	known, err := t.row(wKeptSize, []any{c.ID.String()}, &seq, &size)
	if err != nil || (known && seq > c.Seq) {
		return err
	}
	if _, err := t.exec(wKeep, c.ID.String(), c.Seq, hashColumn(c.Hash), len(payload)); err != nil {
		return err
	}
	if _, err := t.exec(wKeepPayload, c.ID.String(), payload); err != nil {
		return err
	}
	if !known {
		t.m.kept++
	}
	t.m.keptBytes += int64(len(payload)) - size
	return nil
}

func (t *txn) unkeep(c KeptCopy) error {
	var seq, size int64
	known, err := t.row(wKeptSize, []any{c.ID.String()}, &seq, &size)
	if err != nil || !known || seq > c.Seq {
		return err
	}
	if _, err := t.exec(wUnkeep, c.ID.String()); err != nil {
		return err
	}
	if _, err := t.exec(wUnkeepPayload, c.ID.String()); err != nil {
		return err
	}
	t.m.kept--
	t.m.keptBytes -= size
	return nil
}

// Kept returns the copy that is kept of a document, and its hash.
// store.ErrNotFound if none is.
func (db *DB) Kept(ctx context.Context, id document.ID) (document.Document, document.Hash, error) {
	var sum, payload []byte
	if db.memory.Load().kept == 0 {
		return document.Document{}, document.Hash{}, fmt.Errorf("copy of %q: %w", id, store.ErrNotFound)
	}
	err := db.readers.use(ctx, func(r *reader) error {
		return r.stmts[qKept].QueryRowContext(context.WithoutCancel(ctx), id.String()).Scan(&sum, &payload)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return document.Document{}, document.Hash{}, fmt.Errorf("copy of %q: %w", id, store.ErrNotFound)
	}
	var hash document.Hash
	var doc document.Document
	if err == nil {
		hash, err = parseHash(sum)
	}
	if err == nil {
		doc, err = decodePayload(payload)
	}
	if err != nil {
		return document.Document{}, document.Hash{}, wrap(err, fmt.Sprintf("read the copy of %q in", id), db.file)
	}
	return doc, hash, nil
}

// KeptPage returns up to limit kept copies (at most MaxRows) whose ids come
// after the given one, in order, without their documents.
func (db *DB) KeptPage(ctx context.Context, after string, limit int) ([]KeptCopy, error) {
	var page []KeptCopy
	err := db.readers.use(ctx, func(r *reader) error {
		return r.each(ctx, qKeptPage, func(scan func(...any) error) error {
			var c KeptCopy
			var id string
			var sum []byte
			err := scan(&id, &c.Seq, &sum, &c.Size)
			if err == nil {
				c.Hash, err = parseHash(sum)
			}
			if err != nil {
				return err
			}
			if c.ID, err = document.ParseID(id); err != nil {
				return fmt.Errorf("%w: a kept copy: %w", store.ErrCorrupt, err)
			}
			page = append(page, c)
			return nil
		}, after, min(max(limit, 0), MaxRows))
	})
	return page, wrap(err, "list the kept copies of", db.file)
}

// Unkept returns up to limit documents (at most MaxRows) whose ids come after
// the given one, in order, and of whose present version no copy is kept.
func (db *DB) Unkept(ctx context.Context, after string, limit int) ([]Row, error) {
	var rows []Row
	err := db.readers.use(ctx, func(r *reader) error {
		return r.each(ctx, qUnkept, func(scan func(...any) error) error {
			row, err := scanRow(scan)
			rows = append(rows, row)
			return err
		}, after, min(max(limit, 0), MaxRows))
	})
	return rows, wrap(err, "look for documents without a copy in", db.file)
}

// ClearKept drops every kept copy, in steps of a bounded size: when ctx ends in
// between, the rest stays.
func (db *DB) ClearKept(ctx context.Context) error {
	for db.memory.Load().kept > 0 {
		err := db.submit(ctx, 0, func(t *txn) error { return t.clearKept() })
		if err != nil {
			return fmt.Errorf("drop the kept copies: %w", err)
		}
	}
	return nil
}

func (t *txn) clearKept() error {
	if _, err := t.exec(wClearKeptPayloads, advanceChunk); err != nil {
		return err
	}
	gone, bytes, err := t.sums(wClearKept, advanceChunk)
	if err != nil {
		return err
	}
	t.m.kept -= gone
	t.m.keptBytes -= bytes
	return nil
}

// sums runs a statement that returns one number a row, and adds them up.
func (t *txn) sums(stmt int, args ...any) (n, sum int64, err error) {
	rows, err := t.db.stmts[stmt].QueryContext(t.ctx, args...)
	if err != nil {
		t.failed = err
		return 0, 0, err
	}
	defer func() {
		if err = errors.Join(err, rows.Close()); err != nil {
			t.failed = err
		}
	}()
	t.wrote = true
	for rows.Next() {
		var one int64
		if err := rows.Scan(&one); err != nil {
			return n, sum, err
		}
		n, sum = n+1, sum+one
	}
	return n, sum, rows.Err()
}
