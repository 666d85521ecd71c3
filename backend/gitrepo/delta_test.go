package gitrepo

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"pgregory.net/rapid"
)

// edited draws a base and a target that is made of pieces of it and others.
func edited(t *rapid.T) (base, target []byte) {
	r := rand.New(rand.NewSource(rapid.Int64().Draw(t, "seed")))
	base = make([]byte, rapid.SampledFrom([]int{0, 1, 7, 8, 9, 40, 1000, 20_000, 70_000, 300_000}).Draw(t, "size"))
	letters := rapid.IntRange(1, 256).Draw(t, "letters") // few make many equal blocks
	for i := range base {
		base[i] = byte(r.Intn(letters))
	}
	for range rapid.IntRange(0, 6).Draw(t, "pieces") {
		if len(base) > 0 && r.Intn(3) > 0 {
			from := r.Intn(len(base))
			target = append(target, base[from:from+r.Intn(len(base)-from+1)]...)
		} else {
			for range r.Intn(300) {
				target = append(target, byte(r.Intn(letters)))
			}
		}
	}
	return base, target
}

// Whatever the two are, the delta gives the target back: by our reader and by
// go-git's.
func TestDeltasGiveTheTargetBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base, target := edited(t)
		b := newDeltaBase(base)
		for range 2 { // with a table that is made, and with one that is there
			delta, ok := b.encode(target, 64+2*len(target))
			if !ok {
				t.Fatal("no delta within twice the size")
			}
			got, err := applyDelta(base, delta)
			if err != nil || !bytes.Equal(got, target) {
				t.Fatalf("ours: %d bytes, %v; want %d", len(got), err, len(target))
			}
			if len(base) == 0 || len(delta) < 4 { // go-git takes none such, and we make none
				continue
			}
			theirs, err := packfile.PatchDelta(base, delta)
			if err != nil || !bytes.Equal(theirs, target) {
				t.Fatalf("go-git: %d bytes, %v; want %d", len(theirs), err, len(target))
			}
		}
		limit := rapid.IntRange(0, 200).Draw(t, "limit")
		if delta, ok := b.encode(target, limit); ok != (len(delta) <= limit) || ok && len(delta) > limit {
			t.Fatalf("%d bytes within %d: %t", len(delta), limit, ok)
		}
	})
}

func TestDeltasAreSmall(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	text := make([]byte, 100_000)
	for i := range text {
		text[i] = byte(r.Intn(256))
	}
	moved := append(bytes.Clone(text[60_000:]), text[:60_000]...)
	changed := bytes.Clone(text)
	changed[10], changed[50_000] = 'x', 'y'
	for name, c := range map[string]struct {
		target []byte
		most   int
	}{
		"same":    {text, 20},
		"moved":   {moved, 30},
		"changed": {changed, 60},
		"grown":   {append(bytes.Clone(text), "more"...), 30},
		"cut":     {text[500:60_000], 20},
	} {
		if delta, ok := newDeltaBase(text).encode(c.target, len(text)); !ok || len(delta) > c.most {
			t.Errorf("%s: %d bytes", name, len(delta))
		}
	}
}

// No bytes make the reader panic, and what it accepts has the size that is
// said.
func TestAnyBytesAsADelta(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base, target := edited(t)
		delta, _ := newDeltaBase(base).encode(target, 64+2*len(target))
		delta = bytes.Clone(delta)
		for range rapid.IntRange(1, 3).Draw(t, "flips") {
			delta[rapid.IntRange(0, len(delta)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
		}
		delta = delta[:rapid.IntRange(0, len(delta)).Draw(t, "length")]
		got, err := applyDelta(base, delta)
		if err == nil {
			if _, size, _, err := deltaSizes(delta); err != nil || uint64(len(got)) != size {
				t.Fatalf("%d bytes instead of %d, %v", len(got), size, err)
			}
		} else if !errors.Is(err, errDelta) && !errors.Is(err, ErrTooLarge) {
			t.Fatal(err)
		}
	})
}

func TestDeltaOfMoreThanAnObject(t *testing.T) {
	delta := []byte{0, 0x81, 0x80, 0x80, 0x80, 0x01} // a base of nothing, 256 MiB
	if _, err := applyDelta(nil, delta); !errors.Is(err, ErrTooLarge) {
		t.Fatal(err)
	}
}

// Real git reads a pack of deltas on deltas, and every object in it.
func TestGitReadsOurDeltas(t *testing.T) {
	needGit(t)
	r, dir := disked(t)
	commit(t, r, put(t, "so that", "there is a branch"))
	rnd := rand.New(rand.NewSource(2))
	text := make([]byte, 70_000) // more than one copy instruction covers
	for i := range text {
		text[i] = byte('a' + rnd.Intn(26))
	}
	var objects []staged
	var last Hash
	for range 2 * maxDeltaDepth {
		text = bytes.Clone(text)
		copy(text[rnd.Intn(len(text)-10):], "0123456789")
		text = append(text, "end"...)
		o, err := stage(plumbing.BlobObject, text)
		if err != nil {
			t.Fatal(err)
		}
		o.base, o.name = last, "text"
		last = o.hash
		objects = append(objects, o)
	}
	for i := range 50 {
		o, err := stage(plumbing.BlobObject, fmt.Appendf(nil, `{"id": "%d", "title": %q}`, i, strings.Repeat("title ", 20)))
		if err != nil {
			t.Fatal(err)
		}
		o.name = "metadata.json"
		objects = append(objects, o)
	}
	index, err := writePack(t.Context(), &spares{packs: shelf{dir: filepath.Join(dir, "objects", "pack")}}, objects)
	if err != nil {
		t.Fatal(err)
	}
	pack := strings.TrimSuffix(index, ".idx") + ".pack"
	git(t, dir, "index-pack", "--strict", "-o", filepath.Join(t.TempDir(), "judge.idx"), pack)
	longest := chainLength(t, dir, index)
	if longest != maxDeltaDepth {
		t.Errorf("the longest chain has %d deltas", longest)
	}
	for _, o := range objects {
		got, err := r.objects.object(o.hash)
		if err != nil || !bytes.Equal(got.data, o.data) {
			t.Fatalf("%s: %d bytes, %v", o.hash, len(got.data), err)
		}
	}
	if out := git(t, dir, "cat-file", "blob", last.String()); out != string(text) {
		t.Errorf("cat-file: %d bytes", len(out))
	}
	fsck(t, dir)
}

// chainLength lets real git verify a pack and tell its longest chain.
func chainLength(t testing.TB, dir, index string) int {
	t.Helper()
	longest := 0
	for line := range strings.Lines(git(t, dir, "verify-pack", "-v", index)) {
		var n, count int
		if _, err := fmt.Sscanf(line, "chain length = %d: %d object", &n, &count); err == nil {
			longest = max(longest, n)
		}
	}
	return longest
}
