package backup

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/caiatech/caiatop/backend/gitrepo"
)

// State says what a Runner does.
type State string

// The states.
const (
	Off     State = "off" // no target is set
	Idle    State = "idle"
	Pushing State = "pushing"
	Failing State = "failing" // the last try failed; there will be another one
)

const (
	// lookEvery is how often the tip is looked at without being told that it
	// moved: others may push into the store's repository.
	lookEvery = time.Minute
	// retryFirst is the pause after a failure; it doubles with each, up to
	// retryMost. Jitter takes up to half of it away.
	retryFirst = 5 * time.Second
	retryMost  = 15 * time.Minute
)

// Done is what a target is known to hold, to be kept over a restart.
type Done struct {
	Target string    `json:"target"`
	Commit string    `json:"commit"` // of main there
	At     time.Time `json:"at"`     // of the last push that ended well
	// Err is what the last push failed with, and Next what to do about it; "" if
	// it went well.
	Err  string `json:"err,omitempty"`
	Next string `json:"next,omitempty"`
}

// Status is one view of a Runner.
type Status struct {
	Target      string // without credentials; "" if Off
	State       State
	LastSuccess time.Time // zero if there was none
	LastCommit  string    // that the target is known to hold, "" if unknown
	// Lag counts the commits that the target lacks, -1 if nobody knows. Oldest is
	// when the oldest of them was made, zero if there is none or it is unknown.
	Lag    int64
	Oldest time.Time
	Err    string // of the last try, without credentials; unsanitised
	Next   string // what follows, or what to do
	Manual bool   // pushes only when it is told to
}

// Options are the parts of a Runner.
type Options struct {
	Repo   *gitrepo.Repo
	Target *Target
	// Interval lies between two pushes; 0 pushes only by Now.
	Interval time.Duration
	// Last is what was kept of an earlier Runner.
	Last Done
	// Tip says which commit is to be pushed, nil for the tip of main. Whoever
	// rewrites main may take back what was pushed: a store that knows better names
	// a commit that only ever moves forward.
	Tip func(context.Context) (gitrepo.Hash, error)
	// Keep is called with what the target holds after each step of a push.
	Keep func(Done)
	// Failed is called with the first of several failures in a row, Recovered
	// with the success after them, Changed whenever Status did.
	Failed    func(err error, next string)
	Recovered func()
	Changed   func()
	Now       func() time.Time
	Rand      func() float64 // 0 to 1
}

// Runner keeps a target up to date. All methods are safe for concurrent use.
type Runner struct {
	o    Options
	turn chan struct{} // one token: who has it pushes
	wake chan struct{}

	mu       sync.Mutex
	state    State
	done     Done
	commit   gitrepo.Hash // of done, zero if unknown
	counted  gitrepo.Hash // up to here the lag is counted
	lag      int64        // from commit to counted, -1 if unknown
	oldest   time.Time
	failures int       // in a row
	retry    time.Time // of the next try, while failing
	started  time.Time // of the last push
}

// New returns a Runner that does nothing until Run or Now.
func New(o Options) *Runner {
	if o.Rand == nil {
		o.Rand = rand.Float64
	}
	if o.Tip == nil {
		o.Tip = func(context.Context) (gitrepo.Hash, error) { return o.Repo.Tip(gitrepo.Main) }
	}
	r := &Runner{o: o, turn: make(chan struct{}, 1), wake: make(chan struct{}, 1), state: Idle, lag: -1}
	if o.Last.Target == o.Target.String() {
		if r.done = o.Last; len(o.Last.Commit) == 40 {
			r.commit = plumbing.NewHash(o.Last.Commit)
		}
		if o.Last.Err != "" {
			// It still fails as far as anybody knows, was told, and is tried at once.
			r.state, r.failures = Failing, 1
		}
	}
	r.done.Target = o.Target.String()
	return r
}

// Wake says that the tip may have moved.
func (r *Runner) Wake() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Run pushes when the tip moved, until ctx ends; a push under way ends with it.
func (r *Runner) Run(ctx context.Context) {
	for ctx.Err() == nil {
		due, behind := r.due(ctx)
		if behind && due <= 0 {
			// The error is told by Failed, and kept for Status.
			_, _ = r.push(ctx, false)
			continue
		}
		wait := lookEvery
		if behind {
			wait = min(wait, due)
		}
		r.pause(ctx, wait, behind)
	}
}

// pause waits; a wake ends it only while nothing is planned.
func (r *Runner) pause(ctx context.Context, wait time.Duration, planned bool) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	wake := r.wake
	if planned {
		wake = nil
	}
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-wake:
	}
}

