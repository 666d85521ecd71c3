package govc_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/caiatech/caiatop/backend/govc"
	"github.com/caiatech/caiatop/backend/govcd"
	"github.com/caiatech/caiatop/backend/store"
)

// TestManyClients: 16 clients of one repository, each with a connection pool
// of its own, put documents at once; every one is there afterwards.
func TestManyClients(t *testing.T) {
	_, url := startService(t, govcd.Options{})
	first := openClient(t, govc.Options{URL: url})
	const clients, each = 16, 8
	var group sync.WaitGroup
	for n := range clients {
		c := newClient(t, govc.Options{URL: url})
		group.Go(func() {
			for i := range each {
				d := newDoc(t, fmt.Sprintf("doc-%d-%d", n, i), "text")
				receipt, err := c.Apply(t.Context(), put(d))
				if err != nil || receipt.Commit == "" {
					t.Errorf("Apply = %+v, %v", receipt, err)
				}
				if _, err := c.Get(t.Context(), keyOf(d)); err != nil {
					t.Errorf("Get: %v", err)
				}
			}
		})
	}
	group.Wait()
	var ids []string
	for e, err := range first.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, e.Key.ID.String())
	}
	slices.Sort(ids)
	if len(slices.Compact(ids)) != clients*each {
		t.Errorf("%d documents are listed, want %d", len(ids), clients*each)
	}
}

// TestForeignCommit: another client's commit takes what we staged; the batch
// is done all the same.
func TestForeignCommit(t *testing.T) {
	var inner http.Handler
	s := govcd.New(govcd.Options{})
	inner = withoutBatch(s.Handler())
	t.Cleanup(func() {
		if err := s.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if isCommit(r) {
			other, err := http.NewRequestWithContext(r.Context(), http.MethodPost, r.URL.Path, strings.NewReader(`{"message":"Add document other","author":"B","email":"b@c.d"}`))
			if err != nil {
				t.Error(err)
				return
			}
			inner.ServeHTTP(&discard{header: http.Header{}}, other)
		}
		inner.ServeHTTP(w, r)
	})
	c := openClient(t, govc.Options{URL: url})
	d := newDoc(t, "a", "x")
	receipt, err := c.Apply(t.Context(), put(d))
	if err != nil || receipt.Commit == "" {
		t.Fatalf("Apply = %+v, %v", receipt, err)
	}
	history, err := c.History(t.Context(), keyOf(d), 5)
	if err != nil || len(history) != 1 || history[0].Commit != receipt.Commit || history[0].Author.Name != "B" {
		t.Errorf("History = %+v, %v", history, err)
	}
}

// TestForeignEdit: what is there after the commit is not what was sent.
func TestForeignEdit(t *testing.T) {
	d := newDoc(t, "a", "ours")
	var inner http.Handler
	s := govcd.New(govcd.Options{})
	inner = withoutBatch(s.Handler())
	t.Cleanup(func() {
		if err := s.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if isCommit(r) {
			other, err := http.NewRequestWithContext(r.Context(), http.MethodPost, strings.Replace(r.URL.Path, "/commits", "/files", 1),
				strings.NewReader(`{"path":"`+keyOf(d).Folder.String()+`/content.txt","content":"theirs"}`))
			if err != nil {
				t.Error(err)
				return
			}
			inner.ServeHTTP(&discard{header: http.Header{}}, other)
		}
		inner.ServeHTTP(w, r)
	})
	c := openClient(t, govc.Options{URL: url})
	if _, err := c.Apply(t.Context(), put(d)); !errors.Is(err, store.ErrConflict) {
		t.Errorf("Apply: %v, want ErrConflict", err)
	}
}

type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(int)             {}
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }

// TestLostDeleteAnswer: the answer to a delete gets lost, and the repeated
// request finds nothing; the delete is committed all the same.
func TestLostDeleteAnswer(t *testing.T) {
	var lost sync.Once
	s := govcd.New(govcd.Options{})
	t.Cleanup(func() {
		if err := s.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		cut := false
		if r.Method == http.MethodDelete {
			lost.Do(func() { cut = true })
		}
		if !cut {
			withoutBatch(s.Handler()).ServeHTTP(w, r)
			return
		}
		withoutBatch(s.Handler()).ServeHTTP(&discard{header: http.Header{}}, r)
		hangUp(t, w)
	})
	c := openClient(t, govc.Options{URL: url, Retry: noWait})
	d := newDoc(t, "a", "x")
	if _, err := c.Apply(t.Context(), put(d)); err != nil {
		t.Fatal(err)
	}
	remove := put()
	remove.Ops = []store.Op{{Key: keyOf(d)}}
	if receipt, err := c.Apply(t.Context(), remove); err != nil || receipt.Commit == "" {
		t.Errorf("Apply = %+v, %v", receipt, err)
	}
	if _, err := c.Get(t.Context(), keyOf(d)); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get: %v", err)
	}
}
