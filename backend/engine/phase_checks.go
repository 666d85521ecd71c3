package engine

import (
	"context"
	"fmt"

	"github.com/caiatech/caiatop/backend/state"
)

// What has to hold before a change of the phase goes on.

// wouldLose refuses at once what no waiting can make possible.
func (e *Engine) wouldLose(from, to Phase) error {
	goes, comes := from.stores().without(to.stores()), to.stores().without(from.stores())
	if e.DrillStatus().Kind == DrillEmptyRestart {
		return &PhaseError{
			From: from, To: to, Why: "a drill put an empty service in the place of the embedded one, so what it holds says nothing",
			Next: "End the drill (caiatop drill stop), then try again",
		}
	}
	if goes.govc && from.stores().git {
		if err := e.gitLacks(from, to); err != nil {
			return err
		}
	}
	if size := e.o.State.Summary().Bytes; comes.kept && !e.serviceDurable() && size > e.o.KeptBytes {
		return &PhaseError{
			From: from, To: to,
			Why:  fmt.Sprintf("the service does not keep its data over a restart, and copies of %d bytes of content are more than engine.kept_bytes allows (%d)", size, e.o.KeptBytes),
			Next: "Raise engine.kept_bytes, or use a service that keeps its data; phase primary keeps git as the backup",
		}
	}
	return nil
}

// gitLacks refuses to leave the service while git is known to lack documents.
func (e *Engine) gitLacks(from, to Phase) error {
	missing, _ := e.gitMissing()
	if missing == 0 {
		return nil
	}
	return &PhaseError{
		From: from, To: to, Why: fmt.Sprintf("git lacks %d documents, of which the service may have the only copy", missing),
		Next: "Bring the service back, which fills them in by itself, or restore them from a backup of git; then try again",
	}
}

// attachedWhole says what is missing until the stores that come hold everything.
func (e *Engine) attachedWhole(ctx context.Context, from, to Phase, comes storeSet) (waiting string, err error) {
	serves := e.current() == StatePrimary
	// A store that is to be the only one beside copies in the state file, or that
	// is attached, must serve.
	if (comes.govc || comes.kept) && !serves {
		e.mu.Lock()
		waiting = fmt.Sprintf("waiting for the govc service: %s, %s", e.view.state, e.view.reason)
		e.mu.Unlock()
		return waiting, nil
	}
	// That git is known says no more than that its branch is.
	if comes.git && !e.phased.gitWhole.Load() {
		if why := e.phased.blocked.Load(); why != nil && (serves || !e.talks()) {
			return "", &PhaseError{From: from, To: to, Why: *why, Next: missingAdvice + ". Then try again"}
		}
		return e.busyWith("copying to git and comparing", gitReplica), nil
	}
	if !comes.kept {
		return "", nil
	}
	ready, err := e.keptReady(ctx)
	if ready || err != nil {
		return "", err
	}
	if why := e.phased.blocked.Load(); why != nil {
		return "", &PhaseError{From: from, To: to, Why: *why, Next: missingAdvice + "; or raise engine.kept_bytes if that is what is too small. Then try again"}
	}
	return e.busyWith("comparing with the govc service and keeping copies", keptReplica), nil
}

// busyWith says how far a store is that is being attached.
func (e *Engine) busyWith(what, replica string) string {
	text := fmt.Sprintf("%s: %d of %d documents", what, e.phased.counted.Load(), e.o.State.Summary().Documents)
	if trouble := e.replicaError(replica); trouble != "" {
		text += "; " + trouble
	}
	return text
}

// drained says what the stores that are left still have to take.
func (e *Engine) drained(ctx context.Context, rec state.Phase, goes storeSet) (waiting string, err error) {
	late := e.o.Now().Sub(rec.Begun) > drainMost
	newest := e.o.State.Summary().MaxSeq
	if goes.govc {
		// From now on git is all there is.
		if err := e.gitLacks(Phase(rec.Name), Phase(rec.Wanted)); err != nil {
			return "", err
		}
		if _, err := e.o.Git.Look(ctx); err != nil || !e.isKnown(gitReplica) {
			return "waiting until git is whole: " + e.replicaError(gitReplica), nil //nolint:nilerr // its own goroutine deals with it
		}
		if e.lag(gitReplica) > 0 {
			e.flushGit(newest)
		}
		answers := e.current() == StatePrimary || e.current() == StateReplaying
		if n := e.lag(primaryReplica); n > 0 && answers && !late {
			return fmt.Sprintf("the govc service takes %d more operations", n), nil
		}
	}
	if goes.git && e.lag(gitReplica) > 0 && !late {
		e.flushGit(newest)
		return fmt.Sprintf("git takes %d more operations", e.lag(gitReplica)), nil
	}
	return "", nil
}
