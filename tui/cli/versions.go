package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/backend/store"
	"github.com/caiatech/caiatop/probe/httpapi"
	"github.com/caiatech/caiatop/tui/ui"
)

// History implements httpapi.Versions.
func (l Local) History(ctx context.Context, id string, limit int) ([]httpapi.Revision, error) {
	parsed, err := document.ParseID(id)
	if err != nil {
		return nil, apiError(err)
	}
	if limit == 0 {
		limit = httpapi.DefaultHistory
	}
	if limit < 0 || limit > httpapi.MaxHistory {
		return nil, httpapi.NewError(fmt.Errorf("%w: the limit %d is not within 1 to %s", httpapi.ErrInvalid, limit, ui.Count(httpapi.MaxHistory)), "")
	}
	if err := l.awaitAdopted(ctx); err != nil {
		return nil, err
	}
	found, err := l.engine.History(ctx, parsed, limit)
	if err != nil {
		return nil, apiError(err)
	}
	out := make([]httpapi.Revision, 0, len(found))
	for _, r := range found {
		out = append(out, httpapi.Revision(r))
	}
	return out, nil
}

// GetAt implements httpapi.Versions.
func (l Local) GetAt(ctx context.Context, id, commit string) (httpapi.Document, error) {
	parsed, err := document.ParseID(id)
	if err != nil {
		return httpapi.Document{}, apiError(err)
	}
	if err := l.awaitAdopted(ctx); err != nil {
		return httpapi.Document{}, err
	}
	doc, err := l.engine.GetAt(ctx, parsed, commit)
	if err != nil {
		return httpapi.Document{}, versionError(id, err)
	}
	return versionToAPI(doc)
}

// versionError is apiError where it may be the version that is not there.
func versionError(id string, err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return httpapi.NewError(apiError(err), "list its versions with: caiatop history "+shellWord(id))
	}
	return apiError(err)
}

// versionToAPI is toAPI with the hash of the version.
func versionToAPI(doc document.Document) (httpapi.Document, error) {
	hash, err := doc.Hash()
	if err != nil {
		return httpapi.Document{}, apiError(err)
	}
	out, err := toAPI(doc)
	out.Hash = hash.String()
	return out, err
}

// Restore implements httpapi.Versions.
func (l Local) Restore(ctx context.Context, id, commit, base string) (httpapi.Ack, error) {
	parsed, err := document.ParseID(id)
	if err != nil {
		return httpapi.Ack{}, apiError(err)
	}
	hash, err := parseBase(base)
	if err != nil {
		return httpapi.Ack{}, err
	}
	if err := l.awaitAdopted(ctx); err != nil {
		return httpapi.Ack{}, err
	}
	ack, err := l.engine.Restore(ctx, parsed, commit, hash)
	return toAck(ack), versionError(id, err)
}

// Replace implements httpapi.Conditional.
func (l Local) Replace(ctx context.Context, d httpapi.Document, base string) (httpapi.Ack, error) {
	doc, err := fromAPI(d)
	if err != nil {
		return httpapi.Ack{}, apiError(err)
	}
	hash, err := parseBase(base)
	if err != nil {
		return httpapi.Ack{}, err
	}
	ack, err := l.engine.Replace(ctx, doc, hash)
	return toAck(ack), apiError(err)
}

// Remove implements httpapi.Conditional.
func (l Local) Remove(ctx context.Context, id, base string) (httpapi.Ack, error) {
	parsed, err := document.ParseID(id)
	if err != nil {
		return httpapi.Ack{}, apiError(err)
	}
	hash, err := parseBase(base)
	if err != nil {
		return httpapi.Ack{}, err
	}
	if err := l.awaitAdopted(ctx); err != nil {
		return httpapi.Ack{}, err
	}
	ack, err := l.engine.Remove(ctx, parsed, hash)
	return toAck(ack), apiError(err)
}

// parseBase reads the hash of a version, "" for none.
func parseBase(base string) (document.Hash, error) {
	if base == "" {
		return document.Hash{}, nil
	}
	hash, err := document.ParseHash(base)
	if err != nil {
		return document.Hash{}, httpapi.NewError(fmt.Errorf("%w: the base: %w", httpapi.ErrInvalid, err), "")
	}
	return hash, nil
}

// Undo implements httpapi.Versions.
func (l Local) Undo(ctx context.Context, id string) (httpapi.Change, error) {
	parsed, err := document.ParseID(id)
	if err != nil {
		return httpapi.Change{}, apiError(err)
	}
	if err := l.awaitAdopted(ctx); err != nil {
		return httpapi.Change{}, err
	}
	found, err := l.engine.Undo(ctx, parsed)
	if err != nil {
		return httpapi.Change{}, apiError(err)
	}
	return toChange(found)
}

func toChange(c engine.Change) (out httpapi.Change, err error) {
	out = httpapi.Change{ID: c.ID.String(), At: c.At, Commit: c.Commit}
	if c.Now != nil {
		out.Base = c.Base.String()
		if out.Now, err = pointed(*c.Now); err != nil {
			return httpapi.Change{}, err
		}
	}
	if c.Before != nil {
		if out.Before, err = pointed(*c.Before); err != nil {
			return httpapi.Change{}, err
		}
	}
	return out, nil
}

func pointed(doc document.Document) (*httpapi.Document, error) {
	out, err := versionToAPI(doc)
	return &out, err
}
