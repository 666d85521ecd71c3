package govc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/store"
)

// Change is a document whose folder differs between two commits of the service.
// That does not say that the document itself is another.
type Change struct {
	Key     store.Key
	Deleted bool // the later commit has no such document
}

// diffMost is how many files a service of ours names in one answer about what
// differs: one that names fewer has named all.
const diffMost = 1000

// Changed returns what differs between a commit and a later one that is made of
// it, in no order. Where one answer cannot hold it, the commits in between are
// asked for one by one; complete is false if that was not enough either. The
// error wraps errors.ErrUnsupported at a service that compares no commits.
func (c *Client) Changed(ctx context.Context, from, to string) (changes []Change, complete bool, err error) {
	info, err := c.described(ctx)
	if err != nil {
		return nil, false, err
	}
	if !info.isOurs() || !info.Has(capDiff) {
		return nil, false, fmt.Errorf("govc: compare commits: this service cannot: %w", errors.ErrUnsupported)
	}
	all := differing{}
	complete, err = c.diff(ctx, from, to, all)
	if err != nil || complete {
		return all.changes(), complete, err
	}
	between, err := c.commitsSince(ctx, from)
	if err != nil {
		return nil, false, err
	}
	all, complete = differing{}, true
	for i := len(between) - 1; i >= 0 && complete; i-- { // the oldest first: the newest has the last word
		if complete, err = c.diff(ctx, between[i].Parent, between[i].Hash, all); err != nil {
			return nil, false, err
		}
	}
	return all.changes(), complete, nil
}

// differing says of folders whether the document in them was deleted.
type differing map[store.Key]bool

func (d differing) changes() []Change {
	out := make([]Change, 0, len(d))
	for key, deleted := range d {
		out = append(out, Change{key, deleted})
	}
	return out
}

// diff adds what differs between two commits, and reports whether that is all.
func (c *Client) diff(ctx context.Context, from, to string, all differing) (complete bool, err error) {
	r, err := c.call(ctx, request{
		op: "compare commits", method: http.MethodGet, path: c.repoPath("/api/v2", "/diff"),
		query: url.Values{"from": {from}, "to": {to}}, repeat: true, timeout: c.timeouts.Bulk,
	})
	if err != nil {
		return false, err
	}
	var told struct {
		Files []struct {
			Path   string `json:"path"`
			Status string `json:"status"`
		} `json:"files"`
		Truncated bool `json:"truncated"`
	}
	if err := decodeFirst(r.body, &told); err != nil {
		return false, c.notGovc(r, "what differs is not told as by govc")
	}
	for _, f := range told.Files {
		cut := strings.LastIndexByte(f.Path, '/')
		if cut < 0 {
			continue
		}
		folder, err := document.ParsePath(f.Path[:cut])
		if err != nil {
			continue // no document lies in such a folder
		}
		id, ok := document.IDOfFolder(folder)
		if !ok {
			continue
		}
		key := store.Key{ID: id, Folder: folder}
		all[key] = all[key] && f.Path[cut+1:] != document.MetadataFile
		if f.Path[cut+1:] == document.MetadataFile && f.Status == "deleted" {
			all[key] = true
		}
	}
	return !told.Truncated || len(told.Files) < diffMost, nil
}

// between is a commit with the one that it was made upon.
type between struct {
	Hash   string `json:"hash"`
	Parent string `json:"parent"`
}

// commitsSince returns the commits after one, the newest first, at most
// reachMost.
func (c *Client) commitsSince(ctx context.Context, commit string) (out []between, err error) {
	for offset := 0; offset < reachMost; offset += reachPage {
		r, err := c.call(ctx, request{
			op: "read log", method: http.MethodGet, path: c.repoPath("/api/v2", "/commits"),
			query:  url.Values{"since": {commit}, "limit": {strconv.Itoa(reachPage)}, "offset": {strconv.Itoa(offset)}},
			repeat: true, timeout: c.timeouts.Bulk,
		})
		if err != nil {
			return nil, err
		}
		var told struct {
			Commits []between `json:"commits"`
		}
		if err := decodeFirst(r.body, &told); err != nil {
			return nil, c.notGovc(r, "its log is not govc's")
		}
		out = append(out, told.Commits...)
		if len(told.Commits) < reachPage {
			break
		}
	}
	return out, nil
}
