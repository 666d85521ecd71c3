package gitrepo

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/go-git/go-git/v5/plumbing"
)

// link leads from an entry of a tree to the object that it names, and from a
// commit to its tree, so that a path is followed without a search for each
// folder. It is a hint: whoever follows it compares the name of the object that
// it leads to, and looks in the table if it is another one.
//
// Without a limit, trees that differ in nothing but names of objects share their
// links. With one, an object has at most one link that leads to it, and both
// ends break it when they are dropped, so that it keeps nothing in the heap.
type link struct{ to atomic.Pointer[tableEntry] }

const (
	// linkEvery is the size of the smallest entry of a tree, in bytes: a mode, a
	// name of one letter, a hash. So no two share a link.
	linkEvery = len("40000 x\x00") + hashSize
	// maxLinked bounds the trees that have links, in bytes: a large flat folder
	// would have new ones for every commit.
	maxLinked = 64 << 10
)

func linksHeap(links int) int64 { return heapSize(8 * links) }

// linkCount returns how many links an entry has.
func (e *tableEntry) linkCount() int {
	switch {
	case e.kind() == plumbing.CommitObject:
		return 1
	case len(e.data) > maxLinked:
		return 0
	case e.index != nil && e.index.stride > 0:
		return len(e.data) / e.index.stride
	}
	return (len(e.data) + linkEvery - 1) / linkEvery
}

// linkAt returns the link of the tree's entry at a place, nil if there is none
// yet.
func (e *tableEntry) linkAt(from int) *link {
	if e.state.Load()&entryLinked == 0 {
		return nil
	}
	every := linkEvery
	if e.index != nil && e.index.stride > 0 {
		every = e.index.stride
	}
	if i := from / every; i < len(e.below) {
		return &e.below[i]
	}
	return nil
}

// follow returns the object that a tree's entry at a place names, if a link
// leads to it.
func (e *tableEntry) follow(from int, h *Hash) *tableEntry {
	l := e.linkAt(from)
	if l == nil {
		return nil
	}
	if to := l.to.Load(); to != nil && sameHash(&to.hash, h) {
		to.use()
		return to
	}
	return nil
}

// lead makes the link at a place of e, an entry of this table, lead to another
// entry, which is of the table in.
func (t *table) lead(e *tableEntry, from int, to *tableEntry, in *table) {
	if e.state.Load()&entryLinked == 0 && !t.addLinks(e) {
		return
	}
	l := e.linkAt(from)
	if l == nil {
		return
	}
	if in.limit == 0 {
		l.to.Store(to)
		return
	}
	s, _ := in.place(to.hash)
	s.mu.Lock()
	if to.state.Load()&entryDropped == 0 {
		if other := to.above.Swap(l); other != nil && other != l {
			other.to.CompareAndSwap(to, nil)
		}
		if before := l.to.Swap(to); before != nil && before != to {
			before.above.CompareAndSwap(l, nil)
		}
	}
	s.mu.Unlock()
	// Who drops e either sees this link or has marked e before.
	if e.state.Load()&entryDropped != 0 {
		to.above.CompareAndSwap(l, nil)
	}
}

// addLinks gives an entry of this table its links, and reports whether it has
// them.
func (t *table) addLinks(e *tableEntry) bool {
	n := e.linkCount()
	if n == 0 {
		return false
	}
	s, _ := t.place(e.hash)
	s.mu.Lock()
	state := e.state.Load()
	fresh := state&(entryLinked|entryDropped) == 0
	if fresh {
		e.below = make([]link, n)
		e.state.Or(entryLinked)
	}
	s.mu.Unlock()
	if fresh && t.limit > 0 && t.size.Add(linksHeap(n)) > t.limit {
		t.sweep()
	}
	return fresh || state&entryLinked != 0
}

// unlink breaks the links to and from an entry that was marked as dropped. The
// caller holds the lock of its shard.
func (e *tableEntry) unlink() {
	if l := e.above.Swap(nil); l != nil {
		l.to.CompareAndSwap(e, nil)
	}
	if e.state.Load()&entryLinked == 0 {
		return
	}
	for i := range e.below {
		if to := e.below[i].to.Load(); to != nil {
			to.above.CompareAndSwap(&e.below[i], nil)
		}
	}
}

// held is a tree, and its entry in the table of trees if it has one.
type held struct {
	tree
	entry *tableEntry
}

func (e *tableEntry) held() held { return held{tree{e.data, e.index}, e} }

// tables returns where trees and commits, and where blobs are kept; nil for
// objects that are not.
func (r *Repo) tables() (trees, blobs *table) { return tablesOf(r.objects) }

func tablesOf(objects objectStore) (trees, blobs *table) {
	switch s := objects.(type) {
	case *ahead:
		return tablesOf(s.objectStore)
	case *memory:
		return s.objects, s.objects
	case *packStore:
		return s.cache.trees, s.cache.blobs
	}
	return nil, nil
}

