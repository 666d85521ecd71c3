// Package storetest is the conformance suite of stores: what Run checks is what
// the engine relies on. A store passes it with a freshly opened, empty store for
// every subtest.
//
// Documents are compared by hash and by the bytes of their files, never by the
// fields that happen to be interesting. The package only talks to the store
// through its interface; it never looks at a store's files or wire.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/store"
)

// Option changes what Run demands.
type Option func(*options)

type options struct{ excepted map[string]string }

// Except skips the subtest of that name ("readers/batch") and everything below
// it, for a store that cannot keep this part of the contract. The reason is
// written into the test's output.
func Except(name, reason string) Option {
	return func(o *options) { o.excepted[name] = reason }
}

// Run checks a store against the contract of the store package. open returns a
// new, empty store and registers its own cleanup. Subtests of what the store
// declines with errors.ErrUnsupported (List, History, branches) are skipped.
func Run(t *testing.T, open func(t *testing.T) store.Store, opts ...Option) {
	t.Helper()
	chosen := options{excepted: map[string]string{}}
	for _, opt := range opts {
		opt(&chosen)
	}
	for _, c := range cases() {
		t.Run(c.name, func(t *testing.T) {
			for name, reason := range chosen.excepted {
				if c.name == name || strings.HasPrefix(c.name, name+"/") {
					t.Log("not demanded of this store: " + reason)
					return
				}
			}
			defer func() {
				switch r := recover().(type) {
				case nil:
				case notOffered:
					t.Log(string(r))
				default:
					panic(r)
				}
			}()
			c.run(&suite{T: t, store: open(t), now: epoch})
		})
	}
}

type testCase struct {
	name string
	run  func(*suite)
}

func cases() []testCase {
	groups := [][]testCase{writeCases(), contentCases(), listCases(), historyCases(), concurrencyCases(), mergeCases()}
	var all []testCase
	for _, group := range groups {
		all = append(all, group...)
	}
	return all
}

var (
	epoch  = time.Date(2026, 3, 14, 15, 9, 26, 535897932, time.UTC)
	author = store.Author{Name: "Store Test", Email: "storetest@example.invalid"}
)

// suite is one subtest with its store. Its clock moves a minute with every
// batch, so that the order of commits shows in their times.
type suite struct {
	*testing.T
	store store.Store
	now   time.Time
	ops   int
}

// op returns the change that puts d where a new document belongs.
func (s *suite) op(d document.Document) store.Op {
	return opFor(d, document.LayoutFanOut)
}

func opFor(d document.Document, layout document.Layout) store.Op {
	return store.Op{Key: store.NewKey(layout, d), Doc: &d}
}

// batch gives every change an identity of its own, as the outbox does.
func (s *suite) batch(ops ...store.Op) store.Batch {
	s.now = s.now.Add(time.Minute)
	for i := range ops {
		s.ops++
		ops[i].ID = fmt.Sprintf("storetest-%d", s.ops)
	}
	return store.Batch{
		Ops: ops, Author: author, At: s.now,
		Trailers: []store.Trailer{{Key: "Op-Id", Value: fmt.Sprintf("storetest-%d", s.ops)}},
	}
}

// apply applies the changes as one batch and fails the test if that fails.
func (s *suite) apply(ops ...store.Op) store.Receipt {
	s.Helper()
	return s.applyTo(s.store, ops...)
}

func (s *suite) applyTo(target store.Store, ops ...store.Op) store.Receipt {
	s.Helper()
	receipt, err := target.Apply(s.Context(), s.batch(ops...))
	if err != nil {
		s.Fatalf("Apply: %v", err)
	}
	return receipt
}

// put stores documents in one batch.
func (s *suite) put(docs ...document.Document) store.Receipt {
	s.Helper()
	ops := make([]store.Op, len(docs))
	for i, d := range docs {
		ops[i] = s.op(d)
	}
	return s.apply(ops...)
}

// remove deletes documents in one batch.
func (s *suite) remove(docs ...document.Document) store.Receipt {
	s.Helper()
	ops := make([]store.Op, len(docs))
	for i, d := range docs {
		ops[i] = store.Op{Key: s.op(d).Key}
	}
	return s.apply(ops...)
}

// wantHeld checks that the store returns exactly these documents.
func (s *suite) wantHeld(docs ...document.Document) {
	s.Helper()
	for _, d := range docs {
		s.wantAt(s.store, s.op(d).Key, d)
	}
}

