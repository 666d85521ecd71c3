package state

import (
	"context"
	"fmt"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/store"
)

// Limits of one Append, so that it stalls the other callers for no longer than
// a fraction of a second.
const (
	MaxAppend      = 10_000    // operations
	MaxAppendBytes = 256 << 20 // of payload
)

// Operation is one change of one document, to be acknowledged.
type Operation struct {
	OpID string // unique
	Key  store.Key
	Doc  *document.Document // nil deletes
	Hash document.Hash      // of Doc; zero for a delete
	At   time.Time
	// Origin is "" for a caller's operation, and the store's name ("govc",
	// "git") for an inbound one, which that store has already.
	Origin string
	// Commit is set if git holds the document at this commit. Then no payload
	// is stored.
	Commit string
	// Expect, if set, is the hash that the index must hold, zero if the
	// document must be absent. Anything else refuses the whole call.
	Expect *document.Hash
	// Conflict, if set, is recorded together with the operation. One of that
	// name that was settled is open again.
	Conflict *Conflict
}

// Issued says how an operation was entered.
type Issued struct {
	// Seq is its sequence number, 0 if an unknown document was to be deleted:
	// then there is nothing to do.
	Seq int64
	// Key has the folder of the index if the document was known, also as a
	// deleted one.
	Key store.Key
	// Base is the hash that the index held before, zero if the document was
	// absent or deleted.
	Base document.Hash
	// Recorded: the operation's Conflict is new, or open again.
	Recorded bool
}

// entry is an operation ready to be written.
type entry struct {
	Operation
	payload any // []byte, or nil
	size    int64
	source  string
}

// Append enters operations into the outbox and the index, all of them or none,
// together with whatever other callers wait to write. They are on disk when it
// returns without an error. A context that ends earlier than the writer takes
// them leaves nothing behind; afterwards Append waits for the outcome.
//
// Errors wrap document.ErrInvalid (an incomplete operation, more than
// MaxAppend or MaxAppendBytes), store.ErrConflict (Expect), store.ErrDiskFull,
// store.ErrReadOnly, and store.ErrAmbiguous if the disk failed to sync: the
// operations may be there after the next Open.
func (db *DB) Append(ctx context.Context, ops []Operation) ([]Issued, error) {
	if len(ops) == 0 {
		return nil, nil
	}
	entries, bytes, err := prepare(ops)
	if err != nil {
		return nil, fmt.Errorf("append %d operations: %w", len(ops), err)
	}
	issued := make([]Issued, len(ops))
	err = db.submit(ctx, bytes, func(t *txn) error { return t.append(entries, issued) })
	if err != nil {
		return nil, fmt.Errorf("append %d operations: %w", len(ops), err)
	}
	return issued, nil
}

// prepare does what needs no transaction, in the caller's goroutine.
func prepare(ops []Operation) (entries []entry, bytes int64, err error) {
	if len(ops) > MaxAppend {
		return nil, 0, fmt.Errorf("%w: more than %d operations", document.ErrTooLarge, MaxAppend)
	}
	entries = make([]entry, len(ops))
	for i, op := range ops {
		e := &entries[i]
		e.Operation = op
		if err := check(op); err != nil {
			return nil, 0, err
		}
		if op.Doc == nil {
			e.Hash = document.Hash{}
			continue
		}
		e.size = op.Doc.Content.Size()
		if e.source = op.Doc.Source.URL; e.source == "" {
			e.source = op.Doc.Source.Path
		}
		if op.Commit != "" {
			continue
		}
		payload, err := encodePayload(*op.Doc)
		if err != nil {
			return nil, 0, err
		}
		e.payload = payload
		if bytes += int64(len(payload)); bytes > MaxAppendBytes {
			return nil, 0, fmt.Errorf("%w: more than %d bytes", document.ErrTooLarge, MaxAppendBytes)
		}
	}
	return entries, bytes, nil
}

// check finds what would break this package. Whether the document is valid was
// decided at the edge, and is not decided again: that costs more than the write.
func check(op Operation) error {
	switch {
	case op.OpID == "":
		return fmt.Errorf("%w: an operation without id", document.ErrInvalid)
	case op.Key.ID.IsZero():
		return fmt.Errorf("%w: operation %s names no document", document.ErrInvalid, op.OpID)
	case op.Doc == nil:
		return nil
	case op.Key.Folder.IsZero():
		return fmt.Errorf("%w: operation %s has no folder", document.ErrInvalid, op.OpID)
	case op.Doc.ID != op.Key.ID:
		return fmt.Errorf("%w: operation %s brings %q under the key of %q", document.ErrInvalid, op.OpID, op.Doc.ID, op.Key.ID)
	case op.Hash.IsZero():
		return fmt.Errorf("%w: operation %s has no hash", document.ErrInvalid, op.OpID)
	case op.Doc.Source.Type.IsZero():
		return fmt.Errorf("%w: operation %s brings a document without a type", document.ErrInvalid, op.OpID)
	case op.Doc.Content.Size() > document.MaxContent:
		return fmt.Errorf("%w: operation %s brings %d bytes", document.ErrTooLarge, op.OpID, op.Doc.Content.Size())
	}
	return nil
}

