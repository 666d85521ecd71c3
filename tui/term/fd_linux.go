package term

import (
	"bytes"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

const (
	getTermios = unix.TCGETS
	setTermios = unix.TCSETS
)

// reopen opens the file behind fd anew, for writes that can be ended. What is
// set for it is not seen by those who share fd.
func reopen(fd int) (*os.File, error) {
	name := fmt.Sprintf("/proc/self/fd/%d", fd)
	f, err := os.OpenFile(name, os.O_WRONLY|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open the terminal anew: %w", err)
	}
	return f, nil
}

// replace makes to another name of fd.
func replace(fd, to int) error { return unix.Dup3(fd, to, 0) }

func flushOutput(fd int) error { return unix.IoctlSetInt(fd, unix.TCFLSH, unix.TCOFLUSH) }

// self is the file of this program, also after it was replaced by a newer one.
func self() (string, error) {
	const name = "/proc/self/exe"
	if _, err := os.Stat(name); err != nil {
		return os.Executable()
	}
	return name, nil
}

// parent returns the parent of a process, 0 if that is not known.
func parent(pid int) int {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// The name of the program stands in brackets and may hold anything.
	var state string
	var ppid int
	after := stat[bytes.LastIndexByte(stat, ')')+1:]
	if _, err := fmt.Sscan(string(after), &state, &ppid); err != nil {
		return 0
	}
	return ppid
}
