package govc_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/govc"
	"github.com/caiatech/caiatop/backend/govcd"
	"github.com/caiatech/caiatop/backend/store"
)

func hashOf(t *testing.T, d document.Document) document.Hash {
	t.Helper()
	h, err := d.Hash()
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// TestApplyReplacesOnlyWhatIsNamed: a version that Over does not name stays, in
// each dialect; the other documents of the batch are written.
func TestApplyReplacesOnlyWhatIsNamed(t *testing.T) {
	for name, change := range map[string]func(http.Handler) http.Handler{
		"batches": func(h http.Handler) http.Handler { return h }, "stages": withoutBatch,
	} {
		t.Run(name, func(t *testing.T) {
			s := govcd.New(govcd.Options{})
			t.Cleanup(func() {
				if err := s.Stop(t.Context()); err != nil {
					t.Error(err)
				}
			})
			inner := change(s.Handler())
			c := openClient(t, govc.Options{URL: serve(t, inner.ServeHTTP)})
			base, theirs, ours := newDoc(t, "a", "base"), newDoc(t, "a", "theirs"), newDoc(t, "a", "ours")
			other := newDoc(t, "b", "other")
			over := func(d document.Document, known ...document.Hash) store.Batch {
				b := put(d, other)
				for i := range b.Ops {
					b.Ops[i].Over = append([]document.Hash{}, known...)
				}
				return b
			}
			if _, err := c.Apply(t.Context(), over(base)); err != nil {
				t.Fatalf("nothing is there, yet: %v", err)
			}
			if _, err := c.Apply(t.Context(), over(base)); err != nil {
				t.Fatalf("what is wanted is there, yet: %v", err)
			}
			if _, err := c.Apply(t.Context(), over(theirs, document.Hash{}, hashOf(t, base))); err != nil {
				t.Fatalf("the version is named, yet: %v", err)
			}
			other = newDoc(t, "b", "changed")
			b := over(ours, hashOf(t, base))
			b.Ops[1].Over = nil
			if _, err := c.Apply(t.Context(), b); !errors.Is(err, store.ErrConflict) {
				t.Errorf("a version that is not named is replaced: %v", err)
			}
			if got, err := c.Get(t.Context(), keyOf(ours)); err != nil || got.Content.Text != "theirs" {
				t.Errorf("the service holds %q, %v", got.Content.Text, err)
			}
			if got, err := c.Get(t.Context(), keyOf(other)); err != nil || got.Content.Text != "changed" {
				t.Errorf("the other document reads %q, %v", got.Content.Text, err)
			}
			remove := store.Batch{Author: b.Author, Ops: []store.Op{{Key: keyOf(ours), Over: []document.Hash{hashOf(t, base)}}}}
			if _, err := c.Apply(t.Context(), remove); !errors.Is(err, store.ErrConflict) {
				t.Errorf("a version that is not named is deleted: %v", err)
			}
			remove.Ops[0].Over[0] = hashOf(t, theirs)
			if _, err := c.Apply(t.Context(), remove); err != nil {
				t.Error(err)
			}
			if _, err := c.Get(t.Context(), keyOf(ours)); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("it was deleted, got %v", err)
			}
		})
	}
}

// TestAVersionThatComesBetweenLookAndBatchStays: the batch is made against what
// was looked at.
func TestAVersionThatComesBetweenLookAndBatchStays(t *testing.T) {
	s, direct := startService(t, govcd.Options{})
	other := newClient(t, govc.Options{URL: direct})
	theirs := newDoc(t, "a", "theirs")
	c := openClient(t, govc.Options{URL: serve(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/batch") {
			if _, err := other.Apply(t.Context(), put(theirs)); err != nil {
				t.Error(err)
			}
		}
		s.Handler().ServeHTTP(w, r)
	})})
	b := put(newDoc(t, "a", "ours"))
	b.Ops[0].Over = []document.Hash{}
	if _, err := c.Apply(t.Context(), b); !errors.Is(err, store.ErrConflict) {
		t.Errorf("got %v", err)
	}
	if got, err := c.Get(t.Context(), keyOf(theirs)); err != nil || got.Content.Text != "theirs" {
		t.Errorf("the service holds %q, %v", got.Content.Text, err)
	}
}

// TestAVersionThatWasSeenIsReplacedThoughItIsNotNamed: what this client
// remembers is somebody else's, and an operation that does not name it must not
// be made upon it.
func TestAVersionThatWasSeenIsReplacedThoughItIsNotNamed(t *testing.T) {
	s := startBatching(t, nil)
	c := openClient(t, govc.Options{URL: s.url})
	theirs, ours := newDoc(t, "a", "theirs"), newDoc(t, "a", "ours")
	other := newClient(t, govc.Options{URL: s.url})
	if _, err := other.Apply(t.Context(), put(theirs)); err != nil {
		t.Fatal(err)
	}
	b := put(ours)
	for _, over := range [][]document.Hash{{}, {{}}, {hashOf(t, ours)}} {
		b.Ops[0].Over, b.Ops[0].Hash = over, hashOf(t, ours)
		for range 2 { // the first one looks, the second one remembers
			if _, err := c.Apply(t.Context(), b); !errors.Is(err, store.ErrConflict) {
				t.Fatalf("over %v: got %v", over, err)
			}
		}
	}
	b.Ops[0].Over = []document.Hash{hashOf(t, theirs)}
	s.seen()
	if _, err := c.Apply(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if got := s.seen(); !slices.Equal(got, []string{"POST batch"}) {
		t.Errorf("a version that is known and named takes %q", got)
	}
	next := put(newDoc(t, "a", "next"))
	next.Ops[0].Over, next.Ops[0].Hash = []document.Hash{hashOf(t, ours)}, hashOf(t, newDoc(t, "a", "next"))
	if _, err := c.Apply(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	if got := s.seen(); !slices.Equal(got, []string{"POST batch"}) {
		t.Errorf("a version of our own takes %q", got)
	}
}
