package state

import (
	"fmt"
	"testing"
)

func TestWhatIsDroppedIsKeptApartFromWhatIsParked(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir)
	ops := []Operation{put("op-1", "a", "1"), put("op-2", "b", "1")}
	if _, err := db.Append(t.Context(), ops); err != nil {
		t.Fatal(err)
	}
	if err := db.Attach(t.Context(), "govc", 0); err != nil {
		t.Fatal(err)
	}
	a, b := ops[0].Key.ID, ops[1].Key.ID
	park := []Parked{{ID: a, Seq: 1, Reason: "refused", Detail: "why"}, {ID: b, Seq: 2, Reason: "refused"}}
	if err := db.Advance(t.Context(), Advance{Store: "govc", Seq: 2, Park: park}); err != nil {
		t.Fatal(err)
	}
	if done, err := db.Drop(t.Context(), "git", a); err != nil || done {
		t.Errorf("nothing is parked at git: %v, %v", done, err)
	}
	if done, err := db.Drop(t.Context(), "govc", a); err != nil || !done {
		t.Errorf("%v, %v", done, err)
	}
	for range 2 {
		p, dropped, err := db.Dropped(t.Context(), "govc", a)
		if err != nil || !dropped || p.Detail != "why" || db.ParkedCount() != 1 || !db.AnyDropped() {
			t.Errorf("%+v, %v, %v, %d parked", p, dropped, err, db.ParkedCount())
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		db = open(t, dir)
	}
	if _, dropped, err := db.Dropped(t.Context(), "govc", b); err != nil || dropped {
		t.Errorf("b was not dropped: %v, %v", dropped, err)
	}
	if _, err := db.Append(t.Context(), []Operation{put("op-3", "a", "2")}); err != nil {
		t.Fatal(err)
	}
	if _, dropped, err := db.Dropped(t.Context(), "govc", a); err != nil || dropped {
		t.Errorf("a was written again: %v, %v", dropped, err)
	}
	if err := db.Undrop(t.Context(), "govc", a); err != nil || db.AnyDropped() {
		t.Errorf("%v, %v", err, db.AnyDropped())
	}
}

func TestDroppedOperationsAreBounded(t *testing.T) {
	db := open(t, t.TempDir())
	if err := db.submit(t.Context(), 0, func(t *txn) error {
		_, err := t.change(fmt.Sprintf(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
			INSERT INTO dropped SELECT 'old-' || i, 'govc', i, 'op', 'refused', '', 0 FROM n`, MaxDropped))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	op := put("op-1", "a", "1")
	if _, err := db.Append(t.Context(), []Operation{op}); err != nil {
		t.Fatal(err)
	}
	if err := db.Attach(t.Context(), "govc", 0); err != nil {
		t.Fatal(err)
	}
	if err := db.Advance(t.Context(), Advance{Store: "govc", Seq: 1, Park: []Parked{{ID: op.Key.ID, Seq: 1}}}); err != nil {
		t.Fatal(err)
	}
	if done, err := db.Drop(t.Context(), "govc", op.Key.ID); err != nil || !done || db.dropped.Load() != MaxDropped {
		t.Errorf("%v, %v, %d are kept", done, err, db.dropped.Load())
	}
	if _, dropped, err := db.Dropped(t.Context(), "govc", op.Key.ID); err != nil || !dropped {
		t.Errorf("the newest went: %v, %v", dropped, err)
	}
}
