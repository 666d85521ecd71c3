package storetest_test

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/memstore"
	"github.com/caiatech/caiatop/backend/store"
	"github.com/caiatech/caiatop/backend/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestGoodStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Store { return newBranching(nil) })
}

// faulty is a good store with one fault. A nil field is no fault.
type faulty struct {
	store.Store
	apply   func(context.Context, store.Batch) (store.Receipt, error)
	get     func(context.Context, store.Key) (document.Document, error)
	list    func(context.Context) iter.Seq2[store.Entry, error]
	history func(context.Context, store.Key, int) ([]store.Revision, error)
}

func (f *faulty) Apply(ctx context.Context, b store.Batch) (store.Receipt, error) {
	if f.apply != nil {
		return f.apply(ctx, b)
	}
	return f.Store.Apply(ctx, b)
}

func (f *faulty) Get(ctx context.Context, k store.Key) (document.Document, error) {
	if f.get != nil {
		return f.get(ctx, k)
	}
	return f.Store.Get(ctx, k)
}

func (f *faulty) List(ctx context.Context) iter.Seq2[store.Entry, error] {
	if f.list != nil {
		return f.list(ctx)
	}
	return f.Store.List(ctx)
}

func (f *faulty) History(ctx context.Context, k store.Key, n int) ([]store.Revision, error) {
	if f.history != nil {
		return f.history(ctx, k, n)
	}
	return f.Store.History(ctx, k, n)
}

// fault is one way to be wrong, and the subtest that must find it.
type fault struct {
	subtest string
	open    func() store.Store
	says    string // what the failure must say; "" is anything
}

func broken(plant func(*faulty)) func() store.Store {
	return func() store.Store {
		f := &faulty{Store: memstore.New(0)}
		plant(f)
		return f
	}
}

// onGet changes what is read.
func onGet(change func(*document.Document)) func() store.Store {
	return broken(func(f *faulty) {
		f.get = func(ctx context.Context, k store.Key) (document.Document, error) {
			d, err := f.Store.Get(ctx, k)
			if err == nil {
				change(&d)
			}
			return d, err
		}
	})
}

// onOps changes what is written.
func onOps(change func([]store.Op) []store.Op) func() store.Store {
	return broken(func(f *faulty) {
		f.apply = func(ctx context.Context, b store.Batch) (store.Receipt, error) {
			if err := b.Validate(); err != nil {
				return store.Receipt{}, err
			}
			b.Ops = change(slices.Clone(b.Ops))
			return f.Store.Apply(ctx, b)
		}
	})
}

func onHistory(change func([]store.Revision) []store.Revision) func() store.Store {
	return broken(func(f *faulty) {
		f.history = func(ctx context.Context, k store.Key, n int) ([]store.Revision, error) {
			all, err := f.Store.History(ctx, k, n)
			return change(all), err
		}
	})
}

func onEntry(change func(store.Entry) []store.Entry) func() store.Store {
	return broken(func(f *faulty) {
		f.list = func(ctx context.Context) iter.Seq2[store.Entry, error] {
			return func(yield func(store.Entry, error) bool) {
				for e, err := range f.Store.List(ctx) {
					if err != nil {
						yield(e, err)
						return
					}
					for _, changed := range change(e) {
						if !yield(changed, nil) {
							return
						}
					}
				}
			}
		}
	})
}

func without(unwanted func(store.Op) bool) func([]store.Op) []store.Op {
	return func(ops []store.Op) []store.Op { return slices.DeleteFunc(ops, unwanted) }
}

var faults = map[string]fault{
	"loses raw":       {subtest: "content/binary_raw", open: onGet(func(d *document.Document) { d.Content.Raw = nil })},
	"normalises ends": {subtest: "content/text", open: onGet(func(d *document.Document) { d.Content.Text = strings.ReplaceAll(d.Content.Text, "\r\n", "\n") })},
	"repairs UTF-8":   {subtest: "content/text", open: onGet(func(d *document.Document) { d.Content.Text = strings.ToValidUTF8(d.Content.Text, "\ufffd") })},
	"trims":           {subtest: "content/text", open: onGet(func(d *document.Document) { d.Content.Text = strings.TrimSpace(d.Content.Text) })},
	"cuts":            {subtest: "content/large", open: onGet(func(d *document.Document) { d.Content.Text = d.Content.Text[:min(len(d.Content.Text), 1<<16)] })},
	"drops fields":    {subtest: "content/unknown_fields", open: onGet(forgetUnknown)},
	"rounds numbers":  {subtest: "content/metadata_types", open: onGet(throughFloats)},
	"seconds only":    {subtest: "put", open: onGet(func(d *document.Document) { d.CreatedAt = d.CreatedAt.Truncate(time.Second) })},
	"never deletes":   {subtest: "delete", open: onOps(without(func(o store.Op) bool { return o.Doc == nil }))},
	"loses one write": {subtest: "writers", open: onOps(without(func(o store.Op) bool { return o.Key.ID.String() == "writer-3-doc-4" }))},
	"oldest first":    {subtest: "history", open: onHistory(func(r []store.Revision) []store.Revision { slices.Reverse(r); return r })},
	"forgets deletions": {subtest: "history/deleted", open: onHistory(func(r []store.Revision) []store.Revision {
		return slices.DeleteFunc(r, func(r store.Revision) bool { return r.Deleted })
	})},
	"invents history": {subtest: "history/never_existed", open: onHistory(func(r []store.Revision) []store.Revision { return append(r, store.Revision{}) })},
	"lists twice":     {subtest: "list", open: onEntry(func(e store.Entry) []store.Entry { return []store.Entry{e, e} })},
	"lists too few": {subtest: "list", open: onEntry(func(e store.Entry) []store.Entry {
		if strings.Contains(e.Key.ID.String(), "7") {
			return nil
		}
		return []store.Entry{e}
	})},
	"one version":     {subtest: "list/versions", open: onEntry(func(e store.Entry) []store.Entry { e.Version = "v"; return []store.Entry{e} })},
	"ignores folder":  {subtest: "get/other_folder", open: broken(ignoreFolder)},
	"folds case":      {subtest: "ids", open: onOps(foldCase)},
	"half a batch":    {subtest: "invalid_batch", open: broken(halfABatch)},
	"ignores cancel":  {subtest: "cancelled", open: broken(ignoreCancel)},
	"empty commits":   {subtest: "put_again", open: broken(emptyCommits)},
	"shares memory":   {subtest: "no_aliasing", open: broken(shareMemory)},
	"torn document":   {subtest: "readers/document", open: broken(tornDocument), says: "a torn version"},
	"torn batch":      {subtest: "readers/batch", open: broken(tornBatch), says: "half a batch"},
	"theirs wins":     {subtest: "merge/conflict", open: func() store.Store { return newBranching(func(*branching, string) bool { return false }) }},
	"merges half":     {subtest: "merge/conflict", open: func() store.Store { return newBranching((*branching).conflictAfterCopy) }},
	"shared branches": {subtest: "merge/branch", open: func() store.Store { b := newBranching(nil); b.shared = true; return b }},
}

