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

// newFilter makes the filter of sorted or unsorted names.
func newFilter(names []byte) *filter {
	n := max(len(names)/hashSize*filterBits, 64)
	size := min(uint64(1)<<bits.Len64(uint64(n-1)), 1<<32) //nolint:gosec // not negative
	f := &filter{words: make([]uint64, size/64), mask: uint32(size - 1)}
	for ; len(names) >= hashSize; names = names[hashSize:] {
		at := f.at(Hash(names[:hashSize]))
		f.words[at/64] |= 1 << (at % 64)
	}
	return f
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

// filterFor makes the filter of an index that is not held in memory, for
// those who are going to ask for many objects. It takes a byte or two an
// object.
func (x *index) filterFor(objects int) error {
	const many = 256
	if objects < many || x.filter.Load() != nil {
		return nil
	}
	names, err := x.read(x.nameAt(0), x.count*hashSize)
	if err == nil {
		x.filter.Store(newFilter(names))
	}
	return err
}
