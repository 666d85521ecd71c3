package gitstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync/atomic"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/durable"
	"github.com/caiatech/caiatop/backend/gitrepo"
	"github.com/caiatech/caiatop/backend/store"
	"github.com/go-git/go-git/v5/plumbing"
)

// Store keeps documents on one branch of a repository. It implements
// store.Merger. All methods are safe for concurrent use.
type Store struct {
	repo   *gitrepo.Repo
	branch string
	left   atomic.Pointer[Left]
}

var _ store.Merger = (*Store)(nil)

// New returns the store of the main branch. The repository stays the caller's
// to close.
func New(repo *gitrepo.Repo) *Store { return &Store{repo: repo, branch: gitrepo.Main} }

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, key store.Key) (document.Document, error) {
	tip, err := s.repo.Tip(s.branch)
	if err != nil {
		return document.Document{}, fail("get", key, err)
	}
	return s.read(ctx, tip, key)
}

// GetAt returns the document as it is in a commit, named by its hash in hex.
// store.ErrNotFound if there is no such commit, or the commit has no such
// document.
func (s *Store) GetAt(ctx context.Context, commit string, key store.Key) (document.Document, error) {
	at, err := parseCommit(commit)
	if err != nil {
		return document.Document{}, fail("get", key, err)
	}
	return s.read(ctx, at, key)
}

func parseCommit(commit string) (gitrepo.Hash, error) {
	if !plumbing.IsHash(commit) {
		return gitrepo.Hash{}, fmt.Errorf("commit %q: %w", commit, gitrepo.ErrNotFound)
	}
	return plumbing.NewHash(commit), nil
}

// isDocumentFile picks the files that a document is made of; others in its
// folder are left alone, however large they are.
func isDocumentFile(name string) bool {
	switch name {
	case document.MetadataFile, document.TextFile, document.LegacyTextFile, document.RawFile:
		return true
	}
	return false
}

func (s *Store) read(ctx context.Context, at gitrepo.Hash, key store.Key) (document.Document, error) {
	files, err := s.repo.ReadFilesShared(ctx, at, key.Folder, isDocumentFile)
	if err != nil {
		return document.Document{}, fail("get", key, err)
	}
	d, err := decode(files, key)
	// All but these bytes was copied when it was decoded.
	d.Content.Raw = bytes.Clone(d.Content.Raw)
	return d, err
}

// readFiles is read, and returns the files, which are the caller's.
func (s *Store) readFiles(ctx context.Context, at gitrepo.Hash, key store.Key) (document.Document, map[string][]byte, error) {
	files, err := s.repo.ReadFiles(ctx, at, key.Folder, isDocumentFile)
	if err != nil {
		return document.Document{}, nil, fail("get", key, err)
	}
	d, err := decode(files, key)
	return d, files, err
}

func decode(files map[string][]byte, key store.Key) (document.Document, error) {
	d, err := document.FromFiles(files, folderType(key.Folder))
	if err != nil {
		return document.Document{}, fmt.Errorf("get %q from git: %w: %w", key.ID, store.ErrCorrupt, err)
	}
	if d.ID != key.ID {
		return document.Document{}, fmt.Errorf("get %q from git: %w: the folder holds %q", key.ID, store.ErrCorrupt, d.ID)
	}
	return d, nil
}

// folderType is the type that the folder of a document names, zero if none.
func folderType(folder store.Path) document.Type {
	parts := strings.Split(folder.String(), "/")
	if len(parts) < 2 {
		return document.Type{}
	}
	t, err := document.ParseType(parts[1])
	if err != nil {
		return document.Type{}
	}
	return t
}

// Apply implements store.Store. Where nothing changes the receipt is empty;
// trailers are recorded all the same, by a commit that changes no file, so that
// a cursor among them never stands still.
func (s *Store) Apply(ctx context.Context, batch store.Batch) (store.Receipt, error) {
	receipt, _, err := s.ApplyOnto(ctx, batch, nil)
	return receipt, err
}

