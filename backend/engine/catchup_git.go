package engine

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/state"
	"github.com/caiatech/caiatop/backend/store"
)

// errWaiting: git lacks documents that only the primary has, and the primary
// does not serve now.
var errWaiting = errors.New("documents are missing that only the service can have")

// unreadableAdvice says what to do about a folder that is no document.
const unreadableAdvice = "It is left as it is and not listed; mend that folder in git, or leave it"

// listAt lists what a commit holds, "" for none.
func (e *Engine) listAt(ctx context.Context, commit string) iter.Seq2[store.Entry, error] {
	if commit == "" {
		return func(func(store.Entry, error) bool) {}
	}
	return e.o.Git.ListAt(ctx, commit)
}

// tellUnreadable tells of folders that are no documents, each once and no more
// than a few: a whole tree may be none, and may be looked at many times.
func (e *Engine) tellUnreadable(folder string, err error) {
	_, told := e.unreadable[folder]
	switch {
	case told || len(e.unreadable) > toldParked:
		return
	case len(e.unreadable) == toldParked:
		e.event(Warning, "git", "More folders in git cannot be read as documents, "+folder+" among them", unreadableAdvice)
	default:
		e.event(Warning, "git", fmt.Sprintf("%s in git cannot be read as a document: %v", folder, err), unreadableAdvice)
	}
	e.unreadable[folder] = struct{}{}
}

// gitOperation is the inbound operation of a document as a commit holds it.
func (e *Engine) gitOperation(ctx context.Context, commit string, key store.Key) (state.Operation, error) {
	doc, hash, err := e.o.Git.Readable(ctx, commit, key)
	if err != nil {
		return state.Operation{}, err
	}
	return state.Operation{
		OpID: e.o.NewID(), Key: key, Doc: &doc, Hash: hash, At: e.o.Now(), Origin: gitReplica, Expect: &document.Hash{},
	}, nil
}

// appendNew appends operations that are to create documents, but for those that
// a caller created meanwhile, and returns how many it appended.
func (e *Engine) appendNew(ctx context.Context, ops []state.Operation) (int, error) {
	if len(ops) == 0 {
		return 0, nil
	}
	_, err := e.o.State.Append(ctx, ops)
	switch {
	case err == nil:
		e.appended()
		return len(ops), nil
	case !errors.Is(err, store.ErrConflict):
		return 0, fmt.Errorf("state file: %w", err)
	case len(ops) == 1:
		return 0, nil
	}
	total := 0
	for i := range ops {
		n, err := e.appendNew(ctx, ops[i:i+1])
		if err != nil {
			return total, err
		}
		total += n
	}
	return total, nil
}

// snapshotGit makes git whole again after it lost commits of this state: what
// it lacks is copied from wherever it still is, and what was deleted since is
// deleted again.
func (e *Engine) snapshotGit(ctx context.Context) error {
	through, started := e.o.State.Summary().MaxSeq, e.o.Now()
	if !e.gitTold { // and not with every attempt
		e.gitTold = true
		e.event(Warning, "git", "git lost commits of this state: every document is compared and copied back",
			"Reads and writes go on; what no store has is listed as missing")
	}
	copied, after := 0, ""
	var missing []state.Parked
	for {
		rows, err := e.o.State.Scan(ctx, after, snapshotPage)
		if err != nil {
			return fmt.Errorf("state file: %w", err)
		}
		if len(rows) == 0 {
			break
		}
		after = rows[len(rows)-1].ID.String()
		n, lost, err := e.copyToGit(ctx, rows)
		if err != nil {
			return err
		}
		copied, missing = copied+n, append(missing, lost...)
	}
	if s := e.current(); len(missing) > 0 && (s == StateProbing || s == StateReseeding) {
		// It is about to be known whether the service has them.
		return fmt.Errorf("%d %w: %w", len(missing), errWaiting, store.ErrUnavailable)
	}
	if err := e.dropDeletedFromGit(ctx); err != nil {
		return err
	}
	// Before the commit that says that git is whole: a crash in between would
	// forget what it lacks.
	if err := e.o.State.Unpark(ctx, gitReplica); err != nil {
		return fmt.Errorf("state file: %w", err)
	}
	before, _ := e.o.State.Cursor(gitReplica)
	if err := e.parkMissing(ctx, missing, before); err != nil {
		return err
	}
	if _, err := e.commitGitIf(ctx, store.Batch{Author: e.o.Author, At: e.o.Now().UTC()}, through, nil); err != nil {
		return err
	}
	if err := e.o.State.Attach(ctx, gitReplica, through); err != nil {
		return fmt.Errorf("state file: %w", err)
	}
	if err := e.parkMissing(ctx, missing, through); err != nil {
		return err
	}
	e.gitMark.reset(through)
	e.gitTold = false
	e.tellMissing(missing)
	e.gitFill.Store(len(missing) > 0) // the service may have come back meanwhile
	level, next := Info, ""
	if len(missing) > 0 {
		level, next = Error, gitMissingAdvice
	}
	e.event(level, "git", fmt.Sprintf("Copied %s documents back to git in %s, %s are missing", number(copied), roundDuration(e.o.Now().Sub(started)), number(len(missing))), next)
	return nil
}

