package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/caiatech/caiatop/backend/backup"
	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/govc"
	"github.com/caiatech/caiatop/backend/store"
	"github.com/caiatech/caiatop/probe"
)

// Engine runs the stores. All its methods are safe for concurrent use.
type Engine struct {
	o           Options
	breaker     breaker
	gate        gate
	credentials credentialWatch

	govcMark *watermark
	gitMark  *watermark
	textMark *watermark
	keptMark *watermark
	phased   phased

	// Signals, each of capacity one: something was appended, or is to be shown.
	wakeGovc, wakeGit, wakeText, dirty chan struct{}
	feedC                              chan []store.Op // to the memory replicator
	recoverC                           chan recovery
	adopted                            chan struct{}     // closed once the index knows what git holds
	conflictsKnown                     chan struct{}     // closed once the conflicts of earlier times are listed
	healthC                            chan probe.Health // newest result of the prober
	prober                             *probe.Prober
	backup                             *backup.Runner // nil without a target

	published atomic.Pointer[Stats]
	reads     atomic.Uint64
	writes    atomic.Uint64
	closing   atomic.Bool
	conflicts atomic.Int64 // recorded since the start
	notes     notes
	asked     notes // of the service, whose a version is
	slow      slowness
	repeats   repeats
	verify    verification
	// What others ask the goroutines that own a store to do.
	primaryWork, textWork desk

	// batchOps, written and failing belong to the goroutine that owns the primary:
	// failing counts the attempts of one operation.
	batchOps int   // of the next batch
	written  int64 // operations that changed something at the primary
	failing  struct {
		seq    int64
		count  int
		probed time.Time // of the good probe before the last attempt
	}

	// gitTip, gitDamaged, gitUnfinished, gitDamage, gitTold, unreadable, strangers and incoming
	// belong to the goroutine that writes to git: the newest commit of which the index
	// knows everything, "" if unknown; the damage that learnDamage told last; the commit that the process before this one
	// did not record any more, "" if none; why the repository is to be mended, "" if
	// it is not; that the snapshot under way was told of; the folders and files that
	// were told as no documents. gitSeen is gitTip for others; pushedTo the
	// newest operation that a push brought. gitFill asks to look
	// again for what git lacks.
	gitTip        string
	gitDamaged    string
	gitUnfinished string
	gitDamage     string
	gitTold       bool
	unreadable    map[string]struct{}
	strangers     map[string]struct{}
	incoming      incoming
	gitSeen       atomic.Pointer[string]
	pushedTo      atomic.Int64
	gitFill       atomic.Bool

	drills drills

	mu             sync.Mutex // guards everything below; never held over I/O
	view           view
	stateCtx       context.Context //nolint:containedctx // the running state's, handed to waiters
	leaveState     context.CancelCauseFunc
	recentSwitches []time.Time
	lastWritten    writtenDocument
	unfed          map[document.ID]struct{} // left out of memory
	missing        map[document.ID]bool     // seen missing at the primary; true once written again
	collided       map[document.ID]collision
	subscribers    map[*Subscription]struct{}

	stop     context.CancelFunc
	ended    <-chan struct{} // closed when the engine is told to stop
	routines sync.WaitGroup
}

// view is what Stats shows beside what the parts know themselves.
type view struct {
	state        State
	since        time.Time
	reason, next string
	held         bool
	unjudged     bool // the service answers probes, and nobody can tell what it holds
	switches     int
	drill        DrillStatus
	info         govc.Info
	facts        Facts
	waits        []time.Duration // for first bytes of good probes, oldest first
	windows      []time.Duration // of the last batches, oldest first
	probed       time.Time       // when the newest of them began
	health       probe.Health
	began        time.Time // the service, as its uptime said last
	progress     *Progress
	refillFrom   int64 // operations up to here are part of the copy under way
	errs         map[string]string
	known        map[string]bool // replicas that have been looked at
	gitDamage    string          // what is damaged in git, "" if nothing is known to be
	gitWarning   string          // the same of what nothing needs
	events       []Event         // newest last
}

type writtenDocument struct {
	key  store.Key
	hash document.Hash
}

// Names of the trailers below every commit message.
const (
	trailerSeq = "Outbox-Seq"
	trailerOp  = "Op-Id"
)

