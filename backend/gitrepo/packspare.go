package gitrepo

import (
	"errors"
	"os"
	"sync"

	"github.com/caiatech/caiatop/backend/durable"
)

const (
	// sparePacks is how many empty files are kept for the next pack: itself and
	// its index. spareLocks is how many for locks: those of a branch and a mark.
	sparePacks = 2
	spareLocks = 2
	// maxRetired bounds the files that are kept open to be closed later.
	maxRetired = 16
)

// spares are files that were made before anybody needs them, and files that
// nobody needs any more: for a file system it takes about as long to find a
// place for a file, or to free it, as to sync one, and no commit waits for that.
//
// They are in no folder and gone with the process. Where there are none, be it
// that the file system cannot, files are made when they are needed.
type spares struct {
	volume durable.Volume
	packs  shelf
	locks  shelf
	wanted chan struct{} // one token: there may be something to do; nil if nobody does it

	filling sync.Mutex // held by who makes them
	checked bool       // guarded by filling: they can be named here

	mu      sync.Mutex
	retired []durable.Handle
	off     bool // none can be made
	closed  bool
}

// shelf is the spares of one kind, guarded by spares.mu.
type shelf struct {
	dir   string // on whose file system they are
	perm  os.FileMode
	most  int
	files []*durable.File
}

func newSpares(v durable.Volume, packs, locks string) *spares {
	return &spares{
		volume: v, wanted: make(chan struct{}, 1),
		packs: shelf{dir: packs, perm: packPerm, most: sparePacks},
		locks: shelf{dir: locks, perm: filePerm, most: spareLocks},
	}
}

// temp returns an empty temporary file for a pack or an index.
func (s *spares) temp() (*durable.File, error) {
	if file := s.take(&s.packs); file != nil {
		return file, nil
	}
	return s.volume.CreateTemp(s.packs.dir, tempName(), packPerm)
}

// take returns a spare file, nil if there is none.
func (s *spares) take(from *shelf) *durable.File {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := len(from.files) - 1
	if last < 0 {
		return nil
	}
	file := from.files[last]
	from.files = from.files[:last]
	return file
}

// lock takes a lock file that holds data, if there is a spare one; else, and
// where the name is taken, it returns nil.
func (s *spares) lock(path string, data []byte) *durable.File {
	file := s.take(&s.locks)
	if file == nil {
		return nil
	}
	// The content comes first: by its time others tell whose owner is dead.
	_, err := file.Write(data)
	if err == nil {
		err = file.Claim(path)
	}
	if err == nil {
		return file
	}
	// Whoever makes the lock now is told of what is wrong.
	_ = file.Abort()
	return nil
}

// retire takes the last handle of a file that is about to be replaced: the
// file is freed when it is closed.
func (s *spares) retire(h durable.Handle) {
	s.mu.Lock()
	full := s.closed || s.wanted == nil || len(s.retired) >= maxRetired
	if !full {
		s.retired = append(s.retired, h)
	}
	s.mu.Unlock()
	if full {
		_ = h.Close() // it was opened for nothing but this
	}
}

// wake asks for what refill does.
func (s *spares) wake() {
	select {
	case s.wanted <- struct{}{}:
	default: // it was asked for, or nobody does it
	}
}

// refill makes the files that are missing, and closes those that retired. If
// that fails, whoever needs a file will be told.
func (s *spares) refill() {
	s.filling.Lock()
	defer s.filling.Unlock()
	s.mu.Lock()
	retired := s.retired
	s.retired = nil
	s.mu.Unlock()
	for _, h := range retired {
		_ = h.Close() // as in retire
	}
	for _, kind := range []*shelf{&s.packs, &s.locks} {
		for s.lacks(kind) {
			if !s.checked && !s.check() {
				return
			}
			file, err := s.volume.CreateUnnamed(kind.dir, tempName(), kind.perm)
			if err != nil {
				return
			}
			if !s.put(kind, file) {
				_ = file.Abort() // closed meanwhile
			}
		}
	}
}

func (s *spares) lacks(kind *shelf) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.closed && !s.off && len(kind.files) < kind.most
}

func (s *spares) put(kind *shelf, file *durable.File) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	kind.files = append(kind.files, file)
	return true
}

// check makes sure that an unnamed file can be named, before anything relies
// on it: a machine may lack what that takes.
func (s *spares) check() bool {
	file, err := s.volume.CreateUnnamed(s.packs.dir, tempName(), packPerm)
	if err == nil {
		err = errors.Join(file.Claim(file.Path()), file.Abort())
	}
	s.checked = err == nil
	if err != nil && !errors.Is(err, durable.ErrDiskFull) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.off = true
	}
	return s.checked
}

// close lets go of all. From then on none are made.
func (s *spares) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	var err error
	for _, kind := range []*shelf{&s.packs, &s.locks} {
		for _, left := range kind.files {
			err = errors.Join(err, left.Abort())
		}
		kind.files = nil
	}
	for _, h := range s.retired {
		err = errors.Join(err, h.Close())
	}
	s.retired = nil
	return err
}
