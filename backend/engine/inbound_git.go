package engine

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/gitstore"
	"github.com/caiatech/caiatop/backend/state"
	"github.com/caiatech/caiatop/backend/store"
)

// Git is inbound too: somebody may push into the repository at any time. The
// commit up to which the index knows everything is last: gitstore.LastRef, which
// moves with each commit of ours. What main holds beyond it becomes operations
// of the origin git, and only then is anything committed on top.
//
// Taking over is done again after a crash, and changes nothing twice: what the
// index holds already is passed over by its hash, and a conflict copy is named by
// the version that it keeps.

// metaGitInbound is the commit that is, or was last, being taken over, and the
// newest operation that git held by then: "{commit} {seq}", and metaGitDone
// behind it once that was done.
const (
	metaGitInbound = "git.inbound"
	metaGitDone    = " done"
)

// errInbound: the branch is not where this process left it. What came has to be
// taken over before anything is committed on top.
var errInbound = errors.New("git was changed by somebody else")

// inboundRounds bounds how often taking over begins again because somebody
// pushes meanwhile.
const inboundRounds = 8

// onto refuses a branch that was not looked at: a commit on top would hide what
// others pushed, or that the branch lost what was committed to it.
func (e *Engine) onto(tip string) error {
	if tip == e.gitTip && (tip != "" || e.gitMark.now() == 0) {
		return nil
	}
	return errInbound
}

// sawGit notes a tip of the branch that the index knows everything of.
func (e *Engine) sawGit(tip string) {
	e.gitTip = tip
	e.gitSeen.Store(&tip)
}

// gitHeld finds the newest commit of the repository that the index knows
// everything of, "" if there is none, and the newest operation that git holds
// there. LastRef is believed if that commit is our own, or was recorded when it
// was taken over; otherwise the branch is searched for our newest trailer.
func (e *Engine) gitHeld(ctx context.Context) (last string, seq int64, err error) {
	if last, err = e.o.Git.Last(ctx); err != nil {
		return "", 0, fmt.Errorf("%w: %w", errGitSide, err)
	}
	if last != "" {
		seq, known, err := e.heldAt(ctx, last)
		if err != nil || (known && seq >= e.gitMark.now()) {
			return last, seq, err
		}
	}
	value, commit, err := e.ownCommit(ctx)
	if errors.Is(err, store.ErrNotFound) {
		return "", 0, nil
	}
	if err != nil {
		return "", 0, fmt.Errorf("%w: %w", errGitSide, err)
	}
	if seq, err = e.parseSeq(value); err != nil {
		return "", 0, err
	}
	return commit, seq, nil
}

// heldAt is what git holds at a commit that may be the last one.
func (e *Engine) heldAt(ctx context.Context, last string) (seq int64, known bool, err error) {
	taken, at, _ := e.takenOver()
	if taken == last {
		there, err := e.o.Git.BuiltUpon(ctx, last, last)
		if there {
			return at, true, nil
		}
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return 0, false, fmt.Errorf("%w: %w", errGitSide, err)
		}
		return 0, false, nil
	}
	value, commit, err := e.o.Git.TrailerFrom(ctx, last, trailerSeq, e.isOwn, 1)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return 0, false, nil
	case err != nil:
		return 0, false, fmt.Errorf("%w: %w", errGitSide, err)
	}
	seq, err = e.parseSeq(value)
	return seq, commit == last && err == nil, err
}

// takenOver is what metaGitInbound says.
func (e *Engine) takenOver() (commit string, seq int64, done bool) {
	text, done := strings.CutSuffix(e.o.State.Meta(metaGitInbound), metaGitDone)
	commit, number, _ := strings.Cut(text, " ")
	seq, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return "", 0, true
	}
	return commit, seq, done
}

