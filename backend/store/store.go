// Package store says what a store of documents is: the interface that every
// store implements, the errors that callers decide on, and (in storetest) the
// one conformance suite that all of them pass.
//
// Stores know nothing of each other, of the outbox or of phases. Only the
// engine's replicators write to a store; everything else reads.
package store

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/caiatech/caiatop/backend/document"
)

// Path names a place in a store.
type Path = document.Path

// Sentinel errors; stores wrap them with the operation and the object.
var (
	// ErrNotFound: the store answers and does not hold the document.
	ErrNotFound = errors.New("not found")
	// ErrConflict: the store holds something else than the operation expected.
	ErrConflict = errors.New("conflict")
	// ErrAmbiguous: the operation may or may not have happened. Read before
	// trying again.
	ErrAmbiguous = errors.New("outcome unknown")
	// ErrUnavailable: the store cannot be reached or does not answer now.
	ErrUnavailable = errors.New("unavailable")
	// ErrUnauthorized: the store refuses our credentials (401 or 403). It is
	// never an outage.
	ErrUnauthorized = errors.New("not authorized")
	// ErrForbidden: the store knows who we are, and we may not do that (403). It
	// is an ErrUnauthorized.
	ErrForbidden error = forbidden{}
	// ErrReadOnly: the store can be read but not written.
	ErrReadOnly = errors.New("read only")
	// ErrDiskFull: no space is left.
	ErrDiskFull = errors.New("disk full")
	// ErrIdentity: the store is not the one that it should be, or lost what
	// identifies it (a repository that is gone).
	ErrIdentity = errors.New("identity")
	// ErrTooLarge: the document is over this store's own limit. It is not
	// retried.
	ErrTooLarge = errors.New("too large for this store")
	// ErrCorrupt: what the store holds cannot be read as what it should be.
	ErrCorrupt = errors.New("corrupt")
)

type forbidden struct{}

func (forbidden) Error() string { return "not permitted" }

// Unwrap makes errors.Is(err, ErrUnauthorized) hold.
func (forbidden) Unwrap() error { return ErrUnauthorized }

// Key addresses a document: its identity and the folder that holds its files.
type Key struct {
	ID     document.ID
	Folder Path
}

// NewKey returns the key of a new document in the given layout.
func NewKey(l document.Layout, d document.Document) Key {
	return Key{d.ID, l.Folder(d.Source.Type, d.CreatedAt, d.ID)}
}

// Op is one change of one document.
type Op struct {
	ID  string // operation id, unique; "" only in tests and benchmarks
	Key Key
	Doc *document.Document // nil deletes
	// Over lists the versions that the change may replace, as far as the caller
	// knows: where the store holds another one, the change is left out and the
	// error wraps ErrConflict. Nothing, what cannot be read, and what is wanted
	// already are always replaced. Empty means that the caller knows of none; nil
	// asks for no condition. A store that nobody else writes to need not look.
	Over []document.Hash
	// Hash is that of Doc, zero if it was not told. It saves a store that regards
	// Over from making it again.
	Hash document.Hash
}

// Batch is applied as a whole or not at all. It holds at most one operation a
// document.
type Batch struct {
	Ops    []Op
	Author Author
	At     time.Time // time of the commit, UTC
	// Trailers are written below the message of the commit, where the store
	// has commits.
	Trailers []Trailer
}

// Author is named in commits. Both fields are required by stores with commits.
type Author struct{ Name, Email string }

// Trailer is one "Key: value" line below a commit message.
type Trailer struct{ Key, Value string }

// Receipt says what a store did with a batch.
type Receipt struct {
	// Commit is the hash of the commit that holds the batch, or "" if the
	// store has no commits or nothing changed.
	Commit string
	// Written is how many of the operations changed something, as far as the store
	// tells; 0 where it does not.
	Written int
	// Window is how long others could have written between the look at what was
	// there and the commit, where a store takes no conditions; 0 elsewhere, and
	// where it does not tell.
	Window time.Duration
}

// Revision is one version of a document in a store's history.
type Revision struct {
	Commit  string
	Author  Author
	At      time.Time
	Message string
	Deleted bool
}

// Entry is one document of a listing.
type Entry struct {
	Key Key
	// Version changes whenever the document does. It is opaque, and equal
	// versions mean equal content within one store.
	Version string
}

// Store holds documents. All methods are safe for concurrent use, and a
// cancelled context modifies nothing.
type Store interface {
	// Get returns the newest version. ErrNotFound if there is none.
	Get(ctx context.Context, key Key) (document.Document, error)
	// Apply makes all changes of the batch visible at once. Deleting what is
	// absent and putting what is already there are no errors.
	Apply(ctx context.Context, batch Batch) (Receipt, error)
	// List yields every document, in no particular order. An error ends it.
	List(ctx context.Context) iter.Seq2[Entry, error]
	// History returns the newest revisions of a document first, at most limit.
	// A document that never existed has none, which is no error.
	History(ctx context.Context, key Key, limit int) ([]Revision, error)
}

// Merger is a store that has branches.
type Merger interface {
	Store
	// Branch creates a branch at the tip of main and returns the store of it.
	Branch(ctx context.Context, name string) (Store, error)
	// Merge brings a branch into main by a three-way merge and returns the
	// commit. Documents changed on both sides to different content make it
	// fail with a *MergeConflictError, and nothing is changed.
	Merge(ctx context.Context, branch string, author Author, at time.Time) (Receipt, error)
}

// MergeConflictError lists the paths that both sides changed. It is an
// ErrConflict.
type MergeConflictError struct{ Paths []string }

// Error names the paths.
func (e *MergeConflictError) Error() string {
	out := "merge conflict in"
	for _, p := range e.Paths {
		out += " " + p
	}
	return out
}

// Unwrap makes errors.Is(err, ErrConflict) hold.
func (e *MergeConflictError) Unwrap() error { return ErrConflict }
