package govcd

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/caiatech/caiatop/backend/document"
)

func (s *Service) createRepo(w http.ResponseWriter, r *http.Request, _ string) error {
	var in CreateRepoRequest
	if err := bind(r, &in); err != nil {
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

func (s *Service) listRepos(w http.ResponseWriter, _ *http.Request, _ string) error {
	repos := []repoAnswer{}
	for _, r := range s.list() {
		repos = append(repos, r.answer())
	}
	return answer(w, http.StatusOK, struct {
		Count        int          `json:"count"`
		Repositories []repoAnswer `json:"repositories"`
	}{len(repos), repos})
}

func (s *Service) getRepo(w http.ResponseWriter, _ *http.Request, id string) error {
	repo, release, err := s.repo(id)
	if err != nil {
		return err
	}
	defer release()
	return answer(w, http.StatusOK, repo.answer())
}

func (s *Service) deleteRepo(w http.ResponseWriter, _ *http.Request, id string) error {
	if err := s.drop(id); err != nil {
		return err
	}
	return answer(w, http.StatusOK, doneAnswer{Message: "repository " + id + " deleted"})
}

func (s *Service) addFile(w http.ResponseWriter, r *http.Request, id string) error {
	var in AddFileRequest
	if err := bind(r, &in); err != nil {
		return err
	}
	if err := s.put(r, id, in.Path, in.Content, true); err != nil {
		return err
	}
	return answer(w, http.StatusCreated, doneAnswer{"added", "file '" + in.Path + "' added"})
}

func (s *Service) writeFile(w http.ResponseWriter, r *http.Request, id string) error {
	var in WriteFileRequest
	if err := bind(r, &in); err != nil {
		return err
	}
	if err := s.put(r, id, in.Path, in.Content, false); err != nil {
		return err
	}
	return answer(w, http.StatusCreated, doneAnswer{"", "file '" + in.Path + "' written"})
}

func (s *Service) put(r *http.Request, id, path, content string, staged bool) error {
	p, err := writablePath(path)
	if err != nil {
		return err
	}
	repo, release, err := s.repo(id)
	if err != nil {
		return err
	}
	defer release()
	return repo.write(r.Context(), p, []byte(content), staged)
}

func (s *Service) getFile(w http.ResponseWriter, r *http.Request, id string) error {
	repo, release, err := s.repo(id)
	if err != nil {
		return err
	}
	defer release()
	asked := r.URL.Query().Get("path")
	p, err := readablePath(asked)
	if err != nil {
		return err
	}
	data, err := repo.read(r.Context(), p)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, encodeFile(asked, data))
}

func (s *Service) deleteFile(w http.ResponseWriter, r *http.Request, id string) error {
	repo, release, err := s.repo(id)
	if err != nil {
		return err
	}
	defer release()
	p, err := readablePath(r.URL.Query().Get("path"))
	if err != nil {
		return err
	}
	if err := repo.remove(r.Context(), p); err != nil {
		return err
	}
	return answer(w, http.StatusOK, doneAnswer{Message: "file '" + p.String() + "' removed"})
}

func (s *Service) getFolder(w http.ResponseWriter, r *http.Request, id string) error {
	repo, release, err := s.repo(id)
	if err != nil {
		return err
	}
	defer release()
	p, err := readablePath(r.URL.Query().Get("path"))
	if err != nil {
		return err
	}
	found, err := repo.folder(r.Context(), p)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, found)
}

func (s *Service) getFolders(w http.ResponseWriter, r *http.Request, id string) error {
	var in FoldersRequest
	if err := bind(r, &in); err != nil {
		return err
	}
	if len(in.Paths) > MaxFolders {
		return fail(http.StatusBadRequest, "INVALID_REQUEST", fmt.Sprintf("%d paths, the limit is %d", len(in.Paths), MaxFolders))
	}
	repo, release, err := s.repo(id)
	if err != nil {
		return err
	}
	defer release()
	found, err := repo.readFolders(r.Context(), in.Paths)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, found)
}

// optionalPath reads ?path=, where "" and "." are the root.
func optionalPath(query url.Values) (document.Path, error) {
	if asked := query.Get("path"); asked != "" && asked != "." {
		return readablePath(asked)
	}
	return document.Path{}, nil
}

func (s *Service) getTree(w http.ResponseWriter, r *http.Request, id string) error {
	repo, release, err := s.repo(id)
	if err != nil {
		return err
	}
	defer release()
	query := r.URL.Query()
	p, err := optionalPath(query)
	if err != nil {
		return err
	}
	if query.Get("recursive") == "true" {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		return repo.writeFiles(r.Context(), w, p, query.Get("view") == "committed")
	}
	entries, err := repo.children(r.Context(), p)
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

func (s *Service) postCommit(w http.ResponseWriter, r *http.Request, id string) error {
	var in CommitRequest
	if err := bind(r, &in); err != nil {
		return err
	}
	if err := checkCommit(in); err != nil {
		return err
	}
	repo, release, err := s.repo(id)
	if err != nil {
		return err
	}
	defer release()
	made, err := repo.commit(r.Context(), in)
	if err != nil {
		return err
	}
	return answer(w, http.StatusCreated, made)
}

// getLog checks the limit before the repository: that is how clients tell this
// dialect from the other one.
func (s *Service) getLog(w http.ResponseWriter, r *http.Request, id string) error {
	query := r.URL.Query()
	limit, err := parseLimit(query.Get("limit"), query.Has("limit"))
	if err != nil {
		return err
	}
	skip := 0
	if n, err := strconv.Atoi(query.Get("offset")); err == nil && n > 0 {
		skip = n
	}
	p, err := optionalPath(query)
	if err != nil {
		return err
	}
	repo, release, err := s.repo(id)
	if err != nil {
		return err
	}
	defer release()
	found, err := repo.log(r.Context(), p, limit, skip)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, found)
}

func (s *Service) getStatus(w http.ResponseWriter, r *http.Request, id string) error {
	repo, release, err := s.repo(id)
	if err != nil {
		return err
	}
	defer release()
	found, err := repo.status(r.Context())
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, found)
}
