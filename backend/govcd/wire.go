package govcd

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/caiatech/caiatop/backend/gitrepo"
	"github.com/caiatech/caiatop/backend/govcd/access"
)

// The names of the request types are part of the wire: they appear in the
// texts of errors.

// CreateRepoRequest is the body of POST repos.
type CreateRepoRequest struct {
	ID         string `json:"id" binding:"required"`
	MemoryOnly bool   `json:"memory_only"`
}

// AddFileRequest is the body of POST files.
type AddFileRequest struct {
	Path     string  `json:"path" binding:"required"`
	Content  *string `json:"content" binding:"required"` // may be empty (CapEmpty)
	Encoding string  `json:"encoding"`                   // "", "utf-8", "base64" (CapBase64)
}

// WriteFileRequest is the body of PUT files.
type WriteFileRequest struct {
	Path     string  `json:"path" binding:"required"`
	Content  *string `json:"content" binding:"required"` // may be empty (CapEmpty)
	Encoding string  `json:"encoding"`                   // "", "utf-8", "base64" (CapBase64)
}

// CommitRequest is the body of POST commits. Timestamp is ours (CapCommitTime).
type CommitRequest struct {
	Message   string    `json:"message" binding:"required"`
	Author    string    `json:"author"`
	Email     string    `json:"email"`
	Timestamp time.Time `json:"timestamp"`

	by gitrepo.Signature // of the caller, see authorOf
}

// FoldersRequest is the body of POST folders (CapFolders).
type FoldersRequest struct {
	Paths []string `json:"paths" binding:"required"`
}

type foldersAnswer struct {
	Commit  string         `json:"commit"`
	Folders []folderAnswer `json:"folders"` // those that exist
	Left    []string       `json:"left"`    // those that one answer has no room for; ask for them one by one
}

type repoAnswer struct {
	ID      string    `json:"id"`
	Path    string    `json:"path"`
	Branch  string    `json:"current_branch"`
	Created time.Time `json:"created_at"`
	Durable bool      `json:"durable"`         // what is committed survives the process and a power cut
	Error   string    `json:"error,omitempty"` // why it is not served
}

type doneAnswer struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

type fileAnswer struct {
	Path     string `json:"path"`
	Content  string `json:"content"`
	Encoding string `json:"encoding"`
	Size     int    `json:"size"`
}

type folderAnswer struct {
	Path   string       `json:"path"`
	Commit string       `json:"commit,omitempty"`
	Files  []fileAnswer `json:"files"`
}

type commitAnswer struct {
	Hash      string    `json:"hash"`
	Message   string    `json:"message"`
	Author    string    `json:"author"`
	Email     string    `json:"email"`
	Timestamp time.Time `json:"timestamp"`
	Parent    string    `json:"parent,omitempty"`
	Deleted   bool      `json:"deleted,omitempty"` // the path asked for is absent from this commit

	replayed bool // an earlier request with the same key made it
}

type logAnswer struct {
	Commits []commitAnswer `json:"commits"`
	Total   int            `json:"total"`
}

type statusAnswer struct {
	Branch    string   `json:"branch"`
	Staged    []string `json:"staged"`
	Modified  []string `json:"modified"`
	Untracked []string `json:"untracked"`
	Clean     bool     `json:"clean"`
}

type treeEntry struct {
	Name     string    `json:"name"`
	Path     string    `json:"path"`
	Type     string    `json:"type"`
	Size     *int64    `json:"size,omitempty"` // bytes; absent from recursive listings, which do not read files
	Mode     string    `json:"mode"`
	Modified time.Time `json:"modified"`
	Hash     string    `json:"hash,omitempty"`
}

// failure is an error that is answered as it is.
type failure struct {
	Status  int            `json:"-"`
	Text    string         `json:"error"`
	Code    string         `json:"code"`
	Details map[string]any `json:"details,omitempty"`

	header http.Header // of the answer, beside those of all
	cause  error       // what the log is told, if it is for the operator
}

func (f *failure) Error() string { return f.Code + ": " + f.Text }

func fail(status int, code, text string) *failure {
	return &failure{Status: status, Code: code, Text: text}
}

