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
	"github.com/go-git/go-git/v5/plumbing"
)

// benchSizes are the documents of a repository, and their name in the figures.
var benchSizes = []struct {
	name string
	docs int
}{{"n=1k", 1_000}, {"n=100k", 100_000}}

func sized(b *testing.B, run func(b *testing.B, docs int)) {
	for _, size := range benchSizes {
		b.Run(size.name, func(b *testing.B) { run(b, size.docs) })
	}
}

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

// laps reports the quickest of many short stretches of a loop beside the
// benchmark's mean: other work on the machine is in the mean, but hardly there.
type laps struct {
	b     *testing.B
	start time.Time
	done  int
	best  time.Duration
}

const lap = 32

func startLaps(b *testing.B) *laps {
	b.Helper()
	b.ReportAllocs()
	return &laps{b: b, best: 1<<63 - 1}
}

// next is called before every round.
func (l *laps) next() {
	if l.done%lap == 0 {
		now := time.Now()
		if l.done > 0 {
			l.best = min(l.best, now.Sub(l.start))
		}
		l.start = now
	}
	l.done++
}

func (l *laps) report(name string) {
	if l.done > lap {
		l.b.ReportMetric(float64(l.best.Nanoseconds())/lap, name)
	}
}

// benchVersions bounds the changes that are made before the clock starts.
const benchVersions = 4096

// benchCommit commits one document at a time, and reports what its objects
// alone cost.
func benchCommit(b *testing.B, r *Repo, docs int) {
	fill(b, r, docs, 500)
	var versions [][]Change
	for i := range benchVersions {
		versions = append(versions, benchDoc(i*7919%docs, 1+i/docs))
	}
	l := startLaps(b)
	defer l.report("best-ns/op")
	for i := 0; b.Loop(); i++ {
		l.next()
		if i == benchVersions {
			b.Fatalf("no more than %d times", benchVersions)
		}
		commit(b, r, versions[i]...)
	}
	benchFloor(b, versions)
}

// benchFloor is what no store can do without: two hashes of content, and
// places in a map.
func benchFloor(b *testing.B, versions [][]Change) {
	b.Helper()
	l := &laps{b: b, best: 1<<63 - 1}
	objects := make(map[Hash][]byte)
	for _, v := range versions {
		l.next()
		for _, c := range v {
			objects[hashObject(plumbing.BlobObject, c.Data)] = c.Data
		}
	}
	l.report("floor-ns/op")
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
	sized(b, func(b *testing.B, docs int) {
		r, _ := disked(b)
		benchCommit(b, r, docs)
	})
}

func BenchmarkCommitMemory(b *testing.B) {
	sized(b, func(b *testing.B, docs int) {
		r := NewMemory(Options{})
		defer closeRepo(b, r)
		benchCommit(b, r, docs)
	})
}

func BenchmarkImportDisk(b *testing.B) {
	const docs = 10_000
	for b.Loop() {
		r, _ := disked(b)
		fill(b, r, docs, 500)
		closeRepo(b, r)
	}
	b.ReportMetric(float64(b.N*docs)/b.Elapsed().Seconds(), "docs/s")
}

// benchPaths fills a repository and returns its tip and files to read.
func benchPaths(b *testing.B, r *Repo, docs int) (Hash, []document.Path) {
	fill(b, r, docs, 500)
	tip, err := r.Tip("")
	if err != nil {
		b.Fatal(err)
	}
	var paths []document.Path
	for i := range benchVersions {
		paths = append(paths, benchDoc(i*7919%docs, 0)[1].Path)
	}
	return tip, paths
}

