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

// List yields every document in a folder of either layout: of the newest commit
// at a service of ours; at LEGACY what its files hold, each document being read
// for its version, because nothing cheaper tells one from another. NEW cannot
// list: errors.ErrUnsupported; see Named. The listing is read whole before the
// first entry is yielded, so that a slow consumer does not keep the service
// waiting.
func (c *Client) List(ctx context.Context) iter.Seq2[store.Entry, error] {
	return func(yield func(store.Entry, error) bool) {
		info, err := c.described(ctx)
		var entries []store.Entry
		if err == nil {
			entries, err = c.speak(info).list(ctx)
		}
		if err != nil {
			yield(store.Entry{}, err)
			return
		}
		for _, e := range entries {
			there := true
			err := ctx.Err()
			if err == nil && info.Dialect == DialectV1 {
				there, err = c.readVersion(ctx, &e)
			}
			if err != nil {
				yield(store.Entry{}, fmt.Errorf("govc: list: %w", err))
				return
			}
			if there && !yield(e, nil) {
				return
			}
		}
	}
}

// readVersion adds the hash of the content to a version that is made of names
// and sizes. It reports whether the document is still there.
func (c *Client) readVersion(ctx context.Context, e *store.Entry) (there bool, err error) {
	found, err := c.look(ctx, e.Key)
	if err != nil || (found.doc == nil && found.broken == nil) {
		return false, err
	}
	if found.doc != nil {
		h, err := found.doc.Hash()
		if err != nil {
			return false, err
		}
		e.Version += "-" + h.String()
	}
	return true, nil
}

// listAt reads a recursive listing with hashes.
func (c *Client) listAt(ctx context.Context, at string, query url.Values) ([]store.Entry, error) {
	var found listing
	_, err := c.call(ctx, request{
		op: "list", method: http.MethodGet, path: at, query: query, repeat: true, timeout: c.timeouts.Bulk,
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

// folder is one folder of a listing: name, blob hash and size of its files.
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
			err = skip(in)
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
			Size int64  `json:"size"`
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
		f.files = append(f.files, fmt.Sprintf("%s\x00%s\x00%d", e.Path[cut+1:], e.Hash, e.Size))
		f.isADoc = f.isADoc || e.Path[cut+1:] == document.MetadataFile
	}
	return expect(in, json.Delim(']'))
}

// skip passes over one value without keeping it: LEGACY tells the whole listing
// twice.
func skip(in *json.Decoder) error {
	for depth := 0; ; {
		token, err := in.Token()
		if err != nil {
			return err
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
	}
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
// hash over what is known of the files.
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

// Empty reports whether the repository has no commit, as far as any service can
// say. Errors are those of List.
func (c *Client) Empty(ctx context.Context) (bool, error) {
	info, err := c.described(ctx)
	if err != nil {
		return false, err
	}
	commits, err := c.speak(info).log(ctx, "", 1)
	return err == nil && len(commits) == 0, err
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
	commits, err := c.speak(info).log(ctx, key.Folder.String(), min(limit, maxHistory))
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
