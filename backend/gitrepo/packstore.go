package gitrepo

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/caiatech/caiatop/backend/durable"
)

// packStore keeps objects in the packs of a folder, and reads the loose ones
// that other programs write.
type packStore struct {
	volume durable.Volume
	dir    string // objects
	cache  *cache
	bases  bases
	packs  atomic.Pointer[[]*pack] // never changed in place; the newest first
	hit    atomic.Pointer[pack]    // had the last object that was asked for

	mu     sync.Mutex // held while packs is replaced
	closed bool
	// orphans are packs that vanished from the folder with objects that nothing
	// else there has. They are read, but count as nothing that is stored.
	orphans atomic.Pointer[[]*pack]
	lost    atomic.Bool // some vanished, and Restore was not called since
	// bad are the packs of the folder that cannot be opened.
	bad    atomic.Pointer[[]*badPack]
	broken broken

	keeper keeper
	spares *spares
	keeps  *keeps
	// journal has objects that are in no pack yet; nil if there is none.
	journal atomic.Pointer[journal]
	// lenders are the repositories whose objects this one borrows.
	lenders []*packStore
}

func newPackStore(v durable.Volume, dir string, cacheBytes int64) (*packStore, error) {
	s, err := openPackStore(v, dir, cacheBytes)
	if err != nil {
		return nil, err
	}
	if err := s.clearKeeps(); err != nil {
		return nil, errors.Join(err, s.closePacks())
	}
	s.keeper.start(s)
	return s, nil
}

// openPackStore opens packs that nobody maintains.
func openPackStore(v durable.Volume, dir string, cacheBytes int64) (*packStore, error) {
	s := &packStore{volume: v, dir: dir, cache: newCache(cacheBytes)}
	s.spares = newSpares(v, s.packDir(), filepath.Join(filepath.Dir(dir), headsPrefix))
	s.keeps = newKeeps(v, dir)
	s.packs.Store(&[]*pack{})
	s.orphans.Store(&[]*pack{})
	s.bad.Store(&[]*badPack{})
	if err := s.rescan(); err != nil {
		return nil, errors.Join(err, s.closePacks())
	}
	return s, nil
}

// clearKeeps removes the .keep files of processes that died.
func (s *packStore) clearKeeps() error {
	names, err := s.keeps.removeStale()
	if err != nil || len(names) == 0 {
		return err
	}
	var packs []*pack
	for _, p := range *s.packs.Load() {
		if slices.Contains(names, p.name) {
			packs = append(packs, p)
		}
	}
	return errors.Join(s.keeps.doubt(packs), s.rescan())
}

func (s *packStore) packDir() string { return filepath.Join(s.dir, "pack") }

func (s *packStore) close() error {
	if s.keeper.done != nil {
		s.keeper.stop()
	}
	s.keeps.close()
	err := errors.Join(s.spares.close(), s.closePacks())
	for _, lender := range s.lenders {
		err = errors.Join(err, lender.close())
	}
	return err
}

func (s *packStore) closePacks() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := errors.Join(closeAll(*s.packs.Load()), closeAll(*s.orphans.Load()), s.setBad(nil))
	s.packs.Store(&[]*pack{})
	s.orphans.Store(&[]*pack{})
	s.closed = true
	return err
}

// object looks in the cache, the packs, the loose objects, and once more in
// the packs after reading the folder again: another program may have packed
// or pushed meanwhile.
func (s *packStore) object(h Hash) (object, error) {
	if o, ok := s.cache.get(h); ok {
		return o, nil
	}
	o, err := s.packed(h)
	if errors.Is(err, ErrNotFound) {
		o, err = s.loose(h)
	} else if errors.Is(err, ErrCorrupt) {
		if copied, other := s.loose(h); other == nil {
			o, err = copied, nil
		}
	}
	if errors.Is(err, ErrNotFound) && len(s.lenders) > 0 {
		o, err = s.borrowed(h)
	}
	if errors.Is(err, ErrNotFound) {
		if err = s.rescan(); err == nil {
			o, err = s.packed(h)
		}
		if errors.Is(err, ErrNotFound) || errors.Is(err, ErrGone) {
			o, err = s.orphaned(h, err)
		}
		if errors.Is(err, ErrNotFound) {
			err = s.mayBeInBad(s.inBad(h, err))
		}
	}
	if err != nil {
		return object{}, err
	}
	s.cache.put(h, o)
	return o, nil
}

// packed reads from the packs that are open now. A pack that the maintenance
// closes under it has its objects in another one, so it looks again.
func (s *packStore) packed(h Hash) (object, error) {
	const rounds = 4
	// First: what leaves the journal is in a pack by then.
	if o, ok := s.journal.Load().object(h); ok {
		o.data = bytes.Clone(o.data) // it is a part of a record, which goes as a whole
		return o, nil
	}
	var err error
	for range rounds {
		var o object
		if o, err = s.packedOnce(h); !errors.Is(err, os.ErrClosed) {
			return o, err
		}
	}
	return object{}, fmt.Errorf("object %s: %w: %w", h, ErrClosed, err)
}

// packedOnce reads an object from the first pack of which its copy is whole.
func (s *packStore) packedOnce(h Hash) (object, error) {
	var damaged error
	for {
		p, offset, err := s.find(h)
		switch {
		case errors.Is(err, ErrNotFound) && damaged != nil:
			return object{}, damaged
		case errors.Is(err, ErrNotFound):
			return s.brokenAgain(h, err)
		case err != nil:
			return object{}, err
		}
		o, err := p.object(h, offset)
		if err == nil {
			return o, nil
		}
		err = fmt.Errorf("object %s: %w", h, err)
		if !errors.Is(err, ErrCorrupt) || s.broken.is(h, p) {
			return object{}, err
		}
		if damaged = err; !s.broken.note(h, p, err) {
			return object{}, err
		}
	}
}

