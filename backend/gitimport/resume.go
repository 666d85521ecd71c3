package gitimport

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/gitrepo"
	"github.com/caiatech/caiatop/backend/gitstore"
	"github.com/caiatech/caiatop/backend/store"
	"github.com/go-git/go-git/v5/plumbing"
)

// refPrefix is where the imported histories lie.
const refPrefix = "refs/caiatop/import/"

// resume finds the reference of this source, how far an earlier run came, and
// where the documents lie by then. It returns the first commit to import.
func (r *run) resume(ctx context.Context) (from int, err error) {
	if r.main, err = r.here.Look(ctx); err != nil {
		return 0, err
	}
	known, err := r.known(ctx)
	if err != nil {
		return 0, err
	}
	r.report.Known = known
	// Clones of one repository are told apart by the first commit that is theirs.
	name := r.chain[0].String() + "\n" + r.report.Branch
	if known > 0 && known < len(r.chain) {
		name += "\n" + r.chain[known].String()
	}
	sum := sha256.Sum256([]byte(name))
	r.ref = refPrefix + hex.EncodeToString(sum[:8])
	at, err := r.into.Ref(r.ref)
	switch {
	case errors.Is(err, gitrepo.ErrNotFound):
	case err != nil:
		return 0, err
	default:
		if from, err = r.continueAt(ctx, at); err != nil {
			return 0, err
		}
	}
	if known > from || (known > 0 && known == from) {
		from, r.tip = known, r.chain[known-1]
	}
	r.report.Earlier, r.report.Done = from, from
	return from, r.listPlaces(ctx, from)
}

// continueAt goes down the commits of earlier runs to the newest that the
// branch of the source still has.
func (r *run) continueAt(ctx context.Context, at gitrepo.Hash) (from int, err error) {
	index := make(map[string]int, len(r.chain))
	for i, h := range r.chain {
		index[h.String()] = i
	}
	r.was = at
	for !at.IsZero() {
		if _, ours := index[at.String()]; ours {
			return 0, nil // from here on the history is ours: see known
		}
		c, err := r.into.ReadCommit(ctx, at)
		if err != nil {
			return 0, fmt.Errorf("earlier import %s: %w", r.ref, err)
		}
		if i, ok := index[trailerOf(c.Message, fromTrailer)]; ok {
			from = i + 1
			break
		}
		at = gitrepo.Hash{}
		if len(c.Parents) > 0 {
			at = c.Parents[0]
		}
	}
	r.tip = at // without the parts of a commit, and what was rewritten since
	return from, nil
}

// join brings what was imported into the main branch.
func (r *run) join(ctx context.Context) error {
	if r.DryRun {
		return r.compare(ctx)
	}
	main := plumbing.NewHash(r.main)
	if r.main == "" {
		err := r.into.CreateBranch(gitrepo.Main, r.tip)
		if err == nil {
			r.report.Merge = r.tip.String()
			return nil
		}
		if !errors.Is(err, gitrepo.ErrExists) {
			return err
		}
	} else if held, err := r.into.IsAncestor(ctx, r.tip, main); held || err != nil {
		return err
	}
	result, err := r.into.MergeFavouring(ctx, gitrepo.MergeInput{
		Theirs: r.tip, Author: gitrepo.Signature(r.Author), At: r.Now().UTC(), Favour: gitrepo.FavourOurs,
		Whole: gitstore.IsDocument, AllowUnrelated: true,
		Message: fmt.Sprintf("Import the history of %s, branch %s", store.ASCII(filepath.Base(r.dir)), store.ASCII(r.report.Branch)),
		Before:  func(paths []string) error { return r.allOverridden(ctx, paths) },
	})
	if err != nil {
		return fmt.Errorf("join what was imported: %w", err)
	}
	r.report.Merge = result.Commit.String()
	return nil
}

// allOverridden notes what is not taken by one attempt to merge. What an earlier
// one noted, under which the branch moved, is forgotten.
func (r *run) allOverridden(ctx context.Context, paths []string) error {
	r.report.Conflicts, r.report.Kept = 0, []string{}
	for _, path := range paths {
		if err := r.overridden(ctx, path); err != nil {
			return err
		}
	}
	return nil
}

// overridden notes a document whose place was kept, unless both are the same.
func (r *run) overridden(ctx context.Context, path string) error {
	folder, err := document.ParsePath(path)
	if err != nil {
		return nil //nolint:nilerr // no document
	}
	id, ok := document.IDOfFolder(folder)
	if !ok {
		return nil
	}
	key := store.Key{ID: id, Folder: folder}
	_, theirs, err := r.here.Readable(ctx, r.tip.String(), key)
	if err != nil && !gitstore.Unreadable(err) && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	r.conflict(ctx, key, theirs)
	return nil
}

// compare finds what would be overridden.
func (r *run) compare(ctx context.Context) error {
	for id, p := range r.places {
		if r.base == "" && (!p.exists || !p.live) || r.base != "" && !p.touched {
			continue
		}
		key, theirs, err := store.Key{ID: id, Folder: p.here}, document.Hash{}, error(nil)
		if p.live {
			theirs, err = hashAt(ctx, r.docs, r.chain[len(r.chain)-1].String(), store.Key{ID: id, Folder: p.source})
		}
		if err == nil && r.base != "" {
			var was, ours document.Hash
			if was, err = hashAt(ctx, r.here, r.base, key); err == nil {
				ours, err = hashAt(ctx, r.here, r.main, key)
			}
			if was == ours || was == theirs {
				key = store.Key{} // one side changed it
			}
		}
		if err != nil {
			return err
		}
		if !key.ID.IsZero() {
			r.conflict(ctx, key, theirs)
		}
	}
	slices.Sort(r.report.Kept)
	return nil
}

// hashAt is the hash of a document in a commit, zero if none can be read there.
func hashAt(ctx context.Context, in *gitstore.Store, commit string, key store.Key) (document.Hash, error) {
	_, hash, err := in.Readable(ctx, commit, key)
	if gitstore.Unreadable(err) || errors.Is(err, store.ErrNotFound) {
		return document.Hash{}, nil
	}
	return hash, err
}

// conflict counts a document that the main branch holds with another hash.
func (r *run) conflict(ctx context.Context, key store.Key, theirs document.Hash) {
	doc, err := r.here.Get(ctx, key)
	if errors.Is(err, store.ErrNotFound) && theirs == (document.Hash{}) {
		return // both deleted it
	}
	if err == nil {
		if ours, err := doc.Hash(); err == nil && ours == theirs {
			return
		}
	}
	r.report.Conflicts++
	if len(r.report.Kept) < MaxListed {
		r.report.Kept = append(r.report.Kept, key.ID.String())
	}
}
