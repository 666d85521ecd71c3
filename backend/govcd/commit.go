package govcd

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caiatech/caiatop/backend/gitrepo"
)

// conduct is how a request wants its commit to be made, beside what it says.
type conduct struct {
	cond condition   // on the tip of the branch
	key  *requestKey // nil if the request has none
}

// prepared is one commit but for its place in the history.
type prepared struct {
	changes []gitrepo.Change // in their order
	message string
	author  gitrepo.Signature
	at      time.Time
	cost    int64 // that was charged for it
}

// makeCommit writes a commit upon the tip of a branch; nothing else here does,
// but for merges. The caller holds the right to commit and moves the tip with
// advance.
func (r *repo) makeCommit(ctx context.Context, branch string, tip gitrepo.Hash, p prepared) (gitrepo.Hash, error) {
	hash, err := r.git.Commit(ctx, gitrepo.CommitInput{
		Branch: branch, Changes: p.changes, Message: p.message, Author: p.author, At: p.at, AllowEmpty: true, Parent: &tip,
	})
	switch {
	case errors.Is(err, gitrepo.ErrMoved):
		moved := &failure{Status: http.StatusConflict, Code: "BRANCH_MOVED", Text: "another program moved the branch " + branch + "; try again"}
		return hash, errors.Join(moved, r.reload())
	case err != nil:
		return hash, fmt.Errorf("commit to repository %s: %w", r.id, err)
	}
	return hash, nil
}

// prepare makes of a request what is committed, and who is shown as its
// author. It charges for the commit: the caller gives that back if none is
// made. The caller holds mu.
func (r *repo) prepare(c CommitRequest, key *requestKey) (p prepared, shown gitrepo.Signature, err error) {
	p = prepared{message: c.Message, author: r.author, at: c.Timestamp, cost: costOfCommit(c)}
	shown = p.author
	if name := signable(c.Author); name != "" {
		p.author.Name, shown.Name = name, c.Author
	}
	if email := signable(c.Email); email != "" {
		p.author.Email, shown.Email = email, c.Email
	}
	if p.at.IsZero() {
		p.at = r.service.now()
	}
	p.at = p.at.UTC()
	if key != nil {
		p.message = withTrailer(c.Message, key.trailer())
	}
	return p, shown, r.charge(p.cost, r.service.maxBytes+r.service.maxBytes/commitRoom)
}

// commit commits exactly what is staged in a scope when its turn comes.
func (r *repo) commit(ctx context.Context, sc scope, c CommitRequest, how conduct) (commitAnswer, error) {
	leave, err := r.enter(ctx)
	if err != nil {
		return commitAnswer{}, err
	}
	defer leave()
	if done, err := r.keys.find(how.key, r.service.now()); err != nil || done != nil {
		return r.replayed(ctx, c, done, err)
	}
	tip, err := r.head(sc.branch)
	if err == nil {
		err = how.cond.checkTip(sc.branch, tip)
	}
	if err != nil {
		return commitAnswer{}, err
	}
	p, shown, err := r.take(sc, c, how.key)
	if err != nil {
		return commitAnswer{}, err
	}
	hash, err := r.commitTaken(ctx, sc, tip, &p)
	r.settle(sc, tip, hash, p, err)
	if err != nil {
		return commitAnswer{}, err
	}
	r.remember(how.key, keyEntry{commit: hash, at: p.at})
	done := commitAnswer{
		Hash: hash.String(), Message: c.Message, Author: shown.Name, Email: shown.Email, Timestamp: p.at, Parent: named(tip),
	}
	return done, nil
}

// take moves what is staged out of the way of what will be.
func (r *repo) take(sc scope, c CommitRequest, key *requestKey) (prepared, gitrepo.Signature, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sweep()
	a := r.areaAt(sc)
	if len(a.index) == 0 {
		return prepared{}, gitrepo.Signature{}, nothingToCommit()
	}
	p, shown, err := r.prepare(c, key)
	if err == nil {
		a.taken, a.index = a.index, map[string]change{}
	}
	return p, shown, err
}

// commitTaken commits what take took.
func (r *repo) commitTaken(ctx context.Context, sc scope, tip gitrepo.Hash, p *prepared) (gitrepo.Hash, error) {
	r.mu.RLock()
	taken := r.areas[sc].taken // only settle replaces it, and nobody changes it
	r.mu.RUnlock()
	if err := r.groundAt(tip).checkStaged(ctx, taken); err != nil {
		return gitrepo.Hash{}, err
	}
	p.changes = sortedChanges(taken)
	return r.makeCommit(ctx, sc.branch, tip, *p)
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
func (r *repo) settle(sc scope, before, after gitrepo.Hash, p prepared, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a := r.areas[sc]
	taken := a.taken
	a.taken = nil
	if err == nil {
		r.advance(sc.branch, before, after, p.author)
		for _, c := range taken {
			if !c.deleted {
				a.charged -= costOfFile(c.path.String(), c.data)
			}
		}
	} else {
		r.refund(p.cost)
		for name, c := range taken {
			if _, newer := a.index[name]; !newer {
				a.index[name] = c
			}
		}
	}
	a.recount()
	r.dropEmpty(sc)
}

// advance moves the tip of a branch and tells who listens; the caller holds mu
// and the right to commit.
func (r *repo) advance(branch string, before, after gitrepo.Hash, author gitrepo.Signature) {
	r.tips[branch] = after
	r.author = author
	r.feed.add(move{branch: branch, before: before, after: after})
}
