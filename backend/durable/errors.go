package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
)

var (
	// ErrDiskFull is wrapped by errors about a device or a quota without
	// space (ENOSPC, EDQUOT).
	ErrDiskFull = errors.New("disk full")
	// ErrReadOnly is wrapped by errors about a place that may not be written
	// (EROFS, EACCES, EPERM).
	ErrReadOnly = errors.New("read only")
	// ErrUnsynced is wrapped by errors of a step that happened (the new name
	// is visible) but whose folder could not be synced: after a power cut it
	// may be undone.
	ErrUnsynced = errors.New("visible, but not known to be durable")
	// ErrPoisoned is wrapped by what a File returns after one of its writes or
	// syncs failed.
	ErrPoisoned = errors.New("an earlier write failed")
)

// wrap names the operation and the object, and adds the sentinel that the
// system's error stands for.
func wrap(operation, path string, err error) error {
	if err == nil {
		return nil
	}
	// The path is named once, by us.
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) && pathErr.Path == path {
		err = pathErr.Err
	}
	switch {
	case errors.Is(err, ErrDiskFull), errors.Is(err, ErrReadOnly):
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		err = fmt.Errorf("%w: %w", ErrDiskFull, err)
	case errors.Is(err, syscall.EROFS), errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		err = fmt.Errorf("%w: %w", ErrReadOnly, err)
	}
	return fmt.Errorf("%s %s: %w", operation, path, err)
}
