package gitrepo

import (
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
	head   string // the file that says which branch is meant
	opened time.Time
	now    func() time.Time
	spares *spares
	// journal may be ahead of the files; nil if there is none.
	journal *journal
}

func (d *diskRefs) path(name string) string { return filepath.Join(d.dir, filepath.FromSlash(name)) }

func (d *diskRefs) ref(name string) (Hash, error) {
	asked := name
	for range maxSymbolic {
		if tip, ahead := d.journal.tip(name); ahead {
			return tip, nil
		}
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
	return readRef(d.volume, d.path(name))
}

func readRef(v durable.Volume, path string) (Hash, string, error) {
	info, err := v.Lstat(path)
	if err == nil && info.IsDir() {
		err = fs.ErrNotExist
	}
	var data []byte
	if err == nil {
		if info.Size() > maxRefFile {
			return Hash{}, "", fmt.Errorf("%w: %s has %d bytes", ErrCorrupt, path, info.Size())
		}
		data, err = v.ReadFile(path)
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return Hash{}, "", fmt.Errorf("%s: %w", path, ErrNotFound)
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

// makeRoom removes the empty folders that deleted references left where the
// new one goes, and refuses a name that is below or above another one.
func (d *diskRefs) makeRoom(name string) error {
	all, err := listRefs(d, "refs/")
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
