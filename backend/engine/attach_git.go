package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/caiatech/caiatop/backend/state"
	"github.com/caiatech/caiatop/backend/store"
)

// gitAttach is what git's replicator does where git comes back into a phase: what
// others pushed meanwhile is taken over, everything is compared with the index
// and copied, and read again.
const gitAttach gitResume = gitSnapshot + 1

// errIncomplete: documents are in no store that can be asked.
var errIncomplete = errors.New("documents are in no store")

// attachGit makes a repository that was left whole again. Nothing relies on it
// before it has returned without error.
func (e *Engine) attachGit(ctx context.Context) error {
	// What was written here since counts as ours against what was pushed since. A
	// repository that lost what it had is filled all the same.
	if err := e.meetGit(ctx); err != nil && !errors.Is(err, errGitLost) {
		return err
	}
	through, started := e.o.State.Summary().MaxSeq, e.o.Now()
	e.phased.counted.Store(0)
	copied, missing, err := e.copyAllToGit(ctx)
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		return e.incomplete(missing[0].ID.String(), len(missing))
	}
	e.phased.blocked.Store(nil)
	if err := e.dropDeletedFromGit(ctx); err != nil {
		return err
	}
	if err := e.o.State.Unpark(ctx, gitReplica); err != nil {
		return fmt.Errorf("state file: %w", err)
	}
	if _, err := e.commitGitIf(ctx, store.Batch{Author: e.o.Author, At: e.o.Now().UTC()}, through, nil); err != nil {
		return err
	}
	if err := e.verifyGit(ctx, through); err != nil {
		return err
	}
	if err := e.o.State.Attach(ctx, gitReplica, through); err != nil {
		return fmt.Errorf("state file: %w", err)
	}
	if err := e.o.State.SetMeta(ctx, metaGitDetached, ""); err != nil {
		return fmt.Errorf("state file: %w", err)
	}
	e.gitMark.reset(through)
	e.phased.gitWhole.Store(true)
	e.event(Info, "git", fmt.Sprintf("git holds every document: copied %d in %s, and read all of them", copied, roundDuration(e.o.Now().Sub(started))), "")
	return nil
}

// incomplete says why a store cannot be made whole now; a change of the phase
// that waits for it decides what follows.
func (e *Engine) incomplete(first string, n int) error {
	err := fmt.Errorf("%d %w that can be asked now, %q among them", n, errIncomplete, first)
	if e.phased.failed.Add(1) > 1 { // and not where one answer was lost
		text := err.Error()
		e.phased.blocked.Store(&text)
	}
	return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
}

// copyAllToGit brings every document of the index that git does not hold, and
// returns those that no store has.
func (e *Engine) copyAllToGit(ctx context.Context) (copied int, missing []state.Parked, err error) {
	for after := ""; ; {
		rows, err := e.o.State.Scan(ctx, after, snapshotPage)
		if err != nil {
			return copied, missing, fmt.Errorf("state file: %w", err)
		}
		if len(rows) == 0 {
			return copied, missing, nil
		}
		after = rows[len(rows)-1].ID.String()
		n, lost, err := e.copyToGit(ctx, rows)
		if err != nil {
			return copied, missing, err
		}
		copied, missing = copied+n, append(missing, lost...)
		e.phased.counted.Add(int64(len(rows)))
		e.touch()
	}
}

// verifyGit reads every document in git that the index had at an operation.
func (e *Engine) verifyGit(ctx context.Context, through int64) error {
	for after := ""; ; {
		rows, err := e.o.State.Scan(ctx, after, snapshotPage)
		if err != nil {
			return fmt.Errorf("state file: %w", err)
		}
		if len(rows) == 0 {
			return nil
		}
		after = rows[len(rows)-1].ID.String()
		for _, row := range rows {
			if row.Seq > through {
				continue // the outbox carries it
			}
			doc, err := e.o.Git.Get(ctx, store.Key{ID: row.ID, Folder: row.Folder})
			if err == nil {
				err = matches(doc, row.Hash)
			}
			if err == nil {
				continue
			}
			if now, lookup := e.o.State.Lookup(ctx, row.ID); lookup == nil && now.Seq == row.Seq {
				return fmt.Errorf("%w: %q was copied and cannot be read: %w", errGitSide, row.ID, err)
			}
		}
		e.gate.yield(ctx, gitYieldMost)
	}
}