// ApplyOnto is Apply, and returns the tip of the branch after it. Before
// anything is written, check is called with the tip that the batch would be
// built upon, "" if there is none; its error ends the call. Nil checks nothing.
func (s *Store) ApplyOnto(ctx context.Context, batch store.Batch, check func(tip string) error) (receipt store.Receipt, tip string, err error) {
	if err := batch.Validate(); err != nil {
		return store.Receipt{}, "", fmt.Errorf("apply to git: %w", err)
	}
	checked := func(at gitrepo.Hash) error {
		tip = ""
		if !at.IsZero() {
			tip = at.String()
		}
		if check == nil {
			return nil
		}
		return check(tip)
	}
	in := gitrepo.CommitInput{
		Branch: s.branch,
		Plan: func(ctx context.Context, tip gitrepo.Hash) ([]gitrepo.Change, error) {
			if err := checked(tip); err != nil {
				return nil, err
			}
			return s.changes(ctx, tip, batch.Ops)
		},
		Message: batch.Message(),
		Author:  gitrepo.Signature(batch.Author),
		At:      batch.At,
	}
	if s.branch == gitrepo.Main {
		in.Mark = LastRef
	}
	h, err := s.repo.Commit(ctx, in)
	switch {
	case err == nil:
		return store.Receipt{Commit: h.String()}, h.String(), nil
	case errors.Is(err, gitrepo.ErrNothing) && len(batch.Trailers) > 0:
		in.Plan = func(_ context.Context, tip gitrepo.Hash) ([]gitrepo.Change, error) { return nil, checked(tip) }
		in.AllowEmpty = true
		if h, err = s.repo.Commit(ctx, in); err == nil {
			tip = h.String()
		}
	case errors.Is(err, gitrepo.ErrNothing):
		err = nil
	}
	return store.Receipt{}, tip, wrap("apply to git", err)
}

// changes turns operations into changes of files. tip is zero in an empty
// repository.
func (s *Store) changes(ctx context.Context, tip gitrepo.Hash, ops []store.Op) ([]gitrepo.Change, error) {
	changes := make([]gitrepo.Change, 0, 3*len(ops))
	for _, op := range ops {
		if op.Doc == nil {
			changes = append(changes, gitrepo.Change{Path: op.Key.Folder, Delete: true})
			continue
		}
		files, err := op.Doc.Files(document.AnyBytes)
		if err != nil {
			return nil, err
		}
		textName, err := s.textName(ctx, tip, op.Key.Folder)
		if err != nil {
			return nil, err
		}
		hasRaw := false
		for _, f := range files {
			hasRaw = hasRaw || f.Name == document.RawFile
			name := f.Name
			if name == document.TextFile {
				name = textName
			}
			path, err := below(op.Key.Folder, name)
			if err != nil {
				return nil, err
			}
			changes = append(changes, gitrepo.Change{Path: path, Data: f.Data})
		}
		if !hasRaw {
			path, err := below(op.Key.Folder, document.RawFile)
			if err != nil {
				return nil, err
			}
			changes = append(changes, gitrepo.Change{Path: path, Delete: true})
		}
	}
	return changes, nil
}

func below(folder store.Path, name string) (store.Path, error) {
	return document.ParsePath(folder.String() + "/" + name)
}

// textName keeps the name that the text has in a folder already.
func (s *Store) textName(ctx context.Context, tip gitrepo.Hash, folder store.Path) (string, error) {
	if tip.IsZero() {
		return document.TextFile, nil
	}
	entries, err := s.repo.List(ctx, tip, folder)
	if err != nil && !errors.Is(err, gitrepo.ErrNotFound) {
		return "", err
	}
	name := document.TextFile
	for _, e := range entries {
		switch strings.TrimPrefix(e.Path, folder.String()+"/") {
		case document.TextFile:
			return document.TextFile, nil
		case document.LegacyTextFile:
			name = document.LegacyTextFile
		}
	}
	return name, nil
}

// List implements store.Store. The version of a document is the hash of its
// folder's tree. Folders whose names no document may have are not documents
// and are left out; Left counts them.
func (s *Store) List(ctx context.Context) iter.Seq2[store.Entry, error] {
	return func(yield func(store.Entry, error) bool) {
		if err := s.list(ctx, yield); err != nil && !errors.Is(err, errStop) {
			yield(store.Entry{}, wrap("list git", err))
		}
	}
}

