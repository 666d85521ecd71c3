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
	children map[string]*node
	data     []byte
	file     bool // data becomes the content
	cleared  bool // what was there before goes
	folder   bool // something was put below: a file that was there goes

	old   item // what the tree has at this name; filled by rebuild
	exist bool
}

// plan folds changes, in their order, into one tree of nodes.
func plan(changes []Change) (*node, error) {
	root := &node{}
	for _, c := range changes {
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
				*n = node{cleared: true}
			}
			n.folder = n.folder || !c.Delete
			child, ok := n.children[segment]
			if !ok {
				child = &node{}
				if n.children == nil {
					n.children = make(map[string]*node)
				}
				n.children[segment] = child
			}
			n = child
		}
		if n != nil {
			*n = node{file: !c.Delete, cleared: true, data: c.Data}
		}
	}
	return root, nil
}

// builder rebuilds trees and keeps the new objects until they are stored.
type builder struct {
	repo *Repo
	out  []staged
}

func (b *builder) stage(kind plumbing.ObjectType, data []byte, base Hash, name string) (Hash, error) {
	s, err := stage(kind, data)
	if err != nil {
		return Hash{}, err
	}
	s.base, s.name = base, name
	b.out = append(b.out, s)
	return s.hash, nil
}

// rebuild applies n to the tree and returns the new tree, which is the old
// one if nothing changed, and the zero hash if nothing is left. Only trees on
// the way to a change are read and written, each once.
func (b *builder) rebuild(ctx context.Context, name string, tree Hash, n *node) (Hash, error) {
	if err := ctx.Err(); err != nil {
		return Hash{}, err
	}
	var old []byte
	if !tree.IsZero() {
		var err error
		if old, err = b.repo.tree(tree); err != nil {
			return Hash{}, err
		}
	}
	if err := n.attach(old); err != nil {
		return Hash{}, fmt.Errorf("tree %s: %w", tree, err)
	}
	var added []item
	changed := false
	for name, child := range n.children {
		it, exist, err := b.apply(ctx, name, child)
		if err != nil {
			return Hash{}, err
		}
		if exist {
			added = append(added, it)
		}
		if exist != child.exist || (exist && (it.hash != child.old.hash || it.mode != child.old.mode)) {
			changed = true
		}
	}
	if !changed {
		return tree, nil
	}
	replaced := func(name []byte) bool { _, ok := n.children[string(name)]; return ok }
	data, err := replaceItems(old, replaced, added)
	if err != nil {
		return Hash{}, fmt.Errorf("tree %s: %w", tree, err)
	}
	if len(data) == 0 {
		return Hash{}, nil
	}
	return b.stage(plumbing.TreeObject, data, tree, name)
}

// attach tells every child what the tree has at its name.
func (n *node) attach(tree []byte) error {
	for len(tree) > 0 {
		it, rest, err := nextItem(tree)
		if err != nil {
			return err
		}
		if child, ok := n.children[string(it.name)]; ok {
			child.old, child.exist = it, true
		}
		tree = rest
	}
	return nil
}

// apply returns what becomes of one name, and whether anything is left there.
func (b *builder) apply(ctx context.Context, name string, n *node) (item, bool, error) {
	if n.file {
		it := item{name: []byte(name), mode: modeFile}
		if n.exist && n.old.mode == modeExecutable {
			it.mode = modeExecutable
		}
		it.hash = hashObject(plumbing.BlobObject, n.data)
		if !n.exist || it.hash != n.old.hash {
			b.out = append(b.out, staged{
				hash: it.hash, object: object{plumbing.BlobObject, n.data}, base: n.old.hash, name: name,
			})
		}
		return it, true, nil
	}
	var base Hash
	if n.exist && n.old.mode.isTree() && !n.cleared {
		base = n.old.hash
	}
	tree, err := b.rebuild(ctx, name, base, n)
	if err != nil {
		return item{}, false, err
	}
	if tree.IsZero() {
		// Deleting below a file leaves the file.
		keep := n.exist && !n.cleared && !n.folder && !n.old.mode.isTree()
		return n.old, keep, nil
	}
	return item{name: []byte(name), mode: modeTree, hash: tree}, true, nil
}
