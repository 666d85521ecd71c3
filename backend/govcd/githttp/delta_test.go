package githttp

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"pgregory.net/rapid"
)

// TestDeltas give what they were made of, by the judgement of another program.
func TestDeltas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		piece := rapid.SliceOfN(rapid.Byte(), 0, 400)
		begin, end := piece.Draw(t, "begin"), piece.Draw(t, "end")
		long := bytes.Repeat(begin, rapid.IntRange(0, 300).Draw(t, "times"))
		base := bytes.Join([][]byte{long, piece.Draw(t, "old"), end}, nil)
		target := bytes.Join([][]byte{long, piece.Draw(t, "new"), end}, nil)
		kind := rapid.SampledFrom([]plumbing.ObjectType{plumbing.BlobObject, plumbing.TreeObject}).Draw(t, "kind")
		if kind == plumbing.TreeObject {
			base, target = someTree(t, "base"), someTree(t, "target")
		}
		made := deltaOf(kind, base, target)
		if made == nil {
			return
		}
		got, err := packfile.PatchDelta(base, made)
		if err != nil || !bytes.Equal(got, target) {
			t.Fatalf("%v: %x on %x is %x, want %x", err, made, base, got, target)
		}
		if 2*len(made) > len(target) {
			t.Fatalf("a delta of %d bytes for %d", len(made), len(target))
		}
	})
	// One file of a folder with many is worth a few bytes.
	base, target := vastTree("100644", vastFile, 0, 1000), vastTree("100644", vastFile, 0, 1000)
	target[len(target)/2] ^= 0xff
	if made := deltaOf(plumbing.TreeObject, base, target); len(made) == 0 || len(made) > 64 {
		t.Errorf("one change of a large folder has %d bytes", len(made))
	}
}

// someTree is a tree of some of a hundred names.
func someTree(t *rapid.T, label string) []byte {
	var b []byte
	for _, i := range rapid.Permutation([]int{0, 1, 2, 3, 4, 5}).Draw(t, label) {
		for n := range 10 {
			if i > 0 && n%i != 0 {
				continue
			}
			b = append(b, fmt.Sprintf("100644 %d\x00%019d%d", 10*len(b)+n, n, i&1)...)
		}
	}
	return b
}

// TestASet has each name once, with its number.
func TestASet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s set
		numbers := map[Hash]int{}
		for _, n := range rapid.SliceOfN(rapid.IntRange(0, 300), 0, 500).Draw(t, "names") {
			h := vastName(1, n)
			before, known := numbers[h]
			if s.has(h) != known {
				t.Fatalf("%d: has %v", n, !known)
			}
			number, fresh := s.add(h)
			if fresh == known || known && number != before || !known && number != len(numbers) {
				t.Fatalf("%d: added as %d, fresh %v", n, number, fresh)
			}
			numbers[h] = number
		}
		for h, number := range numbers {
			if s.find(h) != number || s.names[number] != h {
				t.Fatalf("%s is not %d", h, number)
			}
		}
	})
}
