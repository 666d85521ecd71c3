package gitrepo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"

	"github.com/go-git/go-git/v5/plumbing"
)

// What one part of a copy may hold before it is stored and the branch moves on.
const (
	copyBytes   = 8 << 20
	copyObjects = 5000
	copyCommits = 500
)

var (
	// ErrNotForward: the branch at the other side is not at an earlier commit
	// of this history, so that moving it would lose commits.
	ErrNotForward = errors.New("this would be no fast-forward")
	// ErrForeign: the other side holds a history that has no commit of ours.
	// It is also an ErrNotForward.
	ErrForeign = fmt.Errorf("%w: another history lies there", ErrNotForward)
)

// Object returns an object as it is in the repository, for transports. The
// bytes are shared and must not be changed. They do have that name: an object
// whose bytes changed on the disk is ErrCorrupt, so that damage is never copied.
// ErrNotFound.
func (r *Repo) Object(ctx context.Context, h Hash) (plumbing.ObjectType, []byte, error) {
	if err := ctx.Err(); err != nil {
		return 0, nil, err
	}
	if r.closed.Load() {
		return 0, nil, ErrClosed
	}
	o, err := r.pass(h)
	if err != nil {
		return 0, nil, err
	}
	name, err := nameObject(o.kind, o.data)
	switch {
	case err != nil:
		return 0, nil, fmt.Errorf("%w: %s: %w", ErrCorrupt, h, err)
	case name != h:
		return 0, nil, fmt.Errorf("%w: the bytes of %s %s are not what its name says", ErrCorrupt, o.kind, h)
	}
	return o.kind, o.data, nil
}

// pass reads an object that is not likely to be asked for again: it leaves the
// cache to those who are.
func (r *Repo) pass(h Hash) (object, error) {
	if p, onDisk := r.objects.(*packStore); onDisk {
		o, err := p.uncached(h)
		if err == nil || !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrGone) && !errors.Is(err, ErrClosed) {
			return o, err
		}
	}
	return r.objects.object(h)
}

// Sink takes a history, see Send.
type Sink interface {
	// Object takes one object. The bytes are shared: they must not be changed.
	Object(ctx context.Context, h Hash, kind plumbing.ObjectType, data []byte) error
	// Reached says that all that commit is made of was given, so that a branch
	// may move there; from is the commit that was reached before. It reports
	// whether what was given is with the other side now; then what it is given
	// next may have objects among it that it had before.
	Reached(ctx context.Context, from, commit Hash) (passed bool, err error)
}

// Send gives sink what tip is made of and have is not, commit by commit along
// the first parents, the oldest first: each commit that is reached is a
// fast-forward of the one before. have is zero for nothing. It reads only, and
// holds 20 bytes a commit beside the names of what was given since sink passed
// something on.
//
// ErrNotFound if have is not here; ErrNotForward, ErrForeign if it is no
// earlier commit of tip.
func (r *Repo) Send(ctx context.Context, have, tip Hash, sink Sink) error {
	chain, err := r.chain(ctx, have, tip)
	if err != nil {
		return err
	}
	s := &sender{repo: r, sink: sink, seen: map[Hash]struct{}{}}
	from := have
	for _, h := range slices.Backward(chain) {
		c, err := r.ReadCommit(ctx, h)
		if err != nil {
			return err
		}
		if err := s.step(ctx, from, c); err != nil {
			return fmt.Errorf("commit %s: %w", h, err)
		}
		passed, err := sink.Reached(ctx, from, h)
		if err != nil {
			return err
		}
		if passed {
			clear(s.seen)
		}
		from = h
	}
	return nil
}

// Ahead counts the commits along the first parents that tip has after have, and
// returns the oldest of them; have is zero for nothing. The errors are those of
// Send.
func (r *Repo) Ahead(ctx context.Context, have, tip Hash) (n int, oldest Commit, err error) {
	chain, err := r.chain(ctx, have, tip)
	if err != nil || len(chain) == 0 {
		return 0, Commit{}, err
	}
	oldest, err = r.ReadCommit(ctx, chain[len(chain)-1])
	return len(chain), oldest, err
}

// chain returns the commits from tip down to have, without have, along the
// first parents. Where have came in by a merge, it ends with that merge.
func (r *Repo) chain(ctx context.Context, have, tip Hash) ([]Hash, error) {
	var chain []Hash
	for at := tip; at != have; {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		chain = append(chain, at)
		c, err := r.commit(at)
		if err != nil {
			return nil, err
		}
		if len(c.Parents) > 0 {
			at = c.Parents[0]
			continue
		}
		if have.IsZero() {
			break
		}
		return r.chainOver(ctx, chain, have)
	}
	return chain, nil
}

// chainOver finds the part of a chain that has a commit beside it. All commits
// after one that has it have it, too.
func (r *Repo) chainOver(ctx context.Context, chain []Hash, have Hash) ([]Hash, error) {
	if _, err := r.ReadCommit(ctx, have); err != nil {
		return nil, err
	}
	if err := r.forward(ctx, have, chain[0]); err != nil {
		return nil, err
	}
	var failed error
	without := sort.Search(len(chain), func(i int) bool {
		err := r.forward(ctx, have, chain[i])
		if err != nil && !errors.Is(err, ErrNotForward) {
			failed = errors.Join(failed, err)
		}
		return err != nil
	})
	return chain[:without], failed
}

