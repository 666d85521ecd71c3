package storetest

import (
	"context"
	"fmt"
	"strings"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/store"
)

func historyCases() []testCase {
	return []testCase{
		{"history", testHistory},
		{"history/never existed", testHistoryNone},
		{"history/deleted", testHistoryDeleted},
	}
}

func (s *suite) history(d document.Document, limit int) []store.Revision {
	s.Helper()
	return s.historyOf(s.Context(), s.op(d).Key, limit)
}

func (s *suite) historyOf(ctx context.Context, key store.Key, limit int) []store.Revision {
	s.Helper()
	revisions, err := s.store.History(ctx, key, limit)
	s.unsupported("History", err)
	if err != nil {
		s.Fatalf("History(%q): %v", key.ID, err)
	}
	return revisions
}

// wantRevision compares what a store tells of a revision with the batch that
// made it. A store without commits leaves Commit, Author and Message empty.
func (s *suite) wantRevision(got store.Revision, receipt store.Receipt, deleted bool) {
	s.Helper()
	if got.Commit != receipt.Commit {
		s.Errorf("the revision names the commit %q, the receipt said %q", got.Commit, receipt.Commit)
	}
	if got.Author != author && got.Author != (store.Author{}) {
		s.Errorf("the revision is by %v, want %v", got.Author, author)
	}
	if got.Deleted != deleted {
		s.Errorf("the revision says deleted = %v, want %v", got.Deleted, deleted)
	}
	if got.At.IsZero() {
		s.Error("the revision has no time")
	}
}

func testHistory(s *suite) {
	d, other := newDoc(s, "told", "version 0"), newDoc(s, "told-of-others", "text")
	receipts := []store.Receipt{s.put(d)}
	for i := range 4 {
		s.put(edited(other, fmt.Sprint(i)))
		d = edited(d, fmt.Sprintf("version %d", i+1))
		receipts = append(receipts, s.put(d))
	}
	s.put(d) // nothing changes, nothing is told

	all := s.history(d, 100)
	if len(all) != len(receipts) {
		s.Fatalf("History tells of %d revisions, want %d", len(all), len(receipts))
	}
	for i, revision := range all {
		s.wantRevision(revision, receipts[len(receipts)-1-i], false)
		if i > 0 && revision.At.After(all[i-1].At) {
			s.Errorf("revision %d is newer than the one before it: History is newest first", i)
		}
		if revision.Message != "" && !strings.Contains(revision.Message, "told") {
			s.Errorf("revision %d says %q", i, revision.Message)
		}
	}
	for _, limit := range []int{1, 2, 5} {
		some := s.history(d, limit)
		if len(some) != limit {
			s.Fatalf("History with limit %d tells of %d revisions", limit, len(some))
		}
		for i := range some {
			if some[i] != all[i] {
				s.Errorf("revision %d with limit %d is %+v, want %+v", i, limit, some[i], all[i])
			}
		}
	}
}

func testHistoryNone(s *suite) {
	absent := newDoc(s, "never-was", "")
	if got := s.history(absent, 10); len(got) != 0 {
		s.Errorf("an empty store tells of %d revisions", len(got))
	}
	s.put(newDoc(s, "another", "text"))
	if got := s.history(absent, 10); len(got) != 0 {
		s.Errorf("a document that never existed has %d revisions", len(got))
	}
}

func testHistoryDeleted(s *suite) {
	d := newDoc(s, "gone", "text")
	put := s.put(d)
	removed := s.remove(d)
	got := s.history(d, 10)
	if len(got) != 2 {
		s.Fatalf("History tells of %d revisions, want 2", len(got))
	}
	s.wantRevision(got[0], removed, true)
	s.wantRevision(got[1], put, false)

	again := s.put(d)
	got = s.history(d, 10)
	if len(got) != 3 {
		s.Fatalf("History tells of %d revisions after the document came back, want 3", len(got))
	}
	s.wantRevision(got[0], again, false)
	s.wantRevision(got[1], removed, true)
}
