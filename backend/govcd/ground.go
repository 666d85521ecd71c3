package govcd

import (
	"context"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/gitrepo"
)

// ground is the tree of a commit that changes are about to be made upon. It
// remembers the folders that it met.
type ground struct {
	place
	find *gitrepo.Finder // once something was looked for
	open map[string]bool // where no file is in the way -> whether a folder is there
}

func groundAt(at place) *ground { return &ground{place: at, open: map[string]bool{}} }

// at returns what is at a path.
func (g *ground) at(ctx context.Context, p document.Path) (gitrepo.Entry, bool, error) {
	if exists, met := g.open[p.Parent().String()]; met && !exists {
		return gitrepo.Entry{}, false, nil
	}
	e, err := g.nearest(ctx, p)
	if err != nil || e.Path != p.String() {
		return gitrepo.Entry{}, false, err
	}
	return e, true, nil
}

// hasFolder reports whether there is a folder; the root always is.
func (g *ground) hasFolder(ctx context.Context, p document.Path) (bool, error) {
	if p.IsZero() {
		return true, nil
	}
	if exists, met := g.open[p.String()]; met {
		return exists, nil
	}
	e, found, err := g.at(ctx, p)
	return found && e.IsDir, err
}

// nearest returns what is at a path or else nearest above it, and remembers the
// folders that are not there.
func (g *ground) nearest(ctx context.Context, p document.Path) (gitrepo.Entry, error) {
	e := gitrepo.Entry{IsDir: true} // a branch without commits has nothing but its root
	if !g.tip.IsZero() {
		var err error
		if g.find == nil {
			if g.find, err = g.git.Finder(ctx, g.tip); err != nil {
				return e, err
			}
		}
		if e, err = g.find.Nearest(ctx, p); err != nil {
			return e, err
		}
	}
	if e.Path == p.String() || !e.IsDir {
		return e, nil
	}
	for folder := range parents(p.String()) {
		if folder == e.Path {
			g.open[folder] = true
			break
		}
		g.open[folder] = false
	}
	return e, nil
}

// fileAbove returns the file that stands where a path needs a folder, "" if
// there is none. What is gone does not stand there.
func (g *ground) fileAbove(ctx context.Context, p document.Path, gone func(string) bool) (string, error) {
	folder := p.Parent()
	if folder.IsZero() {
		return "", nil
	}
	if _, met := g.open[folder.String()]; met {
		return "", nil
	}
	e, err := g.nearest(ctx, folder)
	switch {
	case err != nil:
		return "", err
	case !e.IsDir && !gone(e.Path):
		return e.Path, nil
	case e.IsDir:
		g.open[folder.String()] = e.Path == folder.String()
	}
	return "", nil
}

// checkStaged looks whether staged changes still have their place, and still
// find what they were promised. Others may have committed since.
func (g *ground) checkStaged(ctx context.Context, taken map[string]change) error {
	gone := func(path string) bool {
		c, ok := taken[path]
		return ok && c.deleted
	}
	var misplaced, replaced []string
	for name, c := range taken {
		if c.deleted && c.base == nil {
			continue
		}
		e, found, err := g.at(ctx, c.path)
		if err != nil {
			return err
		}
		if c.base != nil && *c.base != blobOf(e, found) {
			replaced = append(replaced, name)
		}
		if c.deleted {
			continue
		}
		blocked := false
		switch {
		case found && e.IsDir:
			blocked, err = holdsFiles(ctx, g.git, g.tip, c.path, gone)
		case !found:
			var file string
			file, err = g.fileAbove(ctx, c.path, gone)
			blocked = file != ""
		}
		if err != nil {
			return err
		}
		if blocked {
			misplaced = append(misplaced, name)
		}
	}
	switch {
	case len(replaced) > 0:
		return preconditionFailed("files were committed by others since they were staged on a condition", listed(replaced))
	case len(misplaced) > 0:
		return mergeConflict("others committed files where these need folders, or folders where these are", misplaced)
	}
	return nil
}

// blobOf is the hash of a file, zero for a folder and for nothing.
func blobOf(e gitrepo.Entry, found bool) gitrepo.Hash {
	if !found || e.IsDir {
		return gitrepo.Hash{}
	}
	return e.Hash
}
