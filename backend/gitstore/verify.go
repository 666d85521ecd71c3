package gitstore

import (
	"context"

	"github.com/caiatech/caiatop/backend/gitrepo"
)

// Verify reads the whole repository and says what of it is damaged. progress, if
// set, is told how far it is. What is found is in Damage from then on.
func (s *Store) Verify(ctx context.Context, progress func(done, total int64)) (gitrepo.VerifyReport, error) {
	report, err := s.repo.Verify(ctx, gitrepo.VerifyOptions{Progress: progress})
	return report, wrap("verify git", err)
}
