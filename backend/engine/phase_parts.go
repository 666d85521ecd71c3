package engine

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caiatech/caiatop/backend/gitstore"
	"github.com/caiatech/caiatop/backend/govc"
	"github.com/caiatech/caiatop/backend/state"
	"github.com/caiatech/caiatop/probe"
)

// metaGitDetached is how far git had come when it was left: what others pushed
// since is compared with what was written here since.
const metaGitDetached = "git.detached"

// part is a store that comes and goes while the engine runs. on is for
// everybody; the rest belongs to Open, and later to runPhases.
type part struct {
	on    atomic.Bool
	leave context.CancelFunc
	ended sync.WaitGroup
}

// phased are the parts, and what a change of the phase is told through.
type phased struct {
	govc, git, kept part
	requests        chan phaseRequest
	detail          atomic.Pointer[string]
	blocked         atomic.Pointer[string] // why an attachment cannot be made whole
	gitWhole        atomic.Bool            // git was attached before, or everything was copied and read there
	failed          atomic.Int64           // attempts to make one whole
	counted         atomic.Int64           // documents that were brought to a store that is being attached
	wakeKept        chan struct{}
	stop            context.CancelFunc // of runPhases
	stopped         chan struct{}
	flushTo         atomic.Int64 // git is to have operations up to here without delay
	swept           string       // of runKept: the copy that was looked at last
}

// run starts the goroutines of a part, which end with leavePart.
func (e *Engine) runPart(ctx context.Context, p *part, routines ...func(context.Context)) {
	ctx, p.leave = context.WithCancel(ctx)
	p.on.Store(true)
	for _, routine := range routines {
		p.ended.Add(1)
		e.start(func() {
			defer p.ended.Done()
			routine(ctx)
		})
	}
}

// leavePart ends the goroutines of a part and waits for them.
func (p *part) leavePart() {
	if p.leave == nil {
		return
	}
	p.leave()
	p.ended.Wait()
	p.leave = nil
	p.on.Store(false)
}

// talks reports whether this engine talks to a service: it has one, and the
// phase, or a change of it, does.
func (e *Engine) talks() bool { return e.o.Primary != nil && e.phased.govc.on.Load() }

// hasGit reports whether git follows the outbox.
func (e *Engine) hasGit() bool { return e.phased.git.on.Load() }

// phase is the one in effect.
func (e *Engine) phase() Phase { return Phase(e.o.State.Phase().Name) }

// resumePhase says which phase this start has, and records it.
func (e *Engine) resumePhase(ctx context.Context) error {
	rec, drop := atStart(e.o.State, e.o.Phase, gitEmpty(ctx, e.o.Git), e.o.Now())
	if rec != e.o.State.Phase() {
		if err := e.o.State.SetPhase(ctx, rec, e.letGo(drop)); err != nil {
			return fmt.Errorf("state file: %w", err)
		}
	}
	has := Phase(rec.Name).stores()
	if _, attached := e.o.State.Cursor(keptReplica); has.kept && !attached {
		// A new state that begins so.
		if err := e.o.State.Attach(ctx, keptReplica, e.o.State.Summary().MaxSeq); err != nil {
			return fmt.Errorf("state file: %w", err)
		}
	}
	e.phased.git.on.Store(has.git)
	e.phased.kept.on.Store(has.kept)
	e.phased.govc.on.Store(has.govc && e.o.Primary != nil)
	if !e.talks() {
		e.view.state, e.view.reason = StateNone, noService(Phase(rec.Name))
	}
	seq, _ := e.o.State.Cursor(keptReplica)
	e.keptMark = newWatermark(seq)
	return nil
}

func noService(p Phase) string {
	if p.stores().govc {
		return "this engine runs without a service"
	}
	return "the phase " + string(p) + " has no service"
}

// gitEmpty reports whether a repository is known to hold nothing.
func gitEmpty(ctx context.Context, git *gitstore.Store) bool {
	tip, err := git.Look(ctx)
	if err != nil || tip != "" {
		return false
	}
	last, err := git.Last(ctx)
	return err == nil && last == ""
}

