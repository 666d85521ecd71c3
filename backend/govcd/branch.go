package govcd

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/caiatech/caiatop/backend/gitrepo"
)

// MaxBranches bounds the branches of one repository.
const MaxBranches = 1024

// BranchRequest is the body of POST branches (CapBranches).
type BranchRequest struct {
	Name string `json:"name" binding:"required"`
	From string `json:"from"` // commit, branch or tag; "" is main
}

// MergeRequest is the body of POST merge (CapMerge).
type MergeRequest struct {
	From      string    `json:"from" binding:"required"` // commit, branch or tag
	Into      string    `json:"into"`                    // branch; "" is To, then main
	To        string    `json:"to"`                      // as govc calls it
	Message   string    `json:"message"`                 // "" names both sides
	Author    string    `json:"author"`
	Email     string    `json:"email"`
	Timestamp time.Time `json:"timestamp"`
}

type branchAnswer struct {
	Name    string `json:"name"`
	Commit  string `json:"commit"`
	Current bool   `json:"is_current"`
}

func (s *Service) getBranches(w http.ResponseWriter, _ *http.Request, repo *repo) error {
	repo.mu.RLock()
	tips := maps.Clone(repo.tips)
	repo.mu.RUnlock()
	branches := []branchAnswer{}
	for _, name := range slices.Sorted(maps.Keys(tips)) {
		branches = append(branches, branchAnswer{name, tips[name].String(), name == gitrepo.Main})
	}
	return answer(w, http.StatusOK, struct {
		Branches []branchAnswer `json:"branches"`
		Count    int            `json:"count"`
		Current  string         `json:"current"`
	}{branches, len(branches), gitrepo.Main})
}

func (s *Service) postBranch(w http.ResponseWriter, r *http.Request, repo *repo) error {
	var in BranchRequest
	if err := bind(r, &in); err != nil {
		return err
	}
	note(r).Path = branchPath(in.Name)
	if in.From == "" {
		in.From = gitrepo.Main
	}
	at, err := repo.resolve(r.Context(), in.From)
	if err != nil {
		return err
	}
	if err := repo.branch(r.Context(), in.Name, at); err != nil {
		return err
	}
	note(r).Ref = named(at)
	return answer(w, http.StatusCreated, struct {
		doneAnswer
		Name   string `json:"name"`
		Commit string `json:"commit"`
	}{doneAnswer{Message: "branch '" + in.Name + "' created"}, in.Name, at.String()})
}

func (s *Service) deleteBranch(w http.ResponseWriter, r *http.Request, t target) error {
	note(r).Path = branchPath(t.name)
	repo, release, err := s.repo(t.id)
	if err != nil {
		return err
	}
	defer release()
	if err := repo.unbranch(r.Context(), t.name); err != nil {
		return err
	}
	return answer(w, http.StatusOK, doneAnswer{Message: "branch '" + t.name + "' deleted"})
}

// branch makes a branch at a commit.
func (r *repo) branch(ctx context.Context, name string, at gitrepo.Hash) error {
	if err := r.service.diskRoom(); err != nil {
		return err
	}
	leave, err := r.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	r.mu.Lock()
	_, taken := r.tips[name]
	full := len(r.tips) >= MaxBranches
	if !taken && !full {
		err = r.charge(fileCost, r.service.maxBytes)
	}
	r.mu.Unlock()
	switch {
	case taken:
		return fail(http.StatusConflict, "BRANCH_EXISTS", "branch already exists: "+name)
	case full:
		return fail(http.StatusInsufficientStorage, "TOO_MANY_BRANCHES", fmt.Sprintf("the repository has its limit of %d branches", MaxBranches))
	case err != nil:
		return err
	}
	err = r.git.CreateBranch(name, at)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.refund(fileCost)
	} else {
		r.committed(fileCost)
	}
	switch {
	case errors.Is(err, gitrepo.ErrInvalid):
		return invalid("INVALID_BRANCH_NAME", "branch", "git does not allow this name: "+name)
	case errors.Is(err, gitrepo.ErrExists):
		return fail(http.StatusConflict, "BRANCH_EXISTS", "branch already exists: "+name)
	case err != nil:
		return err
	}
	r.tips[name] = at
	return nil
}

