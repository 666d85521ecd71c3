package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caiatech/caiatop/backend/durable"
)

// Limits of the record.
const (
	// MaxFile bounds a file, in bytes (8 MiB).
	MaxFile = 8 << 20
	// Keep is how many full files are kept beside the current one.
	Keep = 16
	// MaxBatch bounds the entries that wait for one fsync; more are refused.
	MaxBatch = 4096
	// retryAfter is how long a record that could not be written refuses entries
	// before it looks at the disk again.
	retryAfter = time.Second

	defaultName = "audit"
)

var (
	// ErrBusy: more entries wait to be recorded than MaxBatch.
	ErrBusy = errors.New("audit: too many entries wait to be recorded")
	// ErrMoved: the current file is not where it was; its folder may have been
	// moved away, with all that was recorded.
	ErrMoved = errors.New("audit: the file that is written is not in its place any more")
	// ErrClosed: the record was closed.
	ErrClosed = fmt.Errorf("audit: the record was closed: %w", fs.ErrClosed)
)

// Options configure a Log. The zero value has the default limits.
type Options struct {
	Volume  durable.Volume
	Name    string           // of its files, "audit" if empty
	MaxFile int64            // bytes a file; 0 is MaxFile, at least MaxLine
	Keep    int              // full files that are kept; 0 is Keep
	Now     func() time.Time // nil is time.Now
}

// Log is an open record. Its methods are safe for concurrent use.
type Log struct {
	dir, name string
	volume    durable.Volume
	now       func() time.Time
	maxFile   int64
	keep      int

	mu      sync.Mutex // guards pending and closed
	pending *batch
	closed  bool

	// place is that of file, for readers without the turn; nil without one.
	place atomic.Pointer[place]

	// turn is held by the goroutine that writes; what follows is its.
	turn   chan struct{}
	file   durable.Handle // nil: to be opened
	size   int64
	last   uint64 // number of the last line that was recorded
	failed error  // why there is no file
	retry  time.Time
	buffer []byte
}

// place is where a file was opened.
type place struct {
	path string
	info os.FileInfo
}

// batch is the entries that share an fsync.
type batch struct {
	bodies [][]byte
	done   chan struct{} // closed when err is final
	err    error
}

func newBatch() *batch { return &batch{done: make(chan struct{})} }

// Open opens the record in dir, which it makes if it is missing, and repairs
// what a crash left. It returns once everything that it found is durable.
func Open(dir string, o Options) (*Log, error) {
	l := &Log{
		dir: dir, name: o.Name, volume: o.Volume, now: o.Now, maxFile: o.MaxFile, keep: o.Keep,
		pending: newBatch(), turn: make(chan struct{}, 1),
	}
	if l.name == "" {
		l.name = defaultName
	}
	if l.now == nil {
		l.now = time.Now
	}
	if l.maxFile == 0 {
		l.maxFile = MaxFile
	}
	if l.maxFile < MaxLine {
		return nil, fmt.Errorf("audit: a file of %d bytes is too small: give at least %d", l.maxFile, MaxLine)
	}
	if l.keep <= 0 {
		l.keep = Keep
	}
	if err := l.recover(); err != nil {
		if l.file != nil {
			err = errors.Join(err, l.file.Close())
		}
		return nil, fmt.Errorf("audit: open the record in %s: %w", dir, err)
	}
	return l, nil
}

// Append records an entry and returns when it is durable. It cannot be given up:
// an entry that waits is written. After a fault of the disk it fails, without
// touching the disk for a second each time, until the record can be written
// again; so it does where the file was moved away, after which a new one is begun
// in its place.
func (l *Log) Append(e Entry) error {
	if e.Time.IsZero() {
		e.Time = l.now()
	}
	body, err := encode(e)
	if err != nil {
		return err
	}
	l.mu.Lock()
	b := l.pending
	switch {
	case l.closed:
		err = ErrClosed
	case len(b.bodies) >= MaxBatch:
		err = ErrBusy
	default:
		b.bodies = append(b.bodies, body)
	}
	l.mu.Unlock()
	if err != nil {
		return err
	}
	select {
	case <-b.done:
	case l.turn <- struct{}{}:
		l.write(b)
		<-l.turn
	}
	return b.err
}

// write records a batch, unless whoever had the turn before has done so. The
// caller has the turn.
func (l *Log) write(b *batch) {
	l.mu.Lock()
	mine := l.pending == b
	if mine {
		l.pending = newBatch()
	}
	l.mu.Unlock()
	if !mine {
		return
	}
	b.err = l.record(b.bodies)
	close(b.done)
}

// Failed returns why entries cannot be recorded now, nil if they can. It looks
// whether the file is in its place (ErrMoved).
func (l *Log) Failed() error {
	l.turn <- struct{}{}
	defer func() { <-l.turn }()
	if err := l.InPlace(); err != nil {
		return l.fail(err)
	}
	return l.failed
}

// InPlace looks whether the file that is written is the one that readers find
// (ErrMoved): what is written to one that was moved away is nowhere they look.
// It waits for nobody.
func (l *Log) InPlace() error {
	at := l.place.Load()
	if at == nil {
		return nil
	}
	there, err := l.volume.Stat(at.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: %s", ErrMoved, at.path)
	case err != nil:
		return err
	case os.SameFile(at.info, at.info) && !os.SameFile(at.info, there): // only files of this machine are the same as themselves
		return fmt.Errorf("%w: %s is another file", ErrMoved, at.path)
	}
	return nil
}

// Close records what waits and closes the file. Closing twice is no error.
func (l *Log) Close() error {
	l.mu.Lock()
	l.closed = true
	b := l.pending
	l.mu.Unlock()
	l.turn <- struct{}{}
	defer func() { <-l.turn }()
	if len(b.bodies) > 0 {
		l.write(b)
	}
	if l.file == nil {
		return nil
	}
	file := l.file
	l.place.Store(nil)
	l.file, l.failed, l.retry = nil, ErrClosed, time.Time{}
	if err := file.Close(); err != nil {
		return fmt.Errorf("audit: close the record: %w", err)
	}
	return nil
}
