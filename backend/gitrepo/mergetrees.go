package gitrepo

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

// modeUnsure is the mode of an entry in a virtual base where the bases that it
// stands for conflict: nothing that a side has is equal to it. It is never
// stored.
const modeUnsure mode = 0o170000

// side is what one of the three has at a name; zero if nothing.
type side struct {
	mode mode
	hash Hash
}

func (s side) present() bool { return s.mode != 0 }

// file tells anything that is there and no folder.
func (s side) file() bool { return s.present() && !s.mode.isTree() }

// folder returns the tree, or zero for anything else.
func (s side) folder() Hash {
	if s.mode.isTree() {
		return s.hash
	}
	return Hash{}
}

// origin is the tree that both sides come from; zero has no entries. Where it
// is unsure, nothing is known about it.
type origin struct {
	tree   Hash
	unsure bool
}

func (o origin) is(h Hash) bool { return !o.unsure && o.tree == h }

// merger is one three-way merge.
type merger struct {
	*builder
	ctx        context.Context //nolint:containedctx // lives for one call of merge
	in         MergeInput
	path       []string // of the folder that is being merged
	conflicts  []string
	overridden []string
}

// merge merges two trees and returns what Favour decided; a *ConflictError if
// it decided nothing.
func (b *builder) merge(ctx context.Context, base origin, ours, theirs Hash, in MergeInput) (Hash, []string, error) {
	m := &merger{builder: b, ctx: ctx, in: in}
	tree, err := m.trees(base, ours, theirs, "")
	if err != nil {
		return Hash{}, nil, err
	}
	if len(m.conflicts) > 0 {
		return Hash{}, nil, &ConflictError{m.conflicts}
	}
	if tree.IsZero() {
		tree, err = b.stage(plumbing.TreeObject, nil)
	}
	return tree, m.overridden, err
}

// conflict decides about a path that both sides changed differently.
func (m *merger) conflict(name string, ours, theirs side) side {
	if m.imagine {
		return side{mode: modeUnsure}
	}
	path := strings.Join(append(m.path, name), "/")
	switch {
	case m.in.Favour == FavourOurs:
		m.overridden = append(m.overridden, path)
	case m.in.Favour == FavourTheirs:
		m.overridden = append(m.overridden, path)
		return theirs
	case len(m.conflicts) < MaxConflicts:
		m.conflicts = append(m.conflicts, path)
	}
	return ours
}

// trees merges folders of that name. A zero hash is a folder that is not there;
// the result is zero if nothing is left.
func (m *merger) trees(base origin, ours, theirs Hash, name string) (Hash, error) {
	switch {
	case ours == theirs || base.is(theirs):
		return ours, nil
	case base.is(ours):
		return theirs, nil
	case len(m.path) > maxDepth:
		return Hash{}, fmt.Errorf("%w: trees deeper than %d", ErrCorrupt, maxDepth)
	}
	if err := m.ctx.Err(); err != nil {
		return Hash{}, err
	}
	var three [3]held
	for i, h := range [...]Hash{base.tree, ours, theirs} {
		var err error
		if three[i], err = m.tree(h); err != nil {
			return Hash{}, err
		}
	}
	first := len(m.edits)
	defer func() { m.edits = m.edits[:first] }()
	err := eachDifference(three[1].tree, three[2].tree, func(mine, other place) error {
		return m.name(base, &three, mine, other)
	})
	if err != nil {
		return Hash{}, fmt.Errorf("trees %s and %s: %w", ours, theirs, err)
	}
	if len(m.edits) == first {
		return ours, nil
	}
	t, err := editTree(three[1].tree, m.edits[first:], m.room)
	if err != nil {
		return Hash{}, fmt.Errorf("tree %s: %w", ours, err)
	}
	like := three[1].entry
	if !inPlace(m.edits[first:]) {
		like = nil
	}
	return m.stageTree(t, ours, name, like)
}

// name merges what differs at one name, and notes what becomes of ours.
func (m *merger) name(base origin, three *[3]held, mine, other place) error {
	name := string(mine.name)
	if mine.name == nil {
		name = string(other.name)
	}
	was := side{mode: modeUnsure}
	if !base.unsure {
		p, _, err := three[0].find(name)
		if err != nil {
			return err
		}
		was = side{p.mode, p.hash}
	}
	ours := side{mine.mode, mine.hash}
	merged, err := m.entry(name, was, ours, side{other.mode, other.hash})
	if err != nil || merged == ours {
		return err
	}
	m.edits = append(m.edits, edit{
		name: name, from: mine.from, to: mine.to, before: mine.mode,
		put: merged.present(), mode: merged.mode, hash: merged.hash,
	})
	return nil
}

