package gitrepo

import (
	"cmp"
	"container/heap"
	"context"
	"strings"

	"github.com/caiatech/caiatop/backend/document"
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
	skip := o.Skip
	err := r.EachCommit(ctx, from, o.Path, func(c Commit) bool {
		if skip > 0 {
			skip--
			return true
		}
		out = append(out, c)
		return len(out) < limit
	})
	return out, err
}

// EachCommit is Log without a limit: it calls fn until that returns false.
func (r *Repo) EachCommit(ctx context.Context, from Hash, path document.Path, fn func(Commit) bool) error {
	first, err := r.ReadCommit(ctx, from)
	if err != nil {
		return err
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
		follow, changed := c.Parents, true
		if !path.IsZero() {
			if follow, changed, err = r.simplify(c, path.String()); err != nil {
				return err
			}
		}
		if changed && !fn(c) {
			return nil
		}
		// Before the first merge nothing is met twice, and nothing need be kept.
		if merged = merged || len(c.Parents) > 1; !merged {
			clear(seen)
		}
		for _, h := range follow {
			if _, ok := seen[h]; ok {
				continue
			}
			seen[h] = struct{}{}
			parent, err := r.commit(h)
			if err != nil {
				return err
			}
			queue.add(parent)
		}
	}
	return nil
}

// simplify tells whether a commit changed a path, and which parents to follow:
// the first that has the same there, else all.
func (r *Repo) simplify(c Commit, path string) ([]Hash, bool, error) {
	if len(c.Parents) == 0 {
		_, exists, err := r.lookup(c.Tree, path)
		return nil, exists, err
	}
	for i, h := range c.Parents {
		parent, err := r.commit(h)
		if err != nil {
			return nil, false, err
		}
		same, err := r.sameAt(c.Tree, parent.Tree, path)
		if err != nil {
			return nil, false, err
		}
		if same {
			return c.Parents[i : i+1], false, nil
		}
	}
	return c.Parents, true, nil
}

// sameAt compares two trees at a path, and reads no further down than they
// differ.
func (r *Repo) sameAt(a, b Hash, path string) (bool, error) {
	for a != b {
		segment, rest, more := strings.Cut(path, "/")
		left, inLeft, err := r.child(a, segment)
		if err != nil {
			return false, err
		}
		right, inRight, err := r.child(b, segment)
		if err != nil {
			return false, err
		}
		if !more || !inLeft || !inRight || !left.mode.isTree() || !right.mode.isTree() {
			return r.sameBelow(left, inLeft, right, inRight, rest)
		}
		a, b, path = left.hash, right.hash, rest
	}
	return true, nil
}

// sameBelow decides where at least one side ends: what is below a file, or
// below nothing, does not exist.
func (r *Repo) sameBelow(left item, inLeft bool, right item, inRight bool, rest string) (bool, error) {
	if rest == "" {
		return inLeft == inRight && (!inLeft || (left.hash == right.hash && left.mode == right.mode)), nil
	}
	exists := func(it item, present bool) (bool, error) {
		if !present || !it.mode.isTree() {
			return false, nil
		}
		_, ok, err := r.lookup(it.hash, rest)
		return ok, err
	}
	leftThere, err := exists(left, inLeft)
	if err != nil {
		return false, err
	}
	rightThere, err := exists(right, inRight)
	// At most one of them is a tree, so they are only equal if both lack it.
	return !leftThere && !rightThere, err
}

func (r *Repo) child(tree Hash, name string) (item, bool, error) {
	data, err := r.tree(tree)
	if err != nil {
		return item{}, false, err
	}
	return findItem(data, name)
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

// Len implements heap.Interface.
func (q *commitQueue) Len() int { return len(q.queued) }

// Less implements heap.Interface.
func (q *commitQueue) Less(i, j int) bool {
	a, b := &q.queued[i], &q.queued[j]
	return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.order, b.order)) < 0
}

// Swap implements heap.Interface.
func (q *commitQueue) Swap(i, j int) { q.queued[i], q.queued[j] = q.queued[j], q.queued[i] }

// Push implements heap.Interface; use add.
func (q *commitQueue) Push(c any) { q.queued = append(q.queued, c.(queuedCommit)) } //nolint:forcetypeassert // add gives nothing else

// Pop implements heap.Interface; use next.
func (q *commitQueue) Pop() any {
	last := len(q.queued) - 1
	c := q.queued[last]
	q.queued = q.queued[:last]
	return c
}

func (q *commitQueue) add(c Commit) {
	q.met++
	heap.Push(q, queuedCommit{c, q.met})
}

func (q *commitQueue) next() Commit { return heap.Pop(q).(queuedCommit).Commit } //nolint:forcetypeassert // the queue holds nothing else
