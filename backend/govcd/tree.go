package govcd

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/gitrepo"
)

// overlay is what is not committed below a folder, by path.
func (r *repo) overlay(p document.Path) map[string]change {
	r.mu.RLock()
	defer r.mu.RUnlock()
	out := map[string]change{}
	for _, layer := range []map[string]change{r.taken, r.index, r.written} {
		for name, c := range layer {
			if p.IsZero() || strings.HasPrefix(name, p.String()+"/") {
				out[name] = c
			}
		}
	}
	return out
}

// children lists one level of a folder, staged content included.
func (r *repo) children(ctx context.Context, p document.Path) ([]treeEntry, error) {
	pending := r.overlay(p)
	byPath := map[string]treeEntry{}
	if tip, born := r.head(); born {
		entries, err := r.git.List(ctx, tip, p)
		if err != nil && !errors.Is(err, gitrepo.ErrNotFound) {
			return nil, err
		}
		for _, e := range entries {
			if c, ok := pending[e.Path]; ok && c.deleted {
				continue
			}
			entry, err := r.sized(ctx, e)
			if err != nil {
				return nil, err
			}
			byPath[e.Path] = entry
		}
	}
	for name, c := range pending {
		rest := strings.TrimPrefix(strings.TrimPrefix(name, p.String()), "/")
		first, _, below := strings.Cut(rest, "/")
		full := path.Join(p.String(), first)
		switch {
		case c.deleted:
		case below:
			byPath[full] = treeEntry{Name: first, Path: full, Type: "tree", Size: new(int64), Modified: epoch}
		default:
			byPath[full] = stagedEntry(c)
		}
	}
	if err := r.dropEmptied(ctx, byPath, pending); err != nil {
		return nil, err
	}
	var out []treeEntry
	for _, name := range slices.Sorted(maps.Keys(byPath)) {
		out = append(out, byPath[name])
	}
	return out, nil
}

// dropEmptied removes folders whose every file is staged for deletion.
func (r *repo) dropEmptied(ctx context.Context, byPath map[string]treeEntry, pending map[string]change) error {
	suspects := map[string]bool{}
	for name, c := range pending {
		for folder := range parents(name) {
			if e, shown := byPath[folder]; shown && e.Type == "tree" {
				suspects[folder] = suspects[folder] || !c.deleted
			}
		}
	}
	tip, born := r.head()
	for folder, holdsAddition := range suspects {
		if holdsAddition || !born {
			continue
		}
		parsed, err := document.ParsePath(folder)
		if err != nil {
			return err
		}
		holds, err := r.holdsFiles(ctx, tip, parsed)
		if err != nil {
			return err
		}
		if !holds {
			delete(byPath, folder)
		}
	}
	return nil
}

func entryOf(e gitrepo.Entry) treeEntry {
	kind := "file"
	if e.IsDir {
		kind = "tree"
	}
	return treeEntry{Name: path.Base(e.Path), Path: e.Path, Type: kind, Modified: epoch, Hash: e.Hash.String()}
}

// sized is entryOf with the size of a file, for which it has to be read.
func (r *repo) sized(ctx context.Context, e gitrepo.Entry) (treeEntry, error) {
	entry, size := entryOf(e), int64(0)
	if !e.IsDir {
		data, err := r.git.ReadBlobShared(ctx, e.Hash)
		if err != nil {
			return treeEntry{}, err
		}
		size = int64(len(data))
	}
	entry.Size = &size
	return entry, nil
}

func stagedEntry(c change) treeEntry {
	name, size := c.path.String(), int64(len(c.data))
	return treeEntry{
		Name: path.Base(name), Path: name, Type: "file", Size: &size, Modified: epoch,
		Hash: plumbing.ComputeHash(plumbing.BlobObject, c.data).String(),
	}
}

// writeFiles streams every file below a folder as the answer to a recursive
// tree request. committed leaves out what is not committed. An error before
// the first byte is answered as such; later ones cut the answer off, which a
// client sees as broken JSON.
func (r *repo) writeFiles(ctx context.Context, w io.Writer, p document.Path, committed bool) error {
	pending := map[string]change{}
	if !committed {
		pending = r.overlay(p)
	}
	out := &listing{w: bufio.NewWriterSize(w, 32<<10), path: p.String()}
	if tip, born := r.head(); born {
		err := r.git.Walk(ctx, tip, p, func(e gitrepo.Entry) error {
			if _, over := pending[e.Path]; over {
				return nil
			}
			return out.add(entryOf(e))
		})
		if err != nil && !errors.Is(err, gitrepo.ErrNotFound) {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(pending)) {
		if c := pending[name]; !c.deleted {
			if err := out.add(stagedEntry(c)); err != nil {
				return err
			}
		}
	}
	return out.end()
}

// listing writes {"path":...,"entries":[...],"total":n} entry by entry.
type listing struct {
	w     *bufio.Writer
	path  string
	total int
}

func (l *listing) add(e treeEntry) error {
	if err := l.start(); err != nil {
		return err
	}
	body, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("govcd: encode tree entry: %w", err)
	}
	if l.total > 0 {
		if err := l.w.WriteByte(','); err != nil {
			return err
		}
	}
	l.total++
	_, err = l.w.Write(body)
	return err
}

func (l *listing) start() error {
	if l.total > 0 {
		return nil
	}
	shown := l.path
	if shown == "" {
		shown = "."
	}
	name, err := json.Marshal(shown)
	if err != nil {
		return fmt.Errorf("govcd: encode path: %w", err)
	}
	_, err = fmt.Fprintf(l.w, `{"path":%s,"entries":[`, name)
	return err
}

func (l *listing) end() error {
	if err := l.start(); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(l.w, `],"total":%d}`, l.total); err != nil {
		return err
	}
	return l.w.Flush()
}

// epoch is what the wire calls the time of a file's change: it is not known.
var epoch time.Time
