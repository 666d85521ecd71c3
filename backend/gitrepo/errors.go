package gitrepo

import (
	"errors"
	"fmt"
	"strings"

	"github.com/caiatech/caiatop/backend/durable"
)

var (
	// ErrNotFound: the branch, commit, file or folder does not exist.
	ErrNotFound = errors.New("not found")
	// ErrNoFile: a symbolic link or a submodule is where a file was asked for.
	ErrNoFile = errors.New("a symbolic link or a submodule, not a file")
	// ErrNothing: the commit would not change the tree.
	ErrNothing = errors.New("nothing to commit")
	// ErrMoved: the branch does not point where the caller said.
	ErrMoved = errors.New("the branch has moved")
	// ErrExists: a branch of that name exists.
	ErrExists = errors.New("exists already")
	// ErrUnrelated: two histories that are to be merged have no commit in common.
	ErrUnrelated = errors.New("the histories have nothing in common")
	// ErrInvalid: the input cannot be written to a git repository.
	ErrInvalid = errors.New("invalid input")
	// ErrTooLarge: an object is over MaxObject. It is also an ErrInvalid.
	ErrTooLarge = fmt.Errorf("%w: object too large", ErrInvalid)
	// ErrCollision: the content has blocks by which an object of another content
	// gets the same SHA-1 name. It is neither written nor given to others, and is
	// also an ErrInvalid.
	ErrCollision = fmt.Errorf("%w: part of a SHA-1 collision attack", ErrInvalid)
	// ErrCorrupt: a file or an object of the repository is not what it should
	// be. The message names it.
	ErrCorrupt = errors.New("corrupt repository")
	// ErrReadOnly: the repository may not be written. It is also a
	// durable.ErrReadOnly.
	ErrReadOnly = fmt.Errorf("%w: the repository is open for reading only", durable.ErrReadOnly)
	// ErrIncomplete: the repository is a shallow or a partial clone, and what
	// was asked for was left out when it was made.
	ErrIncomplete = errors.New("incomplete clone")
	// ErrGone: the repository is not on the disk any more.
	ErrGone = errors.New("the repository is gone")
	// ErrLost: packs that were open are not in the folder any more, and nothing
	// else there has all of their objects. They are still read, see Restore.
	ErrLost = errors.New("the repository lost objects")
	// ErrBusy: another program holds the lock of a reference for too long.
	ErrBusy = errors.New("the reference is locked")
	// ErrDiverged: a reference is where neither the journal left it nor what the
	// journal has for it comes after. The commits of the journal are kept.
	ErrDiverged = errors.New("the branch left the history of the journal")
	// ErrClosed: the Repo was closed.
	ErrClosed = errors.New("the repository is closed")
)

// ConflictError lists the paths that both sides of a merge changed
// differently, at most MaxConflicts of them.
type ConflictError struct{ Paths []string }

// Error names the first paths.
func (e *ConflictError) Error() string {
	const named = 5
	shown := strings.Join(e.Paths[:min(len(e.Paths), named)], ", ")
	if len(e.Paths) > named {
		shown += fmt.Sprintf(" and %d more", len(e.Paths)-named)
	}
	return "both sides changed " + shown
}
