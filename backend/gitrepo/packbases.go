package gitrepo

import "sync/atomic"

// The objects that deltas were applied to last are kept for the next delta:
// at most baseSlots of at most baseBytes each, 8 MiB in all.
const (
	baseSlots = 512
	baseBytes = 16 << 10
)

// bases keeps the last object for each slot. It is safe for concurrent use and
// nobody waits.
type bases struct {
	slots [baseSlots]atomic.Pointer[keptBase]
}

type keptBase struct {
	pack   uint64
	offset int64
	object
}

// packCount counts the packs that were opened, to tell their objects apart without
// holding on to them.
var packCount atomic.Uint64

func (b *bases) slot(pack uint64, offset int64) *atomic.Pointer[keptBase] {
	const mix = 0x9e3779b97f4a7c15
	return &b.slots[(uint64(offset)*mix+pack*mix>>7)>>32%baseSlots] //nolint:gosec // any number does
}

func (b *bases) get(p *pack, offset int64) (object, bool) {
	if k := b.slot(p.id, offset).Load(); k != nil && k.pack == p.id && k.offset == offset {
		return k.object, true
	}
	return object{}, false
}

func (b *bases) put(p *pack, offset int64, o object) {
	if len(o.data) <= baseBytes {
		b.slot(p.id, offset).Store(&keptBase{p.id, offset, o})
	}
}
