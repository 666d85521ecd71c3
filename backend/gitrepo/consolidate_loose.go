package gitrepo

import (
	"context"
	"encoding/hex"
	"errors"
	"io/fs"
	"path/filepath"
	"time"
)

const (
	// looseGrace is how old a loose object must be before it is taken into a
	// pack: the program that wrote it, or its garbage collection, may still
	// look at the file.
	looseGrace = 10 * time.Minute
	// looseObjects and looseBytes bound what is taken into one pack.
	looseObjects = 10_000
	looseBytes   = 32 << 20
)

// looseNames lists loose objects that are old enough, at most n.
func (s *packStore) looseNames(n int) ([]Hash, error) {
	folders, err := s.volume.ReadDir(s.dir)
	if err != nil {
		return nil, err
	}
	var out []Hash
	for _, folder := range folders {
		if len(folder.Name()) != 2 || !folder.IsDir() {
			continue
		}
		files, err := s.volume.ReadDir(filepath.Join(s.dir, folder.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			h, ok := looseName(folder.Name() + file.Name())
			info, err := file.Info()
			if !ok || err != nil || time.Since(info.ModTime()) < looseGrace {
				continue // no object, removed meanwhile, or too young
			}
			if out = append(out, h); len(out) == n {
				return out, nil
			}
		}
	}
	return out, nil
}

func looseName(text string) (h Hash, ok bool) {
	if len(text) != 2*hashSize {
		return h, false
	}
	_, err := hex.Decode(h[:], []byte(text))
	return h, err == nil
}

func (s *packStore) loosePath(h Hash) string {
	name := h.String()
	return filepath.Join(s.dir, name[:2], name[2:])
}

// looseDue reports whether there are loose objects to take in.
func (s *packStore) looseDue() bool {
	names, err := s.looseNames(1)
	return err == nil && len(names) > 0
}

// takeLoose writes the loose objects that other programs left into packs, and
// removes their files when the packs are durable. One that is damaged stays
// where it is. It reports whether it did anything.
func (s *packStore) takeLoose(ctx context.Context) (did bool, err error) {
	names, err := s.looseNames(looseObjects)
	if err != nil {
		return false, err
	}
	for len(names) > 0 {
		var taken []staged
		var done []Hash
		size := 0
		for len(names) > 0 && size < looseBytes {
			if err := ctx.Err(); err != nil {
				return did, err
			}
			h := names[0]
			names = names[1:]
			_, _, err := s.find(h)
			if errors.Is(err, ErrNotFound) {
				o, err := s.loose(h)
				if err != nil {
					continue // fsck tells; reading it tells, too
				}
				taken = append(taken, staged{hash: h, object: o})
				size += len(o.data)
			} else if err != nil {
				return did, err
			}
			done = append(done, h)
		}
		if len(taken) > 0 {
			indexPath, err := writePack(ctx, s.spares, taken)
			if err != nil {
				return did, err
			}
			if err := s.attach(indexPath); err != nil {
				return did, err
			}
		}
		for _, h := range done {
			if err := s.volume.Discard(s.loosePath(h)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return did, err
			}
			// The folder goes with its last file; any other stays.
			_ = s.volume.Discard(filepath.Dir(s.loosePath(h)))
			did = true
		}
	}
	return did, nil
}
