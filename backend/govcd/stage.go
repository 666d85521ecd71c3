package govcd

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/gitrepo"
)

// checkStaged refuses a file where something staged needs a folder, and the
// other way round; the caller holds mu.
func (r *repo) checkStaged(name string) error {
	if r.folders[name] > 0 {
		return placeTaken(name, "is a folder")
	}
	for folder := range parents(name) {
		if c, ok := r.pending(folder); ok && !c.deleted {
			return placeTaken(folder, "is a file")
		}
	}
	return nil
}

// checkPlace refuses a file where the newest commit has a folder, and the
// other way round, and returns the commit that it looked at. Paths that are
// being deleted count as gone.
func (r *repo) checkPlace(ctx context.Context, p document.Path) (gitrepo.Hash, error) {
	name := p.String()
	r.mu.RLock()
	tip, born := r.tip, r.born
	var unknown []string
	for folder := range parents(name) {
		if _, ok := r.known[folder]; ok || r.folders[folder] > 0 {
			break
		}
		if c, ok := r.pending(folder); !ok || !c.deleted {
			unknown = append(unknown, folder)
		}
	}
	r.mu.RUnlock()
	if !born {
		return tip, nil
	}
	for _, folder := range unknown {
		parsed, err := document.ParsePath(folder)
		if err != nil {
			return tip, err
		}
		if _, isFile, err := r.readAt(ctx, tip, born, parsed); err != nil || isFile {
			return tip, errors.Join(err, placeTakenIf(isFile, folder, "is a file"))
		}
	}
	holds, err := r.holdsFiles(ctx, tip, p)
	if err != nil {
		return tip, err
	}
	return tip, placeTakenIf(holds, name, "is a folder")
}

// holdsFiles reports whether p is a folder of the commit that still holds a
// file that is not staged for deletion.
func (r *repo) holdsFiles(ctx context.Context, tip gitrepo.Hash, p document.Path) (bool, error) {
	holds := false
	err := r.git.Walk(ctx, tip, p, func(e gitrepo.Entry) error {
		r.mu.RLock()
		c, ok := r.pending(e.Path)
		r.mu.RUnlock()
		if !ok || !c.deleted {
			holds = true
			return errStop
		}
		return nil
	})
	if errors.Is(err, errStop) || errors.Is(err, gitrepo.ErrNotFound) {
		err = nil
	}
	return holds, err
}

// errStop ends a walk early.
var errStop = errors.New("stop")

func placeTaken(name, why string) error {
	return invalid("INVALID_FILE_PATH", "path", "'"+name+"' "+why)
}

func placeTakenIf(taken bool, name, why string) error {
	if !taken {
		return nil
	}
	return placeTaken(name, why)
}

// remove stages the deletion of a file, or of all files of a folder.
func (r *repo) remove(ctx context.Context, p document.Path) error {
	for {
		tip, born := r.head()
		committed, err := r.filesBelow(ctx, tip, born, p)
		if err != nil {
			return err
		}
		done, err := r.tryRemove(p.String(), committed, tip)
		if done || err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// filesBelow lists the committed files at or below a path, at most MaxStaged.
func (r *repo) filesBelow(ctx context.Context, tip gitrepo.Hash, born bool, p document.Path) ([]document.Path, error) {
	if _, isFile, err := r.readAt(ctx, tip, born, p); err != nil || isFile {
		return []document.Path{p}, err
	}
	if !born {
		return nil, nil
	}
	var files []document.Path
	err := r.git.Walk(ctx, tip, p, func(e gitrepo.Entry) error {
		if len(files) >= MaxStaged {
			return fail(http.StatusInsufficientStorage, "STAGING_FULL", fmt.Sprintf("the folder holds more than %d files", MaxStaged))
		}
		parsed, err := document.ParsePath(e.Path)
		files = append(files, parsed)
		return err
	})
	if errors.Is(err, gitrepo.ErrNotFound) {
		return nil, nil
	}
	return files, err
}

// tryRemove stages deletions if the tip is still the one that was listed.
func (r *repo) tryRemove(name string, committed []document.Path, tip gitrepo.Hash) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tip != tip {
		return false, nil
	}
	removed := r.unstage(name)
	if r.folders[name] > 0 { // what is being committed right now
		for p, c := range r.taken {
			if strings.HasPrefix(p, name+"/") && !c.deleted {
				committed = append(committed, c.path)
			}
		}
	} else if c, ok := r.taken[name]; ok && !c.deleted {
		committed = append(committed, c.path)
	}
	for _, p := range committed {
		if c, ok := r.pending(p.String()); !ok || !c.deleted {
			removed++
			r.stage(p.String(), change{path: p, deleted: true})
		}
	}
	clear(r.known)
	if removed == 0 {
		return false, fileNotFound(name)
	}
	return true, nil
}

// unstage drops what is staged or written at or below a path and returns how
// many files that were; the caller holds mu.
func (r *repo) unstage(name string) int {
	dropped := 0
	drop := func(layer map[string]change, p string) {
		if c, ok := layer[p]; ok && !c.deleted {
			delete(layer, p)
			dropped++
		}
	}
	below := func(layer map[string]change) {
		for p := range layer {
			if strings.HasPrefix(p, name+"/") {
				drop(layer, p)
			}
		}
	}
	drop(r.written, name)
	below(r.written)
	before := len(r.index)
	drop(r.index, name)
	if r.folders[name] > 0 {
		below(r.index)
	}
	if len(r.index) != before {
		r.recount()
	}
	return dropped
}

// recount rebuilds the folders of staged additions; the caller holds mu.
func (r *repo) recount() {
	clear(r.folders)
	for _, layer := range []map[string]change{r.index, r.taken} {
		for p, c := range layer {
			if !c.deleted {
				r.count(p, 1)
			}
		}
	}
}
