package govcd

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/gitrepo"
)

// commit commits exactly what is staged when its turn comes.
func (r *repo) commit(ctx context.Context, c CommitRequest) (commitAnswer, error) {
	select {
	case r.committing <- struct{}{}:
		defer func() { <-r.committing }()
	case <-ctx.Done():
		return commitAnswer{}, ctx.Err()
	}
	r.mu.Lock()
	if len(r.index) == 0 {
		r.mu.Unlock()
		return commitAnswer{}, nothingToCommit()
	}
	if err := r.charge(costOfCommit(c), r.service.maxBytes+r.service.maxBytes/commitRoom); err != nil {
		r.mu.Unlock()
		return commitAnswer{}, err
	}
	r.taken, r.index = r.index, map[string]change{}
	author, parent, born := r.author, r.tip, r.born
	changes := sortedChanges(r.taken)
	r.mu.Unlock()

	shown := author
	if name := signable(c.Author); name != "" {
		author.Name, shown.Name = name, c.Author
	}
	if email := signable(c.Email); email != "" {
		author.Email, shown.Email = email, c.Email
	}
	at := c.Timestamp
	if at.IsZero() {
		at = r.service.now()
	}
	hash, err := r.git.Commit(ctx, gitrepo.CommitInput{
		Branch: branch, Changes: changes, Message: c.Message, Author: author, At: at.UTC(), AllowEmpty: true,
	})
	r.settle(hash, author, costOfCommit(c), err)
	if errors.Is(err, gitrepo.ErrNothing) {
		return commitAnswer{}, nothingToCommit()
	}
	if err != nil {
		return commitAnswer{}, fmt.Errorf("commit to repository %s: %w", r.id, err)
	}
	done := commitAnswer{Hash: hash.String(), Message: c.Message, Author: shown.Name, Email: shown.Email, Timestamp: at.UTC()}
	if born {
		done.Parent = parent.String()
	}
	return done, nil
}

func nothingToCommit() error {
	return fail(http.StatusBadRequest, "COMMIT_FAILED", "failed to commit: nothing to commit")
}

// sortedChanges puts deletions first, so that a file may take the place of a
// folder that goes away in the same commit.
func sortedChanges(taken map[string]change) []gitrepo.Change {
	changes := make([]gitrepo.Change, 0, len(taken))
	for _, c := range taken {
		changes = append(changes, gitrepo.Change{Path: c.path, Data: c.data, Delete: c.deleted})
	}
	slices.SortFunc(changes, func(a, b gitrepo.Change) int {
		if a.Delete != b.Delete {
			if a.Delete {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Path.String(), b.Path.String())
	})
	return changes
}

// settle ends a commit: the tip moves, or what was taken is staged again,
// below what was staged since.
func (r *repo) settle(hash gitrepo.Hash, author gitrepo.Signature, cost int64, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := r.taken
	r.taken = nil
	if err == nil {
		r.tip, r.born, r.author = hash, true, author
	} else {
		r.refund(cost)
		for p, c := range taken {
			if _, newer := r.index[p]; !newer {
				r.index[p] = c
			}
		}
	}
	r.recount()
}

// log returns the newest commits first, of one path if it is not the root.
func (r *repo) log(ctx context.Context, p document.Path, limit, skip int) (logAnswer, error) {
	out := logAnswer{Commits: []commitAnswer{}}
	tip, born := r.head()
	if !born {
		return out, nil
	}
	commits, err := r.git.Log(ctx, tip, gitrepo.LogOptions{Path: p, Limit: limit, Skip: skip})
	if err != nil {
		return out, err
	}
	for _, c := range commits {
		entry := commitAnswer{
			Hash: c.Hash.String(), Message: strings.TrimSuffix(c.Message, "\n"), Author: c.Author.Name, Email: c.Author.Email, Timestamp: c.At.UTC(),
		}
		if len(c.Parents) > 0 {
			entry.Parent = c.Parents[0].String()
		}
		if !p.IsZero() {
			present, err := r.presentAt(ctx, c.Hash, p)
			if err != nil {
				return out, err
			}
			entry.Deleted = !present
		}
		out.Commits = append(out.Commits, entry)
	}
	out.Total = len(out.Commits)
	return out, nil
}

func (r *repo) presentAt(ctx context.Context, at gitrepo.Hash, p document.Path) (bool, error) {
	if _, isFile, err := r.readAt(ctx, at, true, p); err != nil || isFile {
		return isFile, err
	}
	entries, err := r.git.List(ctx, at, p)
	if errors.Is(err, gitrepo.ErrNotFound) {
		return false, nil
	}
	return len(entries) > 0, err
}

// status tells what is not committed.
func (r *repo) status(ctx context.Context) (statusAnswer, error) {
	out := statusAnswer{Branch: branch, Staged: []string{}, Modified: []string{}, Untracked: []string{}}
	r.mu.RLock()
	tip, born := r.tip, r.born
	for p, c := range r.index {
		if c.deleted {
			p += " (deleted)"
		}
		out.Staged = append(out.Staged, p)
	}
	var written []change
	for p, c := range r.written {
		if _, ok := r.index[p]; ok {
			out.Modified = append(out.Modified, p)
			continue
		}
		written = append(written, c)
	}
	r.mu.RUnlock()
	for _, c := range written {
		_, tracked, err := r.readAt(ctx, tip, born, c.path)
		switch {
		case err != nil:
			return out, err
		case tracked:
			out.Modified = append(out.Modified, c.path.String())
		default:
			out.Untracked = append(out.Untracked, c.path.String())
		}
	}
	for _, list := range [][]string{out.Staged, out.Modified, out.Untracked} {
		slices.Sort(list)
	}
	out.Clean = len(out.Staged)+len(out.Modified)+len(out.Untracked) == 0
	return out, nil
}
