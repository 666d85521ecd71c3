package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

// Link is one commit of a chain.
type Link struct {
	Changes []Change
	Message string
	Author  Signature
	At      time.Time
	// Authored is the author's time, if that is another one.
	Authored time.Time
	// Merged are further parents, which the repository must hold.
	Merged []Hash
}

// CommitChain writes commits, each upon the one before and the first upon the
// commit on, zero for none, and moves a reference of our own
// ("refs/caiatop/...") there from where it was, zero for nowhere. All of them
// become durable at once, or none. A link that changes nothing becomes a commit all the same. It returns
// the last commit. ErrMoved if the reference is elsewhere; other errors are
// those of Commit. Without links nothing is done.
//
// The links are in memory with all that they change, and so is what they are
// made into, until they are written.
func (r *Repo) CommitChain(ctx context.Context, ref string, was, on Hash, links []Link) (Hash, error) {
	if err := checkRef(ref); err != nil {
		return Hash{}, err
	}
	if strings.HasPrefix(ref, headsPrefix) {
		return Hash{}, fmt.Errorf("%w: a chain is not written to a branch", ErrInvalid)
	}
	if len(links) == 0 {
		return on, ctx.Err()
	}
	if err := r.acquire(ctx); err != nil {
		return Hash{}, err
	}
	defer r.release()
	c, err := r.newChain(ctx, ref, was, on)
	if err != nil {
		return Hash{}, err
	}
	for _, l := range links {
		if _, err := c.Add(ctx, l); err != nil {
			return Hash{}, err
		}
	}
	return c.at, c.publish(ctx)
}

// Chain is commits that are being made, each upon the one before and the first
// upon the tip of a branch. Nobody else sees them before Publish, which makes
// all of them durable at once, or none. It is not safe for concurrent use, but
// its View is, between two calls of it.
type Chain struct {
	repo     *Repo
	b        *builder // of the view
	ref      string
	was      Hash // where the reference is
	at, tree Hash // the last commit and its tree
	size     int
}

// NewChain begins a chain upon a branch, "" being Main, that must be at tip when
// it is published; zero if it must not exist.
func (r *Repo) NewChain(ctx context.Context, branch string, tip Hash) (*Chain, error) {
	ref, err := branchRef(branch)
	if err != nil {
		return nil, err
	}
	return r.newChain(ctx, ref, tip, tip)
}

func (r *Repo) newChain(ctx context.Context, ref string, was, on Hash) (*Chain, error) {
	c := &Chain{repo: r, ref: ref, was: was, at: on}
	if !on.IsZero() {
		tip, err := r.ReadCommit(ctx, on)
		if err != nil {
			return nil, wrapCommit(ref, err)
		}
		c.tree = tip.Tree
	}
	view := newRepo(&ahead{objectStore: r.objects, made: map[Hash]staged{}}, r.refs)
	view.sealed = true
	c.b = &builder{repo: view}
	return c, nil
}

// View is the repository with all that was added. It is for reading only, and
// is not to be closed.
func (c *Chain) View() *Repo { return c.b.repo }

// Tip is the last commit, the one that the chain began upon if none was added.
func (c *Chain) Tip() Hash { return c.at }

// Size is about what Publish will write, in bytes.
func (c *Chain) Size() int { return c.size }

// Add makes one more commit, also if it changes nothing, and returns it. After
// an error, one of Commit, the chain is what it was before.
func (c *Chain) Add(ctx context.Context, l Link) (Hash, error) {
	first := len(c.b.out)
	at, tree, err := c.b.link(ctx, c.at, c.tree, l)
	if err != nil {
		clear(c.b.out[first:])
		c.b.out = c.b.out[:first]
		return Hash{}, wrapCommit(c.ref, err)
	}
	for _, s := range c.b.out[first:] {
		c.size += len(s.data)
	}
	c.at, c.tree = at, tree
	return at, nil
}

// Publish makes the commits durable and moves the branch to the last of them.
// ErrMoved if the branch is elsewhere; an error that wraps durable.ErrUnsynced
// says that they are visible, but may be undone by a power cut. After any other
// error the branch is what it was. The chain is of no use any more. Without
// commits nothing is done.
func (c *Chain) Publish(ctx context.Context) error {
	if c.at == c.was {
		return ctx.Err()
	}
	if c.repo.journal.takes(c) {
		if err := c.repo.take(ctx); err != nil {
			return err
		}
		defer c.repo.release()
		return wrapCommit(c.ref, c.repo.journal.commit(ctx, c))
	}
	if err := c.repo.acquire(ctx); err != nil {
		return err
	}
	defer c.repo.release()
	return c.publish(ctx)
}

// publish is Publish for the one writer.
func (c *Chain) publish(ctx context.Context) error {
	b := &builder{repo: c.repo, out: c.b.out}
	return wrapCommit(c.ref, c.repo.storeAndMove(ctx, b, refUpdate{name: c.ref, old: c.was, target: c.at}))
}

// ahead is an object store with objects that are about to be stored.
type ahead struct {
	objectStore
	made map[Hash]staged
}

func (a *ahead) object(h Hash) (object, error) {
	if s, ok := a.made[h]; ok {
		return s.object, nil
	}
	return a.objectStore.object(h)
}

// tree is object for a tree that is about to be stored, with its index.
func (a *ahead) tree(h Hash) (tree, bool) {
	s, ok := a.made[h]
	return tree{s.data, s.index}, ok && s.kind == plumbing.TreeObject
}

// link stages one commit, and returns it and its tree.
func (b *builder) link(ctx context.Context, on, tree Hash, l Link) (Hash, Hash, error) {
	root, err := new(planner).plan(l.Changes)
	if err != nil {
		return Hash{}, Hash{}, err
	}
	over, ok := b.repo.objects.(*ahead)
	if !ok {
		return Hash{}, Hash{}, errors.New("a chain is built on the objects that it makes")
	}
	first := len(b.out)
	changed, err := b.rebuild(ctx, tree, root)
	if err != nil {
		return Hash{}, Hash{}, err
	}
	if changed.IsZero() {
		if changed, err = b.stage(plumbing.TreeObject, nil); err != nil {
			return Hash{}, Hash{}, err
		}
	}
	c := Commit{Tree: changed, Author: l.Author, At: l.At, Authored: l.Authored, Message: l.Message}
	if !on.IsZero() {
		c.Parents = append([]Hash{on}, l.Merged...)
	}
	data, err := encodeCommit(c)
	if err != nil {
		return Hash{}, Hash{}, err
	}
	h, err := b.stage(plumbing.CommitObject, data)
	if err != nil {
		return Hash{}, Hash{}, err
	}
	// What is staged twice is stored once.
	fresh := b.out[:first]
	for _, s := range b.out[first:] {
		if _, twice := over.made[s.hash]; !twice {
			over.made[s.hash] = s
			fresh = append(fresh, s)
		}
	}
	b.out = fresh
	return h, changed, nil
}
