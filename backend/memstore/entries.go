package memstore

import (
	"github.com/caiatech/caiatop/backend/store"
)

// The methods of this file expect s.mu to be held, for writing but in find.

func (s *Store) find(key store.Key) *entry {
	for e := s.docs[key.ID]; e != nil; e = e.sibling {
		if e.key.Folder == key.Folder {
			return e
		}
	}
	return nil
}

func (s *Store) link(e *entry) {
	e.sibling = s.docs[e.key.ID]
	s.docs[e.key.ID] = e
	if s.isCache() {
		e.used = s.recent.PushFront(e)
	}
	s.count++
	s.bytes += e.size
}

func (s *Store) unlink(e *entry) {
	switch first := s.docs[e.key.ID]; {
	case first != e:
		for first.sibling != e {
			first = first.sibling
		}
		first.sibling = e.sibling
	case e.sibling != nil:
		s.docs[e.key.ID] = e.sibling
	default:
		delete(s.docs, e.key.ID)
	}
	if s.isCache() {
		s.recent.Remove(e.used)
	}
	s.count--
	s.bytes -= e.size
}

func (s *Store) touch(e *entry) {
	if s.isCache() {
		s.recent.MoveToFront(e.used)
	}
}

// evict forgets the least recently used documents until the limit holds again.
func (s *Store) evict() {
	if !s.isCache() {
		return
	}
	for s.bytes > s.limit {
		oldest := s.recent.Back()
		if oldest == nil {
			return
		}
		e, ok := oldest.Value.(*entry)
		if !ok {
			panic("memstore: the list of uses holds something else than an entry")
		}
		s.unlink(e)
	}
}

// remember appends a revision and drops the oldest one past MaxRevisions.
func (s *Store) remember(key store.Key, r store.Revision) {
	kept := s.revisions[key]
	if len(kept) == MaxRevisions {
		copy(kept, kept[1:])
		kept[len(kept)-1] = r
		return
	}
	s.revisions[key] = append(kept, r)
}
