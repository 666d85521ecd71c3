package gitrepo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/caiatech/caiatop/backend/durable"
	"github.com/go-git/go-git/v5/plumbing"
)

// maxBroken bounds the damaged objects that are remembered.
const maxBroken = 10_000

// Damage is something of a repository on disk that is known to be damaged.
type Damage struct {
	File   string // path of the pack, or of its index
	Object Hash   // zero if it is about the file as a whole
	Err    error  // wraps ErrCorrupt and names the file
}

// badPack is a pack in the folder that cannot be opened. It is passed over, and
// neither changed nor removed: it may be all that there is of an object, and a
// copy of it may be put in its place.
type badPack struct {
	name  string
	file  string // that cannot be read
	err   error
	stamp string // of both files when it was last tried; "" tries it again
	index *index // nil if that is what cannot be read
}

func newBadPack(v durable.Volume, dir, name, stamp string, why error) *badPack {
	b := &badPack{name: name, file: filepath.Join(dir, name+".pack"), err: why, stamp: stamp}
	indexPath := filepath.Join(dir, name+".idx")
	var err error
	if b.index, err = openIndex(v, indexPath); err != nil {
		b.index, b.file = nil, indexPath
	}
	return b
}

// has reports whether the pack is known to hold an object.
func (b *badPack) has(h Hash) bool {
	if b.index == nil {
		return false
	}
	_, ok, err := b.index.find(h)
	return ok && err == nil
}

func (b *badPack) close() error {
	if b.index == nil {
		return nil
	}
	return b.index.close()
}

// stampOf changes when one of the files of a pack is written.
func stampOf(v durable.Volume, dir, name string) string {
	var out strings.Builder
	for _, suffix := range []string{".idx", ".pack"} {
		info, err := v.Stat(filepath.Join(dir, name+suffix))
		if err != nil {
			return ""
		}
		fmt.Fprintf(&out, "%d %d ", info.Size(), info.ModTime().UnixNano())
	}
	return out.String()
}

// passOver returns the pack as one that cannot be opened, as it was found
// before or for what now went wrong. Nil: it is to be tried. The caller holds
// s.mu.
func (s *packStore) passOver(name string, why error) *badPack {
	known := *s.bad.Load()
	at := slices.IndexFunc(known, func(b *badPack) bool { return b.name == name })
	stamp := stampOf(s.volume, s.packDir(), name)
	switch {
	case why != nil:
		return newBadPack(s.volume, s.packDir(), name, stamp, why)
	case at >= 0 && stamp != "" && known[at].stamp == stamp:
		return known[at]
	}
	return nil
}

// setBad makes these the packs that are passed over. The caller holds s.mu.
func (s *packStore) setBad(bad []*badPack) (err error) {
	slices.SortFunc(bad, func(a, b *badPack) int { return cmp.Compare(a.name, b.name) })
	for _, old := range *s.bad.Load() {
		if !slices.Contains(bad, old) {
			err = errors.Join(err, old.close())
		}
	}
	s.bad.Store(&bad)
	return err
}

// lookAgain is rescan that tries the packs that are passed over even if their
// files seem to be the same.
func (s *packStore) lookAgain() error {
	s.mu.Lock()
	for _, b := range *s.bad.Load() {
		b.stamp = ""
	}
	s.mu.Unlock()
	return s.rescan()
}

// inBad returns the error for an object that only a pack has which is passed
// over, and otherwise if none is known to.
func (s *packStore) inBad(h Hash, otherwise error) error {
	for _, b := range *s.bad.Load() {
		if b.has(h) {
			return fmt.Errorf("object %s is only in a damaged pack: %w", h, b.err)
		}
	}
	return otherwise
}

// mayBeInBad names the packs that may have an object which is nowhere. They are
// not what the error is: it may never have existed.
func (s *packStore) mayBeInBad(err error) error {
	for _, b := range *s.bad.Load() {
		if b.index == nil {
			err = fmt.Errorf("%w; it may be in a damaged pack: %v", err, b.err) //nolint:errorlint // see above
		}
	}
	return err
}

// broken remembers the copies of objects that could not be read, so that
// another copy is read and, where there is none, a new one may be written.
type broken struct {
	any     atomic.Bool
	mu      sync.Mutex
	objects map[Hash][]brokenCopy
}

type brokenCopy struct {
	pack *pack
	err  error
}

// is reports whether a copy could not be read.
func (b *broken) is(h Hash, p *pack) bool {
	if !b.any.Load() {
		return false
	}
	return slices.ContainsFunc(b.copies(h), func(c brokenCopy) bool { return c.pack == p })
}

func (b *broken) copies(h Hash) []brokenCopy {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.objects[h]
}

// note remembers a copy. It returns false if there is no room for it.
func (b *broken) note(h Hash, p *pack, err error) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	copies := b.objects[h]
	if slices.ContainsFunc(copies, func(c brokenCopy) bool { return c.pack == p }) {
		return true
	}
	if len(copies) == 0 && len(b.objects) == maxBroken {
		return false
	}
	if b.objects == nil {
		b.objects = make(map[Hash][]brokenCopy)
	}
	b.objects[h] = append(copies[:len(copies):len(copies)], brokenCopy{p, err})
	b.any.Store(true)
	return true
}

