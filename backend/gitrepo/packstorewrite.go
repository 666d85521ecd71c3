package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/go-git/go-git/v5/plumbing"
)

// store writes the objects that no pack has into one new pack.
func (s *packStore) store(ctx context.Context, objects []staged) error {
	h := &hold{keeps: s.keeps}
	defer h.done(false)
	return s.storeFor(ctx, objects, h, nil)
}

// storeFor is store of what h holds from then on. It calls syncing, if that is
// set, when all is written and begins to be synced, but not if there is nothing
// to write.
func (s *packStore) storeFor(ctx context.Context, objects []staged, h *hold, syncing func()) error {
	// What a pack had that garbage collection removed must be written again.
	if err := s.rescan(); err != nil {
		return err
	}
	if s.lost.Load() {
		return fmt.Errorf("%w: packs vanished from %s", ErrLost, s.packDir())
	}
	missing, err := s.missing(objects)
	if err != nil {
		return err
	}
	if len(missing) == 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		// Whoever wrote them may have died, or failed, before the names of the
		// packs were synced.
		return s.volume.SyncDir(s.packDir())
	}
	if err := s.room(ctx); err != nil {
		return err
	}
	h.note(missing)
	if err := s.writeAndAttach(ctx, missing, h, syncing); err != nil {
		return err
	}
	if !h.journaled {
		for _, o := range missing {
			s.cacheStaged(o)
		}
	}
	s.keeper.wake()
	return nil
}

// cacheStaged keeps what was stored and is likely to be read. Blobs belong to the
// caller, who may change them after the commit.
func (s *packStore) cacheStaged(o staged) {
	if o.kind != plumbing.BlobObject {
		s.cache.put(o.hash, o.object)
	}
}

// writeAndAttach writes a new pack, and opens it while its name is synced.
func (s *packStore) writeAndAttach(ctx context.Context, objects []staged, h *hold, syncing func()) error {
	indexPath, err := placePack(ctx, s.spares, objects, h, syncing)
	if err != nil {
		return err
	}
	attached := make(chan error, 1)
	go func() { attached <- s.attach(indexPath) }()
	synced := s.volume.SyncDir(s.packDir())
	err = <-attached
	if synced != nil {
		return synced
	}
	if errors.Is(err, fs.ErrNotExist) {
		// Another process consolidated the pack away before we opened it.
		return s.found(objects)
	}
	return err
}

// missing returns the objects that no pack has, or none that is sure to stay,
// each once.
func (s *packStore) missing(objects []staged) ([]staged, error) {
	for _, p := range *s.packs.Load() {
		if len(objects) < manyObjects {
			break
		}
		if err := p.index.makeFilter(); err != nil {
			return nil, err
		}
	}
	missing := make([]staged, 0, len(objects))
	seen := make(map[Hash]struct{}, len(objects))
	for _, o := range objects {
		if _, twice := seen[o.hash]; twice {
			continue
		}
		seen[o.hash] = struct{}{}
		switch p, _, err := s.lookup(o.hash); {
		case err != nil:
			return nil, err
		case p == nil, s.keeps.doubtful(o.hash):
			missing = append(missing, o)
		}
	}
	return missing, nil
}

// found reads the folder again and fails unless its packs have all objects.
func (s *packStore) found(objects []staged) error {
	if err := s.rescan(); err != nil {
		return err
	}
	for _, o := range objects {
		if _, _, err := s.find(o.hash); err != nil {
			return err
		}
	}
	return nil
}
