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

// write puts content at a path, staged or (as PUT does) not.
func (r *repo) write(ctx context.Context, sc scope, p document.Path, data []byte, staged bool, cond condition) error {
	for {
		tip, err := r.checkPlace(ctx, sc, p)
		if err != nil {
			return err
		}
		below, err := r.below(ctx, tip, p, cond)
		if err != nil {
			return err
		}
		done, err := r.tryWrite(sc, p, data, staged, tip, cond, below)
		if done || err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// committed is what the tip has at a path that a condition is held on.
type committed struct {
	exists bool
	hash   gitrepo.Hash // zero for a folder
}

// below finds what a condition is held on; without one nothing is looked up.
func (r *repo) below(ctx context.Context, tip gitrepo.Hash, p document.Path, cond condition) (committed, error) {
	if !cond.set {
		return committed{}, nil
	}
	e, found, err := r.find(ctx, tip, p)
	if err != nil || !found {
		return committed{}, err
	}
	if e.IsDir {
		return committed{exists: true}, nil
	}
	return committed{true, e.Hash}, nil
}

// check holds a condition on a file as clients of the area see it, and returns
// the blob that a commit of the area must find below it, nil without a
// condition.
func (a *area) check(p string, cond condition, below committed) (*gitrepo.Hash, error) {
	if !cond.set {
		return nil, nil
	}
	now := below
	if c, ok := a.pending(p); ok {
		now = committed{exists: !c.deleted}
		if !c.deleted {
			now.hash = blobHash(c.data)
		}
	}
	if err := cond.checkFile(p, now.exists, now.hash); err != nil {
		return nil, err
	}
	base := below.hash
	if c, ok := a.taken[p]; ok { // which will lie below when it is committed
		base = gitrepo.Hash{}
		if !c.deleted {
			base = blobHash(c.data)
		}
	}
	return &base, nil
}

// tryWrite writes if the tip is still the one that the place was checked at.
func (r *repo) tryWrite(
	sc scope, p document.Path, data []byte, staged bool, checked gitrepo.Hash, cond condition, below committed,
) (bool, error) {
	name := p.String()
	r.mu.Lock()
	defer r.mu.Unlock()
	if tip, err := r.tip(sc.branch); err != nil || tip != checked {
		return false, err
	}
	a, err := r.openArea(sc)
	if err != nil {
		return false, err
	}
	defer r.dropEmpty(sc) // what is refused leaves no area behind
	if err := a.checkStaged(name); err != nil {
		return false, err
	}
	base, err := a.check(name, cond, below)
	if err != nil {
		return false, err
	}
	if len(a.index)+len(a.written) >= MaxStaged {
		return false, fail(http.StatusInsufficientStorage, "STAGING_FULL", fmt.Sprintf("more than %d files are staged; commit first", MaxStaged))
	}
	cost := costOfFile(name, data)
	if err := r.charge(cost, r.service.maxBytes); err != nil {
		return false, err
	}
	a.charged += cost
	r.discharge(a, a.written[name].cost())
	if !staged {
		a.written[name] = change{path: p, data: data}
		return true, nil
	}
	delete(a.written, name)
	r.discharge(a, a.index[name].cost())
	a.stage(name, change{path: p, data: data, base: base})
	a.remember(name)
	return true, nil
}

// checkPlace refuses a file where the newest commit has a folder, and the
// other way round, and returns the commit that it looked at. Paths that are
// being deleted count as gone.
func (r *repo) checkPlace(ctx context.Context, sc scope, p document.Path) (gitrepo.Hash, error) {
	name := p.String()
	var unknown []string
	tip, err := r.look(source{scope: sc}, func(a *area) {
		for folder := range parents(name) {
			if _, ok := a.known[folder]; ok || a.folders[folder] > 0 {
				break
			}
			if c, ok := a.pending(folder); !ok || !c.deleted {
				unknown = append(unknown, folder)
			}
		}
	})
	if err != nil || tip.IsZero() {
		return tip, err
	}
	for _, folder := range unknown {
		parsed, err := document.ParsePath(folder)
		if err != nil {
			return tip, err
		}
		e, found, err := r.find(ctx, tip, parsed)
		if err != nil {
			return tip, err
		}
		if found && e.IsDir {
			break // so is all above it
		}
		if found {
			return tip, placeTaken(folder, "is a file")
		}
	}
	e, found, err := r.find(ctx, tip, p)
	if err != nil || !found || !e.IsDir {
		return tip, err
	}
	holds, err := holdsFiles(ctx, r.git, tip, p, func(file string) (gone bool) {
		_, _ = r.look(source{scope: sc}, func(a *area) { // a branch that is gone is found by who asked
			c, ok := a.pending(file)
			gone = ok && c.deleted
		})
		return gone
	})
	if err == nil && holds {
		err = placeTaken(name, "is a folder")
	}
	return tip, err
}

// holdsFiles reports whether a commit has a file below p that is not gone.
func holdsFiles(ctx context.Context, git *gitrepo.Repo, at gitrepo.Hash, p document.Path, gone func(file string) bool) (bool, error) {
	holds := false
	err := git.Walk(ctx, at, p, func(e gitrepo.Entry) error {
		if gone(e.Path) {
			return nil
		}
		holds = true
		return errStop
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

// remove stages the deletion of a file, or of all files of a folder.
func (r *repo) remove(ctx context.Context, sc scope, p document.Path, cond condition) error {
	for {
		tip, err := r.head(sc.branch)
		if err != nil {
			return err
		}
		files, err := r.filesBelow(ctx, tip, p)
		if err != nil {
			return err
		}
		below, err := r.below(ctx, tip, p, cond)
		if err != nil {
			return err
		}
		done, err := r.tryRemove(sc, p.String(), files, tip, cond, below)
		if done || err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// filesBelow lists the committed files at or below a path, at most MaxStaged.
func (r *repo) filesBelow(ctx context.Context, tip gitrepo.Hash, p document.Path) ([]document.Path, error) {
	e, found, err := r.find(ctx, tip, p)
	if err != nil || !found {
		return nil, err
	}
	if !e.IsDir {
		return []document.Path{p}, nil
	}
	var files []document.Path
	err = r.git.Walk(ctx, tip, p, func(e gitrepo.Entry) error {
		if len(files) >= MaxStaged {
			return fail(http.StatusInsufficientStorage, "STAGING_FULL", fmt.Sprintf("the folder holds more than %d files", MaxStaged))
		}
		parsed, err := document.ParsePath(e.Path)
		files = append(files, parsed)
		return err
	})
	return files, err
}

// tryRemove stages deletions if the tip is still the one that was listed.
func (r *repo) tryRemove(sc scope, name string, files []document.Path, listed gitrepo.Hash, cond condition, below committed) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if tip, err := r.tip(sc.branch); err != nil || tip != listed {
		return false, err
	}
	a, err := r.openArea(sc)
	if err != nil {
		return false, err
	}
	defer r.dropEmpty(sc)
	if below.exists && below.hash.IsZero() && a.emptied(name, files) {
		below.exists = false
	}
	base, err := a.check(name, cond, below)
	if err != nil {
		return false, err
	}
	removed, freed := a.unstage(name)
	r.discharge(a, freed)
	if a.folders[name] > 0 { // what is being committed right now
		for p, c := range a.taken {
			if strings.HasPrefix(p, name+"/") && !c.deleted {
				files = append(files, c.path)
			}
		}
	} else if c, ok := a.taken[name]; ok && !c.deleted {
		files = append(files, c.path)
	}
	for _, p := range files {
		if c, ok := a.pending(p.String()); !ok || !c.deleted {
			removed++
			d := change{path: p, deleted: true}
			if p.String() == name {
				d.base = base
			}
			a.stage(p.String(), d)
		}
	}
	clear(a.known)
	if removed == 0 {
		return false, fileNotFound(name)
	}
	return true, nil
}

// emptied reports whether every file of a folder is staged for deletion.
func (a *area) emptied(folder string, files []document.Path) bool {
	for _, p := range files {
		if c, ok := a.pending(p.String()); !ok || !c.deleted {
			return false
		}
	}
	return a.folders[folder] == 0
}
