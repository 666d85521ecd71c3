package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/caiatech/caiatop/backend/durable"
)

const (
	// holdText is in the lock of a reference that a journal holds.
	holdText = "caiatop holds this reference until its journal is published\n"
	// nextRef is the new content of a reference whose lock we hold, in its folder.
	// Git takes it for the lock of a name that it allows nobody.
	nextRef = "caiatop~journal.lock"
	// holdRenewed is how old a lock gets until it is written anew, so that nobody
	// takes it for that of a dead program.
	holdRenewed = time.Minute
)

// refHold is git's own lock of a reference, held for long.
type refHold struct {
	refs *diskRefs
	ref  string
	lock *refLock // its file is nil if it was taken from us
	path string   // of a lock that a process left which died; "" if it is ours
}

// holdRef keeps others from moving a reference. ErrMoved if it is not at old.
func (d *diskRefs) holdRef(ctx context.Context, ref string, old Hash) (*refHold, error) {
	h := &refHold{refs: d, ref: ref}
	return h, h.take(ctx, refUpdate{name: ref, old: old, target: old, hold: true})
}

func (h *refHold) take(ctx context.Context, u refUpdate) error {
	change, err := h.refs.prepare(ctx, u)
	if err != nil {
		return err
	}
	h.lock = change.(*diskChange).locks[0] //nolint:forcetypeassert // ours
	return nil
}

// keep makes sure that the lock is still ours.
func (h *refHold) keep(ctx context.Context) error {
	if h.path != "" {
		return nil
	}
	if h.lock.file == nil {
		return h.take(ctx, refUpdate{name: h.ref, target: h.lock.target, anywhere: true, hold: true})
	}
	if err := h.refs.held(h.lock); err != nil {
		return err
	}
	if h.refs.now().Sub(h.lock.taken) < holdRenewed {
		return nil
	}
	if _, err := h.lock.file.Write([]byte("\n")); err != nil {
		return err
	}
	info, err := h.refs.volume.Lstat(h.lock.file.Path())
	if err != nil {
		return err
	}
	h.lock.taken = info.ModTime()
	return nil
}

// move moves the reference, durably, and goes on holding it. It may be done
// again after any error.
func (h *refHold) move(ctx context.Context, to span) error {
	if err := h.keep(ctx); err != nil {
		return err
	}
	d, path := h.refs, h.refs.path(h.ref)
	now, err := d.onDisk(h.ref)
	switch {
	case err != nil:
		return err
	case now == to.new:
		return d.volume.SyncDir(filepath.Dir(path)) // it may be visible only
	case now != to.old:
		return fmt.Errorf("%w: another program moved %s from %s to %s, though it was locked", ErrDiverged, h.ref, to.old, now)
	}
	next := filepath.Join(filepath.Dir(path), nextRef)
	file, err := d.volume.Create(next, filePerm)
	if errors.Is(err, fs.ErrExist) {
		if err = ignoreMissing(d.volume.Discard(next)); err == nil {
			file, err = d.volume.Create(next, filePerm)
		}
	}
	if err != nil {
		return err
	}
	if _, err := file.Write([]byte(to.new.String() + "\n")); err != nil {
		return errors.Join(err, file.Abort())
	}
	if old, err := d.volume.Open(path); err == nil {
		defer d.spares.retire(old)
	}
	return file.Commit(path)
}

// onDisk returns where the files of a reference say that it is, zero if it is
// nowhere.
func (d *diskRefs) onDisk(ref string) (Hash, error) {
	at, symbolic, err := d.looseRef(ref)
	if errors.Is(err, ErrNotFound) {
		at, err = d.packedRef(ref)
	}
	switch {
	case symbolic != "":
		return Hash{}, fmt.Errorf("%w: %s is a symbolic reference", ErrInvalid, ref)
	case errors.Is(err, ErrNotFound):
		return Hash{}, nil
	}
	return at, err
}

// release lets others move the reference.
func (h *refHold) release() error {
	switch {
	case h.path != "":
		return ignoreMissing(h.refs.volume.Discard(h.path))
	case h.lock.file == nil || h.refs.held(h.lock) != nil:
		return nil // somebody else has it
	}
	return h.lock.file.Abort()
}

// leave closes the lock and lets it lie, for who opens the repository next.
func (h *refHold) leave() error {
	if h.path != "" || h.lock.file == nil {
		return nil
	}
	return h.lock.file.Leave()
}

// isHold reports whether a lock file is one of a journal.
func (d *diskRefs) isHold(path string) bool {
	info, err := d.volume.Lstat(path)
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxRefFile {
		return false
	}
	data, err := d.volume.ReadFile(path)
	return err == nil && strings.HasPrefix(string(data), holdText)
}

// heldByJournal reports whether a lock is one of a journal whose process lives.
func (d *diskRefs) heldByJournal(path string) bool {
	if !d.isHold(path) {
		return false
	}
	held, _, err := durable.Held(filepath.Join(d.dir, journalLock))
	return held || err != nil
}
