package backup

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/caiatech/caiatop/backend/durable"
)

const (
	scratchMark = "backup-verify-"
	scratchLock = "lock"
)

// scratching is held from the making of a folder to its lock: nobody here takes
// it for a left one in between.
var scratching sync.Mutex

// scratch is a folder for what a verification fetches. It is locked as long as
// its process lives, so that what a crash left is known as such.
type scratch struct {
	dir  string
	lock *durable.Lock
}

// newScratch makes one in temp, and removes those that were left there.
func newScratch(temp string) (*scratch, error) {
	scratching.Lock()
	defer scratching.Unlock()
	if err := sweep(temp); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(temp, scratchMark)
	if err != nil {
		return nil, err
	}
	lock, err := durable.AcquireLock(filepath.Join(dir, scratchLock))
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return &scratch{dir, lock}, nil
}

// repository is where the fetched repository goes.
func (s *scratch) repository() string { return filepath.Join(s.dir, "fetched.git") }

func (s *scratch) remove() error { return errors.Join(os.RemoveAll(s.dir), s.lock.Release()) }

// Sweep removes what verifications fetched in processes that died.
func (t *Target) Sweep() error {
	scratching.Lock()
	defer scratching.Unlock()
	return t.safe("clear what verifications left of", sweep(t.temp))
}

// sweep leaves the folder for temporary files of this machine alone, which is
// not ours.
func sweep(temp string) error {
	if temp == "" {
		return nil
	}
	entries, err := os.ReadDir(temp)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() && strings.HasPrefix(e.Name(), scratchMark) {
			err = errors.Join(err, removeDead(filepath.Join(temp, e.Name())))
		}
	}
	return err
}

func removeDead(dir string) error {
	lock, err := durable.AcquireLock(filepath.Join(dir, scratchLock))
	if locked := (*durable.LockedError)(nil); errors.As(err, &locked) {
		return nil // at work
	}
	if err != nil {
		return err
	}
	return (&scratch{dir, lock}).remove()
}
