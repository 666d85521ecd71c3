package gitrepo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/go-git/go-git/v5/plumbing"
)

const (
	// maxPacks is how many packs may exist after a commit before the smallest
	// ones become one.
	maxPacks = 40
	// keptPacks is how many are left then. The gap makes each object be copied
	// a number of times that grows with the logarithm of the history only.
	keptPacks = 20
	// maxPackBytes bounds the packs that are still worth copying, in bytes
	// (1 GiB).
	maxPackBytes = 1 << 30
)

// keeper owns the goroutine that keeps the number of packs bounded.
type keeper struct {
	cancel context.CancelFunc
	wanted chan struct{} // one token: there may be something to do
	done   chan struct{}

	mu   sync.Mutex
	runs int
	err  error
}

func (k *keeper) start(s *packStore) {
	ctx, cancel := context.WithCancel(context.Background())
	k.cancel, k.wanted, k.done = cancel, make(chan struct{}, 1), make(chan struct{})
	go func() {
		defer close(k.done)
		for {
			select {
			case <-ctx.Done():
				return
			case <-k.wanted:
				k.note(s.consolidate(ctx))
			}
		}
	}()
}

// stop ends the goroutine between two objects and waits for it.
func (k *keeper) stop() {
	k.cancel()
	<-k.done
}

func (k *keeper) wake() {
	select {
	case k.wanted <- struct{}{}:
	default: // it will look anyway
	}
}

func (k *keeper) note(did bool, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case err != nil:
		k.err = err
	case did:
		k.runs, k.err = k.runs+1, nil
	}
}

func (s *packStore) maintenance() Maintenance {
	s.keeper.mu.Lock()
	defer s.keeper.mu.Unlock()
	return Maintenance{Packs: len(*s.packs.Load()), Runs: s.keeper.runs, Err: s.keeper.err}
}

// consolidate copies the smallest packs into one if there are too many, and
// reports whether it did. The old ones go only when the new one is durable.
func (s *packStore) consolidate(ctx context.Context) (bool, error) {
	small := smallest(*s.packs.Load())
	if len(small) < 2 {
		return false, nil
	}
	indexPath, err := s.merge(ctx, small)
	if err != nil {
		return false, fmt.Errorf("consolidate %d packs: %w", len(small), err)
	}
	if err := s.replace(small, indexPath); err != nil {
		return false, fmt.Errorf("consolidate %d packs: %w", len(small), err)
	}
	return true, nil
}

// smallest picks the packs to copy; none while there are few enough.
func smallest(packs []*pack) []*pack {
	var ours []*pack
	for _, p := range packs {
		if !p.foreign && p.size <= maxPackBytes {
			ours = append(ours, p)
		}
	}
	if len(ours) <= maxPacks {
		return nil
	}
	slices.SortFunc(ours, func(a, b *pack) int { return cmp.Compare(a.size, b.size) })
	return ours[:len(ours)-keptPacks+1]
}

// located is an object to copy.
type located struct {
	indexEntry
	pack *pack
	next int64 // where the entry ends
}

// merge writes all objects of the packs into one, each once.
func (s *packStore) merge(ctx context.Context, packs []*pack) (string, error) {
	objects, err := inventory(packs)
	if err != nil {
		return "", err
	}
	w, err := newPackWriter(s.volume, s.packDir(), len(objects))
	if err != nil {
		return "", err
	}
	for _, o := range objects {
		err := ctx.Err()
		if err == nil {
			err = copyObject(w, o)
		}
		if err != nil {
			return "", errors.Join(err, w.abort())
		}
	}
	return w.finish()
}

func inventory(packs []*pack) ([]located, error) {
	var objects []located
	seen := make(map[Hash]struct{})
	for _, p := range packs {
		entries, err := p.index.entries()
		if err != nil {
			return nil, err
		}
		slices.SortFunc(entries, func(a, b indexEntry) int { return cmp.Compare(a.offset, b.offset) })
		for i, e := range entries {
			if _, twice := seen[e.hash]; twice {
				continue
			}
			seen[e.hash] = struct{}{}
			next := p.size - int64(hashSize)
			if i+1 < len(entries) {
				next = entries[i+1].offset
			}
			objects = append(objects, located{e, p, next})
		}
	}
	return objects, nil
}

// copyObject copies an entry as it is, if its checksum holds. A delta is
// resolved first: its base may go elsewhere.
func copyObject(w *packWriter, o located) error {
	size := o.next - o.offset
	if size <= 0 || o.offset < packHeader {
		return o.pack.corrupt(o.offset, "its index has entries without a size")
	}
	if size > MaxObject+MaxObject/8 {
		return fmt.Errorf("%w: the object at %d of %s", ErrTooLarge, o.offset, o.pack.path)
	}
	raw := make([]byte, size)
	if _, err := o.pack.file.ReadAt(raw, o.offset); err != nil {
		return readError(o.pack.path, err)
	}
	if crc32.ChecksumIEEE(raw) != o.crc {
		return o.pack.corrupt(o.offset, "its checksum is wrong")
	}
	kind := plumbing.ObjectType(raw[0] >> 4 & 7)
	if kind != plumbing.OFSDeltaObject && kind != plumbing.REFDeltaObject {
		return w.addRaw(o.hash, raw)
	}
	whole, err := o.pack.object(o.hash, o.offset)
	if err != nil {
		return err
	}
	if hashObject(whole.kind, whole.data) != o.hash {
		return o.pack.corrupt(o.offset, "its content is not what its name says")
	}
	return w.add(staged{hash: o.hash, object: whole})
}

// replace lets readers see the new pack instead of the old ones, and removes
// those. A reader that still has an old one open looks again when it is
// closed under it.
func (s *packStore) replace(old []*pack, indexPath string) error {
	if err := s.attach(indexPath); errors.Is(err, fs.ErrNotExist) {
		return s.rescan() // another process has consolidated it already
	} else if err != nil {
		return err
	}
	name := strings.TrimSuffix(filepath.Base(indexPath), ".idx")
	// Copying a pack that had everything gives that pack again.
	old = slices.DeleteFunc(slices.Clone(old), func(p *pack) bool { return p.name == name })
	s.mu.Lock()
	defer s.mu.Unlock()
	packs := slices.DeleteFunc(slices.Clone(*s.packs.Load()), func(p *pack) bool { return slices.Contains(old, p) })
	s.packs.Store(&packs)
	err := s.removeMultiIndex()
	for _, p := range old {
		err = errors.Join(err, s.removePack(p))
	}
	return errors.Join(err, s.volume.SyncDir(s.packDir()), closeAll(old))
}

// removePack deletes the index first: without it nobody looks for the pack.
func (s *packStore) removePack(p *pack) error {
	for _, suffix := range []string{".idx", ".rev", ".bitmap", ".pack"} {
		err := s.volume.Discard(filepath.Join(s.packDir(), p.name+suffix))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
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
