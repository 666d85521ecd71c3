package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Branch is a branch and the commit it points to.
type Branch struct {
	Name string
	Tip  Hash
}

// Tip returns the commit that a branch points to now; "" is Main. ErrNotFound
// if the branch does not exist, as in an empty repository.
func (r *Repo) Tip(branch string) (Hash, error) {
	ref, err := branchRef(branch)
	if err != nil {
		return Hash{}, err
	}
	return r.Ref(ref)
}

// Ref returns what a reference ("refs/...") points to. ErrNotFound.
func (r *Repo) Ref(name string) (Hash, error) {
	if err := checkRef(name); err != nil {
		return Hash{}, err
	}
	if r.closed.Load() {
		return Hash{}, ErrClosed
	}
	return r.refs.ref(name)
}

// SetRef moves a reference ("refs/...") to a commit, durably, wherever it was.
// It is for references of our own; branches are moved by Commit and Merge.
func (r *Repo) SetRef(ctx context.Context, name string, to Hash) error {
	if err := checkRef(name); err != nil {
		return err
	}
	if _, err := r.ReadCommit(ctx, to); err != nil {
		return err
	}
	if err := r.acquire(ctx); err != nil {
		return err
	}
	defer r.release()
	old, err := r.refs.ref(name)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	if old == to {
		return nil
	}
	return r.move(ctx, refUpdate{name: name, old: old, target: to})
}

// CreateBranch makes a branch at a commit. ErrExists; ErrNotFound if there is
// no such commit; ErrInvalid for a name that git does not allow.
func (r *Repo) CreateBranch(name string, at Hash) error {
	ctx := context.Background()
	ref, err := branchRef(name)
	if err == nil {
		err = checkNewName(name)
	}
	if err != nil {
		return err
	}
	if _, err := r.ReadCommit(ctx, at); err != nil {
		return fmt.Errorf("create branch %s: %w", name, err)
	}
	if err := r.acquire(ctx); err != nil {
		return err
	}
	defer r.release()
	err = r.move(ctx, refUpdate{name: ref, target: at})
	if errors.Is(err, ErrMoved) {
		return fmt.Errorf("create branch %s: %w", name, ErrExists)
	}
	return err
}

// DeleteBranch removes a branch; its commits stay until git collects them.
// ErrNotFound.
func (r *Repo) DeleteBranch(name string) error {
	ctx := context.Background()
	ref, err := branchRef(name)
	if err != nil {
		return err
	}
	if err := r.acquire(ctx); err != nil {
		return err
	}
	defer r.release()
	tip, err := r.refs.ref(ref)
	if err != nil {
		return fmt.Errorf("delete branch %s: %w", name, err)
	}
	return r.move(ctx, refUpdate{name: ref, old: tip})
}

// Branches returns all branches, by name.
func (r *Repo) Branches() ([]Branch, error) {
	if r.closed.Load() {
		return nil, ErrClosed
	}
	refs, err := listRefs(r.refs, headsPrefix)
	if err != nil {
		return nil, fmt.Errorf("list branches: %w", err)
	}
	out := make([]Branch, 0, len(refs))
	for ref, tip := range refs {
		out = append(out, Branch{strings.TrimPrefix(ref, headsPrefix), tip})
	}
	slices.SortFunc(out, func(a, b Branch) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}
