package gitrepo

import (
	"bytes"
	"compress/zlib"
	"crypto/sha1" //nolint:gosec // the format of git demands it
	"encoding/binary"
	"hash/crc32"
	"io"
	"path/filepath"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
)

// crafted is an entry of a pack as somebody may make it by hand: what it says
// of itself need not be true.
type crafted struct {
	hash   Hash // under which the index has it
	kind   plumbing.ObjectType
	size   int    // that it says to have
	before []byte // between header and stream: the base of a delta
	data   []byte // in the stream
}

// deflated compresses: a bomb becomes small.
func deflated(data []byte) []byte {
	var out bytes.Buffer
	z, err := zlib.NewWriterLevel(&out, zlib.BestSpeed)
	if err == nil {
		_, err = z.Write(data)
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		panic(err)
	}
	return out.Bytes()
}

// craftPack makes a pack and its index.
func craftPack(entries ...crafted) (pack, idx []byte) {
	pack = binary.BigEndian.AppendUint32([]byte("PACK\x00\x00\x00\x02"), uint32(len(entries))) //nolint:gosec // few
	var index []indexEntry
	for _, e := range entries {
		entry := append(craftHead(e.kind, e.size), e.before...)
		entry = append(entry, deflated(e.data)...)
		index = append(index, indexEntry{e.hash, crc32.ChecksumIEEE(entry), int64(len(pack))})
		pack = append(pack, entry...)
	}
	sum := sha1.Sum(pack) //nolint:gosec // git's format
	return append(pack, sum[:]...), encodeIndex(index, sum)
}

func craftHead(kind plumbing.ObjectType, size int) []byte {
	b := []byte{byte(kind)<<4 | byte(size&15)}
	for size >>= 4; size > 0; size >>= 7 {
		b[len(b)-1] |= 0x80
		b = append(b, byte(size&0x7f))
	}
	return b
}

// craftDelta makes a delta of instructions.
func craftDelta(base, target uint64, instructions ...byte) []byte {
	out := binary.AppendUvarint(nil, base)
	return append(binary.AppendUvarint(out, target), instructions...)
}

func blobOf(data string) crafted {
	return crafted{hash: hashObject(plumbing.BlobObject, []byte(data)), kind: plumbing.BlobObject, size: len(data), data: []byte(data)}
}

// zeros are n bytes that compress to a thousandth.
func zeros(n int) []byte { return make([]byte, n) }

// addPack puts a pack into a repository.
func addPack(t testing.TB, dir string, entries ...crafted) {
	t.Helper()
	pack, idx := craftPack(entries...)
	base := filepath.Join(dir, "objects", "pack", "pack-"+hashObject(plumbing.BlobObject, pack).String())
	write(t, base+".pack", string(pack))
	write(t, base+".idx", string(idx))
}

// addLoose puts a loose object into a repository, under any name.
func addLoose(t testing.TB, dir string, h Hash, content []byte) {
	t.Helper()
	name := filepath.Join(dir, "objects", h.String()[:2], h.String()[2:])
	makeFolder(t, filepath.Dir(name))
	write(t, name, string(deflated(content)))
}

// inflated is what a stream holds, up to a limit; nil if it cannot be read.
func inflated(stream []byte, limit int64) []byte {
	z, err := zlib.NewReader(bytes.NewReader(stream))
	if err != nil {
		return nil
	}
	data, err := io.ReadAll(io.LimitReader(z, limit))
	if err != nil {
		return nil
	}
	return data
}
