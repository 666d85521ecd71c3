package govcd

import (
	"errors"
	"io/fs"
	"net/http"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

const (
	// MinFree is the free space of the disk below which nothing new is taken,
	// in bytes (64 MiB): the audit, the maintenance of git and the rest of the
	// machine need some.
	MinFree = 64 << 20
	// lookPause is the least time between two looks at the free space.
	lookPause = time.Second
)

// space watches how much of a disk is free.
type space struct {
	look func(dir string) (int64, error) // nil does not look

	mu     sync.Mutex // guards what follows
	looked time.Time
	low    bool
}

// freeBytes is the space of the file system of dir that this user may take.
func freeBytes(dir string) (int64, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return int64(s.Bavail) * int64(s.Bsize), nil
}

// isLow reports whether the disk of dir is nearly full. What cannot be told is
// not low: the write itself will say.
func (s *space) isLow(dir string, now time.Time) bool {
	if s.look == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.looked) >= lookPause {
		s.looked = now
		free, err := s.look(dir)
		s.low = err == nil && free < MinFree
	}
	return s.low
}

// mayWrite returns nil if this user may make and replace what is in a folder, as
// far as the system tells without a try: a file system that became read-only, or
// a folder whose owner or mode was changed, is told.
func mayWrite(dir string) error {
	const writeAndEnter = 3
	return syscall.Access(dir, writeAndEnter)
}

// readOnly reports whether a folder that has to be written to cannot be. What is
// not there is told elsewhere.
func (s *Service) readOnly() bool {
	if s.disk == nil || s.disk.mayWrite == nil {
		return false
	}
	dir, err := s.unwritable()
	switch before := s.locked.Swap(err != nil); {
	case err != nil && !before:
		s.log.Error("a folder of the service cannot be written to", "folder", dir, "error", err)
	case err == nil && before:
		s.log.Info("the folders of the service can be written to again")
	}
	return err != nil
}

func (s *Service) unwritable() (dir string, err error) {
	folders := []string{s.disk.data, s.disk.root()}
	for _, r := range s.list() {
		if r.broken == nil {
			at := s.disk.path(r.id)
			folders = append(folders, at, filepath.Join(at, "objects"), filepath.Join(at, "refs", "heads"))
		}
	}
	for _, dir := range folders {
		if err := s.disk.mayWrite(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return dir, err
		}
	}
	return "", nil
}

// diskRoom returns nil if there is room on the disk, or none is needed.
func (s *Service) diskRoom() error {
	if s.disk == nil || !s.disk.space.isLow(s.disk.data, s.now()) {
		return nil
	}
	return diskFull()
}

func diskFull() *failure {
	return fail(http.StatusInsufficientStorage, "DISK_FULL", "the disk of the service is full; nothing was changed, and what is staged stays staged")
}
