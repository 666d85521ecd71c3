package state

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/store"
)

func TestAdvanceTrimsBehindTheSlowestStore(t *testing.T) {
	db := open(t, t.TempDir())
	mustAttach(t, db, "govc", "git")
	const n = 3*advanceChunk + 7
	mustAppend(t, db, numbered(n, "x")...)
	mustAdvance(t, db, Advance{Store: "govc", Seq: n})
	if ops := must(db.Next(t.Context(), 0, 1, 0)); len(ops) != 1 || ops[0].Seq != 1 || ops[0].Doc == nil {
		t.Fatalf("trimmed before git has it: %+v", ops)
	}
	mustAdvance(t, db, Advance{Store: "git", Seq: n - 1, Commit: "c1"})
	ops := must(db.Next(t.Context(), 0, 10, 1<<20))
	if len(ops) != 1 || ops[0].Seq != n {
		t.Fatalf("left: %+v", ops)
	}
	if row := must(db.Lookup(t.Context(), idOf("doc-000000"))); row.Commit != "c1" {
		t.Fatalf("row %+v", row)
	}
	if row := must(db.Lookup(t.Context(), ops[0].Key.ID)); row.Commit != "" {
		t.Fatalf("row %+v", row)
	}
	if s := db.Summary(); s.Documents != n || s.MaxSeq != n || s.PayloadBytes == 0 {
		t.Fatalf("summary %+v", s)
	}
	mustAdvance(t, db, Advance{Store: "git", Seq: n, Commit: "c2"})
	if s := db.Summary(); s.PayloadBytes != 0 {
		t.Fatalf("summary %+v", s)
	}
}

func TestAdvanceWithCommitDropsPayloads(t *testing.T) {
	db := open(t, t.TempDir())
	mustAttach(t, db, "govc", "git")
	mustAppend(t, db, put("op-1", "a", "one"), put("op-2", "b", "two"), put("op-3", "a", "three"))
	mustAdvance(t, db, Advance{Store: "git", Seq: 2, Commit: "c1"})
	ops := must(db.Next(t.Context(), 0, 10, 1<<20))
	if len(ops) != 3 || ops[0].Doc != nil || ops[0].Commit != "c1" || ops[1].Commit != "c1" || ops[2].Commit != "" || ops[2].Doc == nil {
		t.Fatalf("%+v", ops)
	}
	// The index names a commit only where that commit holds the newest version.
	if a, b := must(db.Lookup(t.Context(), idOf("a"))), must(db.Lookup(t.Context(), idOf("b"))); a.Commit != "" || b.Commit != "c1" {
		t.Fatalf("a %+v, b %+v", a, b)
	}
}

func TestTombstoneLivesUntilEveryStorePassedIt(t *testing.T) {
	db := open(t, t.TempDir())
	mustAttach(t, db, "govc", "git")
	mustAppend(t, db, put("op-1", "a", "x"), remove("op-2", "a"))
	mustAdvance(t, db, Advance{Store: "govc", Seq: 2})
	if row, err := db.Lookup(t.Context(), idOf("a")); err != nil || !row.Deleted {
		t.Fatalf("%+v, %v", row, err)
	}
	mustAdvance(t, db, Advance{Store: "git", Seq: 2, Commit: "c"})
	if _, err := db.Lookup(t.Context(), idOf("a")); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("got %v", err)
	}
}

func TestTombstoneOfARefusedDeleteStays(t *testing.T) {
	db := open(t, t.TempDir())
	mustAttach(t, db, "govc")
	mustAppend(t, db, put("op-1", "a", "x"), remove("op-2", "a"))
	mustAdvance(t, db, Advance{Store: "govc", Seq: 2, Park: []Parked{{Store: "govc", ID: idOf("a"), Seq: 2, OpID: "op-2", Reason: "refused"}}})
	if row, err := db.Lookup(t.Context(), idOf("a")); err != nil || !row.Deleted {
		t.Fatalf("%+v, %v", row, err)
	}
	mustAppend(t, db, remove("op-3", "a")) // tried again
	mustAdvance(t, db, Advance{Store: "govc", Seq: 3})
	if _, err := db.Lookup(t.Context(), idOf("a")); !errors.Is(err, store.ErrNotFound) || db.ParkedCount() != 0 {
		t.Fatalf("got %v, %d parked", err, db.ParkedCount())
	}
}

