package gitrepo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/caiatech/caiatop/backend/durable"
)

const (
	// maxPacks is how many packs may lie in the folder, not counting those
	// that git marked, which are not ours to touch.
	maxPacks = 64
	// busyPacks is how many make a writer wait for the maintenance. The rest
	// is for what the maintenance itself writes, and for writers of other
	// processes, who look at the folder at the same time.
	busyPacks = maxPacks - 4
	// softPacks is how many may exist before some become one while commits go
	// on; in a quiet moment that happens earlier.
	softPacks = 40
	// waitingLimit is how much may wait for a quiet moment to be compressed, in
	// bytes (512 MiB): some 350,000 documents. More makes writers wait for it.
	waitingLimit = 512 << 20
	// lockName is that of the lock which lets one process at a time do this
	// work. It lies beside git's own objects/maintenance.lock, where no git
	// program calls it garbage.
	lockName = "caiatop-maintenance.lock"
)

// errHeld: another process does the maintenance.
var errHeld = errors.New("another process does the maintenance of the packs")

// damage is what makes a pack unfit to be copied.
type damage struct {
	pack *pack
	err  error
}

func (d *damage) Error() string { return d.err.Error() }
func (d *damage) Unwrap() error { return d.err }

// inPack says of which pack an error is.
func inPack(p *pack, err error) error {
	if err == nil || !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrTooLarge) {
		return err
	}
	return &damage{p, err}
}

// ours returns the packs that may be consolidated.
func (s *packStore) ours() []*pack {
	return slices.DeleteFunc(slices.Clone(*s.packs.Load()), func(p *pack) bool { return p.foreign.Load() })
}

// occasion is why the maintenance looks whether there is something to do.
type occasion uint8

const (
	// written: there is a new pack. Only too many packs are something to do.
	written occasion = iota
	// quiet: nobody has committed for a while. So is everything that would make
	// the repository smaller; but a processor is left to the callers.
	quiet
	// asked: the same, and somebody waits for it.
	asked
)

// workers is how many goroutines may compress.
func (o occasion) workers() int {
	if o == asked {
		return runtime.GOMAXPROCS(0)
	}
	return idleWorkers()
}

// maintain takes loose objects in and consolidates packs, as far as that is
// due, and reports whether it did anything.
func (s *packStore) maintain(ctx context.Context, why occasion) (did bool, err error) {
	all := why != written
	// Whoever writes a pack has read the folder just before.
	if !all && len(due(s.ours(), false).packs) == 0 {
		return false, nil
	}
	if err := s.rescan(); err != nil {
		return false, err
	}
	if len(due(s.ours(), all).packs) == 0 && (!all || !s.looseDue()) {
		return false, nil
	}
	release, err := s.lock()
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, release()) }()
	if err := s.rescan(); err != nil { // another process may just be done
		return false, err
	}
	took, err := s.takeLoose(ctx)
	if err != nil {
		return took, fmt.Errorf("take loose objects into a pack: %w", err)
	}
	did, err = s.consolidateDue(ctx, why)
	return did || took, err
}

// consolidateDue consolidates what is due, without the packs that turn out to
// be damaged, and without those that another program takes away meanwhile.
func (s *packStore) consolidateDue(ctx context.Context, why occasion) (did bool, err error) {
	var damaged error
	for vanished := 0; ; {
		work := due(s.ours(), why != written)
		if len(work.packs) == 0 {
			return false, damaged
		}
		err := s.consolidate(ctx, work, why.workers())
		var d *damage
		switch {
		case errors.Is(err, os.ErrClosed) && ctx.Err() == nil:
			if vanished++; vanished > looks {
				return false, errors.Join(damaged, fmt.Errorf("%w: %w", errHeld, err))
			}
			if err := s.rescan(); err != nil {
				return false, errors.Join(damaged, err)
			}
		case errors.As(err, &d) && slices.Contains(work.packs, d.pack):
			d.pack.damage.Store(d)
			damaged = errors.Join(damaged, err, s.examine(ctx, d.pack))
		default:
			return err == nil, errors.Join(damaged, err)
		}
	}
}

// lock keeps other processes from the same work; the result releases it.
func (s *packStore) lock() (func() error, error) {
	l, err := s.volume.AcquireLock(filepath.Join(s.dir, lockName))
	var held *durable.LockedError
	if errors.As(err, &held) {
		return nil, fmt.Errorf("%w: %w", errHeld, err)
	}
	if err != nil {
		return nil, err
	}
	return l.Release, nil
}

// job is packs that are to become one.
type job struct {
	packs []*pack
	// quick copies everything as it is, which leaves the disk and the
	// processors to those who commit.
	quick bool
}

