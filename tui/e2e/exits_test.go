package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
)

// guards returns the processes that guard the terminal of process pid.
func guards(t *testing.T, pid int) []string {
	t.Helper()
	names, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	tty, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/0", pid))
	if err != nil {
		t.Fatalf("the terminal of process %d: %v", pid, err)
	}
	var found []string
	for _, name := range names {
		// A process may end meanwhile: it is no guard then.
		line, _ := os.ReadFile(name)
		input, _ := os.Readlink(filepath.Join(filepath.Dir(name), "fd", "0"))
		if strings.HasPrefix(string(line), "caiatop-terminal-guard") && input == tty {
			found = append(found, filepath.Base(filepath.Dir(name)))
		}
	}
	return found
}

func exists(process string) bool {
	_, err := os.Stat(filepath.Join("/proc", process))
	return err == nil
}

// guarded waits until the console with that process id has a guard.
func (c *terminal) guarded(pid int) (guard string) {
	c.t.Helper()
	poll(c.t, "a guard of the terminal", func() (bool, string) {
		found := guards(c.t, pid)
		if len(found) == 1 {
			guard = found[0]
		}
		return guard != "", fmt.Sprint(found)
	})
	return guard
}

// vanished waits for the end of a process and wants nothing left of it.
func vanished(t *testing.T, process string) {
	t.Helper()
	poll(t, "the end of the guard", func() (bool, string) {
		stat, _ := os.ReadFile(filepath.Join("/proc", process, "stat"))
		return !exists(process), string(stat)
	})
}

// TestCrashes ends consoles in ways that no program survives. The terminal is
// clean, what was on it before stands there again, and the trace is shown.
func TestCrashes(t *testing.T) {
	t.Parallel()
	c := newHome(t).open(100, 30)
	for _, end := range []struct {
		signal syscall.Signal
		says   []string
	}{
		{syscall.SIGKILL, nil},
		{syscall.SIGABRT, []string{"rflags"}}, // the end of what Go's runtime writes
	} {
		c.console("● PRIMARY")
		pid := c.pid()
		guard := c.guarded(pid)
		signal(t, pid, end.signal)
		gone(t, pid)
		c.clean()
		screen := c.see(end.says...)
		if strings.Contains(screen, "PRIMARY") {
			t.Errorf("the console is still on the screen after %s:\n%s", end.signal, screen)
		}
		vanished(t, guard)
		c.clear()
	}
}

// TestTheGuardEndsWithTheConsole leaves no process behind, and none that waits
// to be collected.
func TestTheGuardEndsWithTheConsole(t *testing.T) {
	t.Parallel()
	c := newHome(t).open(80, 24)
	c.console("● PRIMARY")
	guard := c.guarded(c.pid())
	c.keys("q")
	c.ended(0)
	if exists(guard) {
		t.Errorf("process %s is left", guard)
	}
}

// TestStopAndContinue stops the console with ctrl+z and by signals.
func TestStopAndContinue(t *testing.T) {
	t.Parallel()
	c := newHome(t).open(100, 30)
	c.console("● PRIMARY")
	pid := c.pid()
	for _, stop := range []func(){
		func() { c.keys("C-z") },
		func() { signal(t, pid, syscall.SIGTSTP) },
	} {
		stop()
		c.miss("PRIMARY")
		c.see("Stopped")
		c.clean()
		c.types("fg")
		c.keys("Enter")
		c.fits(c.see("● PRIMARY", "q quit"))
		c.keys("2")
		c.see("No documents yet")
		c.keys("1")
		c.see("Storage mode")
	}
	// Who stops it this way gets a terminal as it is, and it comes back too.
	signal(t, pid, syscall.SIGSTOP)
	poll(t, "a stopped process", func() (bool, string) {
		stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return strings.Contains(string(stat), ") T "), string(stat)
	})
	c.resize(90, 25)
	signal(t, pid, syscall.SIGCONT)
	c.fits(settled(c))
	c.keys("q")
	c.ended(0)
}

// TestTheTerminalGoesAway closes the terminal under the console, which ends in
// order: what was written is in git.
func TestTheTerminalGoesAway(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	c := h.open(80, 24)
	c.console("● PRIMARY")
	pid := c.pid()
	guard := c.guarded(pid)
	c.keys("s")
	c.see("Added 6 samples")
	c.tmux("kill-server")
	gone(t, pid)
	vanished(t, guard)
	if n := h.fsck(); n != 6 {
		t.Errorf("git holds %d documents, want 6", n)
	}
}

