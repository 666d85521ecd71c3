package gitrepo

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
)

const (
	// mergeCache bounds the objects that one consolidation keeps at hand, and
	// plannedBytes the deltas that it made and has not written, both in bytes.
	// Besides, it holds about 200 bytes for each object of the merged packs.
	mergeCache   = 16 << 20
	plannedBytes = 64 << 20
	scanBuffer   = 256 << 10
	// entryHead is more than the longest beginning of an entry: type, size and
	// base, and two bytes of its stream.
	entryHead = 48
)

// none is the base of an object that is no delta.
const none = int32(-1)

// member is an object of the packs that become one.
type member struct {
	indexEntry
	pack *pack
	next int64 // where its entry ends
	size int   // of the entry, inflated
	at   int64 // where it is in the new pack

	base   int32 // the member that it is a delta of in the new pack, or none
	kind   plumbing.ObjectType
	head   uint8 // bytes before the stream
	height uint8 // of the chains of deltas on it

	fresh   bool // the stream is to be compressed better
	reused  bool // it is a delta, and stays the same one
	resolve bool // it is a delta, and cannot stay one
	seen    bool // by the walk
	placed  bool // in the order of the new pack
}

// planned is a delta that was made for an object that is stored whole.
type planned struct {
	size   int    // of the delta
	stream []byte // nil if it must be made again
}

// repacker makes one pack of several.
type repacker struct {
	store   *packStore
	workers int
	quick   bool
	keep    func(Hash) (string, error) // of the new pack, nil for that of the old ones
	packs   []*pack
	members []member
	at      map[Hash]int32
	cache   *cache // of members
	planned map[int32]planned
	held    int // bytes in planned
	groups  map[string]*group
	names   []*group // in the order of the walk
}

// merge writes all objects of the packs into one new pack, each once, and
// returns the path of its index. It leaves a processor to the callers.
func (s *packStore) merge(ctx context.Context, packs []*pack) (string, error) {
	return s.mergeBy(ctx, job{packs: packs}, idleWorkers())
}

// mergeFor is merge into a pack that h holds.
func (s *packStore) mergeFor(ctx context.Context, packs []*pack, h *hold) (string, error) {
	return s.mergeBy(ctx, job{packs: packs, keep: h.keep}, idleWorkers())
}

func (s *packStore) mergeBy(ctx context.Context, work job, workers int) (string, error) {
	m := &repacker{
		store: s, workers: workers, quick: work.quick, keep: work.keep, packs: slices.Clone(work.packs), at: make(map[Hash]int32), cache: newCache(mergeCache),
		planned: make(map[int32]planned), groups: make(map[string]*group),
	}
	// Of an object that is in several, the one in the largest is taken: it is
	// the one that is likely done.
	slices.SortStableFunc(m.packs, func(a, b *pack) int { return cmp.Compare(b.index.count, a.index.count) })
	for _, p := range m.packs {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		if err := m.scan(p); err != nil {
			return "", inPack(p, err)
		}
	}
	if err := m.keepDeltas(); err != nil {
		return "", err
	}
	if m.quick {
		return m.write(ctx, m.arrange(nil))
	}
	order, err := m.walk(ctx)
	if err != nil {
		return "", err
	}
	if err := m.compareNames(ctx); err != nil {
		return "", err
	}
	return m.write(ctx, m.arrange(order))
}

// scan reads the beginnings of all entries of a pack.
func (m *repacker) scan(p *pack) error {
	entries, err := p.index.entries()
	if err != nil {
		return err
	}
	slices.SortFunc(entries, func(a, b indexEntry) int { return cmp.Compare(a.offset, b.offset) })
	var deltas []pending
	window := make([]byte, scanBuffer)
	start, filled := int64(0), 0
	for i, e := range entries {
		if _, twice := m.at[e.hash]; twice {
			continue
		}
		next := p.size - int64(hashSize)
		if i+1 < len(entries) {
			next = entries[i+1].offset
		}
		if e.offset < packHeader || next <= e.offset {
			return p.corrupt(e.offset, "its index has entries without a size")
		}
		if e.offset < start || min(e.offset+entryHead, next) > start+int64(filled) {
			start = e.offset
			if filled, err = p.file.ReadAt(window, start); err != nil && !errors.Is(err, io.EOF) {
				return readError(p.path, err)
			}
		}
		from := e.offset - start
		b, err := p.beginning(window[min(from, int64(filled)):min(from+entryHead, int64(filled), next-start)], e.offset)
		if err != nil {
			return err
		}
		at := int32(len(m.members)) //nolint:gosec // 2^31 objects do not fit into memory
		if b.delta {
			deltas = append(deltas, pending{at, b.offset, b.base})
		}
		m.at[e.hash] = at
		m.members = append(m.members, member{
			indexEntry: e, pack: p, next: next, size: b.size, base: none, kind: b.kind, head: b.head, fresh: b.fresh,
			reused: b.delta,
		})
	}
	return m.bind(p, entries, deltas)
}

// pending is a delta whose base is to be found.
type pending struct {
	at     int32
	offset int64 // of the base
	hash   Hash  // or its name
}

