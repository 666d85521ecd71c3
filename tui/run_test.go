package tui

import (
	"context"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/charmbracelet/lipgloss"
	"github.com/muesli/termenv"

	"github.com/caiatech/caiatop/backend/engine"
)

// console is a running Run, its input and what it wrote.
type console struct {
	in    *io.PipeWriter
	feed  feed
	stop  context.CancelFunc
	ended chan error

	mu      sync.Mutex
	written strings.Builder
	seen    chan struct{} // capacity one, after each write
}

func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	c.written.Write(p)
	c.mu.Unlock()
	select {
	case c.seen <- struct{}{}:
	default:
	}
	return len(p), nil
}

func (c *console) output() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.written.String()
}

func runConsole(t *testing.T) *console {
	t.Helper()
	in, keys := io.Pipe()
	ctx, stop := context.WithCancel(t.Context())
	c := &console{in: keys, stop: stop, feed: feed{make(chan *engine.Stats, 1)}, ended: make(chan error, 1), seen: make(chan struct{}, 1)}
	r := lipgloss.NewRenderer(io.Discard)
	r.SetColorProfile(termenv.Ascii)
	lib := newLibrary(t, 3)
	go func() {
		c.ended <- Run(ctx, Options{Feed: c.feed, Documents: lib, Control: lib, Renderer: r, Location: time.UTC}, in, c)
	}()
	t.Cleanup(func() {
		stop()
		_ = keys.Close()
	})
	c.await(t, "\x1b[?1049h")
	return c
}

// await waits until the console has written a text.
func (c *console) await(t *testing.T, text string) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for !strings.Contains(c.output(), text) {
		select {
		case <-c.seen:
		case err := <-c.ended:
			t.Fatalf("the console ended: %v", err)
		case <-deadline:
			t.Fatalf("%q was not written in %q", text, c.output())
		}
	}
}

func (c *console) wait(t *testing.T) {
	t.Helper()
	select {
	case err := <-c.ended:
		if err != nil {
			t.Fatalf("Run: %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the console does not end")
	}
	out := c.output()
	for _, restored := range []string{"\x1b[?1049l", "\x1b[?25h", "\x1b[?2004l"} {
		if !strings.Contains(out, restored) {
			t.Errorf("%q was not written: the terminal is not restored", restored)
		}
	}
}

// Without a terminal there is no size, and so no frame: what Run writes is how
// it enters and leaves the screen.
func TestRunEndsCleanly(t *testing.T) {
	ends := map[string]func(*console){
		"context": func(c *console) { c.stop() },
		"q":       func(c *console) { _, _ = io.WriteString(c.in, "q") },
		"ctrl+c":  func(c *console) { _, _ = io.WriteString(c.in, "\x03") },
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			c := runConsole(t)
			c.feed.c <- healthy()
			end(c)
			c.wait(t)
		})
	}
}
