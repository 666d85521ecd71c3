package state

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/document"
)

func TestMeta(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir)
	for _, value := range []string{"dual", "primary"} {
		if err := db.SetMeta(t.Context(), "phase", value); err != nil || db.Meta("phase") != value {
			t.Fatalf("%q, %v", db.Meta("phase"), err)
		}
	}
	if err := db.SetMeta(t.Context(), "big", strings.Repeat("x", MaxMetaBytes-3)); err != nil {
		t.Fatal(err)
	}
	if err := db.SetMeta(t.Context(), "big", strings.Repeat("x", MaxMetaBytes-2)); !errors.Is(err, document.ErrInvalid) {
		t.Fatalf("one byte too many: %v", err)
	}
	for i := range MaxMetaKeys - 2 {
		if err := db.SetMeta(t.Context(), fmt.Sprint(i), "x"); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.SetMeta(t.Context(), "one more", "x"); !errors.Is(err, document.ErrInvalid) {
		t.Fatalf("one key too many: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = open(t, dir)
	if db.Meta("phase") != "primary" || db.Meta("never set") != "" {
		t.Fatalf("%q, %q", db.Meta("phase"), db.Meta("never set"))
	}
}

func TestEvents(t *testing.T) {
	db, err := Open(t.Context(), t.TempDir(), Options{Now: func() time.Time { return epoch }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	for i := range 3 {
		if err := db.AddEvent(t.Context(), Event{Level: "info", Kind: "state", Text: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	events, err := db.Events(t.Context(), 2)
	if err != nil || len(events) != 2 || events[0] != (Event{At: epoch, Level: "info", Kind: "state", Text: "2"}) || events[1].Text != "1" {
		t.Fatalf("%+v, %v", events, err)
	}
	// As many as there may be, and one more.
	if _, err := db.conn.ExecContext(t.Context(), `WITH RECURSIVE n(i) AS (SELECT 4 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
		INSERT INTO events(n, at, level, kind, text) SELECT i, 0, '', '', i FROM n`, MaxEvents); err != nil {
		t.Fatal(err)
	}
	if err := db.AddEvent(t.Context(), Event{At: epoch.Add(1), Text: strings.Repeat("é", MaxEventText)}); err != nil {
		t.Fatal(err)
	}
	events, err = db.Events(t.Context(), 2*MaxEvents)
	if err != nil || len(events) != MaxEvents || events[MaxEvents-1].Text != "1" || !events[0].At.Equal(epoch.Add(1)) {
		t.Fatalf("%d events, %v", len(events), err)
	}
	if text := events[0].Text; text != strings.Repeat("é", MaxEventText/2) {
		t.Fatalf("the text has %d bytes", len(text))
	}
}

func TestReadsWhileWriting(t *testing.T) {
	db := open(t, t.TempDir())
	mustAppend(t, db, put("op", "a", "x"))
	entered, release := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		err := db.submit(t.Context(), 0, func(tx *txn) error {
			close(entered)
			<-release
			_, err := tx.exec(wSetMeta, "k", "v")
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-entered // a write transaction is open
	if _, err := db.Lookup(t.Context(), idOf("a")); err != nil {
		t.Error(err)
	}
	if _, total, err := db.Page(t.Context(), PageQuery{Contains: "a", Limit: 1}); err != nil || total != 1 {
		t.Error(total, err)
	}
	close(release)
	wg.Wait()
}
