package gitrepo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
)

// arrange puts the members in the order of the new pack: commits first, the
// newest first, then the rest as it was, every base before its deltas.
func (m *repacker) arrange(commits []int32) []int32 {
	order := make([]int32, 0, len(m.members))
	var chain []int32
	place := func(i int32) {
		chain = chain[:0]
		for ; i != none && !m.members[i].placed; i = m.members[i].base {
			m.members[i].placed = true
			chain = append(chain, i)
		}
		for n := len(chain) - 1; n >= 0; n-- {
			order = append(order, chain[n])
		}
	}
	if m.quick {
		place(m.firstFresh())
	}
	for _, i := range commits {
		place(i)
	}
	for i := range m.members {
		if !m.isBlob(int32(i)) { //nolint:gosec // see scan
			place(int32(i)) //nolint:gosec // see scan
		}
	}
	for i := range m.members {
		place(int32(i)) //nolint:gosec // see scan
	}
	return order
}

// firstFresh returns a whole member that is to be compressed better, if there
// is one: in front of the new pack, it says that there is something to do.
func (m *repacker) firstFresh() int32 {
	return int32(slices.IndexFunc(m.members, func(o member) bool { return o.fresh && o.base == none })) //nolint:gosec // see scan
}

// write makes the new pack.
func (m *repacker) write(ctx context.Context, order []int32) (string, error) {
	w, err := newPackWriter(&spares{volume: m.store.volume, packs: shelf{dir: m.store.packDir()}}, len(order))
	if err != nil {
		return "", err
	}
	w.keep = m.keep
	if w.keep == nil {
		w.keep = func(sum Hash) (string, error) { return m.store.keeps.inherit(m.packs, sum) }
	}
	err = inOrder(
		ctx, len(order), m.workers,
		func(n int) int { return m.members[order[n]].size },
		func(n int, c *chunk) error { return m.encode(order[n], c) },
		func(n int, stream []byte) error {
			o := &m.members[order[n]]
			o.at = w.written
			base := whole
			if o.base != none {
				base = m.members[o.base].at
			}
			return w.add(o.hash, o.kind, o.size, base, stream)
		},
	)
	if err != nil {
		return "", errors.Join(err, w.abort())
	}
	return w.finish()
}

// encode makes the stream of a member. What is copied has its checksum
// compared; what was put together again, its name.
func (m *repacker) encode(i int32, c *chunk) error {
	o, out := &m.members[i], &c.out
	if p, ok := m.planned[i]; ok {
		return m.encodeDelta(i, p, out)
	}
	if o.resolve {
		data, err := m.content(i)
		if err != nil {
			return err
		}
		if hashObject(o.kind, data) != o.hash {
			return inPack(o.pack, o.pack.corrupt(o.offset, "its content is not what its name says"))
		}
		o.size = len(data)
		return deflate(out, data, levelFinal)
	}
	raw, err := c.input.entry(o)
	if err != nil {
		return inPack(o.pack, err)
	}
	if !o.fresh || m.quick {
		out.Write(raw[o.head:])
		return nil
	}
	in := inputs.Get().(*input) //nolint:forcetypeassert // the pool makes nothing else
	defer inputs.Put(in)
	e, err := o.pack.entryFrom(in, o.offset, rawAt{raw, o.offset})
	if err != nil {
		return inPack(o.pack, err)
	}
	level := levelFinal
	if o.kind == plumbing.TreeObject {
		level = levelSmall
	}
	return deflate(out, e.data, level)
}

// rawAt is a part of a file that was read already.
type rawAt struct {
	data []byte
	at   int64
}

func (r rawAt) ReadAt(b []byte, at int64) (int, error) {
	if at < r.at || at >= r.at+int64(len(r.data)) {
		return 0, io.EOF
	}
	n := copy(b, r.data[at-r.at:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// encodeDelta writes a delta that was planned.
func (m *repacker) encodeDelta(i int32, p planned, out *bytes.Buffer) error {
	o := &m.members[i]
	o.size = p.size
	if p.stream != nil {
		out.Write(p.stream)
		return nil
	}
	data, err := m.content(i)
	if err != nil {
		return err
	}
	base, err := m.content(o.base)
	if err != nil {
		return err
	}
	delta, err := m.delta(i, newDeltaBase(base), data, len(data))
	if err == nil && len(delta) != p.size {
		err = fmt.Errorf("the delta of %s came out different", o.hash)
	}
	if err != nil {
		return err
	}
	return deflate(out, delta, levelFinal)
}

// delta describes a member by a base, nil if that takes more than limit bytes.
// It will replace the only copy of the object, and so is applied once before.
func (m *repacker) delta(i int32, b *deltaBase, data []byte, limit int) ([]byte, error) {
	delta, ok := b.encode(data, limit)
	if !ok {
		return nil, nil
	}
	again, err := applyDelta(b.data, delta)
	o := &m.members[i]
	switch {
	case err != nil || !bytes.Equal(again, data):
		return nil, fmt.Errorf("the delta of %s does not give it back: %w", o.hash, err)
	case hashObject(o.kind, data) != o.hash:
		return nil, inPack(o.pack, o.pack.corrupt(o.offset, "its content is not what its name says"))
	}
	return delta, nil
}

// windowSize is how much is read at once of entries that follow each other.
const windowSize = 32 << 10

// window is the part of a pack that was read last.
type window struct {
	pack   *pack
	start  int64
	filled int
	data   []byte
}

// entry reads the entry of a member. It is valid until the next one.
func (w *window) entry(o *member) ([]byte, error) {
	size := o.next - o.offset
	if size > MaxObject+MaxObject/8 {
		return nil, fmt.Errorf("%w: the object at %d of %s", ErrTooLarge, o.offset, o.pack.path)
	}
	raw, err := w.read(o.pack, o.offset, int(size))
	if err != nil {
		return nil, readError(o.pack.path, err)
	}
	if crc32.ChecksumIEEE(raw) != o.crc {
		return nil, o.pack.corrupt(o.offset, "its checksum is wrong")
	}
	return raw, nil
}

func (w *window) read(p *pack, at int64, size int) ([]byte, error) {
	if size > windowSize {
		raw := make([]byte, size)
		_, err := p.file.ReadAt(raw, at)
		return raw, err
	}
	if w.pack != p || at < w.start || at+int64(size) > w.start+int64(w.filled) {
		if w.data == nil {
			w.data = make([]byte, windowSize)
		}
		n, err := p.file.ReadAt(w.data, at)
		if n < size { // else it is only the end of the pack
			w.pack = nil
			return nil, err
		}
		w.pack, w.start, w.filled = p, at, n
	}
	from := int(at - w.start)
	return w.data[from : from+size], nil
}
