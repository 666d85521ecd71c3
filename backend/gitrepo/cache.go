package gitrepo

import (
	"bytes"
	"encoding/binary"
	"sync"
	"sync/atomic"

	"github.com/go-git/go-git/v5/plumbing"
)

// tableShards is a power of two: a shard that grows is locked for a moment,
// and the more shards, the shorter.
const tableShards = 64

// table keeps objects by their hash. Those who find one never wait: they
// follow atomic pointers to entries that do not change. Those who find none
// look again under a lock, because entries may just have been chained anew.
//
// With a limit, entries that nobody used since the hand passed them last are
// dropped (the clock algorithm); without one, every object stays.
//
// Entries of trees lead to those of what is in them, see links.go.
type table struct {
	limit  int64 // in bytes of heap; 0 is none
	single int64 // the most that one entry may take of it
	size   atomic.Int64
	shards [tableShards]shard

	sweeping sync.Mutex
	hand     int
}

type shard struct {
	mu      sync.Mutex // held by those who change the chains
	buckets atomic.Pointer[[]atomic.Pointer[tableEntry]]
	count   int
	hand    int
}

// tableEntry is 96 bytes; a document's tree has little more than that.
type tableEntry struct {
	hash  Hash
	state atomic.Uint32 // the kind, and marks
	data  []byte
	index *treeIndex
	next  atomic.Pointer[tableEntry]
	// below leads to the entries of what is in this one. It is set once, before
	// entryLinked is.
	below []link
	// above is the one link that leads here, in a table with a limit.
	above atomic.Pointer[link]
}

// Marks of an entry.
const (
	// entryUsed: it was found since the hand passed it. Without a limit it is
	// always set.
	entryUsed = 1 << (8 + iota)
	// entryLinked: below is there.
	entryLinked
	// entryDropped: it is in the table no more.
	entryDropped
	entryMarks = entryUsed | entryLinked | entryDropped
)

// entryHeap is what an entry takes of the heap besides its bytes: itself, and
// its share of the buckets, which are a quarter full at least once there are some.
const entryHeap = 96 + 32

func newTable(limit, single int64) *table { return &table{limit: limit, single: single} }

// heapSize is how much of the heap n bytes take. The allocator rounds up, by
// an eighth at most where they are many.
func heapSize(n int) int64 {
	if n <= 256 {
		return int64(n+15) &^ 15
	}
	return int64(n + n/8)
}

func (e *tableEntry) kind() plumbing.ObjectType {
	return plumbing.ObjectType(e.state.Load() &^ entryMarks) //nolint:gosec // as it was put
}

func (e *tableEntry) heap() int64 {
	size := entryHeap + heapSize(cap(e.data)) + e.index.heap()
	if e.state.Load()&entryLinked != 0 {
		size += linksHeap(len(e.below))
	}
	return size
}

// place returns the shard and the bucket number of a hash, which is random
// enough to be its own hash.
func (t *table) place(h Hash) (*shard, uint32) {
	at := uint32(h[0]) | uint32(h[1])<<8 | uint32(h[2])<<16 | uint32(h[3])<<24
	return &t.shards[at%tableShards], at / tableShards
}

func (s *shard) find(h Hash, at uint32) *tableEntry { return s.head(at).find(&h) }

// head returns the first entry of a bucket, nil if there is none.
func (s *shard) head(at uint32) *tableEntry {
	buckets := s.buckets.Load()
	if buckets == nil {
		return nil
	}
	return (*buckets)[int(at)&(len(*buckets)-1)].Load()
}

// find looks from an entry on.
func (e *tableEntry) find(h *Hash) *tableEntry {
	for ; e != nil; e = e.next.Load() {
		if sameHash(&e.hash, h) {
			return e
		}
	}
	return nil
}

// sameHash is ==, which calls a function to compare arrays of this size.
func sameHash(a, b *Hash) bool {
	const word = 8
	return binary.NativeEndian.Uint64(a[:]) == binary.NativeEndian.Uint64(b[:]) &&
		binary.NativeEndian.Uint64(a[word:]) == binary.NativeEndian.Uint64(b[word:]) &&
		binary.NativeEndian.Uint32(a[2*word:]) == binary.NativeEndian.Uint32(b[2*word:])
}

// lookup returns an entry, which nobody changes.
func (t *table) lookup(h Hash) *tableEntry {
	s, at := t.place(h)
	e := s.find(h, at)
	if e == nil {
		s.mu.Lock()
		e = s.find(h, at)
		s.mu.Unlock()
		if e == nil {
			return nil
		}
	}
	e.use()
	return e
}

// use notes that an entry was found.
func (e *tableEntry) use() {
	if e.state.Load()&entryUsed == 0 {
		e.state.Or(entryUsed)
	}
}

func (t *table) get(h Hash) (object, bool) {
	e := t.lookup(h)
	if e == nil {
		return object{}, false
	}
	return object{e.kind(), e.data}, true
}

// put keeps an object unless it is there, or is too large for the limit. A
// tree comes with its index.
func (t *table) put(h Hash, o object, index *treeIndex) {
	e := &tableEntry{hash: h, data: o.data, index: index}
	e.state.Store(uint32(o.kind)) //nolint:gosec // kinds are below 8
	if t.limit == 0 {
		e.state.Or(entryUsed)
	}
	cost := e.heap()
	if t.limit > 0 && cost > t.single {
		return
	}
	s, at := t.place(h)
	s.mu.Lock()
	fresh := s.find(h, at) == nil
	if fresh {
		s.insert(e, at)
	}
	s.mu.Unlock()
	if fresh && t.limit > 0 && t.size.Add(cost) > t.limit {
		t.sweep()
	}
}

