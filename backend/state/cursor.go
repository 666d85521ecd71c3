package state

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/store"
)

const (
	// advanceChunk is the most operations that one step of Advance touches, so
	// that appends waiting beside it wait for a few milliseconds at most.
	advanceChunk = 128
	// maxStores bounds the cursors, attached or not.
	maxStores = 64
	// maxName bounds the name of a store, in bytes.
	maxName = 64
)

// Parked is an operation that a store did not take and that its cursor passed.
// A store parks the newest such operation of a document only.
type Parked struct {
	Store  string
	ID     document.ID
	Seq    int64
	OpID   string
	Reason string // "too large", "refused", "conflict"
	Detail string // of the store, unsanitised, cut to 4 KiB
	At     time.Time
}

// Advance moves the cursor of a store.
type Advance struct {
	Store string
	Seq   int64 // the newest operation that the store is done with
	// Commit, if set, is a commit of git that holds every operation after the
	// old cursor up to Seq. Their payloads are dropped.
	Commit string
	// Park lists operations up to Seq that this store did not take.
	Park []Parked
	// Tip, if set, is what the store has newest now: it is recorded with the
	// cursor, see DB.Tip.
	Tip string
}

// Attach gives a store a cursor: it has every operation up to seq. From now on
// later operations stay until it passed them. Attaching again sets the cursor
// anew. ErrTrimmed if operations after seq have left the outbox already: the
// store then needs a snapshot at Summary().MaxSeq. store.ErrIdentity if seq was
// never issued: then this state file is older than the store.
func (db *DB) Attach(ctx context.Context, name string, seq int64) error {
	err := db.submit(ctx, 0, func(t *txn) error {
		_, known := t.m.cursors[name]
		switch {
		case name == "" || len(name) > maxName || (!known && len(t.m.cursors) >= maxStores):
			return fmt.Errorf("%w: the name has %d bytes of %d, or there are %d stores", document.ErrInvalid, len(name), maxName, maxStores)
		case seq > t.m.issued:
			return fmt.Errorf("%w: operation %d was never issued here, the newest is %d: this state file is older than the store", store.ErrIdentity, seq, t.m.issued)
		case seq < t.m.trimmed:
			return fmt.Errorf("%w: operations after %d up to %d are gone, take a snapshot", ErrTrimmed, seq, t.m.trimmed)
		}
		return t.setCursor(name, cursor{seq, true})
	})
	if err != nil {
		return fmt.Errorf("attach %s: %w", name, err)
	}
	return db.trim(ctx)
}

// Detach ends the hold of a store on the outbox. Its cursor is kept for
// information, and so is what it parked. A store without a cursor is no error.
func (db *DB) Detach(ctx context.Context, name string) error {
	err := db.submit(ctx, 0, func(t *txn) error {
		c := t.m.cursors[name]
		if !c.attached {
			return nil
		}
		return t.setCursor(name, cursor{c.seq, false})
	})
	if err != nil {
		return fmt.Errorf("detach %s: %w", name, err)
	}
	return db.trim(ctx)
}

func (t *txn) setCursor(name string, c cursor) error {
	if _, err := t.exec(wSetCursor, name, c.seq, c.attached); err != nil {
		return err
	}
	t.m.setCursor(name, c)
	return nil
}

// Cursor returns the newest operation that a store has, and whether the store
// is attached, from memory.
func (db *DB) Cursor(name string) (seq int64, attached bool) {
	c := db.memory.Load().cursors[name]
	return c.seq, c.attached
}

// tipKey is the setting that holds the tip of a store.
func tipKey(name string) string { return "tip." + name }

// Tip returns what a store had newest when its cursor was moved last, "" if
// that was never told, from memory.
func (db *DB) Tip(name string) string { return db.Meta(tipKey(name)) }

