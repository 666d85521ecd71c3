package gitrepo

import (
	"bufio"
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
)

const (
	packPerm   = 0o444 // git's own: objects never change
	packBuffer = 256 << 10
	tempPrefix = "tmp_caiatop_" // "tmp_" is what git prunes, too
)

// packWriter writes one pack and its index.
type packWriter struct {
	volume  durable.Volume
	dir     string
	file    *durable.File
	out     *bufio.Writer
	sum     hash.Hash
	written int64
	count   int
	header  []byte // scratch
	entries []indexEntry
	index   chan created // of the index, which is made while the pack is filled
	// syncing, if set, is called when all is written and begins to be synced.
	syncing func()
	// keep, if set, keeps the pack of that checksum and returns its name.
	keep func(sum Hash) (string, error)
}

type created struct {
	file *durable.File
	err  error
}

var buffers = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, packBuffer) }}

// newPackWriter begins a pack of exactly count objects where the files are.
func newPackWriter(files *spares, count int) (*packWriter, error) {
	file, err := files.temp()
	if err != nil {
		return nil, err
	}
	w := &packWriter{ //nolint:forcetypeassert // the pool makes nothing else
		volume: files.volume, dir: files.packs.dir, file: file, out: buffers.Get().(*bufio.Writer), sum: sha1.New(), //nolint:gosec // git's format
		count: count, entries: make([]indexEntry, 0, count), index: make(chan created, 1),
	}
	create := func() {
		file, err := files.temp()
		w.index <- created{file, err}
	}
	if count <= soonObjects {
		create() // another goroutine would be later
	} else {
		go create()
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

// whole is the base of an object that is no delta.
const whole = int64(-1)

// add appends an object: its size (that of the delta, if it is one), the
// offset of its base in this pack or whole, and its zlib stream.
func (w *packWriter) add(h Hash, kind plumbing.ObjectType, size int, base int64, stream []byte) error {
	at := w.written
	if base == whole {
		w.header = AppendEntryHeader(w.header[:0], kind, size)
	} else {
		w.header = AppendEntryHeader(w.header[:0], plumbing.OFSDeltaObject, size)
		w.header = AppendDistance(w.header, at-base)
	}
	crc := crc32.Update(crc32.ChecksumIEEE(w.header), crc32.IEEETable, stream)
	w.entries = append(w.entries, indexEntry{h, crc, at})
	return errors.Join(w.write(w.header), w.write(stream))
}

// finish brings pack and index to the disk and returns the path of the index.
func (w *packWriter) finish() (string, error) {
	indexPath, err := w.place()
	if err != nil {
		return "", err
	}
	return indexPath, w.volume.SyncDir(w.dir)
}

// place is finish without the sync of the folder.
//
// The content of both files is on the disk before either gets its name, and the
// names when the folder is synced; so a power cut leaves nothing, a pack without
// an index, an index without its pack (both of which git and complete pass
// over), or both, whole. Before that it is kept, see keeps. The two syncs run beside each other: the disk makes
// one of them.
func (w *packWriter) place() (string, error) {
	if len(w.entries) != w.count {
		return "", errors.Join(fmt.Errorf("pack of %d objects got %d", w.count, len(w.entries)), w.abort())
	}
	var sum Hash
	w.sum.Sum(sum[:0])
	_, err := w.out.Write(sum[:])
	if err == nil {
		err = w.out.Flush()
	}
	if err != nil {
		return "", errors.Join(err, w.abort())
	}
	w.release()
	// What is written before the sync is in the same step of the journal.
	name := packName(sum)
	if w.keep != nil {
		if name, err = w.keep(sum); err != nil {
			return "", errors.Join(err, w.abort())
		}
	}
	index, err := w.syncBoth(sum)
	if err != nil {
		return "", errors.Join(err, abort(index), w.file.Abort())
	}
	base := filepath.Join(w.dir, name)
	if err := w.file.Place(base + ".pack"); err != nil {
		return "", errors.Join(err, abort(index))
	}
	if err := index.Place(base + ".idx"); err != nil {
		return "", err
	}
	return base + ".idx", nil
}

// soonObjects is up to how many objects the index is written before anything is
// synced. A sync ends what the journal of the file system collects, and what is
// written a moment later waits for the next one; but the index of many objects
// takes longer than that.
const soonObjects = 512

// syncBoth fills the index and brings it and the pack to the disk, beside each
// other. The index may come with an error.
func (w *packWriter) syncBoth(sum Hash) (*durable.File, error) {
	made := <-w.index
	index, err := made.file, made.err
	if err != nil {
		return nil, err
	}
	soon := w.count <= soonObjects
	if soon {
		err = w.writeIndex(index, sum)
	}
	if err != nil {
		return index, err
	}
	if w.syncing != nil {
		w.syncing()
	}
	synced := make(chan error, 1)
	go func() { synced <- w.file.Sync() }()
	if !soon {
		err = w.writeIndex(index, sum)
	}
	if err == nil {
		err = index.Sync()
	}
	return index, errors.Join(err, <-synced)
}

func (w *packWriter) writeIndex(index *durable.File, pack Hash) error {
	_, err := index.Write(encodeIndex(w.entries, pack))
	return err
}

func (w *packWriter) abort() error {
	w.release()
	index := <-w.index
	return errors.Join(w.file.Abort(), abort(index.file)) // that there is no index is no error now
}

func abort(file *durable.File) error {
	if file == nil {
		return nil
	}
	return file.Abort()
}

// release gives the buffer back. It may be called twice.
func (w *packWriter) release() {
	if w.out != nil {
		w.out.Reset(nil)
		buffers.Put(w.out)
		w.out = nil
	}
}

// AppendEntryHeader appends the header of a pack entry, kind and size in bytes:
// four bits of the size, then seven a byte, the lowest first.
func AppendEntryHeader(b []byte, kind plumbing.ObjectType, size int) []byte {
	first := byte(kind)<<4 | byte(size&15) //nolint:gosec // types are below 8
	for size >>= 4; size > 0; size >>= 7 {
		b = append(b, first|0x80)
		first = byte(size & 0x7f)
	}
	return append(b, first)
}

// AppendDistance appends how far before an entry its base begins, in bytes: seven bits a
// byte, the highest first, one subtracted at each further byte.
func AppendDistance(b []byte, distance int64) []byte {
	var digits [10]byte
	i := len(digits) - 1
	digits[i] = byte(distance & 0x7f)
	for distance >>= 7; distance > 0; distance >>= 7 {
		distance--
		i--
		digits[i] = 0x80 | byte(distance&0x7f)
	}
	return append(b, digits[i:]...)
}
