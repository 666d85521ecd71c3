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

// MaxRows bounds the rows of one Page or Scan.
const MaxRows = 10_000

// Row is one document of the index.
type Row struct {
	ID        document.ID
	Folder    document.Path
	Type      document.Type
	Source    string // URL, else path, that it came from; "" if none
	Size      int64  // bytes of content
	CreatedAt time.Time
	UpdatedAt time.Time     // of a deleted document: when it was deleted
	Hash      document.Hash // zero if deleted
	Seq       int64         // of the newest operation
	Deleted   bool
	Commit    string // of git, known to hold this version; "" if none
}

// Lookup returns the row of a document. store.ErrNotFound if the index does not
// know it. A deleted document is returned, with Deleted, until every attached
// store passed its delete.
func (db *DB) Lookup(ctx context.Context, id document.ID) (Row, error) {
	var row Row
	err := db.readers.use(ctx, func(r *reader) (err error) {
		row, err = scanRow(r.stmts[qLookup].QueryRowContext(context.WithoutCancel(ctx), id.String()).Scan)
		return err
	})
	if errors.Is(err, sql.ErrNoRows) {
		return Row{}, fmt.Errorf("document %q: %w", id, store.ErrNotFound)
	}
	if err != nil {
		return Row{}, wrap(err, "look up a document in", db.file)
	}
	return row, nil
}

// PageQuery selects a part of the index.
type PageQuery struct {
	Contains string // a part of the id; "" for all
	Type     string // "" for all
	Offset   int    // rows to skip, negative is 0
	Limit    int    // rows to return, 0 to MaxRows
}

// Page returns the documents that match in the order of their ids, without
// deleted ones, and how many match in all. Without a filter the number is kept
// by the writer; with one, the whole index is read.
func (db *DB) Page(ctx context.Context, q PageQuery) (rows []Row, total int64, err error) {
	limit, offset := min(max(q.Limit, 0), MaxRows), max(q.Offset, 0)
	err = db.readers.use(ctx, func(r *reader) error {
		collect := func(scan func(...any) error) error {
			row, err := scanRow(scan)
			rows = append(rows, row)
			return err
		}
		page, count, args := q.statements()
		if args == nil {
			total = db.memory.Load().documents
			return r.each(ctx, page, collect, limit, offset)
		}
		return r.snapshot(ctx, func() error {
			err := r.stmts[count].QueryRowContext(ctx, args...).Scan(&total)
			if err != nil || int64(offset) >= total {
				return err
			}
			return r.each(ctx, page, collect, append(args, limit, offset)...)
		})
	})
	if err != nil {
		return nil, 0, wrap(err, "list documents of", db.file)
	}
	return rows, total, nil
}

// statements returns what lists and what counts the rows, and the filter's
// values, nil without a filter.
func (q PageQuery) statements() (page, count int, args []any) {
	switch {
	case q.Contains == "" && q.Type == "":
		return qPage, 0, nil
	case q.Contains == "":
		return qPageType, qCountType, []any{q.Type}
	case q.Type == "":
		return qPageContains, qCountContains, []any{q.Contains}
	}
	return qPageBoth, qCountBoth, []any{q.Type, q.Contains}
}

// Scan returns up to limit documents (at most MaxRows) whose ids come after
// the given one, in order, without deleted ones. "" starts at the first; no
// rows mean the end.
func (db *DB) Scan(ctx context.Context, after string, limit int) ([]Row, error) {
	var rows []Row
	err := db.readers.use(ctx, func(r *reader) error {
		return r.each(ctx, qScan, func(scan func(...any) error) error {
			row, err := scanRow(scan)
			rows = append(rows, row)
			return err
		}, after, min(max(limit, 0), MaxRows))
	})
	if err != nil {
		return nil, wrap(err, "scan the documents of", db.file)
	}
	return rows, nil
}

func scanRow(scan func(...any) error) (Row, error) {
	var row Row
	var id, kind, folder string
	var created, updated any
	var sum []byte
	err := scan(&id, &row.Deleted, &kind, &row.Seq, &row.Size, &created, &updated, &sum, &row.Commit, &folder, &row.Source)
	if err != nil {
		return Row{}, err
	}
	key, err := parseKey(id, folder)
	if err != nil {
		return Row{}, err
	}
	row.ID, row.Folder = key.ID, key.Folder
	if row.Type, err = document.ParseType(kind); err != nil {
		return Row{}, fmt.Errorf("%w: the type of %q: %w", store.ErrCorrupt, id, err)
	}
	if row.Hash, err = parseHash(sum); err != nil {
		return Row{}, err
	}
	if row.CreatedAt, err = parseTime(created); err != nil {
		return Row{}, err
	}
	row.UpdatedAt, err = parseTime(updated)
	return row, err
}
