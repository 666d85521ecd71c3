package githttp

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/caiatech/caiatop/backend/gitrepo"
	"github.com/go-git/go-git/v5/plumbing"
)

const hashSize = len(Hash{})

// emptyTree needs not be stored to be known.
var emptyTree = plumbing.NewHash("4b825dc642cb6eb9a060e54bf8d69288fbee4904")

// entry is one name in a tree.
type entry struct {
	raw    []byte // all of it
	name   []byte
	hash   Hash
	isTree bool
	isBlob bool // a file or a symbolic link, so neither a folder nor a submodule
}

// nextEntry reads the first entry of what is left of a tree.
func nextEntry(tree []byte) (e entry, rest []byte, err error) {
	space := bytes.IndexByte(tree, ' ')
	if space < 5 || space > 7 {
		return e, nil, errTree
	}
	end := bytes.IndexByte(tree, 0)
	if end < space+2 || len(tree) < end+1+hashSize {
		return e, nil, errTree
	}
	mode := bytes.TrimLeft(tree[:space], "0")
	e.raw, e.name = tree[:end+1+hashSize], tree[space+1:end]
	copy(e.hash[:], tree[end+1:])
	e.isTree = string(mode) == "40000"
	e.isBlob = !e.isTree && string(mode) != "160000"
	return e, tree[end+1+hashSize:], nil
}

var errTree = fmt.Errorf("%w: a tree cannot be read", gitrepo.ErrCorrupt)

// advance goes on in a sorted tree to an entry of the same name, and returns
// what is there.
func advance(tree []byte, to entry) (found entry, rest []byte, err error) {
	for len(tree) > 0 {
		e, after, err := nextEntry(tree)
		if err != nil {
			return entry{}, nil, err
		}
		order := compareEntries(e, to)
		if order > 0 {
			break
		}
		tree = after
		if order == 0 {
			return e, tree, nil
		}
	}
	return entry{}, tree, nil
}

// compareEntries is the order of git, in which a folder is as if its name ended
// in a slash.
func compareEntries(a, b entry) int {
	n := min(len(a.name), len(b.name))
	if order := bytes.Compare(a.name[:n], b.name[:n]); order != 0 {
		return order
	}
	return int(a.after(n)) - int(b.after(n))
}

func (e entry) after(n int) byte {
	switch {
	case n < len(e.name):
		return e.name[n]
	case e.isTree:
		return '/'
	}
	return 0
}

// tagged returns what a tag object stands for, one step.
func tagged(data []byte) (target Hash, kind plumbing.ObjectType, err error) {
	line, rest, _ := bytes.Cut(data, []byte("\n"))
	name, ok := bytes.CutPrefix(line, []byte("object "))
	if ok && len(name) == 2*hashSize {
		_, err = hex.Decode(target[:], name)
	} else {
		err = errTag
	}
	line, _, _ = bytes.Cut(rest, []byte("\n"))
	word, ok := bytes.CutPrefix(line, []byte("type "))
	if err != nil || !ok {
		return Hash{}, 0, errTag
	}
	if kind, err = plumbing.ParseObjectType(string(word)); err != nil {
		return Hash{}, 0, errTag
	}
	return target, kind, nil
}

var errTag = fmt.Errorf("%w: a tag cannot be read", gitrepo.ErrCorrupt)

// object reads an object of a kind that another one names.
func (g *graph) object(h Hash, kind plumbing.ObjectType) ([]byte, error) {
	got, data, err := g.repo.Object(g.ctx, h)
	switch {
	case h == emptyTree && errors.Is(err, gitrepo.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("%s %s: %w", kind, h, err)
	case got != kind:
		return nil, fmt.Errorf("%w: %s is a %s, not a %s", gitrepo.ErrCorrupt, h, got, kind)
	}
	return data, nil
}
