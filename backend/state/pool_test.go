package state

import (
	"context"
	"errors"
	"testing"
)

func TestCancelledReadLeavesAUsableConnection(t *testing.T) {
	db := open(t, t.TempDir())
	mustAppend(t, db, numbered(500, "x")...)
	for range 3 * readers {
		ctx, cancel := context.WithCancel(t.Context())
		rows := 0
		err := db.readers.use(ctx, func(r *reader) error {
			return r.snapshot(ctx, func() error {
				return r.each(ctx, qScan, func(scan func(...any) error) error {
					if rows++; rows == 10 {
						cancel()
					}
					_, err := scanRow(scan)
					return err
				}, "", MaxRows)
			})
		})
		if !errors.Is(err, context.Canceled) || rows == 500 {
			t.Fatalf("%d rows, %v", rows, err)
		}
		if all, err := db.Scan(t.Context(), "", MaxRows); err != nil || len(all) != 500 {
			t.Fatalf("%d rows, %v", len(all), err)
		}
	}
	if err := db.readers.use(t.Context(), func(r *reader) error {
		return r.snapshot(t.Context(), func() error { return errEnough })
	}); !errors.Is(err, errEnough) {
		t.Fatal(err)
	}
}

func TestWaitingForAConnectionEndsWithTheContext(t *testing.T) {
	db := open(t, t.TempDir())
	var held []*reader
	for range readers {
		held = append(held, <-db.readers.free)
	}
	ctx, cancel := context.WithCancel(t.Context())
	got := make(chan error)
	go func() {
		_, err := db.Lookup(ctx, idOf("a"))
		got <- err
	}()
	cancel()
	if err := <-got; !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	for _, r := range held {
		db.readers.free <- r
	}
}
