package gitrepo

import (
	"context"
	"errors"
	"fmt"

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
	// IsLink is a symbolic link, whose content is its target. IsSubmodule is
	// another repository; Hash is a commit there, and nothing of it is here.
	IsLink, IsSubmodule bool
	Size                int64 // in bytes; -1 where it was not asked for
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
	p, err := r.walkTo(ctx, at, path)
	return p.item, err
}

// Find returns what a commit has at a path, without reading it. ErrNotFound if
// the commit does not exist, or has nothing there.
func (r *Repo) Find(ctx context.Context, at Hash, path document.Path) (Entry, error) {
	it, err := r.resolve(ctx, at, path)
	if err != nil {
		return Entry{}, err
	}
	return entryAt(path.String(), it), nil
}

// ReadFile returns the content of a file as it is in a commit; of a symbolic
// link, its target. ErrNotFound if the commit or the file does not exist, or
// the path is a folder.
func (r *Repo) ReadFile(ctx context.Context, at Hash, path document.Path) ([]byte, error) {
	data, err := r.ReadShared(ctx, at, path)
	if err != nil {
		return nil, err
	}
	return copied(data), nil
}

// ReadShared is ReadFile without a copy: the bytes are those that the
// repository and other readers have, and must never be changed. They stay what
// they are for as long as somebody holds them, which may be longer than the
// cache would.
func (r *Repo) ReadShared(ctx context.Context, at Hash, path document.Path) ([]byte, error) {
	p, err := r.walkTo(ctx, at, path)
	if err != nil {
		return nil, err
	}
	if !p.mode.isBlob() {
		return nil, fmt.Errorf("%s is no file: %w", path, ErrNotFound)
	}
	return r.blobBelow(p.folder, p.from, &p.hash)
}

// ReadBlob returns the content of a file by the name of its object, which
// List and Walk give. ErrNotFound if there is none.
func (r *Repo) ReadBlob(ctx context.Context, h Hash) ([]byte, error) {
	data, err := r.ReadBlobShared(ctx, h)
	if err != nil {
		return nil, err
	}
	return copied(data), nil
}

// ReadBlobShared is ReadBlob without a copy, as ReadShared is ReadFile.
func (r *Repo) ReadBlobShared(ctx context.Context, h Hash) ([]byte, error) {
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
	return o.data, nil
}

// copied is a copy of what is shared; never nil.
func copied(data []byte) []byte {
	out := make([]byte, len(data))
	copy(out, data)
	return out
}

// ReadFolder returns the files directly in a folder, by name. ErrNotFound if
// the commit or the folder does not exist.
func (r *Repo) ReadFolder(ctx context.Context, at Hash, folder document.Path) (map[string][]byte, error) {
	return r.ReadFiles(ctx, at, folder, nil)
}

// ReadFiles is ReadFolder for the files for which want is true; nil wants all.
// A symbolic link or a submodule that want picks is ErrNoFile: whoever asks for
// a file by its name is not to take the target of a link for its content.
func (r *Repo) ReadFiles(ctx context.Context, at Hash, folder document.Path, want func(name string) bool) (map[string][]byte, error) {
	files, err := r.ReadFilesShared(ctx, at, folder, want)
	for name, data := range files {
		files[name] = copied(data)
	}
	return files, err
}

// ReadFilesShared is ReadFiles without a copy, as ReadShared is ReadFile.
func (r *Repo) ReadFilesShared(ctx context.Context, at Hash, folder document.Path, want func(name string) bool) (map[string][]byte, error) {
	t, err := r.folderAt(ctx, at, folder)
	if err != nil {
		return nil, err
	}
	files := make(map[string][]byte)
	for from := 0; from < len(t.data); {
		p, err := t.entryAt(from)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", folder, err)
		}
		from = p.to
		if p.mode.isTree() || (want == nil && !p.mode.isBlob()) || (want != nil && !want(string(p.name))) {
			continue
		}
		if want != nil && (p.mode.isLink() || !p.mode.isBlob()) {
			return nil, fmt.Errorf("%s/%s: %w", folder, p.name, ErrNoFile)
		}
		data, err := r.blobBelow(t, p.from, &p.hash)
		if err != nil {
			return nil, fmt.Errorf("%s/%s: %w", folder, p.name, err)
		}
		files[string(p.name)] = data
	}
	return files, nil
}

// folderAt returns the tree that a commit has at a path.
func (r *Repo) folderAt(ctx context.Context, at Hash, folder document.Path) (held, error) {
	if folder.IsZero() {
		_, t, err := r.root(ctx, at)
		return t, err
	}
	p, err := r.walkTo(ctx, at, folder)
	if err != nil {
		return held{}, err
	}
	if !p.mode.isTree() {
		return held{}, fmt.Errorf("%s is no folder: %w", folder, ErrNotFound)
	}
	return r.treeBelow(p.folder, p.from, &p.hash)
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
	t, err := r.treeAt(tree)
	if err != nil {
		return err
	}
	for data := t.data; len(data) > 0; {
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

// List returns the files, folders and submodules directly in a folder, in git's
// order; the zero path is the root. ErrNotFound if the commit or the folder
// does not exist.
func (r *Repo) List(ctx context.Context, at Hash, folder document.Path) ([]Entry, error) {
	tree, err := r.folder(ctx, at, folder)
	if err != nil {
		return nil, err
	}
	var out []Entry
	err = r.eachItem(ctx, tree, func(it item) error {
		out = append(out, entryOf(folder.String(), it))
		return nil
	})
	return out, err
}

func entryOf(folder string, it item) Entry {
	path := string(it.name)
	if folder != "" {
		path = folder + "/" + path
	}
	return entryAt(path, it)
}

func entryAt(path string, it item) Entry {
	return Entry{
		Path: path, Hash: it.hash, IsDir: it.mode.isTree(), IsLink: it.mode.isLink(), IsSubmodule: it.mode == modeSubmodule, Size: -1,
	}
}

// Walk calls fn with every file and submodule below a folder, in git's order, and holds no
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
