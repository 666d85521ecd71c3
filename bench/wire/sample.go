package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/store"
	"github.com/caiatech/caiatop/bench/beside"
)

const (
	textBytes = 1024 // of the text of a document
	seed      = 20261123
	// stride visits documents in an order that is no order of the repository; it
	// is prime, and no size is a multiple of it.
	stride = 7919
)

// when is the time of every document and commit.
var when = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)

var author = store.Author{Name: "caiatop bench", Email: "bench@caiatop.invalid"}

var words = strings.Fields("ledger archive outbox cursor replica commit branch merge window latency throughput shelf volume index " +
	"catalogue record reader writer service fallback recovery marker lineage epoch snapshot pack object tree blob signature")

var docType = beside.Must(document.ParseType("text"))

// makeDoc returns a document: the same one for the same number.
func makeDoc(i int) document.Document {
	random := rand.New(rand.NewPCG(seed, uint64(i))) //nolint:gosec // numbers of documents
	var text strings.Builder
	for text.Len() < textBytes {
		text.WriteString(words[random.IntN(len(words))])
		text.WriteByte(' ')
	}
	name := fmt.Sprintf("doc-%07d", i)
	return document.Document{
		ID: beside.Must(document.ParseID(name)), Source: document.Source{Type: docType, Path: "shelf/" + name + ".txt"}, CreatedAt: when, UpdatedAt: when,
		Content: document.Content{Text: text.String()[:textBytes], Metadata: map[string]any{"title": name + " of the shelf"}},
	}
}

func keyOf(d document.Document) store.Key { return store.NewKey(document.LayoutFanOut, d) }

// putOf is a batch that puts documents from..from+n.
func putOf(from, n int, by store.Author) store.Batch {
	b := store.Batch{Author: by, At: when, Ops: make([]store.Op, n)}
	for i := range b.Ops {
		d := makeDoc(from + i)
		b.Ops[i] = store.Op{ID: "op-" + d.ID.String(), Key: keyOf(d), Doc: &d}
	}
	return b
}
