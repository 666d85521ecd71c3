package githttp

import (
	"errors"

	"github.com/caiatech/caiatop/backend/gitrepo"
	"github.com/go-git/go-git/v5/plumbing"
)

// wanted is what the wants of a request stand for.
type wanted struct {
	commits []Hash
	others  []typed // tags, and trees and blobs that a partial clone was made without
}

type typed struct {
	hash Hash
	kind plumbing.ObjectType
}

// maxTags bounds how many tags may point to each other.
const maxTags = 16

// resolve finds out what is wanted, and refuses what the view does not lead to:
// who guesses or remembers a name learns nothing by it.
func (g *graph) resolve(v *view, wants []Hash) (wanted, error) {
	var tips set
	v.tips(func(h Hash) { tips.add(h) })
	var w wanted
	var hidden [plumbing.TagObject + 1]set // neither of them a tip, by kind
	for _, h := range wants {
		kind, err := g.add(&w, h, maxTags)
		if err != nil {
			return w, err
		}
		if !tips.has(h) {
			hidden[kind].add(h)
		}
	}
	for _, tag := range hidden[plumbing.TagObject].names {
		if ok, err := g.nested(v, tag); err != nil || !ok {
			return w, errors.Join(err, notOurs(tag))
		}
	}
	if err := g.reachable(v, &hidden[plumbing.CommitObject]); err != nil {
		return w, err
	}
	return w, g.contained(v, &hidden[plumbing.TreeObject], &hidden[plumbing.BlobObject])
}

// add adds what one name stands for, tags with what they stand for.
func (g *graph) add(w *wanted, h Hash, depth int) (plumbing.ObjectType, error) {
	kind, data, err := g.repo.Object(g.ctx, h)
	switch {
	case h == emptyTree && errors.Is(err, gitrepo.ErrNotFound):
		kind = plumbing.TreeObject
	case errors.Is(err, gitrepo.ErrNotFound):
		return 0, notOurs(h)
	case err != nil:
		return 0, err
	}
	switch kind {
	case plumbing.CommitObject:
		w.commits = append(w.commits, h)
	case plumbing.TagObject:
		w.others = append(w.others, typed{h, kind})
		target, _, err := tagged(data)
		if err == nil && depth == 0 {
			err = errTag
		}
		if err == nil {
			_, err = g.add(w, target, depth-1)
		}
		return kind, err
	case plumbing.TreeObject, plumbing.BlobObject:
		w.others = append(w.others, typed{h, kind})
	default:
		return 0, notOurs(h)
	}
	return kind, nil
}

// nested reports whether a tag of the view leads to a tag.
func (g *graph) nested(v *view, tag Hash) (bool, error) {
	for _, r := range v.refs {
		if r.peeled.IsZero() {
			continue
		}
		at := r.target
		for range maxTags {
			data, err := g.object(at, plumbing.TagObject)
			if err != nil {
				return false, err
			}
			next, kind, err := tagged(data)
			if err != nil || kind != plumbing.TagObject {
				break
			}
			if at = next; at == tag {
				return true, nil
			}
		}
	}
	return false, nil
}

// errFound ends a walk.
var errFound = errors.New("found")

// reachable refuses commits that no commit of the view leads to.
func (g *graph) reachable(v *view, commits *set) error {
	if commits.len() == 0 {
		return nil
	}
	var met set
	err := g.each(v.starts(), func(c gitrepo.Commit, _ int) (bool, error) {
		if commits.has(c.Hash) {
			met.add(c.Hash)
		}
		if met.len() == commits.len() {
			return false, errFound
		}
		return true, nil
	})
	if errors.Is(err, errFound) {
		return nil
	}
	return errors.Join(err, firstOther(commits, &met))
}

func (v *view) starts() []Hash {
	var starts []Hash
	v.commits(func(h Hash) { starts = append(starts, h) })
	return starts
}

// firstOther refuses the first name that is not among those that were met.
func firstOther(names, met *set) error {
	for _, h := range names.names {
		if !met.has(h) {
			return notOurs(h)
		}
	}
	return nil
}

// contained refuses trees and blobs that are in no commit of the view. It looks
// into the newest commits first, which is where a partial clone finds what it
// lacks.
func (g *graph) contained(v *view, trees, blobs *set) error {
	if trees.len()+blobs.len() == 0 {
		return nil
	}
	s := &search{graph: g, trees: trees, blobs: blobs}
	err := g.each(v.starts(), func(c gitrepo.Commit, _ int) (bool, error) { return true, s.tree(c.Tree, 0) })
	if errors.Is(err, errFound) {
		return nil
	}
	return errors.Join(err, firstOther(trees, &s.met), firstOther(blobs, &s.met))
}

// search looks for trees and blobs in trees.
type search struct {
	*graph
	trees, blobs *set
	seen, met    set // trees that were looked into; what was found
}

func (s *search) meet(h Hash, among *set) error {
	if among.has(h) {
		s.met.add(h)
	}
	if s.met.len() == s.trees.len()+s.blobs.len() {
		return errFound
	}
	return nil
}

func (s *search) tree(h Hash, depth int) error {
	if _, fresh := s.seen.add(h); !fresh {
		return nil
	}
	if s.seen.len() > maxObjects {
		return tooManyObjects()
	}
	if depth > maxDepth {
		return errTree
	}
	if err := s.meet(h, s.trees); err != nil {
		return err
	}
	data, err := s.object(h, plumbing.TreeObject)
	if err != nil {
		return err
	}
	for len(data) > 0 {
		var e entry
		if e, data, err = nextEntry(data); err != nil {
			return err
		}
		switch {
		case e.isTree:
			err = s.tree(e.hash, depth+1)
		case e.isBlob:
			err = s.meet(e.hash, s.blobs)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// maxDepth bounds how deep trees may lie in each other.
const maxDepth = 1024
