package gitrepo

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/caiatech/caiatop/backend/durable"
	"github.com/go-git/go-git/v5/plumbing/format/idxfile"
)

func manyEntries(n int) []indexEntry {
	out := make([]indexEntry, n)
	for i := range out {
		sum := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(i)))
		copy(out[i].hash[:], sum[:])
		out[i].crc = uint32(i)
		out[i].offset = int64(i) * 100_000 // some need long offsets
	}
	return out
}

// Small indexes are held in memory, large ones read where they lie; both find
// everything that go-git's reader finds, and nothing else.
func TestIndexFindsEverything(t *testing.T) {
	for _, n := range []int{0, 1, 300, 40_000} {
		data := encodeIndex(manyEntries(n), Hash{7})
		name := filepath.Join(t.TempDir(), "x.idx")
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
		x, err := openIndex(durable.Volume{}, name)
		if err != nil {
			t.Fatal(err)
		}
		if (x.file == nil) != (len(data) <= residentIndex) {
			t.Errorf("%d objects: held in memory: %t", n, x.file == nil)
		}
		judge := idxfile.NewMemoryIndex()
		if err := idxfile.NewDecoder(bytes.NewReader(data)).Decode(judge); err != nil {
			t.Fatalf("go-git: %v", err)
		}
		for _, e := range manyEntries(n) {
			offset, ok, err := x.find(e.hash)
			theirs, judgeErr := judge.FindOffset(e.hash)
			if err != nil || !ok || judgeErr != nil || offset != e.offset || theirs != e.offset {
				t.Fatalf("%s: %d %t %v, go-git %d %v; want %d", e.hash, offset, ok, err, theirs, judgeErr, e.offset)
			}
			e.hash[19]++
			if _, ok, err := x.find(e.hash); ok || err != nil {
				t.Fatalf("found what is not there: %v", err)
			}
		}
		if got, err := x.entries(); err != nil || len(got) != n {
			t.Fatalf("%d entries, %v", len(got), err)
		}
		if err := x.close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Names that are not spread evenly only cost time.
func TestIndexWithUnevenNames(t *testing.T) {
	var entries []indexEntry
	for i := range 1000 {
		e := indexEntry{offset: int64(i)}
		binary.BigEndian.PutUint64(e.hash[12:], uint64(i))
		entries = append(entries, e)
	}
	name := filepath.Join(t.TempDir(), "x.idx")
	if err := os.WriteFile(name, encodeIndex(entries, Hash{}), 0o600); err != nil {
		t.Fatal(err)
	}
	x, err := openIndex(durable.Volume{}, name)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if offset, ok, err := x.find(e.hash); err != nil || !ok || offset != e.offset {
			t.Fatalf("%s: %d %t %v", e.hash, offset, ok, err)
		}
	}
}

// An object of exactly the limit is written and read; one byte more is not
// (see TestCommitRefuses).
func TestLargestObject(t *testing.T) {
	r, _ := disked(t)
	data := make([]byte, MaxObject)
	data[MaxObject-1] = 1
	h := commit(t, r, Change{Path: path(t, "large"), Data: data})
	got, err := r.ReadFile(t.Context(), h, path(t, "large"))
	if err != nil || !bytes.Equal(got, data) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
}