// bind finds the bases of the deltas of a pack.
func (m *repacker) bind(p *pack, entries []indexEntry, deltas []pending) error {
	for _, d := range deltas {
		h := d.hash
		if h.IsZero() {
			n, ok := slices.BinarySearchFunc(entries, d.offset, func(e indexEntry, at int64) int { return cmp.Compare(e.offset, at) })
			if !ok {
				return p.corrupt(m.members[d.at].offset, "no object begins at its base")
			}
			h = entries[n].hash
		}
		base, ok := m.at[h]
		if !ok {
			return p.corrupt(m.members[d.at].offset, fmt.Sprintf("its base %s is not in the pack", h))
		}
		m.members[d.at].base = base
	}
	return nil
}

// beginning is what stands before the stream of an entry.
type beginning struct {
	kind   plumbing.ObjectType
	size   int
	head   uint8
	fresh  bool
	delta  bool
	offset int64 // of the base
	base   Hash  // or its name
}

func (p *pack) beginning(data []byte, at int64) (b beginning, err error) {
	r := bytes.NewReader(data)
	kind, size, err := entryHeader(r)
	if err != nil {
		return b, readError(p.path, err)
	}
	if size > MaxObject {
		return b, fmt.Errorf("%w: the object at %d of %s has %d bytes", ErrTooLarge, at, p.path, size)
	}
	b.kind, b.size = kind, int(size)
	switch kind {
	case plumbing.CommitObject, plumbing.TreeObject, plumbing.BlobObject, plumbing.TagObject:
	case plumbing.OFSDeltaObject:
		back, err := readOffset(r)
		if err != nil {
			return b, readError(p.path, err)
		}
		b.delta, b.offset = true, at-back
	case plumbing.REFDeltaObject:
		b.delta = true
		if _, err := io.ReadFull(r, b.base[:]); err != nil {
			return b, readError(p.path, err)
		}
	default:
		return b, p.corrupt(at, fmt.Sprintf("unknown object type %d", kind))
	}
	b.head = uint8(len(data) - r.Len()) //nolint:gosec // at most entryHead
	if r.Len() < 2 {
		return b, p.corrupt(at, "the object is cut short")
	}
	b.fresh = unfinishedStream(data[len(data)-r.Len()+1])
	return b, nil
}

// keepDeltas decides which of the deltas that were found stay: all whose chain
// is not too long. Only a damaged pack has chains that do not end.
func (m *repacker) keepDeltas() error {
	const unknown, open = -1, -2
	depths := make([]int, len(m.members))
	for i := range depths {
		depths[i] = unknown
	}
	var chain []int32
	for i := range m.members {
		chain = chain[:0]
		at := int32(i) //nolint:gosec // see scan
		for depths[at] == unknown {
			depths[at] = open
			chain = append(chain, at)
			if m.members[at].base == none {
				break
			}
			at = m.members[at].base
		}
		for n := len(chain) - 1; n >= 0; n-- {
			o := &m.members[chain[n]]
			if o.base == none {
				depths[chain[n]] = 0
				continue
			}
			base := m.members[o.base]
			o.kind = base.kind
			depth := depths[o.base]
			if depth == open || depth >= maxDeltaDepth {
				o.base, o.reused, o.resolve = none, false, true
			}
			if depth == open { // the kind of a ring is not known before it is read
				whole, err := o.pack.object(o.hash, o.offset)
				if err != nil {
					return inPack(o.pack, err)
				}
				o.kind = whole.kind
			}
			if o.resolve {
				depth = -1
			}
			depths[chain[n]] = depth + 1
		}
	}
	for i := range m.members {
		m.raise(int32(i)) //nolint:gosec // see scan
	}
	return nil
}

// raise tells the bases of an object how high the chain on them is.
func (m *repacker) raise(i int32) {
	height := m.members[i].height
	for base := m.members[i].base; base != none; base = m.members[base].base {
		height++
		if m.members[base].height >= height {
			return
		}
		m.members[base].height = height
	}
}

// depth is how many deltas an object is away from a whole one, which it names.
func (m *repacker) depth(i int32) (depth int, root int32) {
	for m.members[i].base != none {
		i = m.members[i].base
		depth++
	}
	return depth, i
}

// content returns a member, whole.
func (m *repacker) content(i int32) ([]byte, error) {
	o := &m.members[i]
	if kept, ok := m.cache.get(o.hash); ok {
		return kept.data, nil
	}
	var data []byte
	var err error
	if o.reused {
		data, err = m.patched(o)
	} else {
		var whole object
		if whole, err = o.pack.object(o.hash, o.offset); err == nil {
			data = whole.data
		}
	}
	if err != nil {
		return nil, inPack(o.pack, err)
	}
	m.cache.put(o.hash, object{o.kind, data})
	return data, nil
}

// patched applies a delta to a base that other objects of the walk share.
func (m *repacker) patched(o *member) ([]byte, error) {
	base, err := m.content(o.base)
	if err != nil {
		return nil, err
	}
	in := inputs.Get().(*input) //nolint:forcetypeassert // the pool makes nothing else
	defer inputs.Put(in)
	e, err := o.pack.entry(in, o.offset)
	if err != nil {
		return nil, err
	}
	data, err := applyDelta(base, e.data)
	if errors.Is(err, errDelta) {
		err = o.pack.corrupt(o.offset, fmt.Sprintf("delta of %s: %v", o.hash, err))
	}
	return data, err
}
