package gitrepo

import (
	"context"
	"errors"

	"github.com/go-git/go-git/v5/plumbing"
)

// walk is what a commit is made of.
type walk struct {
	seen    map[Hash]struct{}
	whole   bool // every object can be read
	missing bool // one is only in packs that vanished, or nowhere
}

// letGarbageGo reports whether all that references lead to is still in the
// folder. Then packs that vanished had only garbage, as a process that died
// leaves it and git collects it, and are forgotten.
func (r *Repo) letGarbageGo(ctx context.Context) (whole bool, err error) {
	p, ok := r.objects.(*packStore)
	if !ok {
		return false, nil
	}
	refs, err := listRefs(r.refs, "refs/")
	if err != nil {
		return false, err
	}
	walked := map[Hash]struct{}{}
	for _, tip := range refs {
		if _, known := walked[tip]; known {
			continue
		}
		w, err := p.reachFrom(ctx, tip, plumbing.AnyObject, walked)
		if err != nil || !w.whole || w.missing {
			return false, err
		}
	}
	p.lost.Store(false)
	return true, p.forget()
}

// reach walks everything that a commit is made of, until an object is nowhere.
func (p *packStore) reach(ctx context.Context, tip Hash) (w walk, err error) {
	return p.reachFrom(ctx, tip, plumbing.CommitObject, map[Hash]struct{}{})
}

// reachFrom is reach from an object of any kind that passes over what was seen,
// and adds to it.
func (p *packStore) reachFrom(ctx context.Context, tip Hash, kind plumbing.ObjectType, seen map[Hash]struct{}) (w walk, err error) {
	type reached struct {
		hash Hash
		kind plumbing.ObjectType
	}
	queue := []reached{{tip, kind}}
	seen[tip] = struct{}{}
	w.seen = seen
	add := func(h Hash, kind plumbing.ObjectType) {
		if _, known := w.seen[h]; !known {
			w.seen[h] = struct{}{}
			queue = append(queue, reached{h, kind})
		}
	}
	shallow, err := p.shallow()
	if err != nil {
		return w, err
	}
	partial, err := p.partial()
	if err != nil {
		return w, err
	}
	for len(queue) > 0 {
		if err := ctx.Err(); err != nil {
			return w, err
		}
		at := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		stored, err := p.stored(at.hash)
		if err != nil {
			return w, err
		}
		if at.kind == plumbing.BlobObject && stored {
			continue
		}
		o, err := p.uncached(at.hash)
		switch {
		case partial && errors.Is(err, ErrNotFound):
			continue // it was never here
		case errors.Is(err, ErrNotFound), errors.Is(err, ErrCorrupt):
			return w, nil
		case err != nil:
			return w, err
		case at.kind != plumbing.AnyObject && o.kind != at.kind:
			return w, nil
		}
		w.missing = w.missing || !stored
		follow := add
		if _, cut := shallow[at.hash]; cut {
			follow = withoutParents(add)
		}
		if err := parts(at.hash, o, follow); err != nil {
			return w, nil //nolint:nilerr // what cannot be read is damaged
		}
	}
	w.whole = true
	return w, nil
}

// withoutParents is add for the parts of a commit that history ends with.
func withoutParents(add func(Hash, plumbing.ObjectType)) func(Hash, plumbing.ObjectType) {
	return func(h Hash, kind plumbing.ObjectType) {
		if kind != plumbing.CommitObject {
			add(h, kind)
		}
	}
}

// parts calls add for what an object names.
func parts(h Hash, o object, add func(Hash, plumbing.ObjectType)) error {
	switch o.kind {
	case plumbing.TagObject:
		t, err := decodeTag(h, o.data)
		if err != nil {
			return err
		}
		add(t.target, t.kind)
	case plumbing.CommitObject:
		c, err := decodeCommit(h, o.data)
		if err != nil {
			return err
		}
		if c.Tree != emptyTree {
			add(c.Tree, plumbing.TreeObject)
		}
		for _, parent := range c.Parents {
			add(parent, plumbing.CommitObject)
		}
	case plumbing.TreeObject:
		for rest := o.data; len(rest) > 0; {
			it, after, err := nextItem(rest)
			if err != nil {
				return err
			}
			rest = after
			switch {
			case it.mode.isTree():
				add(it.hash, plumbing.TreeObject)
			case it.mode.isBlob():
				add(it.hash, plumbing.BlobObject)
			}
		}
	}
	return nil
}
