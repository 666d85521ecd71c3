package e2e

import (
	"fmt"
	"syscall"
	"testing"
)

// sizes are terminals from comfortable to hopeless. The smallest has room for
// the state alone.
var sizes = []struct{ w, h int }{{120, 36}, {80, 24}, {60, 15}, {40, 12}, {30, 8}, {10, 3}}

// TestSizes resizes a running console, on three pages and with dialogs open.
func TestSizes(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	c := h.open(200, 60)
	c.console("● PRIMARY")
	c.fits(c.screen())
	c.keys("s")
	c.see("Added 6 samples")
	for _, page := range []struct{ key, word string }{{"1", ""}, {"6", ""}, {"2", ""}, {"?", ""}} {
		c.keys(page.key)
		for _, size := range sizes {
			c.resize(size.w, size.h)
			c.fits(settled(c))
		}
		c.resize(100, 30)
		c.see("caiatop", "● PRIMARY", "safe: state+git")
	}
	c.see("Help  documents")
	c.keys("q", "q")
	c.ended(0)
}

// settled waits until a frame of the new size stands: the state in its first
// line, and the keys in its last one where there is room.
func settled(c *terminal) string {
	c.t.Helper()
	screen := c.until(fmt.Sprintf("a frame of %dx%d", c.w, c.h), func(screen string) bool {
		first, last := edges(screen, c.h)
		if c.w < 30 || c.h < 8 {
			return contains(first, "PRIMARY") && !contains(screen, "│")
		}
		return contains(first, "● PRIMARY") && (contains(last, "q quit") || contains(last, "esc closes"))
	})
	return screen
}

// TestStartSizes starts consoles in terminals of each size.
func TestStartSizes(t *testing.T) {
	for _, size := range sizes {
		t.Run(fmt.Sprintf("%dx%d", size.w, size.h), func(t *testing.T) {
			t.Parallel()
			c := newHome(t).open(size.w, size.h)
			c.console("PRIMARY")
			c.fits(settled(c))
			c.unbroken()
			c.keys("q")
			c.ended(0)
		})
	}
}

// TestTerminated ends consoles by signals from outside: the terminal is clean
// and what was written stays.
func TestTerminated(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	c := h.open(80, 24)
	for i, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT} {
		c.console("● PRIMARY")
		h.must("put", "--id", fmt.Sprintf("document-%d", i), h.write(fmt.Sprintf("%d\n", i), "file.txt"))
		signal(t, c.pid(), s)
		c.ended(0)
		if n := h.fsck(); n != i+1 {
			t.Errorf("git holds %d documents after %s, want %d", n, s, i+1)
		}
		c.clear()
	}
	for i := range 3 {
		if got, want := h.must("get", fmt.Sprintf("document-%d", i)), fmt.Sprintf("%d\n", i); !contains(got, want) {
			t.Errorf("document-%d is %q, want %q", i, got, want)
		}
	}
}