// unbranch removes a branch and what is staged on it.
func (r *repo) unbranch(ctx context.Context, name string) error {
	if name == gitrepo.Main {
		return fail(http.StatusBadRequest, "PROTECTED_BRANCH", "cannot delete the branch "+name)
	}
	leave, err := r.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if _, err := r.head(name); err != nil {
		return err
	}
	if err := r.git.DeleteBranch(name); err != nil && !errors.Is(err, gitrepo.ErrNotFound) {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.tips, name)
	if r.service.disk == nil {
		r.refund(fileCost)
	}
	for sc := range r.areas {
		if sc.branch == name {
			r.dropArea(sc)
		}
	}
	return nil
}

type mergeAnswer struct {
	doneAnswer
	Hash        string `json:"hash"`
	FastForward bool   `json:"fast_forward"`
}

func (s *Service) postMerge(w http.ResponseWriter, r *http.Request, repo *repo) error {
	var in MergeRequest
	if err := bind(r, &in); err != nil {
		return err
	}
	c := CommitRequest{Message: in.Message, Author: in.Author, Email: in.Email, Timestamp: in.Timestamp, by: authorOf(r)}
	if err := checkCommit(c); err != nil {
		return err
	}
	into := in.Into
	for _, other := range []string{in.To, gitrepo.Main} {
		if into == "" {
			into = other
		}
	}
	if c.Message == "" {
		c.Message = "Merge " + in.From + " into " + into
		if checkCommit(c) != nil {
			c.Message = "Merge" // of branches whose names no message can hold
		}
	}
	cond, err := conditionOf(r)
	if err != nil {
		return err
	}
	made, err := repo.merge(r.Context(), in.From, into, c, cond)
	noteCommit(r, into, made.Hash)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, made)
}

// merge brings what a commit is made of into a branch.
func (r *repo) merge(ctx context.Context, from, into string, c CommitRequest, cond condition) (mergeAnswer, error) {
	if err := r.service.diskRoom(); err != nil {
		return mergeAnswer{}, err
	}
	leave, err := r.enter(ctx)
	if err != nil {
		return mergeAnswer{}, err
	}
	defer leave()
	theirs, err := r.resolve(ctx, from)
	if err != nil {
		return mergeAnswer{}, err
	}
	ours, err := r.head(into)
	if err == nil && ours.IsZero() {
		err = branchNotFound(into)
	}
	if err == nil {
		err = cond.checkTip(into, ours)
	}
	if err != nil {
		return mergeAnswer{}, err
	}
	r.mu.Lock()
	p, _, err := r.prepare(c, nil)
	r.mu.Unlock()
	if err != nil {
		return mergeAnswer{}, err
	}
	after, err := r.git.Merge(ctx, gitrepo.MergeInput{
		Into: into, Theirs: theirs, Author: p.author, At: p.at, Message: p.message, Parent: &ours,
	})
	if errors.Is(err, gitrepo.ErrMoved) {
		err = r.moved(ctx, into)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil || after == ours || after == theirs {
		r.refund(p.cost) // no commit was made
	} else {
		r.committed(p.cost)
	}
	if err != nil {
		return mergeAnswer{}, mergeFailure(err)
	}
	out := mergeAnswer{Hash: after.String(), FastForward: after == theirs && after != ours}
	out.Message = "merged '" + from + "' into '" + into + "' (commit: " + out.Hash[:7] + ")"
	if after == ours {
		out.Message = "already up to date"
		return out, nil
	}
	author := p.author
	if out.FastForward {
		author = r.author
	}
	r.advance(into, ours, after, author)
	return out, nil
}

func mergeFailure(err error) error {
	var conflict *gitrepo.ConflictError
	switch {
	case errors.As(err, &conflict):
		return mergeConflict(conflict.Error(), conflict.Paths)
	case errors.Is(err, gitrepo.ErrUnrelated):
		return fail(http.StatusConflict, "MERGE_FAILED", "the histories have no commit in common")
	}
	return err
}
