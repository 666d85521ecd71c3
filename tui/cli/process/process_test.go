package process_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/caiatech/caiatop/tui/cli"
)

// home is a place of its own for processes.
type home struct {
	t   *testing.T
	dir string
}

func newHome(t *testing.T) home {
	t.Helper()
	// Short: the path of a socket has at most 100 bytes.
	dir, err := os.MkdirTemp("", "ct")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return home{t, dir}
}

func (h home) write(name, text string) string {
	h.t.Helper()
	path := filepath.Join(h.dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
		h.t.Fatal(err)
	}
	return path
}

func (h home) command(args ...string) *exec.Cmd {
	cmd := exec.Command("caiatop", args...)
	cmd.Dir = h.dir
	cmd.Env = []string{"HOME=" + h.dir, "TMPDIR=" + h.dir, "PATH=" + os.Getenv("PATH"), "TERM=xterm"}
	return cmd
}

// process is one that runs beside the test. Its output is in out.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	mu   sync.Mutex
	out  bytes.Buffer
	done chan error
	// terminal is what it runs on, if anything.
	terminal *os.File
}

// enter types on the terminal.
func (p *process) enter(keys string) {
	p.t.Helper()
	if _, err := p.terminal.WriteString(keys); err != nil {
		p.t.Fatal(err)
	}
}

func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(b)
}

func (p *process) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

// begin starts a process, which ends with the test.
func (h home) begin(args ...string) *process {
	h.t.Helper()
	p := &process{t: h.t, cmd: h.command(args...), done: make(chan error, 1)}
	p.cmd.Stdout, p.cmd.Stderr = p, p
	if err := p.cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	go func() { p.done <- p.cmd.Wait() }()
	h.t.Cleanup(p.kill)
	return p
}

// beginOnTerminal is begin on a terminal of its own.
func (h home) beginOnTerminal(args ...string) *process {
	h.t.Helper()
	p := &process{t: h.t, cmd: h.command(args...), done: make(chan error, 1)}
	terminal, err := pty.StartWithSize(p.cmd, &pty.Winsize{Rows: 24, Cols: 120})
	if err != nil {
		h.t.Fatal(err)
	}
	p.terminal = terminal
	go func() {
		_, copyErr := io.Copy(p, terminal)
		if errors.Is(copyErr, syscall.EIO) { // how a terminal says that nobody is left
			copyErr = nil
		}
		p.done <- errors.Join(p.cmd.Wait(), copyErr, terminal.Close())
	}()
	h.t.Cleanup(p.kill)
	return p
}

func (p *process) kill() {
	if p.cmd.ProcessState == nil {
		_ = p.cmd.Process.Kill() // it may have ended meanwhile
	}
	select {
	case err := <-p.done: // how it ended is for whoever asks
		p.done <- err
	case <-time.After(untilTime):
		p.t.Errorf("%q does not end", p.cmd.Args)
	}
}

func (p *process) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// code waits for the end and returns the exit code, -1 for a signal.
func (p *process) code() int {
	p.t.Helper()
	select {
	case err := <-p.done:
		p.done <- err
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(untilTime):
		p.t.Fatalf("%q does not end:\n%s", p.cmd.Args, p.said())
		return 0
	}
}

// await waits until the process has written a text.
func (p *process) await(text string) {
	p.t.Helper()
	poll(p.t, fmt.Sprintf("%q says %q", p.cmd.Args, text), func() bool { return strings.Contains(p.said(), text) }, p.said)
}

// poll looks at another process again and again, until it is as it should be.
func poll(t *testing.T, what string, is func() bool, now func() string) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(untilTime)
	for !is() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("never: %s\n%s", what, now())
		}
	}
}

func (h home) run(args ...string) (code int, stdout, stderr string) {
	h.t.Helper()
	cmd := h.command(args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); cmd.ProcessState == nil {
		h.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

func (h home) must(args ...string) string {
	h.t.Helper()
	code, stdout, stderr := h.run(args...)
	if code != cli.ExitOK {
		h.t.Fatalf("caiatop %q: exit code %d\n%s%s", args, code, stdout, stderr)
	}
	return stdout
}

// tree makes a folder of files.
func (h home) tree(name string, files int) string {
	h.t.Helper()
	for i := range files {
		h.write(fmt.Sprintf("%s/%d/%d.txt", name, i/100, i), strings.Repeat(fmt.Sprintf("file %d\n", i), 20))
	}
	return filepath.Join(h.dir, name)
}
