package durable_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/caiatech/caiatop/backend/durable"
)

// A failed write or sync must never be followed by a rename, even if the
// caller forgot the error.
func TestFailedFileIsNeverRenamed(t *testing.T) {
	steps := map[string]func(f *durable.File) error{
		"write":       func(f *durable.File) error { _, err := f.Write([]byte("new")); return err },
		"sync":        func(f *durable.File) error { return f.Sync() },
		"commit only": func(*durable.File) error { return fs.ErrClosed },
	}
	for name, step := range steps {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			final := filepath.Join(dir, "final")
			if err := durable.WriteFile(final, []byte("old"), 0o600); err != nil {
				t.Fatal(err)
			}
			f, err := durable.Volume{}.CreateTemp(dir, "tmp-", 0o600)
			if err != nil {
				t.Fatal(err)
			}
			if err := f.Break(); err != nil {
				t.Fatal(err)
			}
			if err := step(f); err == nil {
				t.Fatal("the broken file took it")
			}
			if _, err := f.Write([]byte("again")); err == nil {
				t.Fatal("a write after the failure was accepted")
			}
			if err := f.Commit(final); !errors.Is(err, durable.ErrPoisoned) {
				t.Fatalf("Commit: %v", err)
			}
			if got := read(t, final); got != "old" {
				t.Fatalf("renamed after a failure: %q", got)
			}
			if got := names(t, dir); len(got) != 1 {
				t.Fatalf("left behind: %v", got)
			}
		})
	}
}

func TestCommitToAMissingFolder(t *testing.T) {
	dir := t.TempDir()
	f, err := durable.Volume{}.CreateTemp(dir, "tmp-", 0o600)
	if err != nil {
		t.Fatal(err)
	}
	err = f.Commit(filepath.Join(dir, "missing", "final"))
	if !errors.Is(err, fs.ErrNotExist) || errors.Is(err, durable.ErrUnsynced) {
		t.Fatalf("got %v", err)
	}
	if got := names(t, dir); len(got) != 0 {
		t.Fatalf("left behind: %v", got)
	}
	if _, err := os.Stat(filepath.Join(dir, "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
}
