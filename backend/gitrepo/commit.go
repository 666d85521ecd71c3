package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

// CommitInput says what to commit.
type CommitInput struct {
	Branch     string // "" is Main; created by its first commit
	Changes    []Change
	Message    string // UTF-8 text, at most MaxMessage bytes
	Author     Signature
	At         time.Time // recorded in UTC, to the second
	AllowEmpty bool      // commit even if the tree does not change
	// Plan, if set, gives the changes instead of Changes. It is called with
	// the tip that they will be made on, zero if the branch does not exist,
	// and again if another program moves it; it may read, but not write.
	Plan func(ctx context.Context, tip Hash) ([]Change, error)
	// Mark, if set, is a reference of our own ("refs/caiatop/last") that is
	// moved to the new commit with the branch, from wherever it was; see the
	// package comment. It must not be a branch or a tag.
	Mark string
	// Parent is the tip that the changes are made for; another tip is
	// ErrMoved. Nil takes the tip as it is.
	Parent *Hash
}

// attempts bounds how often a commit is made anew because another program
// moved the branch meanwhile.
const attempts = 8

// Commit writes one commit onto a branch and returns its name. The commit is
// durable then. ErrNothing if the tree would not change and AllowEmpty is not
// set; ErrMoved; ErrInvalid; ErrTooLarge. An error that wraps
// durable.ErrUnsynced says that the commit is visible, but may be undone by a
// power cut. After any other error the branch is what it was.
func (r *Repo) Commit(ctx context.Context, in CommitInput) (Hash, error) {
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
	for range attempts {
		h, err := r.commitOnce(ctx, ref, in)
		if !errors.Is(err, ErrMoved) || in.Parent != nil {
			return h, wrapCommit(ref, err)
		}
	}
	return Hash{}, wrapCommit(ref, fmt.Errorf("%w %d times in a row", ErrMoved, attempts))
}

func wrapCommit(ref string, err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fmt.Errorf("commit to %s: %w", ref, err)
}

func (r *Repo) commitOnce(ctx context.Context, ref string, in CommitInput) (Hash, error) {
	tip, tree, err := r.tipOf(ref)
	if err != nil {
		return Hash{}, err
	}
	if in.Parent != nil && *in.Parent != tip {
		return Hash{}, fmt.Errorf("%w: it is at %s, not at %s", ErrMoved, tip, *in.Parent)
	}
	if in.Plan != nil {
		if in.Changes, err = in.Plan(ctx, tip); err != nil {
			return Hash{}, err
		}
	}
	b := r.newBuilder()
	defer b.done()
	root, err := b.planner.plan(in.Changes)
	if err != nil {
		return Hash{}, err
	}
	changed, err := b.rebuild(ctx, tree, root)
	if err != nil {
		return Hash{}, err
	}
	// A branch without commits has no files, as one with an empty tree.
	if tree.IsZero() {
		tree = emptyTree
	}
	if changed.IsZero() {
		changed = emptyTree
	}
	if changed == tree && !in.AllowEmpty {
		return Hash{}, ErrNothing
	}
	if changed == emptyTree {
		if _, err := b.stage(plumbing.TreeObject, nil); err != nil {
			return Hash{}, err
		}
	}
	c := Commit{Tree: changed, Author: in.Author, At: in.At, Message: in.Message}
	if !tip.IsZero() {
		c.Parents = []Hash{tip}
	}
	return r.publish(ctx, refUpdate{name: ref, old: tip}, in.Mark, c, b)
}

// tipOf returns the tip of a reference and its tree, both zero if it does not
// exist.
func (r *Repo) tipOf(ref string) (tip, tree Hash, err error) {
	tip, err = r.refs.ref(ref)
	if errors.Is(err, ErrNotFound) {
		return Hash{}, Hash{}, nil
	}
	if err != nil {
		return Hash{}, Hash{}, err
	}
	c, err := r.links(tip)
	return tip, c.Tree, err
}

// overlapBytes bounds the objects, in bytes, that are written while references
// are locked: git waits a tenth of a second for a lock, and with more than that
// to write there is nothing to gain.
const overlapBytes = 1 << 20

// publish stores the objects of b and the commit, and moves the reference of u
// and the mark to it.
func (r *Repo) publish(ctx context.Context, u refUpdate, mark string, c Commit, b *builder) (Hash, error) {
	data, err := encodeCommit(c)
	if err != nil {
		return Hash{}, err
	}
	h, err := b.stage(plumbing.CommitObject, data)
	if err != nil {
		return Hash{}, err
	}
	u.target = h
	if err := r.storeAndMove(ctx, b, marked(u, mark)...); err != nil {
		return Hash{}, err
	}
	return h, nil
}

// storeAndMove stores the objects of b, and only then moves references. Where
// packs vanished, it does so if nothing that references lead to went with them.
func (r *Repo) storeAndMove(ctx context.Context, b *builder, updates ...refUpdate) error {
	err := r.tryStoreAndMove(ctx, b, updates...)
	if !errors.Is(err, ErrLost) {
		return err
	}
	switch whole, look := r.letGarbageGo(ctx); {
	case look != nil:
		return errors.Join(err, look)
	case !whole:
		return err
	}
	return r.tryStoreAndMove(ctx, b, updates...)
}

// tryStoreAndMove finds a reference that has moved before anything is stored,
// unless that is much.
func (r *Repo) tryStoreAndMove(ctx context.Context, b *builder, updates ...refUpdate) (err error) {
	size := 0
	for _, s := range b.out {
		size += len(s.data)
	}
	large := size > overlapBytes
	h := r.hold()
	defer func() { h.done(err == nil) }()
	if large {
		if err := r.storeAll(ctx, b.out, h, nil); err != nil {
			return err
		}
	}
	// Waiting for the maintenance is not for those who hold a lock.
	if p, ok := r.objects.(*packStore); ok {
		if err := p.room(ctx); err != nil {
			return err
		}
	}
	change, err := r.refs.prepare(ctx, updates...)
	if err != nil {
		return err
	}
	begin := sync.OnceFunc(change.begin)
	if !large {
		if err := r.storeAll(ctx, b.out, h, begin); err != nil {
			return errors.Join(err, change.abort())
		}
	}
	begin()
	return change.commit(ctx)
}

// storeAll stores objects, which h holds from then on. It calls syncing, if that is set, when it begins to
// sync them: what is synced at the same time shares one step of the journal of
// the file system.
func (r *Repo) storeAll(ctx context.Context, objects []staged, h *hold, syncing func()) error {
	var err error
	if p, ok := r.objects.(*packStore); ok {
		err = p.storeFor(ctx, objects, h, syncing)
	} else {
		err = r.objects.store(ctx, objects)
	}
	if err != nil {
		return fmt.Errorf("store %d objects: %w", len(objects), err)
	}
	return nil
}

// marked is an update with the one of its mark before it, so that a process
// that dies between the two leaves the mark ahead.
func marked(u refUpdate, mark string) []refUpdate {
	if mark == "" {
		return []refUpdate{u}
	}
	return []refUpdate{{name: mark, target: u.target, anywhere: true}, u}
}
