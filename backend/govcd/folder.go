package govcd

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/frame"
	"github.com/caiatech/caiatop/backend/gitrepo"
)

const codeFolderTooLarge = "FOLDER_TOO_LARGE"

const (
	// maxFolder bounds the bytes that one folder read answers.
	maxFolder = 48 << 20
	// maxFolders bounds the bytes after which a read of many folders stops.
	maxFolders = 8 << 20
)

// folderFiles is what a commit has in a folder. The contents are shared and never
// changed.
type folderFiles struct {
	path   document.Path
	commit gitrepo.Hash // zero where another one says it for all
	files  []frame.File
}

// folder returns the files of one folder as a commit has them.
func (r *repo) folder(ctx context.Context, src source, p document.Path) (folderFiles, error) {
	tip, err := r.commitOf(src)
	if err == nil && tip.IsZero() {
		err = fileNotFound(p.String())
	}
	if err != nil {
		return folderFiles{}, err
	}
	files, _, err := r.folderAt(ctx, tip, p)
	if err == nil && len(files) == 0 {
		err = fileNotFound(p.String())
	}
	return folderFiles{p, tip, files}, err
}

// manyFolders is what a commit has in several folders.
type manyFolders struct {
	commit gitrepo.Hash
	found  []folderFiles // those that exist
	left   []string      // those that one answer has no room for
}

// readFolders returns the files of several folders as one commit has them.
func (r *repo) readFolders(ctx context.Context, src source, paths []string) (out manyFolders, err error) {
	out.commit, err = r.commitOf(src)
	if err != nil || out.commit.IsZero() {
		return out, err
	}
	total := 0
	for _, path := range paths {
		p, err := readablePath(path)
		if err != nil {
			return out, err
		}
		if total > maxFolders {
			out.left = append(out.left, path)
			continue
		}
		files, size, err := r.folderAt(ctx, out.commit, p)
		var f *failure
		if errors.As(err, &f) && f.Code == codeFolderTooLarge {
			out.left = append(out.left, path)
			continue
		}
		if err != nil {
			return out, err
		}
		total += size
		if len(files) > 0 {
			out.found = append(out.found, folderFiles{path: p, files: files})
		}
	}
	return out, nil
}

// folderAt reads the files of a folder of a commit, and their size in bytes. A
// folder that does not exist has none.
func (r *repo) folderAt(ctx context.Context, at gitrepo.Hash, p document.Path) (files []frame.File, total int, err error) {
	entries, err := r.git.List(ctx, at, p)
	if errors.Is(err, gitrepo.ErrNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	files = make([]frame.File, 0, len(entries))
	for _, e := range entries {
		if e.IsDir || e.IsSubmodule {
			continue
		}
		data, err := r.git.ReadBlobShared(ctx, e.Hash)
		if err != nil {
			return nil, 0, err
		}
		if total += len(data); total > maxFolder {
			return nil, 0, fail(http.StatusRequestEntityTooLarge, codeFolderTooLarge,
				fmt.Sprintf("the folder holds more than %d bytes; read its files one by one", maxFolder))
		}
		files = append(files, frame.File{Name: e.Path[strings.LastIndexByte(e.Path, '/')+1:], Hash: e.Hash, Data: data})
	}
	return files, total, nil
}

// answer is what JSON tells of a folder.
func (f folderFiles) answer() folderAnswer {
	out := folderAnswer{Path: f.path.String(), Commit: named(f.commit), Files: make([]fileAnswer, len(f.files))}
	for i, file := range f.files {
		out.Files[i] = encodeFile(out.Path+"/"+file.Name, file.Data)
	}
	return out
}

// answer is what JSON tells of several folders.
func (m manyFolders) answer() foldersAnswer {
	out := foldersAnswer{Commit: named(m.commit), Folders: make([]folderAnswer, len(m.found)), Left: append([]string{}, m.left...)}
	for i, f := range m.found {
		out.Folders[i] = f.answer()
	}
	return out
}

// frame is what the form of package frame tells of several folders.
func (m manyFolders) frame() frame.Folders {
	out := frame.Folders{Commit: m.commit, Folders: make([]frame.Named, len(m.found)), Left: m.left}
	for i, f := range m.found {
		out.Folders[i] = frame.Named{Path: f.path.String(), Files: f.files}
	}
	return out
}
