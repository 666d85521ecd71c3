package gitrepo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/go-git/go-git/v5/plumbing"
)

// maxDepth bounds how deep trees may lie in each other. Paths of ours have at
// most 512 segments.
const maxDepth = 1024

// Entry is one name in a folder.
type Entry struct {
	Path  string // from the root; not safe to show
	Hash  Hash
	IsDir bool
	Size  int64 // in bytes; -1 where it was not asked for
}

// ReadCommit returns a commit. ErrNotFound if there is none of that name.
func (r *Repo) ReadCommit(ctx context.Context, h Hash) (Commit, error) {
	data, err := r.commitData(ctx, h)
	if err != nil {
		return Commit{}, err
	}
	return decodeCommit(h, data)
}

// commitData returns the bytes of a commit that a caller named.
func (r *Repo) commitData(ctx context.Context, h Hash) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if r.closed.Load() {
		return nil, ErrClosed
	}
	o, err := r.objects.object(h)
	if err != nil {
		return nil, fmt.Errorf("commit %s: %w", h, err)
	}
	if o.kind != plumbing.CommitObject {
		return nil, fmt.Errorf("commit %s: it is a %s: %w", h, o.kind, ErrNotFound)
	}
	return o.data, nil
}

// resolve returns what a commit has at a path, the root being a tree.
func (r *Repo) resolve(ctx context.Context, at Hash, path document.Path) (item, error) {
	data, err := r.commitData(ctx, at)
	if err != nil {
		return item{}, err
	}
	tree, err := treeOf(at, data)
	if err != nil {
		return item{}, err
	}
	it, ok, err := r.lookup(tree, path.String())
	if err == nil && !ok {
		err = fmt.Errorf("%s: %w", path, ErrNotFound)
	}
	return it, err
}

// lookup walks from a tree to a path, and reports whether there is anything.
func (r *Repo) lookup(tree Hash, path string) (item, bool, error) {
	at := item{mode: modeTree, hash: tree}
	for path != "" {
		var segment string
		segment, path, _ = strings.Cut(path, "/")
		if !at.mode.isTree() {
			return item{}, false, nil
		}
		data, err := r.tree(at.hash)
		if err != nil {
			return item{}, false, err
		}
		next, ok, err := findItem(data, segment)
		if err != nil {
			return item{}, false, fmt.Errorf("tree %s: %w", at.hash, err)
		}
		if !ok {
			return item{}, false, nil
		}
		at = next
	}
	return at, true, nil
}

// ReadFile returns the content of a file as it is in a commit; of a symbolic
// link, its target. ErrNotFound if the commit or the file does not exist, or
// the path is a folder.
func (r *Repo) ReadFile(ctx context.Context, at Hash, path document.Path) ([]byte, error) {
	it, err := r.resolve(ctx, at, path)
	if err != nil {
		return nil, err
	}
	if !it.mode.isBlob() {
		return nil, fmt.Errorf("%s is no file: %w", path, ErrNotFound)
	}
	return r.blob(it.hash)
}

// ReadBlob returns the content of a file by the name of its object, which
// List and Walk give. ErrNotFound if there is none.
func (r *Repo) ReadBlob(ctx context.Context, h Hash) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if r.closed.Load() {
		return nil, ErrClosed
	}
	o, err := r.objects.object(h)
	if errors.Is(err, ErrNotFound) {
		err = r.absent(h, err)
	}
	if err != nil {
		return nil, err
	}
	if o.kind != plumbing.BlobObject {
		return nil, fmt.Errorf("%s is a %s: %w", h, o.kind, ErrNotFound)
	}
	return bytes.Clone(o.data), nil
}

// blob copies, because the bytes of an object are shared.
func (r *Repo) blob(h Hash) ([]byte, error) {
	data, err := r.get(h, plumbing.BlobObject)
	if err != nil {
		return nil, err
	}
	out := make([]byte, len(data))
	copy(out, data)
	return out, nil
}

