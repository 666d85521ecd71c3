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
func SyncDir(dir string) error {
	folder, err := os.Open(dir)
	if err != nil {
		return wrap("open folder", dir, err)
	}
	synced := folder.Sync()
	return errors.Join(wrap("sync folder", dir, synced), wrap("close folder", dir, folder.Close()))
}

// MkdirAll makes dir and the parents it lacks, and syncs every folder that
// got a new entry. An existing folder is no error.
func MkdirAll(dir string, perm os.FileMode) error {
	dir = filepath.Clean(dir)
	info, err := os.Stat(dir)
	switch {
	case err == nil && info.IsDir():
		return nil
	case err == nil:
		return wrap("make folder", dir, syscall.ENOTDIR)
	case !errors.Is(err, fs.ErrNotExist):
		return wrap("make folder", dir, err)
	}
	parent := filepath.Dir(dir)
	if err := MkdirAll(parent, perm); err != nil {
		return err
	}
	// Somebody else may make it at the same time; then we sync it all the same.
	if err := os.Mkdir(dir, perm); err != nil && !errors.Is(err, fs.ErrExist) {
		return wrap("make folder", dir, err)
	}
	return SyncDir(parent)
}

// Rename moves a file, replacing what is at to, and syncs both folders. An
// error that wraps ErrUnsynced says that the move itself did happen.
func Rename(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return wrap("rename", from, err)
	}
	return syncRename(from, to)
}

// Remove deletes a file or an empty folder and syncs its folder. An error
// that wraps ErrUnsynced says that the removal itself did happen.
func Remove(path string) error {
	if err := os.Remove(path); err != nil {
		return wrap("remove", path, err)
	}
	return unsynced(SyncDir(filepath.Dir(path)))
}

// syncRename syncs the folder of the new name first: a crash in between may
// then leave both names, never none.
func syncRename(from, to string) error {
	if err := SyncDir(filepath.Dir(to)); err != nil {
		return unsynced(err)
	}
	if filepath.Dir(from) == filepath.Dir(to) {
		return nil
	}
	return unsynced(SyncDir(filepath.Dir(from)))
}

func unsynced(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrUnsynced, err)
}
