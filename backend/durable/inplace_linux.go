package durable

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// datasync is Sync without the times of the file: where its size stays, the
// journal of the file system has nothing to write.
func datasync(h Handle) error {
	file, ok := h.(*os.File)
	if !ok {
		return h.Sync()
	}
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		for {
			failed = unix.Fdatasync(int(fd))
			if !errors.Is(failed, unix.EINTR) {
				return
			}
		}
	})
	return errors.Join(err, failed)
}
