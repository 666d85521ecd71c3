package powercut

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/caiatech/caiatop/backend/durable"
)

// Sector is the unit in which content is lost or kept, in bytes.
const Sector = 512

const (
	maxName = 255  // bytes
	maxPath = 4095 // bytes
)

// start is what the clock of a Disk shows first: so long ago that whatever a
// cut left is old to the programs that find it.
var start = time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)

// Disk is a file system in memory. It implements durable.FS; all methods are
// safe for concurrent use. The root folder exists.
type Disk struct {
	mu     sync.Mutex
	root   *node
	next   int64 // numbers names and ticks the clock
	counts [kinds]int
	faults []*Fault
	hook   func(Op)
}

var _ durable.FS = (*Disk)(nil)

// New returns a disk with an empty root folder.
func New() *Disk { return &Disk{root: newFolder(0o755, start)} }

// Volume returns the disk as durable takes it.
func (d *Disk) Volume() durable.Volume { return durable.Volume{FS: d} }

// node is a file or a folder.
type node struct {
	folder  bool
	perm    os.FileMode
	changed time.Time
	file    content          // of a file
	names   map[string]*slot // of a folder
}

// slot is one name in a folder and what it stood for since the folder was
// synced. The first state is on the platter, the last one is what programs see.
type slot struct {
	number int64
	states []state
}

// state is what a name stands for; a nil node is no such name.
type state struct {
	node *node
	move *move // of a folder, which is one step for both names
}

// move is the renaming of a folder.
type move struct{ done bool }

func newFolder(perm os.FileMode, at time.Time) *node {
	return &node{folder: true, perm: perm, changed: at, names: make(map[string]*slot)}
}

func (s *slot) live() *node { return s.states[len(s.states)-1].node }

func (n *node) child(name string) *node {
	if s := n.names[name]; s != nil {
		return s.live()
	}
	return nil
}

// set makes a name stand for another node. The platter learns it by sync.
func (d *Disk) set(folder *node, name string, s state) {
	entry := folder.names[name]
	if entry == nil {
		entry = &slot{number: d.tick(), states: []state{{}}}
		folder.names[name] = entry
	}
	entry.states = append(entry.states, s)
	folder.changed = d.clock()
}

// syncNames brings the names of a folder to the platter.
func (n *node) syncNames() {
	for name, s := range n.names {
		for _, past := range s.states {
			if past.move != nil {
				past.move.done = true
			}
		}
		s.states = []state{{node: s.live()}}
		if s.live() == nil {
			delete(n.names, name)
		}
	}
}

