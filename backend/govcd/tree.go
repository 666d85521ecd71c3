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

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/gitrepo"
)

// overlay is what is not committed below a folder, by path, and the commit
// that it lies on.
func (r *repo) overlay(src source, p document.Path) (map[string]change, gitrepo.Hash, error) {
	out := map[string]change{}
	tip, err := r.look(src, func(a *area) {
		for _, layer := range []map[string]change{a.taken, a.index, a.written} {
			for name, c := range layer {
				if p.IsZero() || strings.HasPrefix(name, p.String()+"/") {
					out[name] = c
				}
			}
		}
	})
	return out, tip, err
}

// children lists one level of a folder, staged content included.
func (r *repo) children(ctx context.Context, src source, p document.Path) ([]treeEntry, error) {
	pending, tip, err := r.overlay(src, p)
	if err != nil {
		return nil, err
	}
	byPath := map[string]treeEntry{}
	if !tip.IsZero() {
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
	if err := r.dropEmptied(ctx, tip, byPath, pending); err != nil {
		return nil, err
	}
	var out []treeEntry
	for _, name := range slices.Sorted(maps.Keys(byPath)) {
		out = append(out, byPath[name])
	}
	return out, nil
}

// dropEmptied removes folders whose every file is staged for deletion.
func (r *repo) dropEmptied(ctx context.Context, tip gitrepo.Hash, byPath map[string]treeEntry, pending map[string]change) error {
	suspects := map[string]bool{}
	for name, c := range pending {
		for folder := range parents(name) {
			if e, shown := byPath[folder]; shown && e.Type == "tree" {
				suspects[folder] = suspects[folder] || !c.deleted
			}
		}
	}
	for folder, holdsAddition := range suspects {
		if holdsAddition || tip.IsZero() {
			continue
		}
		parsed, err := document.ParsePath(folder)
		if err != nil {
			return err
		}
		holds, err := holdsFiles(ctx, r.git, tip, parsed, func(file string) bool {
			c, ok := pending[file]
			return ok && c.deleted
		})
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
	switch {
	case e.IsDir:
		kind = "tree"
	case e.IsSubmodule:
		kind = "commit"
	}
	return treeEntry{Name: path.Base(e.Path), Path: e.Path, Type: kind, Modified: epoch, Hash: e.Hash.String()}
}

// sized is entryOf with the size of a file, for which it has to be read.
func (r *repo) sized(ctx context.Context, e gitrepo.Entry) (treeEntry, error) {
	entry, size := entryOf(e), int64(0)
	if !e.IsDir && !e.IsSubmodule {
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
		Hash: blobHash(c.data).String(),
	}
}

// page is a part of a listing; the zero value is all of it.
type page struct {
	limit int    // at most that many entries
	after string // only what comes after this path
}

// over reports whether all below a folder comes before the page.
func (p page) over(folder string) bool {
	return folder+"/" < p.after && !strings.HasPrefix(p.after, folder+"/")
}

// writeFiles streams the files below a folder, in the order of their paths, as
// the answer to a recursive tree request. An error before the first byte is
// answered as such; later ones cut the answer off, which a client sees as
// broken JSON.
func (r *repo) writeFiles(ctx context.Context, w io.Writer, src source, p document.Path, pg page) error {
	pending, tip, err := r.overlay(src, p)
	if err != nil {
		return err
	}
	var staged []string
	for _, name := range slices.Sorted(maps.Keys(pending)) {
		if !pending[name].deleted && name > pg.after {
			staged = append(staged, name)
		}
	}
	out := &listing{w: bufio.NewWriterSize(w, 32<<10), path: p.String(), limit: pg.limit}
	if pg.limit > 0 {
		out.commit = named(tip)
	}
	stagedBefore := func(name string) error {
		for len(staged) > 0 && (name == "" || staged[0] < name) {
			if err := out.add(stagedEntry(pending[staged[0]])); err != nil {
				return err
			}
			staged = staged[1:]
		}
		return nil
	}
	if !tip.IsZero() {
		err = r.git.WalkTree(ctx, tip, p, func(e gitrepo.Entry) error {
			switch {
			case e.IsDir && pg.over(e.Path):
				return gitrepo.ErrSkipFolder
			case e.IsDir || e.Path <= pg.after:
				return nil
			}
			if err := stagedBefore(e.Path); err != nil {
				return err
			}
			if _, over := pending[e.Path]; over {
				return nil
			}
			return out.add(entryOf(e))
		})
	}
	if err == nil || errors.Is(err, gitrepo.ErrNotFound) {
		err = stagedBefore("")
	}
	if err != nil && !errors.Is(err, errStop) {
		return err
	}
	return out.end()
}

// listing writes {"path":...,"entries":[...],"total":n} entry by entry.
type listing struct {
	w      *bufio.Writer
	path   string
	commit string // told if it is not empty
	limit  int    // 0 for none
	total  int
	last   string // path of the last entry
	next   bool   // there would have been more
}

// add writes an entry; errStop if there is no room for it.
func (l *listing) add(e treeEntry) error {
	if l.limit > 0 && l.total == l.limit {
		l.next = true
		return errStop
	}
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
	l.last = e.Path
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
	if err := l.field(`{"path":`, shown); err != nil {
		return err
	}
	if l.commit != "" {
		if err := l.field(`,"commit":`, l.commit); err != nil {
			return err
		}
	}
	_, err := l.w.WriteString(`,"entries":[`)
	return err
}

// field writes a name, with what comes before it, and a value.
func (l *listing) field(name, value string) error {
	body, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("govcd: encode path: %w", err)
	}
	_, err = l.w.WriteString(name + string(body))
	return err
}

func (l *listing) end() error {
	if err := l.start(); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(l.w, `],"total":%d`, l.total); err != nil {
		return err
	}
	if l.next {
		if err := l.field(`,"next":`, l.last); err != nil {
			return err
		}
	}
	if err := l.w.WriteByte('}'); err != nil {
		return err
	}
	return l.w.Flush()
}

// epoch is what the wire calls the time of a file's change: it is not known.
var epoch time.Time
