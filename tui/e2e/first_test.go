package e2e

import (
	"strings"
	"testing"
)

// TestFirstStart is the first quarter of an hour of a new operator.
func TestFirstStart(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	c := h.open(120, 36)
	c.console("● PRIMARY")
	c.fits(c.see("press s for", "embedded", "safe: state+git", "q quit"))
	c.keys("s")
	c.see("Added 6 samples", "documents 6")
	c.keys("2")
	c.fits(c.see("Documents  6", "glossary", "pixel.gif", "runbook-outage"))
	c.keys("Enter")
	c.fits(c.see("served by", "samples/glossary.txt", "acknowledged operations that some store"))
	c.keys("Escape")
	c.miss("served by")

	c.keys("/")
	c.types("run")
	c.see("runbook-outage", "Documents  1")
	c.keys("Enter", "Escape")
	c.see("Documents  6")

	h.inStep() // the text index too
	c.keys("F")
	c.types("outbox")
	c.keys("Enter")
	c.see("documents with outbox", "Found  2", "glossary", "runbook-outage")
	c.keys("Escape")
	c.see("Documents  6")

	write(c, "report-42", "The quarter went well.")
	c.see("report-42", "Documents  7")
	c.keys("/")
	c.types("report-42")
	c.see("Documents  1")
	c.keys("Enter", "x")
	c.see("git history keeps")
	c.types("report-41")
	c.keys("Enter")
	c.see("git history keeps", "Documents  1") // a wrong name deletes nothing
	c.keys("C-u")
	c.types("report-42")
	c.keys("Enter")
	c.see("Deleted report-42", "No document matches")
	c.keys("Escape")
	c.see("Documents  6")

	c.keys("?")
	c.fits(c.see("Help  documents", "what happened", "Deleted report-42"))
	c.keys("Escape")
	c.miss("Help  documents")
	c.keys("q")
	screen := c.ended(0)
	if strings.Contains(screen, "PRIMARY") {
		t.Errorf("the console is still on the screen:\n%s", screen)
	}
	if n := h.fsck(); n != 6 {
		t.Errorf("git holds %d documents, want 6", n)
	}
	if log := h.git("log", "--format=%B"); !strings.Contains(log, "report-42") {
		t.Errorf("the history does not name report-42:\n%s", log)
	}
}

// write writes a document with the form of the documents page.
func write(c *terminal, id, text string) {
	c.t.Helper()
	c.keys("a")
	c.see("ctrl+s")
	c.types(id)
	c.keys("Tab", "Tab")
	c.types(text)
	c.see(id, text)
	c.keys("C-s")
	c.miss("ctrl+s")
}

// TestInterrupt ends the console with ctrl+c and with ctrl+c in a dialog.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	c := newHome(t).open(80, 24)
	c.console("● PRIMARY")
	c.keys("C-c")
	c.ended(0)
	c.console("● PRIMARY")
	c.keys("d")
	c.see("connections are refused")
	c.keys("C-c")
	c.ended(0)
}

// TestTypedAhead presses keys before the console is up: none is lost.
func TestTypedAhead(t *testing.T) {
	t.Parallel()
	c := newHome(t).open(80, 24)
	c.start("caiatop")
	c.keys("2")
	c.see("all documents", "● PRIMARY")
	c.keys("q")
	c.ended(0)
}

// TestBench measures beside the published figures.
func TestBench(t *testing.T) {
	t.Parallel()
	c := newHome(t).open(100, 30)
	c.console("● PRIMARY")
	c.keys("b")
	c.see("It works in repositories of its own", "cancel")
	c.keys("Tab", "Enter")
	c.see("esc stops it")
	c.fits(c.see("published", "p99", "write", "read", "merge", "memory", "git", "govc", "10.0ms", "faster", "enter close"))
	c.keys("Enter")
	c.miss("enter close")
	c.keys("q")
	c.ended(0)
}
