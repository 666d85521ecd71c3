package gitrepo

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/caiatech/caiatop/backend/durable"
)

// A read-only folder gives the typed error, and reads go on.
func TestReadOnlyDisk(t *testing.T) {
	r, dir := disked(t)
	tip := commit(t, r, put(t, "a", "1"))
	refilled(r) // spare files were tried out
	packs := filepath.Join(dir, "objects", "pack")
	if err := os.Chmod(packs, 0o555); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(packs, 0o755) })
	var err error
	withoutPrivilege(t, dir, func() {
		_, err = r.Commit(context.Background(), CommitInput{Changes: []Change{put(t, "a", "2")}, Author: ann, At: when})
	})
	if !errors.Is(err, durable.ErrReadOnly) {
		t.Fatalf("got %v", err)
	}
	wantFile(t, r, tip, "a", "1")
}

// withoutPrivilege runs f as one whom file modes bind: root gives dir to nobody
// and acts as nobody on this one thread, which is not used again.
func withoutPrivilege(t *testing.T, dir string, f func()) {
	t.Helper()
	if os.Getuid() != 0 {
		f()
		return
	}
	const nobody = 65534
	if err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Chown(path, nobody, nobody))
	}); err != nil {
		t.Fatal(err)
	}
	for up := filepath.Dir(dir); up != os.TempDir() && len(up) > 1; up = filepath.Dir(up) {
		if err := os.Chmod(up, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		err := syscall.Setfsuid(nobody)
		if err == nil {
			f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
