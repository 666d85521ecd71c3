package gitstore_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/gitrepo"
	"github.com/caiatech/caiatop/backend/gitstore"
	"github.com/caiatech/caiatop/backend/store"
)

// BenchmarkHistory asks for the history of a document that was written once, at
// the very beginning, which is the most that a history can cost: every commit is
// looked at. A tenth of the commits put a new document, the others overwrite
// one.
func BenchmarkHistory(b *testing.B) {
	for _, size := range []struct {
		commits int
		disk    bool
	}{{1_000, false}, {10_000, false}, {1_000, true}, {10_000, true}} {
		commits := size.commits
		b.Run(fmt.Sprintf("commits=%d/disk=%v", commits, size.disk), func(b *testing.B) {
			repo := gitrepo.NewMemory(gitrepo.Options{})
			if size.disk {
				repo = onDisk(b, filepath.Join(b.TempDir(), "repo.git"))
			} else {
				b.Cleanup(func() { closeRepo(b, repo) })
			}
			s := gitstore.New(repo)
			documents := make([]store.Op, 10_000)
			at := time.Date(2024, 5, 1, 0, 0, 0, 0, time.UTC)
			for i := range documents {
				d := benchDocument(b, fmt.Sprintf("d%05d", i), "text", at)
				documents[i] = store.Op{Key: store.NewKey(document.LayoutFanOut, d), Doc: &d}
			}
			author := store.Author{Name: "a", Email: "a@example.org"}
			for from := 0; from < len(documents); from += 1000 {
				if _, err := s.Apply(b.Context(), store.Batch{Ops: documents[from : from+1000], Author: author, At: at}); err != nil {
					b.Fatal(err)
				}
			}
			for i := range commits {
				key := documents[1+i%(len(documents)-1)].Key
				d := benchDocument(b, key.ID.String(), fmt.Sprint(i), at)
				if _, err := s.Apply(b.Context(), store.Batch{
					Ops: []store.Op{{Key: key, Doc: &d}}, Author: author, At: at.Add(time.Duration(i) * time.Second),
				}); err != nil {
					b.Fatal(err)
				}
			}
			b.ResetTimer()
			for b.Loop() {
				if r, err := s.History(b.Context(), documents[0].Key, 100); err != nil || len(r) != 1 {
					b.Fatal(r, err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/float64(commits), "µs/commit")
		})
	}
}

func benchDocument(b *testing.B, id, text string, at time.Time) document.Document {
	b.Helper()
	name, err := document.ParseID(id)
	if err != nil {
		b.Fatal(err)
	}
	kind, err := document.ParseType("text")
	if err != nil {
		b.Fatal(err)
	}
	return document.Document{ID: name, Source: document.Source{Type: kind}, Content: document.Content{Text: text}, CreatedAt: at, UpdatedAt: at}
}
