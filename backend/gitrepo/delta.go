package gitrepo

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
)

// A delta is the size of its base, the size of what it makes, and then
// instructions: copy a range of the base, or insert bytes that follow.
const (
	// maxDeltaDepth bounds the chains of deltas that we make, as git's default does.
	maxDeltaDepth = 50
	// maxDeltaBytes bounds the objects that become deltas, and their bases, in
	// bytes (16 MiB): both are held in memory, with a table of the base.
	maxDeltaBytes = 16 << 20
	// minDeltaBytes is the size below which a delta cannot pay, in bytes.
	minDeltaBytes = 50
	// deltaBlock is the shortest match that is copied, in bytes: a copy costs
	// up to seven.
	deltaBlock = 8
	// maxCopy is the longest copy of one instruction, in bytes, for readers of
	// old packs.
	maxCopy   = 0x10000
	maxInsert = 0x7f
	// maxProbes bounds the places that are tried for one match.
	maxProbes = 8
)

// deltaBase is an object that others may be described by. It is not safe for
// concurrent use: its table is made when it is needed first.
type deltaBase struct {
	data   []byte
	stride int
	shift  int
	heads  []uint32 // block number + 1, by the hash of its bytes
	next   []uint32 // block number + 1 of one with the same hash, by block
}

func newDeltaBase(data []byte) *deltaBase { return &deltaBase{data: data} }

// build makes the table. Small bases are known at every byte, larger ones at
// every stride-th, so that the table is at most about twice as large as they.
func (b *deltaBase) build() {
	switch {
	case len(b.data) <= 16<<10:
		b.stride = 1
	case len(b.data) <= 256<<10:
		b.stride = 4
	default:
		b.stride = 8
	}
	blocks := 0
	if len(b.data) >= deltaBlock {
		blocks = (len(b.data)-deltaBlock)/b.stride + 1
	}
	width := max(4, bits.Len(uint(blocks)))
	b.shift = 64 - width
	b.heads = make([]uint32, 1<<width)
	b.next = make([]uint32, blocks)
	// From the end on, so that the first of equal blocks is found first.
	for i := blocks - 1; i >= 0; i-- {
		slot := b.slot(b.data[i*b.stride:])
		b.next[i] = b.heads[slot]
		b.heads[slot] = uint32(i + 1) //nolint:gosec // below maxDeltaBytes
	}
}

func (b *deltaBase) slot(data []byte) uint64 {
	return binary.LittleEndian.Uint64(data) * 0x9e3779b97f4a7c15 >> b.shift
}

// match returns the longest match of the beginning of data, at least
// deltaBlock long, else zero.
func (b *deltaBase) match(data []byte) (from, length int) {
	probes := maxProbes
	for i := b.heads[b.slot(data)]; i != 0 && probes > 0; i = b.next[i-1] {
		at := int(i-1) * b.stride
		if n := commonPrefix(b.data[at:], data); n >= deltaBlock && n > length {
			from, length = at, n
		}
		probes--
	}
	return from, length
}

// encode describes target by the base, in at most limit bytes; false if that
// is not possible.
func (b *deltaBase) encode(target []byte, limit int) ([]byte, bool) {
	w := deltaWriter{limit: limit, out: make([]byte, 0, min(limit, 64+len(target)/8))}
	w.out = binary.AppendUvarint(w.out, uint64(len(b.data)))
	w.out = binary.AppendUvarint(w.out, uint64(len(target)))
	// What two versions have in common at their ends is most of them.
	head := commonPrefix(b.data, target)
	tail := commonSuffix(b.data[head:], target[head:])
	middle := target[head : len(target)-tail]
	if head < deltaBlock {
		head, middle = 0, target[:len(target)-tail]
	}
	if tail < deltaBlock {
		tail, middle = 0, target[head:]
	}
	w.copy(0, head)
	if len(middle) <= 2*deltaBlock+hashSize {
		w.insert(middle)
	} else {
		b.cover(&w, middle)
	}
	w.copy(len(b.data)-tail, tail)
	return w.out, w.fits()
}

// cover describes bytes that have no end in common with the base.
func (b *deltaBase) cover(w *deltaWriter, data []byte) {
	if b.heads == nil {
		b.build()
	}
	pending, i := 0, 0
	for i+deltaBlock <= len(data) && w.fits() {
		from, length := b.match(data[i:])
		if length == 0 {
			if i++; i-pending > w.limit {
				break
			}
			continue
		}
		// A match may begin before the block that was found.
		for from > 0 && i > pending && b.data[from-1] == data[i-1] {
			from, i, length = from-1, i-1, length+1
		}
		w.insert(data[pending:i])
		w.copy(from, length)
		i += length
		pending = i
	}
	w.insert(data[pending:])
}

