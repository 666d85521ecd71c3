package term

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// stopLimit is how long Suspend waits to be stopped and continued, not
	// counting the time in between.
	stopLimit = 500 * time.Millisecond
	// endLimit is how long a program that has the terminal may take to end once
	// it was told to.
	endLimit = 2 * time.Second
)

// lent counts the programs that have the terminal of this process now.
var lent atomic.Int32

// Ending returns a context that ends when this process is told to end (SIGINT,
// SIGTERM, SIGHUP, SIGQUIT). From then on the next such signal ends the process
// at once. While a program has the terminal, ctrl+c and ctrl+\ are for it.
func Ending(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	signals := make(chan os.Signal, 8) // one must not push out another
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer signal.Stop(signals)
		for {
			select {
			case got := <-signals:
				if lent.Load() > 0 && (got == syscall.SIGINT || got == syscall.SIGQUIT) {
					continue
				}
				cancel()
			case <-ctx.Done():
				return
			}
		}
	}()
	return ctx, func() {
		cancel()
		<-ended
	}
}

// Lend gives the terminal to a program until it ends, or until ctx does and the
// program with it. Afterwards the session is entered again, unless ctx has
// ended, and its Screen has to Forget what it has drawn.
func (s *Session) Lend(ctx context.Context, c *exec.Cmd) error {
	if s.device == nil {
		return ErrNotLocal
	}
	return s.away(ctx, func() error {
		d := s.device
		lent.Add(1)
		defer lent.Add(-1)
		c.Stdin, c.Stdout, c.Stderr = d.in, d.lent, d.lent
		if err := c.Start(); err != nil {
			return err
		}
		return wait(ctx, c)
	})
}

// Suspend gives the terminal back to the shell, stops, and enters the session
// again when the process is continued. The Screen has to Forget what it has
// drawn. Without a shell that could continue it, nothing happens but an error.
func (s *Session) Suspend(ctx context.Context) error {
	if s.device == nil {
		return ErrNotLocal
	}
	if !underShell() {
		return ErrNoShell
	}
	return s.away(ctx, func() error {
		continued := make(chan os.Signal, 1)
		signal.Notify(continued, syscall.SIGCONT)
		defer signal.Stop(continued)
		// Go's runtime keeps a handler for SIGTSTP once anybody asked for it, so
		// that it stops nothing. The whole group is meant: what runs beside us in
		// the shell's job stops too.
		if err := syscall.Kill(0, syscall.SIGSTOP); err != nil {
			return err
		}
		limit := time.NewTimer(stopLimit)
		defer limit.Stop()
		select {
		case <-continued:
		case <-limit.C:
		}
		return nil
	})
}

// stopAlong stops this process when the program that has the terminal was
// stopped by its key. Both are continued together.
func stopAlong() {
	if underShell() {
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP) // one may signal oneself
	}
}

// underShell reports whether a process of the same login looks after the group
// of this one. The system does not stop others, because nobody would continue
// them.
func underShell() bool {
	session, err := unix.Getsid(0)
	if err != nil {
		return false
	}
	group := unix.Getpgrp()
	for pid := os.Getppid(); pid > 1; pid = parent(pid) {
		if of, err := unix.Getsid(pid); err != nil || of != session {
			return false
		}
		if of, err := unix.Getpgid(pid); err != nil || of != group {
			return err == nil
		}
	}
	return false
}

// away runs f while the session does not have the terminal.
func (s *Session) away(ctx context.Context, f func() error) error {
	if err := s.Leave(); err != nil {
		return errors.Join(err, s.Enter())
	}
	// A program that was killed may have left any modes.
	err := errors.Join(f(), s.device.restore())
	if ctx.Err() != nil {
		return err
	}
	return errors.Join(err, s.Enter())
}

// wait waits for a program, and ends it when ctx ends.
func wait(ctx context.Context, c *exec.Cmd) error {
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	limit := time.NewTimer(endLimit)
	defer limit.Stop()
	told := c.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-ended:
		return err
	case <-limit.C:
	}
	killed := c.Process.Kill()
	if err := errors.Join(told, killed); killed != nil && !errors.Is(killed, os.ErrProcessDone) {
		return err // nothing can end it
	}
	return <-ended
}
