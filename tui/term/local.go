package term

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// Job is what the shell asks of a session on its terminal.
type Job int

// The jobs.
const (
	Stop      Job = iota // give the terminal back and stop
	Continued            // it was stopped, and goes on
)

// device is the terminal of this process.
type device struct {
	in      *os.File // not ours
	lent    *os.File // for programs: the same open file as the output we were given
	out     *os.File // for frames
	before  *unix.Termios
	raw     *unix.Termios // what makeRaw made of it
	signals chan os.Signal
	resizes chan Size
	jobs    chan Job
	stop    chan struct{}
	watch   sync.WaitGroup
	guard   *guard // nil: there is none
}

// Local returns the session on the terminal of this process, of which in and
// out are files. They stay open.
func Local(in, out *os.File) (*Session, error) {
	before, err := unix.IoctlGetTermios(int(in.Fd()), getTermios)
	if err != nil {
		return nil, fmt.Errorf("the input is no terminal: %w", err)
	}
	fd, err := dup(int(out.Fd()))
	if err != nil {
		return nil, fmt.Errorf("the output of the terminal: %w", err)
	}
	d := &device{
		in: in, lent: os.NewFile(uintptr(fd), out.Name()), before: before,
		signals: make(chan os.Signal, 8), resizes: make(chan Size, 1), jobs: make(chan Job, 1), stop: make(chan struct{}),
	}
	// Writes to an open file of our own can be ended. Where there is none, a
	// write that hangs is left alone and ends with the process.
	d.out = d.lent
	if own, err := reopen(fd); err == nil {
		d.out = own
	}
	s := newSession(d.out, os.Getenv, unknownSize, d.resizes)
	s.in, s.device = file{in, s}, d
	signal.Notify(d.signals, syscall.SIGWINCH, syscall.SIGTSTP, syscall.SIGCONT)
	d.watch.Go(d.follow)
	return s, nil
}

// file is an input that can be waited for.
type file struct {
	*os.File
	s *Session
}

// Read reads what is typed.
func (f file) Read(b []byte) (int, error) {
	n, err := f.File.Read(b)
	if n == 0 && err == nil {
		err = io.EOF
	}
	return n, f.s.noticed(err)
}

// Jobs has what the shell asks for. It is nil over a connection.
func (s *Session) Jobs() <-chan Job {
	if s.device == nil {
		return nil
	}
	return s.device.jobs
}

// follow turns signals into what the session tells.
func (d *device) follow() {
	defer close(d.resizes)
	defer close(d.jobs)
	for {
		select {
		case <-d.stop:
			return
		case got := <-d.signals:
			switch got {
			case syscall.SIGWINCH:
				newest(d.resizes, d.size(unknownSize))
			case syscall.SIGTSTP:
				if lent.Load() > 0 {
					stopAlong()
					continue
				}
				newest(d.jobs, Stop)
			case syscall.SIGCONT:
				newest(d.jobs, Continued)
			}
		}
	}
}

// newest puts v into a channel of capacity one in place of what nobody has taken
// yet. There is one sender.
func newest[T any](c chan T, v T) {
	select {
	case <-c:
	default:
	}
	c <- v
}

// size asks the terminal's driver, not the terminal.
func (d *device) size(unknown Size) Size {
	w, h, err := term.GetSize(int(d.lent.Fd()))
	if err != nil {
		return unknown
	}
	return Size{w, h}.or(unknown)
}

// makeRaw makes keys arrive as they are typed.
func (d *device) makeRaw() error {
	fd := int(d.in.Fd())
	if _, err := term.MakeRaw(fd); err != nil {
		return err
	}
	raw, err := unix.IoctlGetTermios(fd, getTermios)
	if err != nil {
		return err
	}
	d.raw = raw
	d.guard.tell(watched{Entered: true, Before: *d.before, Raw: *raw})
	return nil
}

// restore is the end of makeRaw.
func (d *device) restore() error {
	err := unix.IoctlSetTermios(int(d.in.Fd()), setTermios, d.before)
	d.guard.tell(watched{})
	return err
}

// discard drops what the terminal has not taken yet. It is an attempt: nothing
// depends on it but what stands on the screen of a terminal that is stuck.
func (d *device) discard() { _ = flushOutput(int(d.lent.Fd())) }

func (d *device) close() error {
	signal.Stop(d.signals)
	close(d.stop)
	d.watch.Wait()
	err := d.guard.close()
	if d.out != d.lent {
		err = errors.Join(err, d.out.Close())
	}
	return errors.Join(err, d.lent.Close())
}
