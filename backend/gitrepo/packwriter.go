package gitrepo

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1" //nolint:gosec // the format of git demands it
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/caiatech/caiatop/backend/durable"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/klauspost/compress/zlib"
)

const (
	packPerm   = 0o444 // git's own: objects never change
	packBuffer = 256 << 10
	tempPrefix = "tmp_caiatop_" // "tmp_" is what git prunes, too
)

// packWriter writes one pack and its index. Objects are written whole,
// without deltas: git makes those when it repacks.
type packWriter struct {
	volume  durable.Volume
	dir     string
	file    *durable.File
	out     *bufio.Writer
	sum     hash.Hash
	written int64
	count   int
	entries []indexEntry
}

// deflater is a compressor and its output, kept for the next object: making
// one costs more than compressing a small object.
type deflater struct {
	zlib   *zlib.Writer
	output bytes.Buffer
}

var deflaters = sync.Pool{New: func() any {
	d := &deflater{}
	z, err := zlib.NewWriterLevel(&d.output, zlib.BestSpeed)
	if err != nil {
		panic("gitrepo: zlib refuses its own constant: " + err.Error())
	}
	d.zlib = z
	return d
}}

var buffers = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, packBuffer) }}

// newPackWriter begins a pack of exactly count objects in dir.
func newPackWriter(v durable.Volume, dir string, count int) (*packWriter, error) {
	file, err := v.CreateTemp(dir, tempName(), packPerm)
	if err != nil {
		return nil, err
	}
	w := &packWriter{ //nolint:forcetypeassert // the pool makes nothing else
		volume: v, dir: dir, file: file, out: buffers.Get().(*bufio.Writer), sum: sha1.New(), //nolint:gosec // git's format
		count: count, entries: make([]indexEntry, 0, count),
	}
	w.out.Reset(file)
	header := binary.BigEndian.AppendUint32([]byte("PACK\x00\x00\x00\x02"), uint32(count)) //nolint:gosec // bounded by memory
	if err := w.write(header); err != nil {
		return nil, errors.Join(err, w.abort())
	}
	return w, nil
}

// tempName carries our process id, so that what a dead process left can be
// told from what a living one is writing.
func tempName() string { return tempPrefix + strconv.Itoa(os.Getpid()) + "_" }

func (w *packWriter) write(data []byte) error {
	w.sum.Write(data)
	w.written += int64(len(data))
	_, err := w.out.Write(data)
	return err
}

// add compresses one object.
func (w *packWriter) add(s staged) error {
	d := deflaters.Get().(*deflater) //nolint:forcetypeassert // the pool makes nothing else
	defer deflaters.Put(d)
	d.output.Reset()
	d.output.Write(appendEntryHeader(nil, s.kind, len(s.data)))
	d.zlib.Reset(&d.output)
	if _, err := d.zlib.Write(s.data); err != nil {
		return fmt.Errorf("compress %s: %w", s.hash, err)
	}
	if err := d.zlib.Close(); err != nil {
		return fmt.Errorf("compress %s: %w", s.hash, err)
	}
	err := w.addRaw(s.hash, d.output.Bytes())
	if d.output.Cap() > 1<<20 {
		d.output = bytes.Buffer{} // one large object must not stay in the pool
	}
	return err
}

// addRaw adds an entry as it is in another pack.
func (w *packWriter) addRaw(h Hash, entry []byte) error {
	w.entries = append(w.entries, indexEntry{h, crc32.ChecksumIEEE(entry), w.written})
	return w.write(entry)
}

// finish brings the pack to the disk, then its index, then both names, and
// returns the path of the index.
func (w *packWriter) finish() (string, error) {
	if len(w.entries) != w.count {
		return "", errors.Join(fmt.Errorf("pack of %d objects got %d", w.count, len(w.entries)), w.abort())
	}
	var sum Hash
	w.sum.Sum(sum[:0])
	_, err := w.out.Write(sum[:])
	if err == nil {
		err = w.out.Flush()
	}
	w.out.Reset(nil)
	buffers.Put(w.out)
	if err != nil {
		return "", errors.Join(err, w.abort())
	}
	base := filepath.Join(w.dir, "pack-"+sum.String())
	if err := w.file.Place(base + ".pack"); err != nil {
		return "", err
	}
	file, err := w.volume.CreateTemp(w.dir, tempName(), packPerm)
	if err != nil {
		return "", err
	}
	if _, err := file.Write(encodeIndex(w.entries, sum)); err != nil {
		return "", errors.Join(err, file.Abort())
	}
	// One sync of the folder covers both names; they were given in this order.
	return base + ".idx", file.Commit(base + ".idx")
}

func (w *packWriter) abort() error { return w.file.Abort() }

func appendEntryHeader(b []byte, kind plumbing.ObjectType, size int) []byte {
	first := byte(kind)<<4 | byte(size&15) //nolint:gosec // types are below 8
	for size >>= 4; size > 0; size >>= 7 {
		b = append(b, first|0x80)
		first = byte(size & 0x7f)
	}
	return append(b, first)
}

// writePack writes objects as one pack, if there are any.
func writePack(ctx context.Context, v durable.Volume, dir string, objects []staged) (string, error) {
	w, err := newPackWriter(v, dir, len(objects))
	if err != nil {
		return "", err
	}
	for _, s := range objects {
		err := ctx.Err()
		if err == nil {
			err = w.add(s)
		}
		if err != nil {
			return "", errors.Join(err, w.abort())
		}
	}
	if err := ctx.Err(); err != nil {
		return "", errors.Join(err, w.abort())
	}
	return w.finish()
}