// maxMissing bounds the documents that are remembered as missing.
const maxMissing = 10_000

// Open starts the engine on parts that are open. It returns as soon as
// operations can be acknowledged; the stores are caught up in the background.
// An error that wraps store.ErrIdentity means that state file and git
// repository do not belong together.
func Open(ctx context.Context, o Options) (*Engine, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	e := newEngine(o)
	if err := e.resumePhase(ctx); err != nil {
		return nil, err
	}
	govcSeq, attached := o.State.Cursor(primaryReplica)
	e.govcMark = newWatermark(govcSeq)
	e.view.known[primaryReplica] = attached
	resume, err := e.resumeGitPart(ctx)
	if err != nil {
		return nil, err
	}
	e.textMark = newWatermark(o.Derived.Cursor())
	if err := e.loadEvents(ctx); err != nil {
		return nil, err
	}
	if err := e.loadVerification(ctx); err != nil {
		return nil, err
	}
	if resume != gitAdopt {
		close(e.adopted)
	}
	if err := e.detachPrimary(ctx); err != nil {
		return nil, err
	}
	if e.backup, err = e.newBackup(ctx); err != nil {
		return nil, err
	}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	e.stop, e.ended = stop, run.Done()
	if !e.talks() {
		// What was missing may have been put back meanwhile. A service is asked
		// when it serves.
		e.gitFill.Store(o.State.ParkedCount() > 0)
	}
	if o.Primary != nil {
		e.view.facts.Tip = o.State.Tip(primaryReplica) // seen by an earlier process
	}
	e.published.Store(e.snapshot())
	e.start(func() { e.runText(run) })
	e.start(func() { e.runMemory(run) })
	e.start(func() { e.runPublisher(run) })
	e.start(func() { e.runConflicts(run) })
	e.startBackup(run)
	e.startParts(run, resume)
	return e, nil
}

// newEngine returns an engine that does nothing yet.
func newEngine(o Options) *Engine {
	e := &Engine{
		o:        o,
		gate:     gate{now: o.Now},
		wakeGovc: make(chan struct{}, 1),
		wakeGit:  make(chan struct{}, 1),
		wakeText: make(chan struct{}, 1),
		dirty:    make(chan struct{}, 1),
		feedC:    make(chan []store.Op, 64),
		recoverC: make(chan recovery),
		adopted:  make(chan struct{}),

		conflictsKnown: make(chan struct{}),

		healthC:     make(chan probe.Health, 1),
		batchOps:    govcBatchOps,
		unfed:       map[document.ID]struct{}{},
		unreadable:  map[string]struct{}{},
		strangers:   map[string]struct{}{},
		incoming:    newIncoming(o.GitDir, o.Now),
		missing:     map[document.ID]bool{},
		collided:    map[document.ID]collision{},
		subscribers: map[*Subscription]struct{}{},
	}
	e.phased.requests, e.phased.wakeKept = make(chan phaseRequest), make(chan struct{}, 1)
	e.primaryWork, e.textWork = desk{make(chan work), e.wakeGovc}, desk{make(chan work), e.wakeText}
	e.incoming.moved, e.incoming.refused = e.pushed, e.tellRefused
	e.view = view{state: StateProbing, since: o.Now(), reason: "looking at the service", errs: map[string]string{}, known: map[string]bool{}}
	return e
}

func (e *Engine) start(routine func()) {
	e.routines.Add(1)
	go func() {
		defer e.routines.Done()
		routine()
	}()
}

