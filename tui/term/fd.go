package term

import "golang.org/x/sys/unix"

// dup returns another name of fd that programs do not inherit.
func dup(fd int) (int, error) { return unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0) }
