package state

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/google/uuid"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/caiatech/caiatop/backend/store"
)

// readers is the number of connections that only read.
const readers = 4

// Options are what a state file takes from outside. The zero value is the real
// clock and random identities.
type Options struct {
	Now   func() time.Time // time.Now if nil
	NewID func() string    // a UUID of version 7 if nil
}

// DB is an open state file. All methods are safe for concurrent use.
type DB struct {
	file    string
	stateID string
	now     func() time.Time

	writer  *sql.DB
	conn    *sql.Conn // of the writer goroutine
	stmts   []*sql.Stmt
	commit  func(context.Context) error // replaced by tests of failing disks
	fatal   error                       // of the writer goroutine: nothing is written any more
	readers *pool

	// memory is what was committed last. It is never changed in place.
	memory atomic.Pointer[memory]
	// dropped counts the operations that were given up, see Drop.
	dropped atomic.Int64

	requests chan *request
	closing  chan struct{}
	stopped  chan struct{}
	once     sync.Once
	closeErr error
}

// memory is what the writer knows without asking the file.
type memory struct {
	clean                     bool  // header says that its sums are exact
	issued, trimmed           int64 // sequence numbers
	documents, bytes, payload int64
	parked                    int64
	conflicts                 int64 // open
	graves                    bool  // there are some
	phase                     Phase
	kept, keptBytes           int64
	cursors                   map[string]cursor
	meta                      map[string]string
}

type cursor struct {
	seq      int64
	attached bool
}

// floor returns the number up to which every attached store is done. No store,
// no floor: then nothing may go.
func (m *memory) floor() int64 {
	floor, found := int64(0), false
	for _, c := range m.cursors {
		if c.attached && (!found || c.seq < floor) {
			floor, found = c.seq, true
		}
	}
	return floor
}

func (m *memory) setCursor(name string, c cursor) {
	m.cursors = maps.Clone(m.cursors)
	m.cursors[name] = c
}

// Open opens the state file in dir, which exists and whose lock the caller
// holds, or makes a new one. Errors wrap ErrNewerSchema, store.ErrReadOnly,
// store.ErrCorrupt or store.ErrDiskFull where that is the reason.
func Open(ctx context.Context, dir string, o Options) (*DB, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open the state file: %w", err)
	}
	db := &DB{
		file:     filepath.Join(dir, stateFile),
		now:      o.Now,
		requests: make(chan *request),
		closing:  make(chan struct{}),
		stopped:  make(chan struct{}),
	}
	if db.now == nil {
		db.now = time.Now
	}
	newID := o.NewID
	if newID == nil {
		newID = randomID
	}
	if err := createFile(db.file); err != nil {
		return nil, wrap(err, "open", db.file)
	}
	if err := db.open(ctx, newID); err != nil {
		return nil, wrap(errors.Join(err, db.closeWriter()), "open", db.file)
	}
	go db.run()
	return db, nil
}

func randomID() string { return uuid.Must(uuid.NewV7()).String() }

// createFile makes sure that the file exists, is ours alone, and that files
// can be made beside it, as the write-ahead log will be.
func createFile(file string) error {
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Chmod(0o600), f.Sync(), f.Close()); err != nil {
		return err
	}
	const writable = 2
	if err := syscall.Access(filepath.Dir(file), writable); err != nil {
		return fmt.Errorf("%s: %w", filepath.Dir(file), err)
	}
	dir, err := os.Open(filepath.Dir(file))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// open connects, migrates and loads. What it opened before an error is closed
// by closeWriter.
func (db *DB) open(ctx context.Context, newID func() string) (err error) {
	if db.writer, err = sql.Open("sqlite", dataSource(db.file)); err != nil {
		return err
	}
	db.writer.SetMaxOpenConns(1)
	if db.conn, err = db.writer.Conn(ctx); err != nil {
		return err
	}
	// The schema is looked at first: a newer file must stay as it is.
	created, err := migrate(ctx, db.conn, migrations)
	if err != nil {
		return err
	}
	if err := configure(ctx, db.conn); err != nil {
		return err
	}
	if created {
		_, err := db.conn.ExecContext(ctx, `INSERT INTO header VALUES (1, ?, ?, 1, 0, 0, 0, 0, 0)`, newID(), timeColumn(db.now()))
		if err != nil {
			return err
		}
	}
	if err := db.load(ctx); err != nil {
		return err
	}
	if db.stmts, err = prepareAll(ctx, db.conn, writeSQL[:]); err != nil {
		return err
	}
	db.commit = func(ctx context.Context) error {
		_, err := db.stmts[wCommit].ExecContext(ctx)
		return err
	}
	db.readers, err = openPool(ctx, db.file, readers, readSQL[:])
	return err
}

// configure sets what makes a commit durable. A file system that cannot share
// memory between connections has no write-ahead log, and is refused.
func configure(ctx context.Context, conn *sql.Conn) error {
	var mode string
	if err := conn.QueryRowContext(ctx, `PRAGMA journal_mode = WAL`).Scan(&mode); err != nil {
		return err
	}
	if mode != "wal" {
		return fmt.Errorf("%w: the file system allows no write-ahead log, use a local disk", store.ErrUnavailable)
	}
	_, err := conn.ExecContext(ctx, `PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 1000;
		PRAGMA journal_size_limit = 67108864; PRAGMA cache_size = -16000; PRAGMA temp_store = MEMORY`)
	return err
}

