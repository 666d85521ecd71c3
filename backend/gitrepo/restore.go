package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/caiatech/caiatop/backend/durable"
)

// maxOrphans bounds the vanished packs that are held open; of more, those that
// are the smallest part of the history go, the newest.
const maxOrphans = 2 * maxPacks

// orphan keeps those of the packs that vanished which hold objects that present
// ones lack, and returns the others. The caller holds s.mu.
func (s *packStore) orphan(gone, present []*pack) (rest []*pack, err error) {
	orphans := *s.orphans.Load()
	for _, p := range gone {
		held, look := s.covered(p, present)
		if look != nil {
			err = errors.Join(err, look)
		}
		if held || len(orphans) >= maxOrphans {
			rest = append(rest, p)
			continue
		}
		orphans = append(orphans[:len(orphans):len(orphans)], p)
		s.lost.Store(true)
	}
	s.orphans.Store(&orphans)
	return rest, err
}

// covered reports whether every object of p is in one of the packs, or a file
// of its own: git unpacks what no reference leads to, as the objects of a
// commit whose reference is about to move.
func (s *packStore) covered(p *pack, packs []*pack) (bool, error) {
	entries, err := p.index.entries()
	if err != nil {
		return false, err
	}
	for _, e := range entries {
		found := false
		for i := 0; i < len(packs) && !found; i++ {
			if _, found, err = packs[i].index.find(e.hash); err != nil {
				return false, err
			}
		}
		if found {
			continue
		}
		if _, err := s.loose(e.hash); errors.Is(err, ErrNotFound) || errors.Is(err, ErrCorrupt) {
			return false, nil
		} else if err != nil {
			return false, err
		}
	}
	return true, nil
}

// orphaned reads from the packs that vanished. otherwise is the error if none
// of them has the object.
func (s *packStore) orphaned(h Hash, otherwise error) (object, error) {
	for _, p := range *s.orphans.Load() {
		offset, ok, err := p.index.find(h)
		if err != nil {
			return object{}, err
		}
		if ok {
			return p.object(h, offset)
		}
	}
	return object{}, otherwise
}

// Look reports whether the repository is still there: ErrGone, or ErrLost if
// packs vanished. It costs one look into a folder. A repository in memory is
// always there.
func (r *Repo) Look() error {
	p, ok := r.objects.(*packStore)
	if !ok {
		return nil
	}
	d, ok := r.refs.(*diskRefs)
	if !ok {
		return nil
	}
	for _, name := range []string{"HEAD", "config"} { // without either nobody can open it
		if _, err := d.volume.Stat(filepath.Join(d.dir, name)); err != nil {
			return fmt.Errorf("%w: %w", ErrGone, err)
		}
	}
	if err := p.lookAgain(); err != nil {
		return err
	}
	if p.lost.Load() {
		return fmt.Errorf("%w: packs vanished from %s", ErrLost, p.packDir())
	}
	return nil
}

// Restored says what Restore did.
type Restored struct {
	// Whole: the branch is at its tip again, with its whole history.
	Whole bool
	// Written: it was not, and files that were deleted made it so.
	Written bool
	// Aside is where the damaged repository was moved, "" if it was not.
	Aside string
}

// Restore makes a repository on disk that was deleted, emptied or damaged while
// it was open usable again. tip is where the branch was last, zero if unknown.
//
// Files that were deleted while they were open can still be read: if they hold
// the branch with all of its history, it is written to the folder again.
// Otherwise a repository that is there and damaged is moved to aside, and an
// empty one takes its place; then vanished objects are still read, for as long
// as the Repo is open; without aside it stays, and the error is ErrCorrupt. A
// repository that is whole is left alone.
func (r *Repo) Restore(ctx context.Context, branch string, tip Hash, aside string) (Restored, error) {
	p, onDisk := r.objects.(*packStore)
	d, ok := r.refs.(*diskRefs)
	if !onDisk || !ok {
		return Restored{Whole: true}, nil
	}
	ref, err := branchRef(branch)
	if err != nil {
		return Restored{}, err
	}
	if err := r.acquire(ctx); err != nil {
		return Restored{}, err
	}
	defer r.release()
	done, err := r.restore(ctx, d, p, ref, tip, aside)
	if err == nil {
		p.lost.Store(false)
	} else {
		return done, fmt.Errorf("restore the repository %s: %w", d.dir, err)
	}
	return done, nil
}

