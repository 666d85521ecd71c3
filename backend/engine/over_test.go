package engine

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/caiatech/caiatop/backend/document"
)

// aboutDocuments reports a request that reads or writes documents: probes of the
// marker come at any time.
func aboutDocuments(r *http.Request) bool {
	if r.URL.Query().Get("path") == "caiatop/store.json" {
		return false
	}
	return isWrite(r) || strings.HasSuffix(r.URL.Path, "/folder") || strings.HasSuffix(r.URL.Path, "/folders") || strings.HasSuffix(r.URL.Path, "/files")
}

// slipIn writes somebody else's version before the n-th request about
// documents, counted from 0, and returns what tells whether there was one.
func slipIn(front *between, n int32, write func()) (slipped func() bool) {
	var seen atomic.Int32
	front.set(func(_ http.ResponseWriter, r *http.Request) bool {
		if aboutDocuments(r) && seen.Add(1) == n+1 {
			write()
		}
		return false
	})
	return func() bool { return seen.Load() > n }
}

// TestAForeignWriteBetweenCompareAndApplyIsOverwritten slips a version of
// somebody else in before each of the requests that carry a write, alone and in
// a batch with another one.
func TestAForeignWriteBetweenCompareAndApplyIsOverwritten(t *testing.T) {
	t.Parallel()
	address := service(t, "k")
	front := inFront(t, address)
	h := start(t, external(t.TempDir(), front.url))
	awaitState(t, h, StatePrimary)
	c := colleague(t, address)
	for _, beside := range []int{0, 1, 3} {
		for n := int32(0); ; n++ {
			name := fmt.Sprintf("%d-beside-%d", n, beside)
			docs := []document.Document{doc("x-"+name, "base")}
			for i := range beside {
				docs = append(docs, doc(fmt.Sprintf("y%d-%s", i, name), "base"))
			}
			put(t, h, docs...)
			key, theirs := changed(get(t, h, "x-"+name), "theirs "+name)
			for i := range docs {
				docs[i].Content.Text = "ours " + name
			}
			slipped := slipIn(front, n, func() { writeThere(t, c, key, theirs) })
			put(t, h, docs...)
			await(t, h, "every store in step", healthyAndInStep)
			front.heal()
			if !slipped() {
				if n == 0 {
					t.Fatal("no request was seen")
				}
				break
			}
			for _, text := range []string{"theirs ", "ours "} {
				if !anyHolds(t, h, text+name) {
					t.Errorf("before request %d of a batch with %d others: the version %q is in no document any more", n, beside, text+name)
				}
			}
			for i := range beside {
				wantText(t, h, fmt.Sprintf("y%d-%s", i, name), "ours "+name)
			}
		}
	}
}

// TestAForeignDocumentIsOverwrittenByANewOneOfOurs slips one in where nothing
// was when it was looked at.
func TestAForeignDocumentIsOverwrittenByANewOneOfOurs(t *testing.T) {
	t.Parallel()
	address := service(t, "k")
	front := inFront(t, address)
	h := start(t, external(t.TempDir(), front.url))
	awaitState(t, h, StatePrimary)
	c := colleague(t, address)
	for n := int32(0); ; n++ {
		id := fmt.Sprintf("new-%d", n)
		put(t, h, doc(id, "to learn where it lies"))
		key, theirs := changed(get(t, h, id), "theirs")
		if _, err := h.Delete(t.Context(), key.ID); err != nil {
			t.Fatal(err)
		}
		await(t, h, "every store in step", healthyAndInStep)
		slipped := slipIn(front, n, func() { writeThere(t, c, key, theirs) })
		put(t, h, doc(id, "ours "+id))
		await(t, h, "every store in step", healthyAndInStep)
		front.heal()
		if !slipped() {
			break
		}
		if there, err := c.Get(t.Context(), key); err != nil || there.Content.Text != "theirs" {
			t.Errorf("before request %d: the service holds %q, %v", n, there.Content.Text, err)
		}
		if !anyHolds(t, h, "ours "+id) {
			t.Errorf("before request %d: our version is in no document any more", n)
		}
	}
}

// TestAPutAsksTheServiceMoreThanOnce: where nobody else writes, a write is one
// request: no look at what is there, at the newest commit or at the marker.
func TestAPutAsksTheServiceMoreThanOnce(t *testing.T) {
	t.Parallel()
	front := inFront(t, service(t, "k"))
	h := start(t, external(t.TempDir(), front.url))
	awaitState(t, h, StatePrimary)
	put(t, h, doc("first", "one")) // of which nothing is known yet
	var mu sync.Mutex
	var asked []string
	front.set(func(_ http.ResponseWriter, r *http.Request) bool {
		probe := strings.HasPrefix(r.URL.Path, "/health") || r.URL.Query().Get("path") == "caiatop/store.json"
		if !probe {
			mu.Lock()
			defer mu.Unlock()
			asked = append(asked, r.Method+" "+r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:])
		}
		return false
	})
	put(t, h, doc("a", "one"))
	put(t, h, doc("b", "one"), doc("c", "one"))
	put(t, h, doc("a", "two"), doc("c", "two"))
	put(t, h, doc("a", "three"), doc("d", "one"))
	if _, err := h.Delete(t.Context(), mustID("b")); err != nil {
		t.Fatal(err)
	}
	await(t, h, "every store in step", healthyAndInStep)
	mu.Lock()
	defer mu.Unlock()
	if want := slices.Repeat([]string{"POST batch"}, 5); !slices.Equal(asked, want) {
		t.Errorf("it asked %q", asked)
	}
}
