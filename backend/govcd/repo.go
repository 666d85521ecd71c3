package govcd

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/caiatech/caiatop/backend/gitrepo"
)

// repo is one repository: commits in git, and what is not committed yet.
//
// A read looks at written, then index, then taken of its staging area, then
// the tip's tree. A commit moves the index to taken, works without the lock,
// and then moves the tip and empties taken in one step, so that readers never
// wait for it and never see a gap. Whatever moves a tip holds the right to
// commit, so a tip that was read with that right stays.
type repo struct {
	id      string
	created time.Time
	git     *gitrepo.Repo
	broken  error // set if it cannot be opened: then there is no git
	service *Service

	users sync.RWMutex // held for reading by every request, for writing by close
	gone  bool         // guarded by users

	committing chan struct{} // capacity 1: the right to commit
	queue      queue         // who waits to commit on disk
	keys       keys          // guarded by that right
	tags       int           // that git has; guarded by that right
	feed       feed

	mu     sync.RWMutex            // guards everything below
	tips   map[string]gitrepo.Hash // of all branches
	areas  map[scope]*area
	swept  time.Time         // when idle areas were looked for last
	bytes  int64             // counted since the repository was made, see charge
	author gitrepo.Signature // of the last commit
}

// newRepo opens what git has.
func newRepo(ctx context.Context, id string, created time.Time, git *gitrepo.Repo, service *Service) (*repo, error) {
	r := &repo{
		id: id, created: created, git: git, service: service, committing: make(chan struct{}, 1),
		queue: queue{arrived: make(chan struct{}, 1)},
		areas: map[scope]*area{}, swept: created,
		author: unknownAuthor,
	}
	if err := r.reload(ctx); err != nil {
		return nil, err
	}
	return r, r.restoreKeys(ctx)
}

// reload finds the branches and tags that git has, and tells who listens what
// became of them. After newRepo the caller holds the right to commit.
func (r *repo) reload(ctx context.Context) error {
	tags, err := r.git.Tags(ctx)
	if err != nil {
		return fmt.Errorf("tags of repository %s: %w", r.id, err)
	}
	r.tags = len(tags)
	branches, err := r.git.Branches()
	if err != nil {
		return fmt.Errorf("branches of repository %s: %w", r.id, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	was := r.tips
	r.tips = make(map[string]gitrepo.Hash, len(branches))
	for _, b := range branches {
		r.tips[b.Name] = b.Tip
		if before := was[b.Name]; was != nil && before != b.Tip {
			r.feed.add(move{branch: b.Name, before: before, after: b.Tip})
		}
	}
	return nil
}

// hold keeps the repository open until release; false if it is closed.
func (r *repo) hold() bool {
	r.users.RLock()
	if r.gone {
		r.users.RUnlock()
		return false
	}
	return true
}

func (r *repo) release() { r.users.RUnlock() }

// close ends the streams of events, waits for the requests under way and drops
// everything.
func (r *repo) close() error {
	r.feed.close()
	r.users.Lock()
	defer r.users.Unlock()
	if r.gone {
		return nil
	}
	r.gone = true
	r.service.stored.Add(-r.bytes)
	if r.broken != nil {
		return nil
	}
	if err := r.git.Close(); err != nil {
		return fmt.Errorf("close repository %s: %w", r.id, err)
	}
	return nil
}

// enter waits for the right to commit and returns how to give it back.
func (r *repo) enter(ctx context.Context) (leave func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case r.committing <- struct{}{}:
		return func() { <-r.committing }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (r *repo) answer() repoAnswer {
	out := repoAnswer{ID: r.id, Path: ":memory:", Branch: gitrepo.Main, Created: r.created}
	if d := r.service.disk; d != nil {
		out.Path, out.Durable = d.path(r.id), true
	}
	switch {
	case r.broken != nil:
		out.Error = "it cannot be opened; the log of the service says why"
	case r.vanished():
		out.Error = folderGone
	}
	return out
}

// moved is the answer where another program moved a branch; the caller holds
// the right to commit.
func (r *repo) moved(ctx context.Context, branch string) error {
	text := "another program moved the branch " + branch + "; try again"
	return errors.Join(fail(http.StatusConflict, "BRANCH_MOVED", text), r.reload(ctx))
}
