package term

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// guardName is what the second process is called in a list of processes, and how
// it knows what it is.
const guardName = "caiatop-terminal-guard"

// guardLimit bounds the end of the second process.
const guardLimit = 2 * time.Second

// watched is what the second process has to know, told whenever it changes.
type watched struct {
	Entered     bool
	Before, Raw unix.Termios // of an entered session
	Ended       bool         // in order: nothing is to be restored
}

// guard is the second process, seen from the first.
type guard struct {
	mu      sync.Mutex
	control *os.File // what is watched, as JSON
	encoder *json.Encoder
	errors  *os.File // ours of what goes to stdout and stderr meanwhile
	kept    []kept
	pipes   chan os.Signal
	started chan struct{} // closed when it runs, or cannot
	err     error         // of its start, after started
	cmd     *exec.Cmd
}

// kept is a standard stream that does not lead to the terminal now.
type kept struct{ fd, original int }

// Guard starts a second process for a session on the terminal of this one. If
// this process ends in any way without giving the terminal back, by a crash in
// any goroutine or by SIGKILL, the second one does. What is written to stdout
// and stderr meanwhile, a trace above all, would be drawn over by frames: as far
// as these are terminals it is kept, and shown when the session is closed. It
// must be called before Enter. The start takes place in the background, and its
// failure is told by Close.
func (s *Session) Guard() error {
	if s.device == nil {
		return ErrNotLocal
	}
	g, err := newGuard(s.device)
	if err != nil {
		return fmt.Errorf("guarding the terminal: %w", err)
	}
	s.device.guard = g
	return nil
}

func newGuard(d *device) (*guard, error) {
	g := &guard{started: make(chan struct{}), pipes: make(chan os.Signal, 1)}
	watch, control, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	told, stray, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, watch.Close(), control.Close())
	}
	g.control, g.encoder, g.errors = control, json.NewEncoder(control), stray
	// As it was before: the second process tells people what it has kept.
	original, err := dup(int(os.Stderr.Fd()))
	if err != nil {
		return nil, errors.Join(err, watch.Close(), control.Close(), told.Close(), stray.Close())
	}
	stderr := os.NewFile(uintptr(original), os.Stderr.Name())
	// Without the second process a line on stderr would end this one.
	signal.Notify(g.pipes, syscall.SIGPIPE)
	if err := g.divert(); err != nil {
		return nil, errors.Join(err, g.revert(), watch.Close(), control.Close(), told.Close(), stray.Close(), stderr.Close())
	}
	go func() {
		defer close(g.started)
		g.err = errors.Join(g.start(d, stderr, watch, told), watch.Close(), told.Close(), stderr.Close())
	}()
	return g, nil
}

// start starts the second process, in a group of its own: what the terminal's
// keys and the shell do to ours is not for it.
func (g *guard) start(d *device, stderr, watch, told *os.File) error {
	name, err := self()
	if err != nil {
		return err
	}
	g.cmd = &exec.Cmd{
		Path: name, Args: []string{guardName}, Env: []string{"GOMAXPROCS=1", "GOTRACEBACK=none"}, Dir: "/",
		Stdin: d.in, Stdout: d.lent, Stderr: stderr, ExtraFiles: []*os.File{watch, told},
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true},
	}
	if err := g.cmd.Start(); err != nil {
		g.cmd = nil
		return fmt.Errorf("starting the guard of the terminal: %w", err)
	}
	return nil
}

// divert leads stdout and stderr to the second process where they are terminals.
func (g *guard) divert() error {
	for _, fd := range []int{int(os.Stdout.Fd()), int(os.Stderr.Fd())} {
		if !term.IsTerminal(fd) {
			continue
		}
		original, err := dup(fd)
		if err != nil {
			return err
		}
		g.kept = append(g.kept, kept{fd, original})
		if err := replace(int(g.errors.Fd()), fd); err != nil {
			return err
		}
	}
	return nil
}

// revert is the end of divert.
func (g *guard) revert() error {
	var errs []error
	for _, k := range g.kept {
		errs = append(errs, replace(k.original, k.fd), unix.Close(k.original))
	}
	g.kept = nil
	signal.Stop(g.pipes)
	return errors.Join(errs...)
}

// tell says what is to be restored from now on. Without a second process nobody
// listens, which close tells.
func (g *guard) tell(w watched) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	_ = g.encoder.Encode(w)
}

// close ends the second process, which shows what was kept.
func (g *guard) close() error {
	if g == nil {
		return nil
	}
	<-g.started
	g.tell(watched{Ended: true})
	err := errors.Join(g.err, g.revert(), g.control.Close(), g.errors.Close())
	if g.cmd == nil {
		return err
	}
	limit := time.AfterFunc(guardLimit, func() {
		_ = g.cmd.Process.Kill() // it has ended, or Wait tells
	})
	defer limit.Stop()
	if failed := g.cmd.Wait(); failed != nil {
		err = errors.Join(err, fmt.Errorf("the guard of the terminal: %w", failed))
	}
	return err
}
