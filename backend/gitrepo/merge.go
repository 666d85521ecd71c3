package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

// MaxConflicts bounds the paths that a ConflictError lists.
const MaxConflicts = 1000

// Favour says whose version wins where both sides changed a path differently.
type Favour int

const (
	// FavourNone makes it a conflict. It is the default.
	FavourNone Favour = iota
	// FavourOurs keeps what Into has, also where that is nothing.
	FavourOurs
	// FavourTheirs takes what the other side has, also where that is nothing.
	FavourTheirs
)

// MergeInput says what to merge.
type MergeInput struct {
	Into, From string // branches; "" is Main
	// Theirs, if it is not zero, is the commit to merge; From is not read then.
	Theirs  Hash
	Author  Signature
	At      time.Time
	Message string // "" names the branches
	Mark    string // as in CommitInput; moved where Into is
	// Favour decides what would be conflicts.
	Favour Favour
	// Whole, if set, names folders that are one thing to whoever wrote them: if
	// both sides changed such a folder, and not to the same, all of it is one
	// conflict under the folder's path, even if they changed different files.
	Whole func(folder string) bool
	// AllowUnrelated merges histories without a common commit, as if both had
	// begun with no files. Without it they are ErrUnrelated.
	AllowUnrelated bool
	// Parent is where Into must be; anything else is ErrMoved. Nil takes it as
	// it is.
	Parent *Hash
	// Before, if set, is called with what will be MergeResult.Overridden before
	// anything is written; its error ends the merge. It may read, but not write.
	Before func(overridden []string) error
}

// MergeResult is what a merge did.
type MergeResult struct {
	Commit Hash // the new tip of Into
	// Overridden are the paths at which Favour decided, all of them, in the
	// order of the tree.
	Overridden []string
}

// Merge brings the commits of From into Into and returns the new tip of Into:
// the old one if it has them already, that of From if Into has nothing of its
// own (a fast-forward), else a merge commit. Trees are merged by path: what
// only one side changed is taken from it. Paths that both sides changed
// differently, and a file changed here and deleted there, make a
// *ConflictError, and nothing is changed. ErrNotFound if a branch or Theirs is
// missing; ErrUnrelated. Other errors are those of Commit.
func (r *Repo) Merge(ctx context.Context, in MergeInput) (Hash, error) {
	result, err := r.MergeFavouring(ctx, in)
	return result.Commit, err
}

// MergeFavouring is Merge that tells where Favour decided.
func (r *Repo) MergeFavouring(ctx context.Context, in MergeInput) (MergeResult, error) {
	into, err := branchRef(in.Into)
	if err != nil {
		return MergeResult{}, err
	}
	from, source := "", "commit "+in.Theirs.String()
	if in.Theirs.IsZero() {
		if from, err = branchRef(in.From); err != nil {
			return MergeResult{}, err
		}
		source = from[len(headsPrefix):]
	}
	if err := checkMark(in.Mark); err != nil {
		return MergeResult{}, err
	}
	if in.Message == "" {
		in.Message = fmt.Sprintf("Merge %s into %s", source, into[len(headsPrefix):])
	}
	if err := r.acquire(ctx); err != nil {
		return MergeResult{}, err
	}
	defer r.release()
	for range attempts {
		result, err := r.mergeOnce(ctx, into, from, in)
		if !errors.Is(err, ErrMoved) || in.Parent != nil {
			return result, wrapMerge(source, into, err)
		}
	}
	return MergeResult{}, wrapMerge(source, into, fmt.Errorf("%w %d times in a row", ErrMoved, attempts))
}

func wrapMerge(source, into string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("merge %s into %s: %w", source, into, err)
}

