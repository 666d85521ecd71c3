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

	"github.com/caiatech/caiatop/backend/engine"
)

// patience bounds how long a test waits for the console.
const patience = 20 * time.Second

// console is Run on a pseudo terminal, with an emulated screen behind it.
type console struct {
	t      *testing.T
	master *os.File
	feed   feed
	stop   context.CancelFunc
	ended  chan error
	drawn  chan struct{} // capacity one, after each write

	mu     sync.Mutex
	raw    strings.Builder
	screen vt10x.Terminal
}

func openConsole(t *testing.T) *console {
	t.Helper()
	master, tty, err := pty.Open()
	if err != nil {
		t.Skipf("no pseudo terminal here: %v", err)
	}
	if err := pty.Setsize(master, &pty.Winsize{Cols: 80, Rows: 24}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	c := &console{
		t: t, master: master, stop: stop, feed: feed{make(chan *engine.Stats, 1)},
		ended: make(chan error, 1), drawn: make(chan struct{}, 1), screen: vt10x.New(vt10x.WithSize(80, 24)),
	}
	r := lipgloss.NewRenderer(io.Discard)
	r.SetColorProfile(termenv.ANSI)
	lib := newLibrary(t, 3)
	var running sync.WaitGroup
	running.Go(c.read)
	running.Go(func() {
		c.ended <- Run(ctx, Options{Feed: c.feed, Documents: lib, Control: lib, Renderer: r, Location: time.UTC}, tty, tty)
		_ = tty.Close()
	})
	t.Cleanup(func() {
		stop()
		running.Wait()
		_ = master.Close()
	})
	c.feed.c <- healthy()
	c.await("● PRIMARY")
	return c
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
	deadline := time.After(patience)
	for !strings.Contains(c.shown(), text) {
		select {
		case <-c.drawn:
		case <-deadline:
			c.t.Fatalf("%q is not shown:\n%s", text, c.shown())
		}
	}
}

func (c *console) press(keys string) {
	c.t.Helper()
	if _, err := io.WriteString(c.master, keys); err != nil {
		c.t.Fatal(err)
	}
}

// wait checks that Run ended without an error and left the terminal as it was.
func (c *console) wait() {
	c.t.Helper()
	select {
	case err := <-c.ended:
		if err != nil {
			c.t.Fatalf("Run: %v", err)
		}
	case <-time.After(patience):
		c.t.Fatal("the console does not end")
	}
	deadline := time.After(patience)
	for _, restored := range []string{"\x1b[?1049l", "\x1b[?25h", "\x1b[?2004l"} {
		for !c.wrote(restored) {
			select {
			case <-c.drawn:
			case <-deadline:
				c.t.Fatalf("%q was not written: the terminal is not restored", restored)
			}
		}
	}
}

func (c *console) wrote(s string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Contains(c.raw.String(), s)
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
		"SIGTERM": func(*console) error { return syscall.Kill(os.Getpid(), syscall.SIGTERM) },
		"SIGHUP":  func(*console) error { return syscall.Kill(os.Getpid(), syscall.SIGHUP) },
		"SIGQUIT": func(*console) error { return syscall.Kill(os.Getpid(), syscall.SIGQUIT) },
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
