package gitrepo

import (
	"context"
	"fmt"
	"slices"
)

// IsAncestor reports whether b is a or was built upon it. ErrNotFound if one of
// them does not exist. It reads the commits that one has and the other lacks,
// whatever their times say.
func (r *Repo) IsAncestor(ctx context.Context, a, b Hash) (bool, error) {
	older, err := r.ReadCommit(ctx, a)
	if err != nil {
		return false, err
	}
	younger, err := r.ReadCommit(ctx, b)
	if err != nil {
		return false, err
	}
	// An ancestor of the other is the best common one.
	bases, err := r.mergeBases(ctx, older, younger)
	if err != nil {
		return false, fmt.Errorf("is %s in %s: %w", a, b, err)
	}
	return slices.ContainsFunc(bases, func(c Commit) bool { return c.Hash == a }), nil
}