func (r *Repo) mergeOnce(ctx context.Context, into, from string, in MergeInput) (MergeResult, error) {
	ours, err := r.tipCommit(into)
	if err != nil {
		return MergeResult{}, err
	}
	if in.Parent != nil && *in.Parent != ours.Hash {
		return MergeResult{}, fmt.Errorf("%w: it is at %s, not at %s", ErrMoved, ours.Hash, *in.Parent)
	}
	var theirs Commit
	if in.Theirs.IsZero() {
		theirs, err = r.tipCommit(from)
	} else {
		theirs, err = r.ReadCommit(ctx, in.Theirs)
	}
	if err != nil {
		return MergeResult{}, err
	}
	bases, err := r.mergeBases(ctx, ours, theirs)
	if err != nil {
		return MergeResult{}, err
	}
	if len(bases) == 0 && !in.AllowUnrelated {
		return MergeResult{}, ErrUnrelated
	}
	for _, base := range bases {
		switch base.Hash {
		case theirs.Hash:
			return MergeResult{Commit: ours.Hash}, nil
		case ours.Hash:
			u := refUpdate{name: into, old: ours.Hash, target: theirs.Hash}
			return MergeResult{Commit: theirs.Hash}, r.move(ctx, marked(u, in.Mark)...)
		}
	}
	b := &builder{repo: r}
	tree, overridden, err := b.mergeAll(ctx, bases, ours.Tree, theirs.Tree, in)
	if err != nil {
		return MergeResult{}, err
	}
	if in.Before != nil {
		if err := in.Before(overridden); err != nil {
			return MergeResult{}, err
		}
	}
	c := Commit{Tree: tree, Parents: []Hash{ours.Hash, theirs.Hash}, Author: in.Author, At: in.At, Message: in.Message}
	h, err := r.publish(ctx, refUpdate{name: into, old: ours.Hash}, in.Mark, c, b)
	if err != nil {
		return MergeResult{}, err
	}
	return MergeResult{Commit: h, Overridden: overridden}, nil
}

func (r *Repo) tipCommit(ref string) (Commit, error) {
	h, err := r.refs.ref(ref)
	if err != nil {
		return Commit{}, err
	}
	return r.commit(h)
}

// mergeAll merges over every base. Several bases that lead to different
// results mean that the histories disagree about who changed what; that is
// for a person to decide.
func (b *builder) mergeAll(ctx context.Context, bases []Commit, ours, theirs Hash, in MergeInput) (Hash, []string, error) {
	if len(bases) == 0 {
		bases = []Commit{{Tree: emptyTree}}
	}
	var results []Hash
	var overridden []string
	for _, base := range bases {
		m := &merger{builder: b, ctx: ctx, in: in}
		tree, err := m.trees("", base.Tree, ours, theirs, 0)
		if err != nil {
			return Hash{}, nil, err
		}
		if len(m.conflicts) > 0 {
			return Hash{}, nil, &ConflictError{m.conflicts}
		}
		if tree.IsZero() {
			if tree, err = b.stage(plumbing.TreeObject, nil, Hash{}, ""); err != nil {
				return Hash{}, nil, err
			}
		}
		results, overridden = append(results, tree), append(overridden, m.overridden...)
	}
	if slices.ContainsFunc(results, func(h Hash) bool { return h != results[0] }) {
		// Against an empty base every path that differs is a conflict.
		m := &merger{builder: b, ctx: ctx, in: in}
		union, err := m.trees("", emptyTree, ours, theirs, 0)
		switch {
		case err != nil:
			return Hash{}, nil, err
		case in.Favour == FavourOurs:
			return ours, m.overridden, nil
		case in.Favour == FavourTheirs:
			return union, m.overridden, nil // nothing of either side is dropped unseen
		}
		if len(m.conflicts) == 0 {
			m.conflict(".") // one side lacks all that the other has
		}
		return Hash{}, nil, &ConflictError{m.conflicts}
	}
	return results[0], overridden, nil
}

// merger is one three-way merge.
type merger struct {
	*builder
	ctx        context.Context //nolint:containedctx // lives for one call of mergeAll
	in         MergeInput
	conflicts  []string
	overridden []string
}

func (m *merger) conflict(path string) {
	if m.in.Favour != FavourNone {
		m.overridden = append(m.overridden, path)
		return
	}
	if len(m.conflicts) < MaxConflicts {
		m.conflicts = append(m.conflicts, path)
	}
}

