package gitrepo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/caiatech/caiatop/backend/durable"
)

// keptPrefix begins the references to commits of a journal that a branch does
// not lead to.
const keptPrefix = "refs/caiatop/journal/"

// openJournal publishes what a process left in its journal that died, and
// begins one of our own if that is wanted.
func (r *Repo) openJournal(d *disk, o Options) error {
	if o.ReadOnly {
		return nil
	}
	left, err := d.refs.segments()
	if err != nil || len(left) == 0 && !o.Journal {
		return err
	}
	held, err := lockJournal(d.refs.volume, d.refs.dir)
	var locked *durable.LockedError
	if !o.Journal && errors.As(err, &locked) {
		return nil // its process lives
	}
	if err != nil {
		return err
	}
	uses, err := r.replay(context.Background(), d.refs, left)
	if err != nil || !o.Journal {
		return errors.Join(err, held.Release())
	}
	r.journal = newJournal(r, d.refs, held, uses)
	d.refs.journal = r.journal
	d.packs.journal.Store(r.journal)
	r.journal.start()
	return nil
}

// segments returns the files of a journal that are there.
func (d *diskRefs) segments() (paths []string, err error) {
	for i := range 2 {
		path := segmentPath(d.dir, i)
		_, err := d.volume.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		paths = append(paths, path)
	}
	return paths, nil
}

// replay publishes what the files hold, and removes them. It may be done again
// after a crash at any point of it.
func (r *Repo) replay(ctx context.Context, refs *diskRefs, paths []string) (uses uint64, err error) {
	entries, uses, err := refs.records(paths)
	if err != nil {
		return uses, fmt.Errorf("%w; move %s* away to go on without it", err, filepath.Join(refs.dir, journalPrefix))
	}
	p := &replayed{repo: r, refs: refs, heads: make(map[string]*replayedRef)}
	defer func() {
		if err == nil || errors.Is(err, ErrDiverged) {
			err = errors.Join(err, p.release(), refs.sweep("refs"))
		} else {
			err = errors.Join(err, p.leave())
		}
	}()
	if err := p.collect(ctx, entries); err != nil {
		return uses, err
	}
	if err := p.publish(ctx); err != nil {
		return uses, err
	}
	for _, path := range paths {
		if err := ignoreMissing(refs.volume.Discard(path)); err != nil {
			return uses, err
		}
	}
	if len(paths) == 0 {
		return uses, nil
	}
	return uses, refs.volume.SyncDir(refs.dir)
}

// records reads the segments, the older one first.
func (d *diskRefs) records(paths []string) (entries []entry, uses uint64, err error) {
	type read struct {
		segmentHead
		entries []entry
	}
	var live []read
	for _, path := range paths {
		info, err := d.volume.Lstat(path)
		if err != nil {
			return nil, 0, err
		}
		if !info.Mode().IsRegular() || info.Size() > 2*maxSegment {
			return nil, 0, fmt.Errorf("%w: %s is no journal of ours: %s, %d bytes", ErrCorrupt, path, info.Mode(), info.Size())
		}
		data, err := d.volume.ReadFile(path)
		if err != nil {
			return nil, 0, err
		}
		head, found, err := readSegment(data)
		if err != nil {
			return nil, 0, fmt.Errorf("%s: %w", path, err)
		}
		uses = max(uses, head.use)
		if head.state == stateLive {
			live = append(live, read{head, found})
		}
	}
	slices.SortFunc(live, func(a, b read) int { return cmp.Compare(a.use, b.use) })
	for i, s := range live {
		// A segment is begun when all records of the one before are on the disk.
		if i > 0 && s.first != live[i-1].first+uint64(len(live[i-1].entries)) {
			return nil, 0, fmt.Errorf("%w: the journal has records %d to %d, and then from %d on: acknowledged commits are lost",
				ErrCorrupt, live[i-1].first, live[i-1].first+uint64(len(live[i-1].entries))-1, s.first)
		}
		entries = append(entries, s.entries...)
	}
	return entries, uses, nil
}