// Advance moves a cursor forward in steps of a bounded size, each of them a
// transaction with whatever else waits, and then removes what every attached
// store has. When ctx ends in between, the steps so far stay, each complete in
// itself. A Seq at or below the cursor moves nothing.
//
// Parked operations of the store go when a later operation on their document
// is passed. Errors wrap ErrNotAttached, document.ErrInvalid (a Seq that was
// never issued), store.ErrDiskFull, store.ErrReadOnly.
func (db *DB) Advance(ctx context.Context, a Advance) error {
	parks := slices.Clone(a.Park)
	slices.SortStableFunc(parks, func(x, y Parked) int { return int(min(max(x.Seq-y.Seq, -1), 1)) })
	for done := false; !done; {
		var parked int
		err := db.submit(ctx, 0, func(t *txn) (err error) {
			parked, done, err = t.advance(a, parks)
			return err
		})
		if err != nil {
			return fmt.Errorf("advance %s to %d: %w", a.Store, a.Seq, err)
		}
		parks = parks[parked:]
	}
	return nil
}

// advance makes one step: as many operations as a chunk has, then as many rows
// off the outbox. It returns how many of parks it parked.
func (t *txn) advance(a Advance, parks []Parked) (parked int, done bool, err error) {
	from := t.m.cursors[a.Store]
	switch {
	case !from.attached:
		return 0, false, ErrNotAttached
	case a.Seq > t.m.issued:
		return 0, false, fmt.Errorf("%w: the newest operation is %d", document.ErrInvalid, t.m.issued)
	case slices.ContainsFunc(parks, func(p Parked) bool { return p.ID.IsZero() || p.Seq > a.Seq }):
		return 0, false, fmt.Errorf("%w: an operation to be parked is above %d or names no document", document.ErrInvalid, a.Seq)
	}
	target := max(a.Seq, from.seq)
	end := target
	if a.Commit != "" || len(parks) > 0 || t.m.parked > 0 {
		if end, err = t.chunkEnd(from.seq, target); err != nil {
			return 0, false, err
		}
	}
	if end > from.seq && a.Commit != "" {
		if err := t.recordCommit(from.seq, end, a.Commit); err != nil {
			return 0, false, err
		}
	}
	for parked < len(parks) && parks[parked].Seq <= end && parked < advanceChunk {
		if err := t.park(a.Store, parks[parked]); err != nil {
			return 0, false, err
		}
		parked++
	}
	if parked < len(parks) && parks[parked].Seq <= end {
		// The cursor may not pass what is not parked yet. The work on the
		// commit is done again by the next step, to the same effect.
		return parked, false, nil
	}
	if end > from.seq {
		if err := t.pass(a.Store, from.seq, end); err != nil {
			return 0, false, err
		}
	}
	if end == target && a.Tip != "" {
		if err := t.setMeta(tipKey(a.Store), a.Tip); err != nil {
			return 0, false, err
		}
	}
	trimmed, err := t.trim()
	return parked, end == target && trimmed, err
}

// chunkEnd returns where a step that starts after from has to end.
func (t *txn) chunkEnd(from, target int64) (int64, error) {
	end := target
	_, err := t.row(wChunkEnd, []any{from, target, advanceChunk - 1}, &end)
	return end, err
}

func (t *txn) recordCommit(from, to int64, commit string) error {
	if err := t.dropPayload(from, to); err != nil {
		return err
	}
	if _, err := t.exec(wCommitOutbox, commit, from, to); err != nil {
		return err
	}
	_, err := t.exec(wCommitDocuments, commit, from, to)
	return err
}

// dropPayload takes the payloads of a range out of the sum.
func (t *txn) dropPayload(from, to int64) error {
	var bytes int64
	if _, err := t.row(wPayloadBetween, []any{from, to}, &bytes); err != nil {
		return err
	}
	t.m.payload -= bytes
	return nil
}

