package gitrepo

import (
	"bytes"
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

// maxVirtual bounds the merges of merge bases that one merge makes. Beyond it
// nothing is assumed about what the sides had in common.
const maxVirtual = 100

// mergeBases returns the best common ancestors of two commits: none if they
// share no history, several after criss-cross merges. It reads no further back
// than the histories differ.
func (r *Repo) mergeBases(ctx context.Context, ours, theirs Commit) ([]Commit, error) {
	// Made on the same commit, they have all in common that it has, and no more.
	if len(ours.Parents) == 1 && len(theirs.Parents) == 1 && ours.Parents[0] == theirs.Parents[0] && ours.Hash != theirs.Hash {
		base, err := r.links(ours.Parents[0])
		return []Commit{base}, err
	}
	return r.commonAncestors(ctx, []Commit{ours}, theirs)
}

// commonAncestors is mergeBases for a commit that has several parents ours and
// was not made.
func (r *Repo) commonAncestors(ctx context.Context, ours []Commit, theirs Commit) ([]Commit, error) {
	marks := make(map[Hash]int)
	queue := &commitQueue{}
	for _, c := range ours {
		if c.Hash == theirs.Hash {
			return []Commit{theirs}, nil
		}
		marks[c.Hash] = fromOurs
		queue.add(c)
	}
	marks[theirs.Hash] = fromTheirs
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
			parent, err := r.links(h)
			if err != nil {
				return nil, err
			}
			marks[h] = before | down
			queue.add(parent)
		}
	}
	return slices.DeleteFunc(candidates, func(c Commit) bool { return marks[c.Hash]&stale != 0 }), nil
}

// anyFresh reports whether a queued commit may still lead to a base.
func (q *commitQueue) anyFresh(marks map[Hash]int) bool {
	return slices.ContainsFunc(q.queued, func(c queuedCommit) bool { return marks[c.Hash]&stale == 0 })
}

// origin returns the tree that a merge starts from. Several bases are merged
// with each other first, as git's recursive strategy does, the oldest first
// and each from the bases of its own; where that conflicts, the result is
// unsure, and the sides conflict there unless they are equal. made counts the
// merges.
func (b *builder) origin(ctx context.Context, bases []Commit, in MergeInput, made *int) (origin, error) {
	switch len(bases) {
	case 0:
		return origin{}, nil
	case 1:
		return origin{tree: bases[0].Tree}, nil
	}
	bases = slices.Clone(bases)
	slices.SortFunc(bases, func(x, y Commit) int {
		if c := x.At.Compare(y.At); c != 0 {
			return c
		}
		return bytes.Compare(x.Hash[:], y.Hash[:])
	})
	merged := bases[0].Tree
	for i, next := range bases[1:] {
		if *made++; *made > maxVirtual {
			return origin{unsure: true}, nil
		}
		below, err := b.repo.commonAncestors(ctx, bases[:i+1], next)
		if err != nil {
			return origin{}, err
		}
		from, err := b.origin(ctx, below, in, made)
		if err != nil {
			return origin{}, err
		}
		if merged, err = b.imagined(ctx, from, merged, next.Tree, in); err != nil {
			return origin{}, err
		}
	}
	return origin{tree: merged}, nil
}

// imagined merges two bases into a tree that is never stored.
func (b *builder) imagined(ctx context.Context, from origin, ours, theirs Hash, in MergeInput) (Hash, error) {
	if b.virtual == nil {
		b.virtual = make(map[Hash]tree)
	}
	b.imagine = true
	defer func() { b.imagine = false }()
	m := &merger{builder: b, ctx: ctx, in: MergeInput{Whole: in.Whole}}
	return m.trees(from, ours, theirs, "")
}