// trees merges folders. A zero hash is a folder that is not there; the result
// is zero if nothing is left.
func (m *merger) trees(folder string, base, ours, theirs Hash, depth int) (Hash, error) {
	switch {
	case ours == theirs || theirs == base:
		return ours, nil
	case ours == base:
		return theirs, nil
	case depth > maxDepth:
		return Hash{}, fmt.Errorf("%w: trees deeper than %d", ErrCorrupt, maxDepth)
	}
	if err := m.ctx.Err(); err != nil {
		return Hash{}, err
	}
	names, data, err := m.union(base, ours, theirs)
	if err != nil {
		return Hash{}, err
	}
	var kept []item
	changed := make(map[string]struct{})
	for _, name := range names {
		it, err := m.entry(folder, name, depth)
		if err != nil {
			return Hash{}, err
		}
		if it == name.ours {
			continue
		}
		changed[name.name] = struct{}{}
		if it.present() {
			kept = append(kept, it.item(name.name))
		}
	}
	if len(changed) == 0 {
		return ours, nil
	}
	replaced := func(name []byte) bool { _, ok := changed[string(name)]; return ok }
	merged, err := replaceItems(data, replaced, kept)
	if err != nil || len(merged) == 0 {
		return Hash{}, err
	}
	return m.stage(plumbing.TreeObject, merged, ours, folder[strings.LastIndexByte(folder, '/')+1:])
}

// side is what one of the three has at a name; zero if nothing.
type side struct {
	mode mode
	hash Hash
}

func (s side) present() bool { return s.mode != 0 }

func (s side) item(name string) item { return item{[]byte(name), s.mode, s.hash} }

// folder returns the tree, or zero for anything else.
func (s side) folder() Hash {
	if s.mode.isTree() {
		return s.hash
	}
	return Hash{}
}

// triple is a name with its three sides.
type triple struct {
	name               string
	base, ours, theirs side
}

// union returns the names that differ between ours and theirs, in order, and
// the bytes of ours.
func (m *merger) union(base, ours, theirs Hash) ([]*triple, []byte, error) {
	byName := make(map[string]*triple)
	var mine []byte
	for i, h := range []Hash{ours, theirs, base} {
		if h.IsZero() {
			continue
		}
		data, err := m.repo.tree(h)
		if err != nil {
			return nil, nil, err
		}
		if i == 0 {
			mine = data
		}
		for len(data) > 0 {
			it, rest, err := nextItem(data)
			if err != nil {
				return nil, nil, fmt.Errorf("tree %s: %w", h, err)
			}
			t, ok := byName[string(it.name)]
			if !ok {
				t = &triple{name: string(it.name)}
				byName[t.name] = t
			}
			*[]*side{&t.ours, &t.theirs, &t.base}[i] = side{it.mode, it.hash}
			data = rest
		}
	}
	var out []*triple
	for _, t := range byName {
		if t.ours != t.theirs {
			out = append(out, t)
		}
	}
	slices.SortFunc(out, func(a, b *triple) int {
		if a.name < b.name {
			return -1
		}
		return 1
	})
	return out, mine, nil
}

// entry merges one name.
func (m *merger) entry(folder string, t *triple, depth int) (side, error) {
	path := t.name
	if folder != "" {
		path = folder + "/" + t.name
	}
	switch {
	case t.ours == t.theirs || t.theirs == t.base:
		return t.ours, nil
	case t.ours == t.base:
		return t.theirs, nil
	}
	// Folders are merged name by name, a missing one as an empty one. A file
	// on any side leaves nothing to go into.
	file := func(s side) bool { return s.present() && !s.mode.isTree() }
	if file(t.ours) || file(t.theirs) || (!t.ours.mode.isTree() && !t.theirs.mode.isTree()) ||
		(m.in.Whole != nil && m.in.Whole(path)) {
		m.conflict(path)
		if m.in.Favour == FavourTheirs {
			return t.theirs, nil
		}
		return t.ours, nil
	}
	tree, err := m.trees(path, t.base.folder(), t.ours.folder(), t.theirs.folder(), depth+1)
	if err != nil || tree.IsZero() {
		return side{}, err
	}
	return side{modeTree, tree}, nil
}
