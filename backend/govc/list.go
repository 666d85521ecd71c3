package govc

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/store"
)

const (
	// maxListed bounds the documents of a listing.
	maxListed = 5_000_000
	// maxHistory bounds the revisions of one history.
	maxHistory = 10_000
)

func isNotFound(err error) bool { return errors.Is(err, store.ErrNotFound) }

// List yields every document that the newest commit holds in a folder of
// either layout. Other services than ours cannot list: errors.ErrUnsupported.
// The listing is read whole before the first entry is yielded, so that a slow
// consumer does not keep the service waiting.
func (c *Client) List(ctx context.Context) iter.Seq2[store.Entry, error] {
	return func(yield func(store.Entry, error) bool) {
		entries, err := c.list(ctx)
		if err != nil {
			yield(store.Entry{}, err)
			return
		}
		for _, e := range entries {
			if err := ctx.Err(); err != nil {
				yield(store.Entry{}, fmt.Errorf("govc: list: %w", err))
				return
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}

func (c *Client) list(ctx context.Context) ([]store.Entry, error) {
	info, err := c.described(ctx)
	if err != nil {
		return nil, err
	}
	if !info.Has(capRecursiveTree) {
		return nil, fmt.Errorf("govc: list: this service cannot list documents: %w", errors.ErrUnsupported)
	}
	var found listing
	_, err = c.call(ctx, request{
		op: "list", method: http.MethodGet, path: c.api("/tree"), repeat: true, timeout: c.timeouts.Bulk,
		query: url.Values{"recursive": {"true"}, "view": {"committed"}, "path": {document.Root}},
		consume: func(body io.Reader) error {
			found = listing{folders: map[string]*folder{}}
			return found.read(json.NewDecoder(body))
		},
	})
	if err != nil {
		return nil, err
	}
	return found.documents(), nil
}

// folder is one folder of a listing: the names and blob hashes of its files.
type folder struct {
	files  []string
	isADoc bool // it holds metadata.json
}

type listing struct{ folders map[string]*folder }

// read takes {"entries":[...]} entry by entry. Broken or cut JSON is an error.
func (l *listing) read(in *json.Decoder) error {
	if err := expect(in, json.Delim('{')); err != nil {
		return err
	}
	for in.More() {
		name, err := in.Token()
		if err != nil {
			return fmt.Errorf("read listing: %w", err)
		}
		if name == "entries" {
			err = l.readEntries(in)
		} else {
			var skipped json.RawMessage
			err = in.Decode(&skipped)
		}
		if err != nil {
			return fmt.Errorf("read listing: %w", err)
		}
	}
	return expect(in, json.Delim('}'))
}

func (l *listing) readEntries(in *json.Decoder) error {
	open, err := in.Token()
	if err != nil || open == nil { // null is an empty list
		return err
	}
	if open != json.Delim('[') {
		return fmt.Errorf("a list of entries begins with %v", open)
	}
	for in.More() {
		var e struct {
			Path string `json:"path"`
			Type string `json:"type"`
			Hash string `json:"hash"`
		}
		if err := in.Decode(&e); err != nil {
			return err
		}
		if e.Type != "file" {
			continue
		}
		cut := strings.LastIndexByte(e.Path, '/')
		if cut < 0 {
			continue
		}
		f := l.folders[e.Path[:cut]]
		if f == nil {
			if len(l.folders) >= maxListed {
				return fmt.Errorf("%w: more than %d folders", store.ErrTooLarge, maxListed)
			}
			f = &folder{}
			l.folders[e.Path[:cut]] = f
		}
		f.files = append(f.files, e.Path[cut+1:]+"\x00"+e.Hash)
		f.isADoc = f.isADoc || e.Path[cut+1:] == document.MetadataFile
	}
	return expect(in, json.Delim(']'))
}

func expect(in *json.Decoder, want json.Delim) error {
	got, err := in.Token()
	if err != nil {
		return fmt.Errorf("read listing: %w", err)
	}
	if got != want {
		return fmt.Errorf("read listing: %v instead of %v", got, want)
	}
	return nil
}

// documents makes entries of the folders that are documents. The version is a
// hash over the hashes of the files.
func (l *listing) documents() []store.Entry {
	var out []store.Entry
	for path, f := range l.folders {
		if !f.isADoc {
			continue
		}
		parsed, err := document.ParsePath(path)
		if err != nil {
			continue // no document lies in such a folder
		}
		id, ok := document.IDOfFolder(parsed)
		if !ok {
			continue
		}
		slices.Sort(f.files)
		sum := sha256.Sum256([]byte(strings.Join(f.files, "\x00")))
		out = append(out, store.Entry{Key: store.Key{ID: id, Folder: parsed}, Version: hex.EncodeToString(sum[:16])})
	}
	return out
}

// History returns the newest revisions of a document first, at most limit,
// which is cut at 10,000. Services without a log by path cannot tell:
// errors.ErrUnsupported.
func (c *Client) History(ctx context.Context, key store.Key, limit int) ([]store.Revision, error) {
	if limit <= 0 {
		return nil, nil
	}
	info, err := c.described(ctx)
	if err != nil {
		return nil, err
	}
	if !info.Has(capLogPath) {
		return nil, fmt.Errorf("govc: history of %q: this service has no log of one document: %w", key.ID, errors.ErrUnsupported)
	}
	commits, err := c.log(ctx, key.Folder.String(), min(limit, maxHistory))
	if err != nil {
		return nil, err
	}
	out := make([]store.Revision, 0, len(commits))
	for _, m := range commits {
		out = append(out, store.Revision{
			Commit: m.Hash, Author: store.Author{Name: m.Author, Email: m.Email}, At: m.Timestamp.UTC(),
			Message: m.Message, Deleted: m.Deleted,
		})
	}
	return out, nil
}