// startParts starts what the phase in effect has.
func (e *Engine) startParts(ctx context.Context, resume gitResume) {
	if e.o.Primary != nil {
		e.prober = probe.NewProber(checker{e}, probe.ProberOptions{OnResult: e.onHealth, Now: e.o.Now, Rand: e.o.Rand})
	}
	if e.hasGit() {
		e.phased.gitWhole.Store(true)
		e.runPart(ctx, &e.phased.git, func(ctx context.Context) { e.runGit(ctx, resume) })
	}
	if e.phased.kept.on.Load() {
		e.runPart(ctx, &e.phased.kept, e.runKept)
	}
	if e.talks() {
		e.runPart(ctx, &e.phased.govc, e.prober.Run, e.runPrimary)
	}
	changes, stop := context.WithCancel(ctx)
	e.phased.stop, e.phased.stopped = stop, make(chan struct{})
	e.start(func() {
		defer close(e.phased.stopped)
		e.runPhases(changes, ctx)
	})
}

// stopChanges ends the goroutine of changes and waits for it: what is attached
// now stays so until the end.
func (p *phased) stopChanges() {
	p.stop()
	<-p.stopped
}

// resumeGitPart is resumeGit where the phase has git.
func (e *Engine) resumeGitPart(ctx context.Context) (gitResume, error) {
	if e.hasGit() {
		return e.resumeGit(ctx)
	}
	seq, _ := e.o.State.Cursor(gitReplica)
	e.gitMark = newWatermark(seq)
	return gitFollow, e.noteBeginning(ctx)
}

// settleAtEnd waits for git where the phase has it. Without, the state file has
// what the service lacks, and the next start carries it on.
func (e *Engine) settleAtEnd(ctx context.Context) error {
	if !e.phase().stores().git {
		return nil
	}
	return e.settleGit(ctx)
}

// settleKept waits until what is acknowledged now has left the outbox.
func (e *Engine) settleKept(ctx context.Context) error {
	through := e.o.State.Summary().MaxSeq
	if _, passed := e.keptMark.wait(ctx, through); !passed {
		return fmt.Errorf("the service does not hold every write yet, %d are kept in the outbox: %w %s", through-e.keptMark.now(), ctx.Err(), e.replicaError(keptReplica))
	}
	return nil
}

// attachParts attaches stores that are not attached yet. What is not there when
// it fails is attached by the next call.
func (e *Engine) attachParts(ctx context.Context, want storeSet) error {
	if want.govc && !e.talks() {
		if err := e.attachGovc(ctx); err != nil {
			return err
		}
	}
	if want.git && !e.hasGit() {
		if err := e.attachGitPart(ctx); err != nil {
			return err
		}
	}
	if want.kept && !e.phased.kept.on.Load() {
		return e.attachKept(ctx)
	}
	return nil
}

// attachKept begins to keep copies. What an earlier time left is not believed.
func (e *Engine) attachKept(ctx context.Context) error {
	if _, attached := e.o.State.Cursor(keptReplica); !attached {
		if err := e.o.State.ClearKept(ctx); err != nil {
			return err
		}
	}
	if _, err := e.hold(ctx, keptReplica); err != nil {
		return fmt.Errorf("state file: %w", err)
	}
	seq, _ := e.o.State.Cursor(keptReplica)
	e.keptMark.reset(seq)
	e.phased.blocked.Store(nil)
	e.phased.failed.Store(0)
	e.phased.counted.Store(0)
	e.runPart(ctx, &e.phased.kept, e.runKept)
	return nil
}

// attachGovc starts the embedded service if it is that, and the goroutines that
// look at the service and write to it.
func (e *Engine) attachGovc(ctx context.Context) error {
	if e.o.Embedded != nil {
		if err := e.o.Embedded.Start(); err != nil {
			return fmt.Errorf("embedded service: %w", err)
		}
	}
	seq, attached := e.o.State.Cursor(primaryReplica)
	e.govcMark.reset(seq)
	e.breaker.clear()
	select {
	case <-e.healthC: // of an earlier attachment
	default:
	}
	e.mu.Lock()
	e.view.state, e.view.since, e.view.reason, e.view.next = StateProbing, e.o.Now(), "looking at the service", ""
	e.view.known[primaryReplica], e.view.errs[primaryReplica] = attached, ""
	e.mu.Unlock()
	e.runPart(ctx, &e.phased.govc, e.prober.Run, e.runPrimary)
	e.touch()
	return nil
}

