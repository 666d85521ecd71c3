package state

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/store"
)

// copyName is the name of a conflict about a document.
func copyName(id string) string { return id + CopyMark + "0123456789ab" }

func conflictAbout(id string) Conflict {
	return Conflict{
		Name: idOf(copyName(id)), ID: idOf(id), Copy: true, Kept: "ours", Where: "govc", OpID: "op-" + id,
		Base: document.Hash{1}, Ours: document.Hash{2}, Theirs: document.Hash{3}, Author: "Ada", Commit: "c0ffee", At: epoch,
	}
}

// disputed enters a document and the copy that a conflict about it keeps.
func disputed(tb testing.TB, db *DB, id string) (place, other Operation) {
	tb.Helper()
	place, other = put("theirs-"+id, id, "theirs"), put("copy-"+id, copyName(id), "ours")
	c := conflictAbout(id)
	other.Conflict = &c
	if issued := mustAppend(tb, db, other, place); !issued[0].Recorded || issued[1].Recorded {
		tb.Fatalf("issued %+v", issued)
	}
	return place, other
}

func mustConflict(tb testing.TB, db *DB, name string) Conflict {
	tb.Helper()
	c, err := db.Conflict(tb.Context(), idOf(name))
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func wantOpen(tb testing.TB, db *DB, n int) {
	tb.Helper()
	list, total, err := db.Conflicts(tb.Context(), false, 0, MaxRows)
	if err != nil || len(list) != n || total != int64(n) || db.Summary().Conflicts != int64(n) {
		tb.Errorf("%d open of %d, the summary says %d, want %d (%v)", len(list), total, db.Summary().Conflicts, n, err)
	}
}

func TestAConflictIsRecordedWithItsOperationOrNotAtAll(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir)
	disputed(t, db, "a")
	refused := put("op", copyName("b"), "x")
	c := conflictAbout("b")
	refused.Conflict, refused.Expect = &c, &document.Hash{9}
	if _, err := db.Append(t.Context(), []Operation{refused}); !errors.Is(err, store.ErrConflict) {
		t.Fatal(err)
	}
	wantOpen(t, db, 1)
	if got := mustConflict(t, db, copyName("a")); got != conflictAbout("a") {
		t.Errorf("read back as %+v", got)
	}
	// The files as a kill leaves them.
	copied := t.TempDir()
	for _, name := range []string{stateFile, stateFile + "-wal"} {
		copyFile(t, filepath.Join(dir, name), filepath.Join(copied, name))
	}
	wantOpen(t, open(t, copied), 1)
	for _, id := range []string{"a", copyName("a")} {
		if about, err := db.ConflictsOf(t.Context(), idOf(id)); err != nil || len(about) != 1 {
			t.Errorf("%d about %s, %v", len(about), id, err)
		}
	}
	if about, err := db.ConflictsOf(t.Context(), idOf("b")); err != nil || len(about) != 0 {
		t.Errorf("%d about b, %v", len(about), err)
	}
}

func TestAConflictIsRecordedOnce(t *testing.T) {
	db := open(t, t.TempDir())
	disputed(t, db, "a")
	again := put("again", copyName("a"), "ours again")
	c := conflictAbout("a")
	c.Author = "Eve"
	again.Conflict = &c
	if issued := mustAppend(t, db, again); issued[0].Recorded {
		t.Errorf("%+v", issued)
	}
	known, fresh := conflictAbout("a"), conflictAbout("b")
	if n, err := db.RecordConflicts(t.Context(), []Conflict{known, fresh, fresh}); n != 1 || err != nil {
		t.Errorf("%d are new, %v", n, err)
	}
	if got := mustConflict(t, db, copyName("a")); got.Author != "Ada" {
		t.Errorf("what was known is now %+v", got)
	}
	if _, err := db.RecordConflicts(t.Context(), []Conflict{{ID: idOf("a")}}); !errors.Is(err, document.ErrInvalid) {
		t.Errorf("without a name: %v", err)
	}
	wantOpen(t, db, 2)
	// One that was settled is open again where it is met again, and not where it
	// is only found again.
	settle(t, db, "a", "ours")
	if n, err := db.RecordConflicts(t.Context(), []Conflict{known}); n != 0 || err != nil {
		t.Errorf("%d are new, %v", n, err)
	}
	wantOpen(t, db, 1)
	if issued := mustAppend(t, db, again); !issued[0].Recorded {
		t.Errorf("%+v", issued)
	}
	if got := mustConflict(t, db, copyName("a")); got.Author != "Eve" || got.How != "" {
		t.Errorf("%+v", got)
	}
	wantOpen(t, db, 2)
}

