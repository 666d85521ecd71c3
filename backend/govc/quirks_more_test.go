package govc_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/govc"
	"github.com/caiatech/caiatop/backend/govc/wiretest"
	"github.com/caiatech/caiatop/backend/store"
)

// remove is a batch that deletes a document.
func remove(d document.Document) store.Batch {
	return store.Batch{Ops: []store.Op{{ID: "rm", Key: keyOf(d)}}, Author: put().Author, At: put().At}
}

// TestQuirk10Deletion (LEGACY): a delete removes every file of the document's
// folder in a commit. What is left over of earlier versions goes with it.
func TestQuirk10Deletion(t *testing.T) {
	s := emulate(t, others["legacy"], nil)
	c := openClient(t, govc.Options{URL: s.url})
	d, stays := newDoc(t, "gone", "text"), newDoc(t, "stays", "text")
	d.Content.Raw = []byte("raw")
	if _, err := c.Apply(t.Context(), put(d, stays)); err != nil {
		t.Fatal(err)
	}
	folder := keyOf(d).Folder.String()
	asked(t, http.MethodPost, s.url+"/api/v1/repos/docs/add", `{"path":"`+folder+`/left-over","content":"x"}`)
	receipt, err := c.Apply(t.Context(), remove(d))
	if err != nil || receipt.Commit == "" {
		t.Fatalf("Apply = %+v, %v", receipt, err)
	}
	if left := asked(t, http.MethodGet, s.url+"/api/v1/repos/docs/tree/"+folder, ""); left["total"] != 0.0 {
		t.Errorf("the folder holds %v", left)
	}
	newest := asked(t, http.MethodGet, s.url+"/api/v1/repos/docs/log", "")["commits"].([]any)[0].(map[string]any)
	if newest["hash"] != receipt.Commit {
		t.Errorf("the newest commit is %v, the receipt says %s", newest, receipt.Commit)
	}
	if status := asked(t, http.MethodGet, s.url+"/api/v1/repos/docs/status", ""); status["clean"] != true {
		t.Errorf("something is not committed: %v", status)
	}
	if receipt, err := c.Apply(t.Context(), remove(d)); err != nil || receipt.Commit != "" {
		t.Errorf("Apply again = %+v, %v", receipt, err)
	}
	if _, err := c.Get(t.Context(), keyOf(stays)); err != nil {
		t.Errorf("the other document: %v", err)
	}
}

// TestQuirk10DeletionThatDidNotHappen (LEGACY): it answers alike whatever
// happens, so a delete is read back.
func TestQuirk10DeletionThatDidNotHappen(t *testing.T) {
	s := emulate(t, others["legacy"], func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodDelete {
			_, _ = io.WriteString(w, `{"status":"removed"}`)
			return true
		}
		return false
	})
	c := openClient(t, govc.Options{URL: s.url})
	d := newDoc(t, "a", "text")
	if _, err := c.Apply(t.Context(), put(d)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Apply(t.Context(), remove(d)); !errors.Is(err, store.ErrConflict) {
		t.Errorf("Apply: %v, want ErrConflict", err)
	}
}