// meetGit makes index and branch one after the branch was found elsewhere than
// this process left it.
func (e *Engine) meetGit(ctx context.Context) error {
	for range inboundRounds {
		if met, err := e.meetOnce(ctx); met || err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: %w: somebody pushes faster than it can be taken over", errGitSide, store.ErrUnavailable)
}

// meetOnce takes one step, and reports whether it was the last one.
func (e *Engine) meetOnce(ctx context.Context) (met bool, err error) {
	tip, err := e.o.Git.Look(ctx)
	if err != nil {
		return false, fmt.Errorf("%w: %w", errGitSide, err)
	}
	last, seq, err := e.gitHeld(ctx)
	if err != nil {
		return false, err
	}
	if mark := e.gitMark.now(); seq < mark {
		return false, fmt.Errorf("%w: it holds operation %d, %d were committed", errGitLost, seq, mark)
	}
	if err := e.mark(ctx, last); err != nil {
		return false, err
	}
	if tip == last {
		e.sawGit(tip)
		if !e.isKnown(gitReplica) {
			e.setKnown(gitReplica, true)
		}
		return true, nil
	}
	if taken, _, done := e.takenOver(); !done && taken != last && taken != tip && last != "" {
		if unfinished, err := e.o.Git.BuiltUpon(ctx, last, taken); unfinished && err == nil {
			return false, e.takePush(ctx, last, taken) // it was begun, and is in the index in part
		}
	}
	if last == "" {
		return false, e.takePush(ctx, "", tip)
	}
	return false, e.meet(ctx, tip, last)
}

// mark marks the last commit in a repository that has no such mark yet, or one
// that leads elsewhere.
func (e *Engine) mark(ctx context.Context, last string) error {
	at, err := e.o.Git.Last(ctx)
	if err == nil && last != "" && at != last {
		err = e.o.Git.SetLast(ctx, last)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errGitSide, err)
	}
	return nil
}

// meet goes by how the tip and the last known commit are related.
func (e *Engine) meet(ctx context.Context, tip, last string) error {
	back := tip == ""
	if !back {
		ahead, err := e.builtUpon(ctx, last, tip)
		if err != nil {
			return err
		}
		if ahead {
			return e.takePush(ctx, last, tip)
		}
		if back, err = e.builtUpon(ctx, tip, last); err != nil {
			return err
		}
	}
	if !back {
		return e.joinGit(ctx, tip, last)
	}
	if err := e.o.Git.Forward(ctx, tip, last); err != nil {
		return fmt.Errorf("%w: %w", errGitSide, err)
	}
	if e.gitUnfinished != last {
		where := "moved back to commit " + short(tip)
		if tip == "" {
			where = "deleted"
		}
		e.event(Warning, "git", fmt.Sprintf("The branch main was %s in git by somebody else: it is at commit %s again", where, short(last)),
			"To bring back earlier versions, restore them (caiatop restore), or push commits that do")
	}
	return nil
}

// builtUpon is that of the store; a branch without its commit is a lost one.
func (e *Engine) builtUpon(ctx context.Context, older, newer string) (bool, error) {
	is, err := e.o.Git.BuiltUpon(ctx, older, newer)
	if errors.Is(err, store.ErrNotFound) {
		return false, fmt.Errorf("%w: %w", errGitLost, err)
	}
	if err != nil {
		return false, fmt.Errorf("%w: %w", errGitSide, err)
	}
	return is, nil
}

