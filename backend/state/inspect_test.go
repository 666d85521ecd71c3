package state

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/caiatech/caiatop/backend/store"
)

// alter changes the file as nobody may, in the writer's own transaction.
func alter(t *testing.T, db *DB, query string, args ...any) {
	t.Helper()
	err := db.submit(t.Context(), 0, func(t *txn) error {
		_, err := t.change(query, args...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestInspectGoesOnBehindWhatCannotBeRead(t *testing.T) {
	db := open(t, t.TempDir())
	mustAppend(t, db, put("op-1", "a", "one"), put("op-2", "b", "two"), remove("op-3", "a"), put("op-4", "c", "three"))
	alter(t, db, `UPDATE outbox SET payload = zeroblob(9) WHERE seq = 2`)
	alter(t, db, `UPDATE outbox SET hash = x'01' WHERE seq = 4`)
	if _, err := db.Next(t.Context(), 0, 10, 1<<20); err == nil {
		t.Error("Next does not mind")
	}
	found, err := db.Inspect(t.Context(), 0, 10)
	if err != nil || len(found) != 4 {
		t.Fatalf("%+v, %v", found, err)
	}
	for i, f := range found {
		if f.Seq != int64(i+1) || (f.Err != nil) != (i == 1 || i == 3) || (f.Err != nil && !errors.Is(f.Err, store.ErrCorrupt)) {
			t.Errorf("%+v", f)
		}
	}
	b := found[1]
	if b.Key.ID != idOf("b") || b.Hash.IsZero() {
		t.Errorf("what can be read of it: %+v", b)
	}
	if done, err := db.MendPayload(t.Context(), 2, found[0].Hash, docOf("b", "two")); err != nil || done {
		t.Errorf("it is of another version: %v, %v", done, err)
	}
	if done, err := db.MendPayload(t.Context(), 2, b.Hash, docOf("b", "two")); err != nil || !done {
		t.Errorf("%v, %v", done, err)
	}
	kept, counted, known, err := db.CountSums(t.Context())
	if err != nil || !known {
		t.Errorf("%+v, %+v, %v, %v", kept, counted, known, err)
	}
	if ops, err := db.Next(t.Context(), 1, 1, 1<<20); err != nil || ops[0].Doc.Content.Text != "two" {
		t.Errorf("%+v, %v", ops, err)
	}
}

func TestSumsThatAreWrongAreFoundAndMended(t *testing.T) {
	db := open(t, t.TempDir())
	mustAppend(t, db, put("op-1", "a", "one"), put("op-2", "b", "two"))
	if kept, counted, known, err := db.CountSums(t.Context()); err != nil || !known || kept != counted {
		t.Errorf("%+v, %+v, %v, %v", kept, counted, known, err)
	}
	alter(t, db, `DELETE FROM documents WHERE id = 'b'`)
	if kept, counted, _, err := db.CountSums(t.Context()); err != nil || kept.Documents != 2 || counted.Documents != 1 {
		t.Errorf("%+v, %+v, %v", kept, counted, err)
	}
	if err := db.MendSums(t.Context()); err != nil {
		t.Fatal(err)
	}
	if db.Summary().Documents != 1 {
		t.Errorf("%+v", db.Summary())
	}
}

func TestDefectsOfAFileAreNamed(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir)
	mustAppend(t, db, numbered(400, "text")...)
	if defects, err := db.Defects(t.Context()); err != nil || len(defects) != 0 {
		t.Errorf("%v, %v", defects, err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, stateFile)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for i := len(data) / 2; i < len(data)/2+4*4096; i++ {
		data[i] ^= 0x55
	}
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	db = open(t, dir)
	if defects, err := db.Defects(t.Context()); err != nil || len(defects) == 0 {
		t.Errorf("%v, %v", defects, err)
	}
}

func TestADerivedFileIsMadeAnewUnderItsReaders(t *testing.T) {
	d := openText(t, t.TempDir(), "s")
	ops := []TextOp{{ID: idOf("a"), Text: "alpha", Meta: "one two"}, {ID: idOf("b"), Text: "beta"}}
	mustIndex(t, d, 7, ops...)
	if defects, err := d.Defects(t.Context()); err != nil || len(defects) != 0 {
		t.Errorf("%v, %v", defects, err)
	}
	ops[0].Meta = "two one" // another order of the same
	if ids, err := d.Outdated(t.Context(), append(ops, TextOp{ID: idOf("c")})); err != nil || len(ids) != 1 || ids[0] != idOf("c") {
		t.Errorf("%v, %v", ids, err)
	}
	ops[1].Text = "changed"
	if ids, err := d.Outdated(t.Context(), ops); err != nil || len(ids) != 1 || ids[0] != idOf("b") {
		t.Errorf("%v, %v", ids, err)
	}
	if err := d.Mend(t.Context(), ops); err != nil || d.Cursor() != 7 {
		t.Errorf("%v, cursor %d", err, d.Cursor())
	}
	if ids, err := d.Indexed(t.Context(), "a", 10); err != nil || len(ids) != 1 || ids[0] != idOf("b") {
		t.Errorf("%v, %v", ids, err)
	}
	if _, err := d.conn.ExecContext(t.Context(), `UPDATE docs SET text = 'other'`); err != nil {
		t.Fatal(err)
	}
	if defects, err := d.Defects(t.Context()); err != nil || len(defects) == 0 {
		t.Errorf("the words do not fit the texts: %v, %v", defects, err)
	}
	if err := d.Renew(t.Context(), "s"); err != nil {
		t.Fatal(err)
	}
	if !d.Fresh() || d.Cursor() != 0 || len(found(t, d, "alpha")) != 0 {
		t.Errorf("fresh %v, cursor %d", d.Fresh(), d.Cursor())
	}
	mustIndex(t, d, 8, ops...)
	if got := found(t, d, "alpha"); len(got) != 1 {
		t.Errorf("%v", got)
	}
}
