package state

import (
	"context"
	"fmt"
	"maps"
	"time"
	"unicode/utf8"

	"github.com/caiatech/caiatop/backend/document"
)

// Limits of settings and events.
const (
	MaxMetaKeys  = 1024
	MaxMetaBytes = 1 << 20 // of one key and value
	MaxEvents    = 10_000  // the oldest go first
	MaxEventText = 4096    // bytes of the text and of what to do, the rest is cut
)

// Meta returns a setting, "" if it was never set, from memory.
func (db *DB) Meta(key string) string { return db.memory.Load().meta[key] }

// SetMeta stores a setting. document.ErrInvalid past MaxMetaKeys or
// MaxMetaBytes.
func (db *DB) SetMeta(ctx context.Context, key, value string) error {
	err := db.submit(ctx, int64(len(value)), func(t *txn) error {
		if len(key)+len(value) > MaxMetaBytes {
			return fmt.Errorf("%w: more than %d bytes", document.ErrInvalid, MaxMetaBytes)
		}
		if _, known := t.m.meta[key]; !known && len(t.m.meta) >= MaxMetaKeys {
			return fmt.Errorf("%w: more than %d settings", document.ErrInvalid, MaxMetaKeys)
		}
		return t.setMeta(key, value)
	})
	if err != nil {
		return fmt.Errorf("set %q: %w", key, err)
	}
	return nil
}

func (t *txn) setMeta(key, value string) error {
	if set, known := t.m.meta[key]; known && set == value {
		return nil
	}
	if _, err := t.exec(wSetMeta, key, value); err != nil {
		return err
	}
	t.m.meta = maps.Clone(t.m.meta)
	t.m.meta[key] = value
	return nil
}

// Event is something that happened and that an operator may want to know.
type Event struct {
	At    time.Time // now if zero
	Level string
	Kind  string
	Text  string // unsanitised where it quotes others
	Next  string // what to do; "" if nothing
}

// AddEvent records an event and drops the oldest ones past MaxEvents.
func (db *DB) AddEvent(ctx context.Context, e Event) error {
	if e.At.IsZero() {
		e.At = db.now()
	}
	err := db.submit(ctx, 0, func(t *txn) error {
		if _, err := t.exec(wAddEvent, timeColumn(e.At), e.Level, e.Kind, cut(e.Text, MaxEventText), cut(e.Next, MaxEventText)); err != nil {
			return err
		}
		_, err := t.exec(wTrimEvents, MaxEvents)
		return err
	})
	if err != nil {
		return fmt.Errorf("record an event: %w", err)
	}
	return nil
}

// Events returns the newest events first, at most limit.
func (db *DB) Events(ctx context.Context, limit int) ([]Event, error) {
	var events []Event
	err := db.readers.use(ctx, func(r *reader) error {
		return r.each(ctx, qEvents, func(scan func(...any) error) error {
			var e Event
			var at any
			if err := scan(&at, &e.Level, &e.Kind, &e.Text, &e.Next); err != nil {
				return err
			}
			var err error
			e.At, err = parseTime(at)
			events = append(events, e)
			return err
		}, min(max(limit, 0), MaxEvents))
	})
	if err != nil {
		return nil, wrap(err, "read the events of", db.file)
	}
	return events, nil
}

// cut returns the first limit bytes of s, without a torn last character.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}
