package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/caiatech/caiatop/backend/store"
	"github.com/caiatech/caiatop/probe"
)

// Search returns the documents that hold every word of the query, best first.
// Words in double quotes are a phrase; the last word matches its beginnings. It
// does not wait for the full-text index: see Stats for how far that is.
func (e *Engine) Search(ctx context.Context, query string, limit int) ([]Hit, error) {
	started := e.o.Now()
	found, _, err := e.o.Derived.Search(ctx, query, min(max(limit, 1), 1000))
	e.measure(probe.Search, probe.Engine, e.o.Now().Sub(started), err)
	if err != nil {
		return nil, fmt.Errorf("search: %w", err)
	}
	hits := make([]Hit, 0, len(found))
	for _, h := range found {
		r, err := e.o.State.Lookup(ctx, h.ID)
		if errors.Is(err, store.ErrNotFound) || (err == nil && r.Deleted) {
			continue // deleted, and the text index has not come that far
		}
		if err != nil {
			return nil, fmt.Errorf("search: %w", err)
		}
		row, err := e.describe(ctx, r)
		if err != nil {
			return nil, fmt.Errorf("search: %w", err)
		}
		hits = append(hits, Hit{Row: row, Snippet: h.Snippet})
	}
	e.touch()
	return hits, nil
}

// SearchAll is Search once the full-text index has reached every write that was
// acknowledged before, within the budget. Behind is how many of them it lacks all
// the same: then there may be more than what was found.
func (e *Engine) SearchAll(ctx context.Context, query string, limit int) (hits []Hit, behind int64, err error) {
	through := e.o.State.Summary().MaxSeq
	if e.replicaError(textReplica) == "" { // else nobody knows when it goes on
		wait, cancel := context.WithTimeout(ctx, e.o.Budget-localReserve)
		e.textMark.wait(wait, through)
		cancel()
	}
	behind = max(0, through-e.textMark.now())
	hits, err = e.Search(ctx, query, limit)
	return hits, behind, err
}
