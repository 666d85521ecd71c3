package state

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/caiatech/caiatop/backend/store"
)

// Files are the names that a state file has in its folder, the file itself
// first: what SQLite writes beside it belongs to it.
func Files() []string { return []string{stateFile, stateFile + "-wal", stateFile + "-shm"} }

// Salvage is a state file that may be damaged, opened to be read once more. Its
// owner gives it a copy: reading takes in what lies beside the file.
type Salvage struct {
	db *sql.DB
	// StateID, Meta and Cursors are what could be read of these.
	StateID string
	Meta    map[string]string
	Cursors map[string]int64
	// Trouble says what could not be read, in the order in which it was met.
	Trouble []string
}

// OpenSalvage opens the state file in dir. A file that is no database at all, or
// none, is one that nothing can be read of: see Trouble.
func OpenSalvage(ctx context.Context, dir string) (*Salvage, error) {
	s := &Salvage{Meta: map[string]string{}, Cursors: map[string]int64{}}
	file := filepath.Join(dir, stateFile)
	info, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) || (err == nil && info.Size() == 0) {
		s.Trouble = append(s.Trouble, "there is no state file, or it is empty")
		return s, nil
	}
	if err != nil {
		return nil, wrap(err, "look at", file)
	}
	if s.db, err = sql.Open("sqlite", dataSource(file)); err != nil {
		return nil, wrap(err, "open", file)
	}
	s.db.SetMaxOpenConns(1)
	s.note("its header", s.db.QueryRowContext(ctx, `SELECT state_id FROM header`).Scan(&s.StateID))
	s.note("its settings", s.rows(ctx, `SELECT key, value FROM meta`, func(scan func(...any) error) error {
		var key, value string
		err := scan(&key, &value)
		if err == nil {
			s.Meta[key] = value
		}
		return err
	}))
	s.note("its cursors", s.rows(ctx, `SELECT store, seq FROM cursors`, func(scan func(...any) error) error {
		var name string
		var seq int64
		err := scan(&name, &seq)
		if err == nil {
			s.Cursors[name] = seq
		}
		return err
	}))
	if err := ctx.Err(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Salvage) note(what string, err error) {
	if err != nil {
		s.Trouble = append(s.Trouble, fmt.Sprintf("%s cannot be read: %v", what, err))
	}
}

func (s *Salvage) rows(ctx context.Context, query string, row func(scan func(...any) error) error, args ...any) (err error) {
	rows, err := s.db.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Numbers lists the operations of the outbox that can be found, in order: from
// the first up to where the file is damaged, and from the last down to there.
func (s *Salvage) Numbers(ctx context.Context) []int64 {
	if s.db == nil {
		return nil
	}
	found := map[int64]struct{}{}
	collect := func(scan func(...any) error) error {
		var seq int64
		err := scan(&seq)
		if err == nil {
			found[seq] = struct{}{}
		}
		return err
	}
	if err := s.rows(ctx, `SELECT seq FROM outbox ORDER BY seq`, collect); err != nil {
		s.note("a part of the outbox", err)
		s.note("the same part from its end", s.rows(ctx, `SELECT seq FROM outbox ORDER BY seq DESC`, collect))
	}
	return slices.Sorted(maps.Keys(found))
}

// Operation reads one operation. What of it cannot be read is an error that
// wraps store.ErrCorrupt; its document is believed only if its checksum holds.
func (s *Salvage) Operation(ctx context.Context, seq int64) (Outgoing, error) {
	row := s.db.QueryRowContext(ctx, `SELECT `+outgoingColumns+` FROM outbox WHERE seq = ?`, seq)
	op, payload, err := scanOutgoing(row.Scan)
	if err == nil {
		err = op.decode(payload)
	}
	if err != nil {
		return Outgoing{}, fmt.Errorf("%w: operation %d: %w", store.ErrCorrupt, seq, err)
	}
	return op, nil
}

// Damage reads the whole file and says what is damaged, "" if nothing is.
func (s *Salvage) Damage(ctx context.Context) (string, error) {
	if len(s.Trouble) > 0 {
		return s.Trouble[0], nil
	}
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return err.Error(), ctx.Err()
	}
	defects, err := integrity(ctx, conn)
	if closeErr := conn.Close(); err == nil {
		err = closeErr
	}
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case err != nil:
		return err.Error(), nil
	case len(defects) > 0:
		return defects[0], nil
	}
	for _, seq := range s.Numbers(ctx) {
		if _, err := s.Operation(ctx, seq); err != nil {
			return err.Error(), ctx.Err()
		}
	}
	return "", ctx.Err()
}

// Issued is at least the newest operation that was ever issued, as far as can be
// read.
func (s *Salvage) Issued(ctx context.Context) (issued int64) {
	if s.db == nil {
		return 0
	}
	s.note("its newest operation", s.db.QueryRowContext(ctx,
		`SELECT max(issued, coalesce((SELECT max(seq) FROM outbox), 0), coalesce((SELECT max(seq) FROM cursors), 0)) FROM header`).Scan(&issued))
	return issued
}

// Close closes the file.
func (s *Salvage) Close() error {
	if s.db == nil {
		return nil
	}
	return s.db.Close()
}
