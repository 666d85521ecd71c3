package govcd

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/frame"
	"github.com/caiatech/caiatop/backend/govcd/access"
)

// within serves a route of one repository, which it holds open meanwhile.
func (s *Service) within(serve func(http.ResponseWriter, *http.Request, *repo) error) handler {
	return func(w http.ResponseWriter, r *http.Request, t target) error {
		repo, release, err := s.repo(t.id)
		if err != nil {
			return err
		}
		defer release()
		return serve(w, r, repo)
	}
}

func (s *Service) createRepo(w http.ResponseWriter, r *http.Request, _ target) error {
	var in CreateRepoRequest
	if err := bind(r, &in); err != nil {
		return err
	}
	note(r).Repo = in.ID
	if err := s.access.Allow(access.From(r.Context()), in.ID, access.Admin); err != nil {
		return err
	}
	if err := checkRepoID(in.ID); err != nil {
		return err
	}
	made, err := s.create(r.Context(), in.ID)
	if err != nil {
		return err
	}
	return answer(w, http.StatusCreated, made.answer())
}

func (s *Service) listRepos(w http.ResponseWriter, r *http.Request, _ target) error {
	if !s.isOpen() {
		return errStopped()
	}
	repos := []repoAnswer{}
	for _, repo := range s.list() {
		if s.mayRead(r, repo.id)() {
			repos = append(repos, repo.answer())
		}
	}
	return answer(w, http.StatusOK, struct {
		Count        int          `json:"count"`
		Repositories []repoAnswer `json:"repositories"`
	}{len(repos), repos})
}

func (s *Service) getRepo(w http.ResponseWriter, _ *http.Request, repo *repo) error {
	return answer(w, http.StatusOK, repo.answer())
}

func (s *Service) deleteRepo(w http.ResponseWriter, r *http.Request, t target) error {
	if err := s.drop(r.Context(), t.id); err != nil {
		return err
	}
	return answer(w, http.StatusOK, doneAnswer{Message: "repository " + t.id + " deleted"})
}

func (s *Service) addFile(w http.ResponseWriter, r *http.Request, t target) error {
	var in AddFileRequest
	if err := bind(r, &in); err != nil {
		return err
	}
	if err := s.put(r, t.id, in.Path, *in.Content, in.Encoding, true); err != nil {
		return err
	}
	return answer(w, http.StatusCreated, doneAnswer{"added", "file '" + in.Path + "' added"})
}

func (s *Service) writeFile(w http.ResponseWriter, r *http.Request, t target) error {
	var in WriteFileRequest
	if err := bind(r, &in); err != nil {
		return err
	}
	if err := s.put(r, t.id, in.Path, *in.Content, in.Encoding, false); err != nil {
		return err
	}
	return answer(w, http.StatusCreated, doneAnswer{"", "file '" + in.Path + "' written"})
}

func (s *Service) put(r *http.Request, id, path, content, encoding string, staged bool) error {
	note(r).Path = path
	p, err := writablePath(path)
	if err != nil {
		return err
	}
	data, err := decodeContent(content, encoding)
	if err != nil {
		return err
	}
	repo, release, err := s.repo(id)
	if err != nil {
		return err
	}
	defer release()
	sc, cond, err := writeOf(r)
	if err != nil {
		return err
	}
	return repo.write(r.Context(), sc, p, data, staged, cond)
}

// writeOf reads where a write goes and on what condition.
func writeOf(r *http.Request) (scope, condition, error) {
	sc, err := scopeOf(r)
	if err != nil {
		return sc, condition{}, err
	}
	cond, err := conditionOf(r)
	return sc, cond, err
}

func (s *Service) getFile(w http.ResponseWriter, r *http.Request, repo *repo) error {
	asked := r.URL.Query().Get("path")
	p, err := readablePath(asked)
	if err != nil {
		return err
	}
	src, err := repo.sourceOf(r.Context(), r)
	if err != nil {
		return err
	}
	data, hash, err := repo.read(r.Context(), src, p)
	if err != nil {
		return err
	}
	setTag(w, hash)
	return answer(w, http.StatusOK, encodeFile(asked, data))
}

func (s *Service) deleteFile(w http.ResponseWriter, r *http.Request, repo *repo) error {
	note(r).Path = r.URL.Query().Get("path")
	p, err := readablePath(r.URL.Query().Get("path"))
	if err != nil {
		return err
	}
	sc, cond, err := writeOf(r)
	if err != nil {
		return err
	}
	if err := repo.remove(r.Context(), sc, p, cond); err != nil {
		return err
	}
	return answer(w, http.StatusOK, doneAnswer{Message: "file '" + p.String() + "' removed"})
}

