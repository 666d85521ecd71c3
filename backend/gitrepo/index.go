package gitrepo

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // the format of git demands it
	"encoding/binary"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/caiatech/caiatop/backend/durable"
)

// A pack index (version 2) is: magic, version, 256 counts, the sorted names,
// a CRC-32 each, an offset each, long offsets, the pack's checksum, its own.
const (
	hashSize    = len(Hash{})
	indexMagic  = "\xfftOc\x00\x00\x00\x02"
	fanoutSize  = 256 * 4
	indexHeader = len(indexMagic) + fanoutSize
	indexFixed  = indexHeader + 2*hashSize
	perObject   = hashSize + 4 + 4 // bytes
	longOffset  = 1 << 31
	// residentIndex bounds the indexes that are held in memory, in bytes
	// each (1 MiB, 37,000 objects); larger ones are read where they lie.
	residentIndex = 1 << 20
)

// indexEntry says where an object lies in a pack.
type indexEntry struct {
	hash   Hash
	crc    uint32
	offset int64
}

// encodeIndex writes the index of a pack. It sorts the entries.
func encodeIndex(entries []indexEntry, pack Hash) []byte {
	slices.SortFunc(entries, func(a, b indexEntry) int { return bytes.Compare(a.hash[:], b.hash[:]) })
	out := make([]byte, 0, indexFixed+perObject*len(entries))
	out = append(out, indexMagic...)
	next := 0
	for first := range 256 {
		for next < len(entries) && int(entries[next].hash[0]) == first {
			next++
		}
		out = binary.BigEndian.AppendUint32(out, uint32(next)) //nolint:gosec // a pack has at most 2^32 objects
	}
	for _, e := range entries {
		out = append(out, e.hash[:]...)
	}
	for _, e := range entries {
		out = binary.BigEndian.AppendUint32(out, e.crc)
	}
	var long []byte
	for _, e := range entries {
		short := uint32(e.offset) //nolint:gosec // offsets that do not fit take the other way
		if e.offset >= longOffset {
			short = longOffset | uint32(len(long)/8) //nolint:gosec // fewer than objects
			long = binary.BigEndian.AppendUint64(long, uint64(e.offset))
		}
		out = binary.BigEndian.AppendUint32(out, short)
	}
	out = append(out, long...)
	out = append(out, pack[:]...)
	sum := sha1.Sum(out) //nolint:gosec // the format of git demands it
	return append(out, sum[:]...)
}

// index reads a pack index. It is safe for concurrent use.
type index struct {
	path   string
	file   durable.Handle // nil if the index is held in memory
	memory []byte
	fanout [256]uint32
	count  int
	size   int64 // of the file
	long   int   // long offsets
	pack   Hash  // checksum of the pack
	filter atomic.Pointer[filter]
}

func openIndex(v durable.Volume, path string) (*index, error) {
	file, err := v.Open(path)
	if err != nil {
		return nil, err
	}
	x := &index{path: path, file: file}
	if err := x.load(); err != nil {
		_ = file.Close() // opened for reading, and the other error says more
		return nil, err
	}
	return x, nil
}

// load checks all that a lookup relies on.
func (x *index) load() error {
	info, err := x.file.Stat()
	if err != nil {
		return err
	}
	size := info.Size()
	x.size = size
	if size < int64(indexFixed) {
		return x.corrupt("it has %d bytes", size)
	}
	if size <= residentIndex {
		if err := x.makeResident(int(size)); err != nil {
			return err
		}
	}
	header, err := x.read(0, indexHeader)
	if err != nil {
		return err
	}
	if string(header[:len(indexMagic)]) != indexMagic {
		return x.corrupt("it is no index of version 2")
	}
	last := uint32(0)
	for i := range x.fanout {
		x.fanout[i] = binary.BigEndian.Uint32(header[len(indexMagic)+4*i:])
		if x.fanout[i] < last {
			return x.corrupt("its counts fall")
		}
		last = x.fanout[i]
	}
	x.count = int(last)
	rest := size - int64(indexFixed) - int64(x.count)*int64(perObject)
	if rest < 0 || rest%8 != 0 || rest/8 > int64(x.count) {
		return x.corrupt("its size does not fit %d objects", x.count)
	}
	x.long = int(rest / 8)
	if x.file == nil {
		if err := x.makeFilter(); err != nil {
			return err
		}
	}
	trailer, err := x.read(size-int64(2*hashSize), hashSize)
	copy(x.pack[:], trailer)
	return err
}

// makeResident reads a small index whole, and checks its own checksum.
func (x *index) makeResident(size int) error {
	data := make([]byte, size)
	if _, err := x.file.ReadAt(data, 0); err != nil {
		return x.corrupt("read: %v", err)
	}
	sum := sha1.Sum(data[:size-hashSize]) //nolint:gosec // the format of git demands it
	if !bytes.Equal(sum[:], data[size-hashSize:]) {
		return x.corrupt("its checksum is wrong")
	}
	if err := x.file.Close(); err != nil {
		return err
	}
	x.file, x.memory = nil, data
	return nil
}