// maxLeft bounds the paths that a Left names.
const maxLeft = 20

// Left is what a listing left out: folders whose names no document may have.
type Left struct {
	Folders int      // each with all that is in it
	First   []string // the first of their paths; not safe to show
}

// Left returns what the last List that came to its end left out.
func (s *Store) Left() Left {
	if left := s.left.Load(); left != nil {
		return *left
	}
	return Left{}
}

// errStop says that the reader of a listing has enough.
var errStop = errors.New("stop")

func (s *Store) list(ctx context.Context, yield func(store.Entry, error) bool) error {
	tip, err := s.repo.Tip(s.branch)
	if errors.Is(err, gitrepo.ErrNotFound) {
		return ctx.Err()
	}
	if err != nil {
		return err
	}
	return s.listAt(ctx, tip, yield)
}

// ListAt is List in a commit.
func (s *Store) ListAt(ctx context.Context, commit string) iter.Seq2[store.Entry, error] {
	return func(yield func(store.Entry, error) bool) {
		at, err := parseCommit(commit)
		if err == nil {
			err = s.listAt(ctx, at, yield)
		}
		if err != nil && !errors.Is(err, errStop) {
			yield(store.Entry{}, wrap("list git", err))
		}
	}
}

func (s *Store) listAt(ctx context.Context, tip gitrepo.Hash, yield func(store.Entry, error) bool) error {
	root, err := document.ParsePath(document.Root)
	if err != nil {
		return err
	}
	var left Left
	err = s.repo.WalkTree(ctx, tip, root, func(e gitrepo.Entry) error {
		if !e.IsDir {
			return nil
		}
		folder, err := document.ParsePath(e.Path)
		if err != nil {
			if left.Folders++; left.Folders <= maxLeft {
				left.First = append(left.First, e.Path)
			}
			return gitrepo.ErrSkipFolder
		}
		id, ok := document.IDOfFolder(folder)
		if !ok {
			return nil
		}
		if !yield(store.Entry{Key: store.Key{ID: id, Folder: folder}, Version: e.Hash.String()}, nil) {
			return errStop
		}
		return gitrepo.ErrSkipFolder
	})
	if errors.Is(err, gitrepo.ErrNotFound) {
		err = nil // a repository without documents
	}
	if err == nil {
		s.left.Store(&left)
	}
	return err
}

// fail names the operation and the document.
func fail(operation string, key store.Key, err error) error {
	return wrap(fmt.Sprintf("%s %q from git", operation, key.ID), err)
}

// sentinels says what an error of the repository means to the callers of a
// store. The first match counts.
var sentinels = []struct{ from, to error }{
	{durable.ErrUnsynced, store.ErrAmbiguous},
	{durable.ErrDiskFull, store.ErrDiskFull},
	{durable.ErrReadOnly, store.ErrReadOnly},
	{gitrepo.ErrGone, store.ErrIdentity},
	{gitrepo.ErrLost, store.ErrIdentity},
	{gitrepo.ErrCorrupt, store.ErrCorrupt},
	{gitrepo.ErrTooLarge, store.ErrTooLarge},
	{gitrepo.ErrMoved, store.ErrUnavailable}, // somebody pushes faster than we commit
	{gitrepo.ErrBusy, store.ErrUnavailable},
	{gitrepo.ErrClosed, store.ErrUnavailable},
	{gitrepo.ErrNotFound, store.ErrNotFound},
}

func wrap(operation string, err error) error {
	if err == nil {
		return nil
	}
	var conflict *gitrepo.ConflictError
	if errors.As(err, &conflict) {
		return fmt.Errorf("%s: %w", operation, &store.MergeConflictError{Paths: conflict.Paths})
	}
	for _, s := range sentinels {
		if errors.Is(err, s.from) {
			return fmt.Errorf("%s: %w: %w", operation, s.to, err)
		}
	}
	return fmt.Errorf("%s: %w", operation, err)
}
