package durable

import (
	"errors"
	"io/fs"
	"os"

	"github.com/gofrs/flock"
)

// Held reports who holds the lock of the file at path, without taking it and
// without making the file: held is false where there is none. pid is 0 where
// nobody holds it or the file does not say who. To find out, the lock is shared
// for an instant, in which AcquireLock of another process may fail.
func Held(path string) (held bool, pid int, err error) {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return false, 0, nil
	}
	l := flock.New(path, flock.SetFlag(os.O_RDONLY))
	free, err := l.TryRLock()
	if err = errors.Join(err, l.Close()); err != nil {
		return false, 0, wrap("look at the lock", path, err)
	}
	if free {
		return false, 0, nil
	}
	pid, err = readPID(path)
	return true, pid, err
}
