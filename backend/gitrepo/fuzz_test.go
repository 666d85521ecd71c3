package gitrepo

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // the format of git demands it
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/caiatech/caiatop/backend/durable/powercut"
	"github.com/go-git/go-git/v5/plumbing"
)

// The seeds here and in testdata/fuzz run with the tests. To look for more:
// go test -run '^$' -fuzz '^FuzzPack$' -fuzztime 60s ./backend/gitrepo

const (
	fuzzObjects = "/objects"
	fuzzPack    = fuzzObjects + "/pack/pack-0123456789012345678901234567890123456789"
	// fuzzSize bounds what one object of an input may have, in bytes, so that
	// an input takes milliseconds.
	fuzzSize = 1 << 20
)

// fuzzDisk is a disk with some files.
func fuzzDisk(t testing.TB, files map[string][]byte) *powercut.Disk {
	t.Helper()
	d := powercut.New()
	for name, data := range files {
		for at := 1; at < len(name); at++ {
			if name[at] == '/' {
				if err := d.Mkdir(name[:at], 0o755); err != nil && !errors.Is(err, os.ErrExist) {
					t.Fatal(err)
				}
			}
		}
		f, err := d.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o644)
		if err == nil {
			_, err = f.Write(data)
		}
		if err == nil {
			err = f.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// typedError fails for an error that says neither that something is damaged,
// nor that it is too large, nor that it is not there.
func typedError(t testing.TB, err error) {
	t.Helper()
	if err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrTooLarge) && !errors.Is(err, ErrNotFound) {
		t.Fatalf("not typed: %v", err)
	}
}

// readPacked opens a pack and reads all that its index names.
func readPacked(t testing.TB, pack, idx []byte) {
	t.Helper()
	d := fuzzDisk(t, map[string][]byte{fuzzPack + ".pack": pack, fuzzPack + ".idx": idx})
	s, err := newPackStore(d.Volume(), fuzzObjects, 1<<16)
	if err != nil {
		typedError(t, err)
		return
	}
	defer func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	}()
	for _, p := range *s.packs.Load() {
		entries, err := p.index.entries()
		typedError(t, err)
		for _, e := range entries[:min(len(entries), 64)] {
			o, err := s.object(e.hash)
			typedError(t, err)
			if err == nil && len(o.data) > MaxObject {
				t.Fatalf("an object of %d bytes", len(o.data))
			}
		}
	}
}

// signed ends data with its own checksum.
func signed(data []byte) []byte {
	sum := sha1.Sum(data) //nolint:gosec // git's format
	return append(data[:len(data):len(data)], sum[:]...)
}

// FuzzPack mutates the entries of a pack: what frames them is made right, so
// that they are reached.
func FuzzPack(f *testing.F) {
	base := blobOf("the base of a delta, which is not short")
	delta := craftDelta(uint64(base.size), 8, 0x90, 4, 4, 't', 'e', 'x', 't')
	for _, entries := range [][]crafted{
		{base},
		{base, {hash: fakeHash(1), kind: plumbing.REFDeltaObject, size: len(delta), before: base.hash[:], data: delta}},
		{base, {hash: fakeHash(2), kind: plumbing.OFSDeltaObject, size: len(delta), before: []byte{60}, data: delta}},
		{{hash: fakeHash(3), kind: plumbing.BlobObject, size: 1 << 40, data: []byte("x")}},
	} {
		pack, _ := craftPack(entries...)
		f.Add(pack[packHeader:len(pack)-hashSize], uint16(packHeader), uint16(packHeader+40))
	}
	f.Fuzz(func(t *testing.T, body []byte, first, second uint16) {
		if tooLarge(body, int(first)-packHeader) || tooLarge(body, int(second)-packHeader) {
			return
		}
		pack := signed(append([]byte("PACK\x00\x00\x00\x02\x00\x00\x00\x02"), body...))
		var sum Hash
		copy(sum[:], pack[len(pack)-hashSize:])
		readPacked(t, pack, encodeIndex([]indexEntry{{fakeHash(1), 0, int64(first)}, {fakeHash(2), 0, int64(second)}}, sum))
	})
}

// tooLarge: an entry that says to have megabytes costs the fuzzer time only.
func tooLarge(body []byte, at int) bool {
	if at < 0 || at >= len(body) {
		return false
	}
	_, size, err := entryHeader(bytes.NewReader(body[at:]))
	return err == nil && size > fuzzSize && size <= MaxObject
}