// copyToGit brings the documents of the index that git does not hold.
func (e *Engine) copyToGit(ctx context.Context, rows []state.Row) (copied int, missing []state.Parked, err error) {
	batch := e.copyBatch(nil)
	for _, row := range rows {
		key := store.Key{ID: row.ID, Folder: row.Folder}
		if doc, err := e.o.Git.Get(ctx, key); err == nil && matches(doc, row.Hash) == nil {
			continue
		}
		doc, err := e.anywhere(ctx, row, key)
		if ctx.Err() != nil {
			return 0, nil, ctx.Err()
		}
		if err != nil && e.gitTip != "" {
			// The branch as it was: its files may still be open, moved aside or not.
			if was, gone := e.o.Git.GetAt(ctx, e.gitTip, key); gone == nil && matches(was, row.Hash) == nil {
				doc, err = was, nil
			}
		}
		if err != nil {
			if now, lookup := e.o.State.Lookup(ctx, row.ID); lookup == nil && now.Seq != row.Seq {
				continue // written or deleted meanwhile: the outbox carries it
			}
			missing = append(missing, state.Parked{
				Store: gitReplica, ID: row.ID, Seq: row.Seq, Reason: parkedMissing, Detail: err.Error(), At: e.o.Now(),
			})
			continue
		}
		batch.Ops = append(batch.Ops, store.Op{Key: key, Doc: &doc})
	}
	if len(batch.Ops) == 0 {
		return 0, missing, nil
	}
	if _, err = e.o.Git.Apply(ctx, batch); err != nil {
		err = fmt.Errorf("%w: %w", errGitSide, err)
	}
	return len(batch.Ops), missing, err
}

// dropDeletedFromGit removes what the index does not hold and our own newest
// commit there does: it was deleted by one of the commits that were lost. What
// others pushed on top of that commit is taken over.
func (e *Engine) dropDeletedFromGit(ctx context.Context) error {
	_, ours, err := e.ownCommit(ctx)
	if errors.Is(err, store.ErrNotFound) || ours == "" {
		return nil
	}
	if err != nil {
		return err
	}
	tip, err := e.o.Git.Look(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", errGitSide, err)
	}
	batch := store.Batch{Author: e.o.Author, At: e.o.Now().UTC()}
	for entry, err := range e.listAt(ctx, tip) {
		if err != nil {
			return err
		}
		row, err := e.o.State.Lookup(ctx, entry.Key.ID)
		if err == nil && !row.Deleted {
			continue
		}
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("state file: %w", err)
		}
		if _, err := e.o.Git.GetAt(ctx, ours, entry.Key); err == nil {
			batch.Ops = append(batch.Ops, store.Op{Key: entry.Key})
			continue
		}
		op, err := e.gitOperation(ctx, tip, entry.Key)
		if err != nil {
			e.tellUnreadable(entry.Key.Folder.String(), err)
			continue
		}
		if _, err := e.appendNew(ctx, []state.Operation{op}); err != nil {
			return err
		}
	}
	if len(batch.Ops) == 0 {
		return nil
	}
	if _, err = e.o.Git.Apply(ctx, batch); err != nil {
		return fmt.Errorf("%w: %w", errGitSide, err)
	}
	return nil
}

// anywhere is version, and then the primary.
func (e *Engine) anywhere(ctx context.Context, row state.Row, key store.Key) (document.Document, error) {
	doc, err := e.version(ctx, key, row.Hash, row.Commit)
	if err == nil || e.o.Primary == nil {
		return doc, err
	}
	doc, there := e.o.Primary.Get(ctx, key)
	if there == nil {
		there = matches(doc, row.Hash)
	}
	if there != nil {
		return document.Document{}, errors.Join(err, there)
	}
	return doc, nil
}