// TestQuirk10TombstonesWhereNothingDeletes (NEW): no DELETE is ever sent: it
// does nothing but make the next commit an empty tree.
func TestQuirk10TombstonesWhereNothingDeletes(t *testing.T) {
	s := emulate(t, others["new"], nil)
	c := openClient(t, govc.Options{URL: s.url})
	d := newDoc(t, "a", "text")
	for _, b := range []store.Batch{put(d), remove(d), put(d), remove(d), remove(d)} {
		if _, err := c.Apply(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Get(t.Context(), keyOf(d)); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get: %v", err)
	}
	for _, q := range s.watch.Asked() {
		if strings.HasPrefix(q, "DELETE ") {
			t.Error(q)
		}
	}
}

// TestQuirk11NeverCheckoutOrMerge: at a service where one of them would lose
// everything but the newest commit, all is still there after a tour.
func TestQuirk11NeverCheckoutOrMerge(t *testing.T) {
	s := emulate(t, others["new"], nil)
	c := newClient(t, govc.Options{URL: s.url})
	tour(t, c)
	if slices.ContainsFunc(s.watch.Asked(), func(q string) bool { return strings.Contains(q, "checkout") || strings.Contains(q, "merge") }) {
		t.Errorf("it asked %q", s.watch.Asked())
	}
	for _, id := range []string{"a", "b"} {
		if _, err := c.Get(t.Context(), keyOf(newDoc(t, id, ""))); err != nil {
			t.Errorf("Get(%q): %v", id, err)
		}
	}
}

// TestQuirk12RestartEmpty: a service that came back empty has another
// repository, not one that lacks a document.
func TestQuirk12RestartEmpty(t *testing.T) {
	eachOther(t, func(t *testing.T, s emulated) {
		c := openClient(t, govc.Options{URL: s.url, Retry: noWait})
		d := newDoc(t, "a", "text")
		if _, err := c.Apply(t.Context(), put(d)); err != nil {
			t.Fatal(err)
		}
		s.Restart()
		if _, err := c.Get(t.Context(), keyOf(d)); !errors.Is(err, store.ErrIdentity) || errors.Is(err, store.ErrNotFound) {
			t.Errorf("Get: %v, want ErrIdentity", err)
		}
		if _, err := c.Apply(t.Context(), put(d)); !errors.Is(err, store.ErrIdentity) {
			t.Errorf("Apply: %v, want ErrIdentity", err)
		}
		if exists, err := c.RepoExists(t.Context()); exists || err != nil {
			t.Errorf("RepoExists = %v, %v", exists, err)
		}
	})
}

// clock is a clock that tests move.
type clock struct{ nanos atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(1_800_000_000, c.nanos.Load()) }
func (c *clock) advance(d time.Duration) { c.nanos.Add(int64(d)) }

// TestQuirk12SilentEmptiness (LEGACY): a repository that was idle for too long
// answers as if it had never held anything. With the marker once seen, that is
// another repository: nothing is "not found", and nothing is written into it
// before somebody has asked for the marker.
func TestQuirk12SilentEmptiness(t *testing.T) {
	var at clock
	s := emulate(t, wiretest.EmulatorOptions{Legacy: true, Idle: 30 * time.Minute, Now: at.now}, nil)
	c := openClient(t, govc.Options{URL: s.url, Now: at.now})
	d := newDoc(t, "a", "text")
	if _, err := c.WriteMarker(t.Context(), govc.Marker{Lineage: "l"}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Apply(t.Context(), put(d)); err != nil {
		t.Fatal(err)
	}
	at.advance(31 * time.Minute)
	if _, err := c.Get(t.Context(), keyOf(d)); !errors.Is(err, store.ErrIdentity) || errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get: %v, want ErrIdentity", err)
	}
	if _, err := c.Apply(t.Context(), put(newDoc(t, "b", "text"))); !errors.Is(err, store.ErrIdentity) || !strings.Contains(err.Error(), "max_idle_time") {
		t.Errorf("Apply: %v, want ErrIdentity", err)
	}
	if log := asked(t, http.MethodGet, s.url+"/api/v1/repos/docs/log", ""); log["count"] != 0.0 {
		t.Errorf("something was written: %v", log)
	}
	if _, found, err := c.ReadMarker(t.Context()); found || err != nil {
		t.Fatalf("ReadMarker = %v, %v", found, err)
	}
	if _, err := c.Get(t.Context(), keyOf(d)); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get, once it is known: %v", err)
	}
	if _, err := c.Apply(t.Context(), put(d)); err != nil {
		t.Errorf("Apply, once it is known: %v", err)
	}
}