// asFailure finds the answer to an error that a handler returned.
func asFailure(err error) *failure {
	var f *failure
	switch {
	case errors.As(err, &f):
		return f
	case errors.As(err, new(*access.Denied)):
		status, code, text, header, _ := access.Answer(err)
		return &failure{Status: status, Code: code, Text: text, header: header}
	case errors.Is(err, context.DeadlineExceeded):
		return &failure{
			Status: http.StatusRequestTimeout, Code: "REQUEST_TIMEOUT", Text: "Request timeout",
			Details: map[string]any{"timeout": requestTimeout.String()},
		}
	case errors.Is(err, context.Canceled):
		return fail(http.StatusServiceUnavailable, "CANCELLED", "the request was cancelled")
	}
	if f := storageTrouble(err); f != nil {
		return f
	}
	return fail(http.StatusInternalServerError, "INTERNAL_ERROR", "internal server error")
}

// answer writes value as JSON. A client that went away is no error of ours.
func answer(w http.ResponseWriter, status int, value any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("govcd: encode answer: %w", err)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(body))) // else a large one goes in chunks
	w.WriteHeader(status)
	_, _ = w.Write(body) // the only reader is gone if this fails
	return nil
}

// bind decodes the first JSON value of a body and checks its required fields.
func bind(r *http.Request, into any) error {
	return bindFrom(r.Body, into)
}

func bindFrom(body io.Reader, into any) error {
	if err := json.NewDecoder(body).Decode(into); err != nil {
		return fail(http.StatusBadRequest, "INVALID_REQUEST", err.Error())
	}
	return checkRequired(into)
}

func checkRequired(into any) error {
	value := reflect.ValueOf(into).Elem()
	var missing []string
	for i := range value.NumField() {
		field := value.Type().Field(i)
		if field.Tag.Get("binding") == "required" && value.Field(i).IsZero() {
			missing = append(missing, fmt.Sprintf("Key: '%s.%s' Error:Field validation for '%s' failed on the 'required' tag",
				value.Type().Name(), field.Name, field.Name))
		}
	}
	if len(missing) > 0 {
		return fail(http.StatusBadRequest, "INVALID_REQUEST", strings.Join(missing, "\n"))
	}
	return nil
}

// decodeContent reads content as a request encodes it.
func decodeContent(content, encoding string) ([]byte, error) {
	switch encoding {
	case "", "utf-8":
		return []byte(content), nil
	case "base64":
		data, err := base64.StdEncoding.DecodeString(content)
		if err != nil {
			return nil, fail(http.StatusBadRequest, "INVALID_REQUEST", "content is not base64: "+err.Error())
		}
		return data, nil
	}
	return nil, fail(http.StatusBadRequest, "INVALID_REQUEST", "encoding must be utf-8 or base64")
}

// encodeFile describes a file for a read: as text, or in base64 where text
// would not carry it or where it is mostly control characters.
func encodeFile(path string, data []byte) fileAnswer {
	if isBinary(data) {
		return fileAnswer{path, base64.StdEncoding.EncodeToString(data), "base64", len(data)}
	}
	return fileAnswer{path, string(data), "utf-8", len(data)}
}

// isBinary reports a NUL, bytes that are not UTF-8, or more than 30 percent
// control characters.
func isBinary(data []byte) bool {
	if bytes.IndexByte(data, 0) >= 0 || !utf8.Valid(data) {
		return true
	}
	control := 0
	for _, b := range data {
		if b < 0x20 && b != '\t' && b != '\n' && b != '\r' {
			control++
		}
	}
	return control*10 > len(data)*3
}

// maxListed bounds the paths that the details of an error list.
const maxListed = gitrepo.MaxConflicts

// listed are paths for the details of an error.
func listed(paths []string) map[string]any {
	slices.Sort(paths)
	return map[string]any{"paths": paths[:min(len(paths), maxListed)]}
}

func mergeConflict(text string, paths []string) *failure {
	return &failure{Status: http.StatusConflict, Code: "MERGE_CONFLICT", Text: text, Details: listed(paths)}
}