func settle(tb testing.TB, db *DB, id, how string, ops ...Operation) {
	tb.Helper()
	s := Settlement{Name: idOf(copyName(id)), How: how, At: epoch.Add(time.Hour), PlaceBefore: document.Hash{4}, PlaceAfter: document.Hash{5}, CopyBefore: document.Hash{6}}
	if _, err := db.Settle(tb.Context(), s, ops); err != nil {
		tb.Fatal(err)
	}
}

func TestASettlementIsDoneAsAWhole(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir)
	place, other := disputed(t, db, "a")
	gone := remove("gone", copyName("a"))
	gone.Expect = &other.Hash
	next := put("next", "a", "ours")
	next.Expect = &place.Hash
	good := Settlement{Name: idOf(copyName("a")), How: "ours", At: epoch}
	wrong := document.Hash{7}
	for name, spoil := range map[string]func(s *Settlement, ops []Operation){
		"an operation is refused": func(_ *Settlement, ops []Operation) { ops[1].Expect = &wrong },
		"a version is not there":  func(s *Settlement, _ []Operation) { s.Unchanged = []Version{{idOf("a"), wrong}} },
		"it stands otherwise":     func(s *Settlement, _ []Operation) { s.From = "theirs" },
	} {
		s, ops := good, []Operation{next, gone}
		spoil(&s, ops)
		if _, err := db.Settle(t.Context(), s, ops); !errors.Is(err, store.ErrConflict) {
			t.Errorf("%s: %v", name, err)
		}
		wantOpen(t, db, 1)
		if row, err := db.Lookup(t.Context(), idOf("a")); err != nil || row.Hash != place.Hash {
			t.Errorf("%s: the document is %+v, %v", name, row, err)
		}
	}
	unknown := good
	unknown.Name = idOf("unknown")
	if _, err := db.Settle(t.Context(), unknown, nil); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	settle(t, db, "a", "ours", next, gone)
	wantOpen(t, db, 0)
	got := mustConflict(t, db, copyName("a"))
	if got.How != "ours" || !got.SettledAt.Equal(epoch.Add(time.Hour)) || got.PlaceBefore != (document.Hash{4}) || got.PlaceAfter != (document.Hash{5}) || got.CopyBefore != (document.Hash{6}) {
		t.Errorf("%+v", got)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	wantOpen(t, open(t, dir), 0)
}

func TestAConflictFollowsItsCopy(t *testing.T) {
	db := open(t, t.TempDir())
	for _, id := range []string{"a", "b"} {
		disputed(t, db, id)
	}
	bare := conflictAbout("c") // of which one side is a delete
	bare.Copy, bare.Kept, bare.Deleted = false, "theirs", "theirs"
	if _, err := db.RecordConflicts(t.Context(), []Conflict{bare}); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, db, put("c", "c", "ours"))
	settle(t, db, "b", HowBoth)
	mustAppend(t, db, remove("1", "a"))
	wantOpen(t, db, 2) // the copy is there, and a may come back
	mustAppend(t, db, remove("2", copyName("a")), remove("3", "c"), remove("4", copyName("b")))
	wantOpen(t, db, 0)
	if got := mustConflict(t, db, copyName("a")); got.How != HowRemoved || !got.SettledAt.Equal(epoch) {
		t.Errorf("%+v", got)
	}
	mustAppend(t, db, put("5", copyName("a"), "ours"), put("6", copyName("b"), "ours"), put("7", copyName("c"), "no copy"))
	wantOpen(t, db, 1)
	if got := mustConflict(t, db, copyName("b")); got.How != HowBoth {
		t.Errorf("a copy that was kept is a document like any other: %+v", got)
	}
}

