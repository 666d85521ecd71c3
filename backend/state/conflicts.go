package state

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/store"
)

const (
	// CopyMark is in the id of every document that keeps one side of a conflict.
	CopyMark = ".conflict-"
	// MaxConflicts bounds those that are open. What comes past it is not
	// recorded; the document that keeps the other side is made all the same, and
	// is recognised by its id.
	MaxConflicts = 100_000
	// MaxSettled is how many settled ones are remembered; those settled first
	// are forgotten first.
	MaxSettled = 10_000
	// MaxAbout bounds the conflicts about one document that are told at once.
	MaxAbout = 100
	// maxAuthor bounds the name of an author, in bytes.
	maxAuthor = 256
)

// How a conflict was settled, as far as this package must know it.
const (
	// HowBoth: the copy stays, as a document like any other.
	HowBoth = "both"
	// HowRemoved: somebody deleted what was left to decide about. If it comes
	// back, the conflict does.
	HowRemoved = "removed"
)

// Conflict is a document that was changed on two sides, of which neither knew
// of the other. One side holds the place of the document; the other one is kept
// as a copy, or was a delete and is kept nowhere.
type Conflict struct {
	Name document.ID // names the conflict: the id of the copy, or what that would be
	ID   document.ID // of the document; zero if unknown
	Copy bool        // there is a copy
	// Kept is the side that does not hold the place, Deleted the one that is a
	// delete, Where the store that both sides met at; "" if unknown or none.
	Kept, Deleted, Where string
	OpID                 string        // of our change, "" if unknown
	Base                 document.Hash // of what both sides come from; this and the next are zero if unknown, or absent
	Ours, Theirs         document.Hash // of the versions that met
	Author, Commit       string        // of their version, "" if unknown; unsanitised
	At                   time.Time     // when it was found, zero if unknown

	How       string    // "" while it is open
	SettledAt time.Time // zero while it is open
	// What the settlement found and made, to take it back: zero for none.
	PlaceBefore, PlaceAfter, CopyBefore document.Hash
}

// Version is what the index is to hold of a document, zero for none.
type Version struct {
	ID   document.ID
	Hash document.Hash
}

// Settlement changes how a conflict stands.
type Settlement struct {
	Name document.ID
	From string // how it must stand, "" for open
	How  string // how it stands then, "" opens it again
	At   time.Time
	// Unchanged are versions that must be there as they are, beside what the
	// operations expect.
	Unchanged                           []Version
	PlaceBefore, PlaceAfter, CopyBefore document.Hash
}

const conflictTables = `CREATE TABLE conflicts(
		n            INTEGER PRIMARY KEY,
		name         TEXT    NOT NULL UNIQUE,
		id           TEXT    NOT NULL,
		copy         INTEGER NOT NULL,
		kept         TEXT    NOT NULL,
		removed      TEXT    NOT NULL,
		met          TEXT    NOT NULL,
		op_id        TEXT    NOT NULL,
		base         BLOB    NOT NULL,
		ours         BLOB    NOT NULL,
		theirs       BLOB    NOT NULL,
		author       TEXT    NOT NULL,
		git          TEXT    NOT NULL,
		at           ANY     NOT NULL,
		how          TEXT    NOT NULL,
		settled      ANY     NOT NULL,
		place_before BLOB    NOT NULL,
		place_after  BLOB    NOT NULL,
		copy_before  BLOB    NOT NULL
	) STRICT;
	CREATE INDEX conflicts_by_id ON conflicts(id);
	CREATE INDEX conflicts_open ON conflicts(n) WHERE how = '';
	CREATE INDEX conflicts_settled ON conflicts(settled) WHERE how != '';`

