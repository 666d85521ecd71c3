package gitrepo

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

// A pack that cannot be copied is left alone and told; the others are
// consolidated all the same, and writers do not stop.
func TestADamagedPackDoesNotStopTheOthers(t *testing.T) {
	r, dir := disked(t)
	commit(t, r, put(t, "doc", "damaged"))
	flip(t, matches(t, dir, "objects/pack/*.pack")[0], 30)
	for i := range softPacks {
		commit(t, r, put(t, "other", fmt.Sprint(i)))
	}
	err := r.Settle(t.Context())
	if m := r.Maintenance(); m.Packs > 4 || !errors.Is(m.Err, ErrCorrupt) {
		t.Fatalf("%+v, %v", m, err)
	}
	tip := commit(t, r, put(t, "other", "last"))
	wantFile(t, opened(t, dir), tip, "other", "last")
}

// Git marks what it receives while it moves the branch.
func TestAPackThatWasKeptForAMomentIsConsolidated(t *testing.T) {
	r, dir := disked(t)
	commit(t, r, put(t, "doc", "0"))
	keep := strings.TrimSuffix(matches(t, dir, "objects/pack/*.pack")[0], ".pack") + ".keep"
	write(t, keep, "")
	commit(t, r, put(t, "doc", "1"))
	if m := settle(t, r); m.Packs != 2 || m.Runs != 0 {
		t.Fatalf("%+v", m)
	}
	if err := os.Remove(keep); err != nil {
		t.Fatal(err)
	}
	if m := settle(t, r); m.Packs != 1 || m.Runs != 1 {
		t.Fatalf("%+v", m)
	}
}

// What small pushes leave goes into a pack when it is old enough, and its
// files only then.
func TestLooseObjectsAreTakenIn(t *testing.T) {
	needGit(t)
	r, dir := disked(t)
	commit(t, r, put(t, "ours", "1"))
	clone := filepath.Join(t.TempDir(), "clone")
	git(t, dir, "clone", "-q", dir, clone)
	write(t, filepath.Join(clone, "theirs"), "pushed")
	git(t, clone, "add", ".")
	git(t, clone, "commit", "-q", "-m", "theirs")
	git(t, clone, "push", "-q", "origin", "HEAD:main")
	files := matches(t, dir, "objects/??/*")
	if len(files) != 3 {
		t.Fatalf("the push left %d files", len(files))
	}
	settle(t, r)
	if now := matches(t, dir, "objects/??/*"); len(now) != len(files) {
		t.Fatalf("young files were taken: %d are left", len(now))
	}
	old := time.Now().Add(-2 * looseGrace)
	for _, file := range files {
		if err := os.Chtimes(file, old, old); err != nil {
			t.Fatal(err)
		}
	}
	damaged := filepath.Join(dir, "objects", "ab", strings.Repeat("c", 38))
	if err := os.MkdirAll(filepath.Dir(damaged), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, damaged, "no object")
	if err := os.Chtimes(damaged, old, old); err != nil {
		t.Fatal(err)
	}
	settle(t, r)
	if now := matches(t, dir, "objects/??"); len(now) != 1 || now[0] != filepath.Dir(damaged) {
		t.Errorf("left: %v", now)
	}
	if err := os.Remove(damaged); err != nil {
		t.Fatal(err)
	}
	tip, err := r.Tip("")
	if err != nil {
		t.Fatal(err)
	}
	wantFile(t, r, tip, "theirs", "pushed")
	wantFile(t, opened(t, dir), tip, "theirs", "pushed")
	fsck(t, dir)
}

// A delta whose base is not in its pack is told by the name of the base.
func TestADeltaWithoutItsBaseIsCorrupt(t *testing.T) {
	r, dir := disked(t)
	base := Hash{0xba, 0x5e}
	name := hashObject(plumbing.BlobObject, []byte("never made"))
	folder := filepath.Join(dir, "objects", "pack")
	w, err := newPackWriter(&spares{packs: shelf{dir: folder}}, 1)
	if err != nil {
		t.Fatal(err)
	}
	var stream bytes.Buffer
	stream.Write(base[:])
	if err := deflate(&stream, []byte{10, 10, 0x90, 10}, levelSmall); err != nil {
		t.Fatal(err)
	}
	if err := w.add(name, plumbing.REFDeltaObject, 4, whole, stream.Bytes()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.finish(); err != nil {
		t.Fatal(err)
	}
	_, err = r.objects.object(name)
	if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), base.String()) {
		t.Fatalf("read: %v", err)
	}
	commit(t, r, put(t, "doc", "1"))
	commit(t, r, put(t, "doc", "2"))
	if err := r.Settle(t.Context()); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), base.String()) {
		t.Fatalf("settle: %v", err)
	}
}

// Packs that go again and again while they are read are the work of somebody
// else, and no fault.
func TestPacksThatKeepVanishingAreLeftToOthers(t *testing.T) {
	r, _ := disked(t)
	for i := range 3 {
		commit(t, r, put(t, "doc", fmt.Sprint(i)))
	}
	s := r.objects.(*packStore) //nolint:forcetypeassert // it is on disk
	for _, p := range *s.packs.Load() {
		if err := p.close(); err != nil {
			t.Fatal(err)
		}
	}
	if did, err := s.maintain(t.Context(), asked); did || !errors.Is(err, errHeld) {
		t.Errorf("%t, %v", did, err)
	}
}
