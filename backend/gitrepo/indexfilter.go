package gitrepo

import (
	"encoding/binary"
	"math/bits"
)

// filterBits is how many bits of a filter an object gets, at least: of eight
// objects that a pack lacks, it takes one at most for one that may be there.
const filterBits = 8

// filter says which objects a pack lacks, most of them, without a look at its
// index. The zero value knows of none.
type filter struct {
	words []uint64
	mask  uint32
}

// newFilter makes a filter for that many names, without any yet.
func newFilter(count int) *filter {
	n := max(count*filterBits, 64)
	size := min(uint64(1)<<bits.Len64(uint64(n-1)), 1<<32) //nolint:gosec // not negative
	return &filter{words: make([]uint64, size/64), mask: uint32(size - 1)}
}

// add takes names in, one after the other.
func (f *filter) add(names []byte) {
	for ; len(names) >= hashSize; names = names[hashSize:] {
		at := f.at(Hash(names[:hashSize]))
		f.words[at/64] |= 1 << (at % 64)
	}
}

// at is the place of an object: names are as good as random.
func (f *filter) at(h Hash) uint32 { return binary.LittleEndian.Uint32(h[hashSize-4:]) & f.mask }

// lacks reports whether an object is not there for certain.
func (f *filter) lacks(h Hash) bool {
	if f == nil {
		return false
	}
	at := f.at(h)
	return f.words[at/64]&(1<<(at%64)) == 0
}

// lacks reports whether the pack does not have an object for certain.
func (x *index) lacks(h Hash) bool { return x.filter.Load().lacks(h) }

// makeFilter makes the filter of an index, if there is none. It takes a byte or
// two an object.
func (x *index) makeFilter() error {
	if x.filter.Load() != nil {
		return nil
	}
	const part = 1 << 15 // names that are read at once
	f := newFilter(x.count)
	for i := 0; i < x.count; i += part {
		names, err := x.read(x.nameAt(i), min(part, x.count-i)*hashSize)
		if err != nil {
			return err
		}
		f.add(names)
	}
	x.filter.Store(f)
	return nil
}

// manyObjects are worth a filter to those who are going to ask for them.
const manyObjects = 256

// filters makes the filters of all packs, for those who commit. If that fails,
// they do without, and are told when they read.
func (s *packStore) filters() {
	for _, p := range *s.packs.Load() {
		_ = p.index.makeFilter()
	}
}
