package gitrepo

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/caiatech/caiatop/backend/durable"
)

const (
	// keepMark is the suffix of the file by which git leaves a pack alone.
	keepMark = ".keep"
	// keepText is all that is in those of ours.
	keepText = "caiatop keeps this pack until a reference leads to it\n"
	// keepPrefix begins the name, in the folder of objects, of the file of which
	// they are further names: to name a file costs a tenth of making one.
	keepPrefix = "caiatop-keep-"
	// maxDoubted bounds the objects that are written again, see keeps.doubted.
	maxDoubted = 1 << 18
)

// keeps protects new packs from other git programs. A pack has its name before
// a reference leads to it, and git repack -ad in between would find that it is
// garbage and remove it, also when the reference moves meanwhile. Git notes
// first which packs there are and which of them are kept, and then where the
// references are. So a pack that has a .keep file from before it gets its name
// until its reference has moved is either not noted, or kept, or reachable.
//
// The files protect from programs, not from power cuts, and their names are not
// synced. What a dead process left is known by its text and by a lock that
// nobody has.
type keeps struct {
	volume durable.Volume
	dir    string // objects

	mu sync.Mutex
	// sign is the file that those of this store are names of, nil before the
	// first.
	sign     *durable.Sign
	signPath string
	// unlinked: names cannot be given, and each is a file of its own.
	unlinked bool
	held     map[string]*kept // by the name of the pack
	stuck    []string         // files that could not be removed
	failed   error            // why, of the last one
	// doubted are objects that are in packs without a reference having moved
	// because of them. Git may have noted such a pack for removal, and so who
	// needs one of them writes it again, into a pack that was not there before.
	doubted map[Hash]struct{}
	doubts  atomic.Bool // there are some
}

// kept is one .keep file.
type kept struct {
	holds map[*hold]struct{} // that need it
	sign  *durable.Sign      // nil if it is a name of the common file
}

func newKeeps(v durable.Volume, objects string) *keeps {
	return &keeps{volume: v, dir: objects, held: make(map[string]*kept), doubted: make(map[Hash]struct{})}
}

// hold is packs that are kept for one change of references. It ends in done.
type hold struct {
	keeps  *keeps
	stored []Hash
	// journaled: what is stored is a part of records, which the cache must not
	// keep, and was cached when it was acknowledged.
	journaled bool
}

// hold begins to keep packs. In memory there are none.
func (r *Repo) hold() *hold {
	if p, ok := r.objects.(*packStore); ok {
		return &hold{keeps: p.keeps}
	}
	return nil
}

// note takes note of what is about to be stored.
func (h *hold) note(objects []staged) {
	n := min(len(objects), maxDoubted-len(h.stored))
	h.stored = slices.Grow(h.stored, n)
	for _, o := range objects[:n] {
		h.stored = append(h.stored, o.hash)
	}
}

// done lets go of the packs. moved says that a reference leads to them.
func (h *hold) done(moved bool) {
	if h == nil {
		return
	}
	k := h.keeps
	k.mu.Lock()
	defer k.mu.Unlock()
	for name, one := range k.held {
		if _, ours := one.holds[h]; !ours {
			continue
		}
		if delete(one.holds, h); len(one.holds) == 0 {
			k.drop(name)
		}
	}
	if moved && len(k.doubted) == 0 {
		h.stored = nil
	}
	for _, o := range h.stored {
		if moved {
			delete(k.doubted, o)
		} else if len(k.doubted) < maxDoubted {
			k.doubted[o] = struct{}{}
		}
	}
	k.doubts.Store(len(k.doubted) > 0)
	h.stored = nil
}

// keep keeps the pack of that checksum before it gets its name, which it
// returns: that of the checksum, but another one if there is such a pack.
func (h *hold) keep(sum Hash) (string, error) {
	k := h.keeps
	k.mu.Lock()
	defer k.mu.Unlock()
	name := packName(sum)
	if one := k.held[name]; one != nil {
		if _, again := one.holds[h]; again {
			return name, nil
		}
		return k.fresh(h)
	}
	_, err := k.volume.Lstat(filepath.Join(k.dir, "pack", name+".pack"))
	if err == nil {
		return k.fresh(h)
	}
	if err = k.put(name, h); errors.Is(err, fs.ErrExist) {
		return k.fresh(h)
	}
	return name, err
}

// inherit keeps the pack that is made of others for as long as one of those has
// to be kept.
func (k *keeps) inherit(from []*pack, sum Hash) (string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	name := packName(sum)
	var holds []*hold
	for _, p := range from {
		if one := k.held[p.name]; one != nil {
			holds = slices.AppendSeq(holds, maps.Keys(one.holds))
		}
	}
	if len(holds) == 0 {
		return name, nil
	}
	if k.held[name] != nil { // it is one of them
		for _, h := range holds {
			k.held[name].holds[h] = struct{}{}
		}
		return name, nil
	}
	if err := k.put(name, holds...); !errors.Is(err, fs.ErrExist) {
		return name, err
	}
	return k.fresh(holds...)
}

func packName(sum Hash) string { return "pack-" + sum.String() }

// fresh keeps a pack under a name that nobody has.
func (k *keeps) fresh(holds ...*hold) (string, error) {
	var random Hash
	if _, err := rand.Read(random[:]); err != nil {
		return "", fmt.Errorf("make up the name of a pack: %w", err)
	}
	name := packName(random)
	return name, k.put(name, holds...)
}

