package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Unnamed is an open file that is in no folder. When it is closed it is gone,
// and so it is when its process dies, unless Link gave it a name.
type Unnamed interface {
	Handle
	// Link names the file; fs.ErrExist if something has that name. As every new
	// name it is durable when its folder was synced.
	Link(name string) error
}

// Unnamer is what an FS can do besides, where the system can.
type Unnamer interface {
	// OpenUnnamed makes a file for writing on the file system of a folder.
	OpenUnnamed(dir string, perm os.FileMode) (Unnamed, error)
}

// CreateUnnamed makes a file that is in no folder until Claim or Place names it.
// Where it replaces another file it gets a name with that prefix first, in dir.
// The error wraps errors.ErrUnsupported where there is no such thing.
func (v Volume) CreateUnnamed(dir, prefix string, perm os.FileMode) (*File, error) {
	name, err := tempName(prefix)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, name)
	maker, ok := v.fs().(Unnamer)
	if !ok {
		return nil, wrap("create", path, errors.ErrUnsupported)
	}
	file, err := maker.OpenUnnamed(dir, perm)
	if err != nil {
		return nil, wrap("create", path, err)
	}
	return &File{volume: v, file: file, unnamed: file, path: path}, nil
}

// Claim gives a file of CreateUnnamed the name that Create would have given it:
// fs.ErrExist if somebody has it. After an error the file has no name yet.
func (f *File) Claim(path string) error {
	if f.unnamed == nil || f.done {
		return fmt.Errorf("name %s: %w", path, fs.ErrInvalid)
	}
	if err := f.unnamed.Link(path); err != nil {
		return wrap("create", path, err)
	}
	f.unnamed, f.path = nil, path
	return nil
}

// name gives a file its final name.
func (f *File) name(final string) error {
	if f.unnamed != nil {
		err := f.unnamed.Link(final)
		if !errors.Is(err, fs.ErrExist) {
			return wrap("name", final, err)
		}
		// A link does not replace what is there.
		if err := f.Claim(f.path); err != nil {
			return err
		}
	}
	if err := f.volume.fs().Rename(f.path, final); err != nil {
		err = wrap("rename", f.path, err)
		return errors.Join(err, f.volume.Discard(f.path))
	}
	return nil
}

// OpenUnnamed implements Unnamer where the file system below does.
func (t tracked) OpenUnnamed(dir string, perm os.FileMode) (Unnamed, error) {
	if maker, ok := t.FS.(Unnamer); ok {
		return maker.OpenUnnamed(dir, perm)
	}
	return nil, errors.ErrUnsupported
}
