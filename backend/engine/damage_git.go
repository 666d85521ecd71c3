package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caiatech/caiatop/backend/gitstore"
	"github.com/caiatech/caiatop/backend/state"
	"github.com/caiatech/caiatop/backend/store"
)

const damageAdvice = "What another place holds is written again by itself. For the rest, put the named file back from a copy of the git folder, which is taken up by itself, or write the documents again; look at the disk. The file is never changed or removed here: move it away once nothing needs it"

// harmlessAdvice is about damage that nothing needs.
const harmlessAdvice = "Every document and its history are whole without it, so nothing has to be done: move the named file away when you know what it was. It is never changed or removed here"

// harmlessLimit bounds how long it is looked whether damage does harm. What is
// not known by then is taken for harm.
const harmlessLimit = 20 * time.Second

// unfinishedDamage stands for damage that is shown and not dealt with yet.
const unfinishedDamage = "unfinished"

// learnDamage takes over what the repository knows to be damaged: it is shown
// and told once, and the documents that cannot be read any more are recorded as
// missing, to be filled from where they still are.
func (e *Engine) learnDamage(ctx context.Context) error {
	known := e.o.Git.Damage()
	mark := ""
	if len(known) > 0 {
		var all strings.Builder
		for _, d := range known {
			fmt.Fprintf(&all, "%s %s\n", d.File, d.Object)
		}
		mark = all.String()
	}
	if mark == e.gitDamaged {
		return nil
	}
	if len(known) == 0 {
		e.gitDamaged = mark
		e.setGitDamage("", "")
		e.gitFill.Store(true) // what was missing may be there again
		e.event(Info, "git", "Nothing in git is known to be damaged any more", "")
		return nil
	}
	if harmless, err := e.harmless(ctx); err != nil {
		return err
	} else if harmless {
		e.gitDamaged = mark
		e.setGitDamage("", describeDamage(known))
		e.gitFill.Store(true) // what was missing may be there again
		e.event(Warning, "git", "A file in git's folder is damaged, and nothing needs it: "+describeDamage(known), harmlessAdvice)
		return nil
	}
	e.setGitDamage(describeDamage(known), "")
	e.gitDamaged = unfinishedDamage
	fresh, err := e.parkUnreadable(ctx, known)
	if err != nil {
		return err
	}
	e.gitDamaged = mark
	e.gitFill.Store(true)
	text := "git is damaged: " + describeDamage(known)
	if len(fresh) > 0 {
		text += fmt.Sprintf("; %s documents cannot be read there, %q among them", number(len(fresh)), fresh[0].ID)
	}
	e.trouble(Error, "git", text, damageAdvice)
	return nil
}

// harmless reports whether everything that the branch and its mark are made of
// is there, whatever else is damaged. A repository that cannot be looked at is
// not.
func (e *Engine) harmless(ctx context.Context) (bool, error) {
	tip, err := e.o.Git.Look(ctx)
	if err != nil || tip == "" {
		return false, gitSide(err)
	}
	last, err := e.o.Git.Last(ctx)
	if err != nil {
		return false, gitSide(err)
	}
	limited, cancel := context.WithTimeout(ctx, harmlessLimit)
	defer cancel()
	for _, commit := range slices.Compact([]string{tip, last}) {
		if commit == "" {
			continue
		}
		whole, err := e.o.Git.Whole(limited, commit)
		if err != nil && ctx.Err() != nil {
			return false, gitSide(err)
		}
		if err != nil || !whole {
			return false, nil //nolint:nilerr // what cannot be known is no comfort
		}
	}
	return true, nil
}

// describeDamage says what is damaged in a sentence: the first of it, and how
// much more there is.
func describeDamage(known []gitstore.Damage) string {
	text := known[0].Err.Error()
	if more := len(known) - 1; more > 0 {
		text += fmt.Sprintf(", and %s more", number(more))
	}
	return text
}

// parkUnreadable records the documents that git cannot deliver any more, and
// returns those that were not known as such.
func (e *Engine) parkUnreadable(ctx context.Context, known []gitstore.Damage) ([]state.Parked, error) {
	tip, err := e.o.Git.Look(ctx)
	if err != nil || tip == "" {
		return nil, gitSide(err)
	}
	keys, err := e.o.Git.Unreadable(ctx, tip, maxMissing)
	if err != nil {
		return nil, gitSide(err)
	}
	through := e.gitMark.now()
	var fresh []state.Parked
	for _, key := range keys {
		row, err := e.o.State.Lookup(ctx, key.ID)
		if errors.Is(err, store.ErrNotFound) || (err == nil && (row.Deleted || row.Folder != key.Folder || row.Seq > through)) {
			continue // no document of ours, or the outbox carries a newer version
		}
		if err != nil {
			return nil, fmt.Errorf("state file: %w", err)
		}
		parked, err := e.o.State.ParkedAt(ctx, key.ID)
		if err != nil {
			return nil, fmt.Errorf("state file: %w", err)
		}
		if slices.ContainsFunc(parked, func(p state.Parked) bool { return p.Store == gitReplica }) {
			continue
		}
		fresh = append(fresh, state.Parked{
			Store: gitReplica, ID: row.ID, Seq: row.Seq, Reason: parkedMissing, Detail: describeDamage(known), At: e.o.Now(),
		})
	}
	return fresh, e.parkMissing(ctx, fresh, through)
}

func gitSide(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", errGitSide, err)
}

// setGitDamage shows what is damaged: what does harm, or what does none.
func (e *Engine) setGitDamage(damage, harmless string) {
	e.mu.Lock()
	e.view.gitDamage, e.view.gitWarning = damage, harmless
	e.mu.Unlock()
	e.touch()
}
