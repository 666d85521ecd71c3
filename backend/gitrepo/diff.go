package gitrepo

import (
	"context"
	"fmt"

	"github.com/caiatech/caiatop/backend/document"
)

// Edit is what two commits have at one path, where they differ. At least one
// of the two is a file.
type Edit struct {
	Path string // from the root; not safe to show
	// Before and After name the content, zero where there is no file. They are
	// the same where only the kind of the file changed: it became executable,
	// or a symbolic link.
	Before, After Hash
}

// Diff calls fn with every file at or below a folder that is not the same in
// two commits, in git's order; the zero path is the root. Files are blobs,
// executable or not, and symbolic links; submodules are left out. A file that
// became a folder is a deletion and additions, and the other way around. A zero
// commit, and a folder that a commit lacks, has no files.
//
// Only subtrees that differ are read, and no file is. An error of fn ends it
// and is returned. ErrNotFound if a commit does not exist.
func (r *Repo) Diff(ctx context.Context, from, to Hash, folder document.Path, fn func(Edit) error) error {
	before, err := r.sideAt(ctx, from, folder)
	if err != nil {
		return err
	}
	after, err := r.sideAt(ctx, to, folder)
	if err != nil {
		return err
	}
	d := &differ{repo: r, ctx: ctx, fn: fn}
	return d.at(folder.String(), before, after, 0)
}

// sideAt returns what a commit has at a path, zero if nothing.
func (r *Repo) sideAt(ctx context.Context, at Hash, path document.Path) (side, error) {
	if at.IsZero() {
		return side{}, nil
	}
	data, err := r.commitData(ctx, at)
	if err != nil {
		return side{}, err
	}
	tree, err := treeOf(at, data)
	if err != nil {
		return side{}, err
	}
	it, ok, err := r.lookup(tree, path.String())
	if err != nil || !ok {
		return side{}, err
	}
	return side{it.mode, it.hash}, nil
}

// differ is one walk over two trees at once.
type differ struct {
	repo *Repo
	ctx  context.Context //nolint:containedctx // lives for one call of Diff
	fn   func(Edit) error
}

// content returns the blob of a side, zero for anything but a file.
func (s side) content() Hash {
	if s.present() && s.mode.isBlob() {
		return s.hash
	}
	return Hash{}
}

// at compares one path. A folder sorts behind the file of its name, so the
// file is told first.
func (d *differ) at(path string, before, after side, depth int) error {
	if before == after {
		return nil
	}
	e := Edit{Path: path, Before: before.content(), After: after.content()}
	if !e.Before.IsZero() || !e.After.IsZero() {
		if err := d.fn(e); err != nil {
			return err
		}
	}
	return d.trees(path, before.folder(), after.folder(), depth)
}

// trees compares two folders; a zero hash is one that is not there.
func (d *differ) trees(folder string, before, after Hash, depth int) error {
	if before == after {
		return nil
	}
	if depth > maxDepth {
		return fmt.Errorf("%w: trees deeper than %d", ErrCorrupt, maxDepth)
	}
	if err := d.ctx.Err(); err != nil {
		return err
	}
	old, err := d.cursor(before)
	if err != nil {
		return err
	}
	young, err := d.cursor(after)
	if err != nil {
		return err
	}
	// Both are in git's order, in which "a" the file, "a.b" and "a" the folder
	// follow each other: so a name of two kinds is met twice.
	for old.more || young.more {
		order := 0
		switch {
		case !old.more:
			order = 1
		case !young.more:
			order = -1
		default:
			order = compareItems(old.item, young.item)
		}
		var left, right side
		var name []byte
		if order <= 0 {
			left, name = side{old.mode, old.hash}, old.name
		}
		if order >= 0 {
			right, name = side{young.mode, young.hash}, young.name
		}
		path := string(name)
		if left != right {
			if folder != "" {
				path = folder + "/" + path
			}
			if err := d.at(path, left, right, depth+1); err != nil {
				return err
			}
		}
		if order <= 0 {
			err = old.next()
		}
		if err == nil && order >= 0 {
			err = young.next()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// treeCursor stands on one entry of a tree.
type treeCursor struct {
	item
	tree Hash
	rest []byte
	more bool // there is an entry
}

func (d *differ) cursor(tree Hash) (*treeCursor, error) {
	c := &treeCursor{tree: tree}
	if tree.IsZero() {
		return c, nil
	}
	data, err := d.repo.tree(tree)
	if err != nil {
		return nil, err
	}
	c.rest = data
	return c, c.next()
}

func (c *treeCursor) next() error {
	c.more = len(c.rest) > 0
	if !c.more {
		return nil
	}
	it, rest, err := nextItem(c.rest)
	if err != nil {
		return fmt.Errorf("tree %s: %w", c.tree, err)
	}
	c.item, c.rest = it, rest
	return nil
}
