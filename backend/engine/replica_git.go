package engine

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/state"
	"github.com/caiatech/caiatop/backend/store"
	"github.com/caiatech/caiatop/probe"
)

// trailerDepth is how many commits are looked at for our own trailer.
const trailerDepth = 10_000

// metaGitAdopt is set while a new state takes over what git holds.
const metaGitAdopt = "git.adopting"

// gitResume is what the git replicator has to do before it follows the outbox.
type gitResume int

const (
	gitFollow   gitResume = iota // git is where its trailer says
	gitAdopt                     // a new state meets a repository with documents
	gitSnapshot                  // git lost data: everything is compared and copied
)

// resumeGit finds git's true cursor: the trailer of the last commit of ours, or
// of the newest one on the branch that carries this state's id. The cursor in the
// state file is a hint.
func (e *Engine) resumeGit(ctx context.Context) (gitResume, error) {
	hint, attached := e.o.State.Cursor(gitReplica)
	e.gitMark = newWatermark(hint)
	if e.o.State.Meta(metaGitAdopt) != "" {
		return gitAdopt, nil // it was begun and not finished
	}
	commit, seq, err := e.gitHeld(ctx)
	if damaged(err) {
		// It is mended as one that is damaged while the engine runs: a start that
		// is refused would keep people from what the other stores hold.
		e.gitDamage = err.Error()
		resume, err := e.resumeWithoutTrailer(ctx, attached)
		if err == nil && resume == gitFollow {
			resume = gitSnapshot
		}
		return resume, err
	}
	if err != nil {
		return 0, fmt.Errorf("git repository %s: %w", e.o.GitDir, err)
	}
	if commit == "" {
		return e.resumeWithoutTrailer(ctx, attached)
	}
	most := e.o.State.Summary().MaxSeq
	switch {
	case seq > most:
		return 0, fmt.Errorf("%w: git holds operation %d of this state, but state.db has issued only %d: it is an old copy. "+
			"Put the newer one back into %s, or run: caiatop rebuild", store.ErrIdentity, seq, most, e.o.StateDir)
	case seq < hint:
		return gitSnapshot, nil
	case !attached:
		err = e.o.State.Attach(ctx, gitReplica, seq)
		if errors.Is(err, state.ErrTrimmed) {
			_, err = e.hold(ctx, gitReplica)
			return gitSnapshot, err
		}
	case seq > hint:
		e.gitUnfinished = commit
		err = e.o.State.Advance(ctx, state.Advance{Store: gitReplica, Seq: seq, Commit: commit})
	}
	if err != nil {
		return 0, fmt.Errorf("state file: %w", err)
	}
	e.gitMark = newWatermark(seq)
	// A branch that does not have the last commit may lack what that holds: the
	// first look finds out.
	tip, err := e.o.Git.Look(ctx)
	if err == nil && tip != "" {
		whole, err := e.o.Git.BuiltUpon(ctx, commit, tip)
		e.view.known[gitReplica] = err == nil && whole
	}
	return gitFollow, nil
}

// ownCommit finds the newest commit of the branch that carries this state's trailer.
func (e *Engine) ownCommit(ctx context.Context) (value, commit string, err error) {
	return e.o.Git.Trailer(ctx, trailerSeq, e.isOwn, trailerDepth)
}

// isOwn tells the values of our trailer from those of other states.
func (e *Engine) isOwn(value string) bool { return strings.HasPrefix(value, e.o.State.StateID()+"/") }

func (e *Engine) resumeWithoutTrailer(ctx context.Context, attached bool) (gitResume, error) {
	if e.o.State.Summary().MaxSeq > 0 {
		if !attached {
			if _, err := e.hold(ctx, gitReplica); err != nil {
				return 0, fmt.Errorf("state file: %w", err)
			}
			return gitSnapshot, nil
		}
		if seq, _ := e.o.State.Cursor(gitReplica); seq > 0 {
			return gitSnapshot, nil
		}
		e.view.known[gitReplica] = true
		return gitFollow, nil // nothing was ever committed: the outbox has it all
	}
	if err := e.o.State.SetMeta(ctx, metaGitAdopt, "begun"); err != nil {
		return 0, fmt.Errorf("state file: %w", err)
	}
	if err := e.o.State.Attach(ctx, gitReplica, 0); err != nil {
		return 0, fmt.Errorf("state file: %w", err)
	}
	e.gitMark = newWatermark(0)
	return gitAdopt, nil
}

