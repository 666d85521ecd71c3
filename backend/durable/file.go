package durable

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// File is a file under construction. It is written under a name of its own
// and gets its final name by Commit. It is not safe for concurrent use. Every
// File ends in Commit or Abort.
type File struct {
	volume Volume
	file   Handle
	// unnamed is the same file as long as it is in no folder; path is then the
	// name that it gets if it needs one before its final name.
	unnamed Unnamed
	path    string
	failed  error
	synced  bool // nothing was written since the last Sync
	done    bool
}

// Create makes a new file at path, which must not exist (fs.ErrExist).
func (v Volume) Create(path string, perm os.FileMode) (*File, error) {
	file, err := v.fs().OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return nil, wrap("create", path, err)
	}
	return &File{volume: v, file: file, path: path}, nil
}

// CreateTemp makes a new file in dir, under prefix and a random name.
func (v Volume) CreateTemp(dir, prefix string, perm os.FileMode) (*File, error) {
	const attempts = 16
	var last error
	for range attempts {
		name, err := tempName(prefix)
		if err != nil {
			return nil, err
		}
		f, err := v.Create(filepath.Join(dir, name), perm)
		if !errors.Is(err, fs.ErrExist) {
			return f, err
		}
		last = err
	}
	return nil, last
}

func tempName(prefix string) (string, error) {
	var random [8]byte
	if _, err := rand.Read(random[:]); err != nil {
		return "", fmt.Errorf("make up a name for a temporary file: %w", err)
	}
	return prefix + hex.EncodeToString(random[:]), nil
}

// Path returns the name that the file has until Commit.
func (f *File) Path() string { return f.path }

// Write appends data. After an error the file can only be aborted.
func (f *File) Write(data []byte) (int, error) {
	if f.failed != nil {
		return 0, f.failed
	}
	f.synced = false
	n, err := f.file.Write(data)
	if err != nil {
		return n, f.poison(wrap("write", f.path, err))
	}
	return n, nil
}

// Sync brings what was written to the disk, if it is not there yet. After an
// error the file can only be aborted.
func (f *File) Sync() error {
	if f.failed != nil {
		return f.failed
	}
	if f.synced {
		return nil
	}
	if err := f.file.Sync(); err != nil {
		return f.poison(wrap("sync", f.path, err))
	}
	f.synced = true
	return nil
}

// Commit syncs the file, renames it to final, replacing what is there, and
// syncs the folder. After a failed Write or Sync it renames nothing, removes
// the file and returns an error that wraps ErrPoisoned. An error that wraps
// ErrUnsynced says that the rename itself did happen.
func (f *File) Commit(final string) error {
	if err := f.Place(final); err != nil {
		return err
	}
	return f.volume.syncRename(f.path, final)
}

// Place is Commit without the sync of the folder, for several files that go to
// one folder: the caller's SyncDir makes their names durable together.
func (f *File) Place(final string) error {
	if f.done {
		return fmt.Errorf("commit %s: %w", f.path, fs.ErrClosed)
	}
	// The outcome is decided by Sync, whose error names the first failure.
	if err := f.Sync(); err != nil {
		return errors.Join(err, f.Abort())
	}
	if f.unnamed != nil { // closed before it has a name, it would be gone
		err := f.name(final)
		f.done = true
		return errors.Join(err, wrap("close", f.path, f.file.Close()))
	}
	f.done = true
	if err := f.file.Close(); err != nil {
		err = wrap("close", f.path, err)
		return errors.Join(err, f.volume.Discard(f.path))
	}
	return f.name(final)
}

// Abort closes and removes the file. After Commit it does nothing.
func (f *File) Abort() error {
	if f.done {
		return nil
	}
	f.done = true
	closed := f.file.Close()
	if errors.Is(closed, fs.ErrClosed) {
		closed = nil
	}
	var removed error
	if f.unnamed == nil {
		removed = f.volume.Discard(f.path)
	}
	if errors.Is(removed, fs.ErrNotExist) {
		removed = nil
	}
	return errors.Join(wrap("close", f.path, closed), removed)
}

func (f *File) poison(err error) error {
	f.failed = fmt.Errorf("%w: %w", ErrPoisoned, err)
	return err
}

// WriteFile puts data under path, replacing what is there: after a power cut
// the file holds the old bytes or the new ones. An error that wraps
// ErrUnsynced says that the new ones are visible already.
func (v Volume) WriteFile(path string, data []byte, perm os.FileMode) error {
	f, err := v.CreateTemp(filepath.Dir(path), "."+shortBase(path)+".tmp-", perm)
	if err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		return errors.Join(err, f.Abort())
	}
	return f.Commit(path)
}

// shortBase leaves room for the temporary suffix within the 255 bytes of a
// file name.
func shortBase(path string) string {
	base := filepath.Base(path)
	return base[:min(len(base), 200)]
}
