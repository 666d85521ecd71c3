package gitrepo

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/caiatech/caiatop/backend/durable"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/klauspost/compress/zlib"
)

const (
	packHeader = 12
	// maxChain bounds the deltas between an object and its base; git makes at
	// most 4,095.
	maxChain = 4096
	// smallPack is the size below which it does not matter how well a pack is
	// compressed, in bytes (16 KiB).
	smallPack = 16 << 10
	// firstRoom is what an object is given before it is read, in bytes (512
	// KiB). A larger one gets more as it comes: it never takes more than twice
	// what is there of it, or about 2,000 times the bytes of the file.
	firstRoom = 512 << 10
)

// pack reads one pack file. It is safe for concurrent use.
type pack struct {
	name  string // pack-{checksum}, without a suffix
	path  string
	file  durable.Handle
	size  int64 // of the file
	index *index
	id    uint64 // of this opening
	bases *bases
	// foreign packs are marked by git (.keep, .promisor, .mtimes): they are
	// never consolidated and not counted. Marks come and go.
	foreign atomic.Bool
	// damage is what the maintenance found, which then leaves the pack alone.
	damage atomic.Pointer[damage]
	// retired packs have all their objects in another one and are being
	// removed.
	retired atomic.Bool
	closing sync.Once
	// unfinished says that the first entry is not compressed as well as the
	// maintenance would, and so likely others, and that it is worth doing
	// something about.
	unfinished bool
}

