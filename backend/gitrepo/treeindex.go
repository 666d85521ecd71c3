package gitrepo

import (
	"bytes"
	"fmt"

	"github.com/go-git/go-git/v5/plumbing"
)

// tree is the content of a tree object, for looking things up. It is never
// changed.
type tree struct {
	data  []byte
	index *treeIndex // nil where reading from the start is as quick
}

// treeIndex tells where the entries of a tree begin.
type treeIndex struct {
	offsets []uint32
	// sorted is false for a tree that is not in git's order, or has modes that
	// git does not write. Nothing but reading all of it finds an entry then.
	sorted bool
}

const (
	// indexFrom is how large a tree is, in bytes, that is worth an index; below
	// are those of documents, of which there are many.
	indexFrom = 192
	indexHeap = 32 // bytes of the heap for a treeIndex itself
)

// indexTree returns the index of a tree; nil for a small one and for one that
// cannot be read, as those who read it will find.
func indexTree(data []byte) *treeIndex {
	if len(data) < indexFrom {
		return nil
	}
	// An entry is hardly smaller than that; what is too much is given back.
	x := &treeIndex{offsets: make([]uint32, 0, len(data)/28+1), sorted: true}
	var last item
	for rest := data; len(rest) > 0; {
		at := len(data) - len(rest)
		it, after, err := nextItem(rest)
		if err != nil {
			return nil
		}
		if x.sorted && (!canonical(rest) || (at > 0 && compareItems(last, it) >= 0)) {
			x.sorted = false
		}
		x.offsets = append(x.offsets, uint32(at)) //nolint:gosec // an object has at most MaxObject bytes
		last, rest = it, after
	}
	if spare := cap(x.offsets) - len(x.offsets); spare > 4+len(x.offsets)/8 {
		x.offsets = append(make([]uint32, 0, len(x.offsets)), x.offsets...)
	}
	return x
}

// canonical tells whether the first entry has a mode as git writes it: that of
// a folder, or six digits.
func canonical(entries []byte) bool {
	return bytes.HasPrefix(entries, []byte("40000 ")) || (entries[0] == '1' && entries[6] == ' ')
}

// count returns the number of entries that an index has.
func (t tree) count() int { return len(t.index.offsets) }

// bounds returns where entry i begins and ends.
func (t tree) bounds(i int) (from, to int) {
	from, to = int(t.index.offsets[i]), len(t.data)
	if i+1 < len(t.index.offsets) {
		to = int(t.index.offsets[i+1])
	}
	return from, to
}

// key returns the name of entry i of a sorted tree, and whether it is a folder.
func (t tree) key(i int) ([]byte, bool) {
	from, to := t.bounds(i)
	skip := 7
	if t.data[from+5] == ' ' {
		skip = 6
	}
	return t.data[from+skip : to-1-hashSize], skip == 6 && t.data[from] == '4'
}

// place is an entry and where it lies in the bytes of its tree.
type place struct {
	item
	from, to int
}

// find returns the entry of that name.
func (t tree) find(name string) (place, bool, error) {
	if t.index == nil || !t.index.sorted {
		return t.scan(name)
	}
	i := t.search(0, name, false)
	if i < t.count() {
		// A folder sorts as if its name ended in a slash: there may be others
		// between, all of which begin with the name.
		got, _ := t.key(i)
		if string(got) == name {
			return t.at(i)
		}
		if len(got) > len(name) && string(got[:len(name)]) == name && got[len(name)] < '/' {
			if j := t.search(i, name, true); j < t.count() {
				if got, _ := t.key(j); string(got) == name {
					return t.at(j)
				}
			}
		}
	}
	return place{}, false, nil
}

// start returns where entry i begins, or the end of the tree.
func (t tree) start(i int) int {
	if i < t.count() {
		return int(t.index.offsets[i])
	}
	return len(t.data)
}

func (t tree) at(i int) (place, bool, error) {
	p := place{}
	p.from, p.to = t.bounds(i)
	var err error
	p.item, _, err = nextItem(t.data[p.from:p.to])
	return p, err == nil, err
}

// search returns the first entry, from i on, that does not sort before a name.
func (t tree) search(i int, name string, folder bool) int {
	end := t.count()
	for i < end {
		middle := int(uint(i+end) >> 1) //nolint:gosec // not negative
		got, isFolder := t.key(middle)
		if nameBefore(got, isFolder, name, folder) {
			i = middle + 1
		} else {
			end = middle
		}
	}
	return i
}

// nameBefore is git's order, see compareItems.
func nameBefore(a []byte, aFolder bool, b string, bFolder bool) bool {
	n := min(len(a), len(b))
	if string(a[:n]) != b[:n] {
		return string(a[:n]) < b[:n]
	}
	var endA, endB byte
	switch {
	case len(a) > n:
		endA = a[n]
	case aFolder:
		endA = '/'
	}
	switch {
	case len(b) > n:
		endB = b[n]
	case bFolder:
		endB = '/'
	}
	return endA < endB
}

// scan is find that reads the tree from its start.
func (t tree) scan(name string) (place, bool, error) {
	for rest := t.data; len(rest) > 0; {
		from := len(t.data) - len(rest)
		it, after, err := nextItem(rest)
		if err != nil {
			return place{}, false, err
		}
		if string(it.name) == name {
			return place{it, from, len(t.data) - len(after)}, true, nil
		}
		rest = after
	}
	return place{}, false, nil
}

// startOf returns where an entry would begin that is not there in this kind.
func (t tree) startOf(name string, folder bool) (int, error) {
	if t.index != nil && t.index.sorted {
		return t.start(t.search(0, name, folder)), nil
	}
	for rest := t.data; len(rest) > 0; {
		it, after, err := nextItem(rest)
		if err != nil {
			return 0, err
		}
		if !nameBefore(it.name, it.mode.isTree(), name, folder) {
			return len(t.data) - len(rest), nil
		}
		rest = after
	}
	return len(t.data), nil
}

// treeAt returns a tree object that another one names. What was read or written
// lately comes from memory, and nobody waits for it.
func (r *Repo) treeAt(h Hash) (tree, error) {
	if h == emptyTree {
		return tree{}, nil
	}
	if r.closed.Load() {
		return tree{}, ErrClosed
	}
	var trees *table
	switch s := r.objects.(type) {
	case *memory:
		trees = s.objects
	case *packStore:
		trees = s.cache.trees
	}
	if trees != nil {
		if e := trees.lookup(h); e != nil && e.kind() == plumbing.TreeObject {
			return tree{e.data, e.index}, nil
		}
	}
	data, err := r.get(h, plumbing.TreeObject)
	if err != nil {
		return tree{}, err
	}
	return tree{data, indexTree(data)}, nil
}

// entry returns what a tree has at a name.
func (r *Repo) entry(h Hash, name string) (item, bool, error) {
	t, err := r.treeAt(h)
	if err != nil {
		return item{}, false, err
	}
	p, ok, err := t.find(name)
	if err != nil {
		return item{}, false, fmt.Errorf("tree %s: %w", h, err)
	}
	return p.item, ok, nil
}
