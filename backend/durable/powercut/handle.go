package powercut

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/caiatech/caiatop/backend/durable"
)

// handle is an open file. It goes on after its name was removed. Its fields
// are guarded by disk.mu.
type handle struct {
	disk   *Disk
	name   string
	node   *node
	read   bool
	write  bool
	append bool
	at     int64
	closed bool
}

// OpenFile implements durable.FS.
func (d *Disk) OpenFile(name string, flag int, perm os.FileMode) (durable.Handle, error) {
	kind := Open
	if flag&(os.O_CREATE|os.O_TRUNC) != 0 {
		kind = Create
	}
	if err := d.enter(Op{Kind: kind, Path: name}); err != nil {
		return nil, failed("open", name, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	at, err := d.find(name)
	access := flag & (os.O_RDONLY | os.O_WRONLY | os.O_RDWR)
	if err == nil {
		err = mayOpen(at, flag, access)
	}
	if err != nil {
		return nil, failed("open", name, err)
	}
	switch {
	case at.node == nil:
		at.node = &node{perm: perm, changed: d.clock(), file: content{owned: true}}
		d.set(at.parent, at.name, state{node: at.node})
	case flag&os.O_TRUNC != 0:
		at.node.file.truncate()
		at.node.changed = d.clock()
	}
	return &handle{
		disk: d, name: name, node: at.node, append: flag&os.O_APPEND != 0,
		read: access != os.O_WRONLY, write: access != os.O_RDONLY,
	}, nil
}

func mayOpen(at place, flag, access int) error {
	create := flag&os.O_CREATE != 0
	switch {
	case at.node == nil && !create:
		return syscall.ENOENT
	case at.node == nil:
		return nil
	case create && flag&os.O_EXCL != 0:
		return syscall.EEXIST
	case at.node.folder && (create || access != os.O_RDONLY || flag&os.O_TRUNC != 0):
		return syscall.EISDIR
	}
	return nil
}

func (h *handle) fail(operation string, err error) error { return failed(operation, h.name, err) }

// enter begins an operation that needs an open file. The caller unlocks if the
// error is nil.
func (h *handle) enter(operation string, allowed bool) error {
	h.disk.mu.Lock()
	var err error
	switch {
	case h.closed:
		err = os.ErrClosed
	case !allowed:
		err = syscall.EBADF
	case operation != "stat" && operation != "sync" && h.node.folder:
		err = syscall.EISDIR
	default:
		return nil
	}
	h.disk.mu.Unlock()
	return h.fail(operation, err)
}

func (h *handle) Read(b []byte) (int, error) {
	if err := h.disk.enter(Op{Kind: Read, Path: h.name}); err != nil {
		return 0, h.fail("read", err)
	}
	// Where nothing is asked for, the kernel is not either.
	if len(b) == 0 {
		if err := h.enter("stat", true); err != nil {
			return 0, h.fail("read", os.ErrClosed)
		}
		h.disk.mu.Unlock()
		return 0, nil
	}
	if err := h.enter("read", h.read); err != nil {
		return 0, err
	}
	defer h.disk.mu.Unlock()
	n := h.copy(b, h.at)
	h.at += int64(n)
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// copy reads at an offset.
func (h *handle) copy(b []byte, at int64) int {
	if at >= int64(len(h.node.file.data)) {
		return 0
	}
	return copy(b, h.node.file.data[at:])
}

func (h *handle) ReadAt(b []byte, at int64) (int, error) {
	if err := h.disk.enter(Op{Kind: Read, Path: h.name}); err != nil {
		return 0, h.fail("read", err)
	}
	if at < 0 {
		return 0, h.fail("readat", errors.New("negative offset"))
	}
	if len(b) == 0 {
		return 0, nil
	}
	if err := h.enter("read", h.read); err != nil {
		return 0, err
	}
	defer h.disk.mu.Unlock()
	n := h.copy(b, at)
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (h *handle) Write(b []byte) (int, error) {
	fault := h.disk.arrive(Op{Kind: Write, Path: h.name})
	if err := h.enter("write", h.write); err != nil {
		return 0, err
	}
	defer h.disk.mu.Unlock()
	taken := b
	if fault != nil {
		taken = b[:min(fault.Short, len(b))]
	}
	if h.append && len(taken) > 0 {
		h.at = int64(len(h.node.file.data))
	}
	h.node.file.write(taken, h.at)
	h.at += int64(len(taken))
	h.node.changed = h.disk.clock()
	if fault != nil {
		return len(taken), h.fail("write", fault.Err)
	}
	return len(b), nil
}

// WriteAt implements io.WriterAt. It counts as a Write.
func (h *handle) WriteAt(b []byte, at int64) (int, error) {
	fault := h.disk.arrive(Op{Kind: Write, Path: h.name})
	if at < 0 {
		return 0, h.fail("writeat", errors.New("negative offset"))
	}
	if err := h.enter("write", h.write); err != nil {
		return 0, err
	}
	defer h.disk.mu.Unlock()
	taken := b
	if fault != nil {
		taken = b[:min(fault.Short, len(b))]
	}
	h.node.file.write(taken, at)
	h.node.changed = h.disk.clock()
	if fault != nil {
		return len(taken), h.fail("write", fault.Err)
	}
	return len(b), nil
}

func (h *handle) Sync() error {
	fault := h.disk.arrive(Op{Kind: Sync, Path: h.name})
	if err := h.enter("sync", true); err != nil {
		return err
	}
	defer h.disk.mu.Unlock()
	switch {
	case fault != nil:
		h.node.file.drop()
		return h.fail("sync", fault.Err)
	case h.node.folder:
		h.node.syncNames()
	default:
		h.node.file.sync()
	}
	return nil
}

func (h *handle) Stat() (os.FileInfo, error) {
	if err := h.enter("stat", true); err != nil {
		return nil, err
	}
	defer h.disk.mu.Unlock()
	return h.node.info(filepath.Base(h.name)), nil
}

func (h *handle) Close() error {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	if h.closed {
		return h.fail("close", os.ErrClosed)
	}
	h.closed = true
	return nil
}
