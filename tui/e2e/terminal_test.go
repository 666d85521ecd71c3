package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
)

const (
	// pane is the one window of a terminal.
	pane = "main"
	// prompt is what the shell in it shows when nothing runs.
	prompt = "ready$"
)

var servers atomic.Int64

// terminal is a tmux server with one window, in which a shell waits.
type terminal struct {
	*home
	w, h   int
	socket string
}

// open starts a terminal of w by h cells. It is ended with the test.
func (h *home) open(w, height int) *terminal {
	h.t.Helper()
	if _, err := exec.LookPath("tmux"); err != nil {
		h.t.Skip("tmux is missing, which is the terminal of this test (Debian: apt install tmux)")
	}
	h.write("PS1='"+prompt+" '\n", "shellrc")
	c := &terminal{home: h, w: w, h: height, socket: fmt.Sprintf("t%d-%d", os.Getpid(), servers.Add(1))}
	h.t.Cleanup(c.kill)
	c.tmux("start-server", ";", "set-option", "-g", "default-terminal", "xterm-256color", ";",
		"set-option", "-g", "status", "off", ";",
		"new-session", "-d", "-s", pane, "-x", strconv.Itoa(w), "-y", strconv.Itoa(height), "-c", h.dir, "exec /bin/sh -i")
	c.see(prompt)
	return c
}

func (c *terminal) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "tmux", append([]string{"-u", "-L", c.socket, "-f", "/dev/null"}, args...)...)
	cmd.Env = c.env()
	return cmd
}

func (c *terminal) tmux(args ...string) string {
	c.t.Helper()
	out, err := c.command(c.t.Context(), args...).CombinedOutput()
	if err != nil {
		c.t.Fatalf("tmux %q: %v\n%s", args, err, out)
	}
	return string(out)
}

// kill ends the server and all that runs in it, and waits for the program so
// that the home folder can be removed.
func (c *terminal) kill() {
	if err := c.command(context.Background(), "has-session", "-t", pane).Run(); err != nil {
		return // it never started, or has ended
	}
	pid, running := c.process()
	if err := c.command(context.Background(), "kill-server").Run(); err != nil {
		c.t.Errorf("tmux server %s was not ended: %v", c.socket, err)
	}
	if running {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			c.t.Errorf("process %d was not ended: %v", pid, err)
		}
		gone(c.t, pid)
	}
}

// process returns the process of caiatop that start began. Another one that
// has its number by now does not count.
func (c *terminal) process() (pid int, running bool) {
	out, err := os.ReadFile(c.path("pid"))
	if err != nil {
		return 0, false
	}
	pid, err = strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil {
		return 0, false
	}
	runs, err := os.Stat(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		return 0, false
	}
	ours, err := os.Stat(c.program)
	return pid, err == nil && os.SameFile(runs, ours)
}

// alive reports whether a process runs. A dead one that nobody waited for does
// not.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(after, "Z")
}

// signal sends a signal to a process that start began.
func signal(t *testing.T, pid int, s syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, s); err != nil {
		t.Fatalf("signal %s to process %d: %v", s, pid, err)
	}
}

func gone(t *testing.T, pid int) {
	t.Helper()
	poll(t, fmt.Sprintf("the end of process %d", pid), func() (bool, string) { return !alive(pid), "it runs" })
}

// start types a command line into the shell by way of a short script, which
// keeps the process id, the exit code and the modes of the terminal.
func (c *terminal) start(line string) {
	c.t.Helper()
	for _, name := range []string{"exit", "stty"} {
		if err := os.RemoveAll(c.path(name)); err != nil {
			c.t.Fatal(err)
		}
	}
	// A background job would lose the terminal: the script replaces itself.
	c.write("echo $$ >pid\nexec "+line+"\n", "inner")
	c.write("sh inner\ncode=$?\nstty -a >stty\necho $code >exit.new\nmv exit.new exit\n", "run")
	c.types("sh run")
	c.keys("Enter")
}

// console starts caiatop with further arguments and waits for the state.
func (c *terminal) console(state string, args ...string) {
	c.t.Helper()
	c.start(strings.Join(append([]string{"caiatop"}, args...), " "))
	c.see(state)
}

// pid returns the process that start began.
func (c *terminal) pid() int {
	c.t.Helper()
	pid, running := c.process()
	if !running {
		c.t.Fatalf("the program does not run; the screen:\n%s", c.screen())
	}
	return pid
}

// keys presses keys by their tmux names: Enter, Escape, C-s, a. Nothing may be
// pressed after Escape before its effect is seen: programs take what follows at
// once as part of a sequence.
func (c *terminal) keys(keys ...string) {
	c.t.Helper()
	c.tmux(append([]string{"send-keys", "-t", pane}, keys...)...)
}

// types types text as it is.
func (c *terminal) types(text string) {
	c.t.Helper()
	c.tmux("send-keys", "-t", pane, "-l", text)
}

// screen returns what is visible.
func (c *terminal) screen() string {
	c.t.Helper()
	return c.tmux("capture-pane", "-p", "-t", pane)
}

// unbroken wants no line that the terminal had to break. After a change of size
// it means nothing: a frame of the old size may have been on its way.
func (c *terminal) unbroken() {
	c.t.Helper()
	joined := strings.TrimRight(c.tmux("capture-pane", "-p", "-J", "-t", pane), "\n")
	for line := range strings.SplitSeq(joined, "\n") {
		if n := ansi.StringWidth(line); n > c.w {
			c.t.Errorf("a line of %d cells was broken at %d: %q", n, c.w, line)
		}
	}
}

