package wiretest

import (
	"encoding/base64"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// newV2 is API v2: of NEW, and of the second store of LEGACY.
func (e *Emulator) newV2(c call, r *repository, limit int) {
	switch c.q.Method + " " + c.rest {
	case "GET files":
		e.newRead(c, r)
	case "POST files", "PUT files":
		e.newAdd(c, r)
	case "DELETE files":
		r.staged[""] = nil // a removal of nothing, which the next commit takes
		answer(c.w, http.StatusOK, done("file '' removed"))
	case "POST files/move":
		e.newMove(c, r)
	case "GET commits":
		commits := r.log(limit, false)
		answer(c.w, http.StatusOK, map[string]any{"commits": commits, "total": len(commits)})
	case "POST commits":
		e.newCommit(c, r)
	case "GET tree":
		var entries any
		found := r.list("", false, [2]string{"file", "tree"}, [2]string{})
		if len(found) > 0 {
			entries = found
		}
		answer(c.w, http.StatusOK, map[string]any{"path": ".", "entries": entries, "total": len(found)})
	case "GET status":
		e.mayDie(c, r)
		e.newStatus(c, r)
	case "POST checkout", "POST merge":
		// What the newest commit did not stage is gone.
		tree, _ := r.tip()
		r.files, r.staged = maps.Clone(tree), map[string]*string{}
		answer(c.w, http.StatusOK, done("switched to branch 'main'"))
	default:
		c.unknown()
	}
}

// newV1 is what v1 of NEW does: writes reach the store, reads see another one.
func (e *Emulator) newV1(c call, r *repository, limit int) {
	switch route, path, _ := strings.Cut(c.rest, "/"); c.q.Method + " " + route {
	case "GET log":
		commits := r.log(limit, false)
		answer(c.w, http.StatusOK, map[string]any{"commits": commits, "total": len(commits)})
	case "GET status":
		e.mayDie(c, r)
		e.newStatus(c, r)
	case "POST add":
		e.newAdd(c, r)
	case "POST commit":
		e.newCommit(c, r)
	case "GET read":
		fail(c.w, http.StatusNotFound, "FILE_NOT_FOUND", "file '%s' not found", path)
	case "DELETE remove":
		answer(c.w, http.StatusOK, map[string]string{"status": "removed", "message": "file '" + path + "' removed from staging"})
	default:
		c.unknown()
	}
}

// badPath says why v2 refuses a path; "" if it does not.
func badPath(path string) string {
	switch {
	case strings.ContainsRune(path, 0):
		return "null bytes in path are not allowed"
	case len(path) > maxPath:
		return "file path too long"
	case strings.HasPrefix(path, "/") || (len(path) > 1 && path[1] == ':'):
		return "absolute paths are not allowed"
	case strings.HasPrefix(path, "..") || strings.Contains(path, "../../"):
		return "path traversal detected"
	case strings.HasPrefix(path, ".") && !strings.HasPrefix(path, "./"):
		return "access to hidden files at root level is not allowed"
	}
	return ""
}

func (e *Emulator) newAdd(c call, r *repository) {
	var in struct {
		Path    string `json:"path"`
		Content string `json:"content"`
	}
	if !c.decode(&in) {
		return
	}
	put := c.q.Method == http.MethodPut
	switch bad := badPath(in.Path); {
	case in.Path == "":
		c.required("AddFileRequest", "Path")
	case in.Content == "":
		c.required("AddFileRequest", "Content")
	case bad != "" && !put:
		fail(c.w, http.StatusBadRequest, "INVALID_FILE_PATH", "validation error on field 'path': %s", bad)
	case put:
		r.files[in.Path] = in.Content
		answer(c.w, http.StatusCreated, done("file '%s' written", in.Path))
	default:
		r.add(in.Path, in.Content)
		answer(c.w, http.StatusCreated, map[string]string{"status": "added", "message": "file '" + in.Path + "' added"})
	}
}

func (e *Emulator) newRead(c call, r *repository) {
	path := c.q.URL.Query().Get("path")
	content, found := r.files[path]
	switch bad := badPath(path); {
	case path == "":
		fail(c.w, http.StatusBadRequest, "MISSING_PATH", "path parameter is required")
	case bad != "":
		fail(c.w, http.StatusBadRequest, "INVALID_FILE_PATH", "validation error on field 'path': %s", bad)
	case !found:
		fail(c.w, http.StatusNotFound, "FILE_NOT_FOUND", "file not found: %s", path)
	case looksBinary(content):
		c.file(path, base64.StdEncoding.EncodeToString([]byte(content)), "base64", len(content))
	default:
		c.file(path, content, "utf-8", len(content))
	}
}

// looksBinary is what NEW takes for binary: any NUL, or control characters in
// more than 30 of 100 bytes.
func looksBinary(content string) bool {
	odd := 0
	for _, b := range []byte(content) {
		if b == 0 {
			return true
		}
		if b < 0x20 && b != '\n' && b != '\r' && b != '\t' {
			odd++
		}
	}
	return odd*10 > len(content)*3
}

func (e *Emulator) newMove(c call, r *repository) {
	var in struct{ From, To string }
	if !c.decode(&in) {
		return
	}
	content, found := r.files[in.From]
	switch {
	case in.To == "":
		c.required("MoveFileRequest", "To")
	case !found:
		fail(c.w, http.StatusNotFound, "FILE_NOT_FOUND", "source file not found: %s", in.From)
	default:
		delete(r.files, in.From)
		r.staged[in.From], r.files[in.To] = nil, content
		answer(c.w, http.StatusOK, done("moved '%s' to '%s'", in.From, in.To))
	}
}

var (
	badMessage = regexp.MustCompile(`[^\x20-\x7e\t\r\n]`)
	goodEmail  = regexp.MustCompile(`^[^@\s<>]+@[^@\s<>]+$`)
)

type commitRequest struct{ Message, Author, Email string }

func (e *Emulator) newCommit(c call, r *repository) {
	var in commitRequest
	if !c.decode(&in) {
		return
	}
	switch {
	case in.Message == "":
		c.required("CommitRequest", "Message")
	case badMessage.MatchString(in.Message) || len(in.Message) > 100_000:
		fail(c.w, http.StatusBadRequest, "INVALID_COMMIT_MESSAGE", "validation error on field 'message'")
	case in.Email != "" && !goodEmail.MatchString(in.Email) && len(r.staged) > 0:
		fail(c.w, http.StatusBadRequest, "INVALID_EMAIL", "validation error on field 'email': invalid email format")
	case len(r.staged) == 0:
		fail(c.w, http.StatusBadRequest, "COMMIT_FAILED", "failed to commit: nothing to commit")
	default:
		answer(c.w, http.StatusCreated, r.commit(r.stagedOnly(), in.Message, in.Author, in.Email, e.o.Now()))
	}
}

func (e *Emulator) newStatus(c call, r *repository) {
	staged := []string{}
	for path, content := range r.staged {
		if content == nil {
			path += " (deleted)"
		}
		staged = append(staged, path)
	}
	slices.Sort(staged)
	untracked := r.untracked()
	answer(c.w, http.StatusOK, map[string]any{
		"branch": "main", "staged": staged, "modified": []string{}, "untracked": untracked, "clean": len(staged)+len(untracked) == 0,
	})
}
