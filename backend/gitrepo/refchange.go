package gitrepo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/caiatech/caiatop/backend/durable"
	"golang.org/x/sync/errgroup"
)

// refUpdate moves one reference.
type refUpdate struct {
	name string
	// old is where it must be; the zero hash demands that it does not exist.
	old Hash
	// target is where it goes; the zero hash deletes it.
	target Hash
	// anywhere moves it from wherever it is; old is not looked at.
	anywhere bool
	// hold only keeps others from moving it: it is never committed.
	hold bool
}

// refChange is a number of updates that were found to be possible and that
// nobody else can make impossible. It ends in commit or in abort.
type refChange interface {
	// begin brings what commit needs to the disk, and does not wait for it.
	begin()
	// commit makes the updates in their order, and durable. Once ctx is done
	// it is abort.
	commit(ctx context.Context) error
	// abort gives them up.
	abort() error
}

// move makes updates at once.
func (r *Repo) move(ctx context.Context, updates ...refUpdate) error {
	change, err := r.refs.prepare(ctx, updates...)
	if err != nil {
		return err
	}
	change.begin()
	return change.commit(ctx)
}

// diskChange holds git's own lock files, with the new content in them, which
// from begin on a goroutine for each brings to the disk.
type diskChange struct {
	refs  *diskRefs
	locks []*refLock // in the order of the updates
	syncs errgroup.Group
}

// refLock is the lock of one reference.
type refLock struct {
	refUpdate
	file  *durable.File
	taken time.Time // when the file says that it was written last
}

