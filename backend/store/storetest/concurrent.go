package storetest

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/store"
)

func concurrencyCases() []testCase {
	return []testCase{
		{"writers", testWriters},
		{"readers/document", testReadersDocument},
		{"readers/batch", testReadersBatch},
	}
}

// testWriters: 16 writers put 10 documents each and fight over one more. None
// of their writes may be lost, and the contended document is one whole version.
func testWriters(s *suite) {
	const writers, each = 16, 10
	contended := newDoc(s, "contended", "")
	batches := make([][]store.Batch, writers)
	var docs []document.Document
	for w := range batches {
		for i := range each {
			d := newDoc(s, fmt.Sprintf("writer-%d-doc-%d", w, i), fmt.Sprintf("writer %d text %d", w, i))
			docs = append(docs, d)
			ops := []store.Op{s.op(d)}
			if i == each-1 {
				ops = append(ops, s.op(edited(contended, fmt.Sprintf("by writer %d", w))))
			}
			batches[w] = append(batches[w], s.batch(ops...))
		}
	}
	ctx := s.Context()
	var group sync.WaitGroup
	for _, mine := range batches {
		group.Go(func() {
			for _, b := range mine {
				if _, err := s.store.Apply(ctx, b); err != nil {
					s.Errorf("Apply of %q: %v", b.Ops[0].Key.ID, err)
				}
			}
		})
	}
	group.Wait()
	s.wantHeld(docs...)
	got, err := s.store.Get(ctx, s.op(contended).Key)
	if err != nil {
		s.Fatalf("Get of the contended document: %v", err)
	}
	if err := compare(got, edited(contended, got.Content.Text)); err != nil {
		s.Errorf("the contended document is no version that was put: %v", err)
	}
	if !strings.HasPrefix(got.Content.Text, "by writer ") {
		s.Errorf("the contended document holds %q", got.Content.Text)
	}
}

// numbered is a version whose every part says its number. Odd ones have no raw
// bytes, so that the set of files changes as well.
func numbered(base document.Document, n int) document.Document {
	d := base.Clone()
	d.Content.Text = fmt.Sprintf("%d %s", n, strings.Repeat("x", n%7*100))
	d.Content.Metadata = map[string]any{"n": json.Number(strconv.Itoa(n))}
	d.Content.Raw = nil
	if n%2 == 0 {
		d.Content.Raw = []byte(strconv.Itoa(n) + "\x00")
	}
	return d
}

// numberOf returns the number of a version, and an error if its parts differ.
func numberOf(base, got document.Document) (int, error) {
	label, _ := got.Content.Metadata["n"].(json.Number)
	n, err := strconv.Atoi(label.String())
	if err != nil {
		return 0, fmt.Errorf("no number in the metadata: %w", err)
	}
	return n, compare(got, numbered(base, n))
}

const (
	readers  = 4
	versions = 40
)

// whileReading calls read over and over in several goroutines while write
// works, and returns when all have ended. Every reader reads at least once
// after the last write.
func (s *suite) whileReading(read func(ctx context.Context) error, write func()) {
	var group sync.WaitGroup
	defer group.Wait()
	done := make(chan struct{})
	defer close(done)
	ctx := s.Context()
	for range readers {
		group.Go(func() {
			for last := false; !last; {
				select {
				case <-done:
					last = true
				default:
				}
				if err := read(ctx); err != nil {
					s.Error(err)
					return
				}
			}
		})
	}
	write()
}

// testReadersDocument: a reader never sees the metadata of one version with
// the content of another.
func testReadersDocument(s *suite) {
	base := newDoc(s, "rewritten", "")
	key := s.op(base).Key
	s.put(numbered(base, 0))
	s.whileReading(func(ctx context.Context) error {
		got, err := s.store.Get(ctx, key)
		if err != nil {
			return fmt.Errorf("get while another writes: %w", err)
		}
		if _, err := numberOf(base, got); err != nil {
			return fmt.Errorf("a reader saw a torn version: %w", err)
		}
		return nil
	}, func() {
		for n := 1; n <= versions; n++ {
			s.put(numbered(base, n))
		}
	})
	s.wantHeld(numbered(base, versions))
}

// testReadersBatch: two documents that always change in one batch. Who has seen
// the first one at n cannot see the second one before n afterwards.
func testReadersBatch(s *suite) {
	first, second := newDoc(s, "pair-first", ""), newDoc(s, "pair-second", "")
	s.put(numbered(first, 0), numbered(second, 0))
	s.whileReading(func(ctx context.Context) error {
		var numbers [2]int
		for i, base := range []document.Document{first, second} {
			got, err := s.store.Get(ctx, s.op(base).Key)
			if err != nil {
				return fmt.Errorf("get while another writes: %w", err)
			}
			if numbers[i], err = numberOf(base, got); err != nil {
				return fmt.Errorf("a reader saw a torn version: %w", err)
			}
		}
		if numbers[1] < numbers[0] {
			return fmt.Errorf("a reader saw half a batch: %d of the first document, then %d of the second", numbers[0], numbers[1])
		}
		return nil
	}, func() {
		for n := 1; n <= versions; n++ {
			s.put(numbered(first, n), numbered(second, n))
		}
	})
	s.wantHeld(numbered(first, versions), numbered(second, versions))
}
