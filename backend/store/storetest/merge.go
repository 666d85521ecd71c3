package storetest

import (
	"errors"
	"slices"
	"strings"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/store"
)

func mergeCases() []testCase {
	return []testCase{
		{"merge/branch", testBranch},
		{"merge/fast-forward", testFastForward},
		{"merge/three-way", testThreeWay},
		{"merge/same change", testSameChange},
		{"merge/conflict", testMergeConflict},
		{"merge/delete against change", testDeleteConflict},
	}
}

// branch makes a branch of a store that has branches, or ends the subtest.
func (s *suite) branch(name string) (store.Merger, store.Store) {
	s.Helper()
	merger, ok := s.store.(store.Merger)
	if !ok {
		panic(notOffered("this store has no branches"))
	}
	side, err := merger.Branch(s.Context(), name)
	s.unsupported("branches", err)
	if err != nil {
		s.Fatalf("Branch(%q): %v", name, err)
	}
	return merger, side
}

func (s *suite) merge(merger store.Merger, name string) {
	s.Helper()
	receipt, err := merger.Merge(s.Context(), name, author, s.now)
	if err != nil {
		s.Fatalf("Merge(%q): %v", name, err)
	}
	if receipt.Commit == "" {
		s.Errorf("Merge(%q) changed main and names no commit", name)
	}
}

func testBranch(s *suite) {
	d := newDoc(s, "shared", "base")
	s.put(d)
	_, side := s.branch("isolated")
	key := s.op(d).Key
	s.wantAt(side, key, d)
	onSide, onMain := edited(d, "side"), edited(d, "main")
	s.applyTo(side, s.op(onSide), s.op(newDoc(s, "side-only", "x")))
	s.wantHeld(d)
	s.wantAbsent(newDoc(s, "side-only", "x"))
	s.put(onMain)
	s.wantAt(side, key, onSide)
	s.wantHeld(onMain)
}

func testFastForward(s *suite) {
	changed, gone, stays := newDoc(s, "changed", "base"), newDoc(s, "gone", "base"), newDoc(s, "stays", "base")
	s.put(changed, gone, stays)
	merger, side := s.branch("ahead")
	created := newDoc(s, "created", "new")
	s.applyTo(side, s.op(edited(changed, "side")), s.op(created))
	s.applyTo(side, store.Op{Key: s.op(gone).Key})
	s.merge(merger, "ahead")
	s.wantHeld(edited(changed, "side"), created, stays)
	s.wantAbsent(gone)
}

func testThreeWay(s *suite) {
	a, b, c, gone := newDoc(s, "a", "base"), newDoc(s, "b", "base"), newDoc(s, "c", "base"), newDoc(s, "gone", "base")
	b.Content.Raw = []byte("raw")
	s.put(a, b, c, gone)
	merger, side := s.branch("topic")
	fromSide, fromMain := newDoc(s, "from-side", "side"), newDoc(s, "from-main", "main")
	s.applyTo(side, s.op(edited(b, "side")), s.op(fromSide), store.Op{Key: s.op(gone).Key})
	s.put(edited(a, "main"), fromMain)
	s.merge(merger, "topic")
	s.wantHeld(edited(a, "main"), edited(b, "side"), c, fromSide, fromMain)
	s.wantAbsent(gone)
	later := edited(edited(b, "side"), "main goes on")
	s.put(later)
	s.wantHeld(later)
}

// testSameChange: both sides made the same change; that is no conflict.
func testSameChange(s *suite) {
	d, other := newDoc(s, "agreed", "base"), newDoc(s, "other", "base")
	s.put(d, other)
	merger, side := s.branch("agreeing")
	s.applyTo(side, s.op(edited(d, "same")), s.op(edited(other, "side")))
	s.put(edited(d, "same"), newDoc(s, "main", "main"))
	s.merge(merger, "agreeing")
	s.wantHeld(edited(d, "same"), edited(other, "side"), newDoc(s, "main", "main"))
}

// wantConflict checks that a merge is refused, that it names the document, and
// that main and its history are what they were.
func (s *suite) wantConflict(merger store.Merger, name string, d document.Document) {
	s.Helper()
	key := s.op(d).Key
	before, historyErr := s.store.History(s.Context(), key, 10)
	_, err := merger.Merge(s.Context(), name, author, s.now)
	var conflict *store.MergeConflictError
	if !errors.As(err, &conflict) || !errors.Is(err, store.ErrConflict) {
		s.Fatalf("Merge(%q) returned %v, want a MergeConflictError", name, err)
	}
	if !slices.ContainsFunc(conflict.Paths, func(path string) bool { return strings.HasPrefix(path, key.Folder.String()) }) {
		s.Errorf("the conflict names %q, want a path in %q", conflict.Paths, key.Folder)
	}
	after, err := s.store.History(s.Context(), key, 10)
	if historyErr == nil && err != nil {
		s.Errorf("History after the refused merge: %v", err)
	}
	if historyErr == nil && !slices.Equal(before, after) {
		s.Errorf("the refused merge changed the history from %v to %v", before, after)
	}
}

func testMergeConflict(s *suite) {
	d, other := newDoc(s, "disputed", "base"), newDoc(s, "other", "base")
	s.put(d, other)
	merger, side := s.branch("disputing")
	s.applyTo(side, s.op(edited(d, "side")), s.op(edited(other, "side")))
	s.put(edited(d, "main"))
	s.wantConflict(merger, "disputing", d)
	s.wantHeld(edited(d, "main"), other)
	s.wantAt(side, s.op(d).Key, edited(d, "side"))
	// The way out: main takes the side's version, then the merge is clean.
	s.put(edited(d, "side"))
	s.merge(merger, "disputing")
	s.wantHeld(edited(d, "side"), edited(other, "side"))
}

func testDeleteConflict(s *suite) {
	d := newDoc(s, "disputed", "base")
	s.put(d)
	merger, side := s.branch("deleting")
	s.applyTo(side, store.Op{Key: s.op(d).Key})
	s.put(edited(d, "main"))
	s.wantConflict(merger, "deleting", d)
	s.wantHeld(edited(d, "main"))
}
