package engine

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"
	"testing"

	"github.com/caiatech/caiatop/backend/store"
)

// refusing is an engine whose service refuses every write of one document.
func refusing(t *testing.T, id string) (h *Host, front *between, address string) {
	t.Helper()
	address = service(t, "k")
	front = inFront(t, address)
	h = start(t, external(t.TempDir(), front.url))
	awaitState(t, h, StatePrimary)
	front.set(func(w http.ResponseWriter, r *http.Request) bool {
		if !isWrite(r) {
			return false
		}
		body, err := io.ReadAll(r.Body)
		if err != nil || bytes.Contains(body, []byte("/"+id+"/")) {
			refuse(w, http.StatusUnprocessableEntity)
			return true
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		return false
	})
	return h, front, address
}

func TestWhatIsParkedIsListedRetriedAndDropped(t *testing.T) {
	t.Parallel()
	h, front, address := refusing(t, "poison")
	put(t, h, doc("poison", "one"), doc("b", "two"))
	await(t, h, "set aside", func(s *Stats) bool { return s.Parked == 1 && inStep(s) })
	list, err := h.Parked(t.Context(), MaxParked)
	if err != nil || len(list) != 1 {
		t.Fatalf("%v, %v", list, err)
	}
	p := list[0]
	if p.ID != mustID("poison") || p.Store != "govc" || p.Reason != parkedRefused || p.Detail == "" || p.Next == "" || !slices.Contains(p.Elsewhere, "git") {
		t.Errorf("%+v", p)
	}
	if n, err := h.RetryParked(t.Context()); err != nil || n != 0 {
		t.Errorf("it is refused still: %d, %v", n, err)
	}
	if _, err := h.RetryParked(t.Context(), mustID("b")); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("b is not set aside: %v", err)
	}
	r := verified(t, h, VerifyOptions{})
	if p := r.part(PartGovc); r.Found != 0 || p.Aside != 1 {
		t.Errorf("what is known to be set aside is no finding: %+v", r)
	}

	if err := h.DropParked(t.Context(), mustID("poison"), false); err != nil {
		t.Fatal(err)
	}
	s := h.Stats()
	if s.Parked != 0 || len(s.Also) != 0 {
		t.Errorf("%d parked, also in %v, which lacks it", s.Parked, s.Also)
	}
	wantText(t, h, "poison", "one", "git")
	page, err := h.List(t.Context(), Query{Contains: "poison"})
	if err != nil || page.Rows[0].Govc != Dropped {
		t.Errorf("%+v, %v", page.Rows, err)
	}
	if r := verified(t, h, VerifyOptions{}); r.Found != 0 || r.part(PartGovc).Aside != 1 {
		t.Errorf("it was given up, and is no finding: %+v", r)
	}
	if h.Stats().Parked != 0 {
		t.Error("it is set aside again")
	}
	front.heal()
	if n, err := h.RetryParked(t.Context(), mustID("poison")); err != nil || n != 1 {
		t.Errorf("%d, %v", n, err)
	}
	if there := texts(t, colleague(t, address)); there["poison"] != "one" {
		t.Errorf("the service holds %v", there)
	}
	page, err = h.List(t.Context(), Query{Contains: "poison"})
	if err != nil || page.Rows[0].Govc != InStep {
		t.Errorf("%+v, %v", page.Rows, err)
	}
}

func TestTheLastCopyIsDroppedOnlyWhenTheOperatorSaysSo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := start(t, detached(dir))
	put(t, h, doc("a", "one"), doc("b", "the second text"))
	synced(t, h)
	await(t, h, "git alone has the content", trimmed)
	stop(t, h)
	h = start(t, detached(dir))
	overwrite(t, dir, h, "b")
	if _, err := h.Get(t.Context(), mustID("b")); err == nil {
		t.Fatal("it was delivered")
	}
	await(t, h, "set aside", func(s *Stats) bool { return s.Parked == 1 })
	if err := h.DropParked(t.Context(), mustID("b"), false); !errors.Is(err, ErrLastCopy) {
		t.Errorf("%v", err)
	}
	if n, err := h.RetryParked(t.Context()); n != 0 || err != nil {
		t.Errorf("nobody has it: %d, %v", n, err)
	}
	if err := h.DropParked(t.Context(), mustID("b"), true); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Get(t.Context(), mustID("b")); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("%v", err)
	}
	await(t, h, "nothing set aside", func(s *Stats) bool { return s.Parked == 0 && s.Documents == 1 && s.Stores[1].Lag == 0 })
	if err := h.DropParked(t.Context(), mustID("a"), true); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("%v", err)
	}
	wantText(t, h, "a", "one")
}

func TestWhatWasDroppedIsForgottenByTheNextWrite(t *testing.T) {
	t.Parallel()
	h, front, _ := refusing(t, "poison")
	put(t, h, doc("poison", "one"))
	await(t, h, "set aside", func(s *Stats) bool { return s.Parked == 1 })
	if err := h.DropParked(t.Context(), mustID("poison"), false); err != nil {
		t.Fatal(err)
	}
	front.heal()
	put(t, h, doc("poison", "two"))
	await(t, h, "in step", healthyAndInStep)
	page, err := h.List(t.Context(), Query{})
	if err != nil || page.Rows[0].Govc != InStep {
		t.Errorf("%+v, %v", page.Rows, err)
	}
	wantText(t, h, "poison", "two", "govc")
}
