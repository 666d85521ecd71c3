package govcd

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/caiatech/caiatop/backend/durable"
	"github.com/caiatech/caiatop/backend/gitrepo"
)

const (
	// LockName is the file in Options.Data that is locked by who uses the folder.
	LockName = "server.lock"
	// repoFolder holds the repositories, {id}.git each, in Options.Data. Names
	// that begin as half-made or dropped ones are nobody's: they are removed.
	repoFolder    = "repositories"
	repoSuffix    = ".git"
	madePrefix    = ".new-"
	droppedPrefix = ".dropped-"
	// factsName is the file in a repository that says what git does not know.
	factsName = "caiatop.json"

	dataPerm  = 0o700
	factsPerm = 0o644
	// openAtOnce bounds the repositories that are opened beside each other.
	openAtOnce = 4
)

// errHalf: a folder that should be a repository is none.
var errHalf = errors.New("the folder is not a repository: it has no HEAD; put back what was there, or delete the repository")

// LockData makes a folder for Options.Data, and locks it as every service does
// that uses one. It does not wait: while another holder has it, the error is a
// *durable.LockedError.
func LockData(dir string) (*durable.Lock, error) { return lockData(durable.Volume{}, dir) }

func lockData(v durable.Volume, dir string) (*durable.Lock, error) {
	if err := v.MkdirAll(dir, dataPerm); err != nil {
		return nil, err
	}
	return v.AcquireLock(filepath.Join(dir, LockName))
}

// disk is where repositories lie that survive the process: bare git each.
//
// A repository is made and dropped under other names than its own, so that a
// folder of its name is a whole one, whenever the process dies.
type disk struct {
	volume durable.Volume
	data   string // absolute
	held   *durable.Lock
	lock   *durable.Lock // nil while the folder is not in use, or the caller's
	space  space
	// mayWrite tells whether a folder can be written to; nil does not look.
	mayWrite func(dir string) error
	clock    func() time.Time // of gitrepo.Options
}

// facts are what is kept beside git's own files.
type facts struct {
	ID      string    `json:"id"`
	Created time.Time `json:"created_at"`
}

func (d *disk) root() string { return filepath.Join(d.data, repoFolder) }

func (d *disk) path(id string) string { return filepath.Join(d.root(), id+repoSuffix) }

// take makes the folder ours, and clears up behind a process that died.
func (d *disk) take() (err error) {
	if d.held == nil {
		if d.lock, err = lockData(d.volume, d.data); err != nil {
			return fmt.Errorf("govcd: %w", err)
		}
	}
	if err = d.volume.MkdirAll(d.root(), dataPerm); err == nil {
		err = d.clear()
	}
	if err != nil {
		return errors.Join(fmt.Errorf("govcd: %w", err), d.leave())
	}
	return nil
}

// leave lets others have the folder.
func (d *disk) leave() error {
	if d.lock == nil {
		return nil
	}
	lock := d.lock
	d.lock = nil
	return lock.Release()
}