// entry merges one name.
func (m *merger) entry(name string, base, ours, theirs side) (side, error) {
	unsure := base.mode == modeUnsure
	if !unsure {
		switch base {
		case theirs:
			return ours, nil
		case ours:
			return theirs, nil
		}
	}
	// Folders are merged name by name, a missing one as an empty one. A file
	// on any side leaves nothing to go into.
	if ours.file() || theirs.file() || (!ours.mode.isTree() && !theirs.mode.isTree()) {
		return m.conflict(name, ours, theirs), nil
	}
	if m.in.Whole != nil && m.in.Whole(strings.Join(append(m.path, name), "/")) {
		return m.conflict(name, ours, theirs), nil
	}
	m.path = append(m.path, name)
	tree, err := m.trees(origin{base.folder(), unsure}, ours.folder(), theirs.folder(), name)
	m.path = m.path[:len(m.path)-1]
	if err != nil || tree.IsZero() {
		return side{}, err
	}
	return side{modeTree, tree}, nil
}

// eachDifference calls fn with every name at which two trees differ, in git's
// order; the place of the one that lacks it is zero. A file and a folder of
// one name are one call.
func eachDifference(a, b tree, fn func(a, b place) error) error {
	for _, t := range [...]tree{a, b} {
		if t.index != nil && !t.index.sorted {
			return fmt.Errorf("%w: a tree is not in order", ErrCorrupt)
		}
	}
	i, j := 0, 0
	for i < len(a.data) || j < len(b.data) {
		same, err := a.boundary(i, commonPrefix(a.data[i:], b.data[j:]))
		if err != nil {
			return err
		}
		i, j = i+same, j+same
		left, err := a.entryAt(i)
		if err != nil {
			return err
		}
		right, err := b.entryAt(j)
		if err != nil {
			return err
		}
		order := 0
		switch {
		case left.name == nil && right.name == nil:
			return nil
		case left.name == nil:
			order = 1
		case right.name == nil:
			order = -1
		default:
			order = compareItems(left.item, right.item)
		}
		if order <= 0 {
			i = left.to
		}
		if order >= 0 {
			j = right.to
		}
		if err := difference(a, b, left, right, order, fn); err != nil {
			return err
		}
	}
	return nil
}

// difference calls fn for one step of eachDifference. A name that one side has
// here may be of the other kind, and elsewhere, in the other: it is told once.
func difference(a, b tree, left, right place, order int, fn func(a, b place) error) error {
	switch {
	case order < 0:
		other, ok, err := b.find(string(left.name))
		if err != nil || (ok && left.mode.isTree() && !other.mode.isTree()) {
			return err
		}
		return fn(left, other)
	case order > 0:
		other, ok, err := a.find(string(right.name))
		if err != nil || (ok && (right.mode.isTree() || !other.mode.isTree())) {
			return err
		}
		return fn(other, right)
	case left.mode == right.mode && left.hash == right.hash:
		return nil
	}
	return fn(left, right)
}

// entryAt returns the entry that begins at a place, zero at the end.
func (t tree) entryAt(from int) (place, error) {
	if from >= len(t.data) {
		return place{}, nil
	}
	it, rest, err := nextItem(t.data[from:])
	return place{it, from, len(t.data) - len(rest)}, err
}

// boundary returns how many of the n bytes from an entry on are whole entries.
func (t tree) boundary(from, n int) (int, error) {
	end := from + n
	if end == len(t.data) {
		return n, nil
	}
	if t.index != nil {
		if stride := t.index.stride; stride > 0 {
			return end - end%stride - from, nil
		}
		i, exact := slices.BinarySearch(t.index.offsets, uint32(end)) //nolint:gosec // below MaxObject
		if exact {
			return n, nil
		}
		return int(t.index.offsets[i-1]) - from, nil
	}
	at := from
	for at < end {
		_, rest, err := nextItem(t.data[at:])
		if err != nil {
			return 0, err
		}
		next := len(t.data) - len(rest)
		if next > end {
			break
		}
		at = next
	}
	return at - from, nil
}
