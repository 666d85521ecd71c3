package state

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/store"
)

// kept makes the copy of a document as an operation brought it.
func kept(op Operation, seq int64) KeptCopy {
	return KeptCopy{ID: op.Key.ID, Seq: seq, Hash: op.Hash, Doc: op.Doc}
}

func mustKeep(t *testing.T, db *DB, k Keep) {
	t.Helper()
	if err := db.Keep(t.Context(), k); err != nil {
		t.Fatal(err)
	}
}

func wantKept(t *testing.T, db *DB, n int64, texts map[string]string) {
	t.Helper()
	if s := db.Summary(); s.Kept != n || (n == 0) != (s.KeptBytes == 0) {
		t.Errorf("%d copies of %d bytes, want %d", s.Kept, s.KeptBytes, n)
	}
	bytes := int64(0)
	page, err := db.KeptPage(t.Context(), "", 100)
	for _, c := range page {
		bytes += c.Size
	}
	if err != nil || int64(len(page)) != n || bytes != db.Summary().KeptBytes {
		t.Errorf("%d copies of %d bytes are listed, %v", len(page), bytes, err)
	}
	for id, text := range texts {
		doc, hash, err := db.Kept(t.Context(), idOf(id))
		if text == "" {
			if !errors.Is(err, store.ErrNotFound) {
				t.Errorf("%s: %v", id, err)
			}
			continue
		}
		if err != nil || doc.Content.Text != text || hash != must(doc.Hash()) {
			t.Errorf("%s: %q, %v, want %q", id, doc.Content.Text, err, text)
		}
	}
}

func TestACopyTakesThePlaceOfThePayload(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir)
	mustAttach(t, db, "govc")
	mustAttach(t, db, "kept")
	one, two := put("op-1", "a", "one"), put("op-2", "a", "two")
	mustAppend(t, db, one, two, put("op-3", "b", "three"))
	mustKeep(t, db, Keep{Put: []KeptCopy{kept(two, 2)}, Store: "kept", Seq: 2, Release: true, Spare: "git"})

	ops, err := db.Next(t.Context(), 0, 10, 1<<20)
	if err != nil || len(ops) != 3 {
		t.Fatalf("%d operations, %v", len(ops), err)
	}
	for i, want := range []bool{true, true, false} {
		if ops[i].Kept != want || (ops[i].Doc == nil) != want || ops[i].Commit != "" {
			t.Errorf("operation %d: %+v", i+1, ops[i])
		}
	}
	left := db.Summary().PayloadBytes
	if db = reopen(t, db, dir); left == 0 || db.Summary().PayloadBytes != left {
		t.Errorf("the outbox holds %d bytes, after a start %d", left, db.Summary().PayloadBytes)
	}
	wantKept(t, db, 1, map[string]string{"a": "two", "b": ""})
	if rows, err := db.Unkept(t.Context(), "", 10); err != nil || len(rows) != 1 || rows[0].ID != idOf("b") {
		t.Errorf("without a copy: %+v, %v", rows, err)
	}
	// An older version never takes the place of a newer one.
	mustKeep(t, db, Keep{Put: []KeptCopy{kept(one, 1)}, Drop: []KeptCopy{{ID: idOf("a"), Seq: 1}}})
	wantKept(t, db, 1, map[string]string{"a": "two"})
	mustAdvance(t, db, Advance{Store: "govc", Seq: 3})
	if _, attached := db.Cursor("kept"); !attached || db.memory.Load().trimmed != 2 {
		t.Errorf("trimmed up to %d, want 2: the copies have not passed operation 3", db.memory.Load().trimmed)
	}
	mustKeep(t, db, Keep{Drop: []KeptCopy{{ID: idOf("a"), Seq: 2}}, Store: "kept", Seq: 3})
	wantKept(t, db, 0, map[string]string{"a": ""})
	if db.memory.Load().trimmed != 3 {
		t.Errorf("trimmed up to %d", db.memory.Load().trimmed)
	}
}

func TestPayloadsStayForAStoreThatIsAttached(t *testing.T) {
	db := open(t, t.TempDir())
	mustAttach(t, db, "govc")
	mustAttach(t, db, "kept")
	mustAttach(t, db, "git")
	op := put("op-1", "a", "one")
	mustAppend(t, db, op)
	mustKeep(t, db, Keep{Put: []KeptCopy{kept(op, 1)}, Store: "kept", Seq: 1, Release: true, Spare: "git"})
	if ops, err := db.Next(t.Context(), 0, 10, 1<<20); err != nil || len(ops) != 1 || ops[0].Doc == nil {
		t.Errorf("git has not passed it, and it lost its payload: %+v, %v", ops, err)
	}
}

func TestKeepRefusesWhatItCannotDo(t *testing.T) {
	db := open(t, t.TempDir())
	op := put("op-1", "a", "one")
	mustAttach(t, db, "git")
	mustAppend(t, db, op)
	if err := db.Keep(t.Context(), Keep{Put: []KeptCopy{kept(op, 1)}, Store: "kept", Seq: 1}); !errors.Is(err, ErrNotAttached) {
		t.Errorf("without a cursor: %v", err)
	}
	mustAttach(t, db, "kept")
	many := make([]KeptCopy, MaxKeep+1)
	for name, k := range map[string]Keep{
		"too many":        {Drop: many},
		"never issued":    {Put: []KeptCopy{kept(op, 1)}, Store: "kept", Seq: 2},
		"no document":     {Put: []KeptCopy{{ID: idOf("a"), Seq: 1, Hash: op.Hash}}},
		"no hash":         {Put: []KeptCopy{{ID: idOf("a"), Seq: 1, Doc: op.Doc}}},
		"another's copy":  {Put: []KeptCopy{{ID: idOf("b"), Seq: 1, Hash: op.Hash, Doc: op.Doc}}},
		"more than limit": {Put: many[:1], Drop: many[:MaxKeep]},
	} {
		if err := db.Keep(t.Context(), k); !errors.Is(err, document.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	wantKept(t, db, 0, nil)
	if ids, err := db.KeptPage(t.Context(), "", 1); err != nil || len(ids) != 0 {
		t.Errorf("%v, %v", ids, err)
	}
	mustKeep(t, db, Keep{Drop: many[:0], Put: []KeptCopy{kept(op, 1)}, Store: "kept", Seq: 1})
}

func TestClearedCopiesAreGone(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir)
	for n := range 3 {
		var k Keep
		for i := range MaxKeep {
			op := put(fmt.Sprintf("op-%d-%d", n, i), fmt.Sprintf("doc-%d-%d", n, i), strings.Repeat("x", i))
			k.Put = append(k.Put, kept(op, 1))
		}
		mustKeep(t, db, k)
	}
	if s := db.Summary(); s.Kept != 3*MaxKeep {
		t.Fatalf("%d copies", s.Kept)
	}
	db = reopen(t, db, dir)
	if err := db.ClearKept(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantKept(t, db, 0, nil)
	db = reopen(t, db, dir)
	wantKept(t, db, 0, nil)
	var n int
	if err := db.conn.QueryRowContext(t.Context(), `SELECT count(*) FROM kept_payloads`).Scan(&n); err != nil || n != 0 {
		t.Errorf("%d payloads are left, %v", n, err)
	}
}