func benchRead(b *testing.B, r *Repo, docs int) {
	tip, paths := benchPaths(b, r, docs)
	l := startLaps(b)
	defer l.report("best-ns/op")
	for i := 0; b.Loop(); i++ {
		l.next()
		if _, err := r.ReadFile(context.Background(), tip, paths[i%len(paths)]); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkReadDisk reads files whose trees are cached, and mostly not their
// content.
func BenchmarkReadDisk(b *testing.B) {
	sized(b, func(b *testing.B, docs int) {
		r, _ := disked(b)
		benchRead(b, r, docs)
	})
}

// BenchmarkReadDiskCached reads files that are cached with their trees.
func BenchmarkReadDiskCached(b *testing.B) {
	sized(b, func(b *testing.B, docs int) {
		r, err := OpenDisk(b.TempDir(), Options{CacheBytes: 1 << 30})
		if err != nil {
			b.Fatal(err)
		}
		defer closeRepo(b, r)
		tip, paths := benchPaths(b, r, docs)
		for _, p := range paths {
			if _, err := r.ReadFile(context.Background(), tip, p); err != nil {
				b.Fatal(err)
			}
		}
		l := startLaps(b)
		defer l.report("best-ns/op")
		for i := 0; b.Loop(); i++ {
			l.next()
			if _, err := r.ReadFile(context.Background(), tip, paths[i%len(paths)]); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkReadDiskCold reads through a cache that holds nothing.
func BenchmarkReadDiskCold(b *testing.B) {
	sized(b, func(b *testing.B, docs int) {
		r, err := OpenDisk(b.TempDir(), Options{CacheBytes: 1})
		if err != nil {
			b.Fatal(err)
		}
		defer closeRepo(b, r)
		benchRead(b, r, docs)
	})
}

func BenchmarkReadMemory(b *testing.B) {
	sized(b, func(b *testing.B, docs int) {
		r := NewMemory(Options{})
		defer closeRepo(b, r)
		benchRead(b, r, docs)
	})
}

// BenchmarkFindMemory is a read without the copy of the content; its floor is
// a map from paths.
func BenchmarkFindMemory(b *testing.B) {
	sized(b, func(b *testing.B, docs int) {
		r := NewMemory(Options{})
		defer closeRepo(b, r)
		tip, paths := benchPaths(b, r, docs)
		l := startLaps(b)
		defer l.report("best-ns/op")
		for i := 0; b.Loop(); i++ {
			l.next()
			if _, err := r.Find(context.Background(), tip, paths[i%len(paths)]); err != nil {
				b.Fatal(err)
			}
		}
		readFloor(b, paths, docs)
	})
}

func readFloor(b *testing.B, paths []document.Path, docs int) {
	b.Helper()
	byPath := make(map[string]Entry)
	for i := range docs {
		byPath[benchDoc(i, 0)[1].Path.String()] = Entry{Size: int64(i)}
	}
	l := &laps{b: b, best: 1<<63 - 1}
	found := 0
	for i := range b.N {
		l.next()
		if _, ok := byPath[paths[i%len(paths)].String()]; ok {
			found++
		}
	}
	if found != b.N {
		b.Fatal(found)
	}
	l.report("floor-ns/op")
}

// BenchmarkMergeMemory merges branches of one document each, which are made
// before the clock starts.
func BenchmarkMergeMemory(b *testing.B) {
	sized(b, func(b *testing.B, docs int) {
		r := NewMemory(Options{})
		defer closeRepo(b, r)
		fill(b, r, docs, 500)
		tip, err := r.Tip("")
		if err != nil {
			b.Fatal(err)
		}
		const sides = 1024
		name := func(kind string, i int) string { return fmt.Sprintf("%s%d", kind, i) }
		for i := range sides {
			for at, kind := range []string{"ours", "theirs"} {
				if err := r.CreateBranch(name(kind, i), tip); err != nil {
					b.Fatal(err)
				}
				commitOn(b, r, name(kind, i), when, benchDoc((2*i+at)*7919%docs, i+1)...)
			}
		}
		tips := make(map[string]Hash)
		branches, err := r.Branches()
		if err != nil {
			b.Fatal(err)
		}
		for _, branch := range branches {
			tips[branch.Name] = branch.Tip
		}
		l := startLaps(b)
		defer l.report("best-ns/op")
		for i := 0; b.Loop(); i++ {
			l.next()
			in := MergeInput{Into: name("ours", i%sides), Theirs: tips[name("theirs", i%sides)], Author: ann, At: when.Add(time.Duration(i) * time.Second)}
			if i >= sides {
				b.Fatalf("no more than %d times", sides)
			}
			if _, err := r.Merge(context.Background(), in); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkLogMemory looks for the oldest of 10,000 commits, by its path.
func BenchmarkLogMemory(b *testing.B) {
	r := NewMemory(Options{})
	defer closeRepo(b, r)
	benchLog(b, r)
}

// BenchmarkLogDisk is that on disk, where the trees have to be read once.
func BenchmarkLogDisk(b *testing.B) {
	r, _ := disked(b)
	benchLog(b, r)
}

func benchLog(b *testing.B, r *Repo) {
	const commits = 10_000
	for i := range commits {
		commit(b, r, benchDoc(i, 0)...)
	}
	tip, err := r.Tip("")
	if err != nil {
		b.Fatal(err)
	}
	oldest := benchDoc(0, 0)[0].Path
	l := startLaps(b)
	defer l.report("best-ns/op")
	for b.Loop() {
		l.next()
		if found, err := r.Log(context.Background(), tip, LogOptions{Path: oldest}); err != nil || len(found) != 1 {
			b.Fatal(len(found), err)
		}
	}
}

// BenchmarkSharedMemory is BenchmarkReadMemory without the copy.
func BenchmarkSharedMemory(b *testing.B) {
	sized(b, func(b *testing.B, docs int) {
		r := NewMemory(Options{})
		defer closeRepo(b, r)
		tip, paths := benchPaths(b, r, docs)
		l := startLaps(b)
		defer l.report("best-ns/op")
		for i := 0; b.Loop(); i++ {
			l.next()
			if _, err := r.ReadShared(context.Background(), tip, paths[i%len(paths)]); err != nil {
				b.Fatal(err)
			}
		}
	})
}
