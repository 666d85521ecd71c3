package gitrepo

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"unsafe"

	"github.com/go-git/go-git/v5/plumbing"
)

func heapInUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// spread makes hashes that differ where the table looks.
func spread(i int) Hash {
	return hashObject(plumbing.BlobObject, binary.BigEndian.AppendUint64(nil, uint64(i)))
}

func TestTableEntrySizeIsTheOneAccounted(t *testing.T) {
	if size := unsafe.Sizeof(tableEntry{}); size != 96 {
		t.Errorf("an entry has %d bytes", size)
	}
	if size := unsafe.Sizeof(treeIndex{}); size > indexHeap {
		t.Errorf("an index has %d bytes", size)
	}
}

func TestCacheIsBounded(t *testing.T) {
	c := newCache(40_000)
	used := spread(-1)
	c.put(used, object{plumbing.BlobObject, make([]byte, 300)})
	for i := range 1000 {
		c.put(spread(i), object{plumbing.BlobObject, make([]byte, 300)})
		if size := c.blobs.size.Load(); size > c.blobs.limit {
			t.Fatalf("%d bytes in a cache of %d", size, c.blobs.limit)
		}
		if _, ok := c.get(used); !ok {
			t.Fatalf("an object that is used was dropped after %d", i)
		}
	}
	if size := c.blobs.size.Load(); size < c.blobs.limit-1000 { // what is dropped last may be two at once
		t.Fatalf("only %d bytes in a cache of %d", size, c.blobs.limit)
	}
	c.put(Hash{1, 1}, object{plumbing.BlobObject, make([]byte, 5000)})
	if _, ok := c.get(Hash{1, 1}); ok {
		t.Fatal("one object took most of the cache")
	}
	if c.trees.size.Load() != 0 {
		t.Fatal("blobs took of what is for trees")
	}
}

// The limit is that of the heap, not of a count of our own: trees of documents,
// of the fan-out, and of one flat folder.
func TestCacheLimitHoldsAsHeap(t *testing.T) {
	const limit = 4 << 20
	shapes := map[string][]byte{
		"documents": treeOfSize(2, 12),
		"fan-out":   treeOfSize(24, 10),
		"uneven":    slices.Concat(treeOfSize(30, 8), treeOfSize(1, 20)),
		"flat":      treeOfSize(4000, 13),
	}
	for name, shape := range shapes {
		t.Run(name, func(t *testing.T) {
			before := heapInUse()
			c := newCache(limit)
			put := 0
			for i := 0; put < 2*limit; i++ {
				data := bytes.Clone(shape)
				put += len(data) + entryHeap
				c.put(spread(i), object{plumbing.TreeObject, data})
			}
			heap := heapInUse() - before
			// A tenth is for what the runtime itself needs, and for buckets.
			if budget := c.trees.limit; heap > budget+budget/10 || heap < budget/2 {
				t.Errorf("a budget of %d bytes takes %d of the heap, by our own account %d", budget, heap, c.trees.size.Load())
			}
			runtime.KeepAlive(c)
		})
	}
}

func treeOfSize(entries, name int) []byte {
	var data []byte
	for k := range entries {
		data = appendItem(data, modeFile, fmt.Sprintf("%0*d", name, k), Hash{1})
	}
	return data
}

// The trees of a document, its share of the folders above counted, take no
// more than 500 bytes.
func TestTreesOfADocumentAreSmall(t *testing.T) {
	const docs, bytesEach = 4096, 500
	r := NewMemory(Options{})
	defer closeRepo(t, r)
	var changes []Change
	for i := range docs {
		changes = append(changes, benchDoc(i, 0)...)
	}
	tip := commit(t, r, changes...)
	c, err := r.ReadCommit(context.Background(), tip)
	if err != nil {
		t.Fatal(err)
	}
	before := heapInUse()
	kept := newTable(1<<40, 1<<40)
	copyTrees(t, r, kept, c.Tree)
	heap := heapInUse() - before
	if heap > docs*bytesEach {
		t.Errorf("%d bytes a document", heap/docs)
	}
	if account := kept.size.Load(); account < heap*9/10 {
		t.Errorf("%d bytes of the heap, but %d by our own account", heap, account)
	}
	t.Logf("%d bytes of the heap a document, %d by our own account", heap/docs, kept.size.Load()/docs)
	runtime.KeepAlive(kept)
}

func copyTrees(t *testing.T, r *Repo, to *table, h Hash) {
	t.Helper()
	data, err := r.tree(h)
	if err != nil {
		t.Fatal(err)
	}
	data = bytes.Clone(data)
	to.put(h, object{plumbing.TreeObject, data}, indexTree(data))
	for len(data) > 0 {
		it, rest, err := nextItem(data)
		if err != nil {
			t.Fatal(err)
		}
		if it.mode.isTree() {
			copyTrees(t, r, to, it.hash)
		}
		data = rest
	}
}

// Whatever is in the table without a limit is found, by any number of readers
// while it grows.
func TestTableLosesNothingWhileItGrows(t *testing.T) {
	const objects, readers = 20_000, 3
	kept := newTable(0, 0)
	var done sync.WaitGroup
	reached := make([]chan int, readers)
	for n := range readers {
		reached[n] = make(chan int, objects)
		done.Go(func() {
			for i := range reached[n] {
				if o, ok := kept.get(spread(i)); !ok || o.kind != plumbing.BlobObject {
					t.Errorf("object %d is lost", i)
					return
				}
			}
		})
	}
	for i := range objects {
		kept.put(spread(i), object{plumbing.BlobObject, nil}, nil)
		reached[i%readers] <- i / (1 + i%2)
	}
	for _, c := range reached {
		close(c)
	}
	done.Wait()
}