func (s *Service) getFolder(w http.ResponseWriter, r *http.Request, repo *repo) error {
	p, err := readablePath(parameter(r.URL.RawQuery, "path"))
	if err != nil {
		return err
	}
	src, err := repo.sourceOf(r.Context(), r)
	if err != nil {
		return err
	}
	found, err := repo.folder(r.Context(), src, p)
	if err != nil {
		return err
	}
	setTag(w, found.commit)
	if framed(r) {
		return answerFrame(w, http.StatusOK, frame.Folder{Commit: found.commit, Files: found.files})
	}
	return answer(w, http.StatusOK, found.answer())
}

func (s *Service) getFolders(w http.ResponseWriter, r *http.Request, t target) error {
	body, done, err := readBody(r)
	if err != nil {
		return err
	}
	defer done()
	if err := checkMembers(body); err != nil {
		return err
	}
	var in FoldersRequest
	if err := bindFrom(bytes.NewReader(body), &in); err != nil {
		return err
	}
	if len(in.Paths) > MaxFolders {
		return fail(http.StatusBadRequest, "INVALID_REQUEST", fmt.Sprintf("%d paths, the limit is %d", len(in.Paths), MaxFolders))
	}
	repo, release, err := s.repo(t.id)
	if err != nil {
		return err
	}
	defer release()
	src, err := repo.sourceOf(r.Context(), r)
	if err != nil {
		return err
	}
	found, err := repo.readFolders(r.Context(), src, in.Paths)
	if err != nil {
		return err
	}
	if framed(r) {
		return answerFrame(w, http.StatusOK, found.frame())
	}
	return answer(w, http.StatusOK, found.answer())
}

// optionalPath reads ?path=, where "" and "." are the root.
func optionalPath(query url.Values) (document.Path, error) {
	if asked := query.Get("path"); asked != "" && asked != "." {
		return readablePath(asked)
	}
	return document.Path{}, nil
}

func (s *Service) getTree(w http.ResponseWriter, r *http.Request, repo *repo) error {
	query := r.URL.Query()
	p, err := optionalPath(query)
	if err != nil {
		return err
	}
	src, err := repo.sourceOf(r.Context(), r)
	if err != nil {
		return err
	}
	if query.Get("recursive") == "true" {
		if !src.fixed && query.Get("view") == "committed" {
			if src.commit, err = repo.head(src.branch); err != nil {
				return err
			}
			src.fixed = true
		}
		pg := page{after: query.Get("after")}
		if query.Has("limit") {
			if pg.limit, err = parseLimit(query.Get("limit"), true, MaxPage); err != nil {
				return err
			}
		}
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		return repo.writeFiles(r.Context(), w, src, p, pg)
	}
	entries, err := repo.children(r.Context(), src, p)
	if err != nil {
		return err
	}
	shown := p.String()
	if shown == "" {
		shown = "."
	}
	return answer(w, http.StatusOK, struct {
		Path    string      `json:"path"`
		Entries []treeEntry `json:"entries"`
		Total   int         `json:"total"`
	}{shown, entries, len(entries)})
}

// getLog checks the limit before the repository: that is how clients tell this
// dialect from the other one.
func (s *Service) getLog(w http.ResponseWriter, r *http.Request, t target) error {
	query := r.URL.Query()
	limit, err := parseLimit(query.Get("limit"), query.Has("limit"), MaxLog)
	if err != nil {
		return err
	}
	q := logQuery{limit: limit}
	if n, err := strconv.Atoi(query.Get("offset")); err == nil && n > 0 {
		q.skip = n
	}
	if q.path, err = optionalPath(query); err != nil {
		return err
	}
	repo, release, err := s.repo(t.id)
	if err != nil {
		return err
	}
	defer release()
	if err := repo.parseSince(r.Context(), query.Get("since"), &q); err != nil {
		return err
	}
	src, err := repo.sourceOf(r.Context(), r)
	if err != nil {
		return err
	}
	found, err := repo.log(r.Context(), src, q)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, found)
}

func (s *Service) getStatus(w http.ResponseWriter, r *http.Request, repo *repo) error {
	sc, err := scopeOf(r)
	if err != nil {
		return err
	}
	found, err := repo.status(r.Context(), sc)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, found)
}