// find returns the pack that has an object.
func (s *packStore) find(h Hash) (*pack, int64, error) {
	p, offset, err := s.lookup(h)
	if err == nil && p == nil {
		err = fmt.Errorf("object %s: %w", h, ErrNotFound)
	}
	return p, offset, err
}

// lookup is find for those who expect that no pack has the object, which is
// no error: then the pack is nil. A copy that is known to be broken is none.
func (s *packStore) lookup(h Hash) (*pack, int64, error) {
	last := s.hit.Load()
	packs := *s.packs.Load()
	if last != nil && !last.index.lacks(h) && slices.Contains(packs, last) {
		if offset, ok, err := last.index.find(h); (ok && !s.broken.is(h, last)) || err != nil {
			return last, offset, err
		}
	}
	for _, p := range packs {
		if p == last || p.index.lacks(h) {
			continue
		}
		offset, ok, err := p.index.find(h)
		if err != nil {
			return nil, 0, err
		}
		if ok && !s.broken.is(h, p) {
			s.hit.Store(p)
			return p, offset, nil
		}
	}
	return nil, 0, nil
}

// attach opens a new pack for readers.
func (s *packStore) attach(indexPath string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	packs := *s.packs.Load()
	name := strings.TrimSuffix(filepath.Base(indexPath), ".idx")
	if slices.ContainsFunc(packs, func(p *pack) bool { return p.name == name }) {
		return nil
	}
	p, err := openPack(s.volume, indexPath, &s.bases)
	if err != nil {
		return err
	}
	packs = append([]*pack{p}, packs...)
	s.packs.Store(&packs)
	return nil
}

// looks bounds how often a folder is read that changes meanwhile.
const looks = 8

// rescan makes the open packs those of the folder.
func (s *packStore) rescan() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	packs := *s.packs.Load()
	var opened, gone []*pack
	// A folder that changes while it is read may show neither the packs that
	// go nor the one that takes their place. That one was there before they
	// went: a second look, begun after they were missed, shows it.
	for range looks {
		fresh, missed, err := s.look(packs)
		if err != nil {
			return errors.Join(err, closeAll(opened))
		}
		opened = append(opened, fresh...)
		packs = append(fresh, packs...)
		if len(missed) == len(gone) && len(fresh) == 0 || len(missed) == 0 {
			gone = missed
			break
		}
		gone = missed
	}
	packs = slices.DeleteFunc(slices.Clone(packs), func(p *pack) bool { return slices.Contains(gone, p) })
	var retired []*pack
	lost := gone[:0:0]
	for _, p := range gone {
		if p.retired.Load() {
			retired = append(retired, p)
		} else {
			lost = append(lost, p)
		}
	}
	covered, err := s.orphan(lost, packs)
	s.packs.Store(&packs)
	return errors.Join(err, closeAll(retired), closeAll(covered))
}

// look reads the folder once. It returns the packs that are new there, and
// those of packs that are not there. One that cannot be opened is passed over,
// as real git does: it must not keep anybody from all the others.
func (s *packStore) look(packs []*pack) (fresh, gone []*pack, err error) {
	kept := s.keeps.names() // some of them may be let go of meanwhile
	entries, err := s.volume.ReadDir(s.packDir())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("%w: %w", ErrGone, err)
	}
	if err != nil {
		return nil, nil, err
	}
	present := complete(entries, func(name string) bool {
		_, ours := kept[name]
		return ours || s.keeps.ours(name)
	})
	for _, p := range packs {
		if marked, ok := present[p.name]; ok {
			p.foreign.Store(marked)
			delete(present, p.name)
		} else {
			gone = append(gone, p)
		}
	}
	var bad []*badPack
	for name, marked := range present {
		if known := s.passOver(name, nil); known != nil {
			bad = append(bad, known)
			continue
		}
		p, err := openPack(s.volume, filepath.Join(s.packDir(), name+".idx"), &s.bases)
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed since we read the folder
		}
		if errors.Is(err, ErrCorrupt) {
			bad = append(bad, s.passOver(name, err))
			continue
		}
		if err != nil {
			return nil, nil, errors.Join(err, closeAll(fresh))
		}
		p.foreign.Store(marked)
		fresh = append(fresh, p)
	}
	return fresh, gone, s.setBad(bad)
}

// marks are the files by which git says that a pack is not to be touched.
var marks = []string{keepMark, ".promisor", ".mtimes"}

// complete names the packs of a folder that are there with their index, and
// says whether they are marked by others: a pack without its index or the other
// way round is of no use to anybody who opens the folder later.
func complete(entries []os.DirEntry, kept func(name string) bool) map[string]bool {
	names := make(map[string]struct{}, len(entries))
	for _, e := range entries {
		names[e.Name()] = struct{}{}
	}
	present := make(map[string]bool, len(entries))
	for file := range names {
		name, ok := strings.CutSuffix(file, ".idx")
		if _, both := names[name+".pack"]; !ok || !both || !strings.HasPrefix(name, "pack-") {
			continue
		}
		present[name] = slices.ContainsFunc(marks, func(mark string) bool {
			_, marked := names[name+mark]
			return marked && (mark != keepMark || !kept(name))
		})
	}
	return present
}

func closeAll(packs []*pack) error {
	var err error
	for _, p := range packs {
		err = errors.Join(err, p.close())
	}
	return err
}
