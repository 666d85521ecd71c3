package gitstore

import (
	"context"
	"errors"

	"github.com/caiatech/caiatop/backend/gitrepo"
)

// Look returns the newest commit of the branch, "" if there is none, and
// whether the repository is still there: store.ErrIdentity if it is gone or
// lost files. It reads no document.
func (s *Store) Look(ctx context.Context) (tip string, err error) {
	if err := ctx.Err(); err != nil {
		return "", wrap("look at git", err)
	}
	if err := s.repo.Look(); err != nil {
		return "", wrap("look at git", err)
	}
	at, err := s.repo.Tip(s.branch)
	if errors.Is(err, gitrepo.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", wrap("look at git", err)
	}
	return at.String(), nil
}

// Restored says what Restore did.
type Restored = gitrepo.Restored

// Restore makes a repository usable again that was deleted, emptied or damaged
// under this process. tip is its newest commit as far as known, "" if unknown;
// aside is the path to which one that is damaged beyond that is moved.
func (s *Store) Restore(ctx context.Context, tip, aside string) (Restored, error) {
	var at gitrepo.Hash
	if tip != "" {
		var err error
		if at, err = parseCommit(tip); err != nil {
			return Restored{}, wrap("restore git", err)
		}
	}
	done, err := s.repo.Restore(ctx, s.branch, at, aside)
	return done, wrap("restore git", err)
}