// silent is a terminal that answers nothing and keeps what is written to it.
type silent struct {
	cmd    *exec.Cmd
	master *os.File
	seen   []byte
}

func openSilent(t testing.TB, program, dir string) *silent {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, program, "--state-dir", filepath.Join(dir, "state"))
	cmd.Env = []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH"), "TERM=xterm-256color", "LANG=C.UTF-8"}
	master, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 40, Cols: 120})
	if err != nil {
		t.Fatal(err)
	}
	return &silent{cmd: cmd, master: master}
}

// until reads until text was written.
func (s *silent) until(t testing.TB, text string) {
	t.Helper()
	buffer := make([]byte, 64<<10)
	for !bytes.Contains(s.seen, []byte(text)) {
		n, err := s.master.Read(buffer)
		if err != nil {
			t.Fatalf("the console ended before it wrote %q: %v\n%s", text, err, s.seen)
		}
		s.seen = append(s.seen, buffer[:n]...)
	}
}

// end reads the rest and waits for the program.
func (s *silent) end(t testing.TB) {
	t.Helper()
	buffer := make([]byte, 64<<10)
	for {
		n, err := s.master.Read(buffer)
		s.seen = append(s.seen, buffer[:n]...)
		if err != nil {
			break // nobody has the terminal any more
		}
	}
	if err := s.cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if err := s.master.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestASilentTerminal starts on a terminal that never answers: nothing is asked,
// so nothing stalls, and a key that was typed ahead is not lost.
func TestASilentTerminal(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	s := openSilent(t, h.program, h.dir)
	if _, err := s.master.WriteString("2"); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	s.until(t, "all documents")
	if took := time.Since(began); took > 4*time.Second { // a question costs 5 s
		t.Errorf("the first frame took %s", took)
	}
	// No shell started it: nobody would continue it if it stopped.
	if _, err := s.master.WriteString("\x1a"); err != nil {
		t.Fatal(err)
	}
	s.until(t, "no shell looks after")
	if _, err := s.master.WriteString("q"); err != nil {
		t.Fatal(err)
	}
	s.end(t)
	for _, question := range []string{"\x1b]", "\x1b[6n", "\x1b[c", "\x1b[>"} {
		if bytes.Contains(s.seen, []byte(question)) {
			t.Errorf("the terminal was asked %q", question)
		}
	}
}

// TestQuitOnATerminalThatIsStuck ends a console whose terminal takes nothing,
// as one does whose connection hangs. When it wakes it is clean.
func TestQuitOnATerminalThatIsStuck(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	s := openSilent(t, h.program, h.dir)
	s.until(t, "PRIMARY")
	// Each size is a frame of several kilobytes, which nobody reads: together
	// they are more than any system holds for a terminal.
	const rounds, held = 60, 128 << 10
	for round := 0; round < rounds; {
		poll(t, "a new size", func() (bool, string) {
			round++
			err := pty.Setsize(s.master, &pty.Winsize{Rows: 40, Cols: uint16(100 + round)})
			return err != nil || round%2 == 0, fmt.Sprint(err)
		})
	}
	shown := len(s.seen)
	if _, err := s.master.WriteString("q"); err != nil {
		t.Fatal(err)
	}
	pid := s.cmd.Process.Pid
	gone(t, pid)
	s.end(t)
	if got := len(s.seen) - shown; got > held {
		t.Errorf("the terminal was not stuck: %d bytes arrived", got)
	}
	if !bytes.HasSuffix(s.seen, []byte("\x1b[?1049l")) {
		t.Errorf("the terminal was not given back; the last it got: %q", s.seen[max(len(s.seen)-200, 0):])
	}
}

// TestWideGlyphs shows documents whose names a terminal draws two cells wide:
// what a real terminal shows is what was meant, also after lines were replaced.
func TestWideGlyphs(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	for _, id := range []string{"日本語の文書", "emoji 🙂 in a name", "plain"} {
		h.must("put", "--id", id, h.write("text of "+id+"\n", "file.txt"))
	}
	c := h.open(80, 24)
	c.console("● PRIMARY")
	c.keys("2")
	c.fits(c.see("日本語の文書", "emoji 🙂 in a name", "plain"))
	for range 3 {
		c.keys("Enter")
		c.fits(c.see("served by"))
		c.keys("Escape")
		c.miss("served by")
		c.fits(c.see("日本語の文書", "emoji 🙂 in a name", "plain"))
		c.keys("j")
	}
	c.unbroken()
	c.keys("q")
	c.ended(0)
}
