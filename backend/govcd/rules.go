package govcd

import (
	"net/http"
	"net/mail"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/caiatech/caiatop/backend/document"
)

const (
	maxRepoID   = 64
	maxFilePath = 4096
	defaultLog  = 20
	lastYear    = 9999 // that a time in JSON can name
)

var repoIDs = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]*$`)

func invalid(code, field, text string) error {
	return fail(http.StatusBadRequest, code, "validation error on field '"+field+"': "+text)
}

func checkRepoID(id string) error {
	switch {
	case len(id) > maxRepoID:
		return invalid("INVALID_REPO_ID", "repo_id", "repository ID must not exceed 64 characters")
	case !repoIDs.MatchString(id):
		return invalid("INVALID_REPO_ID", "repo_id",
			"repository ID must be alphanumeric with hyphens or underscores, starting with alphanumeric")
	case id == "metrics":
		return invalid("INVALID_REPO_ID", "repo_id", "repository ID 'metrics' is reserved")
	}
	return nil
}

// checkPath holds the rules that govc has for every path.
func checkPath(p string) error {
	const code, field = "INVALID_FILE_PATH", "path"
	switch cleaned := path.Clean(p); {
	case len(p) > maxFilePath:
		return invalid(code, field, "file path too long")
	case strings.IndexByte(p, 0) >= 0:
		return invalid(code, field, "null bytes in path are not allowed")
	case strings.HasPrefix(cleaned, ".."):
		return invalid(code, field, "path traversal detected")
	case strings.HasPrefix(p, "/") || (len(p) > 1 && p[1] == ':'):
		return invalid(code, field, "absolute paths are not allowed")
	case strings.HasPrefix(cleaned, ".") && cleaned != ".":
		return invalid(code, field, "access to hidden files at root level is not allowed")
	}
	return nil
}

// writablePath also refuses what a git tree cannot hold: empty, "." and ".."
// segments, names that mean .git, control characters, backslashes.
func writablePath(p string) (document.Path, error) {
	if err := checkPath(p); err != nil {
		return document.Path{}, err
	}
	parsed, err := document.ParsePath(p)
	if err != nil {
		return document.Path{}, invalid("INVALID_FILE_PATH", "path", err.Error())
	}
	return parsed, nil
}

// readablePath is for reads: a path that no tree can hold is simply not found.
func readablePath(p string) (document.Path, error) {
	if p == "" {
		return document.Path{}, fail(http.StatusBadRequest, "MISSING_PATH", "path parameter is required")
	}
	if err := checkPath(p); err != nil {
		return document.Path{}, err
	}
	parsed, err := document.ParsePath(p)
	if err != nil {
		return document.Path{}, fileNotFound(p)
	}
	return parsed, nil
}

func fileNotFound(p string) error {
	return fail(http.StatusNotFound, "FILE_NOT_FOUND", "file not found: "+p)
}

func checkCommit(c CommitRequest) error {
	if len(c.Message) > MaxMessage {
		return invalid("INVALID_COMMIT_MESSAGE", "message", "commit message too long (max 100KB)")
	}
	for _, r := range c.Message {
		if (r < 0x20 && r != '\t' && r != '\n' && r != '\r') || r > 0x7e {
			return invalid("INVALID_COMMIT_MESSAGE", "message", "commit message contains invalid control characters")
		}
	}
	if c.Email != "" {
		if _, err := mail.ParseAddress(c.Email); err != nil {
			return invalid("INVALID_EMAIL", "email", "invalid email format")
		}
	}
	if at := c.Timestamp.UTC(); !at.IsZero() && (at.Unix() < 0 || at.Year() > lastYear) {
		return invalid("INVALID_TIMESTAMP", "timestamp", "the year must be 1970 to 9999")
	}
	return nil
}

// parseLimit reads ?limit=, which an absent parameter leaves at the default.
func parseLimit(text string, present bool, most int) (int, error) {
	if !present {
		return defaultLog, nil
	}
	n, err := strconv.Atoi(text)
	switch {
	case err != nil:
		return 0, fail(http.StatusBadRequest, "INVALID_LIMIT", "invalid limit parameter: "+text)
	case n <= 0:
		return 0, fail(http.StatusBadRequest, "INVALID_LIMIT", "limit must be positive: "+text)
	}
	return min(n, most), nil
}

// signable takes from a name what the author line of a commit cannot hold, and
// the space around it.
func signable(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f || r == '<' || r == '>' {
			return -1
		}
		return r
	}, s))
}