// openPack opens the pack of that index file and checks that the two belong
// together.
func openPack(v durable.Volume, indexPath string, kept *bases) (*pack, error) {
	x, err := openIndex(v, indexPath)
	if err != nil {
		return nil, err
	}
	base := strings.TrimSuffix(indexPath, ".idx")
	p := &pack{name: filepath.Base(base), path: base + ".pack", index: x, id: packCount.Add(1), bases: kept}
	if p.file, err = v.Open(p.path); err == nil {
		err = p.check()
	}
	if err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

func (p *pack) check() error {
	info, err := p.file.Stat()
	if err != nil {
		return err
	}
	p.size = info.Size()
	var header [packHeader + 16]byte // the first entry begins behind it
	if _, err := p.file.ReadAt(header[:], 0); err != nil {
		return readError(p.path, err)
	}
	p.unfinished = p.size >= smallPack && isUnfinished(header[packHeader:])
	version := binary.BigEndian.Uint32(header[4:])
	if string(header[:4]) != "PACK" || (version != 2 && version != 3) {
		return p.corrupt(0, "it is no pack of version 2 or 3")
	}
	if n := binary.BigEndian.Uint32(header[8:]); int64(n) != int64(p.index.count) {
		return p.corrupt(0, fmt.Sprintf("it has %d objects, its index %d", n, p.index.count))
	}
	var sum Hash
	if _, err := p.file.ReadAt(sum[:], max(p.size-int64(hashSize), 0)); err != nil {
		return readError(p.path, err)
	}
	if sum != p.index.pack {
		return p.corrupt(p.size, "its checksum is not the one that its index names")
	}
	return nil
}

// close may be called twice: by who removes a pack, and by who misses it.
func (p *pack) close() (err error) {
	p.closing.Do(func() {
		err = p.index.close()
		if p.file != nil {
			err = errors.Join(err, p.file.Close())
		}
	})
	return err
}

func (p *pack) corrupt(at int64, what string) error {
	return fmt.Errorf("%w: %s at %d: %s", ErrCorrupt, p.path, at, what)
}

// readError tells a file that was closed under a reader, who looks again,
// from one that is damaged.
func readError(path string, err error) error {
	if errors.Is(err, os.ErrClosed) {
		return err
	}
	return fmt.Errorf("%w: %s: %w", ErrCorrupt, path, err)
}

// isUnfinished reports whether an entry that begins so compresses less than the
// maintenance would.
func isUnfinished(entry []byte) bool {
	for i, b := range entry {
		if b&0x80 == 0 {
			stream := entry[i+1:]
			return len(stream) > 1 && stream[0] == 0x78 && unfinishedStream(stream[1])
		}
	}
	return false
}

// deltaStep is a delta on the way to its base.
type deltaStep struct {
	offset int64
	delta  []byte
}

// object returns the object at an offset, its deltas applied.
func (p *pack) object(h Hash, offset int64) (object, error) {
	in := inputs.Get().(*input) //nolint:forcetypeassert // the pool makes nothing else
	defer inputs.Put(in)
	var steps []deltaStep
	held, at := int64(0), offset
	for {
		if o, ok := p.bases.get(p, at); ok {
			return p.applySteps(h, offset, o, steps)
		}
		e, err := p.entry(in, at)
		if err != nil {
			return object{}, err
		}
		if held += int64(len(e.data)); held > 2*MaxObject {
			return object{}, fmt.Errorf("%w: the deltas of %s", ErrTooLarge, h)
		}
		if e.kind != plumbing.OFSDeltaObject && e.kind != plumbing.REFDeltaObject {
			o := object{e.kind, e.data}
			if len(steps) > 0 {
				p.bases.put(p, at, o)
			}
			return p.applySteps(h, offset, o, steps)
		}
		if len(steps) == maxChain {
			return object{}, p.corrupt(offset, "its deltas do not end")
		}
		steps = append(steps, deltaStep{at, e.data})
		at = e.base
	}
}

// applySteps makes the object from the base that was found, and keeps the
// bases on the way.
func (p *pack) applySteps(h Hash, offset int64, o object, steps []deltaStep) (object, error) {
	for i := len(steps) - 1; i >= 0; i-- {
		data, err := applyDelta(o.data, steps[i].delta)
		switch {
		case errors.Is(err, ErrTooLarge):
			return object{}, fmt.Errorf("%s: %w", h, err)
		case err != nil:
			return object{}, p.corrupt(offset, fmt.Sprintf("delta of %s: %v", h, err))
		}
		o.data = data
		if i > 0 {
			p.bases.put(p, steps[i].offset, o)
		}
	}
	return o, nil
}

// packed is one entry of a pack, inflated.
type packed struct {
	kind plumbing.ObjectType
	data []byte
	base int64 // where the base of a delta lies
}

// input is what reading an entry needs, kept for the next one.
type input struct {
	section offsetReader
	buffer  *bufio.Reader
	zlib    io.ReadCloser // nil until it was used first
}

var inputs = sync.Pool{New: func() any { return &input{buffer: bufio.NewReaderSize(nil, 4096)} }}

// offsetReader reads a file from a position on.
type offsetReader struct {
	file io.ReaderAt
	at   int64
}

func (r *offsetReader) Read(b []byte) (int, error) {
	n, err := r.file.ReadAt(b, r.at)
	r.at += int64(n)
	return n, err
}

func (p *pack) entry(in *input, offset int64) (packed, error) {
	return p.entryFrom(in, offset, p.file)
}

// entryFrom is entry for bytes of the pack that may lie elsewhere, too.
func (p *pack) entryFrom(in *input, offset int64, file io.ReaderAt) (packed, error) {
	if offset < packHeader || offset >= p.size-int64(hashSize) {
		return packed{}, p.corrupt(offset, "an object cannot begin here")
	}
	in.section = offsetReader{file, offset}
	in.buffer.Reset(&in.section)
	kind, size, err := entryHeader(in.buffer)
	if err != nil {
		return packed{}, readError(p.path, err)
	}
	if size > MaxObject {
		return packed{}, fmt.Errorf("%w: the object at %d of %s has %d bytes", ErrTooLarge, offset, p.path, size)
	}
	e := packed{kind: kind}
	switch kind {
	case plumbing.CommitObject, plumbing.TreeObject, plumbing.BlobObject, plumbing.TagObject:
	case plumbing.OFSDeltaObject:
		back, err := readOffset(in.buffer)
		if err != nil {
			return packed{}, readError(p.path, err)
		}
		if back <= 0 || back >= offset {
			return packed{}, p.corrupt(offset, "its base is not before it")
		}
		e.base = offset - back
	case plumbing.REFDeltaObject:
		var base Hash
		if _, err := io.ReadFull(in.buffer, base[:]); err != nil {
			return packed{}, readError(p.path, err)
		}
		at, ok, err := p.index.find(base)
		if err != nil {
			return packed{}, err
		}
		if !ok {
			return packed{}, p.corrupt(offset, fmt.Sprintf("its base %s is not in the pack", base))
		}
		e.base = at
	default:
		return packed{}, p.corrupt(offset, fmt.Sprintf("unknown object type %d", kind))
	}
	if e.data, err = in.inflate(int(size)); err != nil {
		if errors.Is(err, os.ErrClosed) {
			return packed{}, err
		}
		return packed{}, p.corrupt(offset, err.Error())
	}
	return e, nil
}

// inflate reads exactly size bytes, and that the stream ends there.
func (in *input) inflate(size int) ([]byte, error) {
	if in.zlib == nil {
		z, err := zlib.NewReader(in.buffer)
		if err != nil {
			return nil, err
		}
		in.zlib = z
	} else if err := in.zlib.(zlib.Resetter).Reset(in.buffer, nil); err != nil { //nolint:forcetypeassert // the package says so
		return nil, err
	}
	// What it says of its size is not believed before it is read.
	data := make([]byte, min(size, firstRoom))
	for filled := 0; ; {
		n, err := io.ReadFull(in.zlib, data[filled:])
		if err != nil {
			return nil, err
		}
		if filled += n; filled == size {
			break
		}
		more := min(size-filled, filled)
		data = slices.Grow(data, more)[:filled+more]
	}
	// The checksum of the stream is only looked at with its end.
	var more [1]byte
	switch n, err := in.zlib.Read(more[:]); {
	case n > 0:
		return nil, errors.New("the object is longer than it says")
	case !errors.Is(err, io.EOF):
		return nil, fmt.Errorf("end of the object: %w", err)
	}
	return data, nil
}

// entryHeader reads type and size of an entry.
func entryHeader(r io.ByteReader) (plumbing.ObjectType, uint64, error) {
	b, err := r.ReadByte()
	if err != nil {
		return 0, 0, err
	}
	kind := plumbing.ObjectType(b >> 4 & 7)
	size := uint64(b & 15)
	for shift := 4; b&0x80 != 0; shift += 7 {
		if shift > 56 {
			return 0, 0, errors.New("the size of an object does not end")
		}
		if b, err = r.ReadByte(); err != nil {
			return 0, 0, err
		}
		size |= uint64(b&0x7f) << shift
	}
	return kind, size, nil
}

// readOffset reads the distance to the base of a delta.
func readOffset(r io.ByteReader) (int64, error) {
	b, err := r.ReadByte()
	if err != nil {
		return 0, err
	}
	offset := int64(b & 0x7f)
	for i := 0; b&0x80 != 0; i++ {
		if i == 8 {
			return 0, errors.New("the distance to a base does not end")
		}
		if b, err = r.ReadByte(); err != nil {
			return 0, err
		}
		offset = (offset+1)<<7 | int64(b&0x7f)
	}
	return offset, nil
}
