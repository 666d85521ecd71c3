package govcd

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/gitrepo"
)

// branch is the only branch that this service writes.
const branch = "main"

// maxKnown bounds the folders remembered to exist.
const maxKnown = 4096

// change is what is staged at one path.
type change struct {
	path    document.Path
	data    []byte
	deleted bool
}

// repo is one repository: commits in git, and what is not committed yet.
//
// A read looks at written, then index, then taken, then the tip's tree. A
// commit moves the index to taken, works without the lock, and then moves the
// tip and empties taken in one step, so that readers never wait for it and
// never see a gap.
type repo struct {
	id      string
	created time.Time
	git     *gitrepo.Repo
	service *Service

	users sync.RWMutex // held for reading by every request, for writing by close
	gone  bool         // guarded by users

	committing chan struct{} // capacity 1: the right to commit

	mu      sync.RWMutex // guards everything below
	tip     gitrepo.Hash
	born    bool // tip is a commit
	index   map[string]change
	taken   map[string]change
	written map[string]change   // by PUT: seen by reads, not staged
	folders map[string]int      // staged additions below each folder
	known   map[string]struct{} // folders that exist and were not deleted since
	bytes   int64               // accepted since the repository was made
	author  gitrepo.Signature   // of the last commit
}

func newRepo(id string, created time.Time, git *gitrepo.Repo, service *Service) *repo {
	return &repo{
		id: id, created: created, git: git, service: service, committing: make(chan struct{}, 1),
		index: map[string]change{}, written: map[string]change{}, folders: map[string]int{}, known: map[string]struct{}{},
		author: gitrepo.Signature{Name: "Unknown", Email: "unknown@example.com"},
	}
}

// hold keeps the repository open until release; false if it is closed.
func (r *repo) hold() bool {
	r.users.RLock()
	if r.gone {
		r.users.RUnlock()
		return false
	}
	return true
}

func (r *repo) release() { r.users.RUnlock() }

// close waits for the requests under way and drops everything.
func (r *repo) close() error {
	r.users.Lock()
	defer r.users.Unlock()
	if r.gone {
		return nil
	}
	r.gone = true
	r.service.stored.Add(-r.bytes)
	if err := r.git.Close(); err != nil {
		return fmt.Errorf("close repository %s: %w", r.id, err)
	}
	return nil
}

func (r *repo) answer() repoAnswer {
	return repoAnswer{ID: r.id, Path: ":memory:", Branch: branch, Created: r.created}
}

// head returns the newest commit; false if there is none.
func (r *repo) head() (gitrepo.Hash, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.tip, r.born
}

// pending returns what is not committed at a path; the caller holds mu.
func (r *repo) pending(p string) (change, bool) {
	for _, layer := range []map[string]change{r.written, r.index, r.taken} {
		if c, ok := layer[p]; ok {
			return c, true
		}
	}
	return change{}, false
}

// read returns the content of a file as clients see it: staged before
// committed.
func (r *repo) read(ctx context.Context, p document.Path) ([]byte, error) {
	r.mu.RLock()
	c, pending := r.pending(p.String())
	tip, born := r.tip, r.born
	r.mu.RUnlock()
	if pending {
		if c.deleted {
			return nil, fileNotFound(p.String())
		}
		return c.data, nil
	}
	data, found, err := r.readAt(ctx, tip, born, p)
	if err == nil && !found {
		err = fileNotFound(p.String())
	}
	return data, err
}

func (r *repo) readAt(ctx context.Context, at gitrepo.Hash, born bool, p document.Path) ([]byte, bool, error) {
	if !born {
		return nil, false, nil
	}
	data, err := r.git.ReadFile(ctx, at, p)
	if errors.Is(err, gitrepo.ErrNotFound) {
		return nil, false, nil
	}
	return data, err == nil, err
}

// write puts content at a path, staged or (as PUT does) not.
func (r *repo) write(ctx context.Context, p document.Path, data []byte, staged bool) error {
	for {
		tip, err := r.checkPlace(ctx, p)
		if err != nil {
			return err
		}
		done, err := r.tryWrite(p, data, staged, tip)
		if done || err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// tryWrite writes if the tip is still the one that the place was checked at.
func (r *repo) tryWrite(p document.Path, data []byte, staged bool, tip gitrepo.Hash) (bool, error) {
	name := p.String()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tip != tip {
		return false, nil
	}
	if err := r.checkStaged(name); err != nil {
		return false, err
	}
	if len(r.index)+len(r.written) >= MaxStaged {
		return false, fail(http.StatusInsufficientStorage, "STAGING_FULL", fmt.Sprintf("more than %d files are staged; commit first", MaxStaged))
	}
	if total := r.service.stored.Add(int64(len(data))); total > r.service.maxBytes {
		r.service.stored.Add(-int64(len(data)))
		return false, fail(http.StatusInsufficientStorage, "STORAGE_FULL", fmt.Sprintf("the service holds its limit of %d bytes", r.service.maxBytes))
	}
	r.bytes += int64(len(data))
	if !staged {
		r.written[name] = change{path: p, data: data}
		return true, nil
	}
	delete(r.written, name)
	r.stage(name, change{path: p, data: data})
	r.remember(name)
	return true, nil
}

// stage puts a change into the index; the caller holds mu.
func (r *repo) stage(name string, c change) {
	if earlier, ok := r.index[name]; ok && !earlier.deleted {
		r.count(name, -1)
	}
	if !c.deleted {
		r.count(name, 1)
	}
	r.index[name] = c
}

// count keeps the number of staged additions below each folder of a path.
func (r *repo) count(name string, by int) {
	for folder := range parents(name) {
		if r.folders[folder] += by; r.folders[folder] == 0 {
			delete(r.folders, folder)
		}
	}
}

func (r *repo) remember(name string) {
	if len(r.known) >= maxKnown {
		clear(r.known)
	}
	for folder := range parents(name) {
		r.known[folder] = struct{}{}
	}
}

// parents yields the folders above a path, nearest first.
func parents(name string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for i := strings.LastIndexByte(name, '/'); i > 0; i = strings.LastIndexByte(name, '/') {
			name = name[:i]
			if !yield(name) {
				return
			}
		}
	}
}

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
