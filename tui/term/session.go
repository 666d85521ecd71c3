package term

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// The modes of a session. Lines that a terminal holds to be wider than they are
// must not wrap into the next one, so that is off.
const (
	enterModes = "\x1b[?1049h" + eraseScreen + "\x1b[?25l\x1b[?7l\x1b[?2004h"
	leaveModes = endUpdate + resetStyle + "\x1b[?2004l\x1b[?7h\x1b[?25h\x1b[?1049l"
)

// stuckAfter is how long the end of a session waits for a terminal that takes no
// bytes, for each of two writes.
const stuckAfter = 500 * time.Millisecond

// Errors of a session.
var (
	// ErrStuck: the terminal takes no bytes. What was to be written is lost.
	ErrStuck = errors.New("the terminal takes nothing")
	// ErrNotLocal: the session is not on the terminal of this process.
	ErrNotLocal = errors.New("the session is not on the terminal of this process")
	// ErrNoShell: nobody would continue this process if it stopped.
	ErrNoShell = errors.New("no shell looks after this process")
	errAway    = errors.New("the session does not have the terminal")
)

// Size is the size of a terminal in cells.
type Size struct{ Width, Height int }

// unknownSize is assumed of a terminal that does not tell.
var unknownSize = Size{80, 24}

// or returns s, or other if s cannot be.
func (s Size) or(other Size) Size {
	if s.Width <= 0 || s.Height <= 0 {
		return other
	}
	return s
}

// Streams is what a session at the other end of a connection is made of.
type Streams struct {
	In  io.Reader
	Out io.Writer
	// Getenv reads the environment of the client; nil is an empty one.
	Getenv  func(string) string
	Size    Size        // at the start
	Resizes <-chan Size // nil: it never changes; may be closed
}

// Session is one terminal that somebody sits at. Its methods may be called from
// any goroutine.
type Session struct {
	in      io.Reader
	out     io.Writer
	getenv  func(string) string
	size    Size
	resizes <-chan Size
	device  *device // the terminal of this process; nil over a connection

	lost chan struct{} // closed when nothing can be typed any more
	lose sync.Once
	gone chan struct{} // closed when a write is given up that cannot be ended
	give sync.Once

	life sync.Mutex    // Enter and Leave
	turn chan struct{} // of capacity one: who writes

	mu      sync.Mutex
	entered bool
	opening bool // the modes go before the next frame
	touched bool // something was written since Enter
	cut     bool // the last write was given up half way
}

// New returns a session over streams. Whoever made them ends them.
func New(o Streams) *Session {
	if o.Getenv == nil {
		o.Getenv = func(string) string { return "" }
	}
	s := newSession(o.Out, o.Getenv, o.Size.or(unknownSize), o.Resizes)
	s.in = input{o.In, s}
	return s
}

func newSession(out io.Writer, getenv func(string) string, size Size, resizes <-chan Size) *Session {
	return &Session{
		out: out, getenv: getenv, size: size, resizes: resizes,
		lost: make(chan struct{}), gone: make(chan struct{}), turn: make(chan struct{}, 1),
	}
}

// In is where keys are read from. On the terminal of this process it is a file.
func (s *Session) In() io.Reader { return s.in }

// Lost is closed when a read of In failed: nothing can be typed any more.
func (s *Session) Lost() <-chan struct{} { return s.lost }

// Abilities says what the terminal can show, as far as its environment tells.
func (s *Session) Abilities() Ability { return Abilities(s.getenv) }

// Getenv reads the environment of whoever sits at the terminal.
func (s *Session) Getenv(name string) string { return s.getenv(name) }

// Size returns the size at the start, on the terminal of this process the one of
// this moment.
func (s *Session) Size() Size {
	if s.device != nil {
		return s.device.size(s.size)
	}
	return s.size
}

// Resizes has the newest size when it changes. It may be nil, and is closed when
// none will follow.
func (s *Session) Resizes() <-chan Size { return s.resizes }

// Local reports whether this is the terminal of this process, which can be
// lent to programs and be given back to the shell.
func (s *Session) Local() bool { return s.device != nil }

// Enter takes the terminal. The alternate screen comes with the first frame, so
// that a terminal that takes nothing holds up nobody. Enter in an entered
// session does nothing.
func (s *Session) Enter() error {
	s.life.Lock()
	defer s.life.Unlock()
	if s.has() {
		return nil
	}
	return s.open()
}

