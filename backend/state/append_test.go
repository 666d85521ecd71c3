package state

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/store"
)

func TestAppendEntersOutboxAndIndex(t *testing.T) {
	db := open(t, t.TempDir())
	first := put("op-1", "a", "one")
	issued := mustAppend(t, db, first, put("op-2", "b", "two"))
	if issued[0].Seq != 1 || issued[1].Seq != 2 || !issued[0].Base.IsZero() || issued[0].Key != first.Key {
		t.Fatalf("issued %+v", issued)
	}
	row, err := db.Lookup(t.Context(), first.Key.ID)
	if err != nil {
		t.Fatal(err)
	}
	want := Row{
		ID: first.Key.ID, Folder: first.Key.Folder, Type: first.Doc.Source.Type, Source: "https://example.org/a",
		Size: 3, CreatedAt: epoch, UpdatedAt: epoch.Add(time.Hour), Hash: first.Hash, Seq: 1,
	}
	if row != want {
		t.Fatalf("row %+v, want %+v", row, want)
	}
	ops, err := db.Next(t.Context(), 0, 10, 1<<20)
	if err != nil || len(ops) != 2 {
		t.Fatalf("next: %d operations, %v", len(ops), err)
	}
	op := ops[0]
	if op.OpID != "op-1" || op.Key != first.Key || op.Delete || op.Hash != first.Hash || !op.At.Equal(epoch) {
		t.Fatalf("outgoing %+v", op)
	}
	if op.Doc == nil || must(op.Doc.Hash()) != first.Hash {
		t.Fatalf("the document came back as %+v", op.Doc)
	}
}

func TestAppendKeepsFolderOfKnownDocument(t *testing.T) {
	db := open(t, t.TempDir())
	first := put("op-1", "a", "one")
	mustAppend(t, db, first)
	moved := put("op-2", "a", "two")
	moved.Key.Folder = must(document.ParsePath("documents/text/2020-01/0/0/0/a"))
	if got := mustAppend(t, db, moved)[0]; got.Key != first.Key || got.Base != first.Hash {
		t.Fatalf("update: %+v", got)
	}
	mustAppend(t, db, remove("op-3", "a"))
	if got := mustAppend(t, db, moved)[0]; got.Key != first.Key || !got.Base.IsZero() {
		t.Fatalf("after a delete: %+v", got)
	}
}

func TestAppendOfOneDocumentTwiceInOneCall(t *testing.T) {
	db := open(t, t.TempDir())
	one, two := put("op-1", "a", "one"), put("op-2", "a", "two")
	two.Expect = &one.Hash
	issued := mustAppend(t, db, one, two, remove("op-3", "a"))
	if issued[1].Base != one.Hash || issued[2].Base != two.Hash || issued[2].Seq != 3 {
		t.Fatalf("issued %+v", issued)
	}
	if s := db.Summary(); s.Documents != 0 || s.Bytes != 0 || s.MaxSeq != 3 {
		t.Fatalf("summary %+v", s)
	}
}

func TestDelete(t *testing.T) {
	db := open(t, t.TempDir())
	if got := mustAppend(t, db, remove("op-1", "a"))[0]; got.Seq != 0 {
		t.Fatalf("deleting an unknown document issued %d", got.Seq)
	}
	if s := db.Summary(); s.MaxSeq != 0 {
		t.Fatalf("summary %+v", s)
	}
	a := put("op-2", "a", "one")
	mustAppend(t, db, a)
	if got := mustAppend(t, db, remove("op-3", "a"))[0]; got.Seq != 2 || got.Base != a.Hash {
		t.Fatalf("delete: %+v", got)
	}
	row, err := db.Lookup(t.Context(), a.Key.ID)
	if err != nil || !row.Deleted || !row.Hash.IsZero() || row.Size != 0 || !row.UpdatedAt.Equal(epoch) {
		t.Fatalf("tombstone %+v, %v", row, err)
	}
	if rows, total, err := db.Page(t.Context(), PageQuery{Limit: 10}); err != nil || len(rows) != 0 || total != 0 {
		t.Fatalf("page: %d rows of %d, %v", len(rows), total, err)
	}
	op, found, err := db.Newest(t.Context(), a.Key.ID)
	if err != nil || !found || !op.Delete || op.Doc != nil || op.Base != a.Hash {
		t.Fatalf("newest %+v, %v, %v", op, found, err)
	}
}

