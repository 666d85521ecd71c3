package state

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/store"
)

// Sentinel errors of this package; those of package store are used besides.
var (
	// ErrNewerSchema: the file was written by a newer version of caiatop.
	ErrNewerSchema = errors.New("newer schema")
	// ErrClosed: the state file was closed.
	ErrClosed = errors.New("state file is closed")
	// ErrNotAttached: the store has no cursor, or it was detached.
	ErrNotAttached = errors.New("store is not attached")
	// ErrTrimmed: operations after the wanted sequence number have left the
	// outbox, so a store cannot start there: it needs a snapshot.
	ErrTrimmed = errors.New("operations are no longer kept")
)

// errNoQuery is returned by Search for a query without any character.
var errNoQuery = fmt.Errorf("%w: the search is empty", document.ErrInvalid)

// SQLite result codes that callers decide on. The upper bytes of a code refine
// the lowest one.
const (
	codeBusy       = 5
	codeLocked     = 6
	codeReadOnly   = 8
	codeIO         = 10
	codeCorrupt    = 11
	codeFull       = 13
	codeCantOpen   = 14
	codeNotADB     = 26
	codeIOFsync    = codeIO | 4<<8
	codeIODirFsync = codeIO | 5<<8
	codeIOShmSize  = codeIO | 19<<8 // no room for the file that connections share
)

// coder is what an error of the SQLite driver can do.
type coder interface{ Code() int }

// resultCode returns the extended SQLite result code in err's chain.
func resultCode(err error) (int, bool) {
	var c coder
	if errors.As(err, &c) {
		return c.Code(), true
	}
	return 0, false
}

// fatal reports an error after which the file may not be written to any more.
func fatal(err error) bool {
	code, ok := resultCode(err)
	return ok && (code == codeIOFsync || code == codeIODirFsync)
}

// corruptAdvice follows what is wrong with a state file that cannot be used.
const corruptAdvice = ", put a good copy back, or run: caiatop rebuild"

// wrap names the operation and the file, and adds the sentinel that callers
// decide on. A nil error stays nil.
func wrap(err error, operation, file string) error {
	if err == nil {
		return nil
	}
	advice, sentinel := classify(err)
	if sentinel == nil {
		return fmt.Errorf("%s %s: %w", operation, file, err)
	}
	return fmt.Errorf("%s %s: %w%s: %w", operation, file, sentinel, advice, err)
}

// classify returns what to do about an error, and its sentinel.
func classify(err error) (advice string, sentinel error) {
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return "", nil
	case errors.Is(err, store.ErrCorrupt), errors.Is(err, store.ErrReadOnly), errors.Is(err, store.ErrDiskFull):
		return "", nil // named already
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return ", free some space", store.ErrDiskFull
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return ", make the folder writable", store.ErrReadOnly
	}
	code, ok := resultCode(err)
	if !ok {
		return "", nil
	}
	if code == codeIOFsync || code == codeIODirFsync {
		return " because the disk failed to sync, check the disk and start again",
			fmt.Errorf("%w (%w)", store.ErrReadOnly, store.ErrAmbiguous)
	}
	if code == codeIOShmSize {
		return ", free some space", store.ErrDiskFull
	}
	switch code & 0xff {
	case codeFull:
		return ", free some space", store.ErrDiskFull
	case codeReadOnly:
		return ", make the file and its folder writable", store.ErrReadOnly
	case codeCorrupt, codeNotADB:
		return corruptAdvice, store.ErrCorrupt
	case codeBusy, codeLocked, codeIO, codeCantOpen:
		return "", store.ErrUnavailable
	}
	return "", nil
}
