package githttp

import (
	"github.com/caiatech/caiatop/backend/gitrepo"
)

// cut is where the history of a client ends after a fetch.
type cut struct {
	ends set // the client has these commits, and none before them
	// shallow and unshallow are what is new about that.
	shallow, unshallow []Hash
	// more are commits behind former ends, to begin at beside the wants.
	more []Hash
}

// cutFor finds out where history is to end. Without a wish it ends where it
// did.
func (g *graph) cutFor(v *view, r *request, wants []Hash) (*cut, error) {
	c := &cut{}
	var within, border set // all commits that are to be there; those that end
	var err error
	switch {
	case r.depth > 0 && r.relative:
		var starts []Hash
		if starts, err = g.among(wants, &r.shallows); err == nil {
			err = g.deep(starts, min(r.depth, infinite-1)+1, &within, &border)
		}
	case r.depth > 0:
		err = g.deep(wants, r.depth, &within, &border)
	case r.deepens():
		err = g.bounded(v, r, wants, &within, &border)
	}
	if err != nil {
		return nil, err
	}
	for _, h := range border.names {
		c.ends.add(h)
		if !r.shallows.has(h) {
			c.shallow = append(c.shallow, h)
		}
	}
	for _, h := range r.shallows.names {
		if border.has(h) {
			continue
		}
		if !within.has(h) {
			c.ends.add(h)
			continue
		}
		c.unshallow = append(c.unshallow, h)
		end, err := g.commit(h)
		if err != nil {
			return nil, err
		}
		c.more = append(c.more, end.Parents...)
	}
	return c, nil
}

// deep finds the commits up to a depth, which is 1 for the starts.
func (g *graph) deep(starts []Hash, depth int, within, border *set) error {
	return g.each(starts, func(c gitrepo.Commit, steps int) (bool, error) {
		within.add(c.Hash)
		if steps+1 < depth || len(c.Parents) == 0 {
			return true, nil
		}
		border.add(c.Hash)
		return false, nil
	})
}

// among returns which of the ends of a client's history are in that of the
// wants. Others are nothing that it could have from here.
func (g *graph) among(wants []Hash, ends *set) ([]Hash, error) {
	var met []Hash
	err := g.each(wants, func(c gitrepo.Commit, _ int) (bool, error) {
		if ends.has(c.Hash) {
			met = append(met, c.Hash)
		}
		return true, nil
	})
	return met, err
}

// bounded finds the commits since a time, and those that references do not lead
// to. A want belongs to them in any case.
func (g *graph) bounded(v *view, r *request, wants []Hash, within, border *set) error {
	excluded, err := g.excluded(v, r.excluded)
	if err != nil {
		return err
	}
	inside := func(c gitrepo.Commit) bool { return !c.At.Before(r.since) && !excluded.has(c.Hash) }
	err = g.each(wants, func(c gitrepo.Commit, steps int) (bool, error) {
		if !inside(c) && steps > 0 {
			return false, nil
		}
		within.add(c.Hash)
		return inside(c), nil
	})
	if err != nil {
		return err
	}
	for _, h := range within.names {
		c, err := g.commit(h)
		if err != nil {
			return err
		}
		for _, parent := range c.Parents {
			if !within.has(parent) {
				border.add(h)
				break
			}
		}
	}
	return nil
}

// excluded returns all commits that references lead to.
func (g *graph) excluded(v *view, names []string) (*set, error) {
	out := &set{}
	var starts []Hash
	for _, name := range names {
		r, ok := v.find(name)
		if !ok || !r.commit {
			return nil, unsupported("there is no branch or tag %s to leave out", shown(name))
		}
		starts = append(starts, r.at())
	}
	err := g.each(starts, func(c gitrepo.Commit, _ int) (bool, error) {
		out.add(c.Hash)
		return true, nil
	})
	return out, err
}