func (x *index) close() error {
	if x.file == nil {
		return nil
	}
	return x.file.Close()
}

func (x *index) corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: %s: %s", ErrCorrupt, x.path, fmt.Sprintf(format, args...))
}

// find returns the offset of an object, and false if the pack lacks it.
func (x *index) find(h Hash) (int64, bool, error) {
	low, high := 0, int(x.fanout[h[0]])
	if h[0] > 0 {
		low = int(x.fanout[h[0]-1])
	}
	if low == high {
		return 0, false, nil
	}
	// Names are spread evenly, so the next bytes say about where it is, and
	// one read of its surroundings nearly always holds it.
	const window = 64
	guess := low + int(uint64(high-low)*uint64(binary.BigEndian.Uint32(h[1:5]))>>32) //nolint:gosec // both are below 2^32
	from := max(low, guess-window/2)
	to := min(high, from+window)
	names, err := x.read(x.nameAt(from), (to-from)*hashSize)
	if err != nil {
		return 0, false, err
	}
	n := to - from
	at, ok := position(names, h)
	switch {
	case ok:
		offset, err := x.offset(from + at)
		return offset, err == nil, err
	case at == 0 && from > low:
		return x.search(h, low, from)
	case at == n && to < high:
		return x.search(h, to, high)
	}
	return 0, false, nil
}

// position returns where a name is among sorted ones, or where it would be. Nearly
// always the first eight bytes tell.
func position(names []byte, h Hash) (at int, ok bool) {
	key := binary.BigEndian.Uint64(h[:])
	n := len(names) / hashSize
	for high := n; at < high; {
		middle := int(uint(at+high) >> 1) //nolint:gosec // neither is negative
		if binary.BigEndian.Uint64(names[middle*hashSize:]) < key {
			at = middle + 1
		} else {
			high = middle
		}
	}
	for ; at < n && binary.BigEndian.Uint64(names[at*hashSize:]) == key; at++ {
		if c := bytes.Compare(names[at*hashSize:(at+1)*hashSize], h[:]); c >= 0 {
			return at, c == 0
		}
	}
	return at, false
}

// search is the plain binary search between two positions.
func (x *index) search(h Hash, low, high int) (int64, bool, error) {
	for low < high {
		middle := (low + high) / 2
		name, err := x.read(x.nameAt(middle), hashSize)
		if err != nil {
			return 0, false, err
		}
		switch c := bytes.Compare(name, h[:]); {
		case c == 0:
			offset, err := x.offset(middle)
			return offset, err == nil, err
		case c < 0:
			low = middle + 1
		default:
			high = middle
		}
	}
	return 0, false, nil
}

func (x *index) nameAt(i int) int64 { return int64(indexHeader) + int64(i)*int64(hashSize) }

// offset returns where the i-th object begins.
func (x *index) offset(i int) (int64, error) {
	table := int64(indexHeader) + int64(x.count)*int64(hashSize+4)
	b, err := x.read(table+4*int64(i), 4)
	if err != nil {
		return 0, err
	}
	short := binary.BigEndian.Uint32(b)
	if short < longOffset {
		return int64(short), nil
	}
	at := int(short - longOffset)
	if at >= x.long {
		return 0, x.corrupt("long offset %d of %d", at, x.long)
	}
	if b, err = x.read(table+4*int64(x.count)+8*int64(at), 8); err != nil {
		return 0, err
	}
	offset := int64(binary.BigEndian.Uint64(b)) //nolint:gosec // a negative offset is refused by the pack
	return offset, nil
}

// entries returns all objects of the pack, by name.
func (x *index) entries() ([]indexEntry, error) {
	out := make([]indexEntry, x.count)
	names, err := x.read(x.nameAt(0), x.count*hashSize)
	if err != nil {
		return nil, err
	}
	sums, err := x.read(x.nameAt(x.count), x.count*4)
	if err != nil {
		return nil, err
	}
	for i := range out {
		copy(out[i].hash[:], names[i*hashSize:])
		out[i].crc = binary.BigEndian.Uint32(sums[4*i:])
		if out[i].offset, err = x.offset(i); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// read returns n bytes of the index, which the caller may not change.
func (x *index) read(at int64, n int) ([]byte, error) {
	if x.file == nil {
		if at < 0 || at+int64(n) > int64(len(x.memory)) {
			return nil, x.corrupt("it ends before %d", at+int64(n))
		}
		return x.memory[at : at+int64(n)], nil
	}
	b := make([]byte, n)
	if got, err := x.file.ReadAt(b, at); got < n {
		return nil, readError(x.path, err)
	}
	return b, nil
}
