package state

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"unicode"
	"unicode/utf8"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/store"
)

// MarkStart and MarkEnd enclose the words found in a snippet. No indexed text
// can hold them, because Index replaces control characters.
const (
	MarkStart = "\x02"
	MarkEnd   = "\x03"
)

const (
	// MaxText is how much of a document's text is indexed, in bytes (1 MiB).
	MaxText = 1 << 20
	// MaxMetaText is how much of its metadata is indexed, in bytes (64 KiB).
	MaxMetaText = 64 << 10
	// MaxHits bounds the results of one Search.
	MaxHits = 1000

	derivedReaders = 2
)

// derivedSchema makes an empty derived.db. The full-text index keeps no copy of
// the text: it is read from docs, which Index keeps it in step with. Triggers
// would do the same, but open a savepoint a row, at which FTS5 writes out what
// it has gathered: measured at little more than half the rate. The id weighs
// most, then source and metadata, then the text.
var derivedSchema = []string{`CREATE TABLE derived(
		one      INTEGER PRIMARY KEY CHECK (one = 1),
		state_id TEXT    NOT NULL,
		cursor   INTEGER NOT NULL
	) STRICT;
	CREATE TABLE docs(
		n    INTEGER PRIMARY KEY,
		id   TEXT    NOT NULL UNIQUE,
		meta TEXT    NOT NULL,
		text TEXT    NOT NULL
	) STRICT;
	CREATE VIRTUAL TABLE words USING fts5(id, meta, text, content='docs', content_rowid='n',
		tokenize="unicode61 remove_diacritics 2");
	INSERT INTO words(words, rank) VALUES ('rank', 'bm25(10.0, 3.0, 1.0)');`}

// Statements of derived.db.
const (
	dBegin = iota
	dCommit
	dRollback
	dOld
	dPut
	dDelete
	dAddWords
	dDropWords
	dCursor
	derivedWrites
)

var derivedWriteSQL = [derivedWrites]string{
	dBegin:    `BEGIN IMMEDIATE`,
	dCommit:   `COMMIT`,
	dRollback: `ROLLBACK`,
	dOld:      `SELECT n, meta, text FROM docs WHERE id = ?`,
	dPut:      `INSERT INTO docs(n, id, meta, text) VALUES (?, ?, ?, ?) ON CONFLICT(n) DO UPDATE SET meta = excluded.meta, text = excluded.text`,
	dDelete:   `DELETE FROM docs WHERE n = ?`,
	dAddWords: `INSERT INTO words(rowid, id, meta, text) VALUES (?, ?, ?, ?)`,
	// FTS5 takes out of the index exactly the words that it is shown.
	dDropWords: `INSERT INTO words(words, rowid, id, meta, text) VALUES ('delete', ?, ?, ?, ?)`,
	dCursor:    `UPDATE derived SET cursor = ?`,
}

const (
	dSearch = iota
	dCount
	derivedReads
)

var derivedReadSQL = [derivedReads]string{
	dSearch: `SELECT id, snippet(words, -1, char(2), char(3), '…', 16), rank FROM words WHERE words MATCH ? ORDER BY rank LIMIT ?`,
	dCount:  `SELECT count(*) FROM words WHERE words MATCH ?`,
}

// Derived is an open derived.db: what can be made again from state.db and the
// documents, and is therefore written without a sync. All methods are safe for
// concurrent use.
type Derived struct {
	file    string
	fresh   atomic.Bool
	cursor  atomic.Int64
	broken  atomic.Bool  // found corrupt: Close removes the file
	swap    sync.RWMutex // held for writing while the file is replaced, after mu
	readers *pool        // of the file as it is, see read

	mu     sync.Mutex // held for a transaction
	writer *sql.DB
	conn   *sql.Conn
	stmts  []*sql.Stmt
	closed bool
}

// OpenDerived opens derived.db in dir. A file that is corrupt, or belongs to
// another state or schema, is removed and made anew, which Fresh reports.
func OpenDerived(ctx context.Context, dir, stateID string) (*Derived, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open derived data: %w", err)
	}
	file := filepath.Join(dir, derivedFile)
	d, err := openDerived(ctx, file, stateID)
	if err == nil {
		return d, nil
	}
	if !errors.Is(err, errRemake) && !errors.Is(err, ErrNewerSchema) && !errors.Is(wrap(err, "open", file), store.ErrCorrupt) {
		return nil, wrap(err, "open", file)
	}
	if err := removeDatabase(file); err != nil {
		return nil, wrap(err, "remove", file)
	}
	d, err = openDerived(ctx, file, stateID)
	if err != nil {
		return nil, wrap(err, "remake", file)
	}
	d.fresh.Store(true)
	return d, nil
}

// errRemake says that the file is sound but of no use.
var errRemake = errors.New("derived data of another state or schema")

