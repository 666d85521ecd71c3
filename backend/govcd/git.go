package govcd

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/caiatech/caiatop/backend/gitrepo"
	"github.com/caiatech/caiatop/backend/govcd/access"
	"github.com/caiatech/caiatop/backend/govcd/githttp"
	"github.com/go-git/go-git/v5/plumbing"
)

// gitRoutes are those that git asks for itself: "git clone" and "git fetch" of
// http://host/{id}.git, under the rights of reading. A transfer has no end of
// its own in time, and so is a stream.
func (s *Service) gitRoutes() []route {
	const base = "/{id}.git"
	git := githttp.New(githttp.Options{Agent: "caiatop/" + s.version, Client: senderOf, Now: s.now, Logger: s.log})
	refs := read(base+"/info/refs", s.withGit(func(w http.ResponseWriter, r *http.Request, _ target, of gitView) error {
		return git.Advertise(w, r, of)
	}))
	fetch := read(base+"/git-upload-pack", s.withGit(func(w http.ResponseWriter, r *http.Request, t target, of gitView) error {
		return git.UploadPack(w, r, of, s.mayRead(r, t.id))
	}))
	fetch.method, fetch.stream = http.MethodPost, true
	push := read(base+"/git-receive-pack", func(http.ResponseWriter, *http.Request, target) error {
		return asGit(githttp.Push)
	})
	push.method, push.stream = http.MethodPost, true
	table := []route{refs, fetch, push}
	for i := range table {
		table[i].git = true
	}
	return table
}

// withGit serves a route of one repository, which it does not hold open: a
// transfer may be long, and a repository that is deleted meanwhile ends it.
func (s *Service) withGit(serve func(http.ResponseWriter, *http.Request, target, gitView) error) handler {
	return func(w http.ResponseWriter, r *http.Request, t target) error {
		repo, release, err := s.repo(t.id)
		if err != nil {
			return err
		}
		release()
		return asGit(serve(w, r, t, gitView{repo}))
	}
}

// asGit makes a failure of what package githttp refuses.
func asGit(err error) error {
	refused, ok := errors.AsType[*githttp.Refusal](err)
	if !ok {
		return err
	}
	f := fail(refused.Status, refused.Code, refused.Text)
	if refused.After > 0 {
		f.header = http.Header{"Retry-After": []string{strconv.Itoa(refused.After)}}
	}
	return f
}

// failGit answers an error as git shows it to whoever called it, and asks for
// the credential that git can send.
func (s *Service) failGit(w *recorder, r *http.Request, err error) {
	if w.began {
		s.fail(w, r, err)
		return
	}
	f := asFailure(err)
	if f.Status == http.StatusInternalServerError {
		s.log.Error("git request failed", "method", r.Method, "error", err)
	}
	for name, values := range f.header {
		w.Header()[name] = values
	}
	if f.Status == http.StatusUnauthorized {
		w.Header().Set("Www-Authenticate", access.GitChallenge)
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(f.Status)
	_, _ = w.Write([]byte(f.Code + ": " + f.Text + "\n")) // the only reader is gone if this fails
}

// gitView reads a repository, which it holds open for one read at a time.
type gitView struct{ repo *repo }

func (v gitView) hold() error {
	if !v.repo.hold() {
		return &githttp.Refusal{Status: http.StatusNotFound, Code: "REPO_NOT_FOUND", Text: "repository not found: " + v.repo.id}
	}
	return nil
}

// Head implements githttp.Repo.
func (v gitView) Head(ctx context.Context) (string, gitrepo.Hash, error) {
	if err := v.hold(); err != nil {
		return "", gitrepo.Hash{}, err
	}
	defer v.repo.release()
	return v.repo.git.Head(ctx)
}

// Branches implements githttp.Repo.
func (v gitView) Branches() ([]gitrepo.Branch, error) {
	if err := v.hold(); err != nil {
		return nil, err
	}
	defer v.repo.release()
	return v.repo.git.Branches()
}

// Tags implements githttp.Repo.
func (v gitView) Tags(ctx context.Context) ([]gitrepo.Tag, error) {
	if err := v.hold(); err != nil {
		return nil, err
	}
	defer v.repo.release()
	return v.repo.git.Tags(ctx)
}

// ReadCommit implements githttp.Repo.
func (v gitView) ReadCommit(ctx context.Context, h gitrepo.Hash) (gitrepo.Commit, error) {
	if err := v.hold(); err != nil {
		return gitrepo.Commit{}, err
	}
	defer v.repo.release()
	return v.repo.git.ReadCommit(ctx, h)
}

// Object implements githttp.Repo.
func (v gitView) Object(ctx context.Context, h gitrepo.Hash) (plumbing.ObjectType, []byte, error) {
	if err := v.hold(); err != nil {
		return 0, nil, err
	}
	defer v.repo.release()
	return v.repo.git.Object(ctx, h)
}
