package durable

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// InPlace is a file whose bytes are written over where they are, as those of a
// journal. It is not safe for concurrent use.
//
// A write that a power cut meets leaves any mixture of old and new sectors:
// whoever reads the file needs checksums.
type InPlace struct {
	path   string
	file   Handle
	at     io.WriterAt
	failed error
}

// OpenInPlace opens a file to write anywhere in it, and makes it if it is
// missing: then its name is durable after a SyncDir. The error wraps
// errors.ErrUnsupported where the file system has no such files.
func (v Volume) OpenInPlace(path string, perm os.FileMode) (*InPlace, error) {
	file, err := v.fs().OpenFile(path, os.O_RDWR|os.O_CREATE, perm)
	if err != nil {
		return nil, wrap("open", path, err)
	}
	at, ok := file.(io.WriterAt)
	if !ok {
		return nil, errors.Join(wrap("open", path, errors.ErrUnsupported), file.Close())
	}
	return &InPlace{path: path, file: file, at: at}, nil
}

// WriteAt puts data at an offset. After an error nothing can be written any more.
func (f *InPlace) WriteAt(data []byte, at int64) error {
	if f.failed != nil {
		return f.failed
	}
	if _, err := f.at.WriteAt(data, at); err != nil {
		return f.poison(wrap("write", f.path, err))
	}
	return nil
}

// Sync brings what was written to the disk, and no more of what the file system
// knows of the file than it takes to read it. After an error nothing can be
// written any more.
func (f *InPlace) Sync() error {
	if f.failed != nil {
		return f.failed
	}
	if err := datasync(f.file); err != nil {
		return f.poison(wrap("sync", f.path, err))
	}
	return nil
}

// Failed returns why nothing can be written any more, nil if it can.
func (f *InPlace) Failed() error { return f.failed }

// Close closes the file. Closing twice is no error.
func (f *InPlace) Close() error {
	err := f.file.Close()
	if errors.Is(err, fs.ErrClosed) {
		err = nil
	}
	return wrap("close", f.path, err)
}

func (f *InPlace) poison(err error) error {
	f.failed = fmt.Errorf("%w: %w", ErrPoisoned, err)
	return err
}

// Leave closes a file that has a name of its own and lets it keep that name.
func (f *File) Leave() error {
	if f.done || f.unnamed != nil {
		return fmt.Errorf("leave %s: %w", f.path, fs.ErrInvalid)
	}
	f.done = true
	return wrap("close", f.path, f.file.Close())
}
