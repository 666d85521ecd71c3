package tui

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/charmbracelet/lipgloss"
	"github.com/creack/pty"
	"github.com/hinshun/vt10x"
	"github.com/muesli/termenv"
	xterm "golang.org/x/term"

	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/tui/term"
)

// patience bounds how long a test waits for the console.
const patience = 20 * time.Second

// before stands on the terminal when the console starts.
const before = "$ caiatop"

// console is a session on a pseudo terminal, with an emulated screen behind it.
type console struct {
	t      *testing.T
	master *os.File
	tty    *os.File
	modes  *xterm.State
	feed   feed
	stop   context.CancelFunc
	ended  chan error
	drawn  chan struct{} // capacity one, after each write
	first  string        // what the main screen begins with

	mu     sync.Mutex
	raw    strings.Builder
	screen vt10x.Terminal
}

// openConsole runs the whole console.
func openConsole(t *testing.T) *console {
	t.Helper()
	lib := newLibrary(t, 3)
	c := openWith(t, func(ctx context.Context, c *console, s *term.Session) error {
		r := lipgloss.NewRenderer(io.Discard)
		r.SetColorProfile(termenv.ANSI)
		return Run(ctx, Options{Feed: c.feed, Documents: lib, Control: lib, Renderer: r, Location: time.UTC}, s)
	})
	c.feed.c <- healthy()
	c.await("● PRIMARY")
	return c
}

// openWith runs what runs in a session.
func openWith(t *testing.T, run func(context.Context, *console, *term.Session) error) *console {
	t.Helper()
	master, tty, err := pty.Open()
	if err != nil {
		t.Skipf("no pseudo terminal here: %v", err)
	}
	if err := pty.Setsize(master, &pty.Winsize{Cols: 80, Rows: 24}); err != nil {
		t.Fatal(err)
	}
	master = pollable(t, master)
	modes, err := xterm.GetState(int(tty.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	c := &console{
		t: t, master: master, tty: tty, modes: modes, stop: stop, feed: feed{make(chan *engine.Stats, 1)},
		ended: make(chan error, 1), drawn: make(chan struct{}, 1), first: before, screen: vt10x.New(vt10x.WithSize(80, 24)),
	}
	if _, err := tty.WriteString(before + "\r\n"); err != nil {
		t.Fatal(err)
	}
	s, err := term.Local(tty, tty)
	if err != nil {
		t.Fatal(err)
	}
	var running, reading sync.WaitGroup
	reading.Go(c.read)
	running.Go(func() { c.ended <- errors.Join(run(ctx, c, s), s.Close()) })
	t.Cleanup(func() {
		stop()
		running.Wait()
		if err := tty.Close(); err != nil {
			t.Error(err)
		}
		reading.Wait()
		if err := master.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
			t.Error(err)
		}
	})
	return c
}

// pollable returns f as a file whose reads end when it is closed.
func pollable(t *testing.T, f *os.File) *os.File {
	t.Helper()
	fd, err := syscall.Dup(int(f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Close(), syscall.SetNonblock(fd, true)); err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fd), f.Name())
}

// read draws on the emulated screen what the console writes.
func (c *console) read() {
	buffer := make([]byte, 64<<10)
	for {
		n, err := c.master.Read(buffer)
		c.mu.Lock()
		c.raw.Write(buffer[:n])
		_, _ = c.screen.Write(buffer[:n])
		c.mu.Unlock()
		select {
		case c.drawn <- struct{}{}:
		default:
		}
		if err != nil {
			return // the other side was closed
		}
	}
}

func (c *console) shown() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.screen.String()
}

func (c *console) await(text string) {
	c.t.Helper()
	c.until(text, func() bool { return strings.Contains(c.shown(), text) })
}

func (c *console) until(what string, check func() bool) {
	c.t.Helper()
	deadline := time.After(patience)
	for !check() {
		select {
		case <-c.drawn:
		case <-deadline:
			c.t.Fatalf("%q is not shown:\n%s", what, c.shown())
		}
	}
}

func (c *console) press(keys string) {
	c.t.Helper()
	if _, err := io.WriteString(c.master, keys); err != nil {
		c.t.Fatal(err)
	}
}

// wait checks that the console ended without an error and left the terminal as
// it was.
func (c *console) wait() {
	c.t.Helper()
	if err := c.result(); err != nil {
		c.t.Fatalf("Run: %v", err)
	}
	c.clean()
}

func (c *console) result() error {
	c.t.Helper()
	select {
	case err := <-c.ended:
		return err
	case <-time.After(patience):
		c.t.Fatal("the console does not end")
		return nil
	}
}

// clean wants the terminal of before: modes, screen, cursor.
func (c *console) clean() {
	c.t.Helper()
	c.until("the screen of before", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		on := c.screen.Mode()
		return strings.HasPrefix(c.screen.String(), c.first) && c.screen.CursorVisible() &&
			on&vt10x.ModeAltScreen == 0 && on&vt10x.ModeWrap != 0 && strings.Contains(c.raw.String(), "\x1b[?2004l")
	})
	now, err := xterm.GetState(int(c.tty.Fd()))
	if err != nil {
		c.t.Fatal(err)
	}
	if *now != *c.modes {
		c.t.Errorf("the modes of the terminal are %+v, they were %+v", now, c.modes)
	}
}

