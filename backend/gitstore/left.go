package gitstore

import (
	"context"
	"strings"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/gitrepo"
)

// maxLeft bounds the paths that a Left names.
const maxLeft = 20

// Left is what a listing left out of what lies among the documents. Files in
// the folder of a document are its own.
type Left struct {
	// Folders, each with all that is in it, have names that no document may have.
	Folders int
	// Files, Links and Submodules lie where only folders of documents are.
	Files, Links, Submodules int
	First                    []string // of their paths, at most maxLeft; not safe to show
}

// Total is how much was left out.
func (l Left) Total() int { return l.Folders + l.Files + l.Links + l.Submodules }

func (l *Left) add(counter *int, path string) {
	if *counter++; len(l.First) < maxLeft {
		l.First = append(l.First, path)
	}
}

// entry counts what is no folder.
func (l *Left) entry(e gitrepo.Entry) {
	switch {
	case e.IsSubmodule:
		l.add(&l.Submodules, named(e))
	case e.IsLink:
		l.add(&l.Links, named(e))
	default:
		l.add(&l.Files, e.Path)
	}
}

// named is the path of an entry, with what it is if that is no file.
func named(e gitrepo.Entry) string {
	switch {
	case e.IsSubmodule:
		return e.Path + " (submodule)"
	case e.IsLink:
		return e.Path + " (symbolic link)"
	}
	return e.Path
}

// Left returns what the last List that came to its end left out.
func (s *Store) Left() Left {
	if left := s.left.Load(); left != nil {
		return *left
	}
	return Left{}
}

// LeftOut counts the files, links and submodules of a commit that are no part of
// a document, each by itself, in folders of documents too. Links and submodules
// are named first.
func (s *Store) LeftOut(ctx context.Context, commit string) (Others, error) {
	at, err := parseCommit(commit)
	if err != nil {
		return Others{}, wrap("look at git", err)
	}
	var plain, special Others
	folder := "" // of the document that the walk is in
	err = s.repo.WalkTree(ctx, at, document.Path{}, func(e gitrepo.Entry) error {
		name, within := strings.CutPrefix(e.Path, folder+"/")
		switch within = within && folder != ""; {
		case e.IsLink, e.IsSubmodule:
			special.entry(e)
		case !e.IsDir && within && isDocumentFile(name):
		case !e.IsDir:
			plain.entry(e)
		case !within && IsDocument(e.Path):
			folder = e.Path
		}
		return nil
	})
	special.Count += plain.Count
	special.Named = append(special.Named, plain.Named[:min(len(plain.Named), maxNamed-len(special.Named))]...)
	return special, wrap("look at git", err)
}
