package powercut

import (
	"os"
	"syscall"

	"github.com/caiatech/caiatop/backend/durable"
)

var _ durable.Unnamer = (*Disk)(nil)

// OpenUnnamed implements durable.Unnamer. It counts as a Create in the folder.
func (d *Disk) OpenUnnamed(dir string, perm os.FileMode) (durable.Unnamed, error) {
	if err := d.enter(Op{Kind: Create, Path: dir}); err != nil {
		return nil, failed("open", dir, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	at, err := d.exists(dir)
	if err == nil && !at.node.folder {
		err = syscall.ENOTDIR
	}
	if err != nil {
		return nil, failed("open", dir, err)
	}
	n := &node{perm: perm, changed: d.clock(), file: content{owned: true}}
	return unnamed{&handle{disk: d, name: dir, node: n, write: true}}, nil
}

type unnamed struct{ *handle }

// Link implements durable.Unnamed.
func (u unnamed) Link(name string) error {
	err := u.disk.enter(Op{Kind: Link, Path: u.name, To: name})
	if err == nil {
		u.disk.mu.Lock()
		defer u.disk.mu.Unlock()
		err = u.link(name)
	}
	if err == nil {
		return nil
	}
	return &os.LinkError{Op: "link", Old: u.name, New: name, Err: err}
}

func (u unnamed) link(name string) error {
	if u.closed {
		return syscall.ENOENT
	}
	return u.disk.name(u.node, name)
}

var _ durable.Linker = (*Disk)(nil)

// Link implements durable.Linker.
func (d *Disk) Link(old, name string) error {
	err := d.enter(Op{Kind: Link, Path: old, To: name})
	if err == nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		var from place
		if from, err = d.exists(old); err == nil && from.node.folder {
			err = syscall.EPERM
		}
		if err == nil {
			err = d.name(from.node, name)
		}
	}
	if err == nil {
		return nil
	}
	return &os.LinkError{Op: "link", Old: old, New: name, Err: err}
}

// name gives a file a name that nothing has.
func (d *Disk) name(n *node, name string) error {
	at, err := d.find(name)
	switch {
	case err != nil:
		return err
	case at.node != nil:
		return syscall.EEXIST
	}
	d.set(at.parent, at.name, state{node: n})
	return nil
}
