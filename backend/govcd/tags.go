package govcd

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/caiatech/caiatop/backend/gitrepo"
)

// MaxTags bounds the tags of one repository.
const MaxTags = 10_000

// TagRequest is the body of POST tags (CapTags).
type TagRequest struct {
	Name    string `json:"name" binding:"required"`
	Ref     string `json:"ref"`     // commit, branch or tag; "" is main
	Message string `json:"message"` // makes it an annotated tag
	Author  string `json:"author"`
	Email   string `json:"email"`
}

type tagAnswer struct {
	Name    string `json:"name"`
	Commit  string `json:"commit"`
	Message string `json:"message,omitempty"`
}

func (s *Service) getTags(w http.ResponseWriter, r *http.Request, repo *repo) error {
	tags, err := repo.git.Tags(r.Context())
	if err != nil {
		return err
	}
	out := []tagAnswer{}
	for _, t := range tags {
		out = append(out, tagAnswer{t.Name, t.Target.String(), strings.TrimSuffix(t.Message, "\n")})
	}
	return answer(w, http.StatusOK, struct {
		Tags  []tagAnswer `json:"tags"`
		Count int         `json:"count"`
	}{out, len(out)})
}

func (s *Service) postTag(w http.ResponseWriter, r *http.Request, repo *repo) error {
	var in TagRequest
	if err := bind(r, &in); err != nil {
		return err
	}
	c := CommitRequest{Message: in.Message, Author: in.Author, Email: in.Email, by: authorOf(r)}
	if err := checkCommit(c); err != nil {
		return err
	}
	note(r).Path = tagPath(in.Name)
	if in.Ref == "" {
		in.Ref = gitrepo.Main
	}
	at, err := repo.resolve(r.Context(), in.Ref)
	if err != nil {
		return err
	}
	if err := repo.tag(r.Context(), in.Name, at, c); err != nil {
		return err
	}
	note(r).Ref = named(at)
	return answer(w, http.StatusCreated, struct {
		Status string `json:"status"`
		tagAnswer
	}{"", tagAnswer{in.Name, at.String(), "tag '" + in.Name + "' created"}})
}

func (s *Service) deleteTag(w http.ResponseWriter, r *http.Request, t target) error {
	note(r).Path = tagPath(t.name)
	repo, release, err := s.repo(t.id)
	if err != nil {
		return err
	}
	defer release()
	if err := repo.untag(r.Context(), t.name); err != nil {
		return err
	}
	return answer(w, http.StatusOK, doneAnswer{Message: "tag '" + t.name + "' deleted"})
}

// tag makes a tag of a commit. What it costs stays counted when it is deleted:
// its object stays.
func (r *repo) tag(ctx context.Context, name string, at gitrepo.Hash, c CommitRequest) error {
	if err := r.service.diskRoom(); err != nil {
		return err
	}
	leave, err := r.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if r.tags >= MaxTags {
		return fail(http.StatusInsufficientStorage, "TOO_MANY_TAGS", fmt.Sprintf("the repository has its limit of %d tags", MaxTags))
	}
	r.mu.Lock()
	p, _, err := r.prepare(c, nil)
	r.mu.Unlock()
	if err != nil {
		return err
	}
	err = r.git.CreateTag(ctx, gitrepo.TagInput{Name: name, Commit: at, Message: p.message, Tagger: p.author, At: p.at})
	r.mu.Lock()
	if err != nil {
		r.refund(p.cost)
	} else {
		r.committed(p.cost)
	}
	r.mu.Unlock()
	switch {
	case errors.Is(err, gitrepo.ErrExists):
		return fail(http.StatusConflict, "TAG_EXISTS", "tag already exists: "+name)
	case errors.Is(err, gitrepo.ErrInvalid):
		return invalid("INVALID_TAG_NAME", "tag", "git does not allow this name: "+name)
	case err == nil:
		r.tags++
	}
	return err
}

func (r *repo) untag(ctx context.Context, name string) error {
	leave, err := r.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	err = r.git.DeleteTag(ctx, name)
	switch {
	case errors.Is(err, gitrepo.ErrNotFound), errors.Is(err, gitrepo.ErrInvalid):
		return fail(http.StatusNotFound, "TAG_NOT_FOUND", "tag not found: "+name)
	case err == nil:
		r.tags--
	}
	return err
}