// Close refuses new writes, waits until git holds every acknowledged one or
// the context ends, and stops. Nothing is lost when it does not wait: the
// outbox is carried on by the next start.
func (e *Engine) Close(ctx context.Context) error {
	e.closing.Store(true)
	e.phased.stopChanges()
	e.closeDrills(ctx)
	e.endVerification()
	err := e.settleAtEnd(ctx)
	e.stop()
	e.routines.Wait()
	// What was read just now may have been found damaged: it is known after the
	// next start.
	if ctx.Err() == nil && e.phase().stores().git {
		err = errors.Join(err, e.learnDamage(ctx))
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for s := range e.subscribers {
		s.end()
	}
	e.subscribers = nil
	return err
}

// syncLook is how often Sync looks at a repository that is not whole.
const syncLook = 50 * time.Millisecond

// Sync waits until git holds every write that is acknowledged now, and the index
// what others have pushed to git by now. Documents that git lacks and no store
// can deliver are an error at once: waiting brings none of them back.
//
// In a phase without git it waits until a service that keeps its data, or the
// kept copies, have it.
func (e *Engine) Sync(ctx context.Context) error {
	if !e.phase().stores().git {
		return e.settleKept(ctx)
	}
	e.meetPushed(ctx)
	if err := e.settleGit(ctx); err != nil {
		return err
	}
	if n, _ := e.gitMissing(); n > 0 {
		return fmt.Errorf("%w: %s documents are missing in git: %s", store.ErrUnavailable, number(n), gitMissingAdvice)
	}
	return nil
}

// meetPushed waits until the index knows what others pushed, or the context
// ends. A repository that cannot be looked at is for settleGit.
func (e *Engine) meetPushed(ctx context.Context) {
	for ctx.Err() == nil {
		tip, err := e.o.Git.Look(ctx)
		if seen := e.gitSeen.Load(); err != nil || tip == "" || (seen != nil && *seen == tip) {
			return
		}
		signal(e.wakeGit)
		pause(ctx, syncLook, nil)
	}
}

// settleGit waits until git holds what can be brought there, and is whole: what
// was deleted under the engine is in files that only this process has open.
func (e *Engine) settleGit(ctx context.Context) error {
	through := e.o.State.Summary().MaxSeq
	e.flushGit(through)
	if _, passed := e.gitMark.wait(ctx, through); !passed {
		return fmt.Errorf("git does not hold every write yet, %s are kept in the outbox: %w %s", number(through-e.gitMark.now()), ctx.Err(), e.replicaError(gitReplica))
	}
	for through > 0 {
		known := e.isKnown(gitReplica)
		_, err := e.o.Git.Look(context.WithoutCancel(ctx))
		if known && err == nil {
			break
		}
		signal(e.wakeGit)
		if pause(ctx, syncLook, nil); ctx.Err() != nil {
			return fmt.Errorf("%w: git is not whole: %w %s", store.ErrUnavailable, ctx.Err(), e.replicaError(gitReplica))
		}
	}
	return nil
}

// appended wakes the replicators.
func (e *Engine) appended() {
	for _, c := range []chan struct{}{e.wakeGovc, e.wakeGit, e.wakeText, e.phased.wakeKept} {
		signal(c)
	}
	e.touch()
}

// touch makes the publisher look.
func (e *Engine) touch() { signal(e.dirty) }

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

// checker is what the prober calls: the service's health, and while it serves
// its identity.
type checker struct{ e *Engine }

// Check implements probe.Checker.
func (c checker) Check(ctx context.Context) (probe.Found, error) {
	found, err := c.e.o.Checker.Check(ctx)
	if err != nil {
		return found, err
	}
	if err := c.e.describeAnew(ctx, found); err != nil {
		return found, err
	}
	return found, c.e.checkMarker(ctx)
}

// onHealth takes the result of one probe.
func (e *Engine) onHealth(h probe.Health) {
	e.watchCredentials()
	e.mu.Lock()
	before := e.view.health
	e.view.health = h
	e.mu.Unlock()
	for sent := false; !sent; {
		select {
		case e.healthC <- h:
			sent = true
		default:
			select { // drop the older one
			case <-e.healthC:
			default:
			}
		}
	}
	if e.current() == StatePrimary {
		if why := e.breaker.report(e.o.Now(), !h.Up); why != "" {
			e.interrupt(unreachable(why+", the last one: "+h.Err), StatePrimary)
		} else if !h.Up {
			time.AfterFunc(suspectRetry, e.prober.Hurry)
		}
	}
	if around := e.lookAround(h.Up); around || before.Up != h.Up || before.Err != h.Err || before.Status != h.Status || before.Version != h.Version || before.At.IsZero() || shownLatency(before.Latency) != shownLatency(h.Latency) {
		e.touch()
	}
}

// shownLatency rounds to what a screen shows, so that a probe which changes no
// shown value causes no drawing.
func shownLatency(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }

func (e *Engine) healthUp() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.view.health.Up
}
