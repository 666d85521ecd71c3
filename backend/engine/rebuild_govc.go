package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/state"
	"github.com/caiatech/caiatop/backend/store"
)

// rebuilding reports that the state file was made anew and that the service was
// not compared since.
func (e *Engine) rebuilding() bool { return e.o.State.Meta(metaRebuild) != "" }

// mayJoin reports, once it is known what git holds, whether a state that was
// made anew has nothing of its own: then it is a new one like any other.
func (e *Engine) mayJoin(ctx context.Context) (bool, error) {
	if !e.rebuilding() {
		return e.isNew(), nil
	}
	if err := e.adoptedGit(ctx); err != nil || !e.isNew() {
		return false, err
	}
	return true, local(e.o.State.SetMeta(ctx, metaRebuild, ""))
}

// takeNewer takes over what the service holds and git does not, after the state
// file was made anew: the outbox that would have brought it to git is gone. It
// belongs to the goroutine that writes to the service, and may be repeated.
//
// Of a document that both hold, the service's version is taken if git never had
// it, git's is kept in the history, and the service's was written later. What
// git holds and the service was told to delete since is deleted. Everything
// else is for the comparison that follows.
func (e *Engine) takeNewer(ctx context.Context) error {
	if !e.rebuilding() {
		return nil
	}
	if err := e.adoptedGit(ctx); err != nil {
		return err
	}
	n := &newer{e: e}
	if err := n.known(ctx); err != nil {
		return err
	}
	if err := n.strangers(ctx); err != nil {
		return err
	}
	if err := e.o.State.SetMeta(ctx, metaRebuild, ""); err != nil {
		return local(err)
	}
	if n.taken+n.deleted > 0 {
		e.event(Info, rebuildKind, fmt.Sprintf("Took over from the service what git did not have yet: %d versions, %d deletes", n.taken, n.deleted), "")
	}
	return nil
}

// newer counts what is taken over.
type newer struct {
	e  *Engine
	mu sync.Mutex // one version is taken at a time

	taken, deleted int
}

// known compares the documents that the index knows.
func (n *newer) known(ctx context.Context) error {
	n.e.setProgress("comparing the service with git", n.e.o.State.Summary().Documents)
	for after := ""; ; {
		rows, err := n.e.o.State.Scan(ctx, after, snapshotPage)
		if err != nil {
			return local(err)
		}
		if len(rows) == 0 {
			return nil
		}
		group, inner := errgroup.WithContext(ctx)
		group.SetLimit(readers)
		for _, row := range rows {
			group.Go(func() error { return n.row(inner, row) })
		}
		if err := group.Wait(); err != nil {
			return err
		}
		n.e.advanceProgress(int64(len(rows)))
		after = rows[len(rows)-1].ID.String()
	}
}

func (n *newer) row(ctx context.Context, row state.Row) error {
	key := store.Key{ID: row.ID, Folder: row.Folder}
	doc, err := n.e.o.Primary.Get(ctx, key)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return n.deletedThere(ctx, row, key)
	case err != nil && aboutDocument(err):
		return nil // written again by the comparison
	case err != nil:
		return err
	}
	hash, err := doc.Hash()
	if err != nil || hash == row.Hash || !doc.UpdatedAt.After(row.UpdatedAt) {
		return nil //nolint:nilerr // as above
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if held, err := n.inGit(ctx, row, key); err != nil || !held {
		return err // a version that is nowhere else is not replaced
	}
	w := snapshotOf(row)
	if err := n.e.addEarlier(ctx, &w); err != nil {
		return err
	}
	if w.isOurs(hash) {
		return nil // git had it before
	}
	err = n.e.inbound(ctx, key, &doc, primaryReplica, row.Hash)
	if errors.Is(err, store.ErrConflict) {
		return nil // a caller wrote it meanwhile: the replay compares
	}
	if err == nil {
		n.taken++
	}
	return err
}

// inGit reports whether git holds the version that the index has.
func (n *newer) inGit(ctx context.Context, row state.Row, key store.Key) (bool, error) {
	doc, err := n.e.readGit(ctx, row, key)
	if err != nil {
		return false, ctx.Err()
	}
	return matches(doc, row.Hash) == nil, nil
}

// deletedThere takes over a delete that the service can prove: its newest
// revision of the document is one, and later than the version in git.
func (n *newer) deletedThere(ctx context.Context, row state.Row, key store.Key) error {
	revisions, err := n.e.o.Primary.History(ctx, key, 1)
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, store.ErrNotFound) || (err == nil && len(revisions) == 0) {
		return nil
	}
	if err != nil {
		return err
	}
	// Commits count seconds.
	if !revisions[0].Deleted || revisions[0].At.Before(row.UpdatedAt.Truncate(time.Second)) {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if held, err := n.inGit(ctx, row, key); err != nil || !held {
		return err
	}
	err = n.e.inbound(ctx, key, nil, primaryReplica, row.Hash)
	if errors.Is(err, store.ErrConflict) {
		return nil
	}
	if err == nil {
		n.deleted++
	}
	return err
}

// strangers takes over what only the service holds. What git once held and does
// not any more was deleted here: it is deleted there, if git knows the version.
func (n *newer) strangers(ctx context.Context) error {
	t := takeover{e: n.e}
	var gone []wanted
	for entry, err := range n.e.o.Primary.List(ctx) {
		if errors.Is(err, errors.ErrUnsupported) {
			return t.named(ctx)
		}
		if err != nil {
			return err
		}
		w, deleted, err := n.deletedHere(ctx, entry.Key)
		if err == nil && deleted {
			gone = append(gone, w)
			continue
		}
		if err == nil {
			err = t.take(ctx, entry.Key)
		}
		if err != nil {
			return err
		}
	}
	n.taken += t.taken
	t.taken = 0 // told with the rest
	t.tell("")
	if len(gone) == 0 {
		return nil
	}
	n.deleted += len(gone)
	_, _, err := n.e.bring(ctx, gone)
	return err
}

// deletedHere reports a document that git's newest revision deleted, and of
// which the service holds a version that git had.
func (n *newer) deletedHere(ctx context.Context, key store.Key) (w wanted, deleted bool, err error) {
	if _, err := n.e.o.State.Lookup(ctx, key.ID); !errors.Is(err, store.ErrNotFound) {
		return w, false, local(err)
	}
	revisions, err := n.e.o.Git.History(ctx, key, 1)
	if err != nil || len(revisions) == 0 || !revisions[0].Deleted {
		return w, false, local(err)
	}
	doc, err := n.e.o.Primary.Get(ctx, key)
	if err != nil {
		if errors.Is(err, store.ErrNotFound) || aboutDocument(err) {
			return w, false, nil
		}
		return w, false, err
	}
	hash, err := doc.Hash()
	if err != nil {
		return w, false, nil //nolint:nilerr // taken over as it is, or told as unreadable
	}
	w = wanted{newest: state.Outgoing{Key: key, Delete: true, At: n.e.o.Now()}, ours: map[document.Hash]struct{}{}}
	if err := n.e.addEarlier(ctx, &w); err != nil {
		return w, false, err
	}
	return w, w.isOurs(hash), nil
}
