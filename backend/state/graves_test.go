package state

import (
	"errors"
	"testing"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/store"
)

func TestWhereADeletedDocumentLayIsRemembered(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir)
	mustAttach(t, db, "git")
	there := mustAppend(t, db, put("op-1", "a", "x"))[0].Key.Folder
	mustAppend(t, db, remove("op-2", "a"))
	if _, err := db.Grave(t.Context(), idOf("a")); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("the index still has it: %v", err)
	}
	mustAdvance(t, db, Advance{Store: "git", Seq: 2})
	if _, err := db.Lookup(t.Context(), idOf("a")); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("the tombstone is still there: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = open(t, dir)
	if folder, err := db.Grave(t.Context(), idOf("a")); err != nil || folder != there {
		t.Fatalf("%s, %v, want %s", folder, err, there)
	}
	if _, err := db.Grave(t.Context(), idOf("never")); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("got %v", err)
	}

	// Ours comes back where it lay; somebody else's lies where they put it.
	elsewhere := must(document.ParsePath("documents/other/a"))
	ours, theirs := put("op-3", "a", "y"), put("op-4", "a", "z")
	ours.Key.Folder, theirs.Key.Folder, theirs.Origin = elsewhere, elsewhere, "govc"
	if got := mustAppend(t, db, ours)[0].Key.Folder; got != there {
		t.Errorf("ours lies in %s, want %s", got, there)
	}
	mustAppend(t, db, remove("op-5", "a"))
	mustAdvance(t, db, Advance{Store: "git", Seq: 4})
	if got := mustAppend(t, db, theirs)[0].Key.Folder; got != elsewhere {
		t.Errorf("theirs lies in %s, want %s", got, elsewhere)
	}
}

func TestGravesAreBounded(t *testing.T) {
	db := open(t, t.TempDir())
	mustAttach(t, db, "git")
	if _, err := db.conn.ExecContext(t.Context(), `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
		INSERT INTO graves SELECT 'old-' || i, 'documents/text/x', -i FROM n`, MaxGraves); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, db, put("op-1", "a", "x"), remove("op-2", "a"))
	mustAdvance(t, db, Advance{Store: "git", Seq: 2})
	var n int
	if err := db.conn.QueryRowContext(t.Context(), `SELECT count(*) FROM graves`).Scan(&n); err != nil || n != MaxGraves {
		t.Errorf("%d graves, %v, want %d", n, err, MaxGraves)
	}
	if _, err := db.Grave(t.Context(), idOf("a")); err != nil {
		t.Errorf("the newest was forgotten: %v", err)
	}
}

// TestGravesOfAnEarlierStateReplaceOurs: what the index knows, or buried itself,
// stays as it is.
func TestGravesOfAnEarlierStateReplaceOurs(t *testing.T) {
	db := open(t, t.TempDir())
	mustAttach(t, db, "git")
	there := mustAppend(t, db, put("op-1", "a", "x"), put("op-2", "b", "y"))[0].Key.Folder
	mustAppend(t, db, remove("op-3", "a"))
	mustAdvance(t, db, Advance{Store: "git", Seq: 3})
	elsewhere := must(document.ParsePath("documents/other/a"))
	var keys []store.Key
	for _, id := range []string{"a", "b", "c"} {
		keys = append(keys, store.Key{ID: idOf(id), Folder: elsewhere})
	}
	if err := db.Bury(t.Context(), keys); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]document.Path{"a": there, "b": {}, "c": elsewhere} {
		folder, err := db.Grave(t.Context(), idOf(id))
		if folder != want || (err != nil) != want.IsZero() {
			t.Errorf("%s: %s, %v, want %s", id, folder, err, want)
		}
	}
}