// deltaWriter collects instructions until they are too many bytes.
type deltaWriter struct {
	out   []byte
	limit int
}

func (w *deltaWriter) fits() bool { return len(w.out) <= w.limit }

func (w *deltaWriter) insert(data []byte) {
	for len(data) > 0 && w.fits() {
		n := min(len(data), maxInsert)
		w.out = append(w.out, byte(n))
		w.out = append(w.out, data[:n]...)
		data = data[n:]
	}
}

func (w *deltaWriter) copy(from, length int) {
	for length > 0 && w.fits() {
		n := min(length, maxCopy)
		at := len(w.out)
		w.out = append(w.out, 0x80)
		for i := range 4 {
			if part := byte(from >> (8 * i)); part != 0 {
				w.out = append(w.out, part)
				w.out[at] |= 1 << i
			}
		}
		for i := range 2 { // a length of maxCopy is written as none
			if part := byte(n >> (8 * i)); part != 0 {
				w.out = append(w.out, part)
				w.out[at] |= 0x10 << i
			}
		}
		from, length = from+n, length-n
	}
}

func commonPrefix(a, b []byte) int {
	n := min(len(a), len(b))
	i := 0
	for ; i+8 <= n; i += 8 {
		if x := binary.LittleEndian.Uint64(a[i:]) ^ binary.LittleEndian.Uint64(b[i:]); x != 0 {
			return i + bits.TrailingZeros64(x)/8
		}
	}
	for i < n && a[i] == b[i] {
		i++
	}
	return i
}

func commonSuffix(a, b []byte) int {
	n := min(len(a), len(b))
	i := 0
	for i < n && a[len(a)-1-i] == b[len(b)-1-i] {
		i++
	}
	return i
}

var errDelta = errors.New("a delta cannot be read")

// deltaSizes reads the sizes of base and result, and returns the instructions.
func deltaSizes(delta []byte) (base, target uint64, rest []byte, err error) {
	base, n := binary.Uvarint(delta)
	if n <= 0 {
		return 0, 0, nil, errDelta
	}
	target, m := binary.Uvarint(delta[n:])
	if m <= 0 {
		return 0, 0, nil, errDelta
	}
	return base, target, delta[n+m:], nil
}

// applyDelta makes what the delta describes. ErrTooLarge if that is over
// MaxObject, errDelta if it does not fit the base or itself.
func applyDelta(base, delta []byte) ([]byte, error) {
	from, size, rest, err := deltaSizes(delta)
	switch {
	case err != nil:
		return nil, err
	case size > MaxObject:
		return nil, fmt.Errorf("%w: a delta makes %d bytes", ErrTooLarge, size)
	case from != uint64(len(base)):
		return nil, fmt.Errorf("%w: it is for a base of %d bytes, not of %d", errDelta, from, len(base))
	}
	// It rarely makes more than it is made of; what does gets more as it comes.
	out := make([]byte, 0, min(size, uint64(len(base)+len(delta))))
	for len(rest) > 0 {
		op := rest[0]
		rest = rest[1:]
		var part []byte
		switch {
		case op == 0:
			return nil, fmt.Errorf("%w: unknown instruction", errDelta)
		case op < 0x80:
			if int(op) > len(rest) {
				return nil, fmt.Errorf("%w: it is cut short", errDelta)
			}
			part, rest = rest[:op], rest[op:]
		default:
			var at, length uint64
			if at, length, rest, err = copyRange(op, rest); err != nil {
				return nil, err
			}
			if at+length > uint64(len(base)) {
				return nil, fmt.Errorf("%w: it copies beyond its base", errDelta)
			}
			part = base[at : at+length]
		}
		if uint64(len(out)+len(part)) > size {
			return nil, fmt.Errorf("%w: it makes more than it says", errDelta)
		}
		out = append(out, part...)
	}
	if uint64(len(out)) != size {
		return nil, fmt.Errorf("%w: it makes less than it says", errDelta)
	}
	return out, nil
}

// copyRange reads what a copy instruction copies.
func copyRange(op byte, data []byte) (at, length uint64, rest []byte, err error) {
	var fields [7]byte
	for i := range fields {
		if op&(1<<i) == 0 {
			continue
		}
		if len(data) == 0 {
			return 0, 0, nil, fmt.Errorf("%w: it is cut short", errDelta)
		}
		fields[i], data = data[0], data[1:]
	}
	at = uint64(binary.LittleEndian.Uint32(fields[:4]))
	length = uint64(fields[4]) | uint64(fields[5])<<8 | uint64(fields[6])<<16
	if length == 0 {
		length = maxCopy
	}
	return at, length, data, nil
}
