package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
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
	// undoDepth is how many revisions an undo looks at.
	undoDepth = 50
	// undoAttempts is how often an undo begins again because the document was
	// written meanwhile.
	undoAttempts = 3
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
//
// A document with a time of its update was read as a whole, from Get, GetAt or
// an Undo: it is written as it is, and an earlier version comes back without
// the unknown fields of metadata.json that came later. One without was made by a
// caller who may not know of such fields, and inherits them as with Put.
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
	if err := errors.Join(e.awaitAdopted(ctx), e.roomToKeep()); err != nil {
		return Ack{}, err
	}
	op, err := e.operation(ctx, doc, e.o.Now().UTC(), !doc.UpdatedAt.IsZero())
	if err != nil {
		return Ack{}, fmt.Errorf("put: %w", err)
	}
	return e.commitOver(ctx, op, base)
}

// Restore is Replace with the document as a commit of its History holds it,
// metadata included. The error wraps store.ErrNotFound if that commit does not
// hold it.
func (e *Engine) Restore(ctx context.Context, id document.ID, commit string, base document.Hash) (Ack, error) {
	doc, err := e.GetAt(ctx, id, commit)
	if err != nil {
		return Ack{}, err
	}
	if doc.UpdatedAt.IsZero() { // as others may write it; Replace sets it anew
		doc.UpdatedAt = e.o.Now()
	}
	return e.Replace(ctx, doc, base)
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
	if base.IsZero() {
		return Ack{}, &ConflictError{id} // it must not exist, and it does
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
// MaxHistory, of one that was deleted as well. Of versions that came while git
// was far behind, git holds only the last. It takes the longer the more commits
// have to be looked at, at most the budget of one operation; fewer revisions than limit mean that there are no more.
//
// The error wraps store.ErrNotFound if this id was never there, or was deleted
// so long ago that the state file forgot it, and store.ErrUnavailable if git
// does not hold the newest version yet, cannot be read, or takes too long.
func (e *Engine) History(ctx context.Context, id document.ID, limit int) ([]Revision, error) {
	bounded, cancel := context.WithTimeout(ctx, e.o.Budget)
	defer cancel()
	out, err := e.history(bounded, id, limit)
	if err != nil && ctx.Err() == nil && bounded.Err() != nil {
		err = fmt.Errorf("history of %q: %w: git has more commits than can be looked at in %s", id, store.ErrUnavailable, e.o.Budget)
	}
	return out, err
}

func (e *Engine) history(ctx context.Context, id document.ID, limit int) ([]Revision, error) {
	row, err := e.inGit(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("history of %q: %w", id, err)
	}
	found, err := e.o.Git.History(ctx, store.Key{ID: row.ID, Folder: row.Folder}, min(limit, MaxHistory))
	if err != nil {
		return nil, fmt.Errorf("history of %q: %w", id, e.unavailable(ctx, err))
	}
	if limit > 0 && len(found) == 0 {
		signal(e.wakeGit) // which then looks whether the repository is still whole
		return nil, fmt.Errorf("history of %q: %w: git does not hold it", id, store.ErrUnavailable)
	}
	out := make([]Revision, len(found))
	for i, r := range found {
		out[i] = Revision{Commit: r.Commit, At: r.At, Author: r.Author.Name, Message: r.Message, Deleted: r.Deleted}
	}
	return out, nil
}

// inGit looks a document up and waits until git has its newest version.
func (e *Engine) inGit(ctx context.Context, id document.ID) (state.Row, error) {
	row, err := e.everKnown(ctx, id)
	if err != nil {
		return state.Row{}, err
	}
	if !e.phase().stores().git {
		return state.Row{}, ErrNoGit
	}
	e.flushGit(row.Seq)
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

// everKnown is the row of a document, also of one that was deleted so long ago
// that the index has none; that row has an identity and a folder only.
func (e *Engine) everKnown(ctx context.Context, id document.ID) (state.Row, error) {
	row, err := e.o.State.Lookup(ctx, id)
	if !errors.Is(err, store.ErrNotFound) {
		return row, err
	}
	folder, grave := e.o.State.Grave(ctx, id)
	if errors.Is(grave, store.ErrNotFound) {
		return state.Row{}, err
	}
	return state.Row{ID: id, Folder: folder, Deleted: true}, grave
}

// unavailable keeps what a caller decides on and makes ErrUnavailable of any
// other failure of git, which is then looked at.
func (e *Engine) unavailable(ctx context.Context, err error) error {
	if ctx.Err() != nil || errors.Is(err, store.ErrNotFound) {
		return err
	}
	signal(e.wakeGit)
	return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
}

// GetAt returns a document as a commit of its History holds it. The error
// wraps store.ErrNotFound if that commit does not hold it.
func (e *Engine) GetAt(ctx context.Context, id document.ID, commit string) (document.Document, error) {
	row, err := e.everKnown(ctx, id)
	if err != nil {
		return document.Document{}, fmt.Errorf("get %q: %w", id, err)
	}
	doc, err := e.o.Git.GetAt(ctx, commit, store.Key{ID: row.ID, Folder: row.Folder})
	if err != nil {
		return document.Document{}, fmt.Errorf("get %q at %.12s: %w", id, commit, e.unavailable(ctx, err))
	}
	return doc, nil
}

// Undo returns the inverse of the newest change of a document, without doing
// it. Errors are those of History; store.ErrUnavailable also means that git does
// not hold the version before: it came and went while git was behind, or git
// lost it.
func (e *Engine) Undo(ctx context.Context, id document.ID) (Change, error) {
	for attempt := 1; ; attempt++ {
		row, err := e.everKnown(ctx, id)
		if err != nil {
			return Change{}, fmt.Errorf("undo %q: %w", id, err)
		}
		c, err := e.undo(ctx, row)
		now, lookup := e.everKnown(ctx, id)
		if lookup != nil {
			return Change{}, fmt.Errorf("undo %q: %w", id, lookup)
		}
		// What was gathered belongs together only if nothing was written meanwhile.
		if now.Hash == row.Hash && now.Deleted == row.Deleted && (now.Seq == row.Seq || now.Deleted) {
			return c, err
		}
		if attempt == undoAttempts {
			return Change{}, &ConflictError{id}
		}
	}
}

func (e *Engine) undo(ctx context.Context, row state.Row) (Change, error) {
	c := Change{ID: row.ID, At: row.UpdatedAt}
	if !row.Deleted {
		found, err := e.Get(ctx, row.ID)
		if err != nil {
			return Change{}, err
		}
		c.Now, c.Base = &found.Document, found.Hash
	}
	revisions, err := e.History(ctx, row.ID, undoDepth)
	if err != nil {
		return Change{}, err
	}
	// The newest revision is that of Now, unless somebody pushed on top of it, or
	// files beside the document were changed: those with other content are passed
	// over until Now is met, and those with the same after it.
	met := -1
	for i, r := range revisions {
		same, doc, err := e.isVersion(ctx, r, c)
		switch {
		case err != nil:
			return Change{}, err
		case same:
			met, c.At = i, r.At
		case met < 0:
		case r.Deleted:
			return c, nil
		default:
			c.Before, c.Commit = &doc, r.Commit
			return c, nil
		}
	}
	switch {
	case met < 0, len(revisions) == undoDepth:
		return Change{}, fmt.Errorf("undo %q: %w: the newest %d revisions in git do not tell what was before", row.ID, store.ErrUnavailable, len(revisions))
	case !begins(revisions[met].Message, row.ID):
		return Change{}, fmt.Errorf("undo %q: %w: git does not hold the version before", row.ID, store.ErrUnavailable)
	}
	return c, nil
}

// isVersion reports whether a revision is the version Now of c, and returns the
// document that it holds.
func (e *Engine) isVersion(ctx context.Context, r Revision, c Change) (bool, document.Document, error) {
	if r.Deleted || c.Now == nil {
		if r.Deleted {
			return c.Now == nil, document.Document{}, nil
		}
		doc, err := e.GetAt(ctx, c.ID, r.Commit)
		return false, doc, err
	}
	doc, err := e.GetAt(ctx, c.ID, r.Commit)
	if err != nil {
		return false, document.Document{}, err
	}
	hash, err := doc.Hash()
	return hash == c.Base, doc, err
}

// begins reports whether the first commit of a document in git's history is
// also its beginning: not one that brought back what git had lost, nor one that
// holds the last of several versions.
func begins(message string, id document.ID) bool {
	return !strings.Contains(message, "\n"+copyTrailer+": ") &&
		!strings.Contains(message, "\n"+foldedTrailer+": "+document.ShortHash(id.String()))
}
