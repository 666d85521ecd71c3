package engine

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caiatech/caiatop/backend/store"
	"github.com/caiatech/caiatop/probe"
)

// elsewhere makes a proxy answer from another service.
func (b *between) elsewhere(t *testing.T, url string) {
	t.Helper()
	other := inFront(t, url)
	b.set(func(w http.ResponseWriter, r *http.Request) bool {
		other.forward.ServeHTTP(w, r)
		return true
	})
}

// copied is how many documents the events say were copied to the service.
func copied(h *Host) (texts []string) {
	for _, text := range toldAbout(h, "reseed", Info) {
		texts = append(texts, text[:strings.Index(text, " in ")])
	}
	return texts
}

// TestAStartAtAServiceThatKeptEverythingCopiesNothing and asks for no document.
func TestAStartAtAServiceThatKeptEverythingCopiesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	front := inFront(t, service(t, "k"))
	h := start(t, external(dir, front.url))
	awaitState(t, h, StatePrimary)
	put(t, h, doc("a", "one"), doc("b", "two"))
	await(t, h, "every store in step", inStep)
	if h.o.State.Tip(primaryReplica) == "" {
		t.Error("the newest commit is not recorded")
	}
	stop(t, h)
	var asked atomic.Int32
	front.set(func(_ http.ResponseWriter, r *http.Request) bool {
		if aboutDocuments(r) && r.URL.Query().Get("path") != "caiatop/store.json" {
			asked.Add(1)
		}
		return false
	})
	h = start(t, external(dir, front.url))
	awaitState(t, h, StatePrimary)
	if texts := copied(h); len(texts) != 1 || asked.Load() != 0 { // that of the first start
		t.Errorf("told %q, %d requests about documents", texts, asked.Load())
	}
	wantText(t, h, "a", "one", probe.Govc)
}

// TestAServiceRestoredFromAnEarlierCopyIsTrusted: it has our marker, and lacks
// what came after the copy was made.
func TestAServiceRestoredFromAnEarlierCopyIsTrusted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	front := inFront(t, service(t, "k"))
	h := start(t, external(dir, front.url))
	awaitState(t, h, StatePrimary)
	put(t, h, doc("same", "same"), doc("later", "first"), doc("foreign", "base"))
	earlier := map[string]Found{"same": get(t, h, "same"), "later": get(t, h, "later"), "foreign": get(t, h, "foreign")}
	put(t, h, doc("later", "second"), doc("new", "new"))
	await(t, h, "every store in step", inStep)
	marker, found, err := colleague(t, front.url).ReadMarker(t.Context())
	if err != nil || !found {
		t.Fatal(found, err)
	}
	stop(t, h)

	url := service(t, "k")
	c := colleague(t, url)
	for id, f := range earlier {
		key, d := store.Key{ID: f.Document.ID, Folder: f.Folder}, f.Document
		if id == "foreign" {
			key, d = changed(f, "theirs")
		}
		writeThere(t, c, key, d)
	}
	if _, err := c.WriteMarker(t.Context(), marker); err != nil {
		t.Fatal(err)
	}
	front.elsewhere(t, url)

	h = start(t, external(dir, front.url))
	awaitState(t, h, StatePrimary)
	await(t, h, "every store in step", healthyAndInStep)
	wantEvent(t, h, "state", "went back to an earlier time")
	there := texts(t, c)
	for id, want := range map[string]string{"same": "same", "later": "second", "new": "new", "foreign": "theirs"} {
		if there[id] != want {
			t.Errorf("the service holds %q of %q, want %q", there[id], id, want)
		}
	}
	if !anyHolds(t, h, "base") {
		t.Error("our version of the document that somebody else changed is in no document any more")
	}
	after, found, err := c.ReadMarker(t.Context())
	if err != nil || !found || after.Lineage != marker.Lineage || after.Epoch <= marker.Epoch {
		t.Errorf("the marker is %+v after %+v, %v", after, marker, err)
	}
}

// TestACommitOfOthersOnTopIsNoLoss: what was recorded is still below it.
func TestACommitOfOthersOnTopIsNoLoss(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	address := service(t, "k")
	h := start(t, external(dir, address))
	awaitState(t, h, StatePrimary)
	put(t, h, doc("a", "one"))
	await(t, h, "every store in step", inStep)
	found := get(t, h, "a")
	stop(t, h)
	key, theirs := changed(found, "theirs")
	writeThere(t, colleague(t, address), key, theirs)
	h = start(t, external(dir, address))
	awaitState(t, h, StatePrimary)
	if texts := copied(h); len(texts) != 1 {
		t.Errorf("told %q", texts)
	}
	wantText(t, h, "a", "theirs", probe.Govc)
	if ack := put(t, h, doc("a", "ours")); ack.Durability != PrimaryAndLocal {
		t.Errorf("acknowledged as %+v", ack)
	}
}