func (s *suite) wantAt(from store.Store, key store.Key, want document.Document) {
	s.Helper()
	got, err := from.Get(s.Context(), key)
	if err != nil {
		s.Errorf("Get(%q): %v", key.ID, err)
		return
	}
	if err := compare(got, want); err != nil {
		s.Errorf("Get(%q): %v", key.ID, err)
	}
}

// wantAbsent checks that the store holds none of these documents.
func (s *suite) wantAbsent(docs ...document.Document) {
	s.Helper()
	for _, d := range docs {
		s.wantMissing(s.store, s.op(d).Key)
	}
}

func (s *suite) wantMissing(from store.Store, key store.Key) {
	s.Helper()
	if got, err := from.Get(s.Context(), key); !errors.Is(err, store.ErrNotFound) {
		s.Errorf("Get(%q) = %q, %v; want ErrNotFound", key.ID, got.ID, err)
	}
}

// compare reports the first difference between two versions of a document: in
// the hash, in the decoded content, in the files that are made of it.
func compare(got, want document.Document) error {
	gotHash, err := got.Hash()
	if err != nil {
		return fmt.Errorf("hash of what came back: %w", err)
	}
	wantHash, err := want.Hash()
	if err != nil {
		return fmt.Errorf("hash of what was put: %w", err)
	}
	if got.Content.Text != want.Content.Text {
		return fmt.Errorf("text differs: %s", diff([]byte(got.Content.Text), []byte(want.Content.Text)))
	}
	if !bytes.Equal(got.Content.Raw, want.Content.Raw) {
		return fmt.Errorf("raw differs: %s", diff(got.Content.Raw, want.Content.Raw))
	}
	gotFiles, err := got.Files(document.AnyBytes)
	if err != nil {
		return fmt.Errorf("files of what came back: %w", err)
	}
	wantFiles, err := want.Files(document.AnyBytes)
	if err != nil {
		return fmt.Errorf("files of what was put: %w", err)
	}
	if len(gotFiles) != len(wantFiles) {
		return fmt.Errorf("%d files, want %d", len(gotFiles), len(wantFiles))
	}
	for i, f := range wantFiles {
		if gotFiles[i].Name != f.Name || !bytes.Equal(gotFiles[i].Data, f.Data) {
			return fmt.Errorf("%s differs: %s", f.Name, diff(gotFiles[i].Data, f.Data))
		}
	}
	if gotHash != wantHash {
		return fmt.Errorf("hash %s, want %s, though the files are equal", gotHash, wantHash)
	}
	return nil
}

// diff shows where two byte strings part, without printing a megabyte.
func diff(got, want []byte) string {
	at := 0
	for at < len(got) && at < len(want) && got[at] == want[at] {
		at++
	}
	const around = 40
	return fmt.Sprintf("%d bytes, want %d; from byte %d on %q, want %q",
		len(got), len(want), at, cut(got, at, around), cut(want, at, around))
}

func cut(b []byte, from, n int) []byte {
	return b[min(from, len(b)):min(from+n, len(b))]
}

// newDoc returns a small document of type "text".
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
	return document.Document{
		ID:        parsed,
		Source:    document.Source{Type: kind, URL: "https://example.invalid/a?b=c&d", Path: "in/box.txt"},
		Content:   document.Content{Text: text, Metadata: map[string]any{"title": "Title of " + id}},
		CreatedAt: epoch,
		UpdatedAt: epoch,
	}
}

// edited returns a later version of d with another text.
func edited(d document.Document, text string) document.Document {
	d = d.Clone()
	d.Content.Text = text
	d.UpdatedAt = d.UpdatedAt.Add(time.Second)
	return d
}

// notOffered ends a subtest whose capability the store does not have. That is
// no skip: with every tool there is, it would end the same way.
type notOffered string

// unsupported ends the subtest if the store declines the operation.
func (s *suite) unsupported(what string, err error) {
	s.Helper()
	if errors.Is(err, errors.ErrUnsupported) {
		panic(notOffered(fmt.Sprintf("this store has no %s: %v", what, err)))
	}
}

func cancelled(parent context.Context) context.Context {
	ctx, cancel := context.WithCancel(parent)
	cancel()
	return ctx
}
