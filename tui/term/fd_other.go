//go:build unix && !linux

package term

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

const (
	getTermios = unix.TIOCGETA
	setTermios = unix.TIOCSETA
)

// reopen has no portable way.
func reopen(int) (*os.File, error) { return nil, errors.ErrUnsupported }

// replace makes to another name of fd.
func replace(fd, to int) error { return unix.Dup2(fd, to) }

// flushWrite is FWRITE of these systems.
const flushWrite = 2

func flushOutput(fd int) error { return unix.IoctlSetPointerInt(fd, unix.TIOCFLUSH, flushWrite) }

// self is the file of this program.
func self() (string, error) { return os.Executable() }

// parent has no portable way.
func parent(int) int { return 0 }