// due counts the lag and says whether there is anything to push or a failure to
// try again, and in what time it may be.
func (r *Runner) due(ctx context.Context) (time.Duration, bool) {
	lag, tip := r.count(ctx), r.tip(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	if lag == 0 && r.failures == 0 || r.o.Interval == 0 || tip.IsZero() {
		return 0, false
	}
	now := r.o.Now()
	if r.failures > 0 {
		return r.retry.Sub(now), true
	}
	if r.started.IsZero() {
		return 0, true
	}
	return r.started.Add(r.o.Interval).Sub(now), true
}

// tip is that of the store, zero while there is none.
func (r *Runner) tip(ctx context.Context) gitrepo.Hash {
	tip, err := r.o.Tip(ctx)
	if err != nil {
		return gitrepo.Hash{}
	}
	return tip
}

// count brings the lag up to date; each commit is read once.
func (r *Runner) count(ctx context.Context) int64 {
	tip := r.tip(ctx)
	r.mu.Lock()
	from, commit, known := r.counted, r.commit, r.lag
	r.mu.Unlock()
	if commit.IsZero() || tip.IsZero() {
		return known
	}
	if from == tip && known >= 0 {
		return known
	}
	if known < 0 {
		from, known = commit, 0
	}
	n, oldest, err := r.o.Repo.Ahead(ctx, from, tip)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.commit != commit {
		return r.lag // a push moved on meanwhile, and will count
	}
	if err != nil {
		// The history does not go on from there: the next push will say why.
		r.lag, r.oldest = -1, time.Time{}
		return -1
	}
	r.counted, r.lag = tip, known+int64(n)
	if known == 0 {
		r.oldest = oldest.At
	}
	if n > 0 {
		r.changed()
	}
	return r.lag
}

// holds notes what the target has now.
func (r *Runner) holds(commit gitrepo.Hash) {
	if commit.IsZero() {
		return
	}
	r.mu.Lock()
	same := r.commit == commit
	r.commit, r.done.Commit = commit, commit.String()
	if !same {
		r.lag, r.oldest = -1, time.Time{}
	}
	done := r.done
	r.mu.Unlock()
	if !same && r.o.Keep != nil {
		r.o.Keep(done)
	}
	r.changed()
}

// Now pushes what is there now, and returns how that ended. anew begins a
// backup also where an earlier one is gone.
func (r *Runner) Now(ctx context.Context, anew bool) (gitrepo.Copied, error) {
	return r.push(ctx, anew)
}

// push makes the target what the tip is, once.
func (r *Runner) push(ctx context.Context, anew bool) (gitrepo.Copied, error) {
	select {
	case r.turn <- struct{}{}:
	case <-ctx.Done():
		return gitrepo.Copied{}, ctx.Err()
	}
	defer func() { <-r.turn }()
	tip, err := r.o.Tip(ctx)
	if err != nil {
		if errors.Is(err, gitrepo.ErrNotFound) {
			err = fmt.Errorf("%w: there is nothing to back up yet", gitrepo.ErrNotFound)
		}
		return gitrepo.Copied{}, err
	}
	known := r.begin(anew)
	copied, err := r.o.Target.Push(ctx, r.o.Repo, tip, known, func(c gitrepo.Copied) {
		r.holds(c.Tip)
		r.count(ctx)
	})
	if err == nil {
		r.holds(copied.Tip)
	}
	if ctx.Err() != nil {
		r.set(func() {
			if r.state = Idle; r.failures > 0 {
				r.state = Failing
			}
		})
		return copied, ctx.Err()
	}
	if err != nil {
		r.failed(err)
	} else {
		r.succeeded()
	}
	r.count(ctx)
	return copied, err
}

// begin notes that a push begins and returns what the target held last.
func (r *Runner) begin(anew bool) (known gitrepo.Hash) {
	r.set(func() {
		if r.state, r.started = Pushing, r.o.Now(); !anew {
			known = r.commit
		}
	})
	return known
}

func (r *Runner) failed(err error) {
	first := false
	var done Done
	r.set(func() {
		r.state, r.done.Err, r.done.Next = Failing, err.Error(), Advice(err)
		done = r.done
		first = r.failures == 0
		pause := min(max(retryFirst, r.o.Interval)<<min(r.failures, 10), retryMost)
		r.failures++
		r.retry = r.o.Now().Add(pause - time.Duration(r.o.Rand()*float64(pause)/2))
	})
	if r.o.Keep != nil {
		r.o.Keep(done)
	}
	if first && r.o.Failed != nil {
		r.o.Failed(err, Advice(err))
	}
}

func (r *Runner) succeeded() {
	again := false
	var done Done
	r.set(func() {
		again = r.failures > 0
		r.state, r.failures = Idle, 0
		r.done.At, r.done.Err, r.done.Next = r.o.Now().UTC(), "", ""
		done = r.done
	})
	if r.o.Keep != nil {
		r.o.Keep(done)
	}
	if again && r.o.Recovered != nil {
		r.o.Recovered()
	}
}

func (r *Runner) set(change func()) {
	r.mu.Lock()
	change()
	r.mu.Unlock()
	r.changed()
}

func (r *Runner) changed() {
	if r.o.Changed != nil {
		r.o.Changed()
	}
}

// Look brings the lag up to date where Run does not.
func (r *Runner) Look(ctx context.Context) { r.count(ctx) }

// Verify is Target.Verify of the store's repository.
func (r *Runner) Verify(ctx context.Context) (Report, error) {
	return r.o.Target.Verify(ctx, r.o.Repo, r.tip(ctx), r.o.Now)
}

// Status returns what is known now.
func (r *Runner) Status() Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := Status{
		Target: r.o.Target.String(), State: r.state, LastSuccess: r.done.At, LastCommit: r.done.Commit,
		Lag: r.lag, Oldest: r.oldest, Manual: r.o.Interval == 0,
	}
	if r.lag <= 0 {
		s.Oldest = time.Time{}
	}
	s.Err = r.done.Err
	switch {
	case r.state == Failing && !s.Manual && !r.retry.IsZero():
		s.Next = fmt.Sprintf("%s. The next try is at %s", r.done.Next, r.retry.UTC().Format(time.TimeOnly+" MST"))
	case r.state == Failing:
		s.Next = r.done.Next
	case r.state == Idle && s.Manual && r.lag != 0:
		s.Next = "backup.interval is 0: it is pushed by the command caiatop backup now"
	case r.state == Idle && r.lag > 0 && r.started.IsZero():
		s.Next = "It is pushed by the next engine that runs, or now: caiatop backup now"
	case r.state == Idle && r.lag > 0:
		s.Next = fmt.Sprintf("The next push is at %s; an end of the engine does not wait for it", r.started.Add(r.o.Interval).UTC().Format(time.TimeOnly+" MST"))
	}
	return s
}