// FuzzIndex mutates all of an index but its checksums.
func FuzzIndex(f *testing.F) {
	pack, idx := craftPack(blobOf("a"), blobOf("b"), blobOf("c"))
	f.Add(idx[:len(idx)-2*hashSize], false)
	f.Add(idx[:len(idx)-2*hashSize], true)
	f.Add([]byte(indexMagic), true)
	f.Fuzz(func(t *testing.T, body []byte, wrong bool) {
		idx := append(body[:len(body):len(body)], pack[len(pack)-hashSize:]...)
		idx = signed(idx)
		if wrong {
			idx[len(idx)-1]++
		}
		readPacked(t, pack, idx)
	})
}

// FuzzTree reads trees entry by entry, by name with and without an index, and
// edits them.
func FuzzTree(f *testing.F) {
	h := fakeHash(1)
	f.Add([]byte("100644 a\x00"+string(h[:])+"40000 b\x00"+string(h[:])), "b")
	f.Add([]byte("160000 sub\x00"+string(h[:])), "sub")
	f.Add([]byte("777777777 a\x00"+string(h[:])), "a")
	f.Add([]byte("100644 \x00"), "")
	var even, uneven, unsorted []byte
	for i := range 12 {
		even = append(even, fmt.Sprintf("40000 %x\x00%s", i, h[:])...)
		uneven = append(uneven, fmt.Sprintf("100644 %s\x00%s", strings.Repeat("n", i+1), h[:])...)
		unsorted = append(unsorted, fmt.Sprintf("100755 %x\x00%s", 15-i, h[:])...)
	}
	f.Add(even, "3")
	f.Add(uneven, "nnnn")
	f.Add(unsorted, "7")
	f.Add(append(uneven, "40000 a\x00"+string(h[:])+"100644 a-\x00"+string(h[:])...), "a")
	f.Fuzz(func(t *testing.T, data []byte, name string) {
		var names []string
		rest := data
		for len(rest) > 0 {
			it, after, err := nextItem(rest)
			if err != nil {
				if !errors.Is(err, ErrCorrupt) {
					t.Fatal(err)
				}
				break
			}
			if len(it.name) == 0 || len(after) >= len(rest) {
				t.Fatalf("%q has an entry %q", data, it.name)
			}
			names = append(names, string(it.name))
			rest = after
		}
		indexed := tree{data, indexTree(data)}
		for _, n := range append(names, name) {
			foundAlike(t, indexed, n)
		}
		if len(rest) == 0 && !slices.Contains(names, name) && name != "" && !strings.Contains(name, "\x00") {
			addedTo(t, indexed, name)
		}
	})
}

// foundAlike looks a name up with the index and without.
func foundAlike(t *testing.T, indexed tree, name string) {
	t.Helper()
	got, ok, err := indexed.find(name)
	want, wantOK, wantErr := tree{data: indexed.data}.find(name)
	if ok != wantOK || (err == nil) != (wantErr == nil) || got.hash != want.hash || got.mode != want.mode || got.from != want.from || got.to != want.to {
		t.Fatalf("%q in %q: %+v, %t, %v; without an index %+v, %t, %v", name, indexed.data, got, ok, err, want, wantOK, wantErr)
	}
}

