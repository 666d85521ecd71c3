package gitrepo

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/go-git/go-git/v5/plumbing/format/objfile"
)

// loose reads an object that another program wrote as a file of its own.
func (s *packStore) loose(h Hash) (o object, err error) {
	name := h.String()
	path := filepath.Join(s.dir, name[:2], name[2:])
	file, err := s.volume.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return object{}, fmt.Errorf("object %s: %w", h, ErrNotFound)
	}
	if err != nil {
		return object{}, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	corrupt := func(err error) (object, error) { return object{}, fmt.Errorf("%w: %s: %w", ErrCorrupt, path, err) }
	r, err := objfile.NewReader(file)
	if err != nil {
		return corrupt(err)
	}
	kind, size, err := r.Header()
	if err != nil {
		return corrupt(errors.Join(err, r.Close()))
	}
	if size > MaxObject {
		return object{}, errors.Join(fmt.Errorf("%w: %s has %d bytes", ErrTooLarge, path, size), r.Close())
	}
	data, err := io.ReadAll(io.LimitReader(r, size+1))
	if err = errors.Join(err, r.Close()); err != nil {
		return corrupt(err)
	}
	if int64(len(data)) != size || hashObject(kind, data) != h {
		return corrupt(errors.New("its content is not what its name says"))
	}
	return object{kind, data}, nil
}
