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

// MaxRefused bounds the documents that a Beside names.
const MaxRefused = 1000

// Refused is a document in a folder that no document may have, and why.
type Refused struct {
	Path string // not safe to show
	Why  error
}

// Beside is what a commit holds beside the documents that a listing has.
type Beside struct {
	// Others are no part of a document, each file by itself, in folders of
	// documents too. Links and submodules are named first.
	Others
	// Documents lie where a layout has them, but in folders whose names none may
	// have. Refused are the first of them, at most MaxRefused.
	Documents int64
	Refused   []Refused
}

// Beside finds what a commit holds beside its documents.
func (s *Store) Beside(ctx context.Context, commit string) (Beside, error) {
	const operation = "look at git"
	at, err := parseCommit(commit)
	if err != nil {
		return Beside{}, wrap(operation, err)
	}
	var w besideWalk
	if err := s.repo.WalkTree(ctx, at, document.Path{}, w.entry); err != nil {
		return Beside{}, wrap(operation, err)
	}
	w.leave()
	w.special.join(w.plain)
	w.found.Others = w.special
	return w.found, nil
}

type besideWalk struct {
	found          Beside
	plain, special Others
	// folder is that of a document, or of one that is refused, which the walk is
	// in; then held are its files, and is says whether they make a document.
	folder  string
	refused error
	held    Others
	is      bool
}

func (w *besideWalk) entry(e gitrepo.Entry) error {
	name, within := strings.CutPrefix(e.Path, w.folder+"/")
	if within = within && w.folder != ""; !within {
		w.leave()
	}
	switch {
	case e.IsLink, e.IsSubmodule:
		w.special.entry(e)
	case !e.IsDir && within && isDocumentFile(name):
		if w.refused != nil {
			w.held.entry(e)
			w.is = w.is || name == document.MetadataFile
		}
	case !e.IsDir:
		w.plain.entry(e)
	case !within && documentShape(e.Path):
		w.folder, w.refused = e.Path, refusal(e.Path)
	}
	return nil
}

// leave judges the folder that the walk was in.
func (w *besideWalk) leave() {
	switch {
	case w.is:
		if w.found.Documents++; len(w.found.Refused) < MaxRefused {
			w.found.Refused = append(w.found.Refused, Refused{w.folder, w.refused})
		}
	default:
		w.plain.join(w.held)
	}
	w.folder, w.refused, w.held, w.is = "", nil, Others{}, false
}

// documentShape reports whether a folder lies where a layout has documents,
// whatever its name and those of the folders above are.
func documentShape(folder string) bool {
	parts := strings.Split(folder, "/")
	fanOut := len(parts) == documentDepth && len(parts[2]) == 7 && len(parts[3]) == 1 && len(parts[4]) == 1 && len(parts[5]) == 1
	return parts[0] == document.Root && (fanOut || libraryShape(folder))
}

// refusal says why a folder that has the shape is none of a document.
func refusal(folder string) error {
	_, err := document.ParsePath(folder)
	if err == nil {
		_, err = document.ParseID(folder[strings.LastIndexByte(folder, '/')+1:])
	}
	return err
}
