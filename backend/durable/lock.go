package durable

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/gofrs/flock"
)

// Lock is held by one process at a time. The kernel releases it when the
// process ends, however it ends.
type Lock struct {
	flock *flock.Flock
	path  string
}

// LockedError says that another holder has the lock.
type LockedError struct {
	Path string
	PID  int // of the holder; 0 if the file does not say
}

// Error names the holder.
func (e *LockedError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("lock %s: held by another process", e.Path)
	}
	return fmt.Sprintf("lock %s: held by process %d", e.Path, e.PID)
}

// pidWidth makes each process write the same number of bytes, so that one
// write replaces the holder before and a reader never sees half of each.
const pidWidth = 20

// AcquireLock takes the lock of the file at path, creating the file if it is
// missing, and writes our process id into it. It does not wait: while another
// holder has it, the error is a *LockedError. The file is never deleted,
// because deleting it would let two processes hold two files of one name.
func AcquireLock(path string) (*Lock, error) {
	l := &Lock{flock: flock.New(path, flock.SetPermissions(0o600)), path: path}
	taken, err := l.flock.TryLock()
	if err != nil {
		return nil, errors.Join(wrap("lock", path, err), l.flock.Close())
	}
	if !taken {
		pid, err := readPID(path)
		return nil, errors.Join(&LockedError{Path: path, PID: pid}, err, l.flock.Close())
	}
	if err := writePID(path); err != nil {
		return nil, errors.Join(err, l.Release())
	}
	return l, nil
}

// AcquireLock takes a lock of a file on v. A file system that only tests have
// is used by one process, and every lock of it is free.
func (v Volume) AcquireLock(path string) (*Lock, error) {
	if !v.onMachine() {
		return &Lock{path: path}, nil
	}
	return AcquireLock(path)
}

func (v Volume) onMachine() bool {
	if t, ok := v.FS.(tracked); ok {
		return Volume{FS: t.FS}.onMachine()
	}
	_, ok := v.fs().(machine)
	return ok
}

// Release gives the lock back. The file stays. Releasing twice is no error.
func (l *Lock) Release() error {
	if l.flock == nil {
		return nil
	}
	return wrap("unlock", l.path, l.flock.Unlock())
}

func writePID(path string) error {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return wrap("write our process id to", path, err)
	}
	_, err = fmt.Fprintf(file, "%-*d\n", pidWidth-1, os.Getpid())
	return wrap("write our process id to", path, errors.Join(err, file.Close()))
}

// readPID returns 0 where the holder has not written its id yet.
func readPID(path string) (int, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, wrap("read", path, err)
	}
	text := strings.TrimSpace(string(data[:min(len(data), pidWidth)]))
	pid, err := strconv.Atoi(text)
	if err != nil || pid < 0 {
		return 0, nil //nolint:nilerr // an unreadable id is an unknown holder
	}
	return pid, nil
}
