package gitrepo

import (
	"bytes"
	"context"

	"github.com/go-git/go-git/v5/plumbing"
)

const (
	// windowObjects is with how many neighbours of its name an object is
	// compared, and windowBytes bounds them.
	windowObjects = 8
	windowBytes   = 32 << 20
	// windowDepth bounds the deltas among neighbours: they save little by
	// being deep, and every one makes reading slower.
	windowDepth = 2
)

// group collects new files of one name, in the order of the walk.
type group struct {
	members []int32
}

// named remembers a new blob for the comparison with its neighbours.
func (m *repacker) named(i int32, name string) {
	g := m.groups[name]
	if g == nil {
		g = &group{}
		m.groups[name] = g
		m.names = append(m.names, g)
	}
	g.members = append(g.members, i)
}

// comparable reports whether a member can take part in a delta.
func (m *repacker) comparable(i int32) bool {
	o := &m.members[i]
	return !o.resolve && (o.reused || o.size <= maxDeltaBytes)
}

// open reports whether a member is whole and could become a delta.
func (m *repacker) open(i int32) bool {
	o := &m.members[i]
	return o.base == none && m.comparable(i) && o.size >= minDeltaBytes
}

// link makes an old version a delta of a newer one. The newest is read most
// and is whole, as git does it; and to leave something out is a smaller delta
// than to put it in.
func (m *repacker) link(old, newer int32) error {
	if !m.open(old) || !m.comparable(newer) || m.members[old].kind != m.members[newer].kind {
		return nil
	}
	depth, root := m.depth(newer)
	height := int(m.members[old].height)
	if root == old || height == 0 && depth >= maxDeltaDepth {
		return nil
	}
	// Two long chains meet further up, if they are still alike there.
	for ; depth+1+height > maxDeltaDepth; depth-- {
		if newer = m.members[newer].base; newer == none {
			return nil
		}
	}
	data, err := m.content(old)
	if err != nil {
		return err
	}
	base, err := m.content(newer)
	if err != nil || len(base) > maxDeltaBytes {
		return err
	}
	_, err = m.try(old, newer, data, newDeltaBase(base))
	return err
}

// try makes a whole object a delta, if that pays.
func (m *repacker) try(i, base int32, data []byte, b *deltaBase) (bool, error) {
	o := &m.members[i]
	pays := int(o.next-o.offset) - int(o.head)
	if pays >= o.size { // it was not compressed
		pays = o.size * 2 / 3
	}
	pays = pays * 3 / 4
	delta, err := m.delta(i, b, data, max(pays, len(data)/2))
	if err != nil || delta == nil {
		return false, err
	}
	var stream bytes.Buffer
	if err := deflate(&stream, delta, levelFinal); err != nil {
		return false, err
	}
	if stream.Len() > pays {
		return false, nil
	}
	o.base = base
	m.raise(i)
	p := planned{size: len(delta)}
	if m.held+stream.Len() <= plannedBytes {
		p.stream = stream.Bytes()
		m.held += stream.Len()
	}
	m.planned[i] = p
	return true, nil
}

// neighbour is an object that those after it are compared with.
type neighbour struct {
	at   int32
	base *deltaBase
}

// compareNames looks for deltas among different files of one name: they often
// have a form in common. Only what is new is looked at; what was in vain once
// would be again.
func (m *repacker) compareNames(ctx context.Context) error {
	for _, g := range m.names {
		var window []neighbour
		misses, held := 0, 0
		for n, i := range g.members {
			if err := ctx.Err(); err != nil {
				return err
			}
			if !m.open(i) || misses >= 4*futile && n%retryEvery != 0 {
				continue
			}
			data, err := m.content(i)
			if err != nil {
				return err
			}
			found, err := m.nearest(i, data, window)
			if err != nil {
				return err
			}
			if found {
				misses = 0
			} else {
				misses++
			}
			if depth, _ := m.depth(i); depth >= windowDepth {
				continue
			}
			window = append(window, neighbour{i, newDeltaBase(data)})
			held += len(data)
			for len(window) > windowObjects || held > windowBytes {
				held -= len(window[0].base.data)
				window = window[1:]
			}
		}
	}
	return nil
}

// nearest makes an object a delta of the neighbour that it is most like.
func (m *repacker) nearest(i int32, data []byte, window []neighbour) (bool, error) {
	best, limit := -1, len(data)/2
	for n := len(window) - 1; n >= 0; n-- {
		w := window[n]
		depth, root := m.depth(w.at)
		if root == i || depth+1+int(m.members[i].height) > maxDeltaDepth {
			continue
		}
		if delta, ok := w.base.encode(data, limit); ok {
			best, limit = n, len(delta)-1
		}
	}
	if best < 0 {
		return false, nil
	}
	return m.try(i, window[best].at, data, window[best].base)
}

// isBlob reports whether a member is the content of a file.
func (m *repacker) isBlob(i int32) bool { return m.members[i].kind == plumbing.BlobObject }
