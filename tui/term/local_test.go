package term

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/hinshun/vt10x"
	"golang.org/x/sys/unix"
)

// patience is how long a test waits for another process.
const patience = 20 * time.Second

// poll looks until check is content.
func poll(t *testing.T, what string, check func() bool) {
	t.Helper()
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for !check() {
		select {
		case <-ticker.C:
		case <-deadline.C:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// terminal is a pseudo terminal with an emulated screen behind it.
type terminal struct {
	t       *testing.T
	tty     *os.File
	master  *os.File
	before  *unix.Termios
	reading sync.WaitGroup

	mu     sync.Mutex
	screen vt10x.Terminal
	raw    strings.Builder
}

func openTerminal(t *testing.T) *terminal {
	t.Helper()
	master, tty, err := pty.Open()
	if err != nil {
		t.Skipf("no pseudo terminal here: %v", err)
	}
	if err := pty.Setsize(master, &pty.Winsize{Cols: 40, Rows: 5}); err != nil {
		t.Fatal(err)
	}
	c := &terminal{t: t, tty: tty, master: master, screen: vt10x.New(vt10x.WithSize(40, 5))}
	c.before = c.modes()
	t.Cleanup(func() {
		if err := tty.Close(); err != nil {
			t.Error(err)
		}
		c.reading.Wait()
		if err := master.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := tty.WriteString("$ ls\r\n"); err != nil {
		t.Fatal(err)
	}
	return c
}

// read draws what is written, from now on.
func (c *terminal) read() {
	c.reading.Go(func() {
		buffer := make([]byte, 4096)
		for {
			n, err := c.master.Read(buffer)
			c.mu.Lock()
			c.raw.Write(buffer[:n])
			_, _ = c.screen.Write(buffer[:n])
			c.mu.Unlock()
			if err != nil {
				return // the other side was closed
			}
		}
	})
}

func (c *terminal) modes() *unix.Termios {
	c.t.Helper()
	modes, err := unix.IoctlGetTermios(int(c.tty.Fd()), getTermios)
	if err != nil {
		c.t.Fatal(err)
	}
	return modes
}

func (c *terminal) shown() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.screen.String()
}

func (c *terminal) see(text string) {
	c.t.Helper()
	poll(c.t, fmt.Sprintf("%q", text), func() bool { return strings.Contains(c.shown(), text) })
}

// clean wants the terminal as it was before.
func (c *terminal) clean() {
	c.t.Helper()
	poll(c.t, "the screen of before", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		mode := c.screen.Mode()
		return strings.HasPrefix(c.screen.String(), "$ ls") && mode&vt10x.ModeAltScreen == 0 && mode&vt10x.ModeWrap != 0 &&
			c.screen.CursorVisible() && strings.HasSuffix(c.raw.String(), leaveModes)
	})
	if now := c.modes(); *now != *c.before {
		c.t.Errorf("the modes are %+v, were %+v", now, c.before)
	}
}

func TestLocal(t *testing.T) {
	c := openTerminal(t)
	c.read()
	s, err := Local(c.tty, c.tty)
	if err != nil {
		t.Fatal(err)
	}
	screen := NewScreen(s)
	for range 3 {
		if err := s.Enter(); err != nil {
			t.Fatal(err)
		}
		if now := c.modes(); now.Lflag&(unix.ICANON|unix.ECHO) != 0 {
			t.Error("keys arrive by the line, or are shown by the terminal")
		}
		screen.Draw("hello", s.Size())
		screen.Forget()
		c.see("hello")
		if err := s.Leave(); err != nil {
			t.Error(err)
		}
		c.clean()
	}
	screen.Close()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestLocalWantsATerminal(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close() //nolint:errcheck // only read
	if _, err := Local(null, null); err == nil {
		t.Error("a file is no terminal")
	}
}

func TestSizesFollow(t *testing.T) {
	c := openTerminal(t)
	c.read()
	s, err := Local(c.tty, c.tty)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Size(); got != (Size{40, 5}) {
		t.Errorf("size %v", got)
	}
	for i := range 50 { // nobody has to take each of them
		if err := pty.Setsize(c.master, &pty.Winsize{Cols: uint16(30 + i), Rows: 9}); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(os.Getpid(), syscall.SIGWINCH); err != nil {
			t.Fatal(err)
		}
	}
	for got := range s.Resizes() {
		if got == (Size{79, 9}) {
			break
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	for range s.Resizes() { // one may be left, then it is closed
	}
}

// A terminal that is not read from holds up nobody, and is clean when it wakes.
func TestLeaveAStuckTerminal(t *testing.T) {
	c := openTerminal(t)
	buffer := make([]byte, 100)
	n, err := c.master.Read(buffer)
	if err != nil {
		t.Fatal(err)
	}
	write(t, c.screen, string(buffer[:n]))
	s, err := Local(c.tty, c.tty)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Enter(); err != nil {
		t.Fatal(err)
	}
	screen := NewScreen(s)
	wide := Size{500, 200}
	screen.Draw(strings.Repeat(strings.Repeat("x", wide.Width)+"\n", wide.Height), wide)
	poll(t, "the drawing", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.touched
	})
	began := time.Now()
	if err := s.Leave(); err != nil {
		t.Errorf("there was room for the end of the session, and it is not there: %v", err)
	}
	screen.Close()
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("the end took %s", took)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	c.read()
	c.clean()
}

func TestLend(t *testing.T) {
	c := openTerminal(t)
	c.read()
	s, err := Local(c.tty, c.tty)
	if err != nil {
		t.Fatal(err)
	}
	screen := NewScreen(s)
	if err := s.Enter(); err != nil {
		t.Fatal(err)
	}
	screen.Draw("ours", s.Size())
	c.see("ours")
	for name, run := range map[string]struct {
		script string
		code   int
	}{
		"ends":          {`stty -a | grep -q ' icanon' && echo editor; exit 3`, 3},
		"leaves modes":  {`stty raw -echo; exit 4`, 4},
		"kills itself":  {`kill -9 $$`, -1},
		"reads a line":  {`read line; exit ${#line}`, 5},
		"cannot be run": {"", 0},
	} {
		t.Run(name, func(t *testing.T) {
			program := exec.Command("/bin/sh", "-c", run.script)
			if run.script == "" {
				program = exec.Command("/nowhere/editor")
			}
			if run.code == 5 {
				if _, err := c.master.WriteString("12345\n"); err != nil {
					t.Fatal(err)
				}
			}
			err := s.Lend(t.Context(), program)
			ended, isEnd := errors.AsType[*exec.ExitError](err)
			if isEnd != (run.script != "") || isEnd && ended.ExitCode() != run.code {
				t.Errorf("ended with %v", err)
			}
			if now := c.modes(); now.Lflag&unix.ICANON != 0 {
				t.Error("the session was not entered again")
			}
			screen.Forget()
			c.see("ours")
		})
	}
	if err := s.Leave(); err != nil {
		t.Error(err)
	}
	screen.Close()
	c.clean()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := New(Streams{}).Lend(t.Context(), exec.Command("true")); !errors.Is(err, ErrNotLocal) {
		t.Errorf("a program ran over a connection: %v", err)
	}
}
