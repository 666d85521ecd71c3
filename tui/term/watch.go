package term

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/caiatech/caiatop/tui/termsafe"
)

const (
	// maxStray bounds what is kept of what was written to stdout and stderr, in
	// bytes, and maxStrayLines in lines.
	maxStray      = 256 << 10
	maxStrayLines = 4000
	// strayLimit is how long the rest of it may take once the first process is
	// gone. A program that it started may still hold the other end.
	strayLimit = 200 * time.Millisecond
	// modesLimit bounds the restoring of a terminal that takes nothing.
	modesLimit = 10 * time.Second
)

// The files of the second process beside its standard streams, which are the
// input, the output and the stderr of the first one.
const (
	watchFile = 3
	strayFile = 4
)

// Guarding reports whether this process was started by Guard, and has to call
// RunGuard and nothing else.
func Guarding() bool { return len(os.Args) == 1 && os.Args[0] == guardName }

// RunGuard waits for the end of the first process, restores the terminal if that
// did not, and tells what was kept. It returns the exit code.
func RunGuard() int {
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGTSTP,
		syscall.SIGTTIN, syscall.SIGTTOU, syscall.SIGPIPE, syscall.SIGUSR1, syscall.SIGUSR2)
	stray := keep(os.NewFile(strayFile, "stray"))
	last := follow(os.NewFile(watchFile, "watch"))
	err := giveBack(last)
	if text := stray.all(); len(text) > 0 {
		err = errors.Join(err, report(os.Stderr, text))
	}
	if err != nil {
		return 1
	}
	return 0
}

// follow returns what was told last before the first process ended.
func follow(r io.ReadCloser) (last watched) {
	defer r.Close() //nolint:errcheck // it was read to its end
	decoder := json.NewDecoder(r)
	for {
		var w watched
		if err := decoder.Decode(&w); err != nil {
			return last // it has ended, half a record tells nothing
		}
		last = w
	}
}

// strays is what the first process wrote to stdout and stderr.
type strays struct {
	mu   sync.Mutex
	text []byte
	left int // bytes that were not kept
	end  chan struct{}
}

// keep reads to the end of f, so that the writer never waits.
func keep(f io.Reader) *strays {
	s := &strays{end: make(chan struct{})}
	go func() {
		defer close(s.end)
		// Why it ends does not matter: there is no more.
		_, _ = io.Copy(s, f)
	}()
	return s
}

// Write keeps b as far as there is room.
func (s *strays) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	room := min(maxStray-len(s.text), len(b))
	s.text = append(s.text, b[:room]...)
	s.left += len(b) - room
	return len(b), nil
}

// all returns what was kept, once the other end is closed, or a little later if
// somebody holds on to it.
func (s *strays) all() []byte {
	limit := time.NewTimer(strayLimit)
	defer limit.Stop()
	select {
	case <-s.end:
	case <-limit.C:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left > 0 {
		return fmt.Appendf(s.text, "\n%d more bytes were left out\n", s.left)
	}
	return s.text
}

// giveBack restores the terminal that a first process left behind.
func giveBack(last watched) error {
	if !last.Entered {
		return nil
	}
	done := make(chan error, 1)
	go func() {
		var err error
		// A shell that has noticed first has set modes of its own.
		if now, failed := unix.IoctlGetTermios(int(os.Stdin.Fd()), getTermios); failed == nil && *now == last.Raw {
			err = unix.IoctlSetTermios(int(os.Stdin.Fd()), setTermios, &last.Before)
		}
		_, failed := io.WriteString(os.Stdout, leaveModes)
		done <- errors.Join(err, failed)
	}()
	limit := time.NewTimer(modesLimit)
	defer limit.Stop()
	select {
	case err := <-done:
		return err
	case <-limit.C:
		return ErrStuck
	}
}

// report writes what was kept, as text.
func report(w io.Writer, text []byte) error {
	var out bytes.Buffer
	for _, line := range termsafe.Lines(string(text), maxStrayLines) {
		out.WriteString(line.String())
		out.WriteByte('\n')
	}
	_, err := w.Write(out.Bytes())
	return err
}
