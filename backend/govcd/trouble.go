package govcd

import (
	"errors"
	"net/http"

	"github.com/caiatech/caiatop/backend/durable"
	"github.com/caiatech/caiatop/backend/gitrepo"
)

// folderGone: reads may go on for what is open, and a restart finds nothing.
const folderGone = "the folder of the repository is gone, and nothing can be written: its operator has to put it back, or to delete the repository"

// storageTrouble finds the answer to an error of the disk, nil if it is none.
// What a request was about to change is unchanged, but for NOT_DURABLE.
func storageTrouble(err error) *failure {
	var f *failure
	switch {
	case errors.Is(err, durable.ErrUnsynced):
		f = fail(http.StatusInternalServerError, "NOT_DURABLE",
			"the change is visible, but the disk did not say that it is kept: look at what is there before you try again")
	case errors.Is(err, durable.ErrDiskFull):
		f = diskFull()
	case errors.Is(err, gitrepo.ErrGone):
		f = fail(http.StatusServiceUnavailable, "REPO_UNAVAILABLE", folderGone)
	case errors.Is(err, durable.ErrReadOnly):
		f = fail(http.StatusServiceUnavailable, "STORAGE_READ_ONLY", "the service may not write to its folder")
	case errors.Is(err, gitrepo.ErrBusy):
		f = fail(http.StatusServiceUnavailable, "REPO_BUSY", "another program holds a lock in the repository; try again")
		f.header = http.Header{"Retry-After": []string{"1"}}
	case errors.Is(err, gitrepo.ErrLost), errors.Is(err, gitrepo.ErrCorrupt):
		f = fail(http.StatusInternalServerError, "REPO_DAMAGED", "the repository is damaged; the log of the service says where")
	default:
		return nil
	}
	f.cause = err
	return f
}
