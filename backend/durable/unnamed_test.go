package durable_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caiatech/caiatop/backend/durable"
)

func unnamed(t *testing.T, dir, text string) *durable.File {
	t.Helper()
	f, err := durable.Volume{}.CreateUnnamed(dir, "tmp-", 0o640)
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrInvalid) {
		t.Skipf("no unnamed files here: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestUnnamedFilesAreInNoFolder(t *testing.T) {
	dir := t.TempDir()
	f := unnamed(t, dir, "x")
	if err := f.Abort(); err != nil {
		t.Fatal(err)
	}
	if err := f.Claim(filepath.Join(dir, "late")); err == nil {
		t.Error("named after Abort")
	}
	g := unnamed(t, dir, "x")
	defer func() {
		if err := g.Abort(); err != nil {
			t.Error(err)
		}
	}()
	if left := names(t, dir); len(left) != 0 {
		t.Errorf("there is %v", left)
	}
}

// Place names a file, and replaces what is there.
func TestPlaceNamesAnUnnamedFile(t *testing.T) {
	dir := t.TempDir()
	final := filepath.Join(dir, "final")
	for _, text := range []string{"one", "two"} {
		if err := unnamed(t, dir, text).Commit(final); err != nil {
			t.Fatal(err)
		}
		if got := read(t, final); got != text {
			t.Errorf("%q, want %q", got, text)
		}
		if got := names(t, dir); len(got) != 1 {
			t.Errorf("left behind: %v", got)
		}
	}
	plain := filepath.Join(dir, "plain")
	f, err := durable.Volume{}.Create(plain, 0o640)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Commit(plain); err != nil {
		t.Fatal(err)
	}
	a, errA := os.Stat(final)
	b, errB := os.Stat(plain)
	if err := errors.Join(errA, errB); err != nil || a.Mode() != b.Mode() {
		t.Errorf("%v, %v, %v", a, b, err)
	}
	f = unnamed(t, dir, "x")
	if err := f.Place(filepath.Join(dir, "missing", "final")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("into no folder: %v", err)
	}
	if got := names(t, dir); len(got) != 2 {
		t.Errorf("left behind: %v", got)
	}
}

// Claim takes a name as Create does: once.
func TestClaimIsExclusive(t *testing.T) {
	dir := t.TempDir()
	path, final := filepath.Join(dir, "lock"), filepath.Join(dir, "final")
	first, second := unnamed(t, dir, "first"), unnamed(t, dir, "second")
	if err := first.Claim(path); err != nil {
		t.Fatal(err)
	}
	if err := second.Claim(path); !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), path) {
		t.Fatalf("claimed twice: %v", err)
	}
	if err := first.Claim(final); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("a second name: %v", err)
	}
	if got := read(t, path); got != "first" || first.Path() != path {
		t.Errorf("%q at %s", got, first.Path())
	}
	if err := first.Commit(final); err != nil {
		t.Fatal(err)
	}
	if err := second.Claim(path); err != nil {
		t.Fatalf("the name is free again: %v", err)
	}
	if err := second.Abort(); err != nil {
		t.Fatal(err)
	}
	if got := names(t, dir); len(got) != 1 || read(t, final) != "first" {
		t.Errorf("there is %v", got)
	}
}

func TestAnUnnamedFileAfterAFailedWriteIsNotNamed(t *testing.T) {
	dir := t.TempDir()
	f := unnamed(t, dir, "x")
	if err := f.Break(); err != nil {
		t.Fatal(err)
	}
	if err := f.Place(filepath.Join(dir, "final")); err == nil {
		t.Error("placed")
	}
	if got := names(t, dir); len(got) != 0 {
		t.Errorf("there is %v", got)
	}
}

func TestNotEveryFileSystemHasUnnamedFiles(t *testing.T) {
	plain := durable.Volume{FS: struct{ durable.FS }{}}
	tracked, _ := plain.Track()
	for _, v := range []durable.Volume{plain, tracked} {
		if _, err := v.CreateUnnamed("/", "tmp-", 0o600); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("got %v", err)
		}
	}
}