// current is what the index holds of a document.
type current struct {
	known, deleted bool
	hash           document.Hash
	size           int64
	folder         document.Path
}

// append looks at every operation before it writes the first, so that a
// refusal leaves nothing to undo.
func (t *txn) append(entries []entry, issued []Issued) error {
	before := make([]current, len(entries))
	latest := make(map[document.ID]current, len(entries))
	for i, e := range entries {
		now, ok := latest[e.Key.ID]
		if !ok {
			var err error
			if now, err = t.lookup(e.Key.ID); err != nil {
				return err
			}
		}
		if e.Expect != nil && *e.Expect != now.hash {
			return fmt.Errorf("%w: document %q was changed meanwhile", store.ErrConflict, e.Key.ID)
		}
		if !ok && !now.known && e.Doc != nil && e.Origin == "" && t.m.graves {
			// One that comes back lies where it lay, so that its history goes on.
			var err error
			if now.folder, err = t.exhume(e.Key.ID); err != nil {
				return err
			}
		}
		before[i] = now
		latest[e.Key.ID] = now.after(e)
	}
	for i, e := range entries {
		key := store.Key{ID: e.Key.ID, Folder: before[i].folderOr(e.Key.Folder)}
		issued[i] = Issued{Key: key, Base: before[i].hash}
		if e.Conflict != nil {
			var err error
			if issued[i].Recorded, err = t.recordConflict(wRecordConflict, *e.Conflict); err != nil {
				return err
			}
		}
		if e.Doc == nil && !before[i].known {
			continue
		}
		t.m.issued++
		issued[i].Seq = t.m.issued
		if err := t.enter(e, issued[i], before[i]); err != nil {
			return err
		}
	}
	return nil
}

func (t *txn) lookup(id document.ID) (current, error) {
	var c current
	var hash []byte
	var folder string
	known, err := t.row(wLookup, []any{id.String()}, &c.deleted, &hash, &c.size, &folder)
	if err != nil || !known {
		return c, err
	}
	c.known = true
	if c.hash, err = parseHash(hash); err != nil {
		return c, err
	}
	c.folder, err = document.ParsePath(folder)
	if err != nil {
		return c, fmt.Errorf("%w: the folder of %q: %w", store.ErrCorrupt, id, err)
	}
	return c, nil
}

func (c current) folderOr(proposed document.Path) document.Path {
	if c.folder.IsZero() {
		return proposed
	}
	return c.folder
}

// after returns what the index holds once e was entered.
func (c current) after(e entry) current {
	if e.Doc == nil && !c.known {
		return c
	}
	return current{known: true, deleted: e.Doc == nil, hash: e.Hash, size: e.size, folder: c.folderOr(e.Key.Folder)}
}

// enter writes the row of the outbox and that of the index.
func (t *txn) enter(e entry, as Issued, before current) error {
	id, at, kind := e.Key.ID.String(), timeColumn(e.At), 0
	if e.Doc == nil {
		kind = 1
	}
	_, err := t.exec(wInsertOutbox, as.Seq, e.OpID, id, as.Key.Folder.String(), kind,
		hashColumn(e.Hash), hashColumn(as.Base), at, e.Origin, e.Commit, e.payload)
	if err != nil {
		return err
	}
	if e.Doc == nil {
		_, err = t.exec(wDeleteDocument, as.Seq, at, e.Commit, id)
	} else {
		d := e.Doc
		_, err = t.exec(wUpsertDocument, id, d.Source.Type.String(), as.Seq, e.size, timeColumn(d.CreatedAt),
			timeColumn(d.UpdatedAt), hashColumn(e.Hash), e.Commit, as.Key.Folder.String(), e.source)
	}
	if err != nil {
		return err
	}
	if err := t.followConflict(e); err != nil {
		return err
	}
	if payload, ok := e.payload.([]byte); ok {
		t.m.payload += int64(len(payload))
	}
	if before.known && !before.deleted {
		t.m.documents--
	}
	if e.Doc != nil {
		t.m.documents++
	}
	t.m.bytes += e.size - before.size
	return nil
}