// see waits until all texts are on the screen, and returns it.
func (c *terminal) see(texts ...string) string {
	c.t.Helper()
	return c.until(fmt.Sprintf("%q", texts), func(screen string) bool {
		return !slices.ContainsFunc(texts, func(s string) bool { return !strings.Contains(screen, s) })
	})
}

// miss waits until none of the texts is on the screen.
func (c *terminal) miss(texts ...string) string {
	c.t.Helper()
	return c.until(fmt.Sprintf("the end of %q", texts), func(screen string) bool {
		return !slices.ContainsFunc(texts, func(s string) bool { return strings.Contains(screen, s) })
	})
}

func (c *terminal) until(what string, content func(screen string) bool) (screen string) {
	c.t.Helper()
	poll(c.t, what, func() (bool, string) {
		screen = c.screen()
		return content(screen), screen
	})
	return screen
}

// resize gives the terminal another size while the program runs.
func (c *terminal) resize(w, h int) {
	c.t.Helper()
	c.w, c.h = w, h
	c.tmux("resize-window", "-t", pane, "-x", strconv.Itoa(w), "-y", strconv.Itoa(h))
}

// ended waits for the end of what start began and wants its exit code, a clean
// terminal and the prompt.
func (c *terminal) ended(code int) string {
	c.t.Helper()
	poll(c.t, "the end of the program", func() (bool, string) {
		_, err := os.Stat(c.path("exit"))
		return err == nil, c.screen()
	})
	got, err := os.ReadFile(c.path("exit"))
	if err != nil {
		c.t.Fatal(err)
	}
	if want := strconv.Itoa(code); strings.TrimSpace(string(got)) != want {
		c.t.Errorf("exit code %swant %s; the screen:\n%s", got, want, c.screen())
	}
	modes, err := os.ReadFile(c.path("stty"))
	if err != nil {
		c.t.Fatal(err)
	}
	c.cooked(string(modes))
	if flags := c.flags(); flags != cleanTerminal {
		c.t.Errorf("the terminal was left with %swant %s", flags, cleanTerminal)
	}
	return c.until("the prompt", func(screen string) bool {
		return strings.HasSuffix(strings.TrimSpace(screen), prompt)
	})
}

// cleanTerminal is what flags says of a terminal as a shell wants it.
const cleanTerminal = "alternate 0 cursor 1 mouse 0 keypad 0 wrap 1\n"

// flags says which modes are on.
func (c *terminal) flags() string {
	c.t.Helper()
	return c.tmux("display-message", "-p", "-t", pane,
		"alternate #{alternate_on} cursor #{cursor_flag} mouse #{mouse_any_flag} keypad #{keypad_cursor_flag} wrap #{wrap_flag}")
}

// clean waits for a terminal as a shell wants it, which the guard of a console
// leaves behind that could not do it itself.
func (c *terminal) clean() {
	c.t.Helper()
	poll(c.t, "a clean terminal", func() (bool, string) {
		flags := c.flags()
		return flags == cleanTerminal, flags
	})
	if err := os.RemoveAll(c.path("modes")); err != nil {
		c.t.Fatal(err)
	}
	c.types("stty -a >modes.new; mv modes.new modes")
	c.keys("Enter")
	var modes []byte
	poll(c.t, "the modes of the terminal", func() (bool, string) {
		var err error
		modes, err = os.ReadFile(c.path("modes"))
		return err == nil, c.screen()
	})
	c.cooked(string(modes))
}

// cooked wants the modes in which a shell reads lines.
func (c *terminal) cooked(modes string) {
	c.t.Helper()
	for _, mode := range []string{"icanon", "echo", "isig", "icrnl", "opost"} {
		if !slices.Contains(strings.FieldsFunc(modes, func(r rune) bool { return strings.ContainsRune(" ;\n", r) }), mode) {
			c.t.Errorf("the terminal was left without %s:\n%s", mode, modes)
		}
	}
}

// clear empties the screen of a terminal in which nothing runs.
func (c *terminal) clear() {
	c.t.Helper()
	c.types("clear")
	c.keys("Enter")
	c.until("an empty screen", func(screen string) bool { return strings.TrimSpace(screen) == prompt })
}

// fits checks that a screen keeps within the terminal and that its borders
// close. tmux may be asked while it is in the middle of a frame, so a screen
// that does not fit is looked at again until it does.
func (c *terminal) fits(screen string) {
	c.t.Helper()
	why := c.misfit(screen)
	if why == "" {
		return
	}
	c.until("a screen that fits; at first: "+why, func(screen string) bool { return c.misfit(screen) == "" })
}

// misfit says what does not fit, or "".
func (c *terminal) misfit(screen string) string {
	lines := strings.Split(strings.TrimRight(screen, "\n"), "\n")
	if len(lines) > c.h {
		return fmt.Sprintf("%d lines on %d", len(lines), c.h)
	}
	for i, line := range lines {
		n := ansi.StringWidth(line)
		if n > c.w {
			return fmt.Sprintf("line %d has %d cells on %d: %q", i+1, n, c.w, line)
		}
		if first, _ := utf8.DecodeRuneInString(line); strings.ContainsRune("╭│╰", first) && n != c.w {
			return fmt.Sprintf("the border of line %d ends at cell %d of %d: %q", i+1, n, c.w, line)
		}
	}
	return ""
}