// addedTo puts a name into a tree, where it must be found, with all the others
// as they were.
func addedTo(t *testing.T, before tree, name string) {
	t.Helper()
	after, err := editTree(before, []edit{{name: name, put: true, mode: modeFile, hash: fakeHash(7)}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	p, ok, err := after.find(name)
	if err != nil || !ok || p.hash != fakeHash(7) {
		t.Fatalf("%q was put into %q: %+v, %t, %v", name, before.data, p, ok, err)
	}
	if left := slices.Concat(after.data[:p.from], after.data[p.to:]); !bytes.Equal(left, before.data) {
		t.Fatalf("%q was put into %q: beside it is %q", name, before.data, left)
	}
}

// FuzzLoose reads loose objects: what can be read is what its name says.
func FuzzLoose(f *testing.F) {
	for _, s := range []string{"blob 4\x00text", "blob 5\x00text", "tree 0\x00", "blob -1\x00", "tag 99999999999\x00x", "blob", "commit 3\x00abcd"} {
		f.Add(deflated([]byte(s)))
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, stream []byte) {
		h := fakeHash(1)
		content := inflated(stream, fuzzSize)
		if content != nil {
			h = sha1.Sum(content) //nolint:gosec // git's format
		}
		name := h.String()
		d := fuzzDisk(t, map[string][]byte{fuzzObjects + "/" + name[:2] + "/" + name[2:]: stream})
		s := &packStore{volume: d.Volume(), dir: fuzzObjects}
		o, err := s.loose(h)
		typedError(t, err)
		if err == nil && hashObject(o.kind, o.data) != h {
			t.Fatalf("%s has another content", h)
		}
		if err != nil && !strings.Contains(err.Error(), name) {
			t.Fatalf("not named: %v", err)
		}
	})
}

// FuzzRefs reads a reference file beside packed references.
func FuzzRefs(f *testing.F) {
	h := fakeHash(1).String()
	for _, s := range [][2]string{
		{h + "\n", ""},
		{"", "# pack-refs with: peeled fully-peeled sorted \n" + h + " refs/heads/main\n^" + h + "\n"},
		{"ref: refs/heads/other\n", h + " refs/heads/other\r\n"},
		{"ref: refs/heads/main\n", h + " refs/heads/main"},
		{Hash{}.String(), Hash{}.String() + " refs/heads/main\n"},
		{"ref: ../../x", h + "  \n"},
	} {
		f.Add([]byte(s[0]), []byte(s[1]))
	}
	f.Fuzz(func(t *testing.T, loose, packed []byte) {
		disk := fuzzDisk(t, map[string][]byte{
			"/r/HEAD": []byte("ref: refs/heads/main\n"), "/r/config": []byte(initialConfig), "/r/objects/pack/x": nil,
			"/r/refs/heads/main": loose, "/r/packed-refs": packed,
		})
		r, err := OpenDisk("/r", Options{Volume: disk.Volume()})
		if err != nil {
			t.Fatal(err)
		}
		defer closeRepo(t, r)
		target, err := r.Tip(Main)
		typedError(t, err)
		if err == nil && target.IsZero() {
			t.Fatal("it points nowhere, and no error says so")
		}
		branches, err := r.Branches()
		typedError(t, err)
		for _, b := range branches {
			if checkRef(headsPrefix+b.Name) != nil {
				t.Fatalf("listed %q", b.Name)
			}
		}
	})
}

// FuzzCommit reads commits; what can be read is written again without a word
// of it breaking out of its place.
func FuzzCommit(f *testing.F) {
	data, err := encodeCommit(Commit{Tree: fakeHash(1), Parents: []Hash{fakeHash(2)}, Author: ann, At: when, Message: "subject\n\nbody"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte("tree " + fakeHash(1).String() + "\ngpgsig x\n y\nauthor <> 99999999999999999999\n\n"))
	f.Add([]byte("tree x"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := decodeCommit(fakeHash(9), data)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		if c.Tree.IsZero() {
			t.Fatal("a commit without a tree")
		}
		if tree, err := treeOf(fakeHash(9), data); err == nil && tree != c.Tree {
			t.Fatalf("two trees: %s and %s", tree, c.Tree)
		}
		written, err := encodeCommit(c)
		if err != nil {
			return // a time or a message that we do not write
		}
		again, err := decodeCommit(fakeHash(9), written)
		if err != nil || again.Tree != c.Tree || len(again.Parents) != len(c.Parents) || !again.At.Equal(c.At) {
			t.Fatalf("%q became %q: %v", data, written, err)
		}
	})
}

// FuzzDelta applies deltas, as a pack does.
func FuzzDelta(f *testing.F) {
	text := []byte("the base of a delta, which is not short")
	for _, delta := range [][]byte{
		craftDelta(uint64(len(text)), 8, 0x90, 4, 4, 't', 'e', 'x', 't'),
		craftDelta(uint64(len(text)), 4, 4, 't', 'e', 'x', 't'),
		craftDelta(uint64(len(text)), 1<<50, 0x90, 4),
		craftDelta(uint64(len(text)), 70000, 0x80),
		craftDelta(0, 0),
		{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		{},
	} {
		f.Add(text, delta)
	}
	f.Fuzz(func(t *testing.T, text, delta []byte) {
		if _, n := binary.Uvarint(delta); n > 0 {
			if size, m := binary.Uvarint(delta[n:]); m > 0 && size > fuzzSize && size <= MaxObject {
				return
			}
		}
		base := blobOf(string(text))
		pack, idx := craftPack(base, crafted{
			hash: fakeHash(1), kind: plumbing.REFDeltaObject, size: len(delta), before: base.hash[:], data: delta,
		})
		readPacked(t, pack, idx)
	})
}