const (
	conflictColumns = `name, id, copy, kept, removed, met, op_id, base, ours, theirs, author, git, at, how, settled,
		place_before, place_after, copy_before`
	conflictValues = `INSERT INTO conflicts(` + conflictColumns + `)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '', 0, x'', x'', x'')`

	keepConflict   = conflictValues + ` ON CONFLICT(name) DO NOTHING`
	recordConflict = conflictValues + ` ON CONFLICT(name) DO UPDATE SET id = excluded.id, copy = excluded.copy,
		kept = excluded.kept, removed = excluded.removed, met = excluded.met, op_id = excluded.op_id, base = excluded.base,
		ours = excluded.ours, theirs = excluded.theirs, author = excluded.author, git = excluded.git, at = excluded.at,
		how = '', settled = 0, place_before = x'', place_after = x'', copy_before = x'' WHERE how != ''`
	conflictHow    = `SELECT how FROM conflicts WHERE name = ?`
	settleConflict = `UPDATE conflicts SET how = ?2, settled = ?3, place_before = ?4, place_after = ?5, copy_before = ?6 WHERE name = ?1`
	dropSettled    = `DELETE FROM conflicts WHERE how != '' AND settled <=
		(SELECT settled FROM conflicts WHERE how != '' ORDER BY settled DESC LIMIT 1 OFFSET ?)`
	// The delete of a copy, or of a document of which the other side was a
	// delete, leaves nothing to decide about.
	conflictRemoved = `UPDATE conflicts SET how = '` + HowRemoved + `', settled = ?2
		WHERE how = '' AND ((name = ?1 AND copy = 1) OR (id = ?1 AND copy = 0))`
	conflictBack = `UPDATE conflicts SET how = '', settled = 0 WHERE name = ? AND copy = 1 AND how NOT IN ('', '` + HowBoth + `')`

	conflictsAll   = `SELECT ` + conflictColumns + ` FROM conflicts ORDER BY n DESC LIMIT ? OFFSET ?`
	conflictsOpen  = `SELECT ` + conflictColumns + ` FROM conflicts WHERE how = '' ORDER BY n DESC LIMIT ? OFFSET ?`
	conflictsCount = `SELECT count(*) FROM conflicts`
	conflictNamed  = `SELECT ` + conflictColumns + ` FROM conflicts WHERE name = ?`
	conflictsOf    = `SELECT ` + conflictColumns + ` FROM conflicts WHERE how = '' AND (id = ?1 OR name = ?1) ORDER BY n DESC LIMIT ?2`
)

