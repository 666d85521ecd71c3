package state

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/caiatech/caiatop/backend/store"
)

// Names of the files, in the folder that Open and OpenDerived are given.
const (
	stateFile   = "state.db"
	derivedFile = "derived.db"
)

// migrations are the steps from an empty file to the present schema: step i
// leads from version i to version i+1. Steps are only ever added.
var migrations = []string{
	// 0 -> 1. Sequence numbers are issued by the writer and kept in header, not
	// by AUTOINCREMENT, which would write one more page with every operation.
	// The index has no row id, for the same reason. Times are nanoseconds since
	// 1970, or text in RFC 3339 where they do not fit into 64 bits.
	`CREATE TABLE header(
		one       INTEGER PRIMARY KEY CHECK (one = 1),
		state_id  TEXT    NOT NULL,
		created   ANY     NOT NULL,
		clean     INTEGER NOT NULL, -- 1: the sums below are exact
		issued    INTEGER NOT NULL, -- at least the newest number among deleted rows
		trimmed   INTEGER NOT NULL, -- rows up to here have left the outbox
		documents INTEGER NOT NULL,
		bytes     INTEGER NOT NULL,
		payload   INTEGER NOT NULL
	) STRICT;
	CREATE TABLE outbox(
		seq     INTEGER PRIMARY KEY,
		op_id   TEXT    NOT NULL,
		id      TEXT    NOT NULL,
		folder  TEXT    NOT NULL,
		kind    INTEGER NOT NULL, -- 0 put, 1 delete
		hash    BLOB    NOT NULL, -- empty for none
		base    BLOB    NOT NULL, -- empty for none
		at      ANY     NOT NULL,
		origin  TEXT    NOT NULL,
		git     TEXT    NOT NULL, -- commit that holds the payload, or empty
		payload BLOB              -- NULL: a delete, or trimmed
	) STRICT;
	CREATE TABLE documents(
		id      TEXT    PRIMARY KEY,
		deleted INTEGER NOT NULL,
		type    TEXT    NOT NULL,
		seq     INTEGER NOT NULL,
		size    INTEGER NOT NULL,
		created ANY     NOT NULL,
		updated ANY     NOT NULL,
		hash    BLOB    NOT NULL,
		git     TEXT    NOT NULL,
		folder  TEXT    NOT NULL,
		source  TEXT    NOT NULL
	) STRICT, WITHOUT ROWID;
	CREATE TABLE cursors(
		store    TEXT    PRIMARY KEY,
		seq      INTEGER NOT NULL,
		attached INTEGER NOT NULL
	) STRICT, WITHOUT ROWID;
	CREATE TABLE parked(
		id     TEXT    NOT NULL,
		store  TEXT    NOT NULL,
		seq    INTEGER NOT NULL,
		op_id  TEXT    NOT NULL,
		reason TEXT    NOT NULL,
		detail TEXT    NOT NULL,
		at     ANY     NOT NULL,
		PRIMARY KEY (id, store)
	) STRICT, WITHOUT ROWID;
	CREATE TABLE meta(
		key   TEXT PRIMARY KEY,
		value TEXT NOT NULL
	) STRICT, WITHOUT ROWID;
	CREATE TABLE events(
		n     INTEGER PRIMARY KEY,
		at    ANY     NOT NULL,
		level TEXT    NOT NULL,
		kind  TEXT    NOT NULL,
		text  TEXT    NOT NULL
	) STRICT;`,
	// 1 -> 2. What to do about an event, and where deleted documents lay: their
	// history is found at a path.
	`ALTER TABLE events ADD COLUMN next TEXT NOT NULL DEFAULT '';
	CREATE TABLE graves(
		id     TEXT    PRIMARY KEY,
		folder TEXT    NOT NULL,
		seq    INTEGER NOT NULL -- of the delete
	) STRICT, WITHOUT ROWID;
	CREATE INDEX graves_by_seq ON graves(seq);`,
	// Conflicts, open and settled, see Conflict.
	conflictTables,
	// What was parked and given up by the operator.
	`CREATE TABLE dropped(
		id     TEXT    NOT NULL,
		store  TEXT    NOT NULL,
		seq    INTEGER NOT NULL,
		op_id  TEXT    NOT NULL,
		reason TEXT    NOT NULL,
		detail TEXT    NOT NULL,
		at     ANY     NOT NULL,
		PRIMARY KEY (id, store)
	) STRICT;`,
	// Which stores are in use, and the change of that which is under way;
	// and the copies that are kept of documents where git keeps none. The payloads
	// lie apart, so that the copies are counted without reading them.
	`CREATE TABLE phase(
		one        INTEGER PRIMARY KEY CHECK (one = 1),
		name       TEXT NOT NULL,
		since      ANY  NOT NULL,
		configured TEXT NOT NULL, -- what was regarded last, or empty
		wanted     TEXT NOT NULL, -- empty: no change is under way
		step       TEXT NOT NULL,
		begun      ANY  NOT NULL,
		asked      TEXT NOT NULL  -- who asked for it
	) STRICT;
	CREATE TABLE kept(
		id   TEXT    PRIMARY KEY,
		seq  INTEGER NOT NULL,
		hash BLOB    NOT NULL,
		size INTEGER NOT NULL
	) STRICT, WITHOUT ROWID;
	CREATE TABLE kept_payloads(
		id      TEXT PRIMARY KEY,
		payload BLOB NOT NULL
	) STRICT;`,
}

// migrate brings the file to the present schema, each step in a transaction of
// its own, and reports whether the file was new. ErrNewerSchema names both
// versions; a database that is not ours is store.ErrCorrupt.
func migrate(ctx context.Context, conn *sql.Conn, steps []string) (created bool, err error) {
	var version, tables int
	if err := conn.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&version); err != nil {
		return false, err
	}
	if version > len(steps) {
		return false, fmt.Errorf("%w: the file has version %d, this caiatop knows up to %d; use a newer caiatop",
			ErrNewerSchema, version, len(steps))
	}
	if version == 0 {
		if err := conn.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_schema`).Scan(&tables); err != nil {
			return false, err
		}
		if tables > 0 {
			return false, fmt.Errorf("%w: it is a database of another program, move it away", store.ErrCorrupt)
		}
	}
	for next := version; next < len(steps); next++ {
		script := fmt.Sprintf("BEGIN IMMEDIATE; %s; PRAGMA user_version = %d; COMMIT", steps[next], next+1)
		if _, err := conn.ExecContext(ctx, script); err != nil {
			if _, undo := conn.ExecContext(context.WithoutCancel(ctx), `ROLLBACK`); undo != nil {
				return false, fmt.Errorf("migrate to version %d: %w (roll back: %w)", next+1, err, undo)
			}
			return false, fmt.Errorf("migrate to version %d: %w", next+1, err)
		}
	}
	return version == 0, nil
}
