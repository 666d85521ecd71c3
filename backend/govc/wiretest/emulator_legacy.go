package wiretest

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// legacy is API v1 of LEGACY.
func (e *Emulator) legacy(c call, r *repository) {
	// A path with "files" in it has its query checked as that of a route which
	// reads the path there.
	if c.q.Method != http.MethodPost && strings.Contains(c.q.URL.Path, "files") && c.q.URL.Query().Get("path") == "" {
		fail(c.w, http.StatusBadRequest, "INVALID_FILE_PATH", "validation error on field 'path': absolute paths are not allowed")
		return
	}
	route, path, slash := strings.Cut(c.rest, "/")
	switch c.q.Method + " " + route {
	case "POST add":
		e.legacyAdd(c, r)
	case "POST commit":
		e.legacyCommit(c, r)
	case "GET read":
		e.legacyRead(c, r, path)
	case "DELETE remove":
		delete(r.files, path)
		r.staged[path] = nil
		answer(c.w, http.StatusOK, map[string]any{"status": "removed", "message": "file '" + path + "' removed from staging", "data": map[string]string{"path": path}})
	case "GET tree":
		if !slash {
			c.w.Header().Set("Location", c.q.URL.Path+"/")
			c.w.WriteHeader(http.StatusMovedPermanently)
			return
		}
		e.legacyTree(c, r, path)
	case "GET log":
		if limit, ok := c.limit(50); ok {
			commits := r.log(limit, true)
			for i := range commits {
				commits[i].Timestamp = commits[i].Timestamp.Truncate(time.Second)
			}
			answer(c.w, http.StatusOK, map[string]any{"commits": commits, "count": len(commits)})
		}
	case "GET status":
		e.legacyStatus(c, r)
	case "POST move":
		e.legacyMove(c, r)
	default:
		c.unknown()
	}
}

func (e *Emulator) legacyAdd(c call, r *repository) {
	var in struct{ Path, Content string }
	if !c.decode(&in) {
		return
	}
	switch {
	case in.Path == "":
		c.required("AddFileRequest", "Path")
	case in.Content == "":
		c.required("AddFileRequest", "Content")
	default: // neither the path nor anything else is looked at
		r.add(in.Path, in.Content)
		answer(c.w, http.StatusOK, map[string]string{"status": "added", "message": "file " + in.Path + " added to staging"})
	}
}

// legacyCommit commits, if need be nothing.
func (e *Emulator) legacyCommit(c call, r *repository) {
	var in commitRequest
	if !c.decode(&in) {
		return
	}
	if in.Message == "" {
		c.required("CommitRequest", "Message")
		return
	}
	for path, content := range r.staged {
		if content == nil {
			delete(r.files, path)
		}
	}
	made := r.commit(r.stagedOver(), in.Message, in.Author, in.Email, e.o.Now())
	for path, content := range made.tree { // what a read at a ref had hidden shows again
		r.files[path] = content
	}
	answer(c.w, http.StatusCreated, made)
}

func (e *Emulator) legacyRead(c call, r *repository, path string) {
	if path == "" {
		fail(c.w, http.StatusBadRequest, "INVALID_PATH", "file path cannot be empty")
		return
	}
	files := r.files
	if ref := c.q.URL.Query().Get("ref"); ref != "" {
		var ok bool
		if files, ok = r.treeAt(ref); !ok {
			fail(c.w, http.StatusNotFound, "REF_NOT_FOUND", "ref '%s' not found", ref)
			return
		}
		// It checks the ref out and comes back to the newest commit: what is
		// staged is out of sight until the next commit.
		tree, _ := r.tip()
		r.files = maps.Clone(tree)
	}
	content, found := files[path]
	if !found {
		fail(c.w, http.StatusNotFound, "FILE_NOT_FOUND", "file '%s' not found", path)
		return
	}
	c.file(path, content, "utf-8", len(content))
}

// treeAt is the tree of a full commit hash, or of main. A path with a NUL in
// any newest tree breaks all of it.
func (r *repository) treeAt(ref string) (map[string]string, bool) {
	newest, _ := r.tip()
	for path := range newest {
		if strings.ContainsRune(path, 0) {
			return nil, false
		}
	}
	if ref == "main" && len(r.commits) > 0 {
		return newest, true
	}
	for _, c := range r.commits {
		if c.Hash == ref {
			return c.tree, true
		}
	}
	return nil, false
}

func (e *Emulator) legacyTree(c call, r *repository, folder string) {
	entries := []entry{}
	if !strings.HasSuffix(folder, "/") {
		recursive := c.q.URL.Query().Get("recursive") == "true"
		entries = r.list(folder, recursive, [2]string{"file", "directory"}, [2]string{"100644", "040755"})
	}
	at := folder
	if at == "" {
		at = "."
	}
	answer(c.w, http.StatusOK, map[string]any{"path": at, "entries": entries, "files": entries, "total": len(entries)})
}

func (e *Emulator) legacyStatus(c call, r *repository) {
	staged := []string{}
	for path, content := range r.staged {
		if content != nil {
			staged = append(staged, path)
		}
	}
	slices.Sort(staged)
	untracked := r.untracked()
	var changes any
	if all := append(slices.Clone(staged), untracked...); len(all) > 0 {
		changes = all
	}
	answer(c.w, http.StatusOK, map[string]any{
		"branch": "main", "changes": changes, "clean": changes == nil, "modified": []string{}, "staged": staged, "untracked": untracked,
	})
}

func (e *Emulator) legacyMove(c call, r *repository) {
	var in struct{ From, To string }
	if !c.decode(&in) {
		return
	}
	content, found := r.files[in.From]
	if !found {
		fail(c.w, http.StatusNotFound, "FILE_NOT_FOUND", "source file '%s' not found", in.From)
		return
	}
	delete(r.files, in.From)
	r.add(in.To, content)
	r.staged[in.From] = nil
	answer(c.w, http.StatusOK, map[string]any{"status": "moved", "message": "file moved from '" + in.From + "' to '" + in.To + "'"})
}
