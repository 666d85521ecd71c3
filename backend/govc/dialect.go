package govc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/store"
)

// The dialects that are spoken.
const (
	DialectV1 = "v1" // LEGACY: what was written by v1 is read by v1 alone
	DialectV2 = "v2" // NEW, and ours, which is NEW with capabilities
)

// dialect asks for the parts of a read and of a write. A service has two
// stores behind its two dialects, or one that answers in only one of them, so
// whatever is done to a repository is done in one dialect.
type dialect interface {
	// create creates the repository unless it exists.
	create(ctx context.Context) (created bool, err error)
	// read reads what is at a path, staged or committed.
	read(ctx context.Context, path string) ([]byte, error)
	// add writes and stages one file. It may be repeated.
	add(ctx context.Context, path string, data []byte) error
	// remove stages the deletion of files of a folder, or of all of it if no
	// names are given; did is false if there was nothing. It may be repeated.
	remove(ctx context.Context, folder string, names ...string) (did bool, err error)
	// commit commits what is staged and returns its hash; "" if nothing was
	// staged, where the service tells. It is never sent twice.
	commit(ctx context.Context, in commitRequest) (hash string, err error)
	// log returns the newest commits; of one path where the service can.
	log(ctx context.Context, path string, limit int) ([]remoteCommit, error)
	// list lists the documents.
	list(ctx context.Context) ([]store.Entry, error)
}

// speak returns the dialect of a service.
func (c *Client) speak(info Info) dialect {
	if info.Dialect == DialectV1 {
		return legacyDialect{c}
	}
	return newDialect{c, info}
}

// deletes reports whether files can be deleted there.
func (i Info) deletes() bool { return i.Dialect == DialectV1 || i.Has(capDelete) }

// newDialect is API v2: NEW, and ours by its capabilities.
type newDialect struct {
	*Client
	info Info
}

// api is the path of something in the client's repository.
func (d newDialect) api(rest string) string { return d.repoPath("/api/v2", rest) }

func (d newDialect) create(ctx context.Context) (bool, error) {
	return d.createAt(ctx, "/api/v2/repos")
}

func (d newDialect) read(ctx context.Context, path string) ([]byte, error) {
	return d.fetchFile(ctx, d.api("/files"), url.Values{"path": {path}})
}

func (d newDialect) add(ctx context.Context, path string, data []byte) error {
	return d.addAt(ctx, d.api("/files"), path, data)
}

// remove deletes at a service of ours. A DELETE of any other NEW answers 200,
// deletes nothing, and makes the next commit an empty tree: it is never sent.
func (d newDialect) remove(ctx context.Context, folder string, names ...string) (did bool, err error) {
	if !d.info.Has(capDelete) {
		return false, fmt.Errorf("govc: delete in %s: this service cannot delete: %w", folder, errors.ErrUnsupported)
	}
	paths := []string{folder}
	if len(names) > 0 {
		paths = paths[:0]
		for _, name := range names {
			paths = append(paths, folder+"/"+name)
		}
	}
	for _, path := range paths {
		_, err := d.call(ctx, request{
			op: "delete file", method: http.MethodDelete, path: d.api("/files"), query: url.Values{"path": {path}}, write: true, repeat: true,
		})
		if err != nil && !isNotFound(err) {
			return did, err
		}
		did = did || err == nil
	}
	return did, nil
}

func (d newDialect) commit(ctx context.Context, in commitRequest) (string, error) {
	if !d.info.Has(capCommitTime) {
		in.Timestamp = nil
	}
	r, err := d.commitAt(ctx, d.api("/commits"), in)
	if r.status == http.StatusBadRequest && r.code() == "COMMIT_FAILED" && strings.Contains(string(r.body), "nothing to commit") {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return d.madeCommit(r)
}

func (d newDialect) log(ctx context.Context, path string, limit int) ([]remoteCommit, error) {
	query := url.Values{"limit": {fmt.Sprint(limit)}}
	if path != "" {
		if !d.info.Has(capLogPath) {
			return nil, fmt.Errorf("govc: read log of %s: this service has no log of one path: %w", path, errors.ErrUnsupported)
		}
		query.Set("path", path)
	}
	return d.logAt(ctx, d.api("/commits"), query)
}

func (d newDialect) list(ctx context.Context) ([]store.Entry, error) {
	if !d.info.Has(capRecursiveTree) {
		return nil, fmt.Errorf("govc: list: this service cannot list documents: %w", errors.ErrUnsupported)
	}
	return d.listAt(ctx, d.api("/tree"), url.Values{"recursive": {"true"}, "view": {"committed"}, "path": {document.Root}})
}
