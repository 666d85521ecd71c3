package gitrepo

import (
	"context"
	"fmt"
	"strings"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/go-git/go-git/v5/plumbing"
)

// Change is one change of a tree. Data replaces the file at Path (and what
// stands in its way); Delete removes a file or a whole folder, and is no
// change where there is none. The mode of a file that exists is kept.
type Change struct {
	Path   document.Path
	Data   []byte
	Delete bool
}

// node collects what happens to one path and below it.
type node struct {
	name    string
	child   *node // the first; next leads to the others
	last    *node
	next    *node
	byName  map[string]*node // the children, once there are many
	count   int
	data    []byte
	file    bool // data becomes the content
	cleared bool // what was there before goes
	folder  bool // something was put below: a file that was there goes
}

// manyChildren are looked up by a map.
const manyChildren = 8

// planner makes nodes, many with one allocation, and the first of them from
// room that is used again.
type planner struct {
	first [oneDocument]node
	free  []node
	made  int
}

func (p *planner) node(name string) *node {
	const most = 512
	switch {
	case p.made == 0:
		p.free = p.first[:]
		p.made = len(p.first)
	case len(p.free) == 0:
		p.free = make([]node, min(p.made, most))
		p.made += len(p.free)
	}
	n := &p.free[0]
	p.free = p.free[1:]
	n.name = name
	return n
}

// below returns the child of that name, which it makes if need be.
func (n *node) below(p *planner, name string) *node {
	if n.byName != nil {
		if c, ok := n.byName[name]; ok {
			return c
		}
	} else {
		// Changes often come in the order of their paths.
		if n.last != nil && n.last.name == name {
			return n.last
		}
		for c := n.child; c != nil; c = c.next {
			if c.name == name {
				return c
			}
		}
	}
	c := p.node(name)
	if n.last == nil {
		n.child = c
	} else {
		n.last.next = c
	}
	n.last = c
	n.count++
	switch {
	case n.byName != nil:
		n.byName[name] = c
	case n.count > manyChildren:
		n.byName = make(map[string]*node, 4*manyChildren)
		for c := n.child; c != nil; c = c.next {
			n.byName[c.name] = c
		}
	}
	return c
}

// reset makes n what a change says of its path; name and neighbours stay.
func (n *node) reset(to node) {
	to.name, to.next = n.name, n.next
	*n = to
}

// plan folds changes, in their order, into one tree of nodes.
func (p *planner) plan(changes []Change) (*node, error) {
	root := p.node("")
	for i := range changes {
		c := &changes[i]
		if c.Path.IsZero() {
			return nil, fmt.Errorf("%w: a change of the root", ErrInvalid)
		}
		if len(c.Data) > MaxObject {
			return nil, fmt.Errorf("%w: %s has %d bytes, the limit is %d", ErrTooLarge, c.Path, len(c.Data), MaxObject)
		}
		n := root
		for segment := range strings.SplitSeq(c.Path.String(), "/") {
			if n.file {
				if c.Delete {
					n = nil // below a file there is nothing to delete
					break
				}
				n.reset(node{cleared: true})
			}
			n.folder = n.folder || !c.Delete
			n = n.below(p, segment)
		}
		if n != nil {
			n.reset(node{file: !c.Delete, cleared: true, data: c.Data})
		}
	}
	return root, nil
}

// tree returns a tree of the repository or a virtual one; the zero hash is one
// without entries.
func (b *builder) tree(h Hash) (held, error) {
	if h.IsZero() {
		return held{}, nil
	}
	if t, ok := b.virtual[h]; ok {
		return held{tree: t}, nil
	}
	return b.repo.heldAt(h)
}

// below returns the tree that the entry at a place of a tree names.
func (b *builder) below(folder held, at place) (held, error) {
	if len(b.virtual) > 0 {
		return b.tree(at.hash)
	}
	return b.repo.treeBelow(folder, at.from, &at.hash)
}

// rebuild applies n to the tree of a root folder and returns the new tree, which is the old
// one if nothing changed, and the zero hash if nothing is left. Only trees on
// the way to a change are read and written, each once.
func (b *builder) rebuild(ctx context.Context, at Hash, n *node) (Hash, error) {
	old, err := b.tree(at)
	if err != nil {
		return Hash{}, err
	}
	return b.rebuildHeld(ctx, "", at, old, n)
}

// rebuildHeld is rebuild for a tree that was found, of the folder of that name.
func (b *builder) rebuildHeld(ctx context.Context, name string, at Hash, old held, n *node) (Hash, error) {
	if err := ctx.Err(); err != nil {
		return Hash{}, err
	}
	first := len(b.edits)
	defer func() { b.edits = b.edits[:first] }()
	for child := n.child; child != nil; child = child.next {
		now, exists, err := old.find(child.name)
		if err != nil {
			return Hash{}, fmt.Errorf("tree %s: %w", at, err)
		}
		became, err := b.apply(ctx, child, old, now)
		if err != nil {
			return Hash{}, err
		}
		if became == (side{now.mode, now.hash}) {
			continue
		}
		e := edit{name: child.name, put: became.present(), mode: became.mode, hash: became.hash}
		if exists {
			e.from, e.to, e.before = now.from, now.to, now.mode
		}
		b.edits = append(b.edits, e)
	}
	if len(b.edits) == first {
		return at, nil
	}
	t, err := editTree(old.tree, b.edits[first:], b.room)
	if err != nil {
		return Hash{}, fmt.Errorf("tree %s: %w", at, err)
	}
	like := old.entry
	if !inPlace(b.edits[first:]) {
		like = nil
	}
	return b.stageTree(t, at, name, like)
}

// apply returns what becomes of one name of a folder, where at is now.
func (b *builder) apply(ctx context.Context, n *node, folder held, at place) (side, error) {
	old := side{at.mode, at.hash}
	if n.file {
		name, err := nameObject(plumbing.BlobObject, n.data)
		if err != nil {
			return side{}, fmt.Errorf("%s: %w", n.name, err)
		}
		now := side{modeFile, name}
		if old.mode == modeExecutable {
			now.mode = modeExecutable
		}
		if now.hash != old.hash {
			b.keep(staged{hash: now.hash, object: object{plumbing.BlobObject, n.data}, base: old.hash, name: n.name})
		}
		return now, nil
	}
	var base Hash
	var was held
	if old.mode.isTree() && !n.cleared {
		var err error
		if was, err = b.below(folder, at); err != nil {
			return side{}, err
		}
		base = old.hash
	}
	tree, err := b.rebuildHeld(ctx, n.name, base, was, n)
	switch {
	case err != nil:
		return side{}, err
	case !tree.IsZero():
		return side{modeTree, tree}, nil
	case old.present() && !n.cleared && !n.folder && !old.mode.isTree():
		return old, nil // deleting below a file leaves the file
	}
	return side{}, nil
}
