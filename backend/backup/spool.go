package backup

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // the format of git demands it
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/klauspost/compress/zlib"
)

// spool is a pack in the making: its entries, without header and sum, because
// how many there are is known only at the end. Objects are whole, without
// deltas: what is new is small, and servers make deltas when they repack.
type spool struct {
	// limit is how much is kept in memory, in bytes; the rest goes to a temporary
	// file: a part ends with a commit, and a commit has no limit.
	limit  int64
	memory bytes.Buffer
	file   *os.File // nil while memory is enough; removed by name already
	filed  int64
	count  uint32
	zlib   *zlib.Writer
}

func (s *spool) size() int64 { return s.filed + int64(s.memory.Len()) }

// add appends one object.
func (s *spool) add(kind plumbing.ObjectType, data []byte) error {
	first, size := byte(kind)<<4|byte(len(data)&15), len(data)>>4 //nolint:gosec // types are below 8
	for ; size > 0; size >>= 7 {
		s.memory.WriteByte(first | 0x80)
		first = byte(size & 0x7f) //nolint:gosec // seven bits
	}
	s.memory.WriteByte(first)
	if s.zlib == nil {
		z, err := zlib.NewWriterLevel(&s.memory, zlib.BestSpeed)
		if err != nil {
			return fmt.Errorf("compress: %w", err)
		}
		s.zlib = z
	}
	s.zlib.Reset(&s.memory)
	if _, err := s.zlib.Write(data); err != nil {
		return fmt.Errorf("compress: %w", err)
	}
	if err := s.zlib.Close(); err != nil {
		return fmt.Errorf("compress: %w", err)
	}
	s.count++
	if int64(s.memory.Len()) >= s.limit {
		return s.spill()
	}
	return nil
}

// spill moves what is in memory to the file.
func (s *spool) spill() error {
	if s.file == nil {
		f, err := os.CreateTemp("", "caiatop-pack-")
		if err != nil {
			return fmt.Errorf("temporary file of a pack: %w", err)
		}
		if err := os.Remove(f.Name()); err != nil {
			return errors.Join(err, f.Close())
		}
		s.file = f
	}
	n, err := s.memory.WriteTo(s.file)
	s.filed += n
	return err
}

// request returns a push with this pack, and its size in bytes.
func (s *spool) request(req *packp.ReferenceUpdateRequest) (int64, io.Reader, error) {
	var head bytes.Buffer
	if err := req.Encode(&head); err != nil {
		return 0, nil, err
	}
	header := binary.BigEndian.AppendUint32([]byte("PACK\x00\x00\x00\x02"), s.count)
	sum := sha1.New() //nolint:gosec // the format of git
	sum.Write(header)
	if _, err := io.Copy(sum, s.entries()); err != nil {
		return 0, nil, err
	}
	trailer := sum.Sum(nil)
	size := int64(head.Len()+len(header)+len(trailer)) + s.size()
	return size, io.MultiReader(&head, bytes.NewReader(header), s.entries(), bytes.NewReader(trailer)), nil
}

func (s *spool) entries() io.Reader {
	memory := bytes.NewReader(s.memory.Bytes())
	if s.file == nil {
		return memory
	}
	return io.MultiReader(io.NewSectionReader(s.file, 0, s.filed), memory)
}

// reset forgets the pack. The file has no name any more: closing it is all.
func (s *spool) reset() {
	s.memory.Reset()
	if int64(s.memory.Cap()) > 2*s.limit {
		s.memory = bytes.Buffer{}
	}
	if s.file != nil {
		_ = s.file.Close() // it has no name, and what it held is not wanted any more
	}
	s.file, s.filed, s.count = nil, 0, 0
}

// bounded keeps the first of what is written to it, without secrets: they are
// taken out before anything is cut, so that no part of one is left at the end.
type bounded struct {
	hide redactor
	mu   sync.Mutex
	text []byte
	more bool // was written than is kept
}

// Write implements io.Writer.
func (b *bounded) Write(data []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	room := maxSaid + b.hide.longest() - len(b.text)
	b.more = b.more || len(data) > room
	b.text = append(b.text, data[:min(len(data), room)]...)
	return len(data), nil
}

func (b *bounded) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	text := b.hide.text(string(b.text))
	if b.more { // what is left of a secret that was cut is at the end
		text = text[:max(0, len(text)-b.hide.longest())]
	}
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "?")), " ")
	return strings.ToValidUTF8(text[:min(len(text), maxSaid)], "")
}

// missing recognises how servers say that there is no such repository.
func missing(words string) bool {
	words = strings.ToLower(words)
	for _, say := range []string{"not found", "does not appear to be a git repository", "no such repository", "does not exist", "not exported"} {
		if strings.Contains(words, say) {
			return true
		}
	}
	return false
}

// encodeFetch returns a request for objects, and its size in bytes.
func encodeFetch(req *packp.UploadPackRequest) (int64, io.Reader, error) {
	var out bytes.Buffer
	if err := req.UploadRequest.Encode(&out); err != nil {
		return 0, nil, err
	}
	out.WriteString("0009done\n")
	return int64(out.Len()), &out, nil
}
