package govcd

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/gitrepo"
)

const codeFolderTooLarge = "FOLDER_TOO_LARGE"

const (
	// maxFolder bounds the bytes that one folder read answers.
	maxFolder = 48 << 20
	// maxFolders bounds the bytes after which a read of many folders stops.
	maxFolders = 8 << 20
)

// folder returns the files of one folder as a commit has them.
func (r *repo) folder(ctx context.Context, src source, p document.Path) (folderAnswer, error) {
	tip, err := r.commitOf(src)
	if err == nil && tip.IsZero() {
		err = fileNotFound(p.String())
	}
	if err != nil {
		return folderAnswer{}, err
	}
	out, _, err := r.folderAt(ctx, tip, p)
	if err == nil && len(out.Files) == 0 {
		err = fileNotFound(p.String())
	}
	out.Commit = tip.String()
	return out, err
}

// readFolders returns the files of several folders as one commit has them.
func (r *repo) readFolders(ctx context.Context, src source, paths []string) (foldersAnswer, error) {
	out := foldersAnswer{Folders: []folderAnswer{}, Left: []string{}}
	tip, err := r.commitOf(src)
	if err != nil || tip.IsZero() {
		return out, err
	}
	out.Commit = tip.String()
	total := 0
	for _, path := range paths {
		p, err := readablePath(path)
		if err != nil {
			return out, err
		}
		if total > maxFolders {
			out.Left = append(out.Left, path)
			continue
		}
		found, size, err := r.folderAt(ctx, tip, p)
		var f *failure
		if errors.As(err, &f) && f.Code == codeFolderTooLarge {
			out.Left = append(out.Left, path)
			continue
		}
		if err != nil {
			return out, err
		}
		total += size
		if len(found.Files) > 0 {
			out.Folders = append(out.Folders, found)
		}
	}
	return out, nil
}

// folderAt reads the files of a folder of a commit, and their size in bytes. A
// folder that does not exist has none.
func (r *repo) folderAt(ctx context.Context, at gitrepo.Hash, p document.Path) (folderAnswer, int, error) {
	out := folderAnswer{Path: p.String(), Files: []fileAnswer{}}
	entries, err := r.git.List(ctx, at, p)
	if errors.Is(err, gitrepo.ErrNotFound) {
		return out, 0, nil
	}
	if err != nil {
		return out, 0, err
	}
	total := 0
	for _, e := range entries {
		if e.IsDir || e.IsSubmodule {
			continue
		}
		data, err := r.git.ReadBlobShared(ctx, e.Hash)
		if err != nil {
			return out, 0, err
		}
		if total += len(data); total > maxFolder {
			return out, 0, fail(http.StatusRequestEntityTooLarge, codeFolderTooLarge,
				fmt.Sprintf("the folder holds more than %d bytes; read its files one by one", maxFolder))
		}
		out.Files = append(out.Files, encodeFile(e.Path, data))
	}
	return out, total, nil
}