// TestQuirk12TouchedBeforeIdle (LEGACY): probes of health keep the repository
// from being idle, and ask for it no more often than they need to.
func TestQuirk12TouchedBeforeIdle(t *testing.T) {
	var at clock
	s := emulate(t, wiretest.EmulatorOptions{Legacy: true, Idle: 30 * time.Minute, Now: at.now}, nil)
	c := openClient(t, govc.Options{URL: s.url, Now: at.now})
	if _, err := c.Apply(t.Context(), put(newDoc(t, "a", "text"))); err != nil {
		t.Fatal(err)
	}
	before := len(s.watch.Asked())
	const probes = 240
	for range probes {
		at.advance(15 * time.Second)
		if _, err := c.Health(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Describe(t.Context()); err != nil { // which asks for no repository
			t.Fatal(err)
		}
	}
	if touched := len(s.watch.Asked()) - before - 5*probes; touched != probes/4 {
		t.Errorf("in an hour the repository was asked for %d times, want %d", touched, probes/4)
	}
	if _, err := c.Get(t.Context(), keyOf(newDoc(t, "a", ""))); err != nil {
		t.Errorf("after an hour: %v", err)
	}
}

// TestQuirk13LostAnswers: an addition whose answer is lost is sent again, a
// commit never is; what became of it is found out by reading.
func TestQuirk13LostAnswers(t *testing.T) {
	for name, o := range others {
		t.Run(name, func(t *testing.T) {
			var lose atomic.Value
			lose.Store("")
			var commits, adds atomic.Int64
			var s emulated
			s = emulate(t, o, func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method != http.MethodPost || strings.HasSuffix(r.URL.Path, "/repos") {
					return false
				}
				kind := "add"
				if strings.Contains(r.URL.Path, "/commit") {
					kind = "commit"
					commits.Add(1)
				} else {
					adds.Add(1)
				}
				if !lose.CompareAndSwap(kind, "") {
					return false
				}
				s.ServeHTTP(httptest.NewRecorder(), r)
				hangUp(t, w)
				return true
			})
			c := openClient(t, govc.Options{URL: s.url, Retry: noWait})
			lose.Store("add")
			d := newDoc(t, "a", "x")
			if _, err := c.Apply(t.Context(), put(d)); err != nil || adds.Load() != 3 || commits.Load() != 1 {
				t.Errorf("Apply: %v after %d additions and %d commits", err, adds.Load(), commits.Load())
			}
			lose.Store("commit")
			e := newDoc(t, "b", "x")
			if _, err := c.Apply(t.Context(), put(e)); !errors.Is(err, store.ErrAmbiguous) || commits.Load() != 2 {
				t.Errorf("Apply: %v after %d commits, want ErrAmbiguous", err, commits.Load())
			}
			if got, err := c.Get(t.Context(), keyOf(e)); err != nil || got.Content.Text != "x" {
				t.Errorf("Get: %v", err)
			}
			if _, err := c.Apply(t.Context(), put(e)); err != nil {
				t.Errorf("Apply again: %v", err)
			}
		})
	}
}

// TestQuirk14CommitHashesCollide: two repositories whose commits have the same
// hash are two repositories.
func TestQuirk14CommitHashesCollide(t *testing.T) {
	for name, o := range others {
		t.Run(name, func(t *testing.T) {
			var at clock
			o.Now = at.now
			s := emulate(t, o, nil)
			one, other := openClient(t, govc.Options{URL: s.url, Repo: "one"}), openClient(t, govc.Options{URL: s.url, Repo: "other"})
			d := newDoc(t, "a", "same")
			first, err := one.Apply(t.Context(), put(d))
			if err != nil {
				t.Fatal(err)
			}
			second, err := other.Apply(t.Context(), put(d))
			if err != nil || first.Commit != second.Commit {
				t.Fatalf("%v and %v do not collide: %v", first, second, err)
			}
			if _, err := one.Apply(t.Context(), remove(d)); err != nil {
				t.Fatal(err)
			}
			if _, err := other.Get(t.Context(), keyOf(d)); err != nil {
				t.Errorf("the other one: %v", err)
			}
		})
	}
}

// TestQuirk16HealthWarning: 503 because there are nearly as many repositories
// as there may be is usable; a service that answers nothing in time is not.
func TestQuirk16HealthWarning(t *testing.T) {
	full, err := wiretest.NewReplay(wiretest.NewFull)
	if err != nil {
		t.Fatal(err)
	}
	full.MoveTo(889)
	h, err := newClient(t, govc.Options{URL: serve(t, full.ServeHTTP)}).Health(t.Context())
	if err != nil || h.Status != "unhealthy" || h.Checks["repositories"] != "warning" {
		t.Errorf("Health = %+v, %v", h, err)
	}
	slow, err := wiretest.NewReplay(wiretest.NewSlow)
	if err != nil {
		t.Fatal(err)
	}
	if h, err := newClient(t, govc.Options{URL: serve(t, slow.ServeHTTP)}).Health(t.Context()); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Health of a slow service = %+v, %v", h, err)
	}
}

