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
	bytes   int64               // counted since the repository was made, see charge
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
// committed. The bytes are shared and never changed.
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

// readAt returns bytes that are shared and never changed.
func (r *repo) readAt(ctx context.Context, at gitrepo.Hash, born bool, p document.Path) ([]byte, bool, error) {
	if !born {
		return nil, false, nil
	}
	data, err := r.git.ReadShared(ctx, at, p)
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
	if err := r.charge(costOfFile(name, data), r.service.maxBytes); err != nil {
		return false, err
	}
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
