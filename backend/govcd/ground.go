package govcd

import (
	"context"
	"strings"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/gitrepo"
)

// ground is the tree of a commit that changes are about to be made upon. It
// remembers the folders that it met.
type ground struct {
	place
	open map[string]bool // where no file is in the way -> whether a folder is there
}

func groundAt(at place) *ground { return &ground{place: at, open: map[string]bool{}} }

// at returns what is at a path.
func (g *ground) at(ctx context.Context, p document.Path) (gitrepo.Entry, bool, error) {
	if i := strings.LastIndexByte(p.String(), '/'); i > 0 {
		if exists, met := g.open[p.String()[:i]]; met && !exists {
			return gitrepo.Entry{}, false, nil
		}
	}
	return findIn(ctx, g.git, g.tip, p)
}

// fileAbove returns the file that stands where a path needs a folder, "" if
// there is none. What is gone does not stand there.
func (g *ground) fileAbove(ctx context.Context, name string, gone func(string) bool) (string, error) {
	var met []string
	for folder := range parents(name) {
		if _, ok := g.open[folder]; ok {
			break
		}
		parsed, err := document.ParsePath(folder)
		if err != nil {
			return "", err
		}
		e, found, err := g.at(ctx, parsed)
		if err != nil {
			return "", err
		}
		if found && !e.IsDir {
			if gone(folder) {
				return "", nil
			}
			return folder, nil
		}
		if found {
			g.open[folder] = true
			break
		}
		met = append(met, folder)
	}
	for _, folder := range met {
		g.open[folder] = false
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
			file, err = g.fileAbove(ctx, name, gone)
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
