package drafts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/durable"
)

const (
	suffix  = ".draft"
	aside   = ".damaged"
	dirPerm = 0o700
	perm    = 0o600
	// maxFile bounds the file of one draft, in bytes: a document at its limits
	// in base64, and what stands around it.
	maxFile = (document.MaxContent+document.MaxMetadata)*4/3 + 4<<20
)

// Store keeps drafts in one folder. It is safe for concurrent use. Two processes
// may share a folder: while one opens it, a Save of the other may fail.
type Store struct {
	dir   string
	write func(path string, data []byte, perm os.FileMode) error

	mu      sync.Mutex
	damaged []Damaged
}

// Open opens a folder of drafts and makes it where it is missing. Every file is
// read once: one that is no draft is set aside. A draft that was complete but
// not in its place when a crash came takes it, unless a newer one is there.
func Open(dir string) (*Store, error) {
	if err := durable.MkdirAll(dir, dirPerm); err != nil {
		return nil, fmt.Errorf("open drafts: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("open drafts: %w", err)
	}
	s := &Store{dir: dir, write: durable.WriteFile}
	for _, entry := range entries {
		name := entry.Name()
		switch {
		case !entry.Type().IsRegular():
		case strings.Contains(name, aside):
			s.damaged = append(s.damaged, Damaged{Path: filepath.Join(dir, name)})
		case strings.HasPrefix(name, "."), strings.HasSuffix(name, suffix):
			if err := s.admit(name); err != nil {
				return nil, fmt.Errorf("open drafts: %w", err)
			}
		}
	}
	return s, nil
}

// admit judges a file that was there before us.
func (s *Store) admit(name string) error {
	d, err := s.read(name)
	switch {
	case errors.Is(err, fs.ErrNotExist): // moved by its writer meanwhile
		return nil
	case errors.Is(err, ErrDamaged):
		return s.setAside(name, err)
	case err != nil:
		return err
	}
	final := fileName(d.ID, d.Owner)
	if name == final {
		return nil
	}
	if !strings.HasPrefix(name, ".") {
		return s.setAside(name, fmt.Errorf("%w: it is that of %q under another name", ErrDamaged, d.ID))
	}
	kept, err := s.read(final)
	switch {
	case err == nil && !d.At.After(kept.At):
		return durable.Remove(filepath.Join(s.dir, name)) // what is kept replaced it
	case errors.Is(err, ErrDamaged):
		if err := s.setAside(final, err); err != nil {
			return err
		}
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return durable.Rename(filepath.Join(s.dir, name), filepath.Join(s.dir, final))
}

// setAside gives a file that is no draft a name of its own. It never replaces a
// file.
func (s *Store) setAside(name string, why error) error {
	for n := 0; ; n++ {
		kept := filepath.Join(s.dir, name+aside)
		if n > 0 {
			kept += fmt.Sprintf("-%d", n)
		}
		if _, err := os.Lstat(kept); err == nil {
			continue
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := durable.Rename(filepath.Join(s.dir, name), kept); err != nil {
			return err
		}
		s.damaged = append(s.damaged, Damaged{Path: kept, Err: why})
		return nil
	}
}

func (s *Store) read(name string) (Draft, error) {
	f, err := os.Open(filepath.Join(s.dir, name))
	if err != nil {
		return Draft{}, err
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return Draft{}, fmt.Errorf("read %s: %w", name, err)
	}
	if len(data) > maxFile {
		return Draft{}, fmt.Errorf("%w: it has more than %d bytes", ErrDamaged, maxFile)
	}
	return decode(data)
}

// Damaged returns the files that were set aside, now or by an earlier Open.
func (s *Store) Damaged() []Damaged {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.damaged)
}

// Save keeps a draft in place of the one of the same document and owner. Errors
// wrap ErrInvalid, ErrFull, durable.ErrDiskFull or durable.ErrReadOnly; then the
// one before is still there. After durable.ErrUnsynced either may be.
func (s *Store) Save(ctx context.Context, d Draft) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("save the draft of %q: %w", d.ID, err)
	}
	data, err := encode(d)
	if err != nil {
		return err
	}
	if len(data) > maxFile {
		return fmt.Errorf("%w of %q: its file would have %d bytes, the limit is %d", ErrInvalid, d.ID, len(data), maxFile)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	name := fileName(d.ID, d.Owner)
	if err := s.fits(name, int64(len(data))); err != nil {
		return fmt.Errorf("save the draft of %q: %w", d.ID, err)
	}
	if err := s.write(filepath.Join(s.dir, name), data, perm); err != nil {
		return fmt.Errorf("save the draft of %q: %w", d.ID, err)
	}
	return nil
}

// names returns the names of the drafts' files.
func (s *Store) names() ([]string, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, entry := range entries {
		if name := entry.Name(); entry.Type().IsRegular() && strings.HasSuffix(name, suffix) && !strings.HasPrefix(name, ".") {
			out = append(out, name)
		}
	}
	return out, nil
}

// fits reports whether a file of so many bytes is within the limits.
func (s *Store) fits(name string, size int64) error {
	names, err := s.names()
	if err != nil {
		return err
	}
	count, total := 1, size
	for _, other := range names {
		if other == name {
			continue
		}
		info, err := os.Lstat(filepath.Join(s.dir, other))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		count++
		total += info.Size()
	}
	switch {
	case count > MaxDrafts:
		return fmt.Errorf("%w: %d are kept; save or drop one first", ErrFull, MaxDrafts)
	case total > MaxBytes:
		return fmt.Errorf("%w: all together would have %d bytes, the limit is %d; save or drop one first", ErrFull, total, MaxBytes)
	}
	return nil
}

// Drop removes a draft. It is no error if there is none.
func (s *Store) Drop(ctx context.Context, id document.ID, owner string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("drop the draft of %q: %w", id, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	err := durable.Remove(filepath.Join(s.dir, fileName(id, owner)))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("drop the draft of %q: %w", id, err)
	}
	return nil
}

// List returns the drafts of all owners, newest first. One that was damaged
// since Open is set aside.
func (s *Store) List(ctx context.Context) ([]Draft, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	names, err := s.names()
	if err != nil {
		return nil, fmt.Errorf("list drafts: %w", err)
	}
	var out []Draft
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("list drafts: %w", err)
		}
		d, err := s.read(name)
		switch {
		case errors.Is(err, fs.ErrNotExist): // dropped meanwhile
			continue
		case errors.Is(err, ErrDamaged):
			if err := s.setAside(name, err); err != nil {
				return nil, fmt.Errorf("list drafts: %w", err)
			}
			continue
		case err != nil:
			return nil, fmt.Errorf("list drafts: %w", err)
		}
		out = append(out, d)
	}
	slices.SortFunc(out, func(a, b Draft) int {
		if n := b.At.Compare(a.At); n != 0 {
			return n
		}
		if n := strings.Compare(a.ID.String(), b.ID.String()); n != 0 {
			return n
		}
		return strings.Compare(a.Owner, b.Owner)
	})
	return out, nil
}
