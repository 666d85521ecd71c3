package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/state"
	"github.com/caiatech/caiatop/backend/store"
	"github.com/caiatech/caiatop/probe"
)

const (
	// MaxHistory is the most revisions that one call returns.
	MaxHistory = 1000
	// historyPatience is how long a history waits for git to take what it
	// lacks of that document.
	historyPatience = 2 * time.Second
)

// Revision is one version of a document in git's history.
type Revision struct {
	Commit  string // names the version for GetAt
	At      time.Time
	Author  string // name; unsanitised
	Message string // unsanitised
	Deleted bool   // the document was deleted in this commit
}

// Change is what an undo of a document would do: the document goes from Now to
// Before. It is done with Replace(ctx, *Before, Base) or, where Before is nil, with
// Remove(ctx, ID, Base), which refuse once the document is no longer Now.
type Change struct {
	ID document.ID
	// Base is the hash of Now, zero if the document is deleted.
	Base document.Hash
	// Now is the newest version, nil if the document is deleted; Before is the
	// one that it replaced, nil if the document was not there.
	Now, Before *document.Document
	At          time.Time // of Now
	Commit      string    // that holds Before, "" if Before is nil
}

// ConflictError says that a document is no longer what a caller based its
// change on. It is a store.ErrConflict.
type ConflictError struct{ ID document.ID }

// Error names the document.
func (e *ConflictError) Error() string {
	return fmt.Sprintf("%q was changed meanwhile", e.ID)
}

// Unwrap makes errors.Is(err, store.ErrConflict) hold.
func (e *ConflictError) Unwrap() error { return store.ErrConflict }

// Replace is Put of one document that must still have the hash base, zero if it
// must not exist. Otherwise nothing is written and the error is a
// *ConflictError.
func (e *Engine) Replace(ctx context.Context, doc document.Document, base document.Hash) (Ack, error) {
	started := e.o.Now()
	ack, err := e.replace(ctx, doc, base)
	if !errors.Is(err, store.ErrConflict) {
		e.observe(probe.Write, started, 1, err)
	}
	return ack, err
}

func (e *Engine) replace(ctx context.Context, doc document.Document, base document.Hash) (Ack, error) {
	if err := e.admit(ctx, 1); err != nil {
		return Ack{}, err
	}
	if err := e.awaitAdopted(ctx); err != nil {
		return Ack{}, err
	}
	op, err := e.operation(ctx, doc, e.o.Now().UTC())
	if err != nil {
		return Ack{}, fmt.Errorf("put: %w", err)
	}
	return e.commitOver(ctx, op, base)
}

// Remove is Delete of one document that must still have the hash base.
// Otherwise nothing is deleted and the error is a *ConflictError, or wraps
// store.ErrNotFound if the document does not exist.
func (e *Engine) Remove(ctx context.Context, id document.ID, base document.Hash) (Ack, error) {
	started := e.o.Now()
	ack, err := e.removeOver(ctx, id, base)
	if !errors.Is(err, store.ErrConflict) {
		e.observe(probe.Delete, started, 1, err)
	}
	return ack, err
}

func (e *Engine) removeOver(ctx context.Context, id document.ID, base document.Hash) (Ack, error) {
	if err := e.admit(ctx, 1); err != nil {
		return Ack{}, err
	}
	row, err := e.o.State.Lookup(ctx, id)
	if err == nil && row.Deleted {
		err = store.ErrNotFound
	}
	if err != nil {
		return Ack{}, fmt.Errorf("delete %q: %w", id, err)
	}
	op := state.Operation{OpID: e.o.NewID(), Key: store.Key{ID: id, Folder: row.Folder}, At: e.o.Now().UTC()}
	return e.commitOver(ctx, op, base)
}

func (e *Engine) commitOver(ctx context.Context, op state.Operation, base document.Hash) (Ack, error) {
	op.Expect = &base
	ack, err := e.commit(ctx, []state.Operation{op})
	if errors.Is(err, store.ErrConflict) {
		return Ack{}, &ConflictError{op.Key.ID}
	}
	return ack, err
}

// History returns the newest revisions of a document first, at most limit and
// MaxHistory, of one that was deleted as well. The error wraps
// store.ErrNotFound if this id was never there, and store.ErrUnavailable if git
// does not hold the newest version yet or cannot be read.
func (e *Engine) History(ctx context.Context, id document.ID, limit int) ([]Revision, error) {
	row, err := e.inGit(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("history of %q: %w", id, err)
	}
	found, err := e.o.Git.History(ctx, store.Key{ID: row.ID, Folder: row.Folder}, min(limit, MaxHistory))
	if err != nil {
		return nil, fmt.Errorf("history of %q: %w", id, unavailable(ctx, err))
	}
	out := make([]Revision, len(found))
	for i, r := range found {
		out[i] = Revision{Commit: r.Commit, At: r.At, Author: r.Author.Name, Message: r.Message, Deleted: r.Deleted}
	}
	return out, nil
}

// inGit looks a document up and waits until git has its newest version.
func (e *Engine) inGit(ctx context.Context, id document.ID) (state.Row, error) {
	row, err := e.o.State.Lookup(ctx, id)
	if err != nil {
		return state.Row{}, err
	}
	wait, cancel := context.WithTimeout(ctx, historyPatience)
	defer cancel()
	if _, passed := e.gitMark.wait(wait, row.Seq); !passed {
		if ctx.Err() != nil {
			return state.Row{}, ctx.Err()
		}
		return state.Row{}, fmt.Errorf("%w: git does not hold its newest version yet %s", store.ErrUnavailable, e.replicaError(gitReplica))
	}
	return row, nil
}

// unavailable keeps what a caller decides on and makes ErrUnavailable of any
// other failure of git.
func unavailable(ctx context.Context, err error) error {
	if ctx.Err() != nil || errors.Is(err, store.ErrNotFound) {
		return err
	}
	return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
}

// GetAt returns a document as a commit of its History holds it. The error
// wraps store.ErrNotFound if that commit does not hold it.
func (e *Engine) GetAt(ctx context.Context, id document.ID, commit string) (document.Document, error) {
	row, err := e.o.State.Lookup(ctx, id)
	if err != nil {
		return document.Document{}, fmt.Errorf("get %q: %w", id, err)
	}
	doc, err := e.o.Git.GetAt(ctx, commit, store.Key{ID: row.ID, Folder: row.Folder})
	if err != nil {
		return document.Document{}, fmt.Errorf("get %q at %.12s: %w", id, commit, unavailable(ctx, err))
	}
	return doc, nil
}

// Undo returns the inverse of the newest change of a document, without doing
// it. Errors are those of History.
func (e *Engine) Undo(ctx context.Context, id document.ID) (Change, error) {
	revisions, err := e.History(ctx, id, 2)
	if err != nil {
		return Change{}, err
	}
	row, err := e.o.State.Lookup(ctx, id)
	if err != nil {
		return Change{}, fmt.Errorf("undo %q: %w", id, err)
	}
	c := Change{ID: id, At: row.UpdatedAt}
	if !row.Deleted {
		found, err := e.Get(ctx, id)
		if err != nil {
			return Change{}, err
		}
		c.Now, c.Base = &found.Document, found.Hash
	}
	if len(revisions) > 0 {
		c.At = revisions[0].At
	}
	if len(revisions) < 2 || revisions[1].Deleted {
		return c, nil
	}
	before, err := e.GetAt(ctx, id, revisions[1].Commit)
	if err != nil {
		return Change{}, err
	}
	c.Before, c.Commit = &before, revisions[1].Commit
	return c, nil
}