// heldAt is treeAt that tells where the tree is kept.
func (r *Repo) heldAt(h Hash) (held, error) {
	if r.closed.Load() {
		return held{}, ErrClosed
	}
	trees, _ := r.tables()
	if trees != nil {
		if e := trees.lookup(h); e != nil && e.kind() == plumbing.TreeObject {
			return e.held(), nil
		}
	}
	if h == emptyTree {
		return held{}, nil
	}
	if over, ok := r.objects.(*ahead); ok {
		if t, made := over.tree(h); made {
			return held{tree: t}, nil
		}
	}
	data, err := r.get(h, plumbing.TreeObject)
	if err != nil {
		return held{}, err
	}
	if trees != nil {
		if e := trees.lookup(h); e != nil {
			return e.held(), nil
		}
	}
	return held{tree: tree{data, indexTree(data)}}, nil
}

// treeBelow is heldAt for a tree that an entry of another one names.
func (r *Repo) treeBelow(folder held, from int, h *Hash) (held, error) {
	if folder.entry != nil {
		if e := folder.entry.follow(from, h); e != nil && e.kind() == plumbing.TreeObject {
			return e.held(), nil
		}
	}
	t, err := r.heldAt(*h)
	if err == nil && folder.entry != nil && t.entry != nil {
		trees, _ := r.tables()
		trees.lead(folder.entry, from, t.entry, trees)
	}
	return t, err
}

// blobBelow returns the content of a file that an entry of a tree names.
func (r *Repo) blobBelow(folder held, from int, h *Hash) ([]byte, error) {
	if folder.entry == nil {
		return r.get(*h, plumbing.BlobObject)
	}
	if e := folder.entry.follow(from, h); e != nil && e.kind() == plumbing.BlobObject {
		return e.data, nil
	}
	data, err := r.get(*h, plumbing.BlobObject)
	if err == nil {
		trees, blobs := r.tables()
		if e := blobs.lookup(*h); e != nil {
			trees.lead(folder.entry, from, e, blobs)
		}
	}
	return data, err
}

// found is what a tree has at a path, and where.
type found struct {
	item
	folder held // that it lies in; none for the root
	from   int  // where it begins there
}

// root returns the tree of a commit that a caller named.
func (r *Repo) root(ctx context.Context, at Hash) (Hash, held, error) {
	if err := ctx.Err(); err != nil {
		return Hash{}, held{}, err
	}
	if r.closed.Load() {
		return Hash{}, held{}, ErrClosed
	}
	trees, _ := r.tables()
	if trees == nil {
		return r.rootOf(ctx, at)
	}
	e := trees.lookup(at)
	if e == nil || e.kind() != plumbing.CommitObject {
		return r.rootOf(ctx, at)
	}
	// A commit shares its link with no other, so it leads to the tree or nowhere.
	if l := e.linkAt(0); l != nil {
		if to := l.to.Load(); to != nil && to.kind() == plumbing.TreeObject {
			to.use()
			return to.hash, to.held(), nil
		}
	}
	h, t, err := r.rootOf(ctx, at)
	if err == nil && t.entry != nil {
		trees.lead(e, 0, t.entry, trees)
	}
	return h, t, err
}

// rootOf is root that reads the commit.
func (r *Repo) rootOf(ctx context.Context, at Hash) (Hash, held, error) {
	data, err := r.commitData(ctx, at)
	if err != nil {
		return Hash{}, held{}, err
	}
	h, err := treeOf(at, data)
	if err != nil {
		return Hash{}, held{}, err
	}
	t, err := r.heldAt(h)
	return h, t, err
}

// walkTo returns what a commit has at a path, the root being a tree.
// ErrNotFound if there is nothing.
func (r *Repo) walkTo(ctx context.Context, at Hash, path document.Path) (found, error) {
	h, root, err := r.root(ctx, at)
	if err != nil {
		return found{}, err
	}
	p, ok, err := r.descend(h, root, path.String())
	if err == nil && !ok {
		err = fmt.Errorf("%s: %w", path, ErrNotFound)
	}
	return p, err
}

// lookup walks from a tree to a path, and reports whether there is anything.
func (r *Repo) lookup(tree Hash, path string) (item, bool, error) {
	if path == "" {
		return item{mode: modeTree, hash: tree}, true, nil
	}
	t, err := r.heldAt(tree)
	if err != nil {
		return item{}, false, err
	}
	p, ok, err := r.descend(tree, t, path)
	return p.item, ok, err
}

// descend walks down from a tree.
func (r *Repo) descend(h Hash, t held, path string) (found, bool, error) {
	at := found{item: item{mode: modeTree, hash: h}}
	for path != "" {
		segment, rest := path, ""
		if i := strings.IndexByte(path, '/'); i >= 0 {
			segment, rest = path[:i], path[i+1:]
		}
		from, to, err := t.locate(segment)
		if err != nil {
			return found{}, false, fmt.Errorf("tree %s: %w", at.hash, err)
		}
		if from == to {
			return found{}, false, nil
		}
		at.mode, at.folder, at.from = t.modeAt(from), t, from
		at.hash = Hash(t.data[to-hashSize : to])
		if path = rest; path == "" {
			break
		}
		if !at.mode.isTree() {
			return found{}, false, nil
		}
		if t, err = r.treeBelow(t, from, &at.hash); err != nil {
			return found{}, false, err
		}
	}
	return at, true, nil
}