// putStaged is put for a table without a limit, of many objects.
func (t *table) putStaged(objects []staged) {
	const atOnce = 16
	for len(objects) > 0 {
		n := min(len(objects), atOnce)
		// Looked for without locks, and first in all buckets: so no search waits
		// for the memory that the one before it wanted.
		var chains [atOnce]*tableEntry
		for i := range objects[:n] {
			s, at := t.place(objects[i].hash)
			chains[i] = s.head(at)
		}
		entries := make([]tableEntry, n) // what stays for ever may stay together
		for i := range objects[:n] {
			if chains[i].find(&objects[i].hash) == nil {
				t.putOne(&objects[i], &entries[i])
			}
		}
		objects = objects[n:]
	}
}

// putOne makes e the entry of an object, unless there is one. It copies the
// bytes of a blob, the only ones that the caller may change.
func (t *table) putOne(o *staged, e *tableEntry) {
	e.hash, e.data, e.index = o.hash, o.data, o.index
	switch {
	case o.kind == plumbing.BlobObject:
		e.data = bytes.Clone(o.data)
	case o.kind == plumbing.TreeObject:
		if e.index == nil {
			e.index = indexTree(o.data)
		}
	}
	state := uint32(o.kind) | entryUsed //nolint:gosec // kinds are below 8
	if o.like != nil && o.like.state.Load()&entryLinked != 0 {
		e.below, state = o.like.below, state|entryLinked
	}
	e.state.Store(state)
	s, at := t.place(o.hash)
	s.mu.Lock()
	if s.find(o.hash, at) == nil {
		s.insert(e, at)
	}
	s.mu.Unlock()
}

// insert adds an entry, with more buckets where there are as many entries as
// buckets. The caller holds s.mu.
func (s *shard) insert(e *tableEntry, at uint32) {
	const first = 4
	buckets := s.buckets.Load()
	switch {
	case buckets == nil:
		b := make([]atomic.Pointer[tableEntry], first)
		buckets = &b
		s.buckets.Store(buckets)
	case 2*s.count >= len(*buckets):
		buckets = s.grow(*buckets)
	}
	head := &(*buckets)[int(at)&(len(*buckets)-1)]
	e.next.Store(head.Load())
	head.Store(e)
	s.count++
}

// grow chains the entries anew. Who reads meanwhile may come from one chain
// into another and find nothing, never the wrong thing.
func (s *shard) grow(old []atomic.Pointer[tableEntry]) *[]atomic.Pointer[tableEntry] {
	grown := make([]atomic.Pointer[tableEntry], 2*len(old))
	for i := range old {
		for e := old[i].Load(); e != nil; {
			next := e.next.Load()
			at := uint32(e.hash[0]) | uint32(e.hash[1])<<8 | uint32(e.hash[2])<<16 | uint32(e.hash[3])<<24
			head := &grown[int(at/tableShards)&(len(grown)-1)]
			e.next.Store(head.Load())
			head.Store(e)
			e = next
		}
	}
	s.buckets.Store(&grown)
	return &grown
}

// sweep moves the hand until the limit holds.
func (t *table) sweep() {
	t.sweeping.Lock()
	defer t.sweeping.Unlock()
	for t.size.Load() > t.limit {
		s := &t.shards[t.hand%tableShards]
		t.hand++
		t.size.Add(-s.advance())
	}
}

// advance drops what was not used of the bucket at the hand, and tells how
// much it took.
func (s *shard) advance() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	buckets := s.buckets.Load()
	if buckets == nil {
		return 0
	}
	freed := int64(0)
	link := &(*buckets)[s.hand&(len(*buckets)-1)]
	s.hand++
	for e := link.Load(); e != nil; e = e.next.Load() {
		if state := e.state.Load(); state&entryUsed != 0 {
			e.state.And(^uint32(entryUsed))
			link = &e.next
			continue
		}
		link.Store(e.next.Load())
		s.count--
		e.state.Or(entryDropped)
		e.unlink()
		freed += e.heap()
	}
	return freed
}

// cache keeps the objects of a repository on disk that were used last. Trees
// and commits have a budget of their own, so that reading much content does
// not drop the way to it.
type cache struct {
	trees, blobs *table
}

// Trees and commits get three quarters of the limit. One of them may take half
// of that: to read a large folder again for each of its files would be slow.
func newCache(limit int64) *cache {
	blobs := max(limit/4, 1)
	trees := max(limit-blobs, 1)
	return &cache{trees: newTable(trees, trees/2), blobs: newTable(blobs, blobs/8)}
}

func (c *cache) get(h Hash) (object, bool) {
	if o, ok := c.trees.get(h); ok {
		return o, true
	}
	return c.blobs.get(h)
}

// put keeps o unless it would fill too much of the cache by itself.
func (c *cache) put(h Hash, o object) {
	switch o.kind {
	case plumbing.TreeObject:
		c.trees.put(h, o, indexTree(o.data))
	case plumbing.CommitObject:
		c.trees.put(h, o, nil)
	default:
		c.blobs.put(h, o, nil)
	}
}
