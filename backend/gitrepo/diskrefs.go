package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/caiatech/caiatop/backend/durable"
)

const (
	// lockWait bounds how long we wait for another program's lock.
	lockWait = 2 * time.Second
	// lockPause lies between two looks at such a lock.
	lockPause = 10 * time.Millisecond
	// staleAtOpen and staleAlways are how old a lock must be to be taken for
	// that of a dead program: git holds one for milliseconds. The first is for
	// locks that are older than our own start, and shorter than lockWait, so
	// that a restart after a crash waits but does not fail.
	staleAtOpen = 1500 * time.Millisecond
	staleAlways = 10 * time.Minute
	// maxSymbolic bounds how many references may point to each other.
	maxSymbolic = 5
	// maxRefFile bounds a reference file, in bytes; git's own have 41.
	maxRefFile = 4096
)

// diskRefs keeps references as git does: a file each, replaced under
// {name}.lock, and those that git packed in packed-refs.
type diskRefs struct {
	volume durable.Volume
	dir    string
	opened time.Time
	now    func() time.Time
}

func (d *diskRefs) path(name string) string { return filepath.Join(d.dir, filepath.FromSlash(name)) }

func (d *diskRefs) ref(name string) (Hash, error) {
	asked := name
	for range maxSymbolic {
		target, symbolic, err := d.looseRef(name)
		if errors.Is(err, ErrNotFound) {
			target, err = d.packedRef(name)
		}
		if errors.Is(err, ErrNotFound) {
			// Git may have packed it between our two looks.
			target, symbolic, err = d.looseRef(name)
		}
		if errors.Is(err, ErrNotFound) {
			return Hash{}, d.missing(name)
		}
		if err != nil {
			return Hash{}, err
		}
		if symbolic == "" {
			return target, nil
		}
		name = symbolic
	}
	return Hash{}, fmt.Errorf("%w: %s points in circles", ErrCorrupt, asked)
}

// missing tells a reference that does not exist from a repository that does
// not: nobody may begin a new history over a disk that is not mounted.
func (d *diskRefs) missing(name string) error {
	if _, err := d.volume.Stat(filepath.Join(d.dir, "HEAD")); err != nil {
		return fmt.Errorf("%w: %w", ErrGone, err)
	}
	return fmt.Errorf("%s: %w", name, ErrNotFound)
}

// looseRef reads the file of a reference: a hash, or the name of another one.
func (d *diskRefs) looseRef(name string) (Hash, string, error) {
	path := d.path(name)
	info, err := d.volume.Lstat(path)
	if err == nil && info.IsDir() {
		err = fs.ErrNotExist
	}
	var data []byte
	if err == nil {
		if info.Size() > maxRefFile {
			return Hash{}, "", fmt.Errorf("%w: %s has %d bytes", ErrCorrupt, path, info.Size())
		}
		data, err = d.volume.ReadFile(path)
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return Hash{}, "", fmt.Errorf("%s: %w", name, ErrNotFound)
	}
	if err != nil {
		return Hash{}, "", err
	}
	text := strings.TrimSpace(string(data))
	if target, ok := strings.CutPrefix(text, "ref:"); ok {
		target = strings.TrimSpace(target)
		if err := checkRef(target); err != nil {
			return Hash{}, "", fmt.Errorf("%w: %s: %w", ErrCorrupt, path, err)
		}
		return Hash{}, target, nil
	}
	h, ok := parseHash([]byte(text))
	if !ok || h.IsZero() {
		return Hash{}, "", fmt.Errorf("%w: %s holds no object name", ErrCorrupt, path)
	}
	return h, "", nil
}

// set implements refStore. It compares and replaces under the lock that every
// git program respects.
func (d *diskRefs) set(ctx context.Context, name string, old, target Hash) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if _, err := d.volume.Stat(filepath.Join(d.dir, "HEAD")); err != nil {
		return fmt.Errorf("%w: %w", ErrGone, err)
	}
	path := d.path(name)
	if err := d.volume.MkdirAll(filepath.Dir(path), folderPerm); err != nil {
		if errors.Is(err, syscall.ENOTDIR) {
			return fmt.Errorf("%w: a part of %s is a reference itself: %w", ErrInvalid, name, err)
		}
		return err
	}
	lock, err := d.lock(ctx, path+".lock")
	if err != nil {
		return err
	}
	if err := d.compare(name, old); err != nil {
		return errors.Join(err, lock.Abort())
	}
	if target.IsZero() {
		err := d.remove(ctx, name)
		return errors.Join(err, lock.Abort())
	}
	if old.IsZero() {
		if err := d.makeRoom(name); err != nil {
			return errors.Join(err, lock.Abort())
		}
	}
	if _, err := lock.Write([]byte(target.String() + "\n")); err != nil {
		return errors.Join(err, lock.Abort())
	}
	// The caller may have given up while we waited for the lock.
	if err := ctx.Err(); err != nil {
		return errors.Join(err, lock.Abort())
	}
	return lock.Commit(path)
}

func (d *diskRefs) compare(name string, old Hash) error {
	if _, symbolic, err := d.looseRef(name); err == nil && symbolic != "" {
		return fmt.Errorf("%w: %s is a symbolic reference", ErrInvalid, name)
	}
	now, err := d.ref(name)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	if now != old {
		return fmt.Errorf("%w: %s is at %s, not at %s", ErrMoved, name, now, old)
	}
	return nil
}

// makeRoom removes the empty folders that deleted references left where the
// new one goes, and refuses a name that is below or above another one.
func (d *diskRefs) makeRoom(name string) error {
	all, err := d.list("refs/")
	if err != nil {
		return err
	}
	for other := range all {
		if nested(name, other) {
			return fmt.Errorf("%w: %s and %s cannot both exist", ErrInvalid, name, other)
		}
	}
	path := d.path(name)
	if info, err := d.volume.Lstat(path); err != nil || !info.IsDir() {
		return nil //nolint:nilerr // nothing is in the way
	}
	return d.removeEmpty(path)
}

func (d *diskRefs) removeEmpty(dir string) error {
	entries, err := d.volume.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := d.removeEmpty(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return d.volume.Remove(dir)
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
	return age > staleAlways || (info.ModTime().Before(d.opened) && age > staleAtOpen), nil
}
