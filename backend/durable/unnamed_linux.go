package durable

import (
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// OpenUnnamed implements Unnamer.
func (machine) OpenUnnamed(dir string, perm os.FileMode) (Unnamed, error) {
	file, err := os.OpenFile(dir, os.O_WRONLY|unix.O_TMPFILE, perm)
	if err != nil {
		return nil, err // not an Unnamed that holds a nil file
	}
	return unnamedFile{file}, nil
}

type unnamedFile struct{ *os.File }

// Link finds the file by its number, which takes no privilege, but /proc.
func (f unnamedFile) Link(name string) error {
	at := "/proc/self/fd/" + strconv.FormatUint(uint64(f.Fd()), 10)
	err := unix.Linkat(unix.AT_FDCWD, at, unix.AT_FDCWD, name, unix.AT_SYMLINK_FOLLOW)
	runtime.KeepAlive(f.File)
	if err != nil {
		return &os.LinkError{Op: "link", Old: at, New: name, Err: err}
	}
	return nil
}
