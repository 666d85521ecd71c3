package durable

import (
	"errors"
	"io"
	"os"
)

// Handle is an open file.
type Handle interface {
	io.ReadWriteCloser
	io.ReaderAt
	Stat() (os.FileInfo, error)
	Sync() error
}

// FS is what a Volume needs of a file system. Names are absolute or relative
// paths in the form of the machine; errors are those of package os.
type FS interface {
	// OpenFile is os.OpenFile; a folder can be opened for reading only.
	OpenFile(name string, flag int, perm os.FileMode) (Handle, error)
	Stat(name string) (os.FileInfo, error)
	Lstat(name string) (os.FileInfo, error)
	ReadDir(name string) ([]os.DirEntry, error) // by name
	Mkdir(name string, perm os.FileMode) error
	Rename(from, to string) error
	Remove(name string) error // a file or an empty folder
	// SyncDir brings the entries of a folder to the disk.
	SyncDir(name string) error
}

// Volume is a file system with the operations of this package. The zero value
// is the one of this machine; tests give another, to see what a power cut
// leaves.
type Volume struct{ FS FS }

func (v Volume) fs() FS {
	if v.FS == nil {
		return machine{}
	}
	return v.FS
}

// Open opens a file for reading.
func (v Volume) Open(name string) (Handle, error) { return v.fs().OpenFile(name, os.O_RDONLY, 0) }

// Append opens a file to write at its end, and makes it if it is missing: then
// its name is durable after a SyncDir.
func (v Volume) Append(name string, perm os.FileMode) (Handle, error) {
	return v.fs().OpenFile(name, os.O_WRONLY|os.O_APPEND|os.O_CREATE, perm)
}

// Stat is os.Stat.
func (v Volume) Stat(name string) (os.FileInfo, error) { return v.fs().Stat(name) }

// Lstat is os.Lstat.
func (v Volume) Lstat(name string) (os.FileInfo, error) { return v.fs().Lstat(name) }

// ReadDir is os.ReadDir.
func (v Volume) ReadDir(name string) ([]os.DirEntry, error) { return v.fs().ReadDir(name) }

// Discard deletes a file or an empty folder without a sync: after a power cut
// it may be there again.
func (v Volume) Discard(name string) error { return wrap("remove", name, v.fs().Remove(name)) }

// ReadFile is os.ReadFile.
func (v Volume) ReadFile(name string) (data []byte, err error) {
	file, err := v.Open(name)
	if err != nil {
		return nil, err
	}
	data, err = io.ReadAll(file)
	return data, errors.Join(err, file.Close())
}

// machine is the file system of this machine.
type machine struct{}

func (machine) OpenFile(name string, flag int, perm os.FileMode) (Handle, error) {
	file, err := os.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err // not a Handle that holds a nil file
	}
	return file, nil
}
func (machine) Stat(name string) (os.FileInfo, error)      { return os.Stat(name) }
func (machine) Lstat(name string) (os.FileInfo, error)     { return os.Lstat(name) }
func (machine) ReadDir(name string) ([]os.DirEntry, error) { return os.ReadDir(name) }
func (machine) Mkdir(name string, perm os.FileMode) error  { return os.Mkdir(name, perm) }
func (machine) Rename(from, to string) error               { return os.Rename(from, to) }
func (machine) Remove(name string) error                   { return os.Remove(name) }

func (machine) SyncDir(name string) error {
	folder, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// The functions below are the operations of the zero Volume.

// MkdirAll is Volume.MkdirAll on this machine.
func MkdirAll(dir string, perm os.FileMode) error { return Volume{}.MkdirAll(dir, perm) }

// Rename is Volume.Rename on this machine.
func Rename(from, to string) error { return Volume{}.Rename(from, to) }

// Remove is Volume.Remove on this machine.
func Remove(path string) error { return Volume{}.Remove(path) }

// WriteFile is Volume.WriteFile on this machine.
func WriteFile(path string, data []byte, perm os.FileMode) error {
	return Volume{}.WriteFile(path, data, perm)
}
