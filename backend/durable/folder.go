package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// SyncDir brings the entries of a folder to the disk.
func (v Volume) SyncDir(dir string) error { return wrap("sync folder", dir, v.fs().SyncDir(dir)) }

// MkdirAll makes dir and the parents it lacks, and syncs every folder that
// got a new entry. An existing folder is no error.
func (v Volume) MkdirAll(dir string, perm os.FileMode) error {
	dir = filepath.Clean(dir)
	info, err := v.Stat(dir)
	switch {
	case err == nil && info.IsDir():
		return nil
	case err == nil:
		return wrap("make folder", dir, syscall.ENOTDIR)
	case !errors.Is(err, fs.ErrNotExist):
		return wrap("make folder", dir, err)
	}
	parent := filepath.Dir(dir)
	if err := v.MkdirAll(parent, perm); err != nil {
		return err
	}
	// Somebody else may make it at the same time; then we sync it all the same.
	if err := v.fs().Mkdir(dir, perm); err != nil && !errors.Is(err, fs.ErrExist) {
		return wrap("make folder", dir, err)
	}
	return v.SyncDir(parent)
}

// Rename moves a file, replacing what is at to, and syncs both folders. An
// error that wraps ErrUnsynced says that the move itself did happen.
func (v Volume) Rename(from, to string) error {
	if err := v.fs().Rename(from, to); err != nil {
		return wrap("rename", from, err)
	}
	return v.syncRename(from, to)
}

// Remove deletes a file or an empty folder and syncs its folder. An error
// that wraps ErrUnsynced says that the removal itself did happen.
func (v Volume) Remove(path string) error {
	if err := v.Discard(path); err != nil {
		return err
	}
	return unsynced(v.SyncDir(filepath.Dir(path)))
}

// syncRename syncs the folder of the new name first: a crash in between may
// then leave both names, never none.
func (v Volume) syncRename(from, to string) error {
	if err := v.SyncDir(filepath.Dir(to)); err != nil {
		return unsynced(err)
	}
	if filepath.Dir(from) == filepath.Dir(to) {
		return nil
	}
	return unsynced(v.SyncDir(filepath.Dir(from)))
}

func unsynced(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrUnsynced, err)
}
