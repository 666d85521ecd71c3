package durable

import (
	"bytes"
	"errors"
	"io"
	"os"
	"runtime"
	"syscall"
)

// Linker is what an FS can do besides, where the system can.
type Linker interface {
	// Link gives a file one more name; fs.ErrExist if something has it.
	Link(old, name string) error
}

// Link gives a file one more name. As every new name it is durable when its
// folder was synced. The error wraps errors.ErrUnsupported where there is no
// such thing.
func (v Volume) Link(old, name string) error {
	linker, ok := v.fs().(Linker)
	if !ok {
		return wrap("link", name, errors.ErrUnsupported)
	}
	return wrap("link", name, linker.Link(old, name))
}

// Link implements Linker.
func (machine) Link(old, name string) error { return os.Link(old, name) }

// Link implements Linker where the file system below does.
func (t tracked) Link(old, name string) error {
	if linker, ok := t.FS.(Linker); ok {
		return linker.Link(old, name)
	}
	return errors.ErrUnsupported
}

// Sign is a file that says by its content whose it is, and by a lock of the
// kernel that its owner lives: under each of its names, and until its process
// ends, however it ends. A copy of the file has no owner.
type Sign struct{ file Handle }

// CreateSign makes a file at path, which must not exist (fs.ErrExist), and
// brings its content to the disk, but not its name.
func (v Volume) CreateSign(path string, content []byte, perm os.FileMode) (*Sign, error) {
	file, err := v.fs().OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return nil, wrap("create", path, err)
	}
	// The lock comes first: who finds the content finds it locked.
	_, err = lockHandle(file)
	if err == nil {
		_, err = file.Write(content)
	}
	if err == nil {
		err = file.Sync()
	}
	if err != nil {
		return nil, errors.Join(wrap("write", path, err), file.Close(), v.Discard(path))
	}
	return &Sign{file}, nil
}

// Release gives the file up; it stays where it is.
func (s *Sign) Release() error { return s.file.Close() }

// Deserted reports whether a file is a sign with that content whose owner is
// dead. Where the system cannot tell, nothing is.
func (v Volume) Deserted(path string, content []byte) (deserted bool, err error) {
	file, err := v.Open(path)
	if err != nil {
		return false, wrap("read", path, err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	data, err := io.ReadAll(io.LimitReader(file, int64(len(content))+1))
	if err != nil || !bytes.Equal(data, content) {
		return false, wrap("read", path, err)
	}
	free, err := lockHandle(file)
	return free, wrap("lock", path, err)
}

// lockHandle locks an open file until it is closed, and reports whether nobody
// else had it. Files that only tests have have no other owner.
func lockHandle(h Handle) (free bool, err error) {
	file, ok := h.(interface{ Fd() uintptr })
	if !ok {
		return true, nil
	}
	for {
		err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) //nolint:gosec // a descriptor
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	runtime.KeepAlive(h)
	if errors.Is(err, syscall.EWOULDBLOCK) || errors.Is(err, syscall.ENOLCK) || errors.Is(err, errors.ErrUnsupported) {
		return false, nil // of somebody, or there are no locks here
	}
	return err == nil, err
}