// clear removes what was half made, and what was dropped.
func (d *disk) clear() error {
	entries, err := d.volume.ReadDir(d.root())
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), madePrefix) || strings.HasPrefix(e.Name(), droppedPrefix) {
			if err := d.removeAll(filepath.Join(d.root(), e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeAll deletes a folder and all in it, or what else has the name.
func (d *disk) removeAll(path string) error {
	info, err := d.volume.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.IsDir() {
		entries, err := d.volume.ReadDir(path)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := d.removeAll(filepath.Join(path, e.Name())); err != nil {
				return err
			}
		}
	}
	return d.volume.Discard(path)
}

// ids lists the repositories that are there, and the names that cannot be ones.
func (d *disk) ids() (ids, odd []string, err error) {
	entries, err := d.volume.ReadDir(d.root())
	if err != nil {
		return nil, nil, err
	}
	for _, e := range entries {
		id, ok := strings.CutSuffix(e.Name(), repoSuffix)
		info, err := d.volume.Stat(filepath.Join(d.root(), e.Name()))
		if !ok || checkRepoID(id) != nil || err != nil || !info.IsDir() {
			odd = append(odd, e.Name())
			continue
		}
		ids = append(ids, id)
	}
	return ids, odd, nil
}

// open opens a repository that must be whole. Nothing is made of a folder that
// lost its files.
func (d *disk) open(path string) (*gitrepo.Repo, error) {
	if _, err := d.volume.Stat(filepath.Join(path, "HEAD")); err != nil {
		return nil, fmt.Errorf("%w (%w)", errHalf, err)
	}
	return gitrepo.OpenDisk(path, d.options())
}

func (d *disk) options() gitrepo.Options {
	return gitrepo.Options{Volume: d.volume, SyncAll: true, Now: d.clock, Journal: true}
}

// created tells when a repository was made: as it was noted, else as the files
// of one that was put here say.
func (d *disk) created(path string) (time.Time, error) {
	data, err := d.volume.ReadFile(filepath.Join(path, factsName))
	if errors.Is(err, fs.ErrNotExist) {
		info, err := d.volume.Stat(filepath.Join(path, "HEAD"))
		if err != nil {
			return time.Time{}, err
		}
		return info.ModTime().UTC(), nil
	}
	var f facts
	if err == nil {
		err = json.Unmarshal(data, &f)
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("read %s: %w", factsName, err)
	}
	return f.Created, nil
}

// create makes an empty repository: whole under another name first.
func (d *disk) create(id string, at time.Time) (git *gitrepo.Repo, err error) {
	aside := filepath.Join(d.root(), madePrefix+rand.Text())
	defer func() {
		if err != nil {
			err = errors.Join(err, d.removeAll(aside))
		}
	}()
	if git, err = gitrepo.OpenDisk(aside, d.options()); err != nil {
		return nil, err
	}
	if err := git.Close(); err != nil {
		return nil, err
	}
	note, err := json.Marshal(facts{ID: id, Created: at})
	if err != nil {
		return nil, err
	}
	if err := d.volume.WriteFile(filepath.Join(aside, factsName), append(note, '\n'), factsPerm); err != nil {
		return nil, err
	}
	// Rename does not replace a folder that has something in it.
	if err := d.volume.Rename(aside, d.path(id)); err != nil {
		if errors.Is(err, durable.ErrUnsynced) {
			err = errors.Join(err, d.removeAll(d.path(id)))
		}
		return nil, err
	}
	return d.open(d.path(id))
}

// drop removes a repository that nobody uses. Once it has another name it is
// gone, whatever becomes of its files.
func (d *disk) drop(id string) (left, err error) {
	aside := filepath.Join(d.root(), droppedPrefix+id+"-"+rand.Text())
	if err := d.volume.Rename(d.path(id), aside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("drop repository %s: %w", id, err)
	}
	return d.removeAll(aside), nil
}

// openAll opens every repository in the folder; one that cannot be opened is
// among them with the reason.
func (s *Service) openAll(ctx context.Context) (map[string]*repo, error) {
	ids, odd, err := s.disk.ids()
	if err != nil {
		return nil, fmt.Errorf("govcd: %w", err)
	}
	for _, name := range odd {
		s.log.Warn("passed over what is no repository", "folder", s.disk.root(), "name", name)
	}
	var mu sync.Mutex // guards opened
	opened := make(map[string]*repo, len(ids))
	var group errgroup.Group
	group.SetLimit(openAtOnce)
	for _, id := range ids {
		group.Go(func() error {
			r, err := s.openRepo(ctx, id)
			if err != nil && ctx.Err() == nil {
				s.log.Error("a repository cannot be opened", "repository", id, "folder", s.disk.path(id), "error", err)
				r, err = s.brokenRepo(id, err), nil
			}
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			opened[id] = r
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		for _, r := range opened {
			err = errors.Join(err, r.close())
		}
		return nil, fmt.Errorf("govcd: open repositories: %w", err)
	}
	return opened, nil
}

// openRepo opens one repository of the folder.
func (s *Service) openRepo(ctx context.Context, id string) (*repo, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	path := s.disk.path(id)
	git, err := s.disk.open(path)
	if err != nil {
		return nil, err
	}
	created, err := s.disk.created(path)
	var r *repo
	if err == nil {
		err = otherBranch(git)
	}
	if err == nil {
		r, err = newRepo(ctx, id, created, git, s)
	}
	if err != nil {
		return nil, errors.Join(err, git.Close())
	}
	return r, nil
}

// otherBranch refuses a history without our branch: to serve it as an empty one
// would hide it, and begin an unrelated one beside it.
func otherBranch(git *gitrepo.Repo) error {
	branches, err := git.Branches()
	if err != nil || len(branches) == 0 || slices.ContainsFunc(branches, func(b gitrepo.Branch) bool { return b.Name == gitrepo.Main }) {
		return err
	}
	return fmt.Errorf("it has no branch %s, but %q: rename it with git branch -m while the service is stopped", gitrepo.Main, branches[0].Name)
}

// brokenRepo stands for a repository that cannot be opened.
func (s *Service) brokenRepo(id string, why error) *repo {
	created, err := s.disk.created(s.disk.path(id))
	if err != nil {
		created = time.Time{} // why says more
	}
	return &repo{id: id, created: created, service: s, broken: why, committing: make(chan struct{}, 1), areas: map[scope]*area{}}
}

// taken reports whether something has the name of a repository, by whatever
// case of its letters if the file system does not tell them.
func (d *disk) taken(id string) bool {
	_, err := d.volume.Lstat(d.path(id))
	return !errors.Is(err, fs.ErrNotExist)
}
