package govc_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/govc"
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

// plain answers as a govc without our capabilities would, with the service
// behind it: no folder reads, no listing, a delete that does nothing, a log
// that knows no paths.
func plain(behind http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		switch {
		case r.URL.Path == "/version":
			w.Header().Set("Content-Type", "application/json; charset=utf-8")
			_, _ = io.WriteString(w, `{"build_time":"development","git_commit":"unknown","go_version":"go1.26.8","version":"1.0.0-dev"}`)
			return
		case r.Method == http.MethodDelete && query.Has("path"):
			w.Header().Set("Content-Type", "application/json; charset=utf-8")
			_, _ = io.WriteString(w, `{"status":"","message":"file '' removed"}`)
			return
		case len(r.URL.Path) > 7 && r.URL.Path[len(r.URL.Path)-7:] == "/folder":
			http.NotFound(w, r)
			return
		}
		query.Del("recursive")
		if len(r.URL.Path) > 8 && r.URL.Path[len(r.URL.Path)-8:] == "/commits" {
			query.Del("path")
			dropTimestamp(r)
		}
		r.URL.RawQuery = query.Encode()
		behind.ServeHTTP(w, r)
	})
}

// dropTimestamp takes from a commit what a plain govc would ignore.
func dropTimestamp(r *http.Request) {
	if r.Method != http.MethodPost {
		return
	}
	body, err := io.ReadAll(r.Body)
	var fields map[string]any
	if err == nil && json.Unmarshal(body, &fields) == nil {
		delete(fields, "timestamp")
		if body, err = json.Marshal(fields); err != nil {
			panic(err)
		}
	}
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
}

// startPlain runs a plain service.
func startPlain(t testing.TB) string {
	t.Helper()
	s := govcd.New(govcd.Options{})
	server := httptest.NewServer(plain(s.Handler()))
	t.Cleanup(func() {
		server.Close()
		if err := s.Stop(context.Background()); err != nil {
			t.Errorf("Stop: %v", err)
		}
	})
	return server.URL
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
