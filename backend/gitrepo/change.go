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

// planner makes nodes, many with one allocation.
type planner struct {
	free []node
	made int
}

func (p *planner) node(name string) *node {
	const few, most = 12, 512
	if len(p.free) == 0 {
		p.free = make([]node, min(max(p.made, few), most))
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
func plan(changes []Change) (*node, error) {
	p := &planner{}
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

// builder rebuilds trees and keeps the new objects until they are stored.
type builder struct {
	repo *Repo
	out  []staged
	// virtual holds trees that stand for a merge base that nobody committed, and
	// that are never stored. While imagine is set, new trees become virtual.
	virtual map[Hash]tree
	imagine bool
	edits   []edit // of the trees that are being rebuilt, the innermost last
}

func (b *builder) stage(kind plumbing.ObjectType, data []byte, base Hash, name string) (Hash, error) {
	s, err := stage(kind, data)
	if err != nil {
		return Hash{}, err
	}
	s.base, s.name = base, name
	b.keep(s)
	return s.hash, nil
}

// stageTree is stage for a tree, see staged.like; the zero hash if it is empty.
func (b *builder) stageTree(t tree, base Hash, name string, like *tableEntry) (Hash, error) {
	if len(t.data) == 0 {
		return Hash{}, nil
	}
	s, err := stage(plumbing.TreeObject, t.data)
	if err != nil {
		return Hash{}, err
	}
	s.base, s.name, s.index, s.like = base, name, t.index, like
	b.keep(s)
	return s.hash, nil
}

func (b *builder) keep(s staged) {
	if b.imagine {
		b.virtual[s.hash] = tree{s.data, s.index}
		return
	}
	if b.out == nil {
		const oneDocument = 12 // two files, eight trees, a commit
		b.out = make([]staged, 0, oneDocument)
	}
	b.out = append(b.out, s)
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

// rebuild applies n to the tree and returns the new tree, which is the old
// one if nothing changed, and the zero hash if nothing is left. Only trees on
// the way to a change are read and written, each once.
func (b *builder) rebuild(ctx context.Context, name string, at Hash, n *node) (Hash, error) {
	old, err := b.tree(at)
	if err != nil {
		return Hash{}, err
	}
	return b.rebuildHeld(ctx, name, at, old, n)
}

// rebuildHeld is rebuild for a tree that was found.
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
	t, err := editTree(old.tree, b.edits[first:])
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
		now := side{modeFile, hashObject(plumbing.BlobObject, n.data)}
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
