package state

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/caiatech/caiatop/backend/document"
)

// Phase records which stores are in use, and the change of that which is under
// way. What the words mean is the engine's business.
type Phase struct {
	Name  string    // in effect; "" in a file that was never told
	Since time.Time // of Name
	// Configured is what the configuration said when it was regarded last, "" if
	// it said nothing.
	Configured string
	// Wanted is what it is being changed to, "" if no change is under way.
	Wanted string
	Step   string    // of that change
	Begun  time.Time // that change
	Asked  string    // who asked for it
}

// With is what becomes true together with a Phase, or not at all.
type With struct {
	// Detach names stores whose hold on the outbox ends; their cursors stay.
	Detach []string
	// Meta are settings, as SetMeta sets them.
	Meta map[string]string
}

// maxPhaseText bounds each text of a Phase, in bytes.
const maxPhaseText = 256

// Phase returns the record as of the last commit, from memory.
func (db *DB) Phase() Phase { return db.memory.Load().phase }

// SetPhase replaces the record, in one transaction with what belongs to it.
// document.ErrInvalid for a text of more than 256 bytes.
func (db *DB) SetPhase(ctx context.Context, p Phase, with With) error {
	err := db.submit(ctx, 0, func(t *txn) error {
		for _, text := range []string{p.Name, p.Configured, p.Wanted, p.Step, p.Asked} {
			if len(text) > maxPhaseText {
				return fmt.Errorf("%w: a text of %d bytes", document.ErrInvalid, len(text))
			}
		}
		_, err := t.exec(wSetPhase, p.Name, timeColumn(p.Since), p.Configured, p.Wanted, p.Step, timeColumn(p.Begun), p.Asked)
		if err != nil {
			return err
		}
		t.m.phase = p
		for _, name := range with.Detach {
			if c := t.m.cursors[name]; c.attached {
				if err := t.setCursor(name, cursor{c.seq, false}); err != nil {
					return err
				}
			}
		}
		for _, key := range slices.Sorted(maps.Keys(with.Meta)) {
			if err := t.setMeta(key, with.Meta[key]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("record the phase: %w", err)
	}
	return db.trim(ctx)
}

// loadPhase reads the record, and counts the kept copies.
func (db *DB) loadPhase(ctx context.Context, m *memory) error {
	var since, begun any
	p := &m.phase
	err := db.conn.QueryRowContext(ctx, `SELECT name, since, configured, wanted, step, begun, asked FROM phase`).
		Scan(&p.Name, &since, &p.Configured, &p.Wanted, &p.Step, &begun, &p.Asked)
	if err == nil {
		p.Since, err = parseTime(since)
	}
	if err == nil {
		p.Begun, err = parseTime(begun)
	}
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	return db.conn.QueryRowContext(ctx, `SELECT count(*), coalesce(sum(size), 0) FROM kept`).Scan(&m.kept, &m.keptBytes)
}