// attachGitPart lets git's replicator compare the repository with the index and
// follow the outbox from there.
func (e *Engine) attachGitPart(ctx context.Context) error {
	// First, so that nothing after the snapshot leaves the outbox.
	if _, err := e.hold(ctx, gitReplica); err != nil {
		return fmt.Errorf("state file: %w", err)
	}
	e.phased.gitWhole.Store(false)
	e.gitMark.reset(e.gitDetachedAt())
	e.setKnown(gitReplica, false)
	e.phased.blocked.Store(nil)
	e.phased.failed.Store(0)
	e.phased.counted.Store(0)
	e.runPart(ctx, &e.phased.git, func(ctx context.Context) { e.runGit(ctx, gitAttach) })
	return nil
}

// gitDetachedAt is the newest operation that git had when it was left.
func (e *Engine) gitDetachedAt() int64 {
	if seq, err := strconv.ParseInt(e.o.State.Meta(metaGitDetached), 10, 64); err == nil {
		return seq
	}
	seq, _ := e.o.State.Cursor(gitReplica)
	return seq
}

// endParts ends the goroutines of stores.
func (e *Engine) endParts(gone storeSet) {
	if gone.govc {
		e.phased.govc.leavePart()
	}
	if gone.git {
		e.phased.git.leavePart()
	}
	if gone.kept {
		e.phased.kept.leavePart()
	}
}

// letGo is what is recorded when stores are left: their hold on the outbox ends,
// and how they are met again.
func (e *Engine) letGo(gone storeSet) state.With {
	with := state.With{Detach: gone.replicas(), Meta: map[string]string{}}
	if gone.govc && e.o.State.Meta(metaLineage) != "" && e.o.State.Meta(metaRefill) == "" {
		with.Meta[metaRefill] = "detached" // everything is compared when it comes back
	}
	if gone.git && e.phased.gitWhole.Load() {
		with.Meta[metaGitDetached] = strconv.FormatInt(e.gitMark.now(), 10)
	}
	if gone.kept {
		with.Meta[metaKept] = ""
	}
	return with
}

// forgetParts forgets what was known of stores that were left.
func (e *Engine) forgetParts(ctx context.Context, gone storeSet) error {
	if gone.govc {
		if err := e.forgetGovc(ctx); err != nil {
			return err
		}
	}
	if gone.git {
		e.gitDamaged, e.gitDamage, e.gitTold = "", "", false
		e.setGitDamage("", "")
		e.setReplicaError(gitReplica, nil)
		e.setKnown(gitReplica, false)
		if err := e.o.State.Unpark(ctx, gitReplica); err != nil {
			return fmt.Errorf("state file: %w", err)
		}
	}
	if gone.kept {
		e.setReplicaError(keptReplica, nil)
		return e.o.State.ClearKept(ctx)
	}
	return nil
}

// forgetGovc also ends the embedded service, which nobody uses any more.
func (e *Engine) forgetGovc(ctx context.Context) error {
	if _, err := e.StopDrill(ctx); err != nil {
		return err
	}
	e.mu.Lock()
	v := &e.view
	v.state, v.since, v.reason, v.next, v.held, v.unjudged, v.drill = StateNone, e.o.Now(), noService(PhaseGitOnly), "", false, false, DrillStatus{}
	v.info, v.facts, v.waits, v.probed, v.health, v.began = govc.Info{}, Facts{}, nil, time.Time{}, probe.Health{}, time.Time{}
	v.progress, v.known[primaryReplica], v.errs[primaryReplica] = nil, false, ""
	clear(e.missing)
	e.lastWritten = writtenDocument{}
	e.mu.Unlock()
	e.touch()
	// What it refused is in git; when it comes back, everything is compared.
	if err := e.o.State.Unpark(ctx, primaryReplica); err != nil {
		return fmt.Errorf("state file: %w", err)
	}
	if e.o.Embedded == nil {
		return nil
	}
	if err := e.o.Embedded.Stop(ctx); err != nil {
		return fmt.Errorf("embedded service: %w", err)
	}
	return nil
}