// due picks the packs that are to become one, none if there is nothing to do.
//
// The packs are kept in a geometric row: each has at least twice the objects
// of all smaller ones together. What breaks the row is rolled up with all that
// is smaller, so that an object, when it is copied, gets into a pack at least
// half as large again: it is copied O(log n) times.
func due(packs []*pack, all bool) job {
	if !all && len(packs) <= softPacks {
		return job{}
	}
	row := slices.DeleteFunc(slices.Clone(packs), func(p *pack) bool { return p.damage.Load() != nil })
	slices.SortFunc(row, func(a, b *pack) int {
		return cmp.Or(cmp.Compare(a.index.count, b.index.count), cmp.Compare(a.name, b.name))
	})
	if all {
		take := rollUp(row)
		for i, p := range row {
			if p.unfinished {
				take = max(take, i+1)
			}
		}
		for take < len(row) && row[take].index.count < 2*objectsOf(row[:take]) {
			take++
		}
		return job{packs: row[:take]}
	}
	if waiting := waitingOf(row); len(waiting) > softPacks/2 {
		if take := rollUp(waiting); take > 1 {
			return job{waiting[:take], true}
		}
	}
	if take := rollUp(row); take > 0 {
		return job{packs: row[:take]}
	}
	return job{packs: row[:len(row)/2]} // a row this long has packs without objects
}

// rollUp returns how many of the smallest packs break the row.
func rollUp(row []*pack) (take int) {
	sum := 0
	for i, p := range row {
		if i > 0 && p.index.count < 2*sum {
			take = i + 1
		}
		sum += p.index.count
	}
	return take
}

func objectsOf(packs []*pack) (n int) {
	for _, p := range packs {
		n += p.index.count
	}
	return n
}

// waitingOf returns the packs that wait for their compression, or are so small
// that they cannot have got much of it; none if they are so many bytes that it
// must not wait any longer.
func waitingOf(packs []*pack) []*pack {
	waiting := slices.DeleteFunc(slices.Clone(packs), func(p *pack) bool { return !p.unfinished && p.size >= smallPack })
	bytes := int64(0)
	for _, p := range waiting {
		bytes += p.size
	}
	if bytes > waitingLimit {
		return nil
	}
	return waiting
}

// consolidate makes one pack of several. The old ones go only when the new one
// is durable.
func (s *packStore) consolidate(ctx context.Context, work job, workers int) error {
	indexPath, err := s.mergeBy(ctx, work, workers)
	if err == nil {
		err = s.replace(work.packs, indexPath)
	}
	if err != nil {
		return fmt.Errorf("consolidate %d packs: %w", len(work.packs), err)
	}
	return nil
}

// replace lets readers see the new pack, and then removes the old ones. A
// reader that still has an old one open looks again when it is closed under
// it. Nobody waits while files are removed.
func (s *packStore) replace(old []*pack, indexPath string) error {
	if err := s.attach(indexPath); errors.Is(err, fs.ErrNotExist) {
		return s.rescan() // another process has consolidated it already
	} else if err != nil {
		return err
	}
	name := strings.TrimSuffix(filepath.Base(indexPath), ".idx")
	err := s.removeMultiIndex()
	var gone []*pack
	for _, p := range old {
		// Copying a pack that had everything gives that pack again.
		if p.name == name {
			continue
		}
		p.retired.Store(true)
		removed, failed := s.removePack(p)
		if removed {
			gone = append(gone, p)
		} else {
			p.retired.Store(false)
		}
		err = errors.Join(err, failed)
	}
	err = errors.Join(err, s.volume.SyncDir(s.packDir()))
	s.mu.Lock()
	defer s.mu.Unlock()
	packs := slices.DeleteFunc(slices.Clone(*s.packs.Load()), func(p *pack) bool { return slices.Contains(gone, p) })
	s.packs.Store(&packs)
	return errors.Join(err, closeAll(gone))
}

// removePack deletes the index first: without it nobody looks for the pack. A
// pack that was marked since the folder was read stays.
func (s *packStore) removePack(p *pack) (bool, error) {
	for _, mark := range marks {
		if _, err := s.volume.Lstat(filepath.Join(s.packDir(), p.name+mark)); !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
	}
	for _, suffix := range []string{".idx", ".rev", ".bitmap", ".pack"} {
		err := s.volume.Discard(filepath.Join(s.packDir(), p.name+suffix))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return suffix != ".idx", err
		}
	}
	return true, nil
}

// removeMultiIndex deletes git's index over all packs, which names the packs
// that go. Git makes it anew when it wants it.
func (s *packStore) removeMultiIndex() error {
	entries, err := s.volume.ReadDir(s.packDir())
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "multi-pack-index") && !e.IsDir() {
			err = errors.Join(err, s.volume.Discard(filepath.Join(s.packDir(), e.Name())))
		}
	}
	return err
}
