package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Head returns the branch that HEAD names, which is what a clone of the
// repository checks out, and its tip. ErrNotFound if that branch has no commits
// yet; the name is good then. The name is "" if HEAD names a commit and no
// branch. In memory it is Main.
func (r *Repo) Head(ctx context.Context) (branch string, tip Hash, err error) {
	if err := ctx.Err(); err != nil {
		return "", Hash{}, err
	}
	if r.closed.Load() {
		return "", Hash{}, ErrClosed
	}
	ref := headsPrefix + Main
	if d, ok := r.refs.(*diskRefs); ok {
		target, symbolic, err := readRef(d.volume, d.head)
		switch {
		case errors.Is(err, ErrNotFound):
			return "", Hash{}, fmt.Errorf("%w: %w", ErrGone, err)
		case err != nil || symbolic == "":
			return "", target, err
		}
		ref = symbolic
	}
	tip, err = r.refs.ref(ref)
	return strings.TrimPrefix(ref, headsPrefix), tip, err
}

// ReadOnly reports whether nothing can be written, as Options said.
func (r *Repo) ReadOnly() bool { return r.sealed }
