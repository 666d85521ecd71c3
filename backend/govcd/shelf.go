package govcd

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/caiatech/caiatop/backend/gitrepo"
)

// errStopped: with repositories on disk nobody may take a stopped service for
// an empty one.
func errStopped() error {
	return fail(http.StatusServiceUnavailable, "SERVICE_STOPPED", "the service is stopped")
}

// create makes an empty repository.
func (s *Service) create(ctx context.Context, id string) (*repo, error) {
	if err := s.diskRoom(); err != nil {
		return nil, err
	}
	done, err := s.reserve(ctx, id)
	if err != nil {
		return nil, err
	}
	defer done()
	created := s.now().UTC()
	git := gitrepo.NewMemory(gitrepo.Options{})
	if s.disk != nil {
		if s.disk.taken(id) {
			return nil, fail(http.StatusConflict, "REPO_EXISTS", fmt.Sprintf("the folder of repository %s has something in it that is none", id))
		}
		if git, err = s.disk.create(id, created); err != nil {
			return nil, fmt.Errorf("make repository %s: %w", id, err)
		}
	}
	r, err := newRepo(ctx, id, created, git, s)
	if err != nil {
		return nil, errors.Join(err, git.Close())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.repos[id] = r
	return r, nil
}

// reserve keeps an id for a repository that is being made.
func (s *Service) reserve(ctx context.Context, id string) (done func(), err error) {
	folded := strings.ToLower(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	// Stop cancels requests before it drops the repositories: none comes after.
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !s.open {
		return nil, errStopped()
	}
	if _, taken := s.repos[id]; taken {
		return nil, fail(http.StatusConflict, "REPO_EXISTS", fmt.Sprintf("repository %s already exists", id))
	}
	if _, busy := s.busy[folded]; busy {
		return nil, fail(http.StatusConflict, "REPO_EXISTS", fmt.Sprintf("repository %s is being made or deleted by another request", id))
	}
	if s.disk != nil {
		if err := s.checkName(id, folded); err != nil {
			return nil, err
		}
	}
	if len(s.repos)+len(s.busy) >= s.maxRepos {
		return nil, fail(http.StatusServiceUnavailable, "MAX_REPOS_REACHED", "maximum number of repositories reached")
	}
	return s.keepBusy(folded), nil
}

// checkName refuses an id that would need the folder of another repository on
// some machine, if not on this one. The caller holds mu.
func (s *Service) checkName(id, folded string) error {
	for other := range s.repos {
		if strings.ToLower(other) == folded {
			return fail(http.StatusConflict, "REPO_EXISTS",
				fmt.Sprintf("repository %s already exists, and %s differs from it only in the case of letters", other, id))
		}
	}
	return nil
}

// keepBusy notes that an id is in the works; the caller holds mu.
func (s *Service) keepBusy(folded string) (done func()) {
	s.busy[folded] = struct{}{}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.busy, folded)
	}
}

// repo returns a repository and holds it open until release is called.
func (s *Service) repo(id string) (r *repo, release func(), err error) {
	s.mu.RLock()
	r = s.repos[id]
	open := s.open
	s.mu.RUnlock()
	if r == nil && !open {
		return nil, nil, errStopped()
	}
	if r == nil || !r.hold() {
		return nil, nil, fail(http.StatusNotFound, "REPO_NOT_FOUND", "repository not found: "+id)
	}
	if r.broken != nil {
		r.release()
		return nil, nil, fail(http.StatusServiceUnavailable, "REPO_UNAVAILABLE",
			"repository "+id+" cannot be opened; the log of the service says why, and a restart tries again")
	}
	return r, r.release, nil
}

// drop removes a repository and closes it once nobody uses it any more.
func (s *Service) drop(ctx context.Context, id string) error {
	s.mu.Lock()
	r := s.repos[id]
	if r == nil {
		open := s.open
		s.mu.Unlock()
		if !open {
			return errStopped()
		}
		return fail(http.StatusNotFound, "REPO_NOT_FOUND", "repository not found")
	}
	delete(s.repos, id)
	done := s.keepBusy(strings.ToLower(id))
	s.mu.Unlock()
	defer done()
	if err := r.close(); err != nil || s.disk == nil {
		return err
	}
	left, err := s.disk.drop(id)
	if left != nil {
		s.log.Warn("files of a deleted repository are left until the next start", "repository", id, "error", left)
	}
	if err != nil && s.disk.taken(id) {
		return errors.Join(err, s.putBack(ctx, id))
	}
	return err
}

// putBack serves a repository again that could not be dropped.
func (s *Service) putBack(ctx context.Context, id string) error {
	r, err := s.openRepo(context.WithoutCancel(ctx), id)
	if err != nil {
		r = s.brokenRepo(id, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.repos[id] = r
	return err
}

// dropAll forgets every repository; those on disk stay there.
func (s *Service) dropAll() error {
	s.mu.Lock()
	repos := s.repos
	s.repos, s.open = map[string]*repo{}, s.disk == nil
	s.mu.Unlock()
	var errs []error
	for _, r := range repos {
		errs = append(errs, r.close())
	}
	if s.disk != nil {
		errs = append(errs, s.disk.leave())
	}
	return errors.Join(errs...)
}

// list returns every repository, in no particular order.
func (s *Service) list() []*repo {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := make([]*repo, 0, len(s.repos))
	for _, r := range s.repos {
		out = append(out, r)
	}
	return out
}

// vanished is how many open repositories have no folder any more: whoever
// deleted it took away what a restart reads.
func (s *Service) vanished() (n int) {
	if s.disk == nil {
		return 0
	}
	for _, r := range s.list() {
		if r.vanished() {
			n++
		}
	}
	return n
}

// vanished reports whether an open repository has no folder any more.
func (r *repo) vanished() bool {
	return r.broken == nil && r.service.disk != nil && !r.service.disk.taken(r.id)
}

// broken counts the repositories that cannot be opened.
func (s *Service) broken() (n int) {
	for _, r := range s.list() {
		if r.broken != nil {
			n++
		}
	}
	return n
}
