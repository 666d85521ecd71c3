package state

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/document"
)

// reopen closes a file and opens it again.
func reopen(t *testing.T, db *DB, dir string) *DB {
	t.Helper()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return open(t, dir)
}

func TestThePhaseIsRecordedWithWhatBelongsToIt(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir)
	if p := db.Phase(); p != (Phase{}) {
		t.Errorf("a new file: %+v", p)
	}
	mustAttach(t, db, "git")
	mustAttach(t, db, "kept")
	mustAppend(t, db, put("op-1", "a", "one"))
	mustAdvance(t, db, Advance{Store: "kept", Seq: 1})
	at := time.Unix(1_000_000, 5).UTC()
	begun := Phase{Name: "dual", Since: at, Configured: "primary", Wanted: "govc-only", Step: "attaching", Begun: at, Asked: "operator"}
	if err := db.SetPhase(t.Context(), begun, With{}); err != nil {
		t.Fatal(err)
	}
	if db = reopen(t, db, dir); db.Phase() != begun {
		t.Errorf("after a start: %+v", db.Phase())
	}
	ended := Phase{Name: "govc-only", Since: at, Configured: "primary", Begun: at}
	with := With{Detach: []string{"git", "never attached"}, Meta: map[string]string{"x": "1", "y": "2"}}
	if err := db.SetPhase(t.Context(), ended, with); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if seq, attached := db.Cursor("git"); attached || seq != 0 || db.Phase() != ended || db.Meta("x")+db.Meta("y") != "12" {
			t.Errorf("git at %d, attached %v; %+v; %q %q", seq, attached, db.Phase(), db.Meta("x"), db.Meta("y"))
		}
		if db.memory.Load().trimmed != 1 {
			t.Errorf("what git alone held is still in the outbox: trimmed up to %d", db.memory.Load().trimmed)
		}
		db = reopen(t, db, dir)
	}
}

func TestAPhaseIsBounded(t *testing.T) {
	db := open(t, t.TempDir())
	long := strings.Repeat("x", maxPhaseText)
	if err := db.SetPhase(t.Context(), Phase{Name: long}, With{}); err != nil {
		t.Error(err)
	}
	if err := db.SetPhase(t.Context(), Phase{Name: "dual", Step: long + "x"}, With{Meta: map[string]string{"x": "1"}}); !errors.Is(err, document.ErrInvalid) {
		t.Errorf("got %v", err)
	}
	if db.Phase().Name != long || db.Meta("x") != "" {
		t.Errorf("a refused record left something: %+v, %q", db.Phase(), db.Meta("x"))
	}
}
