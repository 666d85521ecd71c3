package gitrepo

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/caiatech/caiatop/backend/durable"
)

const (
	// alternates names the folders of objects that are borrowed.
	alternates = "info/alternates"
	// maxLenders bounds them, and those that they borrow from in turn.
	maxLenders = 64
	// lenderCache bounds the cache of each, in bytes: what is borrowed is kept
	// in the cache of who borrows.
	lenderCache = 1 << 10
)

// borrow opens the folders of objects that this one borrows from, for reading,
// and those that they borrow from.
func (s *packStore) borrow() error {
	known := map[string]struct{}{filepath.Clean(s.dir): {}}
	queue := []string{s.dir}
	for len(queue) > 0 {
		lent, err := readAlternates(s.volume, queue[0])
		if err != nil {
			return err
		}
		queue = queue[1:]
		for _, dir := range lent {
			if _, twice := known[dir]; twice {
				continue
			}
			if len(s.lenders) == maxLenders {
				return fmt.Errorf("%w: it borrows the objects of more than %d repositories", ErrInvalid, maxLenders)
			}
			known[dir] = struct{}{}
			lender, err := newPackStore(s.volume, dir, lenderCache)
			if err != nil {
				return fmt.Errorf("the objects that are borrowed from %s: %w", dir, err)
			}
			lender.keeper.stop()
			s.lenders, queue = append(s.lenders, lender), append(queue, dir)
		}
	}
	return nil
}

// readAlternates returns the folders of objects that one borrows from.
func readAlternates(v durable.Volume, objects string) ([]string, error) {
	data, err := v.ReadFile(filepath.Join(objects, alternates))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []string
	for line := range strings.Lines(string(data)) {
		line = strings.TrimRight(line, "\r\n")
		if line == "" || line[0] == '#' {
			continue
		}
		if line[0] == '"' { // git quotes odd names as C does
			if line, err = strconv.Unquote(line); err != nil {
				return nil, fmt.Errorf("%w: %s: %w", ErrInvalid, alternates, err)
			}
		}
		out = append(out, relativeTo(objects, line))
	}
	return out, nil
}

// borrowed reads an object from where it is borrowed.
func (s *packStore) borrowed(h Hash) (object, error) {
	for _, lender := range s.lenders {
		o, err := lender.object(h)
		if !errors.Is(err, ErrNotFound) {
			return o, err
		}
	}
	return object{}, fmt.Errorf("object %s: %w", h, ErrNotFound)
}

// shallow returns the commits of a shallow clone whose parents were left out;
// none of a whole repository.
func (s *packStore) shallow() (map[Hash]struct{}, error) {
	path := filepath.Join(filepath.Dir(s.dir), "shallow")
	data, err := s.volume.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	out := make(map[Hash]struct{})
	for line := range bytes.Lines(data) {
		h, ok := parseHash(bytes.TrimSpace(line))
		if !ok {
			return nil, fmt.Errorf("%w: %s: the line %.80q", ErrCorrupt, path, line)
		}
		out[h] = struct{}{}
	}
	return out, nil
}

// partial reports whether objects were left at the repository that this one
// was cloned from, to be fetched by git when it needs them.
func (s *packStore) partial() (bool, error) {
	entries, err := s.volume.ReadDir(s.packDir())
	if err != nil {
		return false, err
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".promisor") {
			return true, nil
		}
	}
	return false, nil
}

// incomplete tells an object that a clone was made without from one that is
// lost.
func (s *packStore) incomplete(h Hash) error {
	if partial, err := s.partial(); err != nil {
		return err
	} else if partial {
		return fmt.Errorf("%w: %s was left where this partial clone was made from; fetch all with git fetch --refetch --no-filter, or use a whole clone", ErrIncomplete, h)
	}
	if cut, err := s.shallow(); err != nil {
		return err
	} else if len(cut) > 0 {
		return fmt.Errorf("%w: %s lies before the history of this shallow clone; fetch all with git fetch --unshallow, or use a whole clone", ErrIncomplete, h)
	}
	return nil
}

func (s *packStore) loosePath(h Hash) string {
	name := h.String()
	return filepath.Join(s.dir, name[:2], name[2:])
}

// looseNames lists the objects that are files of their own.
func (s *packStore) looseNames() ([]Hash, error) {
	folders, err := s.volume.ReadDir(s.dir)
	if err != nil {
		return nil, err
	}
	var out []Hash
	for _, folder := range folders {
		if _, err := hex.DecodeString(folder.Name()); err != nil || len(folder.Name()) != 2 || !folder.IsDir() {
			continue
		}
		files, err := s.volume.ReadDir(filepath.Join(s.dir, folder.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue // empty, and removed meanwhile
		}
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			if h, ok := parseHash([]byte(folder.Name() + file.Name())); ok {
				out = append(out, h)
			}
		}
	}
	return out, nil
}
