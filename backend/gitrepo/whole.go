package gitrepo

import (
	"context"
	"fmt"
)

// Whole reports whether everything that a commit is made of is there: every
// commit before it and every tree can be read, and every file is stored, in a
// copy that nobody failed to read. Damage beside a whole commit touches nothing
// of it. Files are not read: see Verify. It takes as long as reading all commits
// and trees, and memory for the name of each object. In memory a commit that is
// there is whole.
func (r *Repo) Whole(ctx context.Context, commit Hash) (bool, error) {
	if r.closed.Load() {
		return false, ErrClosed
	}
	p, ok := r.objects.(*packStore)
	if !ok {
		return true, nil
	}
	w, err := p.reach(ctx, commit)
	if err != nil {
		return false, fmt.Errorf("look for everything that commit %s is made of: %w", commit, err)
	}
	return w.whole && !w.missing, nil
}
