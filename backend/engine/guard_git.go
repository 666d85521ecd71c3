package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/state"
	"github.com/caiatech/caiatop/backend/store"
)

const (
	// gitLookEvery is how often the repository is looked at while nothing is
	// written to it.
	gitLookEvery = 5 * time.Second
	// copyTrailer marks commits that bring back what git had lost: what they put
	// is no change of a document.
	copyTrailer = "Copied-For"
	// foldedTrailer names, by a hash, documents of which a commit holds the newest
	// of several versions.
	foldedTrailer = "Folded"
	// maxAside bounds the damaged repositories that are kept.
	maxAside = 5
	// asideMark stands in their names.
	asideMark = ".damaged-"
)

var (
	// errGitLost: the branch does not hold what was committed to it.
	errGitLost = errors.New("git lost commits of this state")
	// errGitSide marks failures of the repository, for which nothing else is to
	// blame.
	errGitSide = errors.New("git")
	// errAsideFull: a damaged repository stays where it is.
	errAsideFull = errors.New("as many damaged repositories as are kept lie beside it already")
)

// damaged reports an error after which the repository has to be looked at as a
// whole.
func damaged(err error) bool {
	return errors.Is(err, errGitLost) || (errors.Is(err, errGitSide) &&
		(errors.Is(err, store.ErrIdentity) || errors.Is(err, store.ErrCorrupt)))
}

// parseSeq reads the value of our trailer.
func (e *Engine) parseSeq(value string) (int64, error) {
	seq, err := strconv.ParseInt(strings.TrimPrefix(value, e.o.State.StateID()+"/"), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: the trailer %q: %w", errGitSide, value, store.ErrCorrupt)
	}
	return seq, nil
}

// lookAtGit finds out whether the repository is still there and holds what it
// held, and takes over what others pushed.
func (e *Engine) lookAtGit(ctx context.Context) error {
	tip, err := e.o.Git.Look(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", errGitSide, err)
	}
	if e.onto(tip) != nil {
		return e.meetGit(ctx)
	}
	return nil
}

// mendGit makes a repository usable again that was deleted, replaced or damaged
// while the engine ran, as cause says, and says how it goes on. One that turns
// out to be whole (garbage was collected) is nothing to tell of.
func (e *Engine) mendGit(ctx context.Context, cause string) (gitResume, error) {
	aside := ""
	room, err := e.roomAside()
	if err != nil {
		return gitSnapshot, fmt.Errorf("%w: %w", errGitSide, err)
	}
	if room {
		aside = e.o.GitDir + asideMark + e.o.Now().UTC().Format("20060102T150405.000Z")
	}
	was := e.gitTip
	if was == "" {
		if was, err = e.o.Git.Last(ctx); err != nil {
			was = "" // it may be gone with the rest
		}
	}
	done, err := e.o.Git.Restore(ctx, was, aside)
	if done.Aside != "" {
		e.event(Warning, "git", "The damaged repository was moved to "+done.Aside+", an empty one takes its place",
			"Keep it until every document is in step with git; it holds the history that was")
	}
	if err != nil && !room && errors.Is(err, store.ErrCorrupt) {
		err = fmt.Errorf("%w: %w", errAsideFull, err)
	}
	if err != nil {
		return gitSnapshot, fmt.Errorf("%w: %w", errGitSide, err)
	}
	last, seq, err := e.gitHeld(ctx)
	if err != nil || seq < e.gitMark.now() {
		return gitSnapshot, err
	}
	if err := e.markAgain(ctx, last, was); err != nil {
		return gitSnapshot, err
	}
	if done.Written {
		e.event(Warning, "git", "Files of the git repository were deleted or damaged ("+cause+"): it was written again, with its history",
			"Nothing is lost; look for what deletes or writes in "+e.o.GitDir)
	}
	return gitFollow, nil
}

// markAgain marks what was written again before anybody can force the branch
// elsewhere: was, up to where the index knew everything, if the branch has it.
func (e *Engine) markAgain(ctx context.Context, last, was string) error {
	tip, err := e.o.Git.Look(ctx)
	if err == nil && was != "" && tip != "" {
		var has bool
		if has, err = e.o.Git.BuiltUpon(ctx, was, tip); has {
			last = was
		}
		if errors.Is(err, store.ErrNotFound) {
			err = nil // it is gone, and what is there is another history
		}
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errGitSide, err)
	}
	return e.mark(ctx, last)
}

// roomAside reports whether one more damaged repository may be kept.
func (e *Engine) roomAside() (bool, error) {
	entries, err := os.ReadDir(filepath.Dir(e.o.GitDir))
	if err != nil {
		return false, err
	}
	kept := 0
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), filepath.Base(e.o.GitDir)+asideMark) {
			kept++
		}
	}
	return kept < maxAside, nil
}

// gitAdvice says what to do about git.
func (e *Engine) gitAdvice(err error) string {
	switch {
	case errors.Is(err, errAsideFull):
		return "It is damaged again and again: look at the disk and the memory of this machine, and move the folders " + e.o.GitDir + asideMark + "* elsewhere. Reads and writes go on"
	case damaged(err):
		return "It is made anew in " + e.o.GitDir + " from what is left: open files, the outbox, memory and govc; a copy put back there is taken as it is. Reads and writes go on"
	case errors.Is(err, store.ErrDiskFull):
		return "Free space on the disk that holds " + e.o.GitDir + "; it is tried again"
	case errors.Is(err, store.ErrReadOnly):
		return "Make " + e.o.GitDir + " writable; it is tried again"
	}
	return "Look at " + e.o.GitDir + "; it is tried again, at least every 10 s"
}

