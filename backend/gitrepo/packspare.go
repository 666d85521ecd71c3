package gitrepo

import (
	"errors"
	"sync"
	"time"

	"github.com/caiatech/caiatop/backend/durable"
)

const (
	// maxSpares is how many empty files are kept for the next pack: one for the
	// pack, one for its index.
	maxSpares = 2
	// spareAge is how old such a file may be: git and other processes remove
	// temporary files that they take for abandoned, after an hour or more.
	spareAge = 10 * time.Minute
)

// spares are temporary files that were made before anybody needs them: to make
// a file can take as long as to sync one. They are lost without harm, by a crash
// or by others who clear up.
type spares struct {
	volume durable.Volume
	dir    string
	mu     sync.Mutex
	files  []spare
	closed bool
}

type spare struct {
	file *durable.File
	made time.Time
}

// temp returns an empty temporary file, a spare one if there is one.
func (s *spares) temp() (*durable.File, error) {
	s.mu.Lock()
	var file *durable.File
	var err error
	for len(s.files) > 0 && file == nil && err == nil {
		last := s.files[len(s.files)-1]
		s.files = s.files[:len(s.files)-1]
		if _, gone := s.volume.Lstat(last.file.Path()); gone == nil && time.Since(last.made) < spareAge {
			file = last.file
		} else {
			err = last.file.Abort()
		}
	}
	s.mu.Unlock()
	if file != nil || err != nil {
		return file, err
	}
	return s.volume.CreateTemp(s.dir, tempName(), packPerm)
}

// fill makes spare files. If that fails, whoever needs one will be told.
func (s *spares) fill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.closed && len(s.files) < maxSpares {
		file, err := s.volume.CreateTemp(s.dir, tempName(), packPerm)
		if err != nil {
			return
		}
		s.files = append(s.files, spare{file, time.Now()})
	}
}

// close removes what is left. From then on none are made.
func (s *spares) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	var err error
	for _, left := range s.files {
		err = errors.Join(err, left.file.Abort())
	}
	s.files = nil
	return err
}
