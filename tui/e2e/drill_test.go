package e2e

import (
	"regexp"
	"strings"
	"testing"
)

// TestDrill rehearses an outage: documents are written and read while the
// service is down, and all of it comes back without a restart.
func TestDrill(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	c := h.open(120, 36)
	c.console("● PRIMARY")
	pid := c.pid()
	c.keys("s")
	c.see("Added 6 samples")

	c.keys("d")
	c.fits(c.see("connections are refused", "lost-replies", "caiatop drill start down --for 1m", "esc cancel"))
	c.keys("Escape")
	c.miss("connections are refused")
	c.see("● PRIMARY")
	c.keys("d")
	c.see("connections are refused")
	c.keys("Right", "Enter") // long enough for all that follows
	screen := c.see("▲ FALLBACK", "DRILL down until", "down by drill", "In a drill (down), ", "in a row failed", "connection refused", "or press r")
	c.fits(screen)
	if strings.Contains(screen, "also govc") {
		t.Errorf("govc is named as a safe place while it is down:\n%s", screen)
	}

	c.keys("2")
	c.see("Documents  6", "runbook-outage")
	write(c, "written-while-down", "Nothing of this is lost.")
	c.see("Documents  7")
	c.pending("written-while-down")
	c.keys("/")
	c.types("written")
	c.see("Documents  1")
	c.keys("Enter", "Enter")
	c.see("served by", "still on its way", "Nothing of this is lost.")
	c.keys("1")
	c.see("▲ FALLBACK", "outbox 1")

	c.keys("d")
	c.see("the embedded service is up again")
	c.miss("DRILL")
	c.keys("r")
	c.see("● PRIMARY", "outbox 0", "REPLAYING, from FALLBACK", "Replayed 1 ", "also govc", "documents 7")
	c.keys("2")
	c.see("served by  govc", "Nothing of this is lost.") // the preview has followed
	c.miss("still on its way")
	c.keys("Escape")
	c.miss("served by")
	c.keys("Escape")
	c.see("Documents  7")
	c.keys("1")
	c.see("documents 7")
	status := h.inStep()
	if status.PID != pid {
		t.Errorf("process %d answers, the console was process %d", status.PID, pid)
	}
	if status.Documents != 7 {
		t.Errorf("%d documents, want 7", status.Documents)
	}
	c.keys("2", "Enter")
	c.see("served by  govc")
	c.keys("q")
	c.ended(0)
	if n := h.fsck(); n != 7 {
		t.Errorf("git holds %d documents, want 7", n)
	}
}

// behindGovc is the end of a row in a wide list: not at govc yet, and in git.
var behindGovc = regexp.MustCompile(`behind\s+\S+ in step`)

// pending waits until the list shows a document that only govc lacks.
func (c *terminal) pending(id string) {
	c.t.Helper()
	c.until(id+" as behind at govc", func(screen string) bool {
		for line := range strings.Lines(screen) {
			if contains(line, id) && behindGovc.MatchString(line) {
				return true
			}
		}
		return false
	})
}

// TestLeaveAndReturn leaves a healthy service by hand and takes it back.
func TestLeaveAndReturn(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	c := h.open(100, 30)
	c.console("● PRIMARY")
	c.keys("f")
	c.see("Fall back", "cancel")
	c.keys("Tab", "Enter")
	c.fits(c.see("▲ FALLBACK", "operator"))
	c.keys("s")
	c.see("Added 6 samples", "outbox 6")
	c.keys("r")
	c.see("● PRIMARY", "outbox 0", "REPLAYING")
	status := h.inStep()
	if strings.Join(status.Also, " ") != "govc" {
		t.Errorf("also safe in %q, want govc", status.Also)
	}
	h.must("fallback")
	c.see("▲ FALLBACK")
	h.must("recover")
	c.see("● PRIMARY")
	c.keys("q")
	c.ended(0)
}
