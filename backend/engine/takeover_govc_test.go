package engine

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/govc/wiretest"
	"github.com/caiatech/caiatop/probe"
)

// plain is a govc that is not ours, with a watch over what it is asked.
func plain(t *testing.T, o wiretest.EmulatorOptions) string {
	t.Helper()
	emulator := wiretest.NewEmulator(o)
	watch := wiretest.NewWatch(emulator, "caiatop")
	server := httptest.NewServer(watch)
	t.Cleanup(func() {
		server.Close()
		for _, broken := range watch.Broken() {
			t.Error(broken)
		}
		if dead := emulator.Dead(); dead != "" {
			t.Errorf("the service ended at %s", dead)
		}
	})
	return server.URL
}

// TestAPlainServiceIsDescribedBesideAWriter: what tells its dialect may end it
// there. Its uptime is no reason to ask again.
func TestAPlainServiceIsDescribedBesideAWriter(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	emulator := wiretest.NewEmulator(wiretest.EmulatorOptions{Legacy: true})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && r.URL.Path == "/api/v2/repos" {
			asked.Add(1)
		}
		emulator.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	run(t, external(t.TempDir(), server.URL), func(h *Host) {
		before := asked.Load()
		for _, uptime := range []time.Duration{time.Hour, time.Second} {
			if err := h.describeAnew(t.Context(), probe.Found{Uptime: uptime}); err != nil {
				t.Error(err)
			}
		}
		if n := asked.Load(); before == 0 || n != before {
			t.Errorf("asked %d times, then %d", before, n)
		}
	})
}

// TestAJoiningStateSeesNothingOfAServiceThatCannotList: what its commits name is
// taken over, and the rest is said to be unknown.
func TestAJoiningStateSeesNothingOfAServiceThatCannotList(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]wiretest.EmulatorOptions{"new": {Fragile: true}, "legacy": {Legacy: true}} {
		t.Run(name, func(t *testing.T) {
			url := plain(t, o)
			run(t, external(t.TempDir(), url), func(h *Host) {
				put(t, h, doc("a", "one"), doc("b", "two"))
				put(t, h, doc("a", "one changed"), doc("gone", "three"))
				if _, err := h.Delete(t.Context(), mustID("gone")); err != nil {
					t.Fatal(err)
				}
			})
			run(t, external(t.TempDir(), url), func(h *Host) {
				wantText(t, h, "a", "one changed")
				wantText(t, h, "b", "two")
				if page, err := h.List(t.Context(), Query{}); err != nil || page.Total != 2 {
					t.Errorf("%d documents, %v", page.Total, err)
				}
				wantEvent(t, h, "inbound", "Took over 2 documents")
				if name == "new" {
					wantEvent(t, h, "inbound", "cannot list its documents: 2 were found")
				}
			})
		})
	}
}

// TestADocumentThatCannotBeReadKeepsAStateFromJoining: it is told, and the rest
// is taken over.
func TestADocumentThatCannotBeReadKeepsAStateFromJoining(t *testing.T) {
	t.Parallel()
	url := service(t, "k")
	run(t, external(t.TempDir(), url), func(h *Host) { put(t, h, doc("a", "one"), doc("b", "two")) })
	c := colleague(t, url)
	b := doc("b", "")
	for entry, err := range c.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if entry.Key.ID == b.ID {
			spoil(t, url, entry.Key.Folder.String()+"/"+document.MetadataFile)
		}
	}
	run(t, external(t.TempDir(), url), func(h *Host) {
		wantText(t, h, "a", "one")
		wantEvent(t, h, "inbound", "1 documents that the service holds cannot be read")
	})
}

// spoil writes a file that is no metadata.
func spoil(t *testing.T, url, path string) {
	t.Helper()
	body := fmt.Sprintf(`{"message":"Spoil","items":[{"op":"put","path":%q,"content":"{"}]}`, path)
	q, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/api/v2/repos/caia-documents/batch", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("X-API-Key", "k")
	q.Close = true
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close() //nolint:errcheck // nothing of it is read
	if r.StatusCode != http.StatusCreated {
		t.Fatalf("it answers %s", r.Status)
	}
}

// TestADeletedDocumentComesBackWhenTheStateFileIsLost: git knows that it was
// deleted, and the service, which was away then, still holds it. What somebody
// else changed there is not deleted.
func TestADeletedDocumentComesBackWhenTheStateFileIsLost(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	run(t, setup(dir), func(h *Host) {
		put(t, h, doc("a", "one"), doc("b", "two"), doc("c", "three"))
		put(t, h, doc("b", "two changed"))
		key, theirs := changed(get(t, h, "c"), "theirs")
		writeThere(t, outside(t, h, dir), key, theirs)
	})
	run(t, detached(dir), func(h *Host) {
		if _, err := h.Delete(t.Context(), mustID("b"), mustID("c")); err != nil {
			t.Fatal(err)
		}
	})
	losesItsState(t, dir)
	for range 2 {
		run(t, setup(dir), func(h *Host) {
			page, err := h.List(t.Context(), Query{})
			if err != nil || page.Total != 2 {
				t.Errorf("listed %+v, %v", page.Rows, err)
			}
			wantText(t, h, "c", "theirs", probe.Govc)
			if there := texts(t, outside(t, h, dir)); len(there) != 2 || there["a"] != "one" || there["c"] != "theirs" {
				t.Errorf("the service holds %v", there)
			}
			if revisions, err := h.History(t.Context(), mustID("b"), 10); err != nil || len(revisions) != 3 {
				t.Errorf("its history is not found: %d revisions, %v", len(revisions), err)
			}
		})
	}
}

// TestARepositoryThatWasOnlyMadeNeedsAPerson, at services that have no log of
// one document: whoever made it may have been this engine, which was interrupted.
func TestARepositoryThatWasOnlyMadeNeedsAPerson(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]wiretest.EmulatorOptions{"new": {}, "legacy": {Legacy: true}} {
		t.Run(name, func(t *testing.T) {
			url := plain(t, o)
			if created, err := colleague(t, url).EnsureRepo(t.Context()); err != nil || created {
				t.Fatal(created, err)
			}
			run(t, external(t.TempDir(), url), func(h *Host) { put(t, h, doc("a", "one")) })
		})
	}
}
