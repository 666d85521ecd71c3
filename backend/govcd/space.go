package govcd

import (
	"net/http"
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
