package githttp

import (
	"bytes"

	"github.com/go-git/go-git/v5/plumbing"
)

// minDelta is the size from which on an object may be sent as a delta, in bytes.
const minDelta = 64

// deltaOf makes a delta of an object on a base, nil if that is not worth it.
func deltaOf(kind plumbing.ObjectType, base, target []byte) []byte {
	if len(target) < minDelta || len(base) == 0 {
		return nil
	}
	d := delta{base: base, target: target}
	d.out = appendSize(appendSize(nil, len(base)), len(target))
	if kind == plumbing.TreeObject {
		if !d.entries() {
			return nil
		}
	} else {
		d.ends()
	}
	if 2*len(d.out) > len(target) {
		return nil
	}
	return d.out
}

// delta is being made. What is at from in the base, for run bytes, is yet to be
// copied.
type delta struct {
	base, target []byte
	out          []byte
	from, run    int
}

// ends copies what both begin and end with.
func (d *delta) ends() {
	n := min(len(d.base), len(d.target))
	before := 0
	for before < n && d.base[before] == d.target[before] {
		before++
	}
	after := 0
	for after < n-before && d.base[len(d.base)-1-after] == d.target[len(d.target)-1-after] {
		after++
	}
	d.copy(0, before)
	d.insert(d.target[before : len(d.target)-after])
	d.copy(len(d.base)-after, after)
	d.flush()
}

// entries copies the entries that both trees have, and of those that were
// changed the name.
func (d *delta) entries() bool {
	rest, old := d.target, d.base
	for len(rest) > 0 {
		e, after, err := nextEntry(rest)
		if err != nil {
			return false
		}
		rest = after
		was, left, err := advance(old, e)
		if err != nil {
			return false
		}
		old = left
		at := len(d.base) - len(left) - len(was.raw)
		head := len(e.raw) - hashSize
		switch {
		case was.raw == nil:
			d.insert(e.raw)
		case bytes.Equal(was.raw, e.raw):
			d.copy(at, len(e.raw))
		case bytes.Equal(was.raw[:len(was.raw)-hashSize], e.raw[:head]):
			d.copy(at, head)
			d.insert(e.raw[head:])
		default:
			d.insert(e.raw)
		}
	}
	d.flush()
	return true
}

// copy takes a part of the base, together with what was taken just before it.
func (d *delta) copy(from, n int) {
	if n == 0 {
		return
	}
	if d.run > 0 && d.from+d.run == from {
		d.run += n
		return
	}
	d.flush()
	d.from, d.run = from, n
}

// maxCopy is what one instruction may copy, in bytes.
const maxCopy = 0xffff

// flush writes what is to be copied.
func (d *delta) flush() {
	for d.run > 0 {
		n := min(d.run, maxCopy)
		at := len(d.out)
		d.out = append(d.out, 0x80)
		for i := range 4 {
			if b := byte(d.from >> (8 * i)); b != 0 { //nolint:gosec // one byte of it
				d.out[at] |= 1 << i
				d.out = append(d.out, b)
			}
		}
		for i := range 2 {
			if b := byte(n >> (8 * i)); b != 0 { //nolint:gosec // one byte of it
				d.out[at] |= 0x10 << i
				d.out = append(d.out, b)
			}
		}
		d.from, d.run = d.from+n, d.run-n
	}
}

// insert writes new bytes.
func (d *delta) insert(data []byte) {
	d.flush()
	for len(data) > 0 {
		n := min(len(data), 0x7f)
		d.out = append(append(d.out, byte(n)), data[:n]...)
		data = data[n:]
	}
}

// appendSize writes seven bits a byte, the lowest first.
func appendSize(b []byte, n int) []byte {
	for ; n > 0x7f; n >>= 7 {
		b = append(b, byte(n)|0x80) //nolint:gosec // one byte of it
	}
	return append(b, byte(n)) //nolint:gosec // below 0x80
}