// forward is nil if a branch may go from one commit to another one without
// losing any.
func (r *Repo) forward(ctx context.Context, from, to Hash) error {
	a, err := r.commit(from)
	if err != nil {
		return err
	}
	b, err := r.commit(to)
	if err != nil {
		return err
	}
	bases, err := r.mergeBases(ctx, a, b)
	if err != nil {
		return err
	}
	is := func(h Hash) func(Commit) bool { return func(c Commit) bool { return c.Hash == h } }
	switch {
	case slices.ContainsFunc(bases, is(from)):
		return nil
	case slices.ContainsFunc(bases, is(to)):
		return fmt.Errorf("%w: %s is newer than %s", ErrNotForward, from, to)
	case len(bases) > 0:
		return fmt.Errorf("%w: %s and %s parted at %s", ErrNotForward, from, to, bases[0].Hash)
	}
	return fmt.Errorf("%w: %s and %s have no commit in common", ErrForeign, from, to)
}

// sender gives a sink what it lacks.
type sender struct {
	repo *Repo
	sink Sink
	seen map[Hash]struct{} // given since the sink passed something on
}

// step gives all that a commit is made of and another one is not.
func (s *sender) step(ctx context.Context, from Hash, c Commit) error {
	if len(c.Parents) == 0 && from.IsZero() || len(c.Parents) == 1 && c.Parents[0] == from {
		return s.commit(ctx, c)
	}
	all, err := s.repo.between(ctx, from, c)
	if err != nil {
		return err
	}
	for _, c := range all {
		if err := s.commit(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// between returns the commits that to is made of and from is not; where clocks
// were wrong, more of them, but never fewer.
func (r *Repo) between(ctx context.Context, from Hash, to Commit) ([]Commit, error) {
	marks := map[Hash]int{to.Hash: fromOurs}
	queue := &commitQueue{}
	queue.add(to)
	if !from.IsZero() {
		c, err := r.commit(from)
		if err != nil {
			return nil, err
		}
		marks[from] |= stale
		queue.add(c)
	}
	var out []Commit
	for queue.anyFresh(marks) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		c := queue.next()
		mark := marks[c.Hash]
		if mark&(stale|reported) == 0 {
			marks[c.Hash] |= reported
			out = append(out, c)
		}
		for _, h := range c.Parents {
			before := marks[h]
			if before != 0 && before&stale >= mark&stale {
				continue
			}
			parent, err := r.commit(h)
			if err != nil {
				return nil, err
			}
			marks[h] = before | mark&stale | fromOurs
			queue.add(parent)
		}
	}
	return slices.DeleteFunc(out, func(c Commit) bool { return marks[c.Hash]&stale != 0 }), nil
}

// commit gives what a commit changed against its first parent.
func (s *sender) commit(ctx context.Context, c Commit) error {
	before := emptyTree
	if len(c.Parents) > 0 {
		parent, err := s.repo.commit(c.Parents[0])
		if err != nil {
			return err
		}
		before = parent.Tree
	}
	if err := s.tree(ctx, c.Tree, before, len(c.Parents) == 0, 0); err != nil {
		return err
	}
	return s.give(ctx, c.Hash, plumbing.CommitObject)
}

// tree gives a tree and what is below it, but for what another one has in the
// same places. all gives the tree also if it is the same.
func (s *sender) tree(ctx context.Context, tree, before Hash, all bool, depth int) error {
	if tree == before && !all {
		return nil
	}
	if _, given := s.seen[tree]; given {
		return nil
	}
	if depth > maxDepth {
		return fmt.Errorf("%w: trees deeper than %d", ErrCorrupt, maxDepth)
	}
	data, err := s.repo.tree(tree)
	if err != nil {
		return err
	}
	old, err := s.repo.tree(before)
	if err != nil {
		return err
	}
	for len(data) > 0 {
		it, rest, err := nextItem(data)
		if err != nil {
			return fmt.Errorf("tree %s: %w", tree, err)
		}
		data = rest
		var was item
		if was, old, err = advance(old, it); err != nil {
			return fmt.Errorf("tree %s: %w", before, err)
		}
		switch {
		case was.hash == it.hash:
		case it.mode.isTree():
			if !was.mode.isTree() {
				was.hash = emptyTree
			}
			err = s.tree(ctx, it.hash, was.hash, false, depth+1)
		case it.mode.isBlob():
			err = s.give(ctx, it.hash, plumbing.BlobObject)
		}
		if err != nil {
			return err
		}
	}
	return s.give(ctx, tree, plumbing.TreeObject)
}

// advance goes on in a sorted tree to the place of an entry, and returns what
// is there: an entry of the same name and sort, or nothing.
func advance(tree []byte, to item) (item, []byte, error) {
	for len(tree) > 0 {
		it, rest, err := nextItem(tree)
		if err != nil {
			return item{}, nil, err
		}
		order := compareItems(it, to)
		if order > 0 {
			break
		}
		tree = rest
		if order == 0 && bytes.Equal(it.name, to.name) {
			return it, tree, nil
		}
	}
	return item{}, tree, nil
}

// give passes on one object that another one names.
func (s *sender) give(ctx context.Context, h Hash, kind plumbing.ObjectType) error {
	if _, given := s.seen[h]; given {
		return nil
	}
	got, data, err := s.repo.Object(ctx, h)
	switch {
	case h == emptyTree && errors.Is(err, ErrNotFound):
		got, data = plumbing.TreeObject, nil // needs not be stored to be known
	case errors.Is(err, ErrNotFound):
		return fmt.Errorf("%w: %s %s is missing", ErrCorrupt, kind, h)
	case err != nil:
		return err
	}
	if got != kind {
		return fmt.Errorf("%w: %s is a %s, not a %s", ErrCorrupt, h, got, kind)
	}
	if err := s.sink.Object(ctx, h, kind, data); err != nil {
		return err
	}
	s.seen[h] = struct{}{}
	return nil
}
