package govcd

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/gitrepo"
)

// logQuery chooses commits.
type logQuery struct {
	path        document.Path // zero for all
	limit, skip int
	// since leaves out what was committed before, and the commit after with
	// all that it is made of.
	since time.Time
	after gitrepo.Hash
}

// parseSince reads ?since=, a time or a commit.
func (r *repo) parseSince(ctx context.Context, text string, q *logQuery) error {
	if text == "" {
		return nil
	}
	if h, ok := parseHash(text); ok {
		var err error
		q.after, err = r.resolve(ctx, text)
		if err == nil && q.after != h {
			err = fail(http.StatusNotFound, "REF_NOT_FOUND", "reference not found: "+text)
		}
		return err
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return fail(http.StatusBadRequest, "INVALID_SINCE", "since must be a commit hash or a time as in RFC 3339: "+text)
	}
	q.since = at
	return nil
}

// log returns the newest commits of a source first, of one path if it is not
// the root.
func (r *repo) log(ctx context.Context, src source, q logQuery) (logAnswer, error) {
	out := logAnswer{Commits: []commitAnswer{}}
	tip, err := r.commitOf(src)
	if err != nil || tip.IsZero() {
		return out, err
	}
	commits, err := r.chosen(ctx, tip, q)
	if err != nil {
		return out, err
	}
	for _, c := range commits {
		entry := shownCommit(c)
		if !q.path.IsZero() {
			_, present, err := r.find(ctx, c.Hash, q.path)
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

func shownCommit(c gitrepo.Commit) commitAnswer {
	entry := commitAnswer{
		Hash: c.Hash.String(), Message: strings.TrimSuffix(c.Message, "\n"), Author: c.Author.Name, Email: c.Author.Email, Timestamp: c.At.UTC(),
	}
	if len(c.Parents) > 0 {
		entry.Parent = c.Parents[0].String()
	}
	return entry
}

// chosen finds the commits of a log. Without a path a commit that was named as
// the last one known ends the search, unless a merge lies before it: then what
// it is made of may still follow, and is told by its descent.
func (r *repo) chosen(ctx context.Context, tip gitrepo.Hash, q logQuery) ([]gitrepo.Commit, error) {
	if q.since.IsZero() && q.after.IsZero() {
		return r.git.Log(ctx, tip, gitrepo.LogOptions{Path: q.path, Limit: q.limit, Skip: q.skip})
	}
	known := map[gitrepo.Hash]struct{}{}
	if !q.after.IsZero() {
		known[q.after] = struct{}{}
	}
	// With a path the commit itself may not be met: its descent is needed.
	descent := !q.path.IsZero() && !q.after.IsZero()
	if descent {
		if err := r.ancestors(ctx, q.after, known); err != nil {
			return nil, err
		}
	}
	var out []gitrepo.Commit
	var failed error
	skip := q.skip
	err := r.git.EachCommit(ctx, tip, q.path, func(c gitrepo.Commit) bool {
		if _, ok := known[c.Hash]; ok {
			return descent
		}
		if len(c.Parents) > 1 && !q.after.IsZero() && !descent {
			descent = true
			if failed = r.ancestors(ctx, q.after, known); failed != nil {
				return false
			}
		}
		if c.At.Before(q.since) {
			return true // times of clients are in no order
		}
		if skip > 0 {
			skip--
			return true
		}
		out = append(out, c)
		return len(out) < q.limit
	})
	return out, errors.Join(err, failed)
}

// ancestors adds what a commit is made of.
func (r *repo) ancestors(ctx context.Context, of gitrepo.Hash, to map[gitrepo.Hash]struct{}) error {
	return r.git.EachCommit(ctx, of, document.Path{}, func(c gitrepo.Commit) bool {
		to[c.Hash] = struct{}{}
		return true
	})
}

// status tells what is not committed in a scope.
func (r *repo) status(ctx context.Context, sc scope) (statusAnswer, error) {
	out := statusAnswer{Branch: sc.branch, Staged: []string{}, Modified: []string{}, Untracked: []string{}}
	var written []change
	tip, err := r.look(source{scope: sc}, func(a *area) {
		for p, c := range a.index {
			if c.deleted {
				p += " (deleted)"
			}
			out.Staged = append(out.Staged, p)
		}
		for p, c := range a.written {
			if _, ok := a.index[p]; ok {
				out.Modified = append(out.Modified, p)
				continue
			}
			written = append(written, c)
		}
	})
	if err != nil {
		return out, err
	}
	for _, c := range written {
		e, found, err := r.find(ctx, tip, c.path)
		switch {
		case err != nil:
			return out, err
		case found && !e.IsDir:
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
