package gitstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/gitrepo"
	"github.com/caiatech/caiatop/backend/store"
)

// maxNamed bounds the paths that Others names.
const maxNamed = 10

// documentDepth is how many segments the deepest folder of a document has.
const documentDepth = 7

// Change is a document whose folder is not the same in two commits. That does
// not say that the document itself is another: files beside it may be.
type Change struct {
	Key     store.Key
	Deleted bool // the later commit has no such folder
}

// Others counts what differs between two commits and is no document.
type Others struct {
	Count int64 // files, and folders as a whole where they cannot hold documents
	// Links and Submodules of them are symbolic links and other repositories.
	Links, Submodules int64
	Named             []string // the first of them, at most maxNamed; not safe to show
}

func (o *Others) entry(e gitrepo.Entry) {
	switch {
	case e.IsSubmodule:
		o.Submodules++
	case e.IsLink:
		o.Links++
	}
	o.add(named(e))
}

// join adds what other counts, and names it behind the rest.
func (o *Others) join(other Others) {
	o.Count, o.Links, o.Submodules = o.Count+other.Count, o.Links+other.Links, o.Submodules+other.Submodules
	o.Named = append(o.Named, other.Named[:min(len(other.Named), maxNamed-len(o.Named))]...)
}

func (o *Others) add(path string) {
	o.Count++
	if len(o.Named) < maxNamed {
		o.Named = append(o.Named, path)
	}
}

// Changes calls each with every document whose folder differs between two
// commits, in the order of their folders; "" is a commit without files. It
// reads only folders that differ, and no document. What differs and is no
// document is counted. An error of each ends it and is returned.
// store.ErrNotFound if there is no such commit.
func (s *Store) Changes(ctx context.Context, from, to string, each func(Change) error) (Others, error) {
	w := changeWalk{Store: s, each: each}
	var err error
	if w.from, err = w.commit(ctx, from); err == nil {
		w.to, err = w.commit(ctx, to)
	}
	if err == nil {
		err = w.folder(ctx, document.Path{}, 0, true, true)
	}
	if failed := (eachError{}); errors.As(err, &failed) {
		return w.others, failed.error
	}
	return w.others, wrap("compare two commits of git", err)
}

// eachError is an error of the callback, which is returned as it is.
type eachError struct{ error }

type changeWalk struct {
	*Store
	from, to gitrepo.Hash
	each     func(Change) error
	others   Others
}

func (w *changeWalk) commit(ctx context.Context, name string) (gitrepo.Hash, error) {
	if name == "" {
		return gitrepo.Hash{}, nil
	}
	h, err := parseCommit(name)
	if err != nil {
		return h, err
	}
	_, err = w.repo.ReadCommit(ctx, h)
	return h, err
}

// pair is what two commits have at one name; an entry without a path is none.
type pair struct {
	name          string
	before, after gitrepo.Entry
}

