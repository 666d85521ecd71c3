package gitrepo

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/durable"
)

const benchDocs = 10_000

var benchText = []byte(strings.Repeat("synthetic words of a document ", 34)) // 1,020 bytes

// benchDoc is a document in the folders of caiatop: 1.3 KB in two files.
func benchDoc(i, version int) []Change {
	id, err := document.ParseID(fmt.Sprintf("doc-%06d", i))
	if err != nil {
		panic(err)
	}
	kind, err := document.ParseType("text")
	if err != nil {
		panic(err)
	}
	folder := document.LayoutFanOut.Folder(kind, when, id).String()
	meta := fmt.Sprintf("{\n  \"id\": %q,\n  \"version\": %d,\n  \"metadata\": {\"title\": %q}\n}\n", id, version, strings.Repeat("t", 250))
	return []Change{
		{Path: mustPath(folder + "/metadata.json"), Data: []byte(meta)},
		{Path: mustPath(folder + "/content.txt"), Data: fmt.Appendf(nil, "%d %d %s", i, version, benchText)},
	}
}

// fill commits n documents in batches.
func fill(b *testing.B, r *Repo, n, batch int) {
	b.Helper()
	for i := 0; i < n; i += batch {
		var changes []Change
		for j := i; j < min(i+batch, n); j++ {
			changes = append(changes, benchDoc(j, 0)...)
		}
		commit(b, r, changes...)
	}
}

func benchCommit(b *testing.B, r *Repo) {
	fill(b, r, benchDocs, 500)
	var versions [2][][]Change
	for v := range versions {
		for i := range benchDocs {
			versions[v] = append(versions[v], benchDoc(i*7919%benchDocs, v+1))
		}
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		commit(b, r, versions[i/benchDocs%2][i%benchDocs]...)
	}
}

// BenchmarkFloor is what one durable file of the size of a commit costs on
// this disk; a commit is three of them.
func BenchmarkFloor(b *testing.B) {
	name := filepath.Join(b.TempDir(), "file")
	data := make([]byte, 4096)
	for b.Loop() {
		if err := durable.WriteFile(name, data, 0o600); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCommitDisk(b *testing.B) {
	r, _ := disked(b)
	benchCommit(b, r)
}

func BenchmarkCommitMemory(b *testing.B) {
	r := NewMemory(Options{})
	defer closeRepo(b, r)
	benchCommit(b, r)
}

func BenchmarkImportDisk(b *testing.B) {
	for b.Loop() {
		r, _ := disked(b)
		fill(b, r, benchDocs, 500)
		closeRepo(b, r)
	}
	b.ReportMetric(float64(b.N*benchDocs)/b.Elapsed().Seconds(), "docs/s")
}

func benchRead(b *testing.B, r *Repo) {
	fill(b, r, benchDocs, 500)
	tip, err := r.Tip("")
	if err != nil {
		b.Fatal(err)
	}
	var paths []document.Path
	for i := range benchDocs {
		paths = append(paths, benchDoc(i*7919%benchDocs, 0)[1].Path)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := r.ReadFile(context.Background(), tip, paths[i%benchDocs]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReadDisk(b *testing.B) {
	r, _ := disked(b)
	benchRead(b, r)
}

// BenchmarkReadDiskCold reads through a cache that holds next to nothing.
func BenchmarkReadDiskCold(b *testing.B) {
	r, err := OpenDisk(b.TempDir(), Options{CacheBytes: 1})
	if err != nil {
		b.Fatal(err)
	}
	defer closeRepo(b, r)
	benchRead(b, r)
}

func BenchmarkReadMemory(b *testing.B) {
	r := NewMemory(Options{})
	defer closeRepo(b, r)
	benchRead(b, r)
}

func BenchmarkMergeMemory(b *testing.B) {
	r := NewMemory(Options{})
	defer closeRepo(b, r)
	fill(b, r, benchDocs, 500)
	var merging time.Duration // stopping the benchmark's clock costs more than a merge
	rounds := 0
	for ; b.Loop(); rounds++ {
		tip, err := r.Tip("")
		if err != nil {
			b.Fatal(err)
		}
		if err := r.CreateBranch("side", tip); err != nil {
			b.Fatal(err)
		}
		commit(b, r, benchDoc(rounds%benchDocs, rounds+1)...)
		commitOn(b, r, "side", when, benchDoc((rounds+1)%benchDocs, rounds+1)...)
		start := time.Now()
		_, err = r.Merge(context.Background(), MergeInput{From: "side", Author: ann, At: when})
		merging += time.Since(start)
		if err != nil {
			b.Fatal(err)
		}
		if err := r.DeleteBranch("side"); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(merging.Nanoseconds())/float64(rounds), "ns/merge")
}