func forgetUnknown(d *document.Document) {
	*d = document.Document{ID: d.ID, Source: d.Source, Content: d.Content, CreatedAt: d.CreatedAt, UpdatedAt: d.UpdatedAt}
}

func throughFloats(d *document.Document) {
	for name, value := range d.Content.Metadata {
		if n, ok := value.(json.Number); ok {
			if f, err := n.Float64(); err == nil {
				d.Content.Metadata[name] = f
			}
		}
	}
}

func ignoreFolder(f *faulty) {
	f.get = func(ctx context.Context, k store.Key) (document.Document, error) {
		for e, err := range f.Store.List(ctx) {
			if err == nil && e.Key.ID == k.ID {
				return f.Store.Get(ctx, e.Key)
			}
		}
		return f.Store.Get(ctx, k)
	}
}

func foldCase(ops []store.Op) []store.Op {
	for i := range ops {
		id, err := document.ParseID(strings.ToLower(ops[i].Key.ID.String()))
		if err != nil {
			continue
		}
		ops[i].Key.ID = id
		if ops[i].Doc != nil {
			d := ops[i].Doc.Clone()
			d.ID = id
			ops[i].Doc = &d
		}
	}
	seen := map[document.ID]bool{}
	return slices.DeleteFunc(ops, func(o store.Op) bool {
		twice := seen[o.Key.ID]
		seen[o.Key.ID] = true
		return twice
	})
}

func halfABatch(f *faulty) {
	f.apply = func(ctx context.Context, b store.Batch) (store.Receipt, error) {
		for _, op := range b.Ops {
			one := b
			one.Ops = []store.Op{op}
			if _, err := f.Store.Apply(ctx, one); err != nil {
				return store.Receipt{}, err
			}
		}
		return store.Receipt{}, b.Validate()
	}
}

func ignoreCancel(f *faulty) {
	f.apply = func(ctx context.Context, b store.Batch) (store.Receipt, error) {
		receipt, err := f.Store.Apply(context.WithoutCancel(ctx), b)
		return receipt, errors.Join(err, ctx.Err())
	}
}

func emptyCommits(f *faulty) {
	f.apply = func(ctx context.Context, b store.Batch) (store.Receipt, error) {
		_, err := f.Store.Apply(ctx, b)
		return store.Receipt{Commit: "c0ffee"}, err
	}
}

// TestFaultyStore is run by TestSuiteFindsFaults, in a process of its own,
// because it has to fail.
func TestFaultyStore(t *testing.T) {
	f, ok := faults[os.Getenv("STORETEST_FAULT")]
	if !ok {
		return // nobody asked for a fault
	}
	storetest.Run(t, func(*testing.T) store.Store { return f.open() })
}

func TestSuiteFindsFaults(t *testing.T) {
	for name, f := range faults {
		t.Run(name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFaultyStore$/^"+strings.ReplaceAll(f.subtest, "/", "$/^")+"$")
			cmd.Env = append(os.Environ(), "STORETEST_FAULT="+name)
			out, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || !strings.Contains(string(out), "--- FAIL: TestFaultyStore/"+f.subtest+" ") || !strings.Contains(string(out), f.says) {
				t.Errorf("a store that %s passes %s (%v):\n%s", name, f.subtest, err, out)
			}
		})
	}
}

func TestExceptSkips(t *testing.T) {
	ran := map[string]bool{}
	storetest.Run(t, func(t *testing.T) store.Store {
		ran[t.Name()] = true
		return memstore.New(0)
	}, storetest.Except("readers", "for the test"), storetest.Except("put", "for the test"))
	for name, want := range map[string]bool{"put": false, "readers/batch": false, "readers/document": false, "put_again": true, "writers": true} {
		if ran[t.Name()+"/"+name] != want {
			t.Errorf("%s ran: %v, want %v", name, !want, want)
		}
	}
}