// put makes the file for a pack: fs.ErrExist if there is one.
func (k *keeps) put(name string, holds ...*hold) error {
	path := filepath.Join(k.dir, "pack", name+keepMark)
	one := &kept{holds: make(map[*hold]struct{}, len(holds))}
	err := k.link(path)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		one.sign, err = k.volume.CreateSign(path, []byte(keepText), filePerm)
	}
	if err != nil {
		return err
	}
	for _, h := range holds {
		one.holds[h] = struct{}{}
	}
	k.held[name] = one
	return nil
}

// link gives the common file a name. It is made anew where it is gone: the
// repository may have been moved away.
func (k *keeps) link(path string) error {
	if k.unlinked {
		return errors.ErrUnsupported
	}
	if k.sign != nil {
		err := k.volume.Link(k.signPath, path)
		if !errors.Is(err, fs.ErrNotExist) {
			k.unlinked = errors.Is(err, errors.ErrUnsupported)
			return err
		}
		if err := k.letGo(); err != nil {
			return err
		}
	}
	sign := filepath.Join(k.dir, keepPrefix+strings.ToLower(rand.Text()))
	made, err := k.volume.CreateSign(sign, []byte(keepText), filePerm)
	if err != nil {
		return err
	}
	k.sign, k.signPath = made, sign
	err = k.volume.Link(sign, path)
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.EPERM) { // as vfat says it
		k.unlinked = true
		return errors.Join(err, k.letGo())
	}
	return err
}

// letGo gives the common file up and removes it.
func (k *keeps) letGo() error {
	if k.sign == nil {
		return nil
	}
	err := k.sign.Release()
	k.sign = nil
	return errors.Join(err, k.discard(k.signPath))
}

func (k *keeps) discard(path string) error {
	if err := k.volume.Discard(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// drop removes the file of a pack. One that cannot be removed harms nobody, but
// git leaves its pack alone: it is tried again with the next.
func (k *keeps) drop(name string) {
	one := k.held[name]
	delete(k.held, name)
	k.stuck = append(k.stuck, filepath.Join(k.dir, "pack", name+keepMark))
	k.failed = nil
	k.stuck = slices.DeleteFunc(k.stuck, func(path string) bool {
		err := k.discard(path)
		if err != nil {
			k.failed = fmt.Errorf("git leaves a pack alone until this file is removed: %w", err)
		}
		return err == nil
	})
	if one.sign != nil {
		k.failed = errors.Join(k.failed, one.sign.Release())
	}
}

// trouble returns why files of ours could not be removed.
func (k *keeps) trouble() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.failed
}

// ours reports whether a pack is kept by this store.
func (k *keeps) ours(name string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.held[name] != nil
}

// names returns the packs that are kept by this store now.
func (k *keeps) names() map[string]struct{} {
	k.mu.Lock()
	defer k.mu.Unlock()
	names := make(map[string]struct{}, len(k.held))
	for name := range k.held {
		names[name] = struct{}{}
	}
	return names
}

// removed drops the file of a pack that is gone: another one has its objects.
func (k *keeps) removed(name string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.held[name] != nil {
		k.drop(name)
	}
}

// doubtful reports whether an object must be written again.
func (k *keeps) doubtful(h Hash) bool {
	if !k.doubts.Load() {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	_, ok := k.doubted[h]
	return ok
}

// doubt takes note of the objects of packs whose process died before it let go.
func (k *keeps) doubt(packs []*pack) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, p := range packs {
		entries, err := p.index.entries()
		if err != nil {
			return err
		}
		for _, e := range entries[:min(len(entries), maxDoubted-len(k.doubted))] {
			k.doubted[e.hash] = struct{}{}
		}
	}
	k.doubts.Store(len(k.doubted) > 0)
	return nil
}

// close removes what is left. What cannot be removed has no owner from then on,
// and goes when the repository is opened next.
func (k *keeps) close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for name := range k.held {
		k.drop(name)
	}
	_ = k.letGo() // what is left is that of a dead process to the next one, which removes it
}

// removeStale removes what processes that died left, and returns the names of
// the packs that they kept. It never touches the files of anybody else.
func (k *keeps) removeStale() (packs []string, err error) {
	for _, dir := range []string{k.dir, filepath.Join(k.dir, "pack")} {
		entries, err := k.volume.ReadDir(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			name, keep := strings.CutSuffix(e.Name(), keepMark)
			if !e.Type().IsRegular() || !keep && !strings.HasPrefix(e.Name(), keepPrefix) || k.ours(name) {
				continue
			}
			path := filepath.Join(dir, e.Name())
			stale, err := k.stale(path, e, keep)
			if err == nil && stale {
				err = k.discard(path)
			}
			if err != nil && !errors.Is(err, durable.ErrReadOnly) { // there it can stay
				return nil, err
			}
			if keep && stale {
				packs = append(packs, name)
			}
		}
	}
	return packs, nil
}

// stale reports whether a file is of ours, and nobody's any more. A common file
// that its process did not live to fill is told by its age.
func (k *keeps) stale(path string, e fs.DirEntry, keep bool) (bool, error) {
	deserted, err := k.volume.Deserted(path, []byte(keepText))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil || deserted || keep:
		return deserted, err
	}
	info, err := e.Info()
	return err == nil && info.Size() < int64(len(keepText)) && time.Since(info.ModTime()) > abandonedAfter, nil
}
