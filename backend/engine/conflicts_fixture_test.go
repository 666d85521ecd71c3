package engine

import (
	"errors"
	"testing"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/govc"
	"github.com/caiatech/caiatop/backend/store"
)

// clash is an engine and a colleague who have both changed documents.
type clash struct {
	t       *testing.T
	h       *Host
	c       *govc.Client
	dir     string
	address string
	keys    map[string]store.Key
}

// clashing writes "base" to documents, then "theirs" at the service and what
// ours does here while the engine is away from it, and comes back.
func clashing(t *testing.T, ours func(h *Host, id string), ids ...string) clash {
	t.Helper()
	c := clash{t: t, dir: t.TempDir(), address: service(t, "k"), keys: map[string]store.Key{}}
	c.h = start(t, external(c.dir, c.address))
	awaitState(t, c.h, StatePrimary)
	for _, id := range ids {
		put(t, c.h, doc(id, "base"))
	}
	await(t, c.h, "every store in step", inStep)
	c.c = colleague(t, c.address)
	c.again(ours, ids...)
	return c
}

// again makes conflicts about documents that are in step.
func (c clash) again(ours func(h *Host, id string), ids ...string) {
	c.t.Helper()
	before := c.h.Stats().Conflicts
	if err := c.h.Fallback(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
	for _, id := range ids {
		key, theirs := changed(get(c.t, c.h, id), "theirs")
		c.keys[id] = key
		writeThere(c.t, c.c, key, theirs)
		ours(c.h, id)
	}
	c.recover()
	if n := c.h.Stats().Conflicts - before; n != int64(len(ids)) {
		c.t.Fatalf("%d conflicts more are open, of %d", n, len(ids))
	}
}

func (c clash) recover() {
	c.t.Helper()
	if err := c.h.Recover(c.t.Context(), false); err != nil {
		c.t.Fatal(err)
	}
	awaitState(c.t, c.h, StatePrimary)
	await(c.t, c.h, "every store in step", inStep)
}

func (c clash) there(id string) string {
	c.t.Helper()
	d, err := c.c.Get(c.t.Context(), c.keys[id])
	if errors.Is(err, store.ErrNotFound) {
		return ""
	}
	if err != nil {
		c.t.Fatal(err)
	}
	return d.Content.Text
}

func writes(t *testing.T) func(h *Host, id string) {
	return func(h *Host, id string) { t.Helper(); put(t, h, doc(id, "ours")) }
}

func deletes(t *testing.T) func(h *Host, id string) {
	return func(h *Host, id string) { t.Helper(); discard(t, h, id) }
}

func discard(t *testing.T, h *Host, id string) {
	t.Helper()
	if _, err := h.Delete(t.Context(), mustID(id)); err != nil {
		t.Fatal(err)
	}
}

func dispute(t *testing.T, h *Host, name string) Dispute {
	t.Helper()
	d, err := h.Conflict(t.Context(), mustID(name))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func resolve(t *testing.T, h *Host, name string, r Resolution) Ack {
	t.Helper()
	r.Seen = dispute(t, h, name).Seen
	ack, err := h.Resolve(t.Context(), mustID(name), r)
	if err != nil {
		t.Fatal(err)
	}
	return ack
}

func textOf(d *document.Document) string {
	if d == nil {
		return "none"
	}
	return d.Content.Text
}

func open(h *Host) int64 { return h.Stats().Conflicts }

func ptr[T any](v T) *T { return &v }
