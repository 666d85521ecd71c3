package documents

import (
	"context"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/tui/drafts"
)

// Source is where documents come from and go to.
type Source interface {
	Library
	Versions
}

// Library lists, reads, searches and deletes documents.
type Library interface {
	List(ctx context.Context, q engine.Query) (engine.Page, error)
	Get(ctx context.Context, id document.ID) (engine.Found, error)
	Search(ctx context.Context, query string, limit int) ([]engine.Hit, error)
	Delete(ctx context.Context, ids ...document.ID) (engine.Ack, error)
}

// Versions writes documents over the version that the writer saw, and knows the
// versions before it. What is no longer what the writer saw is an
// *engine.ConflictError.
type Versions interface {
	// Replace writes a document over the version base, zero for a new one.
	Replace(ctx context.Context, doc document.Document, base document.Hash) (engine.Ack, error)
	// Remove deletes the version base of a document.
	Remove(ctx context.Context, id document.ID, base document.Hash) (engine.Ack, error)
	History(ctx context.Context, id document.ID, limit int) ([]engine.Revision, error)
	GetAt(ctx context.Context, id document.ID, commit string) (document.Document, error)
	Undo(ctx context.Context, id document.ID) (engine.Change, error)
}

// Drafts keeps what was typed and not saved yet. It may be called by several
// goroutines.
type Drafts interface {
	Save(ctx context.Context, d drafts.Draft) error
	// Drop forgets a draft. There need not be one.
	Drop(ctx context.Context, id document.ID, owner string) error
	List(ctx context.Context) ([]drafts.Draft, error)
}
