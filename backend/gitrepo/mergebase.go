package gitrepo

import (
	"context"
	"slices"
)

// Marks of a commit while merge bases are looked for.
const (
	fromOurs = 1 << iota
	fromTheirs
	stale    // below a base already
	reported // a base, unless it turns out to be stale
)

// mergeBases returns the best common ancestors of two commits: none if they
// share no history, several after criss-cross merges. It reads no further back
// than the histories differ.
func (r *Repo) mergeBases(ctx context.Context, ours, theirs Commit) ([]Commit, error) {
	if ours.Hash == theirs.Hash {
		return []Commit{ours}, nil
	}
	marks := map[Hash]int{ours.Hash: fromOurs, theirs.Hash: fromTheirs}
	queue := &commitQueue{}
	queue.add(ours)
	queue.add(theirs)
	var candidates []Commit
	for queue.anyFresh(marks) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		c := queue.next()
		mark := marks[c.Hash]
		if mark&(fromOurs|fromTheirs) == fromOurs|fromTheirs {
			if mark&(reported|stale) == 0 {
				marks[c.Hash] |= reported
				candidates = append(candidates, c)
			}
			mark |= stale
		}
		down := mark & (fromOurs | fromTheirs | stale)
		for _, h := range c.Parents {
			before := marks[h]
			if before&down == down {
				continue
			}
			parent, err := r.commit(h)
			if err != nil {
				return nil, err
			}
			marks[h] = before | down
			queue.add(parent)
		}
	}
	var bases []Commit
	for _, c := range candidates {
		if marks[c.Hash]&stale == 0 {
			bases = append(bases, c)
		}
	}
	return bases, nil
}

// anyFresh reports whether a queued commit may still lead to a base.
func (q *commitQueue) anyFresh(marks map[Hash]int) bool {
	return slices.ContainsFunc(q.queued, func(c queuedCommit) bool { return marks[c.Hash]&stale == 0 })
}
