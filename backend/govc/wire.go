package govc

import (
	"bytes"
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
	maxBody  = 10 << 20 // bytes of a request's body
	maxQuery = 2048     // bytes of a query
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

func encodeJSON(value any) ([]byte, error) {
	var out bytes.Buffer
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

func fits(key store.Key, files []document.File) error {
	for _, f := range files {
		path := key.Folder.String() + "/" + f.Name
		if n := len(url.Values{"path": {path}}.Encode()); n > maxQuery {
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

// commit commits what is staged and returns its hash; "" if nothing was
// staged, which means that another client's commit took it. It is never sent
// twice.
func (c *Client) commit(ctx context.Context, in commitRequest) (string, error) {
	body, err := encodeJSON(in)
	if err != nil {
		return "", err
	}
	r, err := c.call(ctx, request{op: "commit", method: http.MethodPost, path: c.api("/commits"), body: body, write: true})
	if r.status == http.StatusBadRequest && r.code() == "COMMIT_FAILED" && strings.Contains(string(r.body), "nothing to commit") {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	var made remoteCommit
	if err := decodeFirst(r.body, &made); err != nil || made.Hash == "" {
		return "", fmt.Errorf("govc: commit: %w: the answer names no commit: %w", store.ErrAmbiguous, c.notGovc(r, "its answer is not govc's"))
	}
	return made.Hash, nil
}

// timestamp is the time of a commit, where the service takes one.
func timestamp(info Info, at time.Time) *time.Time {
	if at.IsZero() || !info.Has(capCommitTime) {
		return nil
	}
	at = at.UTC()
	return &at
}

// oneLine takes from an author what breaks the log of some services.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f || r == '<' || r == '>' {
			return -1
		}
		return r
	}, s)
}

// log reads the newest commits of a path.
func (c *Client) log(ctx context.Context, path string, limit int) ([]remoteCommit, error) {
	r, err := c.call(ctx, request{
		op: "read log", method: http.MethodGet, path: c.api("/commits"), repeat: true, timeout: c.timeouts.Bulk,
		query: url.Values{"limit": {fmt.Sprint(limit)}, "path": {path}},
	})
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

// commitOf finds the commit that last changed a document; "" if the service
// cannot tell.
func (c *Client) commitOf(ctx context.Context, info Info, key store.Key) (string, error) {
	if !info.Has(capLogPath) {
		return "", nil
	}
	commits, err := c.log(ctx, key.Folder.String(), 1)
	if err != nil || len(commits) == 0 {
		return "", err
	}
	return commits[0].Hash, nil
}
