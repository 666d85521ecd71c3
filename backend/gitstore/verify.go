package gitstore

import (
	"context"
	"errors"
	"time"

	"github.com/caiatech/caiatop/backend/gitrepo"
)

// Verify reads the whole repository and says what of it is damaged. progress, if
// set, is told how far it is. What is found is in Damage from then on.
func (s *Store) Verify(ctx context.Context, progress func(done, total int64)) (gitrepo.VerifyReport, error) {
	report, err := s.repo.Verify(ctx, gitrepo.VerifyOptions{Progress: progress})
	return report, wrap("verify git", err)
}

// NewestAt returns when the newest commit of the branch was made, zero if there is
// none.
func (s *Store) NewestAt(ctx context.Context) (time.Time, error) {
	const operation = "look at git's newest commit"
	tip, err := s.repo.Tip(s.branch)
	if errors.Is(err, gitrepo.ErrNotFound) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, wrap(operation, err)
	}
	c, err := s.repo.ReadCommit(ctx, tip)
	return c.At, wrap(operation, err)
}
