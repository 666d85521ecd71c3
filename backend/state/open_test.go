package state

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/store"
)

func mkdir(tb testing.TB, dir string) {
	tb.Helper()
	if err := os.Mkdir(dir, 0o755); err != nil {
		tb.Fatal(err)
	}
}

func TestOpenMakesAPrivateFileWithAnIdentity(t *testing.T) {
	dir := t.TempDir()
	db, err := Open(t.Context(), dir, Options{Now: func() time.Time { return epoch }, NewID: func() string { return "id-1" }})
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, db, put("op", "a", "x"))
	for _, name := range []string{stateFile, stateFile + "-wal"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	again := open(t, dir)
	if db.StateID() != "id-1" || again.StateID() != "id-1" {
		t.Fatalf("state ids %q, %q", db.StateID(), again.StateID())
	}
	if other := open(t, t.TempDir()); other.StateID() == "" || other.StateID() == open(t, t.TempDir()).StateID() {
		t.Fatalf("state id %q is not random", other.StateID())
	}
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "wal_autocheckpoint": "1000"} {
		var got string
		if err := again.conn.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %q, %v", pragma, got, err)
		}
	}
}

// The sums that Close saves must not be believed after a crash.
func TestSumsAreCountedAfterACrash(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir)
	mustAppend(t, db, numbered(10, "x")...)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = open(t, dir)
	mustAppend(t, db, put("op", "one-more", "four"))
	want := db.Summary()
	copied := t.TempDir() // what a power cut leaves: the files as they are now
	for _, name := range []string{stateFile, stateFile + "-wal"} {
		copyFile(t, filepath.Join(dir, name), filepath.Join(copied, name))
	}
	if got := open(t, copied).Summary(); got != want || got.Documents != 11 {
		t.Fatalf("summary %+v, want %+v", got, want)
	}
}

func copyFile(tb testing.TB, from, to string) {
	tb.Helper()
	data, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, data, 0o600)
	}
	if err != nil {
		tb.Fatal(err)
	}
}

func TestNumbersAreNotIssuedTwice(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir)
	mustAttach(t, db, "govc")
	mustAppend(t, db, put("op-1", "a", "x"), remove("op-2", "a"))
	mustAdvance(t, db, Advance{Store: "govc", Seq: 2})
	if err := db.Detach(t.Context(), "govc"); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Lookup(t.Context(), idOf("a")); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("the tombstone is still there: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = open(t, dir)
	if got := mustAppend(t, db, put("op-3", "b", "x"))[0].Seq; got != 3 {
		t.Fatalf("issued %d", got)
	}
}

func TestNewerSchemaIsRefusedAndLeftAlone(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir)
	if _, err := db.conn.ExecContext(t.Context(), `PRAGMA user_version = 99`); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	before := must(os.ReadFile(db.file))
	_, err := Open(t.Context(), dir, Options{})
	if !errors.Is(err, ErrNewerSchema) || !strings.Contains(err.Error(), "99") || !strings.Contains(err.Error(), fmt.Sprintf("up to %d", len(migrations))) {
		t.Fatalf("got %v", err)
	}
	if after := must(os.ReadFile(db.file)); string(after) != string(before) {
		t.Fatal("the file was changed")
	}
}

func TestMigrationStepsRunOnceAndInOrder(t *testing.T) {
	db := open(t, t.TempDir())
	steps := append([]string{}, migrations...)
	steps = append(steps, `CREATE TABLE later(x); INSERT INTO later VALUES (1)`, `UPDATE later SET x = x + 1`)
	for range 2 {
		if created, err := migrate(t.Context(), db.conn, steps); created || err != nil {
			t.Fatalf("%v, %v", created, err)
		}
	}
	var x, version int
	if err := db.conn.QueryRowContext(t.Context(), `SELECT x, (SELECT user_version FROM pragma_user_version) FROM later`).Scan(&x, &version); err != nil || x != 2 || version != len(steps) {
		t.Fatalf("x %d, version %d, %v", x, version, err)
	}
	if _, err := migrate(t.Context(), db.conn, append(steps, `CREATE TABLE half(x); nonsense`)); err == nil {
		t.Fatal("a broken step went through")
	}
	if err := db.conn.QueryRowContext(t.Context(), `SELECT count(*), (SELECT user_version FROM pragma_user_version) FROM sqlite_schema WHERE name = 'half'`).Scan(&x, &version); err != nil || x != 0 || version != len(steps) {
		t.Fatalf("half a step stayed: %d, version %d, %v", x, version, err)
	}
}

