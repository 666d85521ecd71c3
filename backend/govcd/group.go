package govcd

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/caiatech/caiatop/backend/durable"
	"github.com/caiatech/caiatop/backend/gitrepo"
)

const (
	// maxGroup bounds the commits that are synced at once.
	maxGroup = MaxInFlight
	// maxGroupBytes is the size of a group from which on no more join it.
	maxGroupBytes = 32 << 20
	// maxGather bounds how long a group waits for those who were in the one
	// before.
	maxGather = 10 * time.Millisecond
)

// errLater: a request cannot be in the same group as one before it.
var errLater = errors.New("this commit comes after the one that is being made")

// job is a request for one commit, made as the settle function of inTurn says.
type job struct {
	ctx     context.Context //nolint:containedctx // a job is a call that another goroutine makes
	branch  string
	how     conduct
	prepare func(at place) (prepared, error)
	settle  func(turn, error)
	open    bool // prepared, and not settled

	// What came of it, written before done is closed.
	turn turn
	err  error
	done chan struct{}
}

func (j *job) finish(err error) {
	j.err = err
	close(j.done)
}

// end settles what was prepared, once.
func (j *job) end(err error) {
	if j.open {
		j.open = false
		j.settle(j.turn, err)
	}
}

func (j *job) finished() bool {
	select {
	case <-j.done:
		return true
	default:
		return false
	}
}

// queue is the jobs that nobody works on yet, in the order they came.
type queue struct {
	arrived chan struct{} // one token: somebody came

	mu      sync.Mutex // guards what follows
	waiting []*job
	// usual is how many jobs there were around the last group: in it, or waiting
	// at its end. took is how long that group took.
	usual int
	took  time.Duration
}

func (q *queue) add(j *job) {
	q.mu.Lock()
	q.waiting = append(q.waiting, j)
	q.mu.Unlock()
	select {
	case q.arrived <- struct{}{}:
	default: // nobody looked since somebody else came
	}
}

// gather waits a little for the clients that were just answered: most send
// their next request at once, and whoever comes a moment too late waits for a
// whole group. A client that is alone waits for nobody.
func (q *queue) gather() {
	q.mu.Lock()
	most := min(q.took/2, maxGather)
	q.mu.Unlock()
	if q.complete() {
		return
	}
	timer := time.NewTimer(most)
	defer timer.Stop()
	for !q.complete() {
		select {
		case <-q.arrived:
		case <-timer.C:
			return
		}
	}
}

// complete reports whether as many jobs wait as usual.
func (q *queue) complete() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting) >= q.usual
}

// ended notes a group that ended.
func (q *queue) ended(jobs int, took time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.usual, q.took = min(jobs+len(q.waiting), maxGroup), took
}

// putBack makes jobs the next ones again.
func (q *queue) putBack(jobs []*job) {
	if len(jobs) == 0 {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = slices.Concat(jobs, q.waiting)
}

// withdraw takes a job back; false if it is being worked on.
func (q *queue) withdraw(j *job) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.waiting, j)
	if i >= 0 {
		q.waiting = slices.Delete(q.waiting, i, i+1)
	}
	return i >= 0
}

// take returns the oldest job with those that can be made together with it: of
// the same branch, and no two of one key.
func (q *queue) take() (group []*job) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var left []*job
	var keys map[[32]byte]struct{}
	for _, j := range q.waiting {
		fits := len(group) < maxGroup && (len(group) == 0 || j.branch == group[0].branch)
		if k := j.how.key; fits && k != nil {
			if _, twice := keys[k.key]; twice {
				fits = false
			} else if keys == nil {
				keys = map[[32]byte]struct{}{}
			}
			if fits {
				keys[k.key] = struct{}{}
			}
		}
		if fits {
			group = append(group, j)
		} else {
			left = append(left, j)
		}
	}
	q.waiting = left
	return group
}

// inGroup has a job done together with others that wait at the same time. Who
// gets the right to commit leads: it makes one commit of each job, upon each
// other, and all of them are synced at once. A job is finished only when it is
// known what became of it.
func (r *repo) inGroup(j *job) (turn, error) {
	if err := j.ctx.Err(); err != nil {
		return turn{}, err
	}
	j.done = make(chan struct{})
	r.queue.add(j)
	select {
	case <-j.done:
	case r.committing <- struct{}{}:
		r.lead(j)
	case <-j.ctx.Done():
		if r.queue.withdraw(j) {
			return turn{}, j.ctx.Err()
		}
		<-j.done
	}
	return j.turn, j.err
}

// lead works until its own job is finished, and gives the right to commit back.
// Nobody waits for the request that leads to be still wanted.
func (r *repo) lead(own *job) {
	defer func() { <-r.committing }()
	ctx := context.WithoutCancel(own.ctx)
	for !own.finished() {
		r.queue.gather()
		jobs, start := r.queue.take(), time.Now()
		r.makeGroup(ctx, jobs)
		r.queue.ended(len(jobs), time.Since(start))
	}
}

// group is jobs on their way into one chain of commits.
type group struct {
	repo   *repo
	chain  *gitrepo.Chain
	author gitrepo.Signature // of the last commit before the group
	made   []*job            // prepared, and in the chain
	// refused are jobs that failed upon what is in the chain. Before it is
	// published that is nothing that anybody may be told.
	refused []*job
	later   []*job
}

