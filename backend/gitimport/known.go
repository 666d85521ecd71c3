package gitimport

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sort"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/gitrepo"
	"github.com/caiatech/caiatop/backend/gitstore"
	"github.com/caiatech/caiatop/backend/store"
	"github.com/go-git/go-git/v5/plumbing"
)

// Own reports ErrOwn if dir is the repository at git.
func Own(dir, git string) error {
	own, err := os.Stat(git)
	if err != nil {
		return nil //nolint:nilerr // what is not there is not the source
	}
	for _, candidate := range []string{dir, filepath.Join(dir, ".git")} {
		if info, err := os.Stat(candidate); err == nil && os.SameFile(info, own) {
			return fmt.Errorf("%s: %w", dir, ErrOwn)
		}
	}
	return nil
}

// known returns how many commits of the branch the main branch holds itself,
// with the same hash: the source is a clone of this repository, or the other way
// round. What is built upon them is imported on top of the newest of them.
func (r *run) known(ctx context.Context) (int, error) {
	if r.main == "" {
		return 0, nil
	}
	var failed error
	n := sort.Search(len(r.chain), func(i int) bool {
		held, err := r.held(ctx, r.chain[i])
		failed = errors.Join(failed, err)
		return !held
	})
	return n, failed
}

// held reports whether the main branch has a commit in its history.
func (r *run) held(ctx context.Context, commit gitrepo.Hash) (bool, error) {
	if _, err := r.into.ReadCommit(ctx, commit); err != nil {
		if errors.Is(err, gitrepo.ErrNotFound) {
			return false, nil
		}
		return false, err
	}
	return r.into.IsAncestor(ctx, commit, plumbing.NewHash(r.main))
}

// merged returns what a merge of a clone brought from the main branch: it does
// not come twice, and is what changes made after it are compared with.
func (r *run) merged(ctx context.Context, c gitrepo.Commit) (ours []gitrepo.Hash, err error) {
	if r.report.Known == 0 {
		return nil, nil
	}
	for _, parent := range c.Parents[min(1, len(c.Parents)):] {
		held, err := r.held(ctx, parent)
		if err != nil {
			return nil, err
		}
		if held {
			ours = append(ours, parent)
		}
	}
	return ours, nil
}

// listPlaces notes where documents lie before the first commit is imported.
func (r *run) listPlaces(ctx context.Context, from int) error {
	if r.main != "" {
		err := r.list(ctx, r.here, r.main, func(p *place, folder document.Path) { p.here, p.exists = folder, true })
		if err != nil {
			return err
		}
	}
	if from == 0 {
		return nil
	}
	if r.main != "" {
		joined, err := r.held(ctx, r.tip)
		if err != nil {
			return err
		}
		if joined {
			r.base = r.tip.String()
		}
	}
	err := r.list(ctx, r.here, r.tip.String(), func(p *place, folder document.Path) { p.here, p.live = folder, true })
	if err != nil {
		return err
	}
	return r.listSource(ctx, r.chain[from-1].String())
}

// list notes where each document of a commit lies.
func (r *run) list(ctx context.Context, in *gitstore.Store, commit string, note func(*place, document.Path)) error {
	for entry, err := range in.ListAt(ctx, commit) {
		if err != nil {
			return err
		}
		p := r.places[entry.Key.ID]
		note(&p, entry.Key.Folder)
		r.places[entry.Key.ID] = p
	}
	return nil
}

// listSource notes where documents lie in the commit of the source that was
// imported last.
func (r *run) listSource(ctx context.Context, at string) error {
	several := map[document.ID]bool{}
	for entry, err := range r.docs.ListAt(ctx, at) {
		if err != nil {
			return err
		}
		id, folder := entry.Key.ID, entry.Key.Folder
		p := r.places[id]
		if lies := r.folders(id); !p.live || len(lies) > 0 {
			r.setFolders(id, append(slices.Clone(lies), folder))
			several[id] = p.live
			continue
		}
		p.source = folder
		if r.report.Known > 0 {
			// Only what was imported is known to be readable.
			_, _, err := r.docs.ReadableFiles(ctx, at, entry.Key)
			if p.unreadable = gitstore.Unreadable(err); err != nil && !p.unreadable {
				return err
			}
		}
		r.places[id] = p
	}
	for id, live := range several {
		if live {
			if err := r.leader(ctx, at, id); err != nil {
				return err
			}
		}
	}
	return nil
}

// leader finds out from which of its folders the version of a document was
// imported: the last of those that hold the same.
func (r *run) leader(ctx context.Context, at string, id document.ID) error {
	lies := slices.SortedStableFunc(slices.Values(r.folders(id)), byMonth)
	p := r.places[id]
	have, err := hashAt(ctx, r.here, r.tip.String(), store.Key{ID: id, Folder: p.here})
	if err != nil {
		return err
	}
	p.source = lies[len(lies)-1]
	for _, folder := range slices.Backward(lies) {
		hash, err := hashAt(ctx, r.docs, at, store.Key{ID: id, Folder: folder})
		if err != nil {
			return err
		}
		if hash == have && hash != (document.Hash{}) {
			p.source = folder
			break
		}
	}
	r.places[id] = p
	lies = slices.DeleteFunc(lies, func(f document.Path) bool { return f == p.source })
	r.setFolders(id, append(lies, p.source))
	return nil
}