// runGit carries the outbox to git. It never ends but by its context: what git
// cannot take stays in the outbox.
func (e *Engine) runGit(ctx context.Context, resume gitResume) {
	failures, told := 0, false
	for ctx.Err() == nil {
		more, err := e.stepGit(ctx, &resume)
		if err != nil {
			if ctx.Err() != nil {
				return
			}
			e.setReplicaError(gitReplica, err)
			full := errors.Is(err, errAsideFull) // needs a person, whatever was told before
			if (!told || full) && !errors.Is(err, errWaiting) {
				told = true
				e.trouble(Error, "git", "git cannot take writes, they are kept in the outbox: "+err.Error(), e.gitAdvice(err))
			}
			failures++
			pause(ctx, min(time.Duration(failures)*500*time.Millisecond, 10*time.Second), nil)
			continue
		}
		if failures > 0 && resume == gitFollow { // not while it is to be mended
			failures = 0
			e.setReplicaError(gitReplica, nil)
			if told {
				told = false
				e.event(Info, "git", "git takes writes again", "")
			}
		}
		if !more {
			pause(ctx, gitLookEvery, e.wakeGit)
		}
	}
}

// stepGit does what is next: mending, catching up, a batch, or a look at a
// repository that nothing is written to. It reports whether there may be
// more to do at once.
func (e *Engine) stepGit(ctx context.Context, resume *gitResume) (more bool, err error) {
	if *resume != gitFollow {
		if e.gitDamage != "" {
			next, err := e.mendGit(ctx, e.gitDamage)
			if err != nil {
				return false, err
			}
			e.gitDamage = ""
			if *resume != gitAdopt && *resume != gitAttach { // which is still to be done
				*resume = next
			}
		}
		if err := e.catchUpGit(ctx, *resume); err != nil {
			if damaged(err) {
				e.gitDamage = err.Error()
			}
			return false, err
		}
		*resume = gitFollow
		e.setKnown(gitReplica, true)
		e.gitFill.Store(true) // others may lack what git has again
	}
	e.awaitBatch(ctx)
	e.gate.yield(ctx, gitYieldMost)
	if e.lag(gitReplica) > 0 {
		e.incoming.await(ctx)
	}
	n, err := e.gitRound(ctx)
	if err == nil {
		err = e.detachPrimary(ctx) // once it misses too much
	}
	if err == nil {
		err = e.learnDamage(ctx)
	}
	if err == nil && e.gitFill.Swap(false) {
		if err = e.fillGit(ctx); err == nil {
			err = e.retryMissing(ctx)
		}
		if err != nil {
			e.gitFill.Store(true)
		}
	}
	if err == nil && n == 0 {
		err = e.lookAtGit(ctx)
	}
	if errors.Is(err, errInbound) {
		if err = e.meetGit(ctx); err == nil {
			return true, nil
		}
	}
	if ctx.Err() == nil && damaged(err) {
		e.setKnown(gitReplica, false)
		*resume, e.gitDamage = gitSnapshot, err.Error()
		return true, nil // the next step mends it, or says why not
	}
	return n > 0, err
}

