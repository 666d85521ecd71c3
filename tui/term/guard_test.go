package term

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/creack/pty"
	"github.com/hinshun/vt10x"
)

// victimVariable says how the program of a test ends.
const victimVariable = "CAIATOP_TEST_VICTIM"

// victim is a program with a guarded terminal.
func victim(how string) error {
	s, err := Local(os.Stdin, os.Stdout)
	if err != nil {
		return err
	}
	if err := s.Guard(); err != nil {
		return err
	}
	if err := s.Enter(); err != nil {
		return err
	}
	<-s.device.guard.started // from here on nothing can go wrong
	screen := NewScreen(s)
	screen.Draw("victim "+strconv.Itoa(os.Getpid()), s.Size())
	key := make([]byte, 1)
	if _, err := s.In().Read(key); err != nil {
		return err
	}
	switch how {
	case "panic":
		go panic("any goroutine \x1b[31m")
		select {}
	case "flood":
		for range 100_000 {
			fmt.Println("a line that nobody expects")
		}
	case "stray":
		fmt.Println("to stdout")
		fmt.Fprintln(os.Stderr, "to stderr")
	case "guard killed":
		if err := s.device.guard.cmd.Process.Kill(); err != nil {
			return err
		}
		for range 10_000 { // a broken pipe does not end the process
			fmt.Println("nobody listens")
		}
	}
	if how == "left" {
		if err := s.Leave(); err != nil {
			return err
		}
		select {}
	}
	err = s.Leave()
	screen.Close()
	if closed := s.Close(); how != "guard killed" && closed != nil {
		return closed
	}
	if err != nil {
		return err
	}
	fmt.Println("in order")
	return nil
}

// startVictim runs it on a terminal of its own.
func startVictim(t *testing.T, how string) (*terminal, *exec.Cmd) {
	t.Helper()
	c := openTerminal(t)
	if err := pty.Setsize(c.master, &pty.Winsize{Cols: 60, Rows: 40}); err != nil {
		t.Fatal(err)
	}
	c.screen.Resize(60, 40)
	c.read()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), victimVariable+"="+how)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.tty, c.tty, c.tty
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c.see("victim")
	return c, cmd
}

func (c *terminal) key() {
	c.t.Helper()
	if _, err := c.master.WriteString("x"); err != nil {
		c.t.Fatal(err)
	}
}

// same waits for the modes of before and the screen of before.
func (c *terminal) same(wants ...string) {
	c.t.Helper()
	poll(c.t, "a clean terminal", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		// What was on the screen is back, unless a long trace moved it up.
		there := strings.HasPrefix(c.screen.String(), "$ ls") || strings.Contains(c.raw.String(), "SIGABRT: abort")
		return c.screen.Mode()&(vt10x.ModeAltScreen|vt10x.ModeWrap) == vt10x.ModeWrap && c.screen.CursorVisible() && there && *c.modes() == *c.before
	})
	for _, want := range wants {
		c.see(want)
	}
}

func TestEveryEndLeavesAGuardedTerminalClean(t *testing.T) {
	for how, wants := range map[string][]string{
		"panic":        {"panic: any goroutine ^[[31m", "goroutine", "guard_test.go"},
		"stray":        {"to stdout", "to stderr", "in order"},
		"guard killed": {"in order"},
		"nothing":      {"in order"},
	} {
		t.Run(how, func(t *testing.T) {
			c, cmd := startVictim(t, how)
			c.key()
			err := cmd.Wait()
			if (err != nil) != (how == "panic") {
				t.Errorf("ended with %v", err)
			}
			c.same(wants...)
		})
	}
	t.Run("flood", func(t *testing.T) {
		c, cmd := startVictim(t, "flood")
		c.key()
		if err := cmd.Wait(); err != nil {
			t.Errorf("ended with %v", err)
		}
		c.see("more lines")
		c.see("in order")
	})
	t.Run("SIGKILL", func(t *testing.T) {
		c, cmd := startVictim(t, "killed")
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err == nil {
			t.Error("it was not killed")
		}
		c.same()
	})
	t.Run("SIGABRT", func(t *testing.T) {
		c, cmd := startVictim(t, "aborted")
		if err := cmd.Process.Signal(syscall.SIGABRT); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err == nil {
			t.Error("it was not aborted")
		}
		c.same("rflags") // the end of the trace
	})
}

// A shell that has the terminal by now is not disturbed by the guard.
func TestTheGuardOfALeftTerminalDoesNothing(t *testing.T) {
	c, cmd := startVictim(t, "left")
	c.key()
	c.same()
	c.mu.Lock()
	length := c.raw.Len()
	c.mu.Unlock()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("it was not killed")
	}
	poll(t, "the end of the guard", func() bool { return !guards(t, c) })
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.raw.Len() != length {
		t.Errorf("the guard wrote %q", c.raw.String()[length:])
	}
}

// guards reports whether a process with that name has the terminal.
func guards(t *testing.T, c *terminal) bool {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Skip("processes cannot be listed here")
	}
	for _, e := range entries {
		line, _ := os.ReadFile("/proc/" + e.Name() + "/cmdline")
		input, _ := os.Readlink("/proc/" + e.Name() + "/fd/0")
		if strings.HasPrefix(string(line), guardName) && input == c.tty.Name() {
			return true
		}
	}
	return false
}
