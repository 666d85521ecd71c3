package storetest_test

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/memstore"
	"github.com/caiatech/caiatop/backend/store"
)

// shareMemory hands out what was put, not a copy of it.
func shareMemory(f *faulty) {
	docs := map[store.Key]document.Document{}
	f.apply = func(_ context.Context, b store.Batch) (store.Receipt, error) {
		for _, op := range b.Ops {
			docs[op.Key] = *op.Doc
		}
		return store.Receipt{}, nil
	}
	f.get = func(_ context.Context, k store.Key) (document.Document, error) { return docs[k], nil }
}

// gate lets a writer wait until readers have come by, so that a torn state is
// surely seen. Readers end at the first fault they see; a wait that was in vain
// is the last one.
type gate struct {
	passed chan struct{}
	over   bool
}

func newGate() *gate { return &gate{passed: make(chan struct{})} }

func (g *gate) pass() {
	select {
	case g.passed <- struct{}{}:
	default:
	}
}

func (g *gate) await() {
	if g.over {
		return
	}
	timer := time.NewTimer(200 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-g.passed:
	case <-timer.C:
		g.over = true
	}
}

// tornDocument writes the metadata of a version before its content.
func tornDocument(f *faulty) {
	g, first := newGate(), true
	f.apply = func(ctx context.Context, b store.Batch) (store.Receipt, error) {
		if !first {
			half := b
			half.Ops = []store.Op{b.Ops[0]}
			d := b.Ops[0].Doc.Clone()
			d.Content.Text = "of another version"
			half.Ops[0].Doc = &d
			if receipt, err := f.Store.Apply(ctx, half); err != nil {
				return receipt, err
			}
			g.await()
		}
		first = false
		return f.Store.Apply(ctx, b)
	}
	f.get = func(ctx context.Context, k store.Key) (document.Document, error) {
		d, err := f.Store.Get(ctx, k)
		if d.Content.Text == "of another version" {
			g.pass()
		}
		return d, err
	}
}

// tornBatch makes the first change of a batch visible before the second one.
func tornBatch(f *faulty) {
	g, first := newGate(), true
	var mu sync.Mutex
	half := false
	set := func(v bool) { mu.Lock(); defer mu.Unlock(); half = v }
	f.apply = func(ctx context.Context, b store.Batch) (store.Receipt, error) {
		if first {
			first = false
			return f.Store.Apply(ctx, b)
		}
		one := b
		one.Ops = b.Ops[:1]
		if receipt, err := f.Store.Apply(ctx, one); err != nil {
			return receipt, err
		}
		set(true)
		g.await() // a read of the second document while it lags
		set(false)
		return f.Store.Apply(ctx, b)
	}
	f.get = func(ctx context.Context, k store.Key) (document.Document, error) {
		d, err := f.Store.Get(ctx, k)
		mu.Lock()
		torn := half
		mu.Unlock()
		if torn && k.ID.String() == "pair-second" {
			g.pass()
		}
		return d, err
	}
}

// branching is a store with branches, as simple as can be: every branch is a
// whole copy, and a merge compares documents by hash.
type branching struct {
	store.Store
	branches map[string]*branch
	shared   bool // the fault of branches that are main
	// conflicts replaces the check for conflicts; nil is the right one.
	conflicts func(b *branching, name string) bool
}

type branch struct{ base, tip *memstore.Store }

func newBranching(conflicts func(*branching, string) bool) *branching {
	return &branching{Store: memstore.New(0), branches: map[string]*branch{}, conflicts: conflicts}
}

func copyOf(ctx context.Context, from store.Store) (*memstore.Store, error) {
	to := memstore.New(0)
	for e, err := range from.List(ctx) {
		if err != nil {
			return nil, err
		}
		d, err := from.Get(ctx, e.Key)
		if err != nil {
			return nil, err
		}
		if _, err := to.Apply(ctx, store.Batch{Ops: []store.Op{{Key: e.Key, Doc: &d}}}); err != nil {
			return nil, err
		}
	}
	return to, nil
}

func (b *branching) Branch(ctx context.Context, name string) (store.Store, error) {
	if b.shared {
		return b.Store, nil
	}
	base, err := copyOf(ctx, b.Store)
	if err != nil {
		return nil, err
	}
	tip, err := copyOf(ctx, b.Store)
	if err != nil {
		return nil, err
	}
	b.branches[name] = &branch{base, tip}
	return tip, nil
}

func versions(ctx context.Context, s store.Store) map[store.Key]string {
	all := map[store.Key]string{}
	for e, err := range s.List(ctx) {
		if err == nil {
			all[e.Key] = e.Version
		}
	}
	return all
}

// changed returns the operations that the branch made since its base, and the
// folders that main changed to something else.
func (b *branching) changed(ctx context.Context, name string) (ops []store.Op, disputed []string, err error) {
	side := b.branches[name]
	base, tip, main := versions(ctx, side.base), versions(ctx, side.tip), versions(ctx, b.Store)
	keys := map[store.Key]struct{}{}
	for _, of := range []map[store.Key]string{base, tip} {
		for k := range of {
			keys[k] = struct{}{}
		}
	}
	for k := range keys {
		if tip[k] == base[k] {
			continue
		}
		if main[k] != base[k] && main[k] != tip[k] {
			disputed = append(disputed, k.Folder.String())
		}
		op := store.Op{Key: k}
		if tip[k] != "" {
			d, err := side.tip.Get(ctx, k)
			if err != nil {
				return nil, nil, err
			}
			op.Doc = &d
		}
		ops = append(ops, op)
	}
	return ops, disputed, nil
}

func (b *branching) Merge(ctx context.Context, name string, author store.Author, at time.Time) (store.Receipt, error) {
	ops, disputed, err := b.changed(ctx, name)
	if err != nil {
		return store.Receipt{}, fmt.Errorf("merge %s: %w", name, err)
	}
	refuse := len(disputed) > 0
	if b.conflicts != nil {
		refuse = b.conflicts(b, name)
	}
	if refuse {
		return store.Receipt{}, fmt.Errorf("merge %s: %w", name, &store.MergeConflictError{Paths: disputed})
	}
	if _, err := b.Apply(ctx, store.Batch{Ops: ops, Author: author, At: at}); err != nil {
		return store.Receipt{}, fmt.Errorf("merge %s: %w", name, err)
	}
	return store.Receipt{Commit: "merged"}, nil
}

// conflictAfterCopy is the fault of finding a conflict too late.
func (b *branching) conflictAfterCopy(name string) bool {
	ctx := context.Background()
	ops, disputed, err := b.changed(ctx, name)
	if err != nil || len(disputed) == 0 {
		return false
	}
	if _, err := b.Apply(ctx, store.Batch{Ops: ops}); err != nil {
		panic(err)
	}
	return true
}
