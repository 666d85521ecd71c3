package gitrepo

import (
	"context"
	"path/filepath"
	"testing"
)

func wantWhole(t *testing.T, r *Repo, at Hash, want bool, when string) {
	t.Helper()
	if whole, err := r.Whole(context.Background(), at); err != nil || whole != want {
		t.Errorf("%s: whole %v, %v, want %v", when, whole, err, want)
	}
}

// Damage that touches nothing of a commit leaves it whole; a file of an older
// version, or a pack that it needs, does not.
func TestACommitIsWholeBesideDamageThatItDoesNotNeed(t *testing.T) {
	r, dir, tip := victims(t)
	next := commit(t, r, put(t, "docs/b/text", "another text of b"))
	wantWhole(t, r, next, true, "at first")
	junk := filepath.Join(dir, "objects", "pack", "pack-0123456789012345678901234567890123456789")
	write(t, junk+".pack", "random bytes")
	write(t, junk+".idx", "more random bytes")
	if err := r.Look(); err != nil {
		t.Fatal(err)
	}
	if known := r.Damage(); len(known) != 1 {
		t.Fatalf("known damage: %+v", known)
	}
	wantWhole(t, r, next, true, "beside a pack of random bytes")
	restore := overwriteBlob(t, r, blobOf("text of b").hash)
	if _, err := r.ReadFile(context.Background(), tip, path(t, "docs/b/text")); err == nil {
		t.Fatal("it was read")
	}
	wantWhole(t, r, next, false, "without an older version")
	restore()
	othersRead(t, r, tip, "b")
	wantWhole(t, r, next, true, "with the older version again")
	overwriteBlob(t, r, blobOf("another text of b").hash)
	if _, err := r.ReadFile(context.Background(), next, path(t, "docs/b/text")); err == nil {
		t.Fatal("it was read")
	}
	wantWhole(t, r, tip, true, "of which nothing is damaged")
	wantWhole(t, r, next, false, "without a file")
}

// A pack that cannot be opened is needed by what only it has.
func TestACommitIsNotWholeWithoutItsPack(t *testing.T) {
	r, dir, tip := victims(t)
	base := onePack(t, r, dir)
	closeRepo(t, r)
	data := content(t, base+".pack")
	replaceFile(t, base+".pack", data[:len(data)-50])
	r = opened(t, dir)
	wantWhole(t, r, tip, false, "without its pack")
}
