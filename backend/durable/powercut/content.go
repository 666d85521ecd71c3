package powercut

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"slices"
)

// content is the bytes of a file: as programs see them, and as they are on the
// platter.
type content struct {
	data  []byte
	owned bool // data is nobody else's and may be changed in place
	// disk is never changed in place: disks that were cut share it.
	disk  []byte
	dirty map[int]struct{} // the sectors that a sync would write
	lost  bool             // a failed sync dropped some that differ
}

// write puts b at an offset.
func (c *content) write(b []byte, at int64) {
	if len(b) == 0 {
		return
	}
	if !c.owned {
		c.data, c.owned = bytes.Clone(c.data), true
	}
	if end := int(at) + len(b); end > len(c.data) {
		from := len(c.data)
		c.data = slices.Grow(c.data, end-from)[:end]
		clear(c.data[from:])
		c.mark(from, end)
	}
	copy(c.data[at:], b)
	c.mark(int(at), int(at)+len(b))
}

func (c *content) mark(from, end int) {
	if c.dirty == nil {
		c.dirty = make(map[int]struct{})
	}
	for sector := from / Sector; sector*Sector < end; sector++ {
		c.dirty[sector] = struct{}{}
	}
}

// truncate empties the file.
func (c *content) truncate() { c.data, c.owned, c.dirty = nil, true, nil }

// sync brings what is dirty to the platter. What a failed sync dropped is not
// dirty any more.
func (c *content) sync() {
	if c.lost {
		c.disk = c.mix(len(c.data), func(int) bool { return true }, nil)
	} else if len(c.dirty) > 0 || len(c.disk) != len(c.data) {
		c.disk = bytes.Clone(c.data)
	}
	c.dirty = nil
}

// drop is a sync that failed.
func (c *content) drop() {
	c.lost = c.lost || len(c.dirty) > 0
	c.dirty = nil
}

// mix returns size bytes: of the dirty sectors that keep is true for as they
// were written, of the others as they are on the platter. Where that ends
// before them, stale gives what lay there before; nil gives zeros.
func (c *content) mix(size int, keep func(sector int) bool, stale func([]byte)) []byte {
	out := make([]byte, size)
	copy(out, c.disk)
	for _, sector := range slices.Sorted(maps.Keys(c.dirty)) {
		from := sector * Sector
		if from >= size {
			break
		}
		end := min(from+Sector, size)
		switch {
		case keep(sector):
			clear(out[from:end])
			if from < len(c.data) {
				copy(out[from:end], c.data[from:])
			}
		case end > len(c.disk) && stale != nil:
			stale(out[max(from, len(c.disk)):end])
		}
	}
	return out
}

// cut returns what is left of the file.
func (c *content) cut(random *rand.Rand) content {
	left := c.disk
	if len(c.dirty) > 0 || len(c.disk) != len(c.data) {
		switch random.IntN(4) {
		case 0: // nothing arrived
		case 1: // all did
			left = c.mix(len(c.data), func(int) bool { return true }, nil)
		default:
			left = c.torn(random)
		}
	}
	return content{data: left, disk: left}
}

// torn keeps some sectors and one of the sizes that the file went through.
func (c *content) torn(random *rand.Rand) []byte {
	short, long := min(len(c.disk), len(c.data)), max(len(c.disk), len(c.data))
	size := []int{len(c.disk), len(c.data), len(c.data), short + random.IntN(long-short+1)/Sector*Sector}[random.IntN(4)]
	var stale func([]byte)
	if random.IntN(4) == 0 {
		stale = func(b []byte) {
			for i := range b {
				b[i] = byte(random.Uint32()) //nolint:gosec // any byte will do
			}
		}
	}
	return c.mix(size, func(int) bool { return random.IntN(2) == 0 }, stale)
}