func removeDatabase(file string) error {
	var errs []error
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(file + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func openDerived(ctx context.Context, file, stateID string) (*Derived, error) {
	if err := createFile(file); err != nil {
		return nil, err
	}
	d := &Derived{file: file}
	if err := d.open(ctx, stateID); err != nil {
		return nil, errors.Join(err, d.closeWriter())
	}
	return d, nil
}

func (d *Derived) open(ctx context.Context, stateID string) (err error) {
	d.writer, err = sql.Open("sqlite", dataSource(d.file, "journal_mode(WAL)", "synchronous(NORMAL)",
		"journal_size_limit(67108864)", "cache_size(-32000)", "temp_store(2)"))
	if err != nil {
		return err
	}
	d.writer.SetMaxOpenConns(1)
	if d.conn, err = d.writer.Conn(ctx); err != nil {
		return err
	}
	created, err := migrate(ctx, d.conn, derivedSchema)
	if err != nil {
		return err
	}
	d.fresh.Store(created)
	if created {
		if _, err := d.conn.ExecContext(ctx, `INSERT INTO derived VALUES (1, ?, 0)`, stateID); err != nil {
			return err
		}
	}
	var owner string
	var cursor int64
	err = d.conn.QueryRowContext(ctx, `SELECT state_id, cursor FROM derived`).Scan(&owner, &cursor)
	if errors.Is(err, sql.ErrNoRows) || (err == nil && owner != stateID) {
		return errRemake
	}
	if err != nil {
		return err
	}
	d.cursor.Store(cursor)
	if d.stmts, err = prepareAll(ctx, d.conn, derivedWriteSQL[:]); err != nil {
		return err
	}
	d.readers, err = openPool(ctx, d.file, derivedReaders, derivedReadSQL[:])
	return err
}

// Close waits for the calls under way and closes the file. A file that was
// found corrupt is removed, so that the next OpenDerived makes it anew.
func (d *Derived) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil
	}
	d.closed = true
	errs := []error{d.readers.close(), d.closeWriter()}
	if d.broken.Load() {
		errs = append(errs, removeDatabase(d.file))
	}
	return wrap(errors.Join(errs...), "close", d.file)
}

func (d *Derived) closeWriter() error {
	var errs []error
	for _, stmt := range d.stmts {
		errs = append(errs, stmt.Close())
	}
	if d.conn != nil {
		errs = append(errs, d.conn.Close())
	}
	if d.writer != nil {
		errs = append(errs, d.writer.Close())
	}
	return errors.Join(errs...)
}

// Fresh reports whether the file was made by this OpenDerived, or by Renew: it
// wants to be filled.
func (d *Derived) Fresh() bool { return d.fresh.Load() }

// Cursor returns the newest operation of the outbox that is indexed.
func (d *Derived) Cursor() int64 { return d.cursor.Load() }

// TextOp is one change of the full-text index.
type TextOp struct {
	ID     document.ID
	Delete bool
	Text   string // content, of which MaxText bytes are indexed
	Meta   string // source, type and metadata as text, of which MaxMetaText bytes are indexed
}

// Index applies changes and moves the cursor, all in one transaction or not at
// all. What a power cut takes back, it takes back with the cursor.
func (d *Derived) Index(ctx context.Context, ops []TextOp, cursor int64) (err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := d.index(ctx, ops, cursor); err != nil {
		return d.fail(err, fmt.Sprintf("index %d documents in", len(ops)))
	}
	d.cursor.Store(cursor)
	return nil
}

func (d *Derived) index(ctx context.Context, ops []TextOp, cursor int64) (err error) {
	if err := d.exec(dBegin); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			if undo := d.exec(dRollback); undo != nil {
				err = fmt.Errorf("%w (roll back: %w)", err, undo)
			}
		}
	}()
	for _, op := range ops {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := d.change(op); err != nil {
			return err
		}
	}
	if err := d.exec(dCursor, cursor); err != nil {
		return err
	}
	return d.exec(dCommit)
}

// change applies one change. Splitting text into words is the cost, so that a
// document that says the same again is not touched.
func (d *Derived) change(op TextOp) error {
	id, meta, text := op.ID.String(), plain(op.Meta, MaxMetaText), plain(op.Text, MaxText)
	var old struct {
		n          any // NULL for a new row: the next number is taken
		meta, text string
	}
	err := d.stmts[dOld].QueryRowContext(context.Background(), id).Scan(&old.n, &old.meta, &old.text)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		if op.Delete {
			return nil
		}
	case err != nil:
		return err
	case !op.Delete && old.meta == meta && old.text == text:
		return nil
	default:
		if err := d.exec(dDropWords, old.n, id, old.meta, old.text); err != nil {
			return err
		}
	}
	if op.Delete {
		return d.exec(dDelete, old.n)
	}
	result, err := d.stmts[dPut].ExecContext(context.Background(), old.n, id, meta, text)
	if err != nil {
		return err
	}
	if old.n == nil {
		if old.n, err = result.LastInsertId(); err != nil {
			return err
		}
	}
	return d.exec(dAddWords, old.n, id, meta, text)
}

func (d *Derived) exec(stmt int, args ...any) error {
	_, err := d.stmts[stmt].ExecContext(context.Background(), args...)
	return err
}

// fail names the operation, and remembers that the file has to be made anew.
func (d *Derived) fail(err error, operation string) error {
	if _, sentinel := classify(err); errors.Is(sentinel, store.ErrCorrupt) || errors.Is(err, store.ErrCorrupt) {
		d.broken.Store(true)
		return fmt.Errorf("%s %s: %w, it is made anew at the next start: %w", operation, d.file, store.ErrCorrupt, err)
	}
	return wrap(err, operation, d.file)
}

// plain returns the first limit bytes of s as the index takes them: UTF-8
// without control characters.
func plain(s string, limit int) string {
	s = cut(s, limit)
	clean := utf8.ValidString(s)
	for i := 0; clean && i < len(s); i++ {
		clean = s[i] >= ' ' && s[i] != 0x7f && s[i] != 0xc2 // C1 controls start with 0xc2
	}
	if clean {
		return s
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r // a byte that is no UTF-8 arrives as U+FFFD
	}, s)
}