// makeGroup finishes jobs of one branch, or puts them back. One of them at
// least is finished.
func (r *repo) makeGroup(ctx context.Context, jobs []*job) {
	defer func() {
		// Nobody may wait for ever, whatever is wrong with one of them.
		if cause := recover(); cause != nil {
			r.abandon(jobs, fmt.Errorf("commit to repository %s: panic: %v\n%s", r.id, cause, debug.Stack()))
		}
	}()
	g, err := r.newGroup(ctx, jobs[0].branch)
	if err != nil {
		for _, j := range jobs {
			j.finish(err)
		}
		return
	}
	for i, j := range jobs {
		if len(g.made) > 0 && g.chain.Size() >= maxGroupBytes {
			g.later = append(g.later, jobs[i:]...)
			break
		}
		g.add(ctx, j)
	}
	again := g.publish(ctx)
	r.queue.putBack(g.later)
	for _, j := range again {
		r.makeGroup(ctx, []*job{j})
	}
}

// abandon finishes what is not finished. What was staged is staged again.
func (r *repo) abandon(jobs []*job, err error) {
	for _, j := range jobs {
		if j.finished() {
			continue
		}
		j.end(err)
		j.finish(err)
	}
}

func (r *repo) newGroup(ctx context.Context, branch string) (*group, error) {
	tip, err := r.head(branch)
	if err != nil {
		return nil, err
	}
	chain, err := r.git.NewChain(ctx, branch, tip)
	if err != nil {
		return nil, fmt.Errorf("commit to repository %s: %w", r.id, err)
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	return &group{repo: r, chain: chain, author: r.author}, nil
}

// add makes the commit of a job, which nobody sees yet.
func (g *group) add(ctx context.Context, j *job) {
	err := g.try(ctx, j)
	switch {
	case errors.Is(err, errLater) && len(g.made) > 0:
		g.later = append(g.later, j)
	case err == nil && j.turn.earlier == nil:
		g.made = append(g.made, j)
	case len(g.made) == 0 || j.turn.earlier != nil:
		j.finish(err)
	default:
		j.err = err
		g.refused = append(g.refused, j)
	}
}

func (g *group) try(ctx context.Context, j *job) (err error) {
	r := g.repo
	j.turn = turn{}
	if err := j.ctx.Err(); err != nil {
		return err
	}
	if j.turn.earlier, err = r.keys.find(j.how.key, r.service.now()); err != nil {
		return err
	}
	if j.turn.earlier != nil {
		// It may be what is visible only.
		return r.git.Confirm(ctx)
	}
	j.turn.tip = g.chain.Tip()
	if err := j.how.cond.checkTip(j.branch, j.turn.tip); err != nil {
		return err
	}
	if j.turn.prepared, err = j.prepare(place{g.chain.View(), j.turn.tip}); err != nil {
		return err
	}
	j.open = true
	p := j.turn.prepared
	j.turn.made, err = g.chain.Add(ctx, gitrepo.Link{Changes: p.changes, Message: p.message, Author: p.author, At: p.at})
	if err != nil {
		err = fmt.Errorf("commit to repository %s: %w", r.id, err)
		j.end(err)
		return err
	}
	r.setAuthor(p.author) // of the next that names none
	return nil
}

func (r *repo) setAuthor(to gitrepo.Signature) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.author = to
}

// publish makes all commits of the group durable, and tells everybody what
// became of theirs. It returns the jobs that are to be tried once more, each by
// itself: so that one commit for which there is no room fails alone.
func (g *group) publish(ctx context.Context) (again []*job) {
	r := g.repo
	if len(g.made) == 0 {
		return nil // then nobody was refused, either
	}
	branch := g.made[0].branch
	err := g.chain.Publish(ctx)
	if errors.Is(err, durable.ErrUnsynced) && r.git.Confirm(ctx) == nil {
		err = nil
	}
	if err == nil || errors.Is(err, durable.ErrUnsynced) {
		for _, j := range g.made {
			j.end(nil)
			r.remember(j.how.key, keyEntry{commit: j.turn.made, at: j.turn.at, left: j.turn.left})
		}
		g.finish(err)
		return nil
	}
	r.setAuthor(g.author)
	switch {
	case errors.Is(err, gitrepo.ErrMoved):
		err = r.moved(ctx, branch)
	default:
		err = fmt.Errorf("commit to repository %s: %w", r.id, err)
	}
	for _, j := range g.made {
		j.end(err)
	}
	g.later = slices.Concat(g.refused, g.later)
	if errors.Is(err, durable.ErrDiskFull) && len(g.made) > 1 {
		return g.made
	}
	for _, j := range g.made {
		j.finish(err)
	}
	return nil
}

// finish tells everybody in the group.
func (g *group) finish(err error) {
	if err != nil {
		err = fmt.Errorf("commit to repository %s: %w", g.repo.id, err)
	}
	for _, j := range g.made {
		j.finish(err)
	}
	for _, j := range g.refused {
		j.finish(j.err)
	}
}
