package gitrepo

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// onePack makes all objects of a repository lie in one pack, and returns its
// path without a suffix.
func onePack(t *testing.T, r *Repo, dir string) string {
	t.Helper()
	needGit(t)
	git(t, dir, "repack", "-adfq", "--depth=0")
	packs := matches(t, dir, "objects/pack/*.pack")
	if len(packs) != 1 {
		t.Fatalf("packs: %v", packs)
	}
	if err := r.Look(); err != nil && !errors.Is(err, ErrLost) {
		t.Fatal(err)
	}
	return strings.TrimSuffix(packs[0], ".pack")
}

func replaceFile(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	write(t, name, string(data))
}

func content(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// An object that only a damaged pack has is named with that pack, the rest is
// read; and when the pack is restored it is taken up without a new start.
func TestAPackThatCannotBeOpenedIsTakenUpWhenItIsRestored(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, base string){
		"torn pack": func(t *testing.T, base string) {
			data := content(t, base+".pack")
			replaceFile(t, base+".pack", data[:len(data)-50])
		},
		"garbage index": func(t *testing.T, base string) { replaceFile(t, base+".idx", []byte("garbage")) },
	} {
		t.Run(name, func(t *testing.T) {
			r, dir, tip := victims(t)
			base := onePack(t, r, dir)
			closeRepo(t, r)
			pack, idx := content(t, base+".pack"), content(t, base+".idx")
			spoil(t, base)
			r = opened(t, dir)
			at, err := r.Tip("")
			if err != nil || at != tip {
				t.Fatalf("the branch is at %s, %v", at, err)
			}
			_, err = r.ReadFile(context.Background(), tip, path(t, "docs/b/text"))
			kind := ErrCorrupt
			if name == "garbage index" {
				kind = ErrNotFound // nobody knows what that pack has
			}
			wantError(t, err, kind, filepath.Base(base))
			wantError(t, err, kind, tip.String())
			if err := r.Settle(context.Background()); err != nil {
				t.Error(err)
			}
			replaceFile(t, base+".pack", pack)
			replaceFile(t, base+".idx", idx)
			othersRead(t, r, tip, "a", "b", "c")
			if known := r.Damage(); len(known) != 0 {
				t.Errorf("known damage: %+v", known)
			}
			if err := r.Maintenance().Err; err != nil {
				t.Error(err)
			}
		})
	}
}

// overwriteBlob changes three bytes in the middle of an object in its pack.
func overwriteBlob(t *testing.T, r *Repo, h Hash) (restore func()) {
	t.Helper()
	p, offset, err := r.objects.(*packStore).find(h)
	if err != nil {
		t.Fatal(err)
	}
	change := func() {
		data := content(t, p.path)[offset+6 : offset+9]
		for i := range data {
			data[i] ^= 0xff
		}
		if err := os.Chmod(p.path, 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(p.path, os.O_WRONLY, 0) // in place: it is open
		if err == nil {
			_, err = f.WriteAt(data, offset+6)
			err = errors.Join(err, f.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	change()
	return change
}

// What a reader met is known from then on, until the file is restored.
func TestADamagedObjectThatWasReadIsKnown(t *testing.T) {
	r, _, tip := victims(t)
	blob := blobOf("text of b").hash
	restore := overwriteBlob(t, r, blob)
	if known := r.Damage(); len(known) != 0 {
		t.Fatalf("known before anybody looked: %+v", known)
	}
	_, err := r.ReadFile(context.Background(), tip, path(t, "docs/b/text"))
	wantError(t, err, ErrCorrupt, blob.String())
	known := r.Damage()
	if len(known) != 1 || known[0].Object != blob || !errors.Is(known[0].Err, ErrCorrupt) {
		t.Errorf("known damage: %+v", known)
	}
	if lost, err := r.Lost(blob); err != nil || !lost {
		t.Errorf("lost: %v, %v", lost, err)
	}
	if lost, err := r.Lost(blobOf("text of a").hash); err != nil || lost {
		t.Errorf("another one is lost: %v, %v", lost, err)
	}
	next := commit(t, r, put(t, "docs/d/text", "text of d"))
	othersRead(t, r, next, "a", "c", "d")
	restore()
	othersRead(t, r, next, "a", "b", "c", "d")
	if known := r.Damage(); len(known) != 0 {
		t.Errorf("known after it was restored: %+v", known)
	}
}

// A damaged blob whose content somebody has is written again, into another
// pack; the maintenance does not undo that.
func TestADamagedObjectIsWrittenAgain(t *testing.T) {
	r, dir, tip := victims(t)
	blob := blobOf("text of b").hash
	overwriteBlob(t, r, blob)
	if _, err := r.ReadFile(context.Background(), tip, path(t, "docs/b/text")); !errors.Is(err, ErrCorrupt) {
		t.Fatal(err)
	}
	if err := r.Rewrite(context.Background(), [][]byte{[]byte("text of b"), []byte("text of a")}); err != nil {
		t.Fatal(err)
	}
	if known := r.Damage(); len(known) != 0 {
		t.Errorf("known after it was written again: %+v", known)
	}
	othersRead(t, r, tip, "a", "b", "c")
	err := r.Settle(context.Background())
	if err != nil && !errors.Is(err, ErrCorrupt) {
		t.Fatal(err)
	}
	othersRead(t, r, tip, "a", "b", "c")
	closeRepo(t, r)
	r = opened(t, dir)
	othersRead(t, r, tip, "a", "b", "c")
}

// Maintenance and Verify tell what they met, each object.
func TestWhatMaintenanceAndVerifyMeetIsKnown(t *testing.T) {
	for name, meet := range map[string]func(r *Repo) error{
		"maintenance": func(r *Repo) error {
			if err := r.Settle(context.Background()); !errors.Is(err, ErrCorrupt) {
				return errors.New("the maintenance met nothing")
			}
			return nil
		},
		"verify": func(r *Repo) error { _, err := r.Verify(context.Background(), VerifyOptions{}); return err },
	} {
		t.Run(name, func(t *testing.T) {
			r, _, tip := victims(t)
			blob := blobOf("text of b").hash
			overwriteBlob(t, r, blob)
			if err := meet(r); err != nil {
				t.Fatal(err)
			}
			known := r.Damage()
			if len(known) != 1 || known[0].Object != blob {
				t.Errorf("known damage: %+v", known)
			}
			othersRead(t, r, tip, "a", "c")
		})
	}
}