// RecordConflicts records conflicts that no operation brings, and returns how
// many of them are new. One whose name is known stays as it is.
func (db *DB) RecordConflicts(ctx context.Context, list []Conflict) (fresh int, err error) {
	err = db.submit(ctx, 0, func(t *txn) error {
		for _, c := range list {
			if c.Name.IsZero() {
				return fmt.Errorf("%w: a conflict without a name", document.ErrInvalid)
			}
		}
		for _, c := range list {
			recorded, err := t.recordConflict(wKeepConflict, c)
			if err != nil {
				return err
			}
			if recorded {
				fresh++
			}
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("record %d conflicts: %w", len(list), err)
	}
	return fresh, nil
}

func (t *txn) recordConflict(how int, c Conflict) (recorded bool, err error) {
	if t.m.conflicts >= MaxConflicts {
		return false, nil
	}
	id := ""
	if !c.ID.IsZero() {
		id = c.ID.String()
	}
	n, err := t.exec(how, c.Name.String(), id, c.Copy, c.Kept, c.Deleted, c.Where, c.OpID, hashColumn(c.Base),
		hashColumn(c.Ours), hashColumn(c.Theirs), cut(c.Author, maxAuthor), c.Commit, timeColumn(c.At))
	t.m.conflicts += n
	return n > 0, err
}

// followConflict closes and opens conflicts with the documents that they are
// about. It costs nothing where there are none, or the id is none of a copy.
func (t *txn) followConflict(e entry) error {
	id := e.Key.ID.String()
	switch {
	case e.Doc == nil && t.m.conflicts > 0:
		n, err := t.exec(wConflictRemoved, id, timeColumn(e.At))
		t.m.conflicts -= n
		if err != nil || n == 0 {
			return err
		}
		_, err = t.exec(wDropSettled, MaxSettled)
		return err
	case e.Doc != nil && e.Conflict == nil && strings.Contains(id, CopyMark):
		n, err := t.exec(wConflictBack, id)
		t.m.conflicts += n
		return err
	}
	return nil
}

// Settle changes how a conflict stands and enters operations, both or neither.
// Errors are those of Append; store.ErrNotFound if there is no such conflict,
// and store.ErrConflict also if it does not stand as From says, or if a version
// of Unchanged is not there.
func (db *DB) Settle(ctx context.Context, s Settlement, ops []Operation) ([]Issued, error) {
	entries, bytes, err := prepare(ops)
	if err != nil {
		return nil, fmt.Errorf("settle %q: %w", s.Name, err)
	}
	issued := make([]Issued, len(ops))
	err = db.submit(ctx, bytes, func(t *txn) error {
		if err := t.mayBeSettled(s); err != nil {
			return err
		}
		if err := t.append(entries, issued); err != nil {
			return err
		}
		return t.settle(s)
	})
	if err != nil {
		return nil, fmt.Errorf("settle %q: %w", s.Name, err)
	}
	return issued, nil
}

func (t *txn) mayBeSettled(s Settlement) error {
	var how string
	found, err := t.row(wConflictHow, []any{s.Name.String()}, &how)
	switch {
	case err != nil:
		return err
	case !found:
		return fmt.Errorf("conflict %q: %w", s.Name, store.ErrNotFound)
	case how != s.From:
		return fmt.Errorf("%w: the conflict %q was settled or opened again meanwhile", store.ErrConflict, s.Name)
	}
	for _, v := range s.Unchanged {
		now, err := t.lookup(v.ID)
		if err != nil {
			return err
		}
		if now.hash != v.Hash {
			return fmt.Errorf("%w: document %q was changed meanwhile", store.ErrConflict, v.ID)
		}
	}
	return nil
}

// settle writes how the conflict stands, after operations that may have changed
// that already.
func (t *txn) settle(s Settlement) error {
	var how string
	if _, err := t.row(wConflictHow, []any{s.Name.String()}, &how); err != nil {
		return err
	}
	settled := any(0)
	if s.How != "" {
		settled = timeColumn(s.At)
	}
	_, err := t.exec(wSettleConflict, s.Name.String(), s.How, settled, hashColumn(s.PlaceBefore), hashColumn(s.PlaceAfter), hashColumn(s.CopyBefore))
	if err != nil {
		return err
	}
	switch {
	case how == "" && s.How != "":
		t.m.conflicts--
	case how != "" && s.How == "":
		t.m.conflicts++
	}
	_, err = t.exec(wDropSettled, MaxSettled)
	return err
}

// Conflicts returns conflicts, the newest first, those that are open or all,
// and how many there are.
func (db *DB) Conflicts(ctx context.Context, all bool, offset, limit int) (list []Conflict, total int64, err error) {
	query := qConflictsOpen
	total = db.memory.Load().conflicts
	if all {
		query = qConflicts
		err = db.readers.use(ctx, func(r *reader) error {
			return r.stmts[qConflictsCount].QueryRowContext(context.WithoutCancel(ctx)).Scan(&total)
		})
	}
	if err == nil {
		list, err = db.conflicts(ctx, query, min(max(limit, 0), MaxRows), max(offset, 0))
	}
	return list, total, wrap(err, "read the conflicts of", db.file)
}

// ConflictsOf returns the open conflicts about a document, and the one whose
// copy it is, the newest first, at most MaxAbout.
func (db *DB) ConflictsOf(ctx context.Context, id document.ID) ([]Conflict, error) {
	if db.memory.Load().conflicts == 0 {
		return nil, nil
	}
	list, err := db.conflicts(ctx, qConflictsOf, id.String(), MaxAbout)
	return list, wrap(err, fmt.Sprintf("read the conflicts about %q in", id), db.file)
}

// Conflict returns the conflict of that name, open or settled.
// store.ErrNotFound if there is none.
func (db *DB) Conflict(ctx context.Context, name document.ID) (Conflict, error) {
	var c Conflict
	err := db.readers.use(ctx, func(r *reader) (err error) {
		c, err = scanConflict(r.stmts[qConflict].QueryRowContext(context.WithoutCancel(ctx), name.String()).Scan)
		return err
	})
	if errors.Is(err, sql.ErrNoRows) {
		return Conflict{}, fmt.Errorf("conflict %q: %w", name, store.ErrNotFound)
	}
	return c, wrap(err, "look up a conflict in", db.file)
}

func (db *DB) conflicts(ctx context.Context, query int, args ...any) (list []Conflict, err error) {
	err = db.readers.use(ctx, func(r *reader) error {
		return r.each(ctx, query, func(scan func(...any) error) error {
			c, err := scanConflict(scan)
			list = append(list, c)
			return err
		}, args...)
	})
	return list, err
}

func scanConflict(scan func(...any) error) (c Conflict, err error) {
	var name, id string
	var at, settled any
	var hashes [6][]byte
	err = scan(&name, &id, &c.Copy, &c.Kept, &c.Deleted, &c.Where, &c.OpID, &hashes[0], &hashes[1], &hashes[2], &c.Author, &c.Commit,
		&at, &c.How, &settled, &hashes[3], &hashes[4], &hashes[5])
	if err != nil {
		return Conflict{}, err
	}
	if c.Name, err = document.ParseID(name); err == nil && id != "" {
		c.ID, err = document.ParseID(id)
	}
	if err != nil {
		return Conflict{}, fmt.Errorf("%w: a conflict: %w", store.ErrCorrupt, err)
	}
	for i, into := range []*document.Hash{&c.Base, &c.Ours, &c.Theirs, &c.PlaceBefore, &c.PlaceAfter, &c.CopyBefore} {
		if *into, err = parseHash(hashes[i]); err != nil {
			return Conflict{}, err
		}
	}
	if c.At, err = parseTime(at); err != nil {
		return Conflict{}, err
	}
	if c.How != "" {
		c.SettledAt, err = parseTime(settled)
	}
	return c, err
}