func TestCloseTwiceAndUseAfterClose(t *testing.T) {
	db := open(t, t.TempDir())
	mustAppend(t, db, put("op", "a", "x"))
	for range 2 {
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.Append(t.Context(), []Operation{put("op", "b", "x")}); !errors.Is(err, ErrClosed) {
		t.Errorf("append: %v", err)
	}
	if _, err := db.Lookup(t.Context(), idOf("a")); !errors.Is(err, ErrClosed) {
		t.Errorf("lookup: %v", err)
	}
	if err := db.Advance(t.Context(), Advance{Store: "git", Seq: 1}); !errors.Is(err, ErrClosed) {
		t.Errorf("advance: %v", err)
	}
	if got := db.Summary().Documents; got != 1 {
		t.Errorf("summary: %d documents", got)
	}
	if _, err := os.Stat(db.file + "-wal"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the log was left behind: %v", err)
	}
}

// versionOne makes a state file of the first schema, with a document, an event
// and a setting.
func versionOne(t *testing.T, dir string) {
	t.Helper()
	file := must(sql.Open("sqlite", filepath.Join(dir, stateFile)))
	for _, script := range []string{
		migrations[0],
		`PRAGMA user_version = 1`,
		`INSERT INTO header VALUES (1, 'old-id', 0, 1, 7, 7, 1, 5, 0)`,
		`INSERT INTO documents VALUES ('a', 0, 'text', 7, 5, 0, 0, x'` + strings.Repeat("ab", 32) + `', '', 'documents/text/a', '')`,
		`INSERT INTO events(at, level, kind, text) VALUES (0, 'warning', 'state', 'before the migration')`,
		`INSERT INTO meta VALUES ('phase', 'dual')`,
	} {
		if _, err := file.ExecContext(t.Context(), script); err != nil {
			t.Fatal(err)
		}
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestAFileOfTheFirstSchemaIsMigratedWithWhatItHolds(t *testing.T) {
	dir := t.TempDir()
	versionOne(t, dir)
	for range 2 { // migrated, and opened again as it is
		db := open(t, dir)
		row, err := db.Lookup(t.Context(), idOf("a"))
		if err != nil || row.Seq != 7 || db.StateID() != "old-id" || db.Meta("phase") != "dual" || db.Summary().MaxSeq != 7 {
			t.Fatalf("%+v, %v, %q, %+v", row, err, db.StateID(), db.Summary())
		}
		events, err := db.Events(t.Context(), 10)
		if err != nil || events[len(events)-1].Text != "before the migration" || events[len(events)-1].Next != "" {
			t.Fatalf("%+v, %v", events, err)
		}
		if err := db.AddEvent(t.Context(), Event{Level: "error", Kind: "git", Text: "after", Next: "do this"}); err != nil {
			t.Fatal(err)
		}
		if events, err = db.Events(t.Context(), 1); err != nil || events[0].Next != "do this" {
			t.Fatalf("%+v, %v", events, err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// What an older caiatop finds: a version that it does not know.
func TestAMigratedFileIsRefusedByTheOlderProgram(t *testing.T) {
	dir := t.TempDir()
	versionOne(t, dir)
	db := open(t, dir)
	if _, err := migrate(t.Context(), db.conn, migrations[:1]); !errors.Is(err, ErrNewerSchema) {
		t.Fatalf("got %v", err)
	}
}