func TestParked(t *testing.T) {
	db := open(t, t.TempDir())
	mustAttach(t, db, "govc", "git")
	ops := numbered(2*advanceChunk, "x")
	mustAppend(t, db, ops...)
	var parks []Parked
	for i, op := range ops {
		parks = append(parks, Parked{Store: "govc", ID: op.Key.ID, Seq: int64(i + 1), OpID: op.OpID, Reason: "too large", Detail: strings.Repeat("é", 3000), At: epoch})
	}
	slices.Reverse(parks)
	mustAdvance(t, db, Advance{Store: "govc", Seq: int64(len(ops)), Park: parks})
	if db.ParkedCount() != int64(len(ops)) || db.Summary().Parked != int64(len(ops)) {
		t.Fatalf("%d parked", db.ParkedCount())
	}
	got, err := db.ParkedAt(t.Context(), ops[0].Key.ID)
	if err != nil || len(got) != 1 || got[0].OpID != ops[0].OpID || got[0].Reason != "too large" || !got[0].At.Equal(epoch) || got[0].Detail != strings.Repeat("é", 2048) {
		t.Fatalf("%+v, %v", got, err)
	}
	// A later operation supersedes it at the store that passes it, only there.
	mustAppend(t, db, put("later", ops[0].Key.ID.String(), "y"))
	last := db.Summary().MaxSeq
	mustAdvance(t, db, Advance{Store: "git", Seq: last, Commit: "c"})
	if n := len(must(db.ParkedAt(t.Context(), ops[0].Key.ID))); n != 1 {
		t.Fatalf("%d parked after git passed", n)
	}
	mustAdvance(t, db, Advance{Store: "govc", Seq: last})
	if n := len(must(db.ParkedAt(t.Context(), ops[0].Key.ID))); n != 0 || db.ParkedCount() != int64(len(ops)-1) {
		t.Fatalf("%d parked after govc passed, %d in all", n, db.ParkedCount())
	}
}

func TestAdvanceRefusals(t *testing.T) {
	db := open(t, t.TempDir())
	mustAttach(t, db, "govc", "old")
	if err := db.Detach(t.Context(), "old"); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, db, numbered(3, "x")...)
	for name, tc := range map[string]struct {
		a    Advance
		want error
	}{
		"never attached":  {Advance{Store: "git", Seq: 1}, ErrNotAttached},
		"detached":        {Advance{Store: "old", Seq: 1}, ErrNotAttached},
		"never issued":    {Advance{Store: "govc", Seq: 4}, document.ErrInvalid},
		"parked ahead":    {Advance{Store: "govc", Seq: 1, Park: []Parked{{ID: idOf("a"), Seq: 2}}}, document.ErrInvalid},
		"parked no one's": {Advance{Store: "govc", Seq: 1, Park: []Parked{{Seq: 1}}}, document.ErrInvalid},
	} {
		if err := db.Advance(t.Context(), tc.a); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	mustAdvance(t, db, Advance{Store: "govc", Seq: 2})
	mustAdvance(t, db, Advance{Store: "govc", Seq: 1})
	if seq, attached := db.Cursor("govc"); seq != 2 || !attached {
		t.Fatalf("the cursor went back to %d", seq)
	}
}

func TestAttach(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir)
	mustAttach(t, db, "govc")
	mustAppend(t, db, numbered(5, "x")...)
	if err := db.Attach(t.Context(), "git", 6); !errors.Is(err, store.ErrIdentity) {
		t.Fatalf("a number that was never issued: %v", err)
	}
	mustAdvance(t, db, Advance{Store: "govc", Seq: 3})
	if err := db.Attach(t.Context(), "git", 2); !errors.Is(err, ErrTrimmed) {
		t.Fatalf("a number that was trimmed: %v", err)
	}
	if err := db.Attach(t.Context(), "", 5); !errors.Is(err, document.ErrInvalid) {
		t.Fatalf("no name: %v", err)
	}
	if err := db.Attach(t.Context(), "git", 4); err != nil {
		t.Fatal(err)
	}
	mustAdvance(t, db, Advance{Store: "govc", Seq: 5})
	if ops := must(db.Next(t.Context(), 0, 10, 1<<20)); len(ops) != 1 || ops[0].Seq != 5 {
		t.Fatalf("%+v", ops)
	}
	// Who leaves holds nothing any more.
	if err := db.Detach(t.Context(), "git"); err != nil {
		t.Fatal(err)
	}
	if ops := must(db.Next(t.Context(), 0, 10, 1<<20)); len(ops) != 0 {
		t.Fatalf("%+v", ops)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = open(t, dir)
	if seq, attached := db.Cursor("git"); seq != 4 || attached {
		t.Fatalf("git %d %v", seq, attached)
	}
	if seq, attached := db.Cursor("nobody"); seq != 0 || attached {
		t.Fatalf("nobody %d %v", seq, attached)
	}
	for i := range maxStores {
		err := db.Attach(t.Context(), fmt.Sprint(i), 5)
		if full := i >= maxStores-2; full != errors.Is(err, document.ErrInvalid) {
			t.Fatalf("store %d: %v", i, err)
		}
	}
}

func TestNothingIsTrimmedWithoutAStore(t *testing.T) {
	db := open(t, t.TempDir())
	mustAttach(t, db, "govc")
	mustAppend(t, db, numbered(3, "x")...)
	if err := db.Detach(t.Context(), "govc"); err != nil {
		t.Fatal(err)
	}
	if ops := must(db.Next(t.Context(), 0, 10, 1<<20)); len(ops) != 3 {
		t.Fatalf("%d left", len(ops))
	}
}

