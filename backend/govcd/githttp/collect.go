package githttp

import (
	"github.com/caiatech/caiatop/backend/gitrepo"
	"github.com/go-git/go-git/v5/plumbing"
)

// maxChain bounds the deltas on each other, as git does.
const maxChain = 50

// none is no base.
const none = int32(-1)

// content is the objects of a pack, in its order.
type content struct {
	set
	kinds  []plumbing.ObjectType
	chains []uint8 // how many deltas lead to something whole
	// bases are numbers of objects before, none, or those of others from -2 down,
	// which the client has.
	bases   []int32
	outside set
}

// put adds an object, which may be a delta on another one.
func (c *content) put(h Hash, kind plumbing.ObjectType, base int32) {
	if _, fresh := c.add(h); !fresh {
		return
	}
	chain := uint8(0)
	if base >= 0 {
		if chain = c.chains[base] + 1; chain > maxChain {
			base, chain = none, 0
		}
	}
	c.kinds = append(c.kinds, kind)
	c.chains = append(c.chains, chain)
	c.bases = append(c.bases, base)
}

// base returns the name of the base of an object.
func (c *content) base(number int) (Hash, bool) {
	switch at := c.bases[number]; {
	case at >= 0:
		return c.names[at], true
	case at < none:
		return c.outside.names[-2-at], true
	}
	return Hash{}, false
}

// collector finds the objects that a client lacks.
type collector struct {
	*graph
	*content
	filter filter
	thin   bool // a base may be what the client has
	trees  recent
	beat   func() error // is called every now and then
	beats  int
}

// commits adds what the commits of a walk are made of, the oldest first.
func (c *collector) commits(w *walk, ends *set) error {
	for i := len(w.found) - 1; i >= 0; i-- {
		number := w.found[i]
		if w.marks[number]&owned != 0 {
			continue
		}
		at, err := w.commit(w.known.names[number])
		if err != nil {
			return err
		}
		whole, err := c.commit(w, at, ends)
		if err != nil {
			return err
		}
		if whole {
			w.marks[number] |= given
		}
	}
	return nil
}

// commit adds what a commit changed against its first parent, of which
// everything is with the client or comes in the same pack. It reports whether
// all that the commit is made of is with the client or in the pack already.
func (c *collector) commit(w *walk, at gitrepo.Commit, ends *set) (whole bool, err error) {
	before, bases := emptyTree, false
	whole = true
	if len(at.Parents) > 0 && !ends.has(at.Hash) {
		parent, err := c.graph.commit(at.Parents[0])
		switch number := w.known.find(at.Parents[0]); {
		case err == nil:
			before = parent.Tree
			// What a parent that comes later is made of is not in the pack yet, and
			// a base that comes later could be a delta on this.
			bases = number >= 0 && w.marks[number]&(owned|given) != 0
			whole = bases
		case number < 0 || w.marks[number]&owned == 0 || !lost(err):
			return false, err
		}
	}
	if c.filter != noTrees {
		if err := c.tree(at.Tree, before, bases, 0); err != nil {
			return false, err
		}
	}
	c.put(at.Hash, plumbing.CommitObject, none)
	return whole, c.tick()
}

// others adds what was named besides commits. What is named is never filtered.
func (c *collector) others(all []typed) error {
	for _, o := range all {
		if o.kind == plumbing.TreeObject {
			if err := c.tree(o.hash, emptyTree, false, 0); err != nil {
				return err
			}
			continue
		}
		c.put(o.hash, o.kind, none)
		if err := c.tick(); err != nil {
			return err
		}
	}
	return nil
}

// following adds the tags of what is in the pack.
func (c *collector) following(v *view) error {
	for _, r := range v.refs {
		if r.peeled.IsZero() || !c.has(r.peeled) {
			continue
		}
		at := r.target
		for range maxTags {
			data, err := c.object(at, plumbing.TagObject)
			if err != nil {
				return err
			}
			c.put(at, plumbing.TagObject, none)
			next, kind, err := tagged(data)
			if err != nil {
				return err
			}
			if kind != plumbing.TagObject {
				break
			}
			at = next
		}
	}
	return nil
}

// tree adds a tree and what is below it, but for what another one has in the
// same places.
func (c *collector) tree(h, before Hash, bases bool, depth int) error {
	if h == before && h != emptyTree || c.has(h) {
		return nil
	}
	if depth > maxDepth {
		return errTree
	}
	data, err := c.read(h)
	if err != nil {
		return err
	}
	old, err := c.read(before)
	if err != nil {
		return err
	}
	for len(data) > 0 {
		var e, was entry
		if e, data, err = nextEntry(data); err != nil {
			return err
		}
		if was, old, err = advance(old, e); err != nil {
			return err
		}
		switch {
		case was.hash == e.hash:
		case e.isTree:
			under := emptyTree
			if was.isTree {
				under = was.hash
			}
			err = c.tree(e.hash, under, bases && was.isTree, depth+1)
		case e.isBlob && c.filter == everything:
			c.put(e.hash, plumbing.BlobObject, c.baseOf(was.hash, bases && was.isBlob))
			err = c.tick()
		}
		if err != nil {
			return err
		}
	}
	c.put(h, plumbing.TreeObject, c.baseOf(before, bases && before != emptyTree))
	return c.tick()
}

// baseOf returns the number of an object as a base.
func (c *collector) baseOf(h Hash, allowed bool) int32 {
	if !allowed {
		return none
	}
	if number := c.find(h); number >= 0 {
		return int32(number) //nolint:gosec // bounded by maxObjects
	}
	if !c.thin {
		return none
	}
	number, _ := c.outside.add(h)
	return -2 - int32(number) //nolint:gosec // bounded by maxObjects
}

// read reads a tree, which is likely to be the one before another soon.
func (c *collector) read(h Hash) ([]byte, error) {
	if data, ok := c.trees.get(h); ok || h == emptyTree {
		return data, nil
	}
	data, err := c.object(h, plumbing.TreeObject)
	if err == nil {
		c.trees.put(h, data)
	}
	return data, err
}

// tick holds the limit, and lets somebody know that this goes on.
func (c *collector) tick() error {
	if c.len() > maxObjects {
		return tooManyObjects()
	}
	const often = 256
	if c.beats++; c.beats%often != 0 {
		return nil
	}
	return c.beat()
}

// recent keeps the trees that were read last: two halves, of which the older
// one goes.
type recent struct {
	young, old map[Hash][]byte
	size       int
}

// recentBytes is what half of a recent may hold, in bytes.
const recentBytes = 2 << 20

func (r *recent) get(h Hash) ([]byte, bool) {
	data, ok := r.young[h]
	if !ok {
		data, ok = r.old[h]
	}
	return data, ok
}

func (r *recent) put(h Hash, data []byte) {
	if r.young == nil || r.size > recentBytes {
		r.young, r.old, r.size = make(map[Hash][]byte), r.young, 0
	}
	r.young[h] = data
	r.size += len(data)
}