// Unpark forgets what is parked of these documents at a store, which has taken
// them after all; without documents it forgets all that is parked there.
func (db *DB) Unpark(ctx context.Context, name string, ids ...document.ID) error {
	err := db.submit(ctx, 0, func(t *txn) error {
		if len(ids) == 0 {
			gone, err := t.exec(wUnparkStore, name)
			t.m.parked -= gone
			return err
		}
		for _, id := range ids {
			gone, err := t.exec(wUnparkOne, name, id.String())
			t.m.parked -= gone
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("unpark %s: %w", name, err)
	}
	return nil
}

// park keeps the newest parked operation of a document at a store.
func (t *txn) park(name string, p Parked) error {
	const maxDetail = 4096
	id := p.ID.String()
	removed, err := t.exec(wUnpark, id, name, p.Seq)
	if err != nil {
		return err
	}
	detail := cut(p.Detail, maxDetail)
	added, err := t.exec(wPark, id, name, p.Seq, p.OpID, p.Reason, detail, timeColumn(p.At))
	t.m.parked += added - removed
	return err
}

// pass moves the cursor, and forgets parked operations that were followed by
// one the store has.
func (t *txn) pass(name string, from, to int64) error {
	if t.m.parked > 0 {
		gone, err := t.exec(wUnparkPassed, name, from, to)
		if err != nil {
			return err
		}
		t.m.parked -= gone
	}
	return t.setCursor(name, cursor{to, true})
}

// trim removes up to one chunk of rows that every attached store has, and
// reports whether that were all.
func (t *txn) trim() (done bool, err error) {
	floor := t.m.floor()
	if floor <= t.m.trimmed {
		return true, nil
	}
	end, err := t.chunkEnd(t.m.trimmed, floor)
	if err != nil {
		return false, err
	}
	if err := t.dropPayload(t.m.trimmed, end); err != nil {
		return false, err
	}
	if err := t.bury(end); err != nil {
		return false, err
	}
	if _, err := t.exec(wTrimOutbox, end); err != nil {
		return false, err
	}
	if _, err := t.exec(wTrimmed, t.m.issued, end); err != nil {
		return false, err
	}
	t.m.trimmed = end
	return end == floor, nil
}

// trim removes what every attached store has.
func (db *DB) trim(ctx context.Context) error {
	for done := false; !done; {
		err := db.submit(ctx, 0, func(t *txn) (err error) {
			done, err = t.trim()
			return err
		})
		if err != nil {
			return fmt.Errorf("trim the outbox: %w", err)
		}
	}
	return nil
}

// ParkedAt returns the parked operations of a document, by store.
func (db *DB) ParkedAt(ctx context.Context, id document.ID) ([]Parked, error) {
	all, err := db.parked(ctx, qParkedAt, id.String())
	return all, wrap(err, fmt.Sprintf("read what is parked of %q in", id), db.file)
}

// ParkedIn returns the parked operations of a store, the oldest first, at most
// limit (MaxRows).
func (db *DB) ParkedIn(ctx context.Context, name string, limit int) ([]Parked, error) {
	all, err := db.parked(ctx, qParkedIn, name, min(limit, MaxRows))
	return all, wrap(err, "read what is parked in", db.file)
}

func (db *DB) parked(ctx context.Context, query int, args ...any) ([]Parked, error) {
	var all []Parked
	err := db.readers.use(ctx, func(r *reader) error {
		return r.each(ctx, query, func(scan func(...any) error) error {
			var p Parked
			var id string
			var at any
			err := scan(&p.Store, &id, &p.Seq, &p.OpID, &p.Reason, &p.Detail, &at)
			if err != nil {
				return err
			}
			if p.ID, err = document.ParseID(id); err != nil {
				return fmt.Errorf("%w: %w", store.ErrCorrupt, err)
			}
			p.At, err = parseTime(at)
			all = append(all, p)
			return err
		}, args...)
	})
	return all, err
}

// ParkedAmong returns how many operations are parked at one store.
func (db *DB) ParkedAmong(ctx context.Context, name string) (n int64, err error) {
	err = db.readers.use(ctx, func(r *reader) error {
		return r.stmts[qParkedAmong].QueryRowContext(context.WithoutCancel(ctx), name).Scan(&n)
	})
	return n, wrap(err, "count what is parked in", db.file)
}

// ParkedFor returns how many operations are parked at one store for a reason.
func (db *DB) ParkedFor(ctx context.Context, name, reason string) (n int64, err error) {
	err = db.readers.use(ctx, func(r *reader) error {
		return r.stmts[qParkedFor].QueryRowContext(context.WithoutCancel(ctx), name, reason).Scan(&n)
	})
	return n, wrap(err, "count what is parked in", db.file)
}

// ParkedCount returns how many operations are parked, from memory.
func (db *DB) ParkedCount() int64 { return db.memory.Load().parked }
