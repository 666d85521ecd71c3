package gitrepo

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
)

// small is a cache that a few hundred documents overflow.
const small = 64 << 10

// eachKind runs a test on a repository in memory, and on disk with a cache that
// holds everything and one that does not.
func eachKind(t *testing.T, run func(t *testing.T, r *Repo)) {
	t.Helper()
	t.Run("memory", func(t *testing.T) {
		r := NewMemory(Options{})
		defer closeRepo(t, r)
		run(t, r)
	})
	for name, limit := range map[string]int64{"disk": 8 << 20, "tight": small, "none": 1} {
		t.Run(name, func(t *testing.T) {
			r, err := OpenDisk(t.TempDir(), Options{CacheBytes: limit})
			if err != nil {
				t.Fatal(err)
			}
			defer closeRepo(t, r)
			run(t, r)
		})
	}
}

// Trees of many commits share what leads to their files: every commit must
// still be read as it was made, in any order.
func TestReadsOfEveryCommitAreRightInAnyOrder(t *testing.T) {
	eachKind(t, func(t *testing.T, r *Repo) {
		random := rand.New(rand.NewPCG(1, 2))
		files := make(map[string]string)
		var tips []Hash
		var states []map[string]string
		check := func(i int) {
			t.Helper()
			for name, want := range states[i] {
				got, err := r.ReadShared(context.Background(), tips[i], mustPath(name))
				if err != nil || string(got) != want {
					t.Fatalf("commit %d, %s: %q, %v; want %q", i, name, got, err, want)
				}
			}
			gone := fmt.Sprintf("a/%d/none/f", i%5)
			if _, err := r.ReadShared(context.Background(), tips[i], mustPath(gone)); err == nil {
				t.Fatalf("commit %d has %s", i, gone)
			}
		}
		for i := range 60 {
			var changes []Change
			for range 1 + random.IntN(3) {
				name := fmt.Sprintf("a/%d/%x/d%d/f%d", random.IntN(3), random.IntN(16), random.IntN(4), random.IntN(2))
				if _, there := files[name]; there && random.IntN(4) == 0 {
					delete(files, name)
					changes = append(changes, del(t, name))
					continue
				}
				files[name] = fmt.Sprintf("%d of commit %d", random.IntN(1000), i)
				changes = append(changes, put(t, name, files[name]))
			}
			in := CommitInput{Changes: changes, Author: ann, At: when, AllowEmpty: true}
			h, err := r.Commit(context.Background(), in)
			if err != nil {
				t.Fatal(err)
			}
			tips, states = append(tips, h), append(states, maps.Clone(files))
			check(random.IntN(len(tips)))
			check(len(tips) - 1)
		}
		for _, i := range random.Perm(len(tips)) {
			check(i)
		}
		checkLinks(t, r)
	})
}

// checkLinks looks at what the tables keep: their account of the heap is that
// of their entries, and nothing that is kept leads to what was dropped.
func checkLinks(t *testing.T, r *Repo) {
	t.Helper()
	trees, blobs := r.tables()
	kept := make(map[*tableEntry]struct{})
	for _, table := range slices.Compact([]*table{trees, blobs}) {
		sum := int64(0)
		for i := range table.shards {
			buckets := table.shards[i].buckets.Load()
			if buckets == nil {
				continue
			}
			for j := range *buckets {
				for e := (*buckets)[j].Load(); e != nil; e = e.next.Load() {
					kept[e] = struct{}{}
					sum += e.heap()
				}
			}
		}
		if account := table.size.Load(); table.limit > 0 && (account != sum || account > table.limit) {
			t.Errorf("the account says %d of %d bytes, the entries take %d", account, table.limit, sum)
		}
	}
	for e := range kept {
		for i := range e.below {
			to := e.below[i].to.Load()
			if _, ok := kept[to]; to != nil && !ok {
				t.Errorf("an entry leads to %s, which was dropped", to.hash)
			}
			if to != nil && trees.limit > 0 && to.above.Load() != &e.below[i] {
				t.Errorf("%s does not know what leads to it", to.hash)
			}
		}
		if l := e.above.Load(); l != nil && l.to.Load() != e {
			t.Errorf("%s keeps a link that leads elsewhere", e.hash)
		}
	}
}

// The limit is that of the heap also where reads linked what is cached.
func TestCacheLimitHoldsAsHeapOfLinkedTrees(t *testing.T) {
	const docs, limit = 4000, 512 << 10
	dir := t.TempDir()
	r, err := OpenDisk(dir, Options{CacheBytes: limit})
	if err != nil {
		t.Fatal(err)
	}
	defer closeRepo(t, r)
	var changes []Change
	for i := range docs {
		changes = append(changes, benchDoc(i, 0)...)
	}
	tip := commit(t, r, changes...)
	packs := r.objects.(*packStore)
	packs.keeper.turn <- struct{}{} // the heap of the maintenance is not that of the cache
	defer func() { <-packs.keeper.turn }()
	before := heapInUse()
	packs.cache = newCache(limit)
	for round := range 2 {
		for i := range changes {
			if _, err := r.ReadShared(context.Background(), tip, changes[(i*7)%len(changes)].Path); err != nil {
				t.Fatal(round, err)
			}
		}
	}
	if heap := heapInUse() - before; heap > limit+limit/4 {
		t.Errorf("a limit of %d bytes takes %d of the heap", limit, heap)
	}
	checkLinks(t, r)
}

// Readers link, the cache drops, and a writer makes new trees at once.
func TestLinksWhileTheCacheDrops(t *testing.T) {
	eachKind(t, func(t *testing.T, r *Repo) {
		const docs, readers = 300, 4
		var changes []Change
		for i := range docs {
			changes = append(changes, benchDoc(i, 0)...)
		}
		first := commit(t, r, changes...)
		var done sync.WaitGroup
		for n := range readers {
			done.Go(func() {
				random := rand.New(rand.NewPCG(3, uint64(n)))
				for range 3 * docs {
					c := changes[random.IntN(len(changes))]
					got, err := r.ReadShared(context.Background(), first, c.Path)
					if err != nil || !bytes.Equal(got, c.Data) {
						t.Errorf("%s: %v", c.Path, err)
						return
					}
				}
			})
		}
		for i := range 20 {
			again := benchDoc(i, 1)
			tip := commit(t, r, again...)
			if got, err := r.ReadShared(context.Background(), tip, again[0].Path); err != nil || !bytes.Equal(got, again[0].Data) {
				t.Error(err)
			}
		}
		done.Wait()
		checkLinks(t, r)
	})
}

// What ReadFile, ReadFiles and ReadBlob return is the caller's.
func TestReadsThatCopyMayBeChanged(t *testing.T) {
	eachKind(t, func(t *testing.T, r *Repo) {
		const name = "a/b/file"
		tip := commit(t, r, put(t, name, "as it was"))
		spoil := func(data []byte, err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
			clear(data)
		}
		e, err := r.Find(context.Background(), tip, mustPath(name))
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			spoil(r.ReadFile(context.Background(), tip, mustPath(name)))
			spoil(r.ReadBlob(context.Background(), e.Hash))
			files, err := r.ReadFiles(context.Background(), tip, mustPath("a/b"), nil)
			spoil(files["file"], err)
		}
		if got, err := r.ReadShared(context.Background(), tip, mustPath(name)); err != nil || string(got) != "as it was" {
			t.Errorf("%q, %v", got, err)
		}
	})
}
