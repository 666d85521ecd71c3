package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caiatech/caiatop/probe/httpapi"
)

// The size of the pictures in cells, and the least that a PNG of them has.
const (
	pictureWidth  = 120
	pictureHeight = 36
	leastPicture  = 10 << 10 // bytes
)

// TestScreenshots draws the pictures of the documentation from a real run. They
// go to the folder that CAIATOP_SCREENSHOTS names; without it they are drawn all
// the same, after less work, and thrown away.
func TestScreenshots(t *testing.T) {
	keep := os.Getenv("CAIATOP_SCREENSHOTS")
	load := 2 * time.Second
	if keep == "" {
		t.Parallel()
		keep = t.TempDir()
	} else {
		load = 2 * time.Minute // so that the series have a shape
		if _, err := exec.LookPath("rsvg-convert"); err != nil {
			t.Fatal("rsvg-convert is missing, which makes the pictures (Debian: apt install librsvg2-bin)")
		}
	}
	h := newHome(t)
	c := h.open(pictureWidth, pictureHeight)
	c.console("● PRIMARY")
	source, _ := goSource(t)
	h.importTree(source)
	work(t, h, load)
	h.inStep()
	c.see("outbox 0", "search")
	c.picture(keep, "overview")

	c.keys("6")
	c.see("Access & TLS", "many documents in one request", "first byte")
	c.picture(keep, "system")

	c.keys("2")
	c.see("Documents  ")
	c.keys("/")
	c.types("type:go http")
	c.see("http~client.go")
	c.keys("Enter", "Down", "Down", "Enter")
	c.see("served by  govc", "package ")
	c.picture(keep, "documents")
	c.keys("e")
	c.see("ctrl+s save", "package ")
	c.keys("Down", "Down")
	c.types("// A remark that is not saved yet.")
	c.see("(modified)")
	c.picture(keep, "editor")
	c.keys("Escape")
	c.see("discard")
	c.keys("Tab", "Tab", "Enter")
	c.see("served by")
	c.keys("Escape")
	c.miss("served by")
	c.keys("Escape")
	c.see("all documents")
	c.keys("1", "d")
	c.see("connections are refused")
	c.keys("Right", "Right", "Enter")
	c.see("▲ FALLBACK", "down by drill")
	work(t, h, load/10)
	c.until("pending writes", func(screen string) bool { return !contains(screen, "outbox 0") })
	c.picture(keep, "fallback")
	c.keys("5")
	c.see("FALLBACK, from PRIMARY")
	c.picture(keep, "events")
	c.keys("q")
	c.ended(0)
}

// work reads, writes and searches through the control socket for a while.
func work(t *testing.T, h *home, length time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), length)
	defer cancel()
	client, err := httpapi.New(ctx, h.state())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	page, err := client.List(ctx, httpapi.ListQuery{Limit: 200, Type: "go"})
	if err != nil || len(page.Rows) == 0 {
		t.Fatalf("list: %d rows, %v", len(page.Rows), err)
	}
	beat := time.NewTicker(25 * time.Millisecond)
	defer beat.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-beat.C:
		}
		err := turn(ctx, client, page.Rows, i)
		if err != nil && ctx.Err() == nil {
			t.Fatal(err)
		}
	}
}

// tide is how many documents are read at a time, each for a while.
var tide = [...]int{1, 2, 4, 3, 5, 6, 4, 2, 3, 1}

// turn is a few reads, and now and then a write or a search.
func turn(ctx context.Context, client *httpapi.Client, rows []httpapi.Row, i int) error {
	reads := tide[i/400%len(tide)]
	for k := range reads {
		if _, err := client.Get(ctx, rows[(i*7+k)%len(rows)].ID); err != nil {
			return fmt.Errorf("get: %w", err)
		}
	}
	if i%(8-reads) == 0 {
		note := httpapi.Document{ID: fmt.Sprintf("shift-note-%02d", i%12), Type: "text", Text: fmt.Sprintf("Shift note, revision %d.\n", i)}
		if _, err := client.Put(ctx, []httpapi.Document{note}); err != nil {
			return fmt.Errorf("put: %w", err)
		}
	}
	if i%40 == 0 {
		if _, err := client.Search(ctx, "request header", 20); err != nil {
			return fmt.Errorf("search: %w", err)
		}
	}
	return nil
}

// picture draws the screen as dir/name.svg and, where rsvg-convert is, as
// dir/name.png. With both only the PNG stays.
func (c *terminal) picture(dir, name string) {
	c.t.Helper()
	grid, err := parse(c.tmux("capture-pane", "-e", "-p", "-t", pane), c.w, c.h)
	if err != nil {
		c.t.Fatalf("%s: %v", name, err)
	}
	drawn := filepath.Join(c.t.TempDir(), name+".svg")
	if err := os.WriteFile(drawn, []byte(svg(grid)), 0o600); err != nil {
		c.t.Fatal(err)
	}
	if _, err := exec.LookPath("rsvg-convert"); errors.Is(err, exec.ErrNotFound) {
		c.t.Logf("%s is not made a PNG: rsvg-convert is missing (Debian: apt install librsvg2-bin)", name)
		return
	}
	out := filepath.Join(dir, name+".png")
	made := out + ".new"
	if told, err := exec.CommandContext(c.t.Context(), "rsvg-convert", "--zoom", "1.5", "--format", "png", "--output", made, drawn).CombinedOutput(); err != nil {
		c.t.Fatalf("rsvg-convert %s: %v\n%s", name, err, told)
	}
	data, err := os.ReadFile(made)
	if err != nil {
		c.t.Fatal(err)
	}
	if len(data) < leastPicture || !strings.HasPrefix(string(data), "\x89PNG\r\n") {
		c.t.Fatalf("%s has %d bytes or is no PNG", out, len(data))
	}
	if err := os.Rename(made, out); err != nil {
		c.t.Fatal(err)
	}
}
