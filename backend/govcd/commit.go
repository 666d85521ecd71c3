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
	cost    int64      // that was charged for it
	left    []leftItem // items that it leaves out
}

// turn is what came of a request whose turn it was to commit.
type turn struct {
	prepared
	tip, made gitrepo.Hash // before, and after
	earlier   *keyEntry    // set if a request with the same key did it before
}

// place is the commit that another one is made upon, and where it is read from.
type place struct {
	git *gitrepo.Repo
	tip gitrepo.Hash
}

// inTurn waits for the right to commit, has a commit prepared for the tip that
// the branch then has, makes it, and has that settled. settle is called if and
// only if prepare succeeded; on disk both may be called several times, each time
// for another try, and by another goroutine.
func (r *repo) inTurn(
	ctx context.Context, branch string, how conduct, prepare func(at place) (prepared, error), settle func(turn, error),
) (t turn, err error) {
	if r.service.disk != nil {
		if err := r.service.diskRoom(); err != nil {
			return t, err
		}
		return r.inGroup(&job{ctx: ctx, branch: branch, how: how, prepare: prepare, settle: settle})
	}
	leave, err := r.enter(ctx)
	if err != nil {
		return t, err
	}
	defer leave()
	if t.earlier, err = r.keys.find(how.key, r.service.now()); err != nil || t.earlier != nil {
		return t, err
	}
	if t.tip, err = r.head(branch); err != nil {
		return t, err
	}
	if err := how.cond.checkTip(branch, t.tip); err != nil {
		return t, err
	}
	if t.prepared, err = prepare(place{r.git, t.tip}); err != nil {
		return t, err
	}
	t.made, err = r.makeCommit(ctx, branch, t.tip, t.prepared)
	settle(t, err)
	if err == nil {
		r.remember(how.key, keyEntry{commit: t.made, at: t.at, left: t.left})
	}
	return t, err
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
		return hash, r.moved(ctx, branch)
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
	if c.by.Name != "" {
		p.author = c.by
	}
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
	var shown gitrepo.Signature
	t, err := r.inTurn(ctx, sc.branch, how, func(at place) (p prepared, err error) {
		if p, shown, err = r.take(sc, c, how.key); err != nil {
			return p, err
		}
		if p.changes, err = r.takenChanges(ctx, sc, at); err != nil {
			r.settle(sc, turn{prepared: p}, err)
		}
		return p, err
	}, func(t turn, err error) { r.settle(sc, t, err) })
	switch {
	case err != nil:
		return commitAnswer{}, err
	case t.earlier != nil:
		return r.replayed(ctx, c, t.earlier)
	}
	return commitAnswer{
		Hash: t.made.String(), Message: c.Message, Author: shown.Name, Email: shown.Email, Timestamp: t.at, Parent: named(t.tip),
	}, nil
}

// take moves what is staged out of the way of what will be.
func (r *repo) take(sc scope, c CommitRequest, key *requestKey) (prepared, gitrepo.Signature, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sweep()
	a := r.areaAt(sc)
	if a.taken != nil {
		return prepared{}, gitrepo.Signature{}, errLater
	}
	if len(a.index) == 0 {
		return prepared{}, gitrepo.Signature{}, nothingToCommit()
	}
	p, shown, err := r.prepare(c, key)
	if err == nil {
		a.taken, a.index = a.index, map[string]change{}
	}
	return p, shown, err
}

// takenChanges looks whether the tip has a place for what take took, and returns
// it.
func (r *repo) takenChanges(ctx context.Context, sc scope, at place) ([]gitrepo.Change, error) {
	r.mu.RLock()
	taken := r.areas[sc].taken // only settle replaces it, and nobody changes it
	r.mu.RUnlock()
	if err := groundAt(at).checkStaged(ctx, taken); err != nil {
		return nil, err
	}
	return sortedChanges(taken), nil
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
func (r *repo) settle(sc scope, t turn, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a := r.areas[sc]
	taken := a.taken
	a.taken = nil
	if err == nil {
		r.advance(sc.branch, t.tip, t.made, t.author)
		r.committed(t.cost)
		for _, c := range taken {
			a.charged -= c.cost()
			r.committed(c.cost())
		}
	} else {
		r.refund(t.cost)
		for name, c := range taken {
			if _, newer := a.index[name]; newer {
				r.discharge(a, c.cost())
			} else {
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
