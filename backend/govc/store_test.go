package govc_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/govc"
	"github.com/caiatech/caiatop/backend/govc/wiretest"
	"github.com/caiatech/caiatop/backend/govcd"
	"github.com/caiatech/caiatop/backend/store"
	"github.com/caiatech/caiatop/backend/store/storetest"
)

// startService runs a service on a port of its own.
func startService(t testing.TB, o govcd.Options) (*govcd.Service, string) {
	t.Helper()
	s := govcd.New(o)
	url, err := s.Start("127.0.0.1:0")
	if err != nil {
		t.Fatalf("Start: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Errorf("Stop: %v", err)
		}
	})
	return s, url
}

// newClient returns a client that is closed before the service stops.
func newClient(t testing.TB, o govc.Options) *govc.Client {
	t.Helper()
	if o.Repo == "" {
		o.Repo = "docs"
	}
	c, err := govc.New(o)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	t.Cleanup(c.Close)
	return c
}

// openClient returns a client of a new, empty repository.
func openClient(t testing.TB, o govc.Options) *govc.Client {
	t.Helper()
	c := newClient(t, o)
	if created, err := c.EnsureRepo(t.Context()); err != nil || !created {
		t.Fatalf("EnsureRepo = %v, %v", created, err)
	}
	return c
}

// emulated is a govc that is not ours, with a watch over what we ask of it.
type emulated struct {
	*wiretest.Emulator
	watch *wiretest.Watch
	url   string
}

// emulate runs a govc that is not ours. It fails the test if the client asked
// for something that it must not, or if that ended the service. first, if not
// nil, comes before it and returns true if it has answered.
func emulate(t testing.TB, o wiretest.EmulatorOptions, first func(w http.ResponseWriter, r *http.Request) bool) emulated {
	t.Helper()
	e := wiretest.NewEmulator(o)
	watch := wiretest.NewWatch(e, "caiatop")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if first == nil || !first(w, r) {
			watch.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(func() {
		server.Close()
		for _, broken := range watch.Broken() {
			t.Error(broken)
		}
		if dead := e.Dead(); dead != "" {
			t.Errorf("the service ended at %s", dead)
		}
	})
	return emulated{e, watch, server.URL}
}

// others are the services that are not ours.
var others = map[string]wiretest.EmulatorOptions{"new": {Fragile: true}, "legacy": {Legacy: true}}

// startPlain runs a plain NEW.
func startPlain(t testing.TB) string {
	t.Helper()
	return emulate(t, others["new"], nil).url
}

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store {
		_, url := startService(t, govcd.Options{Key: "k"})
		return openClient(t, govc.Options{URL: url, APIKey: "k"})
	})
}

func TestConformancePlain(t *testing.T) {
	const torn = "a plain govc shows staged files one by one"
	storetest.Run(t, func(t *testing.T) store.Store {
		return openClient(t, govc.Options{URL: startPlain(t)})
	}, storetest.Except("readers", torn))
}

func TestConformanceLegacy(t *testing.T) {
	const torn = "a plain govc shows staged files one by one"
	storetest.Run(t, func(t *testing.T) store.Store {
		return openClient(t, govc.Options{URL: emulate(t, others["legacy"], nil).url})
	}, storetest.Except("readers", torn))
}

func newDoc(t testing.TB, id, text string) document.Document {
	t.Helper()
	parsed, err := document.ParseID(id)
	if err != nil {
		t.Fatalf("ParseID(%q): %v", id, err)
	}
	kind, err := document.ParseType("text")
	if err != nil {
		t.Fatalf("ParseType: %v", err)
	}
	at := time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC)
	return document.Document{
		ID: parsed, Source: document.Source{Type: kind}, Content: document.Content{Text: text}, CreatedAt: at, UpdatedAt: at,
	}
}

func put(docs ...document.Document) store.Batch {
	b := store.Batch{Author: store.Author{Name: "Test", Email: "test@example.invalid"}, At: time.Date(2026, 3, 14, 16, 0, 0, 0, time.UTC)}
	for _, d := range docs {
		b.Ops = append(b.Ops, store.Op{Key: store.NewKey(document.LayoutFanOut, d), Doc: &d})
	}
	return b
}

func keyOf(d document.Document) store.Key { return store.NewKey(document.LayoutFanOut, d) }
