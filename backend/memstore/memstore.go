// Package memstore keeps documents in memory: as a bounded cache that forgets
// the least recently used documents, or, without a limit, as a whole store.
//
// It never writes to disk, never calls another store and starts no goroutine.
// As a cache it answers store.ErrNotFound for what it forgot, so its
// "not found" says nothing about other stores; and since it cannot list or tell
// the history of what it does not hold, it declines both.
package memstore

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/store"
)

const (
	// MaxRevisions is how many revisions of a document a whole store tells of.
	MaxRevisions = 20
	// overhead is what an entry costs beside its content, in bytes: map slot,
	// list element, structs. An estimate on the high side.
	overhead = 1024
)

var _ store.Store = (*Store)(nil)

// Store holds documents in memory. All methods are safe for concurrent use.
type Store struct {
	limit int64 // bytes; 0 is no limit

	mu sync.RWMutex
	// docs holds the first entry of each identity; entries of the same
	// identity in other folders follow it through entry.sibling.
	docs      map[document.ID]*entry
	recent    *list.List // of *entry, most recently used first; cache mode only
	revisions map[store.Key][]store.Revision
	count     int64
	bytes     int64
}

// entry is one document. Only its links change after it was made; a new version
// is a new entry, so that readers may clone doc outside the lock.
type entry struct {
	key     store.Key
	doc     document.Document
	hash    document.Hash
	size    int64
	sibling *entry
	used    *list.Element
}

// New returns an empty store. limitBytes bounds the memory of a cache, overhead
// included; 0 makes a whole store without a limit, and a negative limit a cache
// that keeps nothing.
func New(limitBytes int64) *Store {
	return &Store{
		limit:     limitBytes,
		docs:      map[document.ID]*entry{},
		recent:    list.New(),
		revisions: map[store.Key][]store.Revision{},
	}
}

func (s *Store) isCache() bool { return s.limit != 0 }

// Get returns a copy of the document. ErrNotFound if the store does not hold
// it, or not any more.
func (s *Store) Get(ctx context.Context, key store.Key) (document.Document, error) {
	if err := ctx.Err(); err != nil {
		return document.Document{}, fmt.Errorf("get %q from memory: %w", key.ID, err)
	}
	e := s.lookup(key)
	if e == nil {
		return document.Document{}, fmt.Errorf("get %q from memory: %w", key.ID, store.ErrNotFound)
	}
	return e.doc.Clone(), nil
}

func (s *Store) lookup(key store.Key) *entry {
	if !s.isCache() {
		s.mu.RLock()
		defer s.mu.RUnlock()
		return s.find(key)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.find(key)
	if e != nil {
		s.recent.MoveToFront(e.used)
	}
	return e
}

// Apply makes all changes visible at once. In a cache, documents that were not
// used for longest make room; one that is larger than the whole cache is not
// kept, and neither is its earlier version.
func (s *Store) Apply(ctx context.Context, batch store.Batch) (store.Receipt, error) {
	if err := batch.Validate(); err != nil {
		return store.Receipt{}, fmt.Errorf("apply to memory: %w", err)
	}
	entries := make([]*entry, len(batch.Ops))
	for i, op := range batch.Ops {
		if op.Doc == nil {
			continue
		}
		e, err := newEntry(op)
		if err != nil {
			return store.Receipt{}, fmt.Errorf("apply to memory: %w", err)
		}
		entries[i] = e
	}
	if err := ctx.Err(); err != nil {
		return store.Receipt{}, fmt.Errorf("apply to memory: %w", err)
	}
	message := batch.Message()

	s.mu.Lock()
	defer s.mu.Unlock()
	for i, op := range batch.Ops {
		if s.change(op.Key, entries[i]) && !s.isCache() {
			s.remember(op.Key, store.Revision{Author: batch.Author, At: batch.At, Message: message, Deleted: op.Doc == nil})
		}
	}
	s.evict()
	return store.Receipt{}, nil
}

func newEntry(op store.Op) (*entry, error) {
	doc := op.Doc.Clone()
	hash, err := doc.Hash()
	if err != nil {
		return nil, err
	}
	bare := doc
	bare.Content.Text, bare.Content.Raw = "", nil
	files, err := bare.Files(document.AnyBytes)
	if err != nil {
		return nil, err
	}
	size := doc.Content.Size() + overhead + int64(len(op.Key.Folder.String()))
	for _, f := range files {
		// Decoded metadata takes about twice the room of its JSON.
		size += 2 * int64(len(f.Data))
	}
	return &entry{key: op.Key, doc: doc, hash: hash, size: size}, nil
}

// change replaces the entry of key by e, nil for none, and reports whether that
// made a difference.
func (s *Store) change(key store.Key, e *entry) bool {
	old := s.find(key)
	if e == nil && old == nil {
		return false
	}
	if e != nil && old != nil && e.hash == old.hash {
		s.touch(old)
		return false
	}
	if old != nil {
		s.unlink(old)
	}
	if e != nil {
		s.link(e)
	}
	return true
}

// List yields the documents that were there when it was called. A cache
// declines with errors.ErrUnsupported: it would only yield what it happens to
// hold.
func (s *Store) List(ctx context.Context) iter.Seq2[store.Entry, error] {
	return func(yield func(store.Entry, error) bool) {
		if s.isCache() {
			yield(store.Entry{}, fmt.Errorf("list a memory cache: %w", errors.ErrUnsupported))
			return
		}
		for _, e := range s.all() {
			if err := ctx.Err(); err != nil {
				yield(store.Entry{}, fmt.Errorf("list memory: %w", err))
				return
			}
			if !yield(store.Entry{Key: e.key, Version: e.hash.String()}, nil) {
				return
			}
		}
	}
}

func (s *Store) all() []*entry {
	s.mu.RLock()
	defer s.mu.RUnlock()
	entries := make([]*entry, 0, s.count)
	for _, e := range s.docs {
		for ; e != nil; e = e.sibling {
			entries = append(entries, e)
		}
	}
	return entries
}

// History returns the newest revisions first, at most limit and at most
// MaxRevisions. They name no commits. A cache declines with
// errors.ErrUnsupported.
func (s *Store) History(ctx context.Context, key store.Key, limit int) ([]store.Revision, error) {
	if s.isCache() {
		return nil, fmt.Errorf("history of %q in a memory cache: %w", key.ID, errors.ErrUnsupported)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("history of %q in memory: %w", key.ID, err)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	kept := s.revisions[key]
	var newest []store.Revision
	for i := len(kept) - 1; i >= 0 && len(newest) < limit; i-- {
		newest = append(newest, kept[i])
	}
	return newest, nil
}

// Len returns the number of documents held.
func (s *Store) Len() int64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.count
}

// Bytes returns the memory that the documents take, overhead included. It is an
// estimate, and what the limit of a cache is compared with.
func (s *Store) Bytes() int64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.bytes
}

// Drop forgets the document of that identity, in every folder, without a trace
// in the history. It does nothing if there is none.
func (s *Store) Drop(id document.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for e := s.docs[id]; e != nil; e = s.docs[id] {
		s.unlink(e)
	}
}