func TestRunOnATerminal(t *testing.T) {
	c := openConsole(t)
	c.await("Throughput")
	c.press("2")
	c.await("▸ report-00000")
	c.press("jj\x1b[A") // merged letters and an arrow
	c.await("▸ report-00001")
	c.press("\r")
	c.await("The quick brown fox")
	c.press("\x1b")
	c.await("Documents  3")
	c.feed.c <- fallback()
	c.await("▲ FALLBACK")
	c.press("q")
	c.wait()
}

func TestRunFollowsTheSizeOfTheTerminal(t *testing.T) {
	c := openConsole(t)
	c.mu.Lock()
	c.screen.Resize(40, 12)
	c.first = "" // the emulator loses it
	c.mu.Unlock()
	if err := pty.Setsize(c.master, &pty.Winsize{Cols: 40, Rows: 12}); err != nil {
		t.Fatal(err)
	}
	// This process does not have the terminal as its own, so nobody tells it.
	if err := syscall.Kill(os.Getpid(), syscall.SIGWINCH); err != nil {
		t.Fatal(err)
	}
	c.await("╭─ Overview ───────────────────────────╮")
	c.press("q")
	c.wait()
}

func TestRunEndsCleanly(t *testing.T) {
	ends := map[string]func(*console) error{
		"context": func(c *console) error { c.stop(); return nil },
		"q":       func(c *console) error { _, err := io.WriteString(c.master, "q"); return err },
		"ctrl+c":  func(c *console) error { _, err := io.WriteString(c.master, "\x03"); return err },
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			c := openConsole(t)
			if err := end(c); err != nil {
				t.Fatal(err)
			}
			c.wait()
		})
	}
}

// A terminal that is closed ends the console, and that is no error.
func TestRunEndsWithItsTerminal(t *testing.T) {
	c := openConsole(t)
	if err := c.master.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.result(); err != nil {
		t.Errorf("Run: %v", err)
	}
}

// Over a connection the same console runs, with what the client can show.
func TestRunOverAConnection(t *testing.T) {
	keys, typed := io.Pipe()
	var mu sync.Mutex
	screen := vt10x.New(vt10x.WithSize(80, 24))
	shown := make(chan string, 1)
	resizes := make(chan term.Size, 1)
	f := feed{make(chan *engine.Stats, 1)}
	f.c <- healthy()
	s := term.New(term.Streams{
		In: keys, Size: term.Size{Width: 80, Height: 24}, Resizes: resizes,
		Getenv: func(name string) string { return map[string]string{"TERM": "dumb"}[name] },
		Out: writer(func(b []byte) (int, error) {
			mu.Lock()
			defer mu.Unlock()
			n, err := screen.Write(b)
			select {
			case <-shown:
			default:
			}
			shown <- screen.String()
			return n, err
		}),
	})
	ended := make(chan error, 1)
	lib := newLibrary(t, 3)
	go func() {
		ended <- Run(t.Context(), Options{Feed: f, Documents: lib, Control: lib, Location: time.UTC}, s)
	}()
	see := func(text string) {
		t.Helper()
		deadline := time.After(patience)
		for last := ""; !strings.Contains(last, text); {
			select {
			case last = <-shown:
			case <-deadline:
				t.Fatalf("%q is not shown:\n%s", text, last)
			}
		}
	}
	see("+- Service")
	mu.Lock()
	screen.Resize(40, 12)
	mu.Unlock()
	resizes <- term.Size{Width: 40, Height: 12}
	see("+- Overview ---------------------------+")
	close(resizes) // the client is going; nothing spins
	if err := typed.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("Run: %v", err)
		}
	case <-time.After(patience):
		t.Fatal("a client that went away keeps its console")
	}
	mu.Lock()
	defer mu.Unlock()
	if screen.Mode()&vt10x.ModeAltScreen != 0 {
		t.Error("the alternate screen was left on")
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(b []byte) (int, error) { return w(b) }

func TestTheEndOfTheEngineIsTold(t *testing.T) {
	c := openConsole(t)
	close(c.feed.c)
	c.await("The engine has ended")
	c.press("q")
	c.wait()
}

func TestAPanicInATaskIsTold(t *testing.T) {
	lib := newLibrary(t, 1)
	s := start(t, lib, healthy(), 80, 24, termenv.Ascii)
	s.o.Control = panicking{lib}
	s.press("s")
	if !strings.Contains(s.View(), "Adding samples failed: a defect in caiatop") {
		t.Errorf("shown:\n%s", s.View())
	}
}

type panicking struct{ *library }

func (panicking) Samples(context.Context) (int, error) { panic(errors.New("boom")) }
