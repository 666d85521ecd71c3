package gitrepo

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What a crash can leave: temporary files of dead processes, a pack without an
// index, a lock.
func TestLeftoversOfACrash(t *testing.T) {
	r, dir := disked(t)
	tip := commit(t, r, put(t, "a", "1"))
	closeRepo(t, r)
	packs := filepath.Join(dir, "objects", "pack")
	dead := filepath.Join(packs, tempPrefix+"999999999_0011")
	living := filepath.Join(packs, tempName()+"0011")
	old := filepath.Join(packs, tempName()+"0022")
	lock := filepath.Join(dir, "refs", "heads", "main.lock")
	for _, f := range []string{dead, living, old, lock, filepath.Join(packs, "pack-"+strings.Repeat("a", 40)+".pack")} {
		write(t, f, "torn")
	}
	before := started.Add(-time.Minute)
	for _, f := range []string{old, lock} {
		if err := os.Chtimes(f, before, before); err != nil {
			t.Fatal(err)
		}
	}
	again := opened(t, dir)
	for f, want := range map[string]bool{dead: false, old: false, living: true} {
		if _, err := os.Stat(f); (err == nil) != want {
			t.Errorf("%s: %v", filepath.Base(f), err)
		}
	}
	wantFile(t, again, tip, "a", "1")
	h := commit(t, again, put(t, "a", "2"))
	wantFile(t, again, h, "a", "2")
	if _, err := os.Stat(lock); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the stale lock is still there: %v", err)
	}
}

// The temporary file of a process that lives, or seems to, is left alone for an
// hour and removed then, by the clock that the repository was opened with.
func TestWhatALivingProcessLeftIsAbandonedAfterAnHour(t *testing.T) {
	_, dir := disked(t)
	written := time.Now().Truncate(time.Second)
	files := []string{
		filepath.Join(dir, "objects", "pack", fmt.Sprintf("%s%d_0011", tempPrefix, os.Getppid())),
		filepath.Join(dir, ".config.tmp-0011"),
	}
	for _, f := range files {
		write(t, f, "torn")
		if err := os.Chtimes(f, written, written); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		age   time.Duration
		there bool
	}{{0, true}, {abandonedAfter - time.Second, true}, {abandonedAfter + time.Second, false}} {
		r, err := OpenDisk(dir, Options{Now: func() time.Time { return written.Add(test.age) }})
		if err != nil {
			t.Fatal(err)
		}
		closeRepo(t, r)
		for _, f := range files {
			if _, err := os.Stat(f); (err == nil) != test.there {
				t.Errorf("%s at the age of %s: %v", filepath.Base(f), test.age, err)
			}
		}
	}
}