func TestLookupOfUnknownDocument(t *testing.T) {
	db := open(t, t.TempDir())
	if _, err := db.Lookup(t.Context(), idOf("nobody")); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("got %v", err)
	}
	if _, found, err := db.Newest(t.Context(), idOf("nobody")); found || err != nil {
		t.Fatalf("newest: %v, %v", found, err)
	}
}

func TestExpectRefusesTheWholeCall(t *testing.T) {
	a := put("op-1", "a", "one")
	wrong, none := document.Hash{1}, document.Hash{}
	for name, tc := range map[string]struct {
		id     string
		expect document.Hash
		ok     bool
	}{
		"the present hash":       {"a", a.Hash, true},
		"another hash":           {"a", wrong, false},
		"absent but present":     {"a", none, false},
		"absent and absent":      {"b", none, true},
		"a hash of an absent":    {"b", wrong, false},
		"a hash of a deleted":    {"gone", a.Hash, false},
		"absent and was deleted": {"gone", none, true},
	} {
		t.Run(name, func(t *testing.T) {
			db := open(t, t.TempDir())
			mustAppend(t, db, a, put("op-2", "gone", "x"), remove("op-3", "gone"))
			before := db.Summary()
			guarded := put("op-5", tc.id, "new")
			guarded.Expect = &tc.expect
			_, err := db.Append(t.Context(), []Operation{put("op-4", "bystander", "x"), guarded})
			if tc.ok {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if !errors.Is(err, store.ErrConflict) {
				t.Fatalf("got %v", err)
			}
			if db.Summary() != before {
				t.Fatalf("a refused call left %+v", db.Summary())
			}
			if _, err := db.Lookup(t.Context(), idOf("bystander")); !errors.Is(err, store.ErrNotFound) {
				t.Fatalf("a refused call wrote: %v", err)
			}
			if got := mustAppend(t, db, put("op-6", "c", "x"))[0]; got.Seq != before.MaxSeq+1 {
				t.Fatalf("a refused call used up numbers: %d after %d", got.Seq, before.MaxSeq)
			}
		})
	}
}

func TestInvalidOperations(t *testing.T) {
	db := open(t, t.TempDir())
	change := func(f func(*Operation)) []Operation {
		op := put("op", "a", "x")
		f(&op)
		return []Operation{op}
	}
	for name, ops := range map[string][]Operation{
		"no operation id":   change(func(o *Operation) { o.OpID = "" }),
		"no document id":    change(func(o *Operation) { o.Key.ID = document.ID{} }),
		"no folder":         change(func(o *Operation) { o.Key.Folder = document.Path{} }),
		"no hash":           change(func(o *Operation) { o.Hash = document.Hash{} }),
		"another's key":     change(func(o *Operation) { o.Key.ID = idOf("b") }),
		"no type":           change(func(o *Operation) { o.Doc.Source.Type = document.Type{} }),
		"too much content":  change(func(o *Operation) { o.Doc.Content.Raw = make([]byte, document.MaxContent) }),
		"metadata not JSON": change(func(o *Operation) { o.Doc.Content.Metadata = map[string]any{"x": make(chan int)} }),
		"too many":          numbered(MaxAppend+1, "x"),
	} {
		if _, err := db.Append(t.Context(), ops); !errors.Is(err, document.ErrInvalid) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if issued, err := db.Append(t.Context(), nil); err != nil || len(issued) != 0 {
		t.Errorf("nothing: %v, %v", issued, err)
	}
	if s := db.Summary(); s != (Summary{}) {
		t.Errorf("summary %+v", s)
	}
}

func TestOddDocumentsComeBack(t *testing.T) {
	db := open(t, t.TempDir())
	binary := docOf("binary", "\xff\xfe\x00text")
	binary.Content.Raw = []byte{0, 1, 2, 0xff}
	ancient := docOf("ancient", "")
	ancient.CreatedAt, ancient.UpdatedAt = time.Time{}, time.Date(9999, 1, 2, 3, 4, 5, 6, time.UTC)
	for _, d := range []document.Document{binary, ancient} {
		op := putOf("op", d)
		mustAppend(t, db, op)
		got, found, err := db.Newest(t.Context(), d.ID)
		if err != nil || !found || must(got.Doc.Hash()) != op.Hash {
			t.Fatalf("%s: %+v, %v, %v", d.ID, got, found, err)
		}
		row, err := db.Lookup(t.Context(), d.ID)
		if err != nil || !row.CreatedAt.Equal(d.CreatedAt) || !row.UpdatedAt.Equal(d.UpdatedAt) {
			t.Fatalf("%s: %+v, %v", d.ID, row, err)
		}
	}
}

func TestInboundOperationWithCommitStoresNoPayload(t *testing.T) {
	db := open(t, t.TempDir())
	op := put("op-1", "a", "one")
	op.Commit, op.Origin = strings.Repeat("c0", 20), "git"
	mustAppend(t, db, op)
	got, found, err := db.Newest(t.Context(), op.Key.ID)
	if err != nil || !found || got.Doc != nil || got.Commit != op.Commit || got.Origin != "git" || got.Hash != op.Hash {
		t.Fatalf("%+v, %v, %v", got, found, err)
	}
	if row := must(db.Lookup(t.Context(), op.Key.ID)); row.Commit != op.Commit || row.Size != 3 {
		t.Fatalf("row %+v", row)
	}
	if s := db.Summary(); s.PayloadBytes != 0 || s.Bytes != 3 {
		t.Fatalf("summary %+v", s)
	}
}

func TestGroupCommit(t *testing.T) {
	const writers, each = 32, 20
	dir := t.TempDir()
	db := open(t, dir)
	never := document.Hash{9}
	var wg sync.WaitGroup
	var mu sync.Mutex
	seqs := map[int64]string{}
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				id := fmt.Sprintf("w%02d-%02d", w, i)
				if i%5 == 4 { // a refused one among the others
					op := put("refused-"+id, id, "x")
					op.Expect = &never
					if _, err := db.Append(t.Context(), []Operation{op}); !errors.Is(err, store.ErrConflict) {
						t.Errorf("%s: %v", id, err)
					}
					continue
				}
				issued, err := db.Append(t.Context(), []Operation{put(id, id, "x")})
				if err != nil {
					t.Errorf("%s: %v", id, err)
					return
				}
				row, err := db.Lookup(t.Context(), idOf(id))
				if err != nil || row.Seq != issued[0].Seq {
					t.Errorf("%s: read own write: %+v, %v", id, row, err)
				}
				mu.Lock()
				seqs[issued[0].Seq] = id
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	const want = writers * each * 4 / 5
	if s := db.Summary(); len(seqs) != want || s.MaxSeq != want || s.Documents != want {
		t.Fatalf("%d numbers for %d operations, summary %+v", len(seqs), want, s)
	}
	ops, err := db.Next(t.Context(), 0, MaxNext, 1<<30)
	if err != nil || len(ops) != want {
		t.Fatalf("%d operations, %v", len(ops), err)
	}
	for i, op := range ops {
		if op.Seq != int64(i+1) || seqs[op.Seq] != op.OpID {
			t.Fatalf("operation %d is %d %s, want %s", i, op.Seq, op.OpID, seqs[op.Seq])
		}
	}
}

func TestWaitingRequestsShareATransaction(t *testing.T) {
	db := open(t, t.TempDir())
	var commits int
	commit := db.commit
	db.commit = func(ctx context.Context) error {
		commits++
		return commit(ctx)
	}
	// The writer is idle: this takes its place with requests that it collected.
	var group []*request
	for i := range 10 {
		entries, _, err := prepare([]Operation{put(fmt.Sprintf("op-%d", i+1), fmt.Sprintf("doc-%d", i), "x")})
		if err != nil {
			t.Fatal(err)
		}
		group = append(group, &request{apply: func(t *txn) error { return t.append(entries, make([]Issued, 1)) }})
	}
	group[4].apply = func(*txn) error { return store.ErrConflict }
	db.write(group)
	for i, r := range group {
		if (i == 4) != errors.Is(r.err, store.ErrConflict) || (i != 4 && r.err != nil) {
			t.Fatalf("request %d: %v", i, r.err)
		}
	}
	if s := db.Summary(); s.Documents != 9 || commits != 1 {
		t.Fatalf("%d commits, summary %+v", commits, s)
	}
}

func TestCancelledBeforeTakenLeavesNothing(t *testing.T) {
	db := open(t, t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := db.Append(ctx, []Operation{put("op", "a", "x")}); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	if s := db.Summary(); s.MaxSeq != 0 {
		t.Fatalf("summary %+v", s)
	}
}

func TestCancelledAfterTakenWaitsForTheOutcome(t *testing.T) {
	db := open(t, t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	commit := db.commit
	db.commit = func(c context.Context) error {
		cancel()
		return commit(c)
	}
	issued, err := db.Append(ctx, []Operation{put("op", "a", "x")})
	if err != nil || issued[0].Seq != 1 {
		t.Fatalf("%+v, %v", issued, err)
	}
}
