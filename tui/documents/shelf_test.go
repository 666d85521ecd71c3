package documents

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/backend/store"
	"github.com/caiatech/caiatop/tui/drafts"
)

// shelf is a Source in memory that keeps every version.
type shelf struct {
	t        testing.TB
	versions map[string][]shelved // oldest first
	fail     error                // of every call
	writes   []string
}

type shelved struct {
	doc     *document.Document // nil: deleted
	author  string
	message string
}

func newShelf(t testing.TB) *shelf { return &shelf{t: t, versions: map[string][]shelved{}} }

func docID(t testing.TB, s string) document.ID {
	t.Helper()
	id, err := document.ParseID(s)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func doc(t testing.TB, id, text string, metadata map[string]any) document.Document {
	t.Helper()
	kind, err := document.ParseType("text")
	if err != nil {
		t.Fatal(err)
	}
	return document.Document{ID: docID(t, id), Source: document.Source{Type: kind}, Content: document.Content{Text: text, Metadata: metadata}}
}

// add puts a version there as others would.
func (s *shelf) add(id, text string, metadata map[string]any) {
	d := doc(s.t, id, text, metadata)
	s.put(d, "somebody")
}

func (s *shelf) put(d document.Document, author string) {
	id := d.ID.String()
	d.CreatedAt, d.UpdatedAt = noon, noon.Add(time.Duration(len(s.versions[id]))*time.Minute)
	s.versions[id] = append(s.versions[id], shelved{&d, author, "Write " + id + "\n\nmore words"})
}

func (s *shelf) remove(id string) {
	s.versions[id] = append(s.versions[id], shelved{nil, "somebody", "Delete " + id})
}

func (s *shelf) newest(id string) *document.Document {
	if v := s.versions[id]; len(v) > 0 {
		return v[len(v)-1].doc
	}
	return nil
}

// text is what a document holds now, "-" if there is none.
func (s *shelf) text(id string) string {
	if d := s.newest(id); d != nil {
		return d.Content.Text
	}
	return "-"
}

func (s *shelf) hash(id string) document.Hash {
	d := s.newest(id)
	if d == nil {
		return document.Hash{}
	}
	h, err := d.Hash()
	if err != nil {
		s.t.Fatal(err)
	}
	return h
}

func (s *shelf) List(context.Context, engine.Query) (engine.Page, error) {
	var page engine.Page
	for id := range s.versions {
		if d := s.newest(id); d != nil {
			page.Rows = append(page.Rows, engine.Row{ID: d.ID, Type: d.Source.Type, Hash: s.hash(id), Govc: engine.InStep, Git: engine.InStep})
		}
	}
	slices.SortFunc(page.Rows, func(a, b engine.Row) int { return strings.Compare(a.ID.String(), b.ID.String()) })
	page.Total = int64(len(page.Rows))
	return page, s.fail
}

func (s *shelf) Get(_ context.Context, id document.ID) (engine.Found, error) {
	d := s.newest(id.String())
	switch {
	case s.fail != nil:
		return engine.Found{}, s.fail
	case d == nil:
		return engine.Found{}, fmt.Errorf("get %q: %w", id, store.ErrNotFound)
	}
	return engine.Found{Document: d.Clone(), Hash: s.hash(id.String())}, nil
}

func (s *shelf) Search(context.Context, string, int) ([]engine.Hit, error) { return nil, s.fail }

func (s *shelf) Delete(ctx context.Context, ids ...document.ID) (engine.Ack, error) {
	return s.Remove(ctx, ids[0], s.hash(ids[0].String()))
}

func (s *shelf) Replace(_ context.Context, d document.Document, base document.Hash) (engine.Ack, error) {
	switch {
	case s.fail != nil:
		return engine.Ack{}, s.fail
	case s.hash(d.ID.String()) != base:
		return engine.Ack{}, fmt.Errorf("put: %w", &engine.ConflictError{ID: d.ID})
	}
	if err := d.Validate(); err != nil {
		return engine.Ack{}, err
	}
	s.writes = append(s.writes, "put "+d.ID.String())
	s.put(d, "me")
	return engine.Ack{Durability: engine.Local}, nil
}

func (s *shelf) Remove(_ context.Context, id document.ID, base document.Hash) (engine.Ack, error) {
	switch {
	case s.fail != nil:
		return engine.Ack{}, s.fail
	case s.newest(id.String()) == nil:
		return engine.Ack{}, store.ErrNotFound
	case s.hash(id.String()) != base:
		return engine.Ack{}, &engine.ConflictError{ID: id}
	}
	s.writes = append(s.writes, "delete "+id.String())
	s.remove(id.String())
	return engine.Ack{Durability: engine.Local}, nil
}

func (s *shelf) History(_ context.Context, id document.ID, limit int) ([]engine.Revision, error) {
	v := s.versions[id.String()]
	switch {
	case s.fail != nil:
		return nil, s.fail
	case v == nil:
		return nil, store.ErrNotFound
	}
	var out []engine.Revision
	for i := len(v) - 1; i >= 0 && len(out) < limit; i-- {
		out = append(out, engine.Revision{
			Commit: fmt.Sprint("c", i), At: noon.Add(time.Duration(i) * time.Minute), Author: v[i].author, Message: v[i].message, Deleted: v[i].doc == nil,
		})
	}
	return out, nil
}

func (s *shelf) GetAt(_ context.Context, id document.ID, commit string) (document.Document, error) {
	var i int
	if _, err := fmt.Sscanf(commit, "c%d", &i); err != nil {
		return document.Document{}, err
	}
	d := s.versions[id.String()][i].doc
	switch {
	case s.fail != nil:
		return document.Document{}, s.fail
	case d == nil:
		return document.Document{}, store.ErrNotFound
	}
	return d.Clone(), nil
}

func (s *shelf) Undo(_ context.Context, id document.ID) (engine.Change, error) {
	v := s.versions[id.String()]
	switch {
	case s.fail != nil:
		return engine.Change{}, s.fail
	case len(v) == 0:
		return engine.Change{}, store.ErrNotFound
	}
	c := engine.Change{ID: id, Now: v[len(v)-1].doc, Base: s.hash(id.String())}
	if len(v) > 1 {
		c.Before = v[len(v)-2].doc
	}
	return c, nil
}

// drawer is a Drafts in memory.
type drawer struct {
	mu    sync.Mutex
	kept  map[string]drafts.Draft
	saves int
	fail  error
}

func (d *drawer) Save(_ context.Context, one drafts.Draft) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail != nil {
		return d.fail
	}
	d.saves++
	d.kept[one.ID.String()+"/"+one.Owner] = one
	return nil
}

func (d *drawer) Drop(_ context.Context, id document.ID, owner string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.kept, id.String()+"/"+owner)
	return d.fail
}

func (d *drawer) List(context.Context) ([]drafts.Draft, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []drafts.Draft
	for _, one := range d.kept {
		out = append(out, one)
	}
	slices.SortFunc(out, func(a, b drafts.Draft) int { return b.At.Compare(a.At) })
	return out, d.fail
}
