package gitrepo

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"time"

	"github.com/caiatech/caiatop/backend/durable"
)

const (
	// maxSegment is how much one of the two segments takes, in bytes (8 MiB), and
	// maxSegmentObjects how many objects; what is more goes to the other one. It
	// is also what waits in memory.
	maxSegment        = 8 << 20
	maxSegmentObjects = 1 << 16
	// growSegment is by how much a segment grows (256 KiB): where its size stays, a
	// sync writes nothing but the records.
	growSegment = 256 << 10
)

var segmentZeros [growSegment]byte

// segment is one of the two files of the journal, and what is in it. What is
// not said to be otherwise is guarded by journal.writing.
type segment struct {
	volume durable.Volume
	path   string
	file   *durable.InPlace // nil if there is none
	size   int64            // of the file
	head   segmentHead
	end    int64 // of the last acknowledged record; 0 if there is none
	// suspect: a write failed, and what it wrote may be on the disk.
	suspect bool

	first, last time.Time        // when the first and the last record came; guarded by journal.mu
	staged      []staged         // all objects, in their order
	moves       map[string]*span // by reference

	mu      sync.RWMutex // guards objects
	objects map[Hash]object
}

// span is what the records of a segment do to a reference.
type span struct{ old, new Hash }

func segmentPath(dir string, i int) string {
	return filepath.Join(dir, fmt.Sprintf("%s%d", journalPrefix, i))
}

// open makes sure that there is a file, with a head on the disk.
func (s *segment) open() error {
	if s.file != nil {
		return nil
	}
	file, err := s.volume.OpenInPlace(s.path, journalPerm)
	if err != nil {
		return err
	}
	start := segmentHead{state: stateVoid}.append(nil)
	if err = file.WriteAt(segmentZeros[:], 0); err == nil {
		err = file.WriteAt(start, 0)
	}
	if err == nil {
		err = file.Sync()
	}
	if err == nil {
		err = s.volume.SyncDir(filepath.Dir(s.path))
	}
	if err != nil {
		return errors.Join(err, file.Close(), ignoreMissing(s.volume.Discard(s.path)))
	}
	s.file, s.size = file, int64(len(segmentZeros))
	return nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// empty reports whether nothing is to be published, or to be cleared away.
func (s *segment) empty() bool { return s.end == 0 && !s.suspect }

// fits reports whether one more record has room.
func (s *segment) fits(bytes int) bool {
	return s.end == 0 || s.end+int64(bytes) <= maxSegment && len(s.staged) < maxSegmentObjects
}

// write brings a record to the disk. use counts the uses of segments.
func (s *segment) write(use uint64, e *entry) error {
	if err := s.open(); err != nil {
		return err
	}
	at := s.end
	if at == 0 {
		nonce, err := newNonce()
		if err != nil {
			return err
		}
		s.head = segmentHead{use: use, nonce: nonce, first: e.number, state: stateLive}
		at = journalBlock
	}
	record, kept := e.encode(s.head.nonce)
	end := at + int64(len(record))
	if s.end == 0 {
		if err := s.file.WriteAt(s.head.append(nil), 0); err != nil {
			return err
		}
	}
	if err := s.file.WriteAt(record, at); err != nil {
		return err
	}
	for s.size < end {
		grown := max(s.size, end)
		more := growSegment - grown%growSegment
		if err := s.file.WriteAt(segmentZeros[:more], grown); err != nil {
			return err
		}
		s.size = grown + more
	}
	if err := s.file.Sync(); err != nil {
		return err
	}
	s.note(e, kept, end)
	return nil
}

func newNonce() (uint64, error) {
	var random [8]byte
	if _, err := rand.Read(random[:]); err != nil {
		return 0, fmt.Errorf("make up the nonce of a journal: %w", err)
	}
	return binary.LittleEndian.Uint64(random[:]), nil
}

// note takes what was brought to the disk.
func (s *segment) note(e *entry, kept []staged, end int64) {
	s.end = end
	s.staged = append(s.staged, kept...)
	if s.moves == nil {
		s.moves = make(map[string]*span)
	}
	if m := s.moves[e.ref]; m != nil {
		m.new = e.new
	} else {
		s.moves[e.ref] = &span{e.old, e.new}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.objects == nil {
		s.objects = make(map[Hash]object, len(kept))
	}
	for _, o := range kept {
		s.objects[o.hash] = o.object
	}
}

func (s *segment) object(h Hash) (object, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	o, ok := s.objects[h]
	return o, ok
}

// void says on the disk that all records are published. A file that failed goes
// instead: nothing that it holds may count.
func (s *segment) void() error {
	if s.file == nil {
		return nil
	}
	if s.file.Failed() == nil {
		gone := s.head
		gone.state = stateVoid
		err := s.file.WriteAt(gone.append(nil), 0)
		if err == nil {
			err = s.file.Sync()
		}
		if err == nil {
			return nil
		}
	}
	if err := ignoreMissing(s.volume.Discard(s.path)); err != nil {
		return err
	}
	if err := s.volume.SyncDir(filepath.Dir(s.path)); err != nil {
		return err
	}
	// Whatever closing it says: it is gone.
	_ = s.file.Close()
	s.file, s.size = nil, 0
	return nil
}

// reset makes a segment ready for its next use.
func (s *segment) reset() {
	s.end, s.suspect, s.staged, s.moves = 0, false, nil, nil
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects = nil
}

// discard closes the file of an empty segment and removes it.
func (s *segment) discard() error {
	if s.file == nil {
		return nil
	}
	err := errors.Join(s.file.Close(), ignoreMissing(s.volume.Discard(s.path)))
	s.file, s.size = nil, 0
	return err
}