func (r *Repo) restore(ctx context.Context, d *diskRefs, p *packStore, ref string, tip Hash, aside string) (Restored, error) {
	if err := refill(d.volume, d.dir); err != nil {
		return Restored{}, err
	}
	if err := p.lookAgain(); err != nil {
		return Restored{}, err
	}
	last := tip
	now, err := d.ref(ref)
	broken := errors.Is(err, ErrCorrupt) // a file that names no commit
	switch {
	case err == nil:
		tip = now // whatever is there counts more than what was
	case !broken && !errors.Is(err, ErrNotFound):
		return Restored{}, err
	case tip.IsZero() && broken:
		return r.moveAside(d, p, aside)
	case tip.IsZero():
		return Restored{}, nil
	}
	walked, err := p.reach(ctx, tip)
	if err == nil && !walked.whole && tip != last && !last.IsZero() {
		// What is there is damaged. What was there last may be whole.
		tip = last
		walked, err = p.reach(ctx, tip)
	}
	if err != nil {
		return Restored{}, err
	}
	if !walked.whole {
		if now.IsZero() && !broken {
			return Restored{}, nil // empty, and to be filled
		}
		return r.moveAside(d, p, aside)
	}
	if walked.missing {
		h := r.hold()
		defer h.done(true)
		if err := p.adopt(ctx, h); err != nil {
			return Restored{}, err
		}
	}
	// What vanished of another history than the one that is there is still read.
	if _, same := walked.seen[last]; same || last.IsZero() {
		if err := p.forget(); err != nil {
			return Restored{}, err
		}
	}
	if broken {
		if err := d.volume.Remove(d.path(ref)); err != nil {
			return Restored{}, err
		}
	}
	if now != tip {
		if err := r.move(ctx, refUpdate{name: ref, old: now, target: tip}); err != nil {
			return Restored{}, err
		}
	}
	return Restored{Whole: true, Written: walked.missing || now != tip}, nil
}

// refill makes the parts of a repository that are missing in its folder. A
// folder with something else in it is left alone.
func refill(v durable.Volume, dir string) error {
	entries, err := v.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(entries) == 0 || unfinished(entries) {
		if err := initialise(v, dir); err != nil {
			return err
		}
	}
	for _, folder := range []string{"objects/info", "objects/pack", "refs/heads", "refs/tags"} {
		if err := v.MkdirAll(filepath.Join(dir, folder), folderPerm); err != nil {
			return err
		}
	}
	config := filepath.Join(dir, "config")
	if _, err := v.Stat(config); errors.Is(err, fs.ErrNotExist) && hasHead(entries) {
		if err := v.WriteFile(config, []byte(initialConfig), filePerm); err != nil {
			return err
		}
	}
	return location{git: dir, common: dir}.check(v, false)
}

func hasHead(entries []os.DirEntry) bool {
	return slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.Name() == "HEAD" })
}

// moveAside keeps a damaged repository under another name and begins an empty
// one in its place.
func (r *Repo) moveAside(d *diskRefs, p *packStore, aside string) (Restored, error) {
	if aside == "" {
		return Restored{}, fmt.Errorf("%w: it may not be moved aside", ErrCorrupt)
	}
	if err := d.volume.Rename(d.dir, aside); err != nil {
		return Restored{}, err
	}
	if err := initialise(d.volume, d.dir); err != nil {
		return Restored{Aside: aside}, err
	}
	return Restored{Aside: aside}, p.rescan()
}

// stored reports whether an object is in the folder, or in the journal.
func (p *packStore) stored(h Hash) (bool, error) {
	if _, ok := p.journal.Load().object(h); ok {
		return true, nil
	}
	_, _, err := p.find(h)
	if errors.Is(err, ErrNotFound) {
		_, err = p.loose(h)
	}
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrCorrupt) {
		return false, nil
	}
	return err == nil, err
}

// uncached reads an object from the disk, or from what vanished.
func (p *packStore) uncached(h Hash) (object, error) {
	o, err := p.packed(h)
	if errors.Is(err, ErrNotFound) {
		o, err = p.loose(h)
	}
	if err != nil && !errors.Is(err, ErrClosed) {
		o, err = p.orphaned(h, err)
	}
	return o, err
}
