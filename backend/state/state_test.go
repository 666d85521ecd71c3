package state

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/store"
)

func TestMain(m *testing.M) {
	if mode := os.Getenv(childMode); mode != "" {
		os.Exit(child(mode, os.Getenv(childDir)))
	}
	goleak.VerifyTestMain(m)
}

var epoch = time.Date(2026, 3, 4, 5, 6, 7, 890_123_456, time.UTC)

// open opens a state file whose life ends with the test.
func open(tb testing.TB, dir string) *DB {
	tb.Helper()
	db, err := Open(tb.Context(), dir, Options{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Error(err)
		}
	})
	return db
}

// must returns v, and panics on an error, which only a broken fixture causes.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func idOf(name string) document.ID { return must(document.ParseID(name)) }

func docOf(id, text string) document.Document {
	return document.Document{
		ID:        idOf(id),
		Source:    document.Source{Type: must(document.ParseType("text")), URL: "https://example.org/" + id},
		Content:   document.Content{Text: text, Metadata: map[string]any{"title": "T " + id}},
		CreatedAt: epoch,
		UpdatedAt: epoch.Add(time.Hour),
	}
}

func putOf(op string, d document.Document) Operation {
	return Operation{OpID: op, Key: store.NewKey(document.LayoutFanOut, d), Doc: &d, Hash: must(d.Hash()), At: epoch}
}

func put(op, id, text string) Operation { return putOf(op, docOf(id, text)) }

func remove(op, id string) Operation {
	o := put(op, id, "")
	o.Doc, o.Hash = nil, document.Hash{}
	return o
}

func mustAppend(tb testing.TB, db *DB, ops ...Operation) []Issued {
	tb.Helper()
	issued, err := db.Append(tb.Context(), ops)
	if err != nil {
		tb.Fatal(err)
	}
	return issued
}

func mustAttach(tb testing.TB, db *DB, names ...string) {
	tb.Helper()
	for _, name := range names {
		if err := db.Attach(tb.Context(), name, db.Summary().MaxSeq); err != nil {
			tb.Fatal(err)
		}
	}
}

func mustAdvance(tb testing.TB, db *DB, a Advance) {
	tb.Helper()
	if err := db.Advance(tb.Context(), a); err != nil {
		tb.Fatal(err)
	}
}

func numbered(n int, text string) []Operation {
	ops := make([]Operation, n)
	for i := range ops {
		ops[i] = put(fmt.Sprintf("op-%06d", i), fmt.Sprintf("doc-%06d", i), text)
	}
	return ops
}

// kibibyte is a text of 1 KiB in words.
var kibibyte = strings.Repeat("the quick brown fox jumps over it. ", 30)[:1024]

var background = context.Background()
