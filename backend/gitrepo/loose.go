package gitrepo

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strconv"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/klauspost/compress/zlib"
)

// maxLooseHeader bounds "type size" at the begin of a loose object, in bytes.
const maxLooseHeader = 32

// loose reads an object that another program wrote as a file of its own. It
// never takes more memory than the object says to have, and MaxObject.
func (s *packStore) loose(h Hash) (o object, err error) {
	name := h.String()
	path := filepath.Join(s.dir, name[:2], name[2:])
	file, err := s.volume.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return object{}, fmt.Errorf("object %s: %w", h, ErrNotFound)
	}
	if err != nil {
		return object{}, fmt.Errorf("object %s: %w", h, err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	o, err = inflateLoose(file)
	if errors.Is(err, ErrTooLarge) {
		return object{}, fmt.Errorf("object %s: %w", h, err)
	}
	if err == nil {
		var name Hash
		if name, err = nameObject(o.kind, o.data); err == nil && name != h {
			err = errors.New("its content is not what its name says")
		}
	}
	if err != nil {
		return object{}, fmt.Errorf("%w: object %s: %s: %w", ErrCorrupt, h, path, err)
	}
	return o, nil
}

// inflateLoose reads "type size", a zero byte, and exactly size bytes.
func inflateLoose(file io.Reader) (object, error) {
	z, err := zlib.NewReader(file)
	if err != nil {
		return object{}, err
	}
	in := bufio.NewReader(z)
	kind, size, err := looseHeader(in)
	if err != nil {
		return object{}, err
	}
	if size > MaxObject {
		return object{}, fmt.Errorf("%w: it has %d bytes", ErrTooLarge, size)
	}
	// What it says is not believed before it is read.
	data, err := io.ReadAll(io.LimitReader(in, size+1))
	switch {
	case err != nil:
		return object{}, err
	case int64(len(data)) != size:
		return object{}, fmt.Errorf("it says that it has %d bytes, and has not", size)
	}
	return object{kind, data}, nil
}

func looseHeader(in *bufio.Reader) (plumbing.ObjectType, int64, error) {
	header := make([]byte, 0, maxLooseHeader)
	for {
		b, err := in.ReadByte()
		if err != nil {
			return 0, 0, fmt.Errorf("its header: %w", err)
		}
		if b == 0 {
			break
		}
		if len(header) == maxLooseHeader {
			return 0, 0, errors.New("its header does not end")
		}
		header = append(header, b)
	}
	name, digits, _ := bytes.Cut(header, []byte(" "))
	size, err := strconv.ParseInt(string(digits), 10, 64)
	if err != nil || size < 0 {
		return 0, 0, fmt.Errorf("its header %q names no size", header)
	}
	for _, kind := range []plumbing.ObjectType{plumbing.CommitObject, plumbing.TreeObject, plumbing.BlobObject, plumbing.TagObject} {
		if string(name) == kind.String() {
			return kind, size, nil
		}
	}
	return 0, 0, fmt.Errorf("its header %q names no type", header)
}
