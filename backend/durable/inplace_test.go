package durable_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/caiatech/caiatop/backend/durable"
	"github.com/caiatech/caiatop/backend/durable/powercut"
)

func TestInPlaceWritesOverWhatIsThere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	for _, c := range []struct {
		at         int64
		data, want string
	}{{0, "0123456789", "0123456789"}, {3, "xyz", "012xyz6789"}, {9, "abc", "012xyz678abc"}} {
		f, err := durable.Volume{}.OpenInPlace(path, 0o600)
		if err == nil {
			err = errors.Join(f.WriteAt([]byte(c.data), c.at), f.Sync(), f.Failed(), f.Close(), f.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != c.want {
			t.Fatalf("%q, %v; want %q", got, err, c.want)
		}
	}
}

// After a failed write or sync nothing is written any more.
func TestInPlaceIsPoisonedByAFailure(t *testing.T) {
	for _, kind := range []powercut.Kind{powercut.Write, powercut.Sync} {
		d := powercut.New()
		f, err := d.Volume().OpenInPlace("/file", 0o600)
		if err != nil {
			t.Fatal(err)
		}
		d.Fail(powercut.Fault{Kind: kind, N: 1, Err: syscall.ENOSPC, Short: 2})
		err = f.WriteAt([]byte("abcd"), 0)
		if kind == powercut.Sync {
			if err != nil {
				t.Fatal(err)
			}
			err = f.Sync()
		}
		if !errors.Is(err, durable.ErrDiskFull) {
			t.Fatalf("%v, want ErrDiskFull", err)
		}
		before := d.Count(powercut.Change)
		for _, err := range []error{f.WriteAt([]byte("x"), 0), f.Sync(), f.Failed()} {
			if !errors.Is(err, durable.ErrPoisoned) || !errors.Is(err, durable.ErrDiskFull) {
				t.Errorf("%s: %v, want ErrPoisoned", kind, err)
			}
		}
		if d.Count(powercut.Change) != before {
			t.Errorf("%s: the disk was asked again", kind)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestInPlaceNeedsAFileThatCanBeWrittenAnywhere(t *testing.T) {
	if _, err := (durable.Volume{FS: appendOnly{powercut.New()}}).OpenInPlace("/file", 0o600); !errors.Is(err, errors.ErrUnsupported) {
		t.Fatalf("%v, want ErrUnsupported", err)
	}
}

// appendOnly has files without WriteAt.
type appendOnly struct{ durable.FS }

func (a appendOnly) OpenFile(name string, flag int, perm os.FileMode) (durable.Handle, error) {
	f, err := a.FS.OpenFile(name, flag, perm)
	return struct{ durable.Handle }{f}, err
}

func TestLeaveKeepsTheName(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	f, err := durable.Volume{}.Create(path, 0o600)
	if err == nil {
		_, err = f.Write([]byte("kept"))
	}
	if err = errors.Join(err, f.Leave()); err != nil {
		t.Fatal(err)
	}
	if err := f.Leave(); !errors.Is(err, fs.ErrInvalid) {
		t.Fatalf("%v, want ErrInvalid", err)
	}
	if err := f.Abort(); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "kept" {
		t.Fatalf("%q, %v", got, err)
	}
}
