package storetest

import (
	"fmt"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/store"
)

func listCases() []testCase {
	return []testCase{
		{"list", testList},
		{"list/versions", testVersions},
		{"list/stop early", testListStop},
		{"list/cancelled", testListCancelled},
	}
}

// listed returns the versions that the store lists, by key.
func (s *suite) listed() map[store.Key]string {
	s.Helper()
	found := map[store.Key]string{}
	for entry, err := range s.store.List(s.Context()) {
		s.unsupported("List", err)
		if err != nil {
			s.Fatalf("List: %v", err)
		}
		if _, twice := found[entry.Key]; twice {
			s.Errorf("List yields %q in %q twice", entry.Key.ID, entry.Key.Folder)
		}
		if entry.Version == "" {
			s.Errorf("List yields %q without a version", entry.Key.ID)
		}
		found[entry.Key] = entry.Version
	}
	return found
}

func (s *suite) wantListed(keys ...store.Key) map[store.Key]string {
	s.Helper()
	found := s.listed()
	for _, key := range keys {
		if _, ok := found[key]; !ok {
			s.Errorf("List misses %q in %q", key.ID, key.Folder)
		}
	}
	if len(found) != len(keys) {
		s.Errorf("List yields %d documents, want %d", len(found), len(keys))
	}
	return found
}

func testList(s *suite) {
	s.wantListed()
	var keys []store.Key
	var ops []store.Op
	for i := range 40 {
		d := newDoc(s, fmt.Sprintf("listed %d%%", i), "text")
		layout := document.LayoutFanOut
		if i%4 == 0 {
			layout = document.LayoutLibrary
		}
		d.CreatedAt = d.CreatedAt.AddDate(0, i%5, 0)
		if i%3 == 0 {
			d.Content.Raw = []byte{byte(i)}
		}
		op := opFor(d, layout)
		keys, ops = append(keys, op.Key), append(ops, op)
	}
	s.apply(ops...)
	s.wantListed(keys...)
	s.apply(store.Op{Key: keys[0]}, store.Op{Key: keys[1]})
	s.wantListed(keys[2:]...)
	s.apply(ops[0])
	s.wantListed(append(keys[2:len(keys):len(keys)], keys[0])...)
}

func testVersions(s *suite) {
	a, b := newDoc(s, "a", "text"), newDoc(s, "b", "text")
	a.Content.Raw = []byte("raw")
	keyA, keyB := s.op(a).Key, s.op(b).Key
	s.put(a, b)
	before := s.wantListed(keyA, keyB)
	s.put(a)
	if again := s.wantListed(keyA, keyB); again[keyA] != before[keyA] || again[keyB] != before[keyB] {
		s.Errorf("putting what is there changed the versions from %v to %v", before, again)
	}
	seen := map[string]string{before[keyA]: "the first version"}
	metadata := a.Clone()
	metadata.Content.Metadata["title"] = "only metadata changed"
	rawChanged := a.Clone()
	rawChanged.Content.Raw = []byte("raw changed")
	rawGone := a.Clone()
	rawGone.Content.Raw = nil
	for _, next := range []struct {
		what string
		doc  document.Document
	}{{"text", edited(a, "changed")}, {"metadata", metadata}, {"raw", rawChanged}, {"no raw", rawGone}} {
		s.put(next.doc)
		now := s.wantListed(keyA, keyB)
		if other, known := seen[now[keyA]]; known {
			s.Errorf("the version after a change of %s is that of %s", next.what, other)
		}
		seen[now[keyA]] = next.what
		if now[keyB] != before[keyB] {
			s.Errorf("a change of %q changed the version of %q", a.ID, b.ID)
		}
	}
}

func testListStop(s *suite) {
	for i := range 10 {
		s.put(newDoc(s, fmt.Sprintf("doc-%d", i), "text"))
	}
	n := 0
	for _, err := range s.store.List(s.Context()) {
		s.unsupported("List", err)
		if err != nil {
			s.Fatalf("List: %v", err)
		}
		if n++; n == 3 {
			break
		}
	}
	if n != 3 {
		s.Errorf("List yielded %d entries before it was stopped at 3", n)
	}
	// A listing that was stopped holds no lock.
	d := newDoc(s, "after", "text")
	s.put(d)
	s.wantHeld(d)
}

func testListCancelled(s *suite) {
	s.put(newDoc(s, "a", "text"), newDoc(s, "b", "text"))
	errs := 0
	for _, err := range s.store.List(cancelled(s.Context())) {
		s.unsupported("List", err)
		if err != nil {
			errs++
		} else if errs > 0 {
			s.Error("List yields entries after an error")
		}
	}
	if errs != 1 {
		s.Errorf("List with a cancelled context yielded %d errors, want 1", errs)
	}
}
