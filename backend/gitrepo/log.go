package gitrepo

import (
	"context"
	"errors"
	"strings"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/go-git/go-git/v5/plumbing"
)

// MaxLog bounds the commits that one call of Log returns.
const MaxLog = 10_000

// LogOptions choose commits.
type LogOptions struct {
	Path  document.Path // only commits that changed it; the zero path takes all
	Limit int           // at most that many; 0, and more than MaxLog, is MaxLog
	Skip  int           // leave out the newest ones
}

// Log returns the commits that a commit is made of, the newest first by their
// times, a parent never before its child where history is linear. With a path,
// a merge that took the path from one parent follows that parent only, as
// git log does. ErrNotFound if there is no such commit.
func (r *Repo) Log(ctx context.Context, from Hash, o LogOptions) ([]Commit, error) {
	limit := o.Limit
	if limit <= 0 || limit > MaxLog {
		limit = MaxLog
	}
	var out []Commit
	var failed error
	skip := o.Skip
	err := r.eachLinks(ctx, from, o.Path, func(h Hash) bool {
		if skip > 0 {
			skip--
			return true
		}
		var c Commit
		if c, failed = r.commit(h); failed != nil {
			return false
		}
		out = append(out, c)
		return len(out) < limit
	})
	return out, errors.Join(err, failed)
}

// EachCommit is Log without a limit: it calls fn until that returns false.
func (r *Repo) EachCommit(ctx context.Context, from Hash, path document.Path, fn func(Commit) bool) error {
	var failed error
	err := r.eachLinks(ctx, from, path, func(h Hash) bool {
		c, err := r.commit(h)
		failed = err
		return err == nil && fn(c)
	})
	return errors.Join(err, failed)
}

// eachLinks is EachCommit that reads no more of a commit than leads on.
func (r *Repo) eachLinks(ctx context.Context, from Hash, path document.Path, fn func(Hash) bool) error {
	data, err := r.commitData(ctx, from)
	if err != nil {
		return err
	}
	first, err := decodeLinks(from, data)
	if err != nil {
		return err
	}
	t := tracer{repo: r}
	if !path.IsZero() {
		t.path = strings.Split(path.String(), "/")
		t.trails = make(map[Hash][]side)
	}
	queue := &commitQueue{}
	queue.add(first)
	seen := map[Hash]struct{}{from: {}}
	merged := false
	for queue.Len() > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		c := queue.next()
		follow, changed, err := t.parents(c)
		if err != nil {
			// The commit is there, even if what it was built upon is not.
			if len(t.path) == 0 && !fn(c.Hash) {
				return nil
			}
			return err
		}
		if changed && !fn(c.Hash) {
			return nil
		}
		// Before the first merge nothing is met twice, and nothing need be kept.
		if merged = merged || len(c.Parents) > 1; !merged {
			clear(seen)
		}
		for _, parent := range follow {
			if _, ok := seen[parent.Hash]; ok {
				continue
			}
			seen[parent.Hash] = struct{}{}
			queue.add(parent)
		}
	}
	return nil
}

// links returns what a commit leads to; its author and message are empty.
func (r *Repo) links(h Hash) (Commit, error) {
	data, err := r.get(h, plumbing.CommitObject)
	if err != nil {
		return Commit{}, err
	}
	return decodeLinks(h, data)
}

// tracer follows a path through the history.
type tracer struct {
	repo *Repo
	path []string // empty follows every parent
	// trails are what commits that will be met have along the path: a parent
	// is read only as far as it differs from its child.
	trails map[Hash][]side
	spare  [][]side // trails that are not needed any more
	follow []Commit // what parents gave last
}

// parents tells which parents of a commit to follow: the first that has the
// same at the path, else all; and whether the commit changed it. The next call
// changes what it gave.
func (t *tracer) parents(c Commit) (follow []Commit, changed bool, err error) {
	follow = t.follow[:0]
	for _, h := range c.Parents {
		parent, err := t.repo.links(h)
		if err != nil {
			return nil, false, err
		}
		follow = append(follow, parent)
	}
	t.follow = follow
	if len(t.path) == 0 {
		return follow, true, nil
	}
	trail, ok := t.trails[c.Hash]
	delete(t.trails, c.Hash)
	if !ok {
		if trail, err = t.trail(Commit{}, nil, c); err != nil {
			return nil, false, err
		}
	}
	defer func() { t.spare = append(t.spare, trail) }()
	last := len(t.path) - 1
	for i, parent := range follow {
		its, ok := t.trails[parent.Hash]
		if !ok {
			if its, err = t.trail(c, trail, parent); err != nil {
				return nil, false, err
			}
			t.trails[parent.Hash] = its
		}
		if its[last] == trail[last] {
			for _, passed := range follow[:i] {
				delete(t.trails, passed.Hash)
			}
			return follow[i : i+1], false, nil
		}
	}
	return follow, len(follow) > 0 || trail[last].present(), nil
}

// trail returns what a commit has along the path, from what another one has.
func (t *tracer) trail(known Commit, trail []side, c Commit) ([]side, error) {
	var out []side
	if n := len(t.spare); n > 0 {
		out, t.spare = t.spare[n-1], t.spare[:n-1]
		clear(out)
	} else {
		out = make([]side, len(t.path))
	}
	at, same := side{modeTree, c.Tree}, side{modeTree, known.Tree}
	for i, name := range t.path {
		if at == same && trail != nil {
			copy(out[i:], trail[i:])
			return out, nil
		}
		if !at.mode.isTree() {
			return out, nil // below a file, and below nothing, is nothing
		}
		it, err := t.repo.entry(at.hash, name)
		if err != nil {
			return nil, err
		}
		at = side{it.mode, it.hash}
		out[i] = at
		if trail != nil {
			same = trail[i]
		}
	}
	return out, nil
}

// commitQueue is a heap of commits, the newest on top. Times are seconds and
// often equal; then the one that was met first comes first, so that a merge
// base is found a few steps down and not somewhere in the history.
type commitQueue struct {
	queued []queuedCommit
	met    int
}

type queuedCommit struct {
	Commit
	order int
}

// Len returns how many commits are queued.
func (q *commitQueue) Len() int { return len(q.queued) }

func (q *commitQueue) before(i, j int) bool {
	a, b := &q.queued[i], &q.queued[j]
	if c := b.At.Compare(a.At); c != 0 {
		return c < 0
	}
	return a.order < b.order
}

func (q *commitQueue) swap(i, j int) { q.queued[i], q.queued[j] = q.queued[j], q.queued[i] }

func (q *commitQueue) add(c Commit) {
	q.met++
	q.queued = append(q.queued, queuedCommit{c, q.met})
	for i := len(q.queued) - 1; i > 0; {
		parent := (i - 1) / 2
		if !q.before(i, parent) {
			return
		}
		q.swap(i, parent)
		i = parent
	}
}

func (q *commitQueue) next() Commit {
	last := len(q.queued) - 1
	q.swap(0, last)
	c := q.queued[last].Commit
	q.queued[last] = queuedCommit{}
	q.queued = q.queued[:last]
	for i := 0; ; {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < last; child++ {
			if q.before(child, least) {
				least = child
			}
		}
		if least == i {
			return c
		}
		q.swap(i, least)
		i = least
	}
}