func TestNextLimits(t *testing.T) {
	db := open(t, t.TempDir())
	mustAppend(t, db, numbered(10, kibibyte)...)
	size := int64(len(must(encodePayload(docOf("doc-000000", kibibyte)))))
	for _, tc := range []struct {
		after    int64
		maxOps   int
		maxBytes int64
		want     int
	}{
		{0, 100, 1 << 20, 10},
		{0, 3, 1 << 20, 3},
		{8, 3, 1 << 20, 2},
		{10, 3, 1 << 20, 0},
		{0, 100, 0, 1},
		{0, 100, 3 * size, 3},
		{0, 100, 3*size - 1, 2},
		{0, 0, 1 << 20, 1},
		{-5, 100, 1 << 20, 10},
	} {
		ops, err := db.Next(t.Context(), tc.after, tc.maxOps, tc.maxBytes)
		if err != nil || len(ops) != tc.want || len(ops) > 0 && ops[0].Seq != max(tc.after, 0)+1 {
			t.Errorf("%+v: %d operations, %v", tc, len(ops), err)
		}
	}
}

// Appends go on between the steps of a long Advance.
func TestAppendsGoOnBesideAdvance(t *testing.T) {
	db := open(t, t.TempDir())
	mustAttach(t, db, "git")
	const n = 20 * advanceChunk
	mustAppend(t, db, numbered(n, "x")...)
	done := make(chan struct{})
	var between int64
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			default:
			}
			mustAppend(t, db, put(fmt.Sprintf("beside-%d", i), "beside", "x"))
			if seq, _ := db.Cursor("git"); seq > 0 && seq < n {
				between++
			}
		}
	})
	mustAdvance(t, db, Advance{Store: "git", Seq: n, Commit: "c"})
	close(done)
	wg.Wait()
	if between == 0 {
		t.Fatal("no append was acknowledged while the cursor moved")
	}
}

func TestUnpark(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir)
	mustAttach(t, db, "govc", "git")
	ops := numbered(5, "x")
	mustAppend(t, db, ops...)
	var parks []Parked
	for i, op := range ops {
		parks = append(parks, Parked{Store: "govc", ID: op.Key.ID, Seq: int64(i + 1), OpID: op.OpID, Reason: "refused", At: epoch})
	}
	mustAdvance(t, db, Advance{Store: "govc", Seq: 5, Park: parks})
	mustAdvance(t, db, Advance{Store: "git", Seq: 5, Park: []Parked{{Store: "git", ID: ops[0].Key.ID, Seq: 1, At: epoch}}})
	all := must(db.ParkedIn(t.Context(), "govc", 3))
	if len(all) != 3 || all[0].OpID != ops[0].OpID || all[0].ID != ops[0].Key.ID || all[2].Seq != 3 || all[0].Reason != "refused" {
		t.Fatalf("%+v", all)
	}
	if err := db.Unpark(t.Context(), "govc", ops[0].Key.ID, ops[1].Key.ID, idOf("unknown")); err != nil {
		t.Fatal(err)
	}
	if n := db.ParkedCount(); n != 4 {
		t.Errorf("%d parked, want three at govc and one at git", n)
	}
	if err := db.Unpark(t.Context(), "govc"); err != nil {
		t.Fatal(err)
	}
	if n := len(must(db.ParkedIn(t.Context(), "git", 10))); n != 1 || db.ParkedCount() != 1 {
		t.Errorf("git has %d parked, %d in all", n, db.ParkedCount())
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if n := open(t, dir).ParkedCount(); n != 1 {
		t.Errorf("%d parked after reopening", n)
	}
}

func TestATipIsRecordedWithTheCursor(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir)
	mustAttach(t, db, "govc")
	if tip := db.Tip("govc"); tip != "" {
		t.Fatalf("nothing was recorded, yet it is %q", tip)
	}
	const n = 2*advanceChunk + 1
	mustAppend(t, db, numbered(n, "x")...)
	park := Parked{Store: "govc", ID: idOf("doc-000000"), Seq: 1, Reason: "refused"}
	mustAdvance(t, db, Advance{Store: "govc", Seq: n, Tip: "one", Park: []Parked{park}})
	for _, step := range []struct{ tip, want string }{{"", "one"}, {"two", "two"}} {
		mustAdvance(t, db, Advance{Store: "govc", Tip: step.tip}) // moves nothing
		if tip, seq := db.Tip("govc"), db.Summary().MaxSeq; tip != step.want || seq != n {
			t.Errorf("the tip is %q at %d, want %q", tip, seq, step.want)
		}
	}
	if seq, _ := db.Cursor("govc"); seq != n {
		t.Errorf("the cursor is at %d", seq)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if db = open(t, dir); db.Tip("govc") != "two" {
		t.Errorf("after a restart it is %q", db.Tip("govc"))
	}
	if err := db.Advance(t.Context(), Advance{Store: "nobody", Tip: "x"}); !errors.Is(err, ErrNotAttached) || db.Tip("nobody") != "" {
		t.Errorf("got %v", err)
	}
}