// sorted returns the names of a folder that programs see.
func (n *node) sorted() []string {
	var out []string
	for name, s := range n.names {
		if s.live() != nil {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

func (d *Disk) tick() int64 {
	d.next++
	return d.next
}

// clock goes on by a millisecond a change, so that one run is as the next.
func (d *Disk) clock() time.Time { return start.Add(time.Duration(d.tick()) * time.Millisecond) }

// place is where a path leads.
type place struct {
	parent *node // nil for the root
	name   string
	node   *node // nil: the parent has no such name
}

// find walks a path, which it cleans first as filepath.Clean does. It fails if a
// parent is missing or no folder.
func (d *Disk) find(path string) (place, error) {
	if path == "" {
		return place{}, syscall.ENOENT
	}
	if len(path) > maxPath {
		return place{}, syscall.ENAMETOOLONG
	}
	at := place{node: d.root}
	for segment := range strings.SplitSeq(filepath.Clean("/" + path)[1:], "/") {
		if segment == "" {
			break // the root itself
		}
		switch {
		case at.node == nil:
			return place{}, syscall.ENOENT
		case !at.node.folder:
			return place{}, syscall.ENOTDIR
		case len(segment) > maxName:
			return place{}, syscall.ENAMETOOLONG
		}
		at = place{parent: at.node, name: segment, node: at.node.child(segment)}
	}
	return at, nil
}

// exists is find for what must be there.
func (d *Disk) exists(path string) (place, error) {
	at, err := d.find(path)
	if err == nil && at.node == nil {
		err = syscall.ENOENT
	}
	return at, err
}

// parent fails if the folder of a path is missing or no folder.
func (d *Disk) parent(path string) error {
	if path == "" || len(path) > maxPath {
		_, err := d.find(path)
		return err
	}
	at, err := d.exists(filepath.Dir(filepath.Clean("/" + path)))
	if err == nil && !at.node.folder {
		err = syscall.ENOTDIR
	}
	return err
}

func failed(operation, path string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: operation, Path: path, Err: err}
}

// Stat implements durable.FS.
func (d *Disk) Stat(name string) (os.FileInfo, error) { return d.stat("stat", name) }

// Lstat implements durable.FS. There are no symbolic links.
func (d *Disk) Lstat(name string) (os.FileInfo, error) { return d.stat("lstat", name) }

func (d *Disk) stat(operation, name string) (os.FileInfo, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	at, err := d.exists(name)
	if err != nil {
		return nil, failed(operation, name, err)
	}
	return at.node.info(filepath.Base(name)), nil
}

// ReadDir implements durable.FS.
func (d *Disk) ReadDir(name string) ([]os.DirEntry, error) {
	if err := d.enter(Op{Kind: ReadDir, Path: name}); err != nil {
		return nil, failed("open", name, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	at, err := d.exists(name)
	if err == nil && !at.node.folder {
		err = syscall.ENOTDIR
	}
	if err != nil {
		return nil, failed("open", name, err)
	}
	entries := make([]os.DirEntry, 0, len(at.node.names))
	for _, child := range at.node.sorted() {
		entries = append(entries, fs.FileInfoToDirEntry(at.node.child(child).info(child)))
	}
	return entries, nil
}

// Mkdir implements durable.FS.
func (d *Disk) Mkdir(name string, perm os.FileMode) error {
	if err := d.enter(Op{Kind: Mkdir, Path: name}); err != nil {
		return failed("mkdir", name, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	at, err := d.find(name)
	if err == nil && at.node != nil {
		err = syscall.EEXIST
	}
	if err == nil {
		d.set(at.parent, at.name, state{node: newFolder(perm, d.clock())})
	}
	return failed("mkdir", name, err)
}

// Remove implements durable.FS.
func (d *Disk) Remove(name string) error {
	if err := d.enter(Op{Kind: Remove, Path: name}); err != nil {
		return failed("remove", name, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	at, err := d.exists(name)
	switch {
	case err != nil:
	case at.parent == nil:
		err = syscall.EBUSY
	case at.node.folder && len(at.node.sorted()) > 0:
		err = syscall.ENOTEMPTY
	default:
		d.set(at.parent, at.name, state{})
	}
	return failed("remove", name, err)
}

// Rename implements durable.FS.
func (d *Disk) Rename(from, to string) error {
	err := d.enter(Op{Kind: Rename, Path: from, To: to})
	if err == nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		err = d.rename(from, to)
	}
	if err == nil {
		return nil
	}
	return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
}

func (d *Disk) rename(from, to string) error {
	// The kernel walks to both parents before it looks at either name.
	for _, path := range []string{from, to} {
		if err := d.parent(path); err != nil {
			return err
		}
	}
	source, err := d.exists(from)
	if err != nil {
		return err
	}
	target, err := d.find(to)
	switch {
	case err != nil:
		return err
	case target.node != nil && target.node.folder: // package os looks first
		return syscall.EEXIST
	case source.parent == nil:
		return syscall.EBUSY
	case source.node == target.node:
		return nil
	case source.node.folder && source.node.holds(target.parent):
		return syscall.EINVAL
	case source.node.folder && target.node != nil:
		return syscall.ENOTDIR
	}
	var step *move
	if source.node.folder {
		step = &move{}
	}
	d.set(target.parent, target.name, state{source.node, step})
	d.set(source.parent, source.name, state{nil, step})
	return nil
}

// holds reports whether other is n or below it.
func (n *node) holds(other *node) bool {
	if n == other {
		return true
	}
	for _, s := range n.names {
		if child := s.live(); child != nil && child.folder && child.holds(other) {
			return true
		}
	}
	return false
}

// SyncDir implements durable.FS. As in package os, a file can be synced so,
// too. Where it fails, the names stay as they are: kept or lost by a cut.
func (d *Disk) SyncDir(name string) error {
	if err := d.enter(Op{Kind: SyncDir, Path: name}); err != nil {
		return failed("sync", name, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	at, err := d.exists(name)
	switch {
	case err != nil:
		return failed("open", name, err)
	case at.node.folder:
		at.node.syncNames()
	default:
		at.node.file.sync()
	}
	return nil
}

// info is a FileInfo of one moment.
type info struct {
	name    string
	size    int64
	mode    os.FileMode
	changed time.Time
}

func (n *node) info(name string) info {
	i := info{name: name, size: int64(len(n.file.data)), mode: n.perm, changed: n.changed}
	if n.folder {
		i.mode |= os.ModeDir
	}
	return i
}

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return i.size }
func (i info) Mode() os.FileMode  { return i.mode }
func (i info) ModTime() time.Time { return i.changed }
func (i info) IsDir() bool        { return i.mode.IsDir() }
func (i info) Sys() any           { return nil }