// Close ends the writer after the requests that it took, waits for the reads
// under way and closes the file. Later calls return what the first one did.
func (db *DB) Close() error {
	db.once.Do(func() {
		close(db.closing)
		<-db.stopped
		db.closeErr = wrap(errors.Join(db.saveSums(), db.readers.close(), db.closeWriter()), "close", db.file)
	})
	return db.closeErr
}

func (db *DB) closeWriter() error {
	var errs []error
	for _, stmt := range db.stmts {
		errs = append(errs, stmt.Close())
	}
	if db.conn != nil {
		errs = append(errs, db.conn.Close())
	}
	if db.writer != nil {
		errs = append(errs, db.writer.Close())
	}
	return errors.Join(errs...)
}

// saveSums writes the sums that the next Open then need not count.
func (db *DB) saveSums() error {
	m := db.memory.Load()
	if db.fatal != nil || m.clean {
		return nil
	}
	_, err := db.stmts[wSaveSums].ExecContext(context.Background(), m.issued, m.documents, m.bytes, m.payload)
	return err
}

// load reads into memory what the writer must know. Only after a crash, when
// the sums in the header are not exact, are the tables counted.
func (db *DB) load(ctx context.Context) error {
	m := &memory{cursors: map[string]cursor{}, meta: map[string]string{}}
	var highest int64
	err := db.conn.QueryRowContext(ctx, `SELECT state_id, clean, issued, trimmed, documents, bytes, payload,
		(SELECT count(*) FROM parked), (SELECT count(*) FROM conflicts WHERE how = ''), EXISTS (SELECT 1 FROM graves), coalesce((SELECT max(seq) FROM outbox), 0) FROM header`).
		Scan(&db.stateID, &m.clean, &m.issued, &m.trimmed, &m.documents, &m.bytes, &m.payload, &m.parked, &m.conflicts, &m.graves, &highest)
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("%w: the header is missing%s", store.ErrCorrupt, corruptAdvice)
	}
	if err != nil {
		return err
	}
	m.issued = max(m.issued, highest)
	var dropped int64
	if err := db.conn.QueryRowContext(ctx, `SELECT count(*) FROM dropped`).Scan(&dropped); err != nil {
		return err
	}
	db.dropped.Store(dropped)
	if err := db.loadMaps(ctx, m); err != nil {
		return err
	}
	if !m.clean {
		if err := db.recount(ctx, m); err != nil {
			return err
		}
	}
	if err := db.loadPhase(ctx, m); err != nil {
		return err
	}
	db.memory.Store(m)
	return nil
}

// recount checks the index of a file that was not closed, and counts it. The
// outbox is not checked here: every payload has a checksum of its own.
func (db *DB) recount(ctx context.Context, m *memory) error {
	var verdict string
	if err := db.conn.QueryRowContext(ctx, `PRAGMA quick_check(documents)`).Scan(&verdict); err != nil {
		return err
	}
	if verdict != "ok" {
		return fmt.Errorf("%w: %s%s", store.ErrCorrupt, verdict, corruptAdvice)
	}
	return db.conn.QueryRowContext(ctx, `SELECT count(*), coalesce(sum(size), 0),
		(SELECT coalesce(sum(length(payload)), 0) FROM outbox) FROM documents WHERE deleted = 0`).
		Scan(&m.documents, &m.bytes, &m.payload)
}

func (db *DB) loadMaps(ctx context.Context, m *memory) (err error) {
	rows, err := db.conn.QueryContext(ctx, `SELECT store, seq, attached FROM cursors`)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var name string
		var c cursor
		if err := rows.Scan(&name, &c.seq, &c.attached); err != nil {
			return err
		}
		m.cursors[name] = c
		m.issued = max(m.issued, c.seq)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	settings, err := db.conn.QueryContext(ctx, `SELECT key, value FROM meta`)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, settings.Close()) }()
	for settings.Next() {
		var key, value string
		if err := settings.Scan(&key, &value); err != nil {
			return err
		}
		m.meta[key] = value
	}
	return settings.Err()
}

// StateID returns the identity of this state file, which is new with every new
// file.
func (db *DB) StateID() string { return db.stateID }

// Summary is the state file in numbers.
type Summary struct {
	MaxSeq       int64 // newest sequence number ever issued
	Documents    int64 // in the index, without deleted ones
	Bytes        int64 // of content in the index
	PayloadBytes int64 // kept in the outbox
	Parked       int64 // operations set aside, counted once a store
	Kept         int64 // copies kept of documents
	KeptBytes    int64 // of their payload
	Conflicts    int64 // open
}

// Summary returns the numbers as of the last commit, from memory.
func (db *DB) Summary() Summary {
	m := db.memory.Load()
	return Summary{MaxSeq: m.issued, Documents: m.documents, Bytes: m.bytes, PayloadBytes: m.payload, Parked: m.parked, Conflicts: m.conflicts, Kept: m.kept, KeptBytes: m.keptBytes}
}