// forget drops the copies for which done holds.
func (b *broken) forget(done func(h Hash, c brokenCopy) bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for h, copies := range b.objects {
		left := slices.DeleteFunc(slices.Clone(copies), func(c brokenCopy) bool { return done(h, c) })
		if b.objects[h] = left; len(left) == 0 {
			delete(b.objects, h)
		}
	}
	b.any.Store(len(b.objects) > 0)
}

// brokenAgain reads an object of which every copy was broken once more: the
// file may have been restored.
func (s *packStore) brokenAgain(h Hash, otherwise error) (object, error) {
	if !s.broken.any.Load() {
		return object{}, otherwise
	}
	present := *s.packs.Load()
	for _, c := range s.broken.copies(h) {
		if !slices.Contains(present, c.pack) {
			continue
		}
		offset, ok, err := c.pack.index.find(h)
		if err != nil || !ok {
			continue
		}
		o, err := c.pack.object(h, offset)
		if err != nil {
			otherwise = fmt.Errorf("object %s: %w", h, err)
			continue
		}
		left := false
		s.broken.forget(func(other Hash, mended brokenCopy) bool {
			left = left || (other != h && mended.pack == c.pack)
			return other == h && mended.pack == c.pack
		})
		if !left {
			c.pack.damage.Store(nil) // the maintenance looks again
		}
		return o, nil
	}
	return object{}, otherwise
}

// examine finds the objects of a pack that cannot be read.
func (s *packStore) examine(ctx context.Context, p *pack) error {
	entries, err := p.index.entries()
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := p.object(e.hash, e.offset); errors.Is(err, ErrCorrupt) {
			s.broken.note(e.hash, p, err)
		} else if errors.Is(err, os.ErrClosed) {
			return err
		}
	}
	return nil
}

// damaged returns what is known: packs that cannot be opened, objects of which
// no copy can be read, and packs that the maintenance could not copy for
// another reason.
func (s *packStore) damaged() []Damage {
	var out []Damage
	for _, b := range *s.bad.Load() {
		out = append(out, Damage{File: b.file, Err: b.err})
	}
	packs := *s.packs.Load()
	s.broken.forget(func(_ Hash, c brokenCopy) bool { return !slices.Contains(packs, c.pack) })
	s.broken.mu.Lock()
	copies := maps.Clone(s.broken.objects)
	s.broken.mu.Unlock()
	named := make(map[*pack]struct{})
	for h, all := range copies {
		for _, c := range all {
			named[c.pack] = struct{}{}
		}
		if s.whole(h) {
			continue // written again, or restored
		}
		out = append(out, Damage{File: all[0].pack.path, Object: h, Err: fmt.Errorf("object %s: %w", h, all[0].err)})
	}
	for _, p := range packs {
		if d := p.damage.Load(); d != nil {
			if _, said := named[p]; !said {
				out = append(out, Damage{File: p.path, Err: d.err})
			}
		}
	}
	slices.SortStableFunc(out, func(a, b Damage) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Object.String(), b.Object.String()))
	})
	return out
}

// whole reports whether an object of which a copy is broken can be read.
func (s *packStore) whole(h Hash) bool {
	if _, err := s.packed(h); err == nil {
		return true
	}
	_, err := s.loose(h)
	return err == nil
}

// Damage returns what is known to be damaged: packs that cannot be opened,
// which are passed over, and objects that somebody wanted to read and could
// not, or that the maintenance or Verify found. What was restored, or written
// again with Rewrite, is not in it any more. None in memory.
func (r *Repo) Damage() []Damage {
	if p, ok := r.objects.(*packStore); ok && !r.closed.Load() {
		return p.damaged()
	}
	return nil
}

// Lost reports whether an object that a tree names cannot be read, as far as
// is known: nothing that can be opened has it, or every copy is in Damage.
func (r *Repo) Lost(h Hash) (bool, error) {
	p, ok := r.objects.(*packStore)
	if !ok {
		return false, nil
	}
	has, err := p.stored(h)
	return !has, err
}

// Rewrite writes files whose objects are damaged again, without a commit. What
// can be read, as far as is known, is left alone.
func (r *Repo) Rewrite(ctx context.Context, files [][]byte) error {
	blobs := make([]staged, 0, len(files))
	for _, data := range files {
		h, err := nameObject(plumbing.BlobObject, data)
		if err != nil {
			return fmt.Errorf("rewrite files: %w", err)
		}
		blobs = append(blobs, staged{hash: h, object: object{plumbing.BlobObject, data}})
	}
	if err := r.acquire(ctx); err != nil {
		return err
	}
	defer r.release()
	if err := r.objects.store(ctx, blobs); err != nil {
		return fmt.Errorf("rewrite %d files: %w", len(files), err)
	}
	return nil
}
