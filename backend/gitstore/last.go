package gitstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/gitrepo"
	"github.com/caiatech/caiatop/backend/store"
)

const (
	// LastRef is the commit up to which everything on the branch is known to
	// whoever writes here: the last one that Apply made, or that SetLast named.
	// It moves with the branch, and keeps what it reaches from being collected.
	LastRef = "refs/caiatop/last"
	// takingRef keeps the commit that is being taken over.
	takingRef = "refs/caiatop/inbound"
)

// Last returns the commit that LastRef names, "" if there is none. That commit
// may be gone.
func (s *Store) Last(ctx context.Context) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", wrap("look at git", err)
	}
	at, err := s.repo.Ref(LastRef)
	if errors.Is(err, gitrepo.ErrNotFound) || errors.Is(err, gitrepo.ErrCorrupt) {
		return "", nil
	}
	if err != nil {
		return "", wrap("look at git", err)
	}
	return at.String(), nil
}

// SetLast moves LastRef to a commit.
func (s *Store) SetLast(ctx context.Context, commit string) error {
	return s.setRef(ctx, LastRef, commit)
}

// Keep keeps one commit and what it reaches from being collected, until it
// keeps another.
func (s *Store) Keep(ctx context.Context, commit string) error {
	return s.setRef(ctx, takingRef, commit)
}

func (s *Store) setRef(ctx context.Context, ref, commit string) error {
	at, err := parseCommit(commit)
	if err == nil {
		err = s.repo.SetRef(ctx, ref, at)
	}
	return wrap("mark a commit in git", err)
}

// BuiltUpon reports whether newer is older, or has it in its history.
// store.ErrNotFound if one of them does not exist.
func (s *Store) BuiltUpon(ctx context.Context, older, newer string) (bool, error) {
	a, err := parseCommit(older)
	if err != nil {
		return false, wrap("compare histories of git", err)
	}
	b, err := parseCommit(newer)
	if err != nil {
		return false, wrap("compare histories of git", err)
	}
	is, err := s.repo.IsAncestor(ctx, a, b)
	return is, wrap("compare histories of git", err)
}

// Forward moves the branch from tip, "" if there is none, to a commit that is
// built upon it. store.ErrUnavailable if it is not at tip.
func (s *Store) Forward(ctx context.Context, tip, to string) error {
	const operation = "bring the branch of git forward"
	target, err := parseCommit(to)
	if err != nil {
		return wrap(operation, err)
	}
	if tip == "" {
		if err = s.repo.CreateBranch(s.branch, target); errors.Is(err, gitrepo.ErrExists) {
			err = fmt.Errorf("%w: %w", gitrepo.ErrMoved, err)
		}
		return wrap(operation, err)
	}
	at, err := parseCommit(tip)
	if err != nil {
		return wrap(operation, err)
	}
	_, err = s.repo.MergeFavouring(ctx, gitrepo.MergeInput{
		Into: s.branch, Theirs: target, Parent: &at, Author: gitrepo.Signature{Name: "-", Email: "-"},
	})
	return wrap(operation, err)
}

// Joining says how two histories of the branch become one.
type Joining struct {
	// Tip is where the branch is; Ours is what it does not have any more.
	Tip, Ours string
	Author    store.Author
	At        time.Time
	Message   string
	// Before, if set, is called with the paths at which both sides changed
	// something and ours is taken, before anything is written. Documents are one
	// path each. An error ends the call.
	Before func(overridden []string) error
}

// Join makes a merge commit of the branch and of what was taken from it, with
// every document as a whole, and returns it. store.ErrUnavailable if the branch
// moved meanwhile.
func (s *Store) Join(ctx context.Context, j Joining) (string, error) {
	const operation = "join two histories of git"
	tip, err := parseCommit(j.Tip)
	if err != nil {
		return "", wrap(operation, err)
	}
	ours, err := parseCommit(j.Ours)
	if err != nil {
		return "", wrap(operation, err)
	}
	result, err := s.repo.MergeFavouring(ctx, gitrepo.MergeInput{
		Into: s.branch, Theirs: ours, Parent: &tip, Author: gitrepo.Signature(j.Author), At: j.At, Message: j.Message,
		Favour: gitrepo.FavourTheirs, Whole: IsDocument, AllowUnrelated: true, Before: j.Before,
	})
	if err != nil {
		return "", wrap(operation, err)
	}
	return result.Commit.String(), nil
}

// Has reports whether a commit has a document's folder.
func (s *Store) Has(ctx context.Context, commit string, folder document.Path) (bool, error) {
	at, err := parseCommit(commit)
	if err != nil {
		return false, wrap("look at git", err)
	}
	if _, err := s.repo.ReadCommit(ctx, at); err != nil {
		return false, wrap("look at git", err)
	}
	_, err = s.repo.List(ctx, at, folder)
	if errors.Is(err, gitrepo.ErrNotFound) {
		return false, nil
	}
	return err == nil, wrap("look at git", err)
}
