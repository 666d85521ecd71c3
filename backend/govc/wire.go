package govc

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/store"
)

// Limits of every govc service.
const (
	maxBody    = 10 << 20 // bytes of a request's body
	maxQuery   = 2048     // bytes of a query
	maxMessage = 100_000  // bytes of a commit message
	// maxSecrets bounds token and key: a service takes 8 KiB of headers.
	maxSecrets = 7 << 10
)

type addRequest struct {
	Path    string `json:"path"`
	Content string `json:"content"`
}

type commitRequest struct {
	Message   string     `json:"message"`
	Author    string     `json:"author"`
	Email     string     `json:"email"`
	Timestamp *time.Time `json:"timestamp,omitempty"`
}

type remoteCommit struct {
	Hash      string    `json:"hash"`
	Message   string    `json:"message"`
	Author    string    `json:"author"`
	Email     string    `json:"email"`
	Timestamp time.Time `json:"timestamp"`
	Deleted   bool      `json:"deleted"`
}

func encodeJSON(value any) ([]byte, error) { return encodeSized(value, 0) }

// encodeSized is encodeJSON with an idea of how many bytes it will be.
func encodeSized(value any, size int) ([]byte, error) {
	var out bytes.Buffer
	out.Grow(size)
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, fmt.Errorf("govc: encode request: %w", err)
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

func encodeAdd(path string, data []byte) ([]byte, error) {
	return encodeJSON(addRequest{Path: path, Content: string(data)})
}

// Fits reports whether the service can hold a document in the folder of a new
// one in either layout: a store.ErrTooLarge if a file of it is over the
// service's limit on requests, or its path over that on queries. Apply makes
// the same check with the folder that it is given.
func (c *Client) Fits(d document.Document) error {
	files, err := d.Files(document.TextOnly)
	if err != nil {
		return err
	}
	return fits(store.NewKey(document.LayoutFanOut, d), files)
}

// passable reports a path that one dialect refuses and the other one takes and
// then cannot read. What no path may be at all, store.Path rules out.
func passable(path store.Path) error {
	s := path.String()
	if strings.HasPrefix(s, ".") || (len(s) > 1 && s[1] == ':') {
		return &RefusedError{Op: "add file", Status: http.StatusBadRequest, Code: "INVALID_FILE_PATH", Message: "a path must not begin with a dot or a drive letter"}
	}
	return nil
}

func fits(key store.Key, files []document.File) error {
	if err := passable(key.Folder); err != nil {
		return err
	}
	for _, f := range files {
		path := key.Folder.String() + "/" + f.Name
		// A byte takes at most three when it is escaped: most need no closer look.
		n := len("path=") + 3*len(path)
		if n > maxQuery {
			n = len(url.Values{"path": {path}}.Encode())
		}
		if n > maxQuery {
			return fmt.Errorf("govc: document %q: %w: its path takes %d bytes of a query, the limit is %d", key.ID, store.ErrTooLarge, n, maxQuery)
		}
		// A byte takes at most six when it is escaped; most files need no
		// closer look.
		const envelope = 64
		if 6*(len(f.Data)+len(path))+envelope <= maxBody {
			continue
		}
		body, err := encodeAdd(path, f.Data)
		if err != nil {
			return err
		}
		if len(body) > maxBody {
			return fmt.Errorf("govc: document %q: %w: %s takes a request of %d bytes, the limit is %d", key.ID, store.ErrTooLarge, f.Name, len(body), maxBody)
		}
	}
	return nil
}

// createAt creates the repository unless it exists.
func (c *Client) createAt(ctx context.Context, path string) (created bool, err error) {
	body, err := encodeJSON(map[string]any{"id": c.repo, "memory_only": true})
	if err != nil {
		return false, err
	}
	r, err := c.call(ctx, request{op: "create repository", method: http.MethodPost, path: path, body: body, write: true})
	if r.status == http.StatusConflict && r.code() == "REPO_EXISTS" {
		return false, nil
	}
	return err == nil, err
}

// addAt writes and stages one file. It may be repeated.
func (c *Client) addAt(ctx context.Context, at, path string, data []byte) error {
	body, err := encodeAdd(path, data)
	if err != nil {
		return err
	}
	_, err = c.call(ctx, request{op: "add file", method: http.MethodPost, path: at, body: body, write: true, repeat: true})
	return err
}

// signed makes of a message and an author what every service takes. Author and
// email are never missing, because a service takes those that were used last
// for them, whoever used them.
func signed(message, author, email string) (string, string, string) {
	return asciiLines(message), cmp.Or(oneLine(author), "caiatop"), cmp.Or(oneLine(email), "caiatop@localhost")
}

// commitAt sends a commit, once.
func (c *Client) commitAt(ctx context.Context, at string, in commitRequest) (reply, error) {
	in.Message, in.Author, in.Email = signed(in.Message, in.Author, in.Email)
	body, err := encodeJSON(in)
	if err != nil {
		return reply{}, err
	}
	return c.call(ctx, request{op: "commit", method: http.MethodPost, path: at, body: body, write: true})
}

// madeCommit returns the hash of the commit that an answer names.
func (c *Client) madeCommit(r reply) (string, error) {
	var made remoteCommit
	if err := decodeFirst(r.body, &made); err != nil || made.Hash == "" {
		return "", fmt.Errorf("govc: commit: %w: the answer names no commit: %w", store.ErrAmbiguous, c.notGovc(r, "its answer is not govc's"))
	}
	return made.Hash, nil
}

// oneLine takes from an author what breaks the log of some services.
func oneLine(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f || r == '<' || r == '>' {
			return -1
		}
		return r
	}, s))
}

// asciiLines replaces what a service refuses in a message.
func asciiLines(s string) string {
	return strings.Map(func(r rune) rune {
		if (r < 0x20 && r != '\n' && r != '\t' && r != '\r') || r > 0x7e {
			return '?'
		}
		return r
	}, s)
}

// logAt reads the newest commits.
func (c *Client) logAt(ctx context.Context, at string, query url.Values) ([]remoteCommit, error) {
	r, err := c.call(ctx, request{op: "read log", method: http.MethodGet, path: at, query: query, repeat: true, timeout: c.timeouts.Bulk})
	if err != nil {
		return nil, err
	}
	var told struct {
		Commits []remoteCommit `json:"commits"`
	}
	if err := decodeFirst(r.body, &told); err != nil {
		return nil, c.notGovc(r, "its log is not govc's")
	}
	return told.Commits, nil
}

// fetchFile reads one file.
func (c *Client) fetchFile(ctx context.Context, at string, query url.Values) ([]byte, error) {
	r, err := c.call(ctx, request{op: "read file", method: http.MethodGet, path: at, query: query, repeat: true})
	if err != nil {
		return nil, err
	}
	var told *remoteFile
	if err := decodeFirst(r.body, &told); err != nil || told == nil {
		return nil, c.notGovc(r, "its answer is not JSON")
	}
	return told.decode()
}