// setKnown says whether a replica is known to hold what its cursor says.
func (e *Engine) setKnown(replica string, known bool) {
	e.mu.Lock()
	e.view.known[replica] = known
	e.mu.Unlock()
	e.touch()
}

func (e *Engine) isKnown(replica string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.view.known[replica]
}

// gitMissing is how many documents git is known to lack, and of how many its
// branch holds what cannot be read.
func (e *Engine) gitMissing() (missing, spoilt int64) {
	if e.o.State.ParkedCount() == 0 {
		return 0, 0
	}
	ctx, cancel := context.WithTimeout(context.Background(), second)
	defer cancel()
	n, err := e.o.State.ParkedAmong(ctx, gitReplica)
	if err == nil {
		spoilt, err = e.o.State.ParkedFor(ctx, gitReplica, parkedUnreadable)
	}
	if err != nil {
		return e.o.State.ParkedCount(), 0 // not known: rather too many
	}
	return n - spoilt, spoilt
}

// parkMissing records the documents that git lacks and no store could deliver,
// those up to an operation that git's cursor is at.
func (e *Engine) parkMissing(ctx context.Context, missing []state.Parked, upTo int64) error {
	missing = slices.DeleteFunc(slices.Clone(missing), func(p state.Parked) bool { return p.Seq > upTo })
	if len(missing) == 0 {
		return nil
	}
	if err := e.o.State.Advance(ctx, state.Advance{Store: gitReplica, Seq: upTo, Park: missing}); err != nil {
		return fmt.Errorf("state file: %w", err)
	}
	return nil
}

func (e *Engine) tellMissing(missing []state.Parked) {
	for i, p := range missing {
		if i == toldParked {
			break
		}
		e.event(Error, "missing", fmt.Sprintf("%q is missing in git, and no other store can deliver it now", p.ID), gitMissingAdvice)
	}
}

const gitMissingAdvice = "It is taken from govc as soon as that serves it, press r (caiatop recover) to look now; otherwise bring back a copy of the git folder, or write it again"

// fillUnsureMost is how many reads of one look may fail without a clear answer.
const fillUnsureMost = 3

// fillGit copies documents to git that it lacks and that can be delivered by
// now.
func (e *Engine) fillGit(ctx context.Context) error {
	parked, err := e.o.State.ParkedIn(ctx, gitReplica, maxMissing)
	if err != nil {
		return fmt.Errorf("state file: %w", err)
	}
	f := &filling{e: e}
	for _, p := range parked {
		if isSpoilt(p) {
			continue
		}
		if err := f.take(ctx, p); err != nil {
			return err
		}
		if f.unsure == fillUnsureMost {
			break
		}
	}
	if err := f.flush(ctx); err != nil {
		return err
	}
	// Once more while that may help: a flag that was set meanwhile stays.
	if (f.filled > 0 && (f.left > 0 || len(parked) == maxMissing)) || (f.unsure > 0 && e.serving()) {
		e.gitFill.Store(true)
	}
	if f.filled > 0 {
		e.event(Info, "git", fmt.Sprintf("git holds %s documents again that were missing", number(f.filled)), "")
	}
	return nil
}

// filling is one look for the documents that git lacks.
type filling struct {
	e    *Engine
	ids  []document.ID // missing no more as soon as ops are committed
	ops  []store.Op
	size int64 // of the content in ops

	filled, left int // documents that were delivered, and that could not be
	unsure       int // of those left, without a clear answer
}

// take brings one document, if it can be delivered.
func (f *filling) take(ctx context.Context, p state.Parked) error {
	row, err := f.e.o.State.Lookup(ctx, p.ID)
	if errors.Is(err, store.ErrNotFound) || (err == nil && (row.Deleted || row.Seq != p.Seq)) {
		f.ids = append(f.ids, p.ID) // the outbox carries, or carried, what is newer
		return nil
	}
	if err != nil {
		return fmt.Errorf("state file: %w", err)
	}
	key := store.Key{ID: row.ID, Folder: row.Folder}
	doc, err := f.e.anywhere(ctx, row, key)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		f.left++
		if !errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrUnavailable) {
			f.unsure++
		}
		return nil
	}
	f.ids, f.ops, f.size = append(f.ids, p.ID), append(f.ops, store.Op{Key: key, Doc: &doc}), f.size+doc.Content.Size()
	if len(f.ops) == govcBatchOps || f.size > govcBatchBytes {
		return f.flush(ctx)
	}
	return nil
}

func (f *filling) flush(ctx context.Context) error {
	if len(f.ids) == 0 {
		return nil
	}
	if len(f.ops) > 0 {
		// To a commit, files that are damaged would be unchanged ones.
		if f.e.gitDamaged != "" {
			if err := f.e.o.Git.Rewrite(ctx, f.ops); err != nil {
				return gitSide(err)
			}
		}
		if _, err := f.e.commitGit(ctx, f.e.copyBatch(f.ops), f.e.gitMark.now()); err != nil {
			return err
		}
	}
	if err := f.e.o.State.Unpark(ctx, gitReplica, f.ids...); err != nil {
		return fmt.Errorf("state file: %w", err)
	}
	f.filled += len(f.ops)
	f.ids, f.ops, f.size = nil, nil, 0
	return nil
}

// copyBatch is a batch that brings back what git had lost.
func (e *Engine) copyBatch(ops []store.Op) store.Batch {
	return store.Batch{
		Ops: ops, Author: e.o.Author, At: e.o.Now().UTC(),
		Trailers: []store.Trailer{{Key: copyTrailer, Value: e.o.State.StateID()}},
	}
}