// Refresh is Enter after somebody else may have changed the modes of an entered
// session. The Screen has to Forget what it has drawn.
func (s *Session) Refresh() error {
	s.life.Lock()
	defer s.life.Unlock()
	if !s.has() {
		return nil
	}
	return s.open()
}

func (s *Session) open() error {
	select {
	case <-s.gone:
		return ErrStuck
	default:
	}
	if s.device != nil {
		if err := s.device.makeRaw(); err != nil {
			return fmt.Errorf("taking the terminal: %w", err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entered, s.opening, s.cut = true, true, false
	return nil
}

// Leave gives the terminal back as it was before Enter. It takes about a second
// at most; a terminal that takes nothing all that time loses what was drawn, and
// gets the end of the session when it wakes if there is any way. Leave in a
// session that has been left does nothing.
func (s *Session) Leave() error {
	s.life.Lock()
	defer s.life.Unlock()
	s.mu.Lock()
	was, touched := s.entered, s.touched
	s.entered, s.opening, s.touched = false, false, false
	s.mu.Unlock()
	if !was {
		return nil
	}
	var err error
	if touched {
		err = s.farewell()
	}
	if s.device != nil {
		err = errors.Join(err, s.device.restore())
	}
	if err != nil {
		return fmt.Errorf("giving the terminal back: %w", err)
	}
	return nil
}

// Close leaves, and ends what the session started.
func (s *Session) Close() error {
	err := s.Leave()
	if s.device != nil {
		err = errors.Join(err, s.device.close())
	}
	return err
}

func (s *Session) has() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.entered
}

// abandoned is closed when a write was given up that only the end of the
// connection ends.
func (s *Session) abandoned() <-chan struct{} { return s.gone }

// put writes a frame, if the session has the terminal.
func (s *Session) put(frame []byte) (int, error) {
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	s.mu.Lock()
	entered, opening := s.entered, s.opening
	s.opening = false
	s.touched = s.touched || entered
	s.mu.Unlock()
	if !entered {
		return 0, errAway
	}
	if opening {
		frame = append([]byte(enterModes), frame...)
	}
	n, err := s.out.Write(frame)
	if err != nil {
		s.mu.Lock()
		s.cut = true
		s.mu.Unlock()
	}
	return n, err
}

// deadliner is an output whose writes can be ended.
type deadliner interface{ SetWriteDeadline(time.Time) error }

// deadline bounds the writes of an output that can do that.
func (s *Session) deadline(d time.Duration) {
	out, ok := s.out.(deadliner)
	if !ok {
		return
	}
	at := time.Time{}
	if d > 0 {
		at = time.Now().Add(d)
	}
	// An output that cannot after all is like one that never could: the write is
	// given up instead of being ended.
	if err := out.SetWriteDeadline(at); err != nil && !errors.Is(err, os.ErrNoDeadline) {
		s.giveUp()
	}
}

func (s *Session) giveUp() { s.give.Do(func() { close(s.gone) }) }

// farewell writes the end of the session. A frame on its way comes first for as
// long as the terminal takes it.
func (s *Session) farewell() error {
	s.deadline(stuckAfter)
	written := make(chan error, 1)
	go func() {
		s.turn <- struct{}{}
		defer func() { <-s.turn }()
		s.mu.Lock()
		cut := s.cut
		s.mu.Unlock()
		if cut && s.device != nil {
			s.device.discard() // makes room for what follows
		}
		s.deadline(stuckAfter)
		_, err := io.WriteString(s.out, leaveModes)
		s.deadline(0)
		written <- err
	}()
	limit := time.NewTimer(3 * stuckAfter)
	defer limit.Stop()
	select {
	case err := <-written:
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return ErrStuck
		}
		return err
	case <-limit.C:
		s.giveUp() // the goroutine ends with the connection
		return ErrStuck
	}
}

// input notices when nothing can be read any more.
type input struct {
	io.Reader
	s *Session
}

// Read reads what is typed.
func (i input) Read(b []byte) (int, error) {
	n, err := i.Reader.Read(b)
	return n, i.s.noticed(err)
}

// noticed keeps that reading failed. Why is of no use to anybody: the terminal
// is gone, or the client.
func (s *Session) noticed(err error) error {
	if err == nil {
		return nil
	}
	s.lose.Do(func() { close(s.lost) })
	return io.EOF
}