func TestConflictsAreBounded(t *testing.T) {
	db := open(t, t.TempDir())
	fill := func(n int, how string, at int64) {
		t.Helper()
		_, err := db.conn.ExecContext(t.Context(), `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
			INSERT INTO conflicts SELECT NULL, ?2 || '-' || i, 'doc-' || i, 1, '', '', '', '', x'', x'', x'', '', '', 0, ?2, ?3 + i, x'', x'', x'' FROM n`, n, how, at)
		if err != nil {
			t.Fatal(err)
		}
	}
	fill(MaxSettled, "ours", 1)
	disputed(t, db, "a")
	settle(t, db, "a", "theirs")
	_, total, err := db.Conflicts(t.Context(), true, 0, 1)
	if err != nil || total != MaxSettled {
		t.Errorf("%d are remembered, %v", total, err)
	}
	if _, err := db.Conflict(t.Context(), idOf("ours-1")); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the first one is still there: %v", err)
	}
	mustConflict(t, db, copyName("a"))

	m := *db.memory.Load()
	m.conflicts = MaxConflicts - 1
	db.memory.Store(&m)
	disputed(t, db, "last")
	over := put("over", copyName("over"), "x")
	c := conflictAbout("over")
	over.Conflict = &c
	if issued := mustAppend(t, db, over); issued[0].Recorded {
		t.Errorf("%+v", issued)
	}
	if _, err := db.Lookup(t.Context(), idOf(copyName("over"))); err != nil {
		t.Errorf("the copy is made all the same: %v", err)
	}
	if n := db.Summary().Conflicts; n != MaxConflicts {
		t.Errorf("%d are open", n)
	}
}

func TestConflictsArePaged(t *testing.T) {
	db := open(t, t.TempDir())
	var list []Conflict
	for i := range 5 {
		list = append(list, conflictAbout(fmt.Sprint("d", i)))
	}
	if _, err := db.RecordConflicts(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	settle(t, db, "d4", "ours")
	for _, all := range []bool{false, true} {
		got, total, err := db.Conflicts(t.Context(), all, 1, 2)
		want := map[bool]string{false: "d2", true: "d3"}[all]
		if err != nil || len(got) != 2 || got[0].ID.String() != want || total != map[bool]int64{false: 4, true: 5}[all] {
			t.Errorf("all %v: %+v of %d, %v", all, got, total, err)
		}
	}
}

// forgetSteps makes the file one of that version: without the tables of later
// steps, which made nothing else.
func forgetSteps(t *testing.T, db *DB, version int) {
	t.Helper()
	for _, step := range migrations[version:] {
		for _, made := range regexp.MustCompile(`CREATE TABLE (\w+)`).FindAllStringSubmatch(step, -1) {
			if _, err := db.conn.ExecContext(t.Context(), `DROP TABLE `+made[1]); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := db.conn.ExecContext(t.Context(), fmt.Sprintf(`PRAGMA user_version = %d`, version)); err != nil {
		t.Fatal(err)
	}
}

// TestAStateOfBeforeConflictsIsBroughtForward: the step changes nothing of what
// is there.
func TestAStateOfBeforeConflictsIsBroughtForward(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir)
	mustAppend(t, db, put("1", "a", "x"), put("2", copyName("a"), "y"))
	before := db.Summary()
	forgetSteps(t, db, 2)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = open(t, dir)
	if got := db.Summary(); got != before {
		t.Errorf("%+v, want %+v", got, before)
	}
	disputed(t, db, "b")
	wantOpen(t, db, 1)
}
