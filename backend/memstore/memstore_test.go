package memstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/memstore"
	"github.com/caiatech/caiatop/backend/store"
	"github.com/caiatech/caiatop/backend/store/storetest"
)

var created = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func TestConformance(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Store { return memstore.New(0) })
}

// A cache that is large enough forgets nothing: but for List and History it
// behaves like a store.
func TestConformanceOfLargeCache(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Store { return memstore.New(1 << 30) })
}

type fataler interface{ Fatalf(string, ...any) }

func op(t fataler, id, text string) store.Op {
	parsed, err := document.ParseID(id)
	if err != nil {
		t.Fatalf("ParseID: %v", err)
	}
	kind, err := document.ParseType("text")
	if err != nil {
		t.Fatalf("ParseType: %v", err)
	}
	d := document.Document{
		ID: parsed, Source: document.Source{Type: kind}, Content: document.Content{Text: text},
		CreatedAt: created, UpdatedAt: created,
	}
	return store.Op{Key: store.NewKey(document.LayoutFanOut, d), Doc: &d}
}

func apply(t fataler, s *memstore.Store, ops ...store.Op) {
	if _, err := s.Apply(context.Background(), store.Batch{Ops: ops, At: created}); err != nil {
		t.Fatalf("Apply: %v", err)
	}
}

// modelEntry and model are a cache that is slow and obviously right.
type modelEntry struct {
	id, text string
	size     int64
}

type model struct {
	limit  int64
	recent []modelEntry // least recently used first
}

func (m *model) take(id string) (modelEntry, bool) {
	for i, e := range m.recent {
		if e.id == id {
			m.recent = append(m.recent[:i:i], m.recent[i+1:]...)
			return e, true
		}
	}
	return modelEntry{}, false
}

func (m *model) put(e modelEntry) {
	m.take(e.id)
	m.recent = append(m.recent, e)
	for m.bytes() > m.limit {
		m.recent = m.recent[1:]
	}
}

func (m *model) bytes() int64 {
	var n int64
	for _, e := range m.recent {
		n += e.size
	}
	return n
}

// sizeOf asks a store of its own what an operation costs.
func sizeOf(t fataler, o store.Op) int64 {
	s := memstore.New(1 << 30)
	apply(t, s, o)
	return s.Bytes()
}

func TestEvictionIsLeastRecentlyUsed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.Int64Range(1, 40_000).Draw(t, "limit")
		cache, m := memstore.New(limit), &model{limit: limit}
		id := rapid.Custom(func(t *rapid.T) string { return fmt.Sprintf("doc-%d", rapid.IntRange(0, 15).Draw(t, "doc")) })
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				o := op(t, id.Draw(t, "id"), strings.Repeat("x", rapid.IntRange(0, 9000).Draw(t, "size")))
				apply(t, cache, o)
				m.put(modelEntry{o.Key.ID.String(), o.Doc.Content.Text, sizeOf(t, o)})
			},
			"get": func(t *rapid.T) {
				o := op(t, id.Draw(t, "id"), "")
				got, err := cache.Get(context.Background(), o.Key)
				want, ok := m.take(o.Key.ID.String())
				switch {
				case !ok && !errors.Is(err, store.ErrNotFound):
					t.Fatalf("Get of what was forgotten: %v, want ErrNotFound", err)
				case ok && (err != nil || got.Content.Text != want.text):
					t.Fatalf("Get = %d bytes, %v; want %d bytes", len(got.Content.Text), err, len(want.text))
				case ok:
					m.recent = append(m.recent, want)
				}
			},
			"delete": func(t *rapid.T) {
				o := op(t, id.Draw(t, "id"), "")
				apply(t, cache, store.Op{Key: o.Key})
				m.take(o.Key.ID.String())
			},
			"drop": func(t *rapid.T) {
				o := op(t, id.Draw(t, "id"), "")
				cache.Drop(o.Key.ID)
				m.take(o.Key.ID.String())
			},
			"": func(t *rapid.T) {
				if cache.Bytes() > limit {
					t.Fatalf("the cache holds %d bytes, the limit is %d", cache.Bytes(), limit)
				}
				if cache.Bytes() != m.bytes() || cache.Len() != int64(len(m.recent)) {
					t.Fatalf("the cache holds %d documents of %d bytes, want %d of %d",
						cache.Len(), cache.Bytes(), len(m.recent), m.bytes())
				}
			},
		})
	})
}