// takePush takes over what a commit holds beyond another, "" for one without
// files, and declares it known.
func (e *Engine) takePush(ctx context.Context, from, to string) error {
	// Kept before it is recorded, recorded before the index names it: whatever
	// happens to the branch meanwhile, what was begun can be finished.
	err := e.o.Git.Keep(ctx, to)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return fmt.Errorf("%w: %w", errGitLost, err) // the branch names no commit
	case err != nil:
		return fmt.Errorf("%w: %w", errGitSide, err)
	}
	if err := e.noteTaken(ctx, to, ""); err != nil {
		return err
	}
	in := &intake{e: e, commit: to, from: from}
	others, err := e.o.Git.Changes(ctx, from, to, func(c gitstore.Change) error {
		if c.Deleted {
			return nil
		}
		return in.take(ctx, c.Key)
	})
	if err == nil {
		err = in.flush(ctx)
	}
	if err == nil {
		// Deletes last: a document that lies elsewhere now is not deleted.
		_, err = e.o.Git.Changes(ctx, from, to, func(c gitstore.Change) error {
			if !c.Deleted {
				return nil
			}
			return in.drop(ctx, c.Key)
		})
	}
	if err == nil {
		err = in.flush(ctx)
	}
	if err == nil {
		err = in.park(ctx)
	}
	if err != nil {
		return e.inboundError(err)
	}
	if err := e.o.Git.SetLast(ctx, to); err != nil {
		return fmt.Errorf("%w: %w", errGitSide, err)
	}
	in.tell(others)
	return e.noteTaken(ctx, to, metaGitDone)
}

// inboundError blames git for what is not the state file's.
func (e *Engine) inboundError(err error) error {
	if errors.Is(err, errLocal) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fmt.Errorf("%w: %w", errGitSide, err)
}

func (e *Engine) noteTaken(ctx context.Context, commit, done string) error {
	if err := e.o.State.SetMeta(ctx, metaGitInbound, fmt.Sprintf("%s %d%s", commit, e.gitMark.now(), done)); err != nil {
		return fmt.Errorf("state file: %w", err)
	}
	return nil
}

// joinGit brings together what was pushed and what that dropped from the
// branch. Ours keeps the place where both changed a document, and theirs
// becomes a conflict copy before the branch moves.
func (e *Engine) joinGit(ctx context.Context, tip, last string) error {
	in := &intake{e: e, commit: tip}
	files := 0
	_, err := e.o.Git.Join(ctx, gitstore.Joining{
		Tip: tip, Ours: last, Author: e.o.Author, At: e.o.Now().UTC(),
		Message: "Join what was pushed with what it left out",
		Before: func(overridden []string) error {
			files = 0
			for _, path := range overridden {
				folder, err := document.ParsePath(path)
				id, is := document.IDOfFolder(folder)
				if err != nil || !is {
					files++
					continue
				}
				if err := in.yieldTo(ctx, store.Key{ID: id, Folder: folder}); err != nil {
					return err
				}
			}
			return in.flush(ctx)
		},
	})
	if err != nil {
		return e.inboundError(err)
	}
	text := fmt.Sprintf("The branch main was rewritten in git by somebody else (now %s) and no longer held commit %s: both histories are joined", short(tip), short(last))
	if in.conflicts > 0 {
		text += ", " + numbered(in.conflicts, "document was", "documents were") + " changed on both sides"
	}
	if files > 0 {
		text += "; of " + numbered(files, "file that is no document ours was", "files that are no documents ours were") + " kept"
	}
	e.event(Warning, "git", text, "Nothing was dropped; to bring back earlier versions, restore them (caiatop restore), or push commits on top of main")
	return nil
}

// pendingOurs reports whether git is still to get what the index holds of a
// document, and that did not come from there.
func (e *Engine) pendingOurs(ctx context.Context, row state.Row) (bool, error) {
	if row.Seq > e.gitMark.now() {
		newest, found, err := e.o.State.Newest(ctx, row.ID)
		// One that has left the outbox was passed by every other store while git was
		// away.
		return err == nil && (!found || newest.Origin != gitReplica), local(err)
	}
	if e.o.State.ParkedCount() == 0 {
		return false, nil
	}
	parked, err := e.o.State.ParkedAt(ctx, row.ID)
	for _, p := range parked {
		if p.Store == gitReplica && p.Seq == row.Seq && !isSpoilt(p) {
			return true, nil
		}
	}
	return false, local(err)
}

func short(commit string) string { return commit[:min(len(commit), 12)] }
