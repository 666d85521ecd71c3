package gitrepo

import (
	"context"
	"fmt"
	"strings"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/go-git/go-git/v5/plumbing"
)

// Finder finds many places of one commit, and is quicker the more of the way
// they share with the place before. It is for those who are about to change what
// is there, or just have: it leaves no links behind, which in memory would stay
// with trees that are about to be replaced. It is not safe for concurrent use.
type Finder struct {
	repo *Repo
	way  []stepDown // to the folder of the last place, the root first
}

// stepDown is a folder on the way.
type stepDown struct {
	path string
	item
	held
}

// Finder returns one of a commit. ErrNotFound if it does not exist.
func (r *Repo) Finder(ctx context.Context, at Hash) (*Finder, error) {
	h, root, err := r.root(ctx, at)
	if err != nil {
		return nil, err
	}
	return &Finder{r, []stepDown{{item: item{mode: modeTree, hash: h}, held: root}}}, nil
}

// Nearest returns what is at a path, or else what is nearest above: a folder, the
// root being one, or the file that stands where a folder would be needed.
func (f *Finder) Nearest(ctx context.Context, path document.Path) (Entry, error) {
	if err := ctx.Err(); err != nil {
		return Entry{}, err
	}
	whole := path.String()
	for !above(f.way[len(f.way)-1].path, whole) {
		f.way = f.way[:len(f.way)-1]
	}
	for {
		at := &f.way[len(f.way)-1]
		from := len(at.path)
		if from > 0 {
			from++
		}
		end := len(whole)
		if i := strings.IndexByte(whole[from:], '/'); i >= 0 {
			end = from + i
		}
		first, last, err := at.locate(whole[from:end])
		if err != nil {
			return Entry{}, fmt.Errorf("tree %s: %w", at.hash, err)
		}
		if first == last {
			return entryAt(at.path, at.item), nil
		}
		it := item{mode: at.modeAt(first), hash: Hash(at.data[last-hashSize : last])}
		if end == len(whole) || !it.mode.isTree() {
			return entryAt(whole[:end], it), nil
		}
		below, err := f.repo.treeVisited(at.held, first, &it.hash)
		if err != nil {
			return Entry{}, err
		}
		f.way = append(f.way, stepDown{whole[:end], it, below})
	}
}

// above reports whether a folder is on the way to a path.
func above(folder, path string) bool {
	return folder == "" || (len(path) > len(folder) && path[len(folder)] == '/' && path[:len(folder)] == folder)
}

// treeVisited is treeBelow that follows links and leaves none.
func (r *Repo) treeVisited(folder held, from int, h *Hash) (held, error) {
	if folder.entry != nil {
		if e := folder.entry.follow(from, h); e != nil && e.kind() == plumbing.TreeObject {
			return e.held(), nil
		}
	}
	return r.heldAt(*h)
}
