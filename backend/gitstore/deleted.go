package gitstore

import (
	"context"
	"errors"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/gitrepo"
	"github.com/caiatech/caiatop/backend/store"
)

// maxDeletedIn bounds the commits in which Deleted looks.
const maxDeletedIn = gitrepo.MaxLog

// errEnough ends a look for deletes.
var errEnough = errors.New("enough")

// Deleted returns the documents that the newest 10,000 commits below a commit
// deleted and that it does not hold, those deleted last first, at most most. It
// takes time for all that these commits changed. store.ErrNotFound if there is no
// such commit.
func (s *Store) Deleted(ctx context.Context, commit string, most int) (keys []store.Key, err error) {
	from, err := parseCommit(commit)
	if err != nil {
		return nil, err
	}
	var steps [][2]string
	err = s.repo.EachCommit(ctx, from, document.Path{}, func(c gitrepo.Commit) bool {
		if len(c.Parents) > 0 {
			steps = append(steps, [2]string{c.Parents[0].String(), c.Hash.String()})
		}
		return len(steps) < maxDeletedIn
	})
	if err != nil {
		return nil, wrap("look for deleted documents in git", err)
	}
	seen := map[document.ID]struct{}{}
	for _, step := range steps {
		_, err := s.Changes(ctx, step[0], step[1], func(c Change) error {
			if !c.Deleted {
				return nil
			}
			if _, known := seen[c.Key.ID]; known {
				return nil
			}
			seen[c.Key.ID] = struct{}{}
			there, err := s.Has(ctx, commit, c.Key.Folder)
			if err == nil && !there {
				if keys = append(keys, c.Key); len(keys) == most {
					return errEnough
				}
			}
			return err
		})
		if errors.Is(err, errEnough) {
			break
		}
		if err != nil {
			return nil, err
		}
	}
	return keys, nil
}
