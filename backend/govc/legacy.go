package govc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/store"
)

// legacyDialect is API v1 of a service that runs with its older architecture.
// It deletes and lists for real. It is never asked for anything at a ref: such
// a read beside a writer was seen to lose files for good.
type legacyDialect struct{ *Client }

func (d legacyDialect) create(ctx context.Context) (bool, error) {
	return d.createAt(ctx, "/api/v1/repos")
}

func (d legacyDialect) at(rest string) string { return d.repoPath("/api/v1", rest) }

// file is the path of a URL that names a file or folder: route/a/b, each
// segment escaped.
func (d legacyDialect) file(route, path string) string {
	segments := strings.Split(path, "/")
	for i, s := range segments {
		segments[i] = url.PathEscape(s)
	}
	return d.at("/" + route + "/" + strings.Join(segments, "/"))
}

// past returns the query that a path needs. Any URL path with "files" in it,
// be it in a document's name or the repository's, has its query checked as
// that of another route; a path there that is in order makes it pass.
func past(path string, query url.Values) url.Values {
	if decoded, err := url.PathUnescape(path); err == nil && strings.Contains(decoded, "files") {
		if query == nil {
			query = url.Values{}
		}
		query.Set("path", "ok")
	}
	return query
}

func (d legacyDialect) read(ctx context.Context, path string) ([]byte, error) {
	at := d.file("read", path)
	return d.fetchFile(ctx, at, past(at, nil))
}

func (d legacyDialect) add(ctx context.Context, path string, data []byte) error {
	return d.addAt(ctx, d.at("/add"), path, data)
}

// remove stages removals. The service answers alike whether there was
// something or not, so a whole folder is listed first; metadata.json goes
// first, because nothing is a document without it.
func (d legacyDialect) remove(ctx context.Context, folder string, names ...string) (did bool, err error) {
	if len(names) == 0 {
		if names, err = d.names(ctx, folder); err != nil || len(names) == 0 {
			return false, err
		}
		slices.SortStableFunc(names, func(a, b string) int { return metadataLast(b) - metadataLast(a) })
	}
	for _, name := range names {
		at := d.file("remove", folder+"/"+name)
		_, err := d.call(ctx, request{op: "delete file", method: http.MethodDelete, path: at, query: past(at, nil), write: true, repeat: true})
		if err != nil && !isNotFound(err) {
			return did, err
		}
		did = true
	}
	return did, nil
}

// names returns the names of the files in a folder.
func (d legacyDialect) names(ctx context.Context, folder string) (names []string, err error) {
	found, err := d.tree(ctx, folder, nil)
	if err != nil {
		return nil, err
	}
	if f := found.folders[folder]; f != nil {
		for _, file := range f.files {
			name, _, _ := strings.Cut(file, "\x00")
			names = append(names, name)
		}
	}
	return names, nil
}

// commit commits what is staged. With nothing staged this service makes an
// empty commit, so that the hash does not prove what the commit holds.
func (d legacyDialect) commit(ctx context.Context, in commitRequest) (string, error) {
	in.Timestamp = nil
	r, err := d.commitAt(ctx, d.at("/commit"), in)
	if err != nil {
		return "", err
	}
	return d.madeCommit(r)
}

// log is that of the whole repository. It ends at a commit whose author is
// written in a way that the service cannot read back.
func (d legacyDialect) log(ctx context.Context, path string, limit int) ([]remoteCommit, error) {
	if path != "" {
		return nil, fmt.Errorf("govc: read log of %s: this service has no log of one path: %w", path, errors.ErrUnsupported)
	}
	at := d.at("/log")
	return d.logAt(ctx, at, past(at, url.Values{"limit": {fmt.Sprint(limit)}}))
}

func (d legacyDialect) list(ctx context.Context) ([]store.Entry, error) {
	found, err := d.tree(ctx, document.Root, url.Values{"recursive": {"true"}})
	if err != nil {
		return nil, err
	}
	return found.documents(), nil
}

// tree lists a folder. The service knows it only without a slash at its end.
func (d legacyDialect) tree(ctx context.Context, of string, query url.Values) (found listing, err error) {
	at := d.file("tree", of)
	_, err = d.call(ctx, request{
		op: "list", method: http.MethodGet, path: at, query: past(at, query), repeat: true, timeout: d.timeouts.Bulk,
		consume: func(body io.Reader) error {
			found = listing{folders: map[string]*folder{}}
			return found.read(json.NewDecoder(body))
		},
	})
	return found, err
}