// prepare implements refStore. It takes the lock that every git program
// respects, compares, and writes.
func (d *diskRefs) prepare(ctx context.Context, updates ...refUpdate) (_ refChange, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if _, err := d.volume.Stat(filepath.Join(d.dir, "HEAD")); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrGone, err)
	}
	c := &diskChange{refs: d}
	for _, u := range updates {
		c.locks = append(c.locks, &refLock{refUpdate: u})
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.abort())
		}
	}()
	// In one order, so that two changes do not wait for each other.
	ordered := slices.Clone(c.locks)
	slices.SortFunc(ordered, func(a, b *refLock) int { return cmp.Compare(a.name, b.name) })
	for _, l := range ordered {
		if err := d.take(ctx, l); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// begin implements refChange.
func (c *diskChange) begin() {
	for _, l := range c.locks {
		if !l.target.IsZero() {
			c.syncs.Go(l.file.Sync)
		}
	}
}

// take locks a reference, compares, and writes its target into the lock.
func (d *diskRefs) take(ctx context.Context, l *refLock) error {
	path := d.path(l.name)
	if err := d.volume.MkdirAll(filepath.Dir(path), folderPerm); err != nil {
		if errors.Is(err, syscall.ENOTDIR) {
			return fmt.Errorf("%w: a part of %s is a reference itself: %w", ErrInvalid, l.name, err)
		}
		return err
	}
	var err error
	content := []byte(l.target.String() + "\n")
	if l.hold {
		content = []byte(holdText)
	}
	if !l.target.IsZero() {
		l.file = d.spares.lock(path+".lock", content)
	}
	fresh := l.file == nil
	if fresh {
		if l.file, err = d.lock(ctx, path+".lock"); err != nil {
			return err
		}
	}
	if err := d.compare(&l.refUpdate); err != nil {
		return err
	}
	if !l.target.IsZero() {
		if l.old.IsZero() {
			if err := d.makeRoom(l.name); err != nil {
				return err
			}
		}
		if fresh {
			if _, err := l.file.Write(content); err != nil {
				return err
			}
		}
	}
	info, err := d.volume.Lstat(l.file.Path())
	if err != nil {
		return err
	}
	l.taken = info.ModTime()
	// The caller may have given up while we waited for the lock.
	return ctx.Err()
}

// compare fails if the reference is not where the update says, and fills in
// where it is.
func (d *diskRefs) compare(u *refUpdate) error {
	now, symbolic, err := d.looseRef(u.name)
	if symbolic != "" {
		return fmt.Errorf("%w: %s is a symbolic reference", ErrInvalid, u.name)
	}
	if errors.Is(err, ErrNotFound) {
		now, err = d.ref(u.name)
	}
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	if u.anywhere {
		u.old = now
	}
	if now != u.old {
		return fmt.Errorf("%w: %s is at %s, not at %s", ErrMoved, u.name, now, u.old)
	}
	return nil
}

// commit implements refChange. An error after the first update leaves the ones
// before it done.
func (c *diskChange) commit(ctx context.Context) error {
	err := c.syncs.Wait()
	if err == nil {
		err = ctx.Err()
	}
	for _, l := range c.locks {
		if err == nil {
			err = c.refs.held(l)
		}
	}
	if err != nil {
		return errors.Join(err, c.abort())
	}
	var folders []string
	for _, l := range c.locks {
		path := c.refs.path(l.name)
		if l.target.IsZero() {
			err = errors.Join(c.refs.remove(ctx, l.name), l.file.Abort())
		} else if err = c.refs.replace(l); err == nil {
			folders = append(folders, filepath.Dir(path))
		}
		if err != nil {
			return errors.Join(err, c.refs.syncFolders(folders), c.abort())
		}
	}
	err = c.refs.syncFolders(folders)
	c.refs.spares.wake()
	return err
}

// replace gives a lock file the name of its reference. To free the file that
// was there can wait.
func (d *diskRefs) replace(l *refLock) error {
	path := d.path(l.name)
	old, err := d.volume.Open(path)
	if err == nil {
		defer d.spares.retire(old)
	}
	return l.file.Place(path)
}

// held fails if somebody took our lock for that of a dead program, as they do
// when a disk lets us wait for minutes: what lies under its name is theirs.
func (d *diskRefs) held(l *refLock) error {
	info, err := d.volume.Lstat(l.file.Path())
	if err == nil && info.ModTime().Equal(l.taken) {
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	path := l.file.Path()
	l.file = nil // not ours to remove
	return fmt.Errorf("%w: another program took %s from us; try again", ErrBusy, path)
}

// syncFolders makes new names durable, at once in all folders.
func (d *diskRefs) syncFolders(folders []string) error {
	slices.Sort(folders)
	folders = slices.Compact(folders)
	var group errgroup.Group
	for _, folder := range folders[min(len(folders), 1):] {
		group.Go(func() error { return d.volume.SyncDir(folder) })
	}
	var err error
	if len(folders) > 0 {
		err = d.volume.SyncDir(folders[0])
	}
	if err = errors.Join(err, group.Wait()); err != nil {
		return fmt.Errorf("%w: %w", durable.ErrUnsynced, err)
	}
	return nil
}

// abort implements refChange.
func (c *diskChange) abort() error {
	// What a sync found says nothing about a change that is given up.
	_ = c.syncs.Wait()
	var err error
	for _, l := range c.locks {
		if l.file != nil {
			err = errors.Join(err, l.file.Abort())
		}
	}
	return err
}

// lock takes a lock file, waiting a little for another program and removing
// what a dead one left.
func (d *diskRefs) lock(ctx context.Context, path string) (*durable.File, error) {
	deadline := d.now().Add(lockWait)
	for {
		f, err := d.volume.Create(path, filePerm)
		if !errors.Is(err, fs.ErrExist) {
			return f, err
		}
		stale, err := d.stale(path)
		if err != nil {
			return nil, err
		}
		if stale {
			if err := d.volume.Discard(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
			continue
		}
		if d.now().After(deadline) {
			return nil, fmt.Errorf("%w: %s exists; remove it if no git program runs", ErrBusy, path)
		}
		pause := time.NewTimer(lockPause)
		select {
		case <-ctx.Done():
			pause.Stop()
			return nil, ctx.Err()
		case <-pause.C:
		}
	}
}

func (d *diskRefs) stale(path string) (bool, error) {
	info, err := d.volume.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	age := d.now().Sub(info.ModTime())
	if age > staleAtOpen && d.heldByJournal(path) {
		return false, nil
	}
	return age > staleAlways || (info.ModTime().Before(d.opened) && age > staleAtOpen), nil
}
