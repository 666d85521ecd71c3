package gitstore

import (
	"context"
	"errors"
	"strings"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/gitrepo"
	"github.com/caiatech/caiatop/backend/store"
)

// Damage is something of the repository that is known to be damaged.
type Damage = gitrepo.Damage

// Damage returns what is known to be damaged in the repository. It looks for
// nothing: readers, maintenance and verification find it.
func (s *Store) Damage() []Damage { return s.repo.Damage() }

// Whole reports whether everything that a commit is made of is there, all
// versions included. It reads all commits and trees.
func (s *Store) Whole(ctx context.Context, commit string) (bool, error) {
	const operation = "look for everything in git"
	at, err := parseCommit(commit)
	if err != nil {
		return false, wrap(operation, err)
	}
	whole, err := s.repo.Whole(ctx, at)
	return whole, wrap(operation, err)
}

// Unreadable lists documents of a commit of which a file cannot be read, as far
// as is known without reading them; at most that many.
func (s *Store) Unreadable(ctx context.Context, commit string, most int) ([]store.Key, error) {
	const operation = "look for damaged documents in git"
	at, err := parseCommit(commit)
	if err != nil {
		return nil, wrap(operation, err)
	}
	root, err := document.ParsePath(document.Root)
	if err != nil {
		return nil, err
	}
	var out []store.Key
	var in store.Key // the document whose files are looked at
	err = s.repo.WalkTree(ctx, at, root, func(e gitrepo.Entry) error {
		if e.IsDir {
			folder, err := document.ParsePath(e.Path)
			if err != nil {
				return gitrepo.ErrSkipFolder
			}
			if id, ok := document.IDOfFolder(folder); ok {
				in = store.Key{ID: id, Folder: folder}
			}
			return nil
		}
		name, inside := strings.CutPrefix(e.Path, in.Folder.String()+"/")
		if in.ID.IsZero() || !inside || !isDocumentFile(name) || (len(out) > 0 && out[len(out)-1] == in) {
			return nil
		}
		lost, err := s.repo.Lost(e.Hash)
		if err != nil || !lost {
			return err
		}
		if out = append(out, in); len(out) == most {
			return errStop
		}
		return nil
	})
	if errors.Is(err, errStop) || errors.Is(err, gitrepo.ErrNotFound) {
		err = nil
	}
	return out, wrap(operation, err)
}

// Rewrite writes the files of documents again whose objects are damaged. It
// makes no commit: Apply finds that nothing changed.
func (s *Store) Rewrite(ctx context.Context, ops []store.Op) error {
	var files [][]byte
	for _, op := range ops {
		if op.Doc == nil {
			continue
		}
		made, err := op.Doc.Files(document.AnyBytes)
		if err != nil {
			return wrap("write to git again", err)
		}
		for _, f := range made {
			files = append(files, f.Data)
		}
	}
	return wrap("write to git again", s.repo.Rewrite(ctx, files))
}
