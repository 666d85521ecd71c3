package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// MaxConflicts bounds the paths that a ConflictError lists.
const MaxConflicts = 1000

// Favour says whose version wins where both sides changed a path differently.
type Favour int

const (
	// FavourNone makes it a conflict. It is the default.
	FavourNone Favour = iota
	// FavourOurs keeps what Into has, also where that is nothing.
	FavourOurs
	// FavourTheirs takes what the other side has, also where that is nothing.
	FavourTheirs
)

// MergeInput says what to merge.
type MergeInput struct {
	Into, From string // branches; "" is Main
	// Theirs, if it is not zero, is the commit to merge; From is not read then.
	Theirs  Hash
	Author  Signature
	At      time.Time
	Message string // "" names the branches
	Mark    string // as in CommitInput; moved where Into is
	// Favour decides what would be conflicts.
	Favour Favour
	// Whole, if set, names folders that are one thing to whoever wrote them: if
	// both sides changed such a folder, and not to the same, all of it is one
	// conflict under the folder's path, even if they changed different files.
	Whole func(folder string) bool
	// AllowUnrelated merges histories without a common commit, as if both had
	// begun with no files. Without it they are ErrUnrelated.
	AllowUnrelated bool
	// Parent is where Into must be; anything else is ErrMoved. Nil takes it as
	// it is.
	Parent *Hash
	// Before, if set, is called with what will be MergeResult.Overridden before
	// anything is written; its error ends the merge. It may read, but not write.
	Before func(overridden []string) error
}

// MergeResult is what a merge did.
type MergeResult struct {
	Commit Hash // the new tip of Into
	// Overridden are the paths at which Favour decided, all of them, in the
	// order of the tree.
	Overridden []string
}

// Merge brings the commits of From into Into and returns the new tip of Into:
// the old one if it has them already, that of From if Into has nothing of its
// own (a fast-forward), else a merge commit. Trees are merged by path: what
// only one side changed is taken from it. Paths that both sides changed
// differently, and a file changed here and deleted there, make a
// *ConflictError, and nothing is changed. After criss-cross merges the best
// common ancestors are merged with each other first; see origin. ErrNotFound if a branch or Theirs is
// missing; ErrUnrelated. Other errors are those of Commit.
func (r *Repo) Merge(ctx context.Context, in MergeInput) (Hash, error) {
	result, err := r.MergeFavouring(ctx, in)
	return result.Commit, err
}

// MergeFavouring is Merge that tells where Favour decided.
func (r *Repo) MergeFavouring(ctx context.Context, in MergeInput) (MergeResult, error) {
	into, err := branchRef(in.Into)
	if err != nil {
		return MergeResult{}, err
	}
	var from, source string
	if in.Theirs.IsZero() {
		if from, err = branchRef(in.From); err != nil {
			return MergeResult{}, err
		}
		source = from[len(headsPrefix):]
	} else {
		source = "commit " + in.Theirs.String()
	}
	if err := checkMark(in.Mark); err != nil {
		return MergeResult{}, err
	}
	if in.Message == "" {
		in.Message = "Merge " + source + " into " + into[len(headsPrefix):]
	}
	if err := r.acquire(ctx); err != nil {
		return MergeResult{}, err
	}
	defer r.release()
	for range attempts {
		result, err := r.mergeOnce(ctx, into, from, in)
		if !errors.Is(err, ErrMoved) || in.Parent != nil {
			return result, wrapMerge(source, into, err)
		}
	}
	return MergeResult{}, wrapMerge(source, into, fmt.Errorf("%w %d times in a row", ErrMoved, attempts))
}

func wrapMerge(source, into string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("merge %s into %s: %w", source, into, err)
}

func (r *Repo) mergeOnce(ctx context.Context, into, from string, in MergeInput) (MergeResult, error) {
	ours, err := r.tipCommit(into)
	if err != nil {
		return MergeResult{}, err
	}
	if in.Parent != nil && *in.Parent != ours.Hash {
		return MergeResult{}, fmt.Errorf("%w: it is at %s, not at %s", ErrMoved, ours.Hash, *in.Parent)
	}
	var theirs Commit
	if in.Theirs.IsZero() {
		theirs, err = r.tipCommit(from)
	} else {
		var data []byte
		if data, err = r.commitData(ctx, in.Theirs); err == nil {
			theirs, err = decodeLinks(in.Theirs, data)
		}
	}
	if err != nil {
		return MergeResult{}, err
	}
	bases, err := r.mergeBases(ctx, ours, theirs)
	if err != nil {
		return MergeResult{}, err
	}
	if len(bases) == 0 && !in.AllowUnrelated {
		return MergeResult{}, ErrUnrelated
	}
	for _, base := range bases {
		switch base.Hash {
		case theirs.Hash:
			return MergeResult{Commit: ours.Hash}, nil
		case ours.Hash:
			u := refUpdate{name: into, old: ours.Hash, target: theirs.Hash}
			return MergeResult{Commit: theirs.Hash}, r.move(ctx, marked(u, in.Mark)...)
		}
	}
	b := r.newBuilder()
	defer b.done()
	made := 0
	base, err := b.origin(ctx, bases, in, &made)
	if err != nil {
		return MergeResult{}, err
	}
	tree, overridden, err := b.merge(ctx, base, ours.Tree, theirs.Tree, in)
	if err != nil {
		return MergeResult{}, err
	}
	if in.Before != nil {
		if err := in.Before(overridden); err != nil {
			return MergeResult{}, err
		}
	}
	c := Commit{Tree: tree, Parents: []Hash{ours.Hash, theirs.Hash}, Author: in.Author, At: in.At, Message: in.Message}
	h, err := r.publish(ctx, refUpdate{name: into, old: ours.Hash}, in.Mark, c, b)
	if err != nil {
		return MergeResult{}, err
	}
	return MergeResult{Commit: h, Overridden: overridden}, nil
}

func (r *Repo) tipCommit(ref string) (Commit, error) {
	h, err := r.refs.ref(ref)
	if err != nil {
		return Commit{}, err
	}
	return r.links(h)
}
