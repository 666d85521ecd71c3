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

// findItem returns the entry of that name. It reads all entries before it,
// because a folder sorts as if its name ended in a slash.
func findItem(tree []byte, name string) (item, bool, error) {
	for len(tree) > 0 {
		it, rest, err := nextItem(tree)
		if err != nil {
			return item{}, false, err
		}
		if string(it.name) == name {
			return it, true, nil
		}
		tree = rest
	}
	return item{}, false, nil
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

func appendItem(tree []byte, it item) []byte {
	var digits [8]byte
	i := len(digits)
	for m := it.mode; m > 0; m >>= 3 {
		i--
		digits[i] = '0' + byte(m&7)
	}
	tree = append(tree, digits[i:]...)
	tree = append(tree, ' ')
	tree = append(tree, it.name...)
	tree = append(tree, 0)
	return append(tree, it.hash[:]...)
}

// replaceItems returns the tree without the entries for which replaced is
// true, and with the new ones, which it sorts.
func replaceItems(tree []byte, replaced func(name []byte) bool, added []item) ([]byte, error) {
	slices.SortFunc(added, compareItems)
	size := len(tree)
	for _, it := range added {
		size += len(it.name) + 8 + len(it.hash)
	}
	out := make([]byte, 0, size)
	for len(tree) > 0 {
		it, rest, err := nextItem(tree)
		if err != nil {
			return nil, err
		}
		if !replaced(it.name) {
			for len(added) > 0 && compareItems(added[0], it) < 0 {
				out = appendItem(out, added[0])
				added = added[1:]
			}
			out = append(out, tree[:len(tree)-len(rest)]...)
		}
		tree = rest
	}
	for _, it := range added {
		out = appendItem(out, it)
	}
	return out, nil
}