// ReadFolder returns the files directly in a folder, by name. ErrNotFound if
// the commit or the folder does not exist.
func (r *Repo) ReadFolder(ctx context.Context, at Hash, folder document.Path) (map[string][]byte, error) {
	return r.ReadFiles(ctx, at, folder, nil)
}

// ReadFiles is ReadFolder for the files for which want is true; nil wants all.
func (r *Repo) ReadFiles(ctx context.Context, at Hash, folder document.Path, want func(name string) bool) (map[string][]byte, error) {
	tree, err := r.folder(ctx, at, folder)
	if err != nil {
		return nil, err
	}
	files := make(map[string][]byte)
	err = r.eachItem(ctx, tree, func(it item) error {
		if !it.mode.isBlob() || (want != nil && !want(string(it.name))) {
			return nil
		}
		data, err := r.blob(it.hash)
		if err != nil {
			return fmt.Errorf("%s/%s: %w", folder, it.name, err)
		}
		files[string(it.name)] = data
		return nil
	})
	return files, err
}

func (r *Repo) folder(ctx context.Context, at Hash, folder document.Path) (Hash, error) {
	it, err := r.resolve(ctx, at, folder)
	if err != nil {
		return Hash{}, err
	}
	if !it.mode.isTree() {
		return Hash{}, fmt.Errorf("%s is no folder: %w", folder, ErrNotFound)
	}
	return it.hash, nil
}

func (r *Repo) eachItem(ctx context.Context, tree Hash, fn func(item) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	data, err := r.tree(tree)
	if err != nil {
		return err
	}
	for len(data) > 0 {
		it, rest, err := nextItem(data)
		if err != nil {
			return fmt.Errorf("tree %s: %w", tree, err)
		}
		if err := fn(it); err != nil {
			return err
		}
		data = rest
	}
	return nil
}

// List returns the files and folders directly in a folder, in git's order; the
// zero path is the root. Submodules are left out. ErrNotFound if the commit or
// the folder does not exist.
func (r *Repo) List(ctx context.Context, at Hash, folder document.Path) ([]Entry, error) {
	tree, err := r.folder(ctx, at, folder)
	if err != nil {
		return nil, err
	}
	var out []Entry
	err = r.eachItem(ctx, tree, func(it item) error {
		if it.mode != modeSubmodule {
			out = append(out, entryOf(folder.String(), it))
		}
		return nil
	})
	return out, err
}

func entryOf(folder string, it item) Entry {
	path := string(it.name)
	if folder != "" {
		path = folder + "/" + path
	}
	return Entry{Path: path, Hash: it.hash, IsDir: it.mode.isTree(), Size: -1}
}

// Walk calls fn with every file below a folder, in git's order, and holds no
// more than the trees on the way to it. An error of fn ends it and is
// returned.
func (r *Repo) Walk(ctx context.Context, at Hash, folder document.Path, fn func(Entry) error) error {
	return r.WalkTree(ctx, at, folder, func(e Entry) error {
		if e.IsDir {
			return nil
		}
		return fn(e)
	})
}

// ErrSkipFolder makes WalkTree pass over what is in a folder.
var ErrSkipFolder = errors.New("skip this folder")

// WalkTree is Walk that calls fn with folders, too, before what is in them.
func (r *Repo) WalkTree(ctx context.Context, at Hash, folder document.Path, fn func(Entry) error) error {
	tree, err := r.folder(ctx, at, folder)
	if err != nil {
		return err
	}
	return r.walk(ctx, tree, folder.String(), 0, fn)
}

func (r *Repo) walk(ctx context.Context, tree Hash, folder string, depth int, fn func(Entry) error) error {
	if depth > maxDepth {
		return fmt.Errorf("%w: trees deeper than %d", ErrCorrupt, maxDepth)
	}
	return r.eachItem(ctx, tree, func(it item) error {
		if it.mode == modeSubmodule {
			return nil
		}
		e := entryOf(folder, it)
		err := fn(e)
		switch {
		case e.IsDir && errors.Is(err, ErrSkipFolder):
			return nil
		case err != nil || !e.IsDir:
			return err
		}
		return r.walk(ctx, it.hash, e.Path, depth+1, fn)
	})
}