// folder compares one folder, which is a folder before, after, or both.
func (w *changeWalk) folder(ctx context.Context, at document.Path, depth int, before, after bool) error {
	pairs, err := w.pairs(ctx, at, before, after)
	if err != nil {
		return err
	}
	for _, p := range pairs {
		if err := w.entry(ctx, at, p, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// pairs returns the names at which a folder differs. A file and a folder of one
// name are two of them.
func (w *changeWalk) pairs(ctx context.Context, at document.Path, before, after bool) ([]pair, error) {
	list := func(commit gitrepo.Hash, there bool) ([]gitrepo.Entry, error) {
		if !there || commit.IsZero() {
			return nil, nil
		}
		return w.repo.List(ctx, commit, at)
	}
	old, err := list(w.from, before)
	if err != nil {
		return nil, err
	}
	young, err := list(w.to, after)
	if err != nil {
		return nil, err
	}
	skip := len(at.String())
	if skip > 0 {
		skip++
	}
	var pairs []pair
	for len(old) > 0 || len(young) > 0 {
		var p pair
		order := 0
		switch {
		case len(old) == 0:
			order = 1
		case len(young) == 0:
			order = -1
		default:
			order = compareEntries(old[0], young[0])
		}
		if order <= 0 {
			p.before, old = old[0], old[1:]
		}
		if order >= 0 {
			p.after, young = young[0], young[1:]
		}
		if order != 0 || p.before.Hash != p.after.Hash {
			p.name = cmp.Or(p.before.Path, p.after.Path)[skip:]
			pairs = append(pairs, p)
		}
	}
	return pairs, nil
}

// compareEntries is git's order: a folder sorts as if its name ended in a
// slash.
func compareEntries(a, b gitrepo.Entry) int {
	if a.Path == b.Path {
		switch {
		case a.IsDir == b.IsDir:
			return 0
		case a.IsDir:
			return 1
		}
		return -1
	}
	n := min(len(a.Path), len(b.Path))
	if order := strings.Compare(a.Path[:n], b.Path[:n]); order != 0 {
		return order
	}
	return cmp.Compare(after(a, n), after(b, n))
}

// after returns the byte at n, beyond the end of the name what git puts there.
func after(e gitrepo.Entry, n int) byte {
	switch {
	case n < len(e.Path):
		return e.Path[n]
	case e.IsDir:
		return '/'
	}
	return 0
}

// entry judges one name that differs: a document, a way to documents, or
// something else.
func (w *changeWalk) entry(ctx context.Context, in document.Path, p pair, depth int) error {
	text := p.name
	if !in.IsZero() {
		text = in.String() + "/" + p.name
	}
	wasFile, isFile := p.before.Path != "" && !p.before.IsDir, p.after.Path != "" && !p.after.IsDir
	if wasFile || isFile {
		e := p.after
		if !isFile {
			e = p.before
		}
		w.others.entry(e)
	}
	if !p.before.IsDir && !p.after.IsDir {
		return nil
	}
	path, err := document.ParsePath(text)
	if err != nil || (depth == 1 && p.name != document.Root) {
		w.others.add(text)
		return nil //nolint:nilerr // a name that no document has
	}
	if id, ok := document.IDOfFolder(path); ok {
		if err := w.each(Change{store.Key{ID: id, Folder: path}, !p.after.IsDir}); err != nil {
			return eachError{err}
		}
		return nil
	}
	if noWay(text) {
		w.others.add(text)
		return nil
	}
	return w.folder(ctx, path, depth, p.before.IsDir, p.after.IsDir)
}

// noWay reports whether a folder that is no document leads to none either.
func noWay(folder string) bool {
	return strings.Count(folder, "/")+1 >= documentDepth || libraryShape(folder)
}

// libraryShape reports whether a folder lies where the CAIA Library has its
// documents: only its last name keeps it from being one.
func libraryShape(folder string) bool {
	parts := strings.Split(folder, "/")
	return len(parts) == 5 && len(parts[2]) == 4 && len(parts[3]) == 2
}

// IsDocument reports whether a path is the folder of a document.
func IsDocument(folder string) bool {
	path, err := document.ParsePath(folder)
	if err != nil {
		return false
	}
	_, ok := document.IDOfFolder(path)
	return ok
}

// Unreadable reports an error of Get or GetAt that is about the document: what
// lies there is none, and no other attempt will find one.
func Unreadable(err error) bool {
	return err != nil && !errors.Is(err, gitrepo.ErrCorrupt) &&
		(errors.Is(err, store.ErrCorrupt) || errors.Is(err, store.ErrTooLarge) || errors.Is(err, document.ErrInvalid))
}

// Readable returns what a commit holds at a document's folder if that is a
// document that may be taken over. An error that is not Unreadable says nothing
// about the document.
func (s *Store) Readable(ctx context.Context, commit string, key store.Key) (document.Document, document.Hash, error) {
	doc, _, err := s.ReadableFiles(ctx, commit, key)
	if err != nil {
		return document.Document{}, document.Hash{}, err
	}
	hash, err := doc.Hash()
	if err != nil {
		return document.Document{}, document.Hash{}, fmt.Errorf("get %q from git: %w: %w", key.ID, store.ErrCorrupt, err)
	}
	return doc, hash, nil
}

// ReadableFiles is Readable with the files that the document is made of,
// instead of its hash.
func (s *Store) ReadableFiles(ctx context.Context, commit string, key store.Key) (document.Document, map[string][]byte, error) {
	at, err := parseCommit(commit)
	if err != nil {
		return document.Document{}, nil, fail("get", key, err)
	}
	doc, files, err := s.readFiles(ctx, at, key)
	if err == nil {
		err = doc.Validate()
	}
	if err != nil {
		return document.Document{}, nil, err
	}
	return doc, files, nil
}

// FileNames are the names that the files of a document may have.
func FileNames() []string {
	return []string{document.MetadataFile, document.TextFile, document.LegacyTextFile, document.RawFile}
}