// TestQuirk17FirstJSONValue: of two values in one body the first counts, lists
// may be null, additions may be answered by 200 or 201.
func TestQuirk17FirstJSONValue(t *testing.T) {
	for name, o := range others {
		t.Run(name, func(t *testing.T) {
			s := emulate(t, o, func(w http.ResponseWriter, r *http.Request) bool {
				const timeout = `{"error":"Request timeout","code":"REQUEST_TIMEOUT"}`
				switch {
				case strings.HasSuffix(r.URL.Path, "/log") && !strings.Contains(r.URL.Path, "no-such"), r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/commits"):
					_, _ = io.WriteString(w, `{"commits":null}`+timeout)
				case strings.Contains(r.URL.Path, "/tree"):
					_, _ = io.WriteString(w, `{"entries":null,"files":null,"total":0}`+timeout)
				case strings.Contains(r.URL.RequestURI(), "absent"):
					w.WriteHeader(http.StatusNotFound)
					_, _ = io.WriteString(w, `{"error":"file not found","code":"FILE_NOT_FOUND"}`+timeout)
				case r.URL.Path == "/version":
					_, _ = io.WriteString(w, `{"version":"1.0.0-dev"}`+timeout)
				default:
					return false
				}
				return true
			})
			c := openClient(t, govc.Options{URL: s.url, Retry: noWait})
			if _, err := c.Get(t.Context(), keyOf(newDoc(t, "absent", ""))); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("Get: %v", err)
			}
			if exists, err := c.RepoExists(t.Context()); !exists || err != nil {
				t.Errorf("RepoExists = %v, %v", exists, err)
			}
			if _, err := c.Apply(t.Context(), put(newDoc(t, "a", "x"))); err != nil {
				t.Errorf("Apply: %v", err)
			}
			for e, err := range c.List(t.Context()) {
				if !errors.Is(err, errors.ErrUnsupported) {
					t.Errorf("List yields %v, %v", e, err)
				}
			}
		})
	}
}

// TestQuirk18Limits: what does not fit a service's limits is refused before
// anything is sent.
func TestQuirk18Limits(t *testing.T) {
	key := strings.Repeat("k", 7<<10)
	if _, err := govc.New(govc.Options{URL: "http://h", Repo: "r", APIKey: govc.Secret(key)}); err != nil {
		t.Errorf("a key of 7 KiB: %v", err)
	}
	if _, err := govc.New(govc.Options{URL: "http://h", Repo: "r", Token: "t", APIKey: govc.Secret(key)}); err == nil || strings.Contains(err.Error(), "kkk") {
		t.Errorf("a token and a key that no header takes: %v", err)
	}
	eachOther(t, func(t *testing.T, s emulated) {
		c := openClient(t, govc.Options{URL: s.url})
		b := put(newDoc(t, "a", "x"))
		room := 100_000 - len(b.Message()) - len("\nOp-Id: \n")
		b.Trailers = []store.Trailer{{Key: "Op-Id", Value: strings.Repeat("x", room)}}
		if n := len(b.Message()); n != 100_000 {
			t.Fatalf("the message has %d bytes", n)
		}
		if _, err := c.Apply(t.Context(), b); err != nil {
			t.Errorf("a message at the limit: %v", err)
		}
		before := len(s.watch.Asked())
		b.Trailers[0].Value += "x"
		if _, err := c.Apply(t.Context(), b); !errors.Is(err, store.ErrTooLarge) {
			t.Errorf("a message past the limit: %v", err)
		}
		if asked := s.watch.Asked(); len(asked) != before {
			t.Errorf("something was sent: %q", asked[before:])
		}
		for _, q := range s.watch.Asked() {
			if method, _, _ := strings.Cut(q, " "); !slices.Contains([]string{"GET", "POST", "DELETE"}, method) {
				t.Error(q)
			}
		}
		// The longest path that there may be, of what escapes to the most.
		long := newDoc(t, strings.Repeat("é", 100), "x")
		if _, err := c.Apply(t.Context(), put(long)); err != nil {
			t.Errorf("a long id: %v", err)
		}
	})
}
