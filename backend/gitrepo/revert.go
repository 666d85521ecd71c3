package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

// RevertInput says what to take back.
type RevertInput struct {
	Branch string // "" is Main
	Commit Hash
	// Mainline is the number of the parent, from 1, to which a merge is taken
	// back; it must be given for a merge, and is 0 or 1 for any other commit.
	Mainline int
	Author   Signature
	At       time.Time
	Message  string // "" names the commit, as git does
	Mark     string // as in CommitInput
	// Whole is as in MergeInput.
	Whole func(folder string) bool
}

// Revert makes a commit that undoes another one and keeps all that came after
// it: the change from the commit back to its parent is merged onto the tip.
// Paths that were changed again since then make a *ConflictError, and nothing
// is changed. ErrNothing if the branch has nothing of the change any more;
// ErrNotFound if the branch or the commit is missing; ErrInvalid if Mainline
// names no parent. Other errors are those of Commit.
func (r *Repo) Revert(ctx context.Context, in RevertInput) (Hash, error) {
	ref, err := branchRef(in.Branch)
	if err != nil {
		return Hash{}, err
	}
	if err := checkMark(in.Mark); err != nil {
		return Hash{}, err
	}
	if err := r.acquire(ctx); err != nil {
		return Hash{}, err
	}
	defer r.release()
	wrap := func(err error) error { return fmt.Errorf("revert %s on %s: %w", in.Commit, ref, err) }
	c, back, err := r.takenBack(ctx, &in)
	if err != nil {
		return Hash{}, wrap(err)
	}
	for range attempts {
		h, err := r.revertOnce(ctx, ref, in, c.Tree, back)
		if err == nil {
			return h, nil
		}
		if !errors.Is(err, ErrMoved) {
			return Hash{}, wrap(err)
		}
	}
	return Hash{}, wrap(fmt.Errorf("%w %d times in a row", ErrMoved, attempts))
}

// takenBack returns the commit and the tree that was before it, and fills in
// the message.
func (r *Repo) takenBack(ctx context.Context, in *RevertInput) (Commit, Hash, error) {
	c, err := r.ReadCommit(ctx, in.Commit)
	if err != nil {
		return Commit{}, Hash{}, err
	}
	n := in.Mainline
	if n == 0 && len(c.Parents) > 1 {
		return Commit{}, Hash{}, fmt.Errorf("%w: it is a merge; say which of its %d parents it goes back to", ErrInvalid, len(c.Parents))
	}
	if n < 0 || n > max(len(c.Parents), 1) {
		return Commit{}, Hash{}, fmt.Errorf("%w: it has %d parents, and no number %d", ErrInvalid, len(c.Parents), n)
	}
	back := emptyTree
	if len(c.Parents) > 0 {
		parent, err := r.commit(c.Parents[max(n, 1)-1])
		if err != nil {
			return Commit{}, Hash{}, err
		}
		back = parent.Tree
	}
	if in.Message == "" {
		subject, _, _ := strings.Cut(strings.TrimLeft(c.Message, "\n"), "\n")
		in.Message = fmt.Sprintf("Revert \"%s\"\n\nThis reverts commit %s", strings.ToValidUTF8(subject, "?"), in.Commit)
		if len(c.Parents) > 1 {
			in.Message += fmt.Sprintf(", reversing\nchanges made to %s", c.Parents[n-1])
		}
		in.Message += ".\n"
	}
	return c, back, nil
}

// revertOnce merges the way from one tree back to another onto the tip.
func (r *Repo) revertOnce(ctx context.Context, ref string, in RevertInput, tree, back Hash) (Hash, error) {
	tip, err := r.tipCommit(ref)
	if err != nil {
		return Hash{}, err
	}
	b := &builder{repo: r}
	undone, _, err := b.merge(ctx, origin{tree: tree}, tip.Tree, back, MergeInput{Whole: in.Whole})
	if err != nil {
		return Hash{}, err
	}
	if undone == tip.Tree {
		return Hash{}, ErrNothing
	}
	if undone == emptyTree {
		if _, err := b.stage(plumbing.TreeObject, nil); err != nil {
			return Hash{}, err
		}
	}
	c := Commit{Tree: undone, Parents: []Hash{tip.Hash}, Author: in.Author, At: in.At, Message: in.Message}
	return r.publish(ctx, refUpdate{name: ref, old: tip.Hash}, in.Mark, c, b)
}