func TestCacheForgetsTheOldVersionOfWhatDoesNotFit(t *testing.T) {
	small, large := op(t, "a", "small"), op(t, "a", strings.Repeat("x", 5000))
	for name, c := range map[string]struct {
		limit int64
		held  bool
	}{
		"at the limit": {sizeOf(t, large), true},
		"one past it":  {sizeOf(t, large) - 1, false},
		"negative":     {-1, false},
	} {
		s := memstore.New(c.limit)
		apply(t, s, small)
		apply(t, s, large)
		got, err := s.Get(t.Context(), large.Key)
		if c.held && (err != nil || len(got.Content.Text) != 5000) {
			t.Errorf("%s: Get = %d bytes, %v", name, len(got.Content.Text), err)
		}
		if !c.held && (!errors.Is(err, store.ErrNotFound) || s.Len() != 0 || s.Bytes() != 0) {
			t.Errorf("%s: Get = %d bytes, %v, and %d documents; want none", name, len(got.Content.Text), err, s.Len())
		}
	}
}

func TestCacheDeclinesWhatItCannotKnow(t *testing.T) {
	s := memstore.New(1 << 20)
	o := op(t, "a", "text")
	apply(t, s, o)
	if _, err := s.History(t.Context(), o.Key, 1); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("History of a cache: %v, want ErrUnsupported", err)
	}
	for e, err := range s.List(t.Context()) {
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("List of a cache yields %v, %v; want ErrUnsupported", e, err)
		}
	}
}

func TestHistoryIsBounded(t *testing.T) {
	s := memstore.New(0)
	o := op(t, "a", "")
	for i := range memstore.MaxRevisions + 1 {
		next := op(t, "a", fmt.Sprint(i))
		if _, err := s.Apply(t.Context(), store.Batch{Ops: []store.Op{next}, At: created.Add(time.Duration(i) * time.Hour)}); err != nil {
			t.Fatalf("Apply: %v", err)
		}
	}
	got, err := s.History(t.Context(), o.Key, 1000)
	if err != nil || len(got) != memstore.MaxRevisions {
		t.Fatalf("History = %d revisions, %v; want %d", len(got), err, memstore.MaxRevisions)
	}
	for i, r := range got {
		if want := created.Add(time.Duration(memstore.MaxRevisions-i) * time.Hour); !r.At.Equal(want) {
			t.Errorf("revision %d is of %s, want %s", i, r.At, want)
		}
	}
}

func TestOneIdentityInTwoFolders(t *testing.T) {
	for _, limit := range []int64{0, 1 << 20} {
		s := memstore.New(limit)
		here, there := op(t, "twice", "here"), op(t, "twice", "there")
		there.Key = store.NewKey(document.LayoutLibrary, *there.Doc)
		apply(t, s, here)
		apply(t, s, there)
		if s.Len() != 2 {
			t.Errorf("limit %d: %d documents, want 2", limit, s.Len())
		}
		apply(t, s, store.Op{Key: here.Key})
		if _, err := s.Get(t.Context(), here.Key); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("limit %d: Get of the deleted one: %v", limit, err)
		}
		if got, err := s.Get(t.Context(), there.Key); err != nil || got.Content.Text != "there" {
			t.Errorf("limit %d: Get of the other = %q, %v", limit, got.Content.Text, err)
		}
		apply(t, s, here)
		s.Drop(here.Key.ID)
		if s.Len() != 0 || s.Bytes() != 0 {
			t.Errorf("limit %d: %d documents of %d bytes are left after Drop", limit, s.Len(), s.Bytes())
		}
	}
}

func BenchmarkGetFromCache(b *testing.B) {
	s := memstore.New(1 << 30)
	o := op(b, "a", strings.Repeat("x", 4096))
	apply(b, s, o)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := s.Get(context.Background(), o.Key); err != nil {
				b.Error(err)
			}
		}
	})
}
