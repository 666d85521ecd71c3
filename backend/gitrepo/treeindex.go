package gitrepo

import (
	"bytes"
	"fmt"
)

// tree is the content of a tree object, for looking things up. It is never
// changed.
type tree struct {
	data  []byte
	index *treeIndex // nil where reading from the start is as quick
}

// treeIndex tells where the entries of a tree begin. Trees of one shape share
// it.
type treeIndex struct {
	// stride is the size of every entry where all have the same, as the folders
	// of the fan-out have; offsets is nil then.
	stride  int
	offsets []uint32
	// sorted is false for a tree that is not in git's order, or has modes that
	// git does not write. Nothing but reading all of it finds an entry then.
	sorted bool
}

const (
	// indexFrom is how large a tree is, in bytes, that is worth an index; below
	// are those of documents, of which there are many.
	indexFrom = 192
	// indexHeap is what a treeIndex takes of the heap besides its offsets.
	indexHeap = 48
	maxStride = 320 // a mode, the longest name of a document's folder, a hash
)

// strides are the indexes of sorted trees whose entries have one size.
var strides = func() (out [maxStride]treeIndex) {
	for i := range out {
		out[i] = treeIndex{stride: i, sorted: true}
	}
	return out
}()

// indexTree returns the index of a tree; nil for a small one and for one that
// cannot be read, as those who read it will find.
func indexTree(data []byte) *treeIndex {
	if len(data) < indexFrom {
		return nil
	}
	_, rest, err := nextItem(data)
	if err != nil {
		return nil
	}
	stride := len(data) - len(rest)
	even := stride < maxStride && len(data)%stride == 0
	var offsets []uint32
	var last item
	sorted := true
	for rest := data; len(rest) > 0; {
		at := len(data) - len(rest)
		it, after, err := nextItem(rest)
		if err != nil {
			return nil
		}
		sorted = sorted && canonical(rest) && (at == 0 || compareItems(last, it) < 0)
		last = it
		if even && len(rest)-len(after) != stride {
			even = false
			offsets = make([]uint32, 0, len(data)/stride+1)
			for earlier := 0; earlier < at; earlier += stride {
				offsets = append(offsets, uint32(earlier)) //nolint:gosec // an object has at most MaxObject bytes
			}
		}
		if !even {
			offsets = append(offsets, uint32(at)) //nolint:gosec // an object has at most MaxObject bytes
		}
		rest = after
	}
	if even && sorted {
		return &strides[stride]
	}
	if even {
		return &treeIndex{stride: stride}
	}
	if spare := cap(offsets) - len(offsets); spare > 4+len(offsets)/8 {
		offsets = append(make([]uint32, 0, len(offsets)), offsets...)
	}
	return &treeIndex{offsets: offsets, sorted: sorted}
}

// heap is what an index takes of the heap.
func (x *treeIndex) heap() int64 {
	if x == nil || (x.stride > 0 && x.sorted) {
		return 0
	}
	return indexHeap + heapSize(4*cap(x.offsets))
}

// canonical tells whether the first entry has a mode as git writes it: that of
// a folder, or six digits.
func canonical(entries []byte) bool {
	return bytes.HasPrefix(entries, []byte("40000 ")) || (entries[0] == '1' && entries[6] == ' ')
}

// count returns the number of entries that an index has.
func (t tree) count() int {
	if t.index.stride > 0 {
		return len(t.data) / t.index.stride
	}
	return len(t.index.offsets)
}

// bounds returns where entry i begins and ends.
func (t tree) bounds(i int) (from, to int) {
	if t.index.stride > 0 {
		return i * t.index.stride, (i + 1) * t.index.stride
	}
	from, to = int(t.index.offsets[i]), len(t.data)
	if i+1 < len(t.index.offsets) {
		to = int(t.index.offsets[i+1])
	}
	return from, to
}

// key returns the name of entry i of a sorted tree, and whether it is a folder.
func (t tree) key(i int) ([]byte, bool) {
	from, to := t.bounds(i)
	if t.data[from] == '4' {
		return t.data[from+len("40000 ") : to-1-hashSize], true
	}
	return t.data[from+len("100644 ") : to-1-hashSize], false
}

// place is an entry and where it lies in the bytes of its tree.
type place struct {
	item
	from, to int
}

// find returns the entry of that name.
func (t tree) find(name string) (place, bool, error) {
	from, to, err := t.locate(name)
	if err != nil || from == to {
		return place{}, false, err
	}
	it, _, err := nextItem(t.data[from:to])
	return place{it, from, to}, err == nil, err
}

// locate returns where the entry of that name lies; an empty range if there is
// none.
func (t tree) locate(name string) (from, to int, err error) {
	if t.index == nil || !t.index.sorted {
		return t.scan(name)
	}
	i := t.search(0, name, false)
	if i == t.count() {
		return 0, 0, nil
	}
	// A folder sorts as if its name ended in a slash: there may be others
	// between, all of which begin with the name.
	got, _ := t.key(i)
	if string(got) != name {
		if len(got) <= len(name) || string(got[:len(name)]) != name || got[len(name)] >= '/' {
			return 0, 0, nil
		}
		if i = t.search(i, name, true); i == t.count() {
			return 0, 0, nil
		}
		if got, _ = t.key(i); string(got) != name {
			return 0, 0, nil
		}
	}
	from, to = t.bounds(i)
	return from, to, nil
}

// start returns where entry i begins, or the end of the tree.
func (t tree) start(i int) int {
	if i < t.count() {
		from, _ := t.bounds(i)
		return from
	}
	return len(t.data)
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

// scan is locate that reads the tree from its start.
func (t tree) scan(name string) (from, to int, err error) {
	for from < len(t.data) {
		rest := t.data[from:]
		// Nearly every entry is one of these, and then the end of its name need
		// not be looked for.
		if skip := usualMode(rest); skip > 0 && len(rest) > skip+len(name)+hashSize &&
			string(rest[skip:skip+len(name)]) == name && rest[skip+len(name)] == 0 {
			return from, from + skip + len(name) + 1 + hashSize, nil
		}
		it, after, err := nextItem(rest)
		if err != nil {
			return 0, 0, err
		}
		to = len(t.data) - len(after)
		if string(it.name) == name {
			return from, to, nil
		}
		from = to
	}
	return 0, 0, nil
}

// usualMode returns how long the mode of a folder or of a file is, and 0 for
// other modes.
func usualMode(entry []byte) int {
	const folder, file = "40000 ", "100644 "
	switch {
	case len(entry) > len(folder) && string(entry[:len(folder)]) == folder:
		return len(folder)
	case len(entry) > len(file) && string(entry[:len(file)]) == file:
		return len(file)
	}
	return 0
}

// modeAt reads the mode of an entry that was located.
func (t tree) modeAt(from int) (m mode) {
	for _, c := range t.data[from:] {
		if c < '0' || c > '7' {
			break
		}
		m = m<<3 | mode(c-'0')
	}
	return m
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
	t, err := r.heldAt(h)
	return t.tree, err
}

// entry returns what a tree has at a name, zero if nothing.
func (r *Repo) entry(h Hash, name string) (item, error) {
	t, err := r.treeAt(h)
	if err != nil {
		return item{}, err
	}
	p, _, err := t.find(name)
	if err != nil {
		return item{}, fmt.Errorf("tree %s: %w", h, err)
	}
	return p.item, nil
}
