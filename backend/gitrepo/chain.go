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
	at, tree := on, Hash{}
	if !on.IsZero() {
		c, err := r.ReadCommit(ctx, on)
		if err != nil {
			return Hash{}, wrapCommit(ref, err)
		}
		tree = c.Tree
	}
	b := &builder{repo: newRepo(&ahead{objectStore: r.objects, made: map[Hash]object{}}, r.refs)}
	for _, l := range links {
		var err error
		if at, tree, err = b.link(ctx, at, tree, l); err != nil {
			return Hash{}, wrapCommit(ref, err)
		}
	}
	err := r.storeAndMove(ctx, &builder{repo: r, out: b.out}, refUpdate{name: ref, old: was, target: at})
	return at, wrapCommit(ref, err)
}

// ahead is an object store with objects that are about to be stored.
type ahead struct {
	objectStore
	made map[Hash]object
}

func (a *ahead) object(h Hash) (object, error) {
	if o, ok := a.made[h]; ok {
		return o, nil
	}
	return a.objectStore.object(h)
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
			over.made[s.hash] = s.object
			fresh = append(fresh, s)
		}
	}
	b.out = fresh
	return h, changed, nil
}