// gitRound commits the next operations as one commit and returns how many it
// passed.
func (e *Engine) gitRound(ctx context.Context) (int, error) {
	cursor := e.gitMark.now()
	rows, err := e.o.State.Next(ctx, cursor, gitBatchOps, gitBatchBytes)
	if err != nil || len(rows) == 0 {
		return 0, err
	}
	rows, newest := onceEach(rows, e.lag(gitReplica) > gitKeepEvery)
	batch := store.Batch{Author: e.o.Author, At: e.o.Now().UTC()}
	for _, row := range rows {
		if row.Origin == gitReplica {
			continue // it came from there
		}
		if row.Seq != newest[row.Key.ID] {
			batch.Trailers = append(batch.Trailers, store.Trailer{Key: trailerOp, Value: row.OpID},
				store.Trailer{Key: foldedTrailer, Value: document.ShortHash(row.Key.ID.String())})
			continue // the newer version of this batch stands for it
		}
		op := store.Op{ID: row.OpID, Key: row.Key}
		if !row.Delete {
			doc, err := e.payload(ctx, row)
			if err != nil {
				return 0, err
			}
			op.Doc = &doc
		}
		batch.Ops = append(batch.Ops, op)
		batch.Trailers = append(batch.Trailers, store.Trailer{Key: trailerOp, Value: row.OpID})
	}
	last := rows[len(rows)-1].Seq
	if len(batch.Ops) == 0 {
		if last, err = e.passInbound(ctx, last); err != nil {
			return 0, err
		}
	}
	commit, err := e.commitGit(ctx, batch, last)
	if err != nil {
		return 0, err
	}
	e.gitMark.pass(last, commit)
	if err := e.o.State.Advance(ctx, state.Advance{Store: gitReplica, Seq: last, Commit: commit}); err != nil {
		return 0, fmt.Errorf("state file: %w", err)
	}
	e.touch()
	return len(rows), nil
}

// passInbound returns the last of the operations that follow seq without one
// that git lacks: what came from there needs one commit in all to say that it
// was passed.
func (e *Engine) passInbound(ctx context.Context, seq int64) (int64, error) {
	for {
		rows, err := e.o.State.Next(ctx, seq, gitBatchOps, gitBatchBytes)
		if err != nil || len(rows) == 0 {
			return seq, err
		}
		for _, row := range rows {
			if row.Origin != gitReplica {
				return seq, nil
			}
			seq = row.Seq
		}
	}
}

// commitGit commits a batch to a branch that holds what it held.
func (e *Engine) commitGit(ctx context.Context, batch store.Batch, through int64) (string, error) {
	return e.commitGitIf(ctx, batch, through, e.onto)
}

func (e *Engine) commitGitIf(ctx context.Context, batch store.Batch, through int64, check func(tip string) error) (string, error) {
	batch.Trailers = append(batch.Trailers, store.Trailer{
		Key: trailerSeq, Value: e.o.State.StateID() + "/" + strconv.FormatInt(through, 10),
	})
	started := e.o.Now()
	_, tip, err := e.o.Git.ApplyOnto(ctx, batch, check)
	took := e.o.Now().Sub(started)
	for _, op := range batch.Ops {
		kind := probe.Write
		if op.Doc == nil {
			kind = probe.Delete
		}
		e.o.Recorder.Observe(kind, probe.Git, took, err)
	}
	e.tellSlow(slowCall{probe.Write, probe.Git}, took)
	if err != nil {
		return "", fmt.Errorf("%w: %w", errGitSide, err)
	}
	e.sawGit(tip)
	return tip, nil
}

// onceEach makes rows a batch that holds one version of each document, and
// returns the newest operation of each. It cuts before the second version of a
// document, so that git keeps every version; but when git is behind by more
// than gitKeepEvery operations, only the newest of the batch is kept: otherwise a caller who
// overwrites one document faster than git commits would leave git behind for
// good.
func onceEach(rows []state.Outgoing, behind bool) ([]state.Outgoing, map[document.ID]int64) {
	newest := make(map[document.ID]int64, len(rows))
	for i, row := range rows {
		if _, twice := newest[row.Key.ID]; twice && !behind {
			return rows[:i], newest
		}
		newest[row.Key.ID] = row.Seq
	}
	return rows, newest
}

// catchUpGit makes index and repository one before the outbox is followed.
func (e *Engine) catchUpGit(ctx context.Context, resume gitResume) error {
	switch resume {
	case gitAdopt:
		return e.adoptGit(ctx)
	case gitSnapshot:
		return e.snapshotGit(ctx)
	case gitAttach:
		return e.attachGit(ctx)
	}
	return nil
}
