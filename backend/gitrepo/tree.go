package gitrepo

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
)

// mode is the mode of a tree entry as git writes it, in octal.
type mode uint32

const (
	modeTree       mode = 0o040000
	modeFile       mode = 0o100644
	modeExecutable mode = 0o100755
	modeSymlink    mode = 0o120000
	modeSubmodule  mode = 0o160000
)

func (m mode) isTree() bool { return m == modeTree }

// isBlob tells the entries that have content: files and symbolic links, not
// submodules.
func (m mode) isBlob() bool { return m != modeTree && m != modeSubmodule }

// item is one entry of a tree. name points into the tree's bytes.
type item struct {
	name []byte
	mode mode
	hash Hash
}

// emptyTree is the name of the tree without entries.
var emptyTree = hashObject(plumbing.TreeObject, nil)

// nextItem reads the first entry of a tree and returns the rest.
func nextItem(tree []byte) (item, []byte, error) {
	var it item
	space := bytes.IndexByte(tree[:min(len(tree), 8)], ' ')
	if space < 1 {
		return it, nil, fmt.Errorf("%w: tree entry without a mode", ErrCorrupt)
	}
	for _, c := range tree[:space] {
		if c < '0' || c > '7' {
			return it, nil, fmt.Errorf("%w: tree entry with the mode %q", ErrCorrupt, tree[:space])
		}
		it.mode = it.mode<<3 | mode(c-'0')
	}
	tree = tree[space+1:]
	end := bytes.IndexByte(tree, 0)
	if end < 1 || len(tree) < end+1+len(it.hash) {
		return it, nil, fmt.Errorf("%w: tree entry cut short", ErrCorrupt)
	}
	it.name = tree[:end]
	copy(it.hash[:], tree[end+1:])
	return it, tree[end+1+len(it.hash):], nil
}

// compareItems is git's order: by name, a folder as if it ended in a slash.
func compareItems(a, b item) int {
	n := min(len(a.name), len(b.name))
	if c := bytes.Compare(a.name[:n], b.name[:n]); c != 0 {
		return c
	}
	return cmp.Compare(a.after(n), b.after(n))
}

// after returns the byte at n, beyond the end of the name what git puts there.
func (it item) after(n int) byte {
	switch {
	case n < len(it.name):
		return it.name[n]
	case it.mode.isTree():
		return '/'
	}
	return 0
}

func appendItem(tree []byte, m mode, name string, h Hash) []byte {
	var digits [8]byte
	i := len(digits)
	for ; m > 0; m >>= 3 {
		i--
		digits[i] = '0' + byte(m&7)
	}
	tree = append(tree, digits[i:]...)
	tree = append(tree, ' ')
	tree = append(tree, name...)
	tree = append(tree, 0)
	return append(tree, h[:]...)
}

// edit is what becomes of one name of a tree. Without put the entry goes.
type edit struct {
	name     string
	from, to int // where the entry is now; equal where there is none
	put      bool
	mode     mode
	hash     Hash
	before   mode // of the entry that is there now
}

// editTree returns a tree with edits made, one a name, which it sorts, and the
// index of the new tree, which lies in r. It copies what lies between them as it
// is.
func editTree(t tree, edits []edit, r *room) (tree, error) {
	if inPlace(edits) {
		data := append(r.take(len(t.data)), t.data...)
		for i := range edits {
			copy(data[edits[i].to-hashSize:], edits[i].hash[:])
		}
		return tree{data, t.index}, nil
	}
	size := len(t.data)
	for i := range edits {
		e := &edits[i]
		if e.put {
			size += len(e.name) + 8 + hashSize
		}
		size -= e.to - e.from
	}
	return replaceEntries(t, edits, r.take(size))
}

// inPlace tells edits that leave all names and modes where they are.
func inPlace(edits []edit) bool {
	for i := range edits {
		if e := &edits[i]; !e.put || e.to == e.from || e.mode != e.before {
			return false
		}
	}
	return true
}

// splice is one step of writing a tree: bytes that go, and an entry that comes.
type splice struct {
	from, to int
	put      *edit
}

func replaceEntries(t tree, edits []edit, data []byte) (tree, error) {
	splices := make([]splice, 0, 2*len(edits))
	for i := range edits {
		e := &edits[i]
		switch exists := e.to > e.from; {
		case !e.put && exists:
			splices = append(splices, splice{from: e.from, to: e.to})
		case e.put && exists && e.before.isTree() == e.mode.isTree():
			splices = append(splices, splice{e.from, e.to, e})
		case e.put:
			if exists {
				splices = append(splices, splice{from: e.from, to: e.to})
			}
			at, err := t.startOf(e.name, e.mode.isTree())
			if err != nil {
				return tree{}, err
			}
			splices = append(splices, splice{at, at, e})
		}
	}
	slices.SortFunc(splices, compareSplices)
	at := 0
	for _, s := range splices {
		if s.from > at {
			data = append(data, t.data[at:s.from]...)
		}
		if s.put != nil {
			data = appendItem(data, s.put.mode, s.put.name, s.put.hash)
		}
		at = max(at, s.to)
	}
	data = append(data, t.data[at:]...)
	return tree{data, indexTree(data)}, nil
}

// compareSplices orders by place; at one place what comes new is before what
// is replaced there, in git's order among itself.
func compareSplices(a, b splice) int {
	if c := cmp.Compare(a.from, b.from); c != 0 {
		return c
	}
	if (a.from == a.to) != (b.from == b.to) {
		if a.from == a.to {
			return -1
		}
		return 1
	}
	if a.put == nil || b.put == nil {
		return 0
	}
	if nameBefore([]byte(a.put.name), a.put.mode.isTree(), b.put.name, b.put.mode.isTree()) {
		return -1
	}
	return 1
}
