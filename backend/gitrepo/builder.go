package gitrepo

import (
	"sync"

	"github.com/go-git/go-git/v5/plumbing"
)

// oneDocument is how many objects a commit of one document has, or nearly: two
// files, eight trees, a commit.
const oneDocument = 12

// builder rebuilds trees and keeps the new objects until they are stored.
type builder struct {
	repo *Repo
	out  []staged
	// virtual holds trees that stand for a merge base that nobody committed, and
	// that are never stored. While imagine is set, new trees become virtual.
	virtual map[Hash]tree
	imagine bool
	edits   []edit // of the trees that are being rebuilt, the innermost last
	planner planner
	room    *room // of new trees; nil if each is kept for itself
}

// builders are those of repositories in memory, where to make one anew costs as
// much as a file of the document.
var builders = sync.Pool{New: func() any { return &builder{room: new(room)} }}

// newBuilder returns a builder, to be ended by done.
func (r *Repo) newBuilder() *builder {
	if _, ok := r.objects.(*memory); !ok {
		return &builder{repo: r} // the cache lets go of one tree at a time
	}
	b := builders.Get().(*builder) //nolint:forcetypeassert // the pool makes nothing else
	b.repo = r
	return b
}

// done leaves the lists of a builder to the next one, unless they are long. The
// caller has none of them any more; trees stay what they are.
func (b *builder) done() {
	const long = 8 * oneDocument
	if b.room == nil || cap(b.out) > long || cap(b.edits) > long {
		return
	}
	clear(b.out)
	clear(b.edits[:cap(b.edits)])
	clear(b.planner.first[:])
	b.repo, b.out, b.virtual, b.imagine, b.edits = nil, b.out[:0], nil, false, b.edits[:0]
	b.planner.free, b.planner.made = nil, 0
	builders.Put(b)
}

// room gives away memory for the bytes of trees, many with one allocation. What
// it gave stays together in the heap, so it is for those who keep all or nothing.
type room struct{ free []byte }

// take returns an empty slice with room for n bytes. Without a room it is alone.
func (r *room) take(n int) []byte {
	const block = 16 << 10
	if r == nil || n > block/4 {
		return make([]byte, 0, n)
	}
	if n > len(r.free) {
		r.free = make([]byte, block)
	}
	out := r.free[:0:n]
	r.free = r.free[n:]
	return out
}

func (b *builder) stage(kind plumbing.ObjectType, data []byte) (Hash, error) {
	s, err := stage(kind, data)
	if err != nil {
		return Hash{}, err
	}
	b.keep(s)
	return s.hash, nil
}

// stageTree is stage for a tree, see staged.like; the zero hash if it is empty.
func (b *builder) stageTree(t tree, base Hash, name string, like *tableEntry) (Hash, error) {
	if len(t.data) == 0 {
		return Hash{}, nil
	}
	s, err := stage(plumbing.TreeObject, t.data)
	if err != nil {
		return Hash{}, err
	}
	s.base, s.name, s.index, s.like = base, name, t.index, like
	b.keep(s)
	return s.hash, nil
}

func (b *builder) keep(s staged) {
	if b.imagine {
		b.virtual[s.hash] = tree{s.data, s.index}
		return
	}
	if b.out == nil {
		b.out = make([]staged, 0, oneDocument)
	}
	b.out = append(b.out, s)
}