// replayed is records on their way into a pack.
type replayed struct {
	repo    *Repo
	refs    *diskRefs
	objects []staged
	heads   map[string]*replayedRef
}

// replayedRef is a reference that records move.
type replayedRef struct {
	points []Hash // where it was, in order
	hold   *refHold
}

// collect takes the records together and holds their references.
func (p *replayed) collect(ctx context.Context, entries []entry) error {
	for _, e := range entries {
		head := p.heads[e.ref]
		if head == nil {
			head = &replayedRef{points: []Hash{e.old}}
			p.heads[e.ref] = head
			hold, err := p.refs.adopt(ctx, e.ref)
			if err != nil {
				return err
			}
			head.hold = hold
		}
		if last := head.points[len(head.points)-1]; last != e.old {
			return fmt.Errorf("%w: record %d of the journal moves %s from %s, not from %s", ErrCorrupt, e.number, e.ref, e.old, last)
		}
		head.points = append(head.points, e.new)
		p.objects = append(p.objects, e.objects...)
	}
	return nil
}

// adopt holds a reference, by the lock that a process left which died if there
// is one.
func (d *diskRefs) adopt(ctx context.Context, ref string) (*refHold, error) {
	path := d.path(ref) + ".lock"
	if d.isHold(path) {
		return &refHold{refs: d, ref: ref, path: path}, nil
	}
	h := &refHold{refs: d, ref: ref}
	return h, h.take(ctx, refUpdate{name: ref, target: Hash{1}, anywhere: true, hold: true})
}

// publish makes a pack and moves the references.
func (p *replayed) publish(ctx context.Context) (err error) {
	if len(p.objects) == 0 {
		return nil
	}
	h := p.repo.hold()
	h.journaled = true
	defer func() { h.done(err == nil || errors.Is(err, ErrDiverged)) }()
	if err := p.repo.storeAll(ctx, p.objects, h, nil); err != nil {
		return err
	}
	var diverged error
	for ref, head := range p.heads {
		err := p.move(ctx, ref, head)
		if err != nil && !errors.Is(err, ErrDiverged) {
			return err
		}
		diverged = errors.Join(diverged, err)
	}
	return diverged
}

// move brings a reference to its last record. One that somebody moved on since
// stays; for one that was moved elsewhere, the commits are kept.
func (p *replayed) move(ctx context.Context, ref string, head *replayedRef) error {
	now, err := p.refs.onDisk(ref)
	if err != nil {
		return err
	}
	to := head.points[len(head.points)-1]
	if slices.Contains(head.points, now) {
		return head.hold.move(ctx, span{now, to})
	}
	if !now.IsZero() {
		if after, err := p.repo.IsAncestor(ctx, to, now); err != nil || after {
			return err
		}
	}
	kept := keptPrefix + to.String()
	if err := p.repo.move(ctx, refUpdate{name: kept, target: to, anywhere: true}); err != nil {
		return err
	}
	return fmt.Errorf("%w: %s is at %s, but commits up to %s were acknowledged; they are kept at %s: merge them into it, or give them up by removing %s*, and open it again",
		ErrDiverged, ref, now, to, kept, filepath.Join(p.refs.dir, journalPrefix))
}

func (p *replayed) release() error { return p.each((*refHold).release) }

func (p *replayed) leave() error { return p.each((*refHold).leave) }

func (p *replayed) each(do func(*refHold) error) (err error) {
	for _, head := range p.heads {
		if head.hold != nil {
			err = errors.Join(err, do(head.hold))
		}
	}
	return err
}

// sweep removes the files that a journal left below a folder whose process died.
func (d *diskRefs) sweep(folder string) error {
	entries, err := d.volume.ReadDir(d.path(folder))
	if err != nil {
		return ignoreMissing(err)
	}
	for _, e := range entries {
		name := folder + "/" + e.Name()
		switch {
		case e.IsDir():
			err = errors.Join(err, d.sweep(name))
		case e.Name() == nextRef || strings.HasSuffix(name, ".lock") && d.isHold(d.path(name)):
			err = errors.Join(err, ignoreMissing(d.volume.Discard(d.path(name))))
		}
	}
	return err
}
