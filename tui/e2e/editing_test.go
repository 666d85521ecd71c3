package e2e

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
)

// note puts a document by a command and returns the name of its file.
func (h *home) note(id, text string) string {
	h.t.Helper()
	file := h.write(text, "files", id)
	h.must("put", "--id", id, "--type", "text", file)
	return file
}

// holds wants the content of a document, byte for byte.
func (h *home) holds(id, want string) {
	h.t.Helper()
	if got := h.must("get", id); got != want {
		h.t.Errorf("%s holds %q, want %q", id, got, want)
	}
}

// still waits until nothing changed on the screen for longer than what opens by
// itself ignores keys.
func (c *terminal) still() {
	c.t.Helper()
	const looks = 30 // of 20 ms and more
	last, same := "", 0
	c.until("a screen that stands still", func(screen string) bool {
		if same++; screen != last {
			last, same = screen, 0
		}
		return same >= looks
	})
}

// framed waits for a frame of the new size that shows the texts: what is left of
// the one before ends too early or too late.
func (c *terminal) framed(texts ...string) string {
	c.t.Helper()
	return c.until(fmt.Sprintf("a frame of %dx%d with %q", c.w, c.h, texts), func(screen string) bool {
		for line := range strings.Lines(screen) {
			line = strings.TrimRight(line, "\n")
			if first, _ := utf8.DecodeRuneInString(line); strings.ContainsRune("╭│╰", first) && ansi.StringWidth(line) != c.w {
				return false
			}
		}
		return !slices.ContainsFunc(texts, func(s string) bool { return !strings.Contains(screen, s) })
	})
}

// drafted waits until there are n drafts on the disk.
func (c *terminal) drafted(n int) {
	c.t.Helper()
	poll(c.t, "drafts", func() (bool, string) {
		found, err := filepath.Glob(c.state("drafts", "*.draft"))
		if err != nil {
			c.t.Fatal(err)
		}
		return len(found) == n, strings.Join(found, "\n") + "\n" + c.screen()
	})
}

// TestADraftOutlivesTheConsole: the console is killed, and ended from outside,
// in the middle of typing. What was typed is offered again and saved once.
func TestADraftOutlivesTheConsole(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.note("note", "text\n")
	c := h.open(80, 24)
	c.console("● PRIMARY")
	c.keys("2")
	c.see("Documents  1")
	c.keys("e")
	c.see("Edit note", "ctrl+s save")
	c.types("KILLED ")
	c.drafted(1)
	pid := c.pid()
	signal(t, pid, syscall.SIGKILL)
	gone(t, pid)
	c.clean()
	h.holds("note", "text\n")

	for _, how := range []syscall.Signal{syscall.SIGTERM, syscall.SIGHUP} {
		c.console("● PRIMARY")
		c.keys("2")
		c.fits(c.see("A draft was left over", "Draft of note from", "based on the newest version", "drafts: 1"))
		c.still()
		c.keys("e")
		c.see("Edit note (modified)", "KILLED", "the draft of")
		c.types(how.String() + " ")
		c.see(how.String())
		signal(t, c.pid(), how)
		c.ended(0)
		c.drafted(1)
		c.clear()
	}
	c.console("● PRIMARY")
	c.keys("2")
	c.see("A draft was left over")
	c.still()
	c.keys("e")
	c.see("Edit note (modified)")
	c.keys("C-s")
	c.see("Saved note")
	c.miss("drafts:")
	c.drafted(0)
	got := h.must("get", "note")
	for _, typed := range []string{"KILLED ", "terminated ", "hangup ", "text\n"} {
		if !strings.Contains(got, typed) {
			t.Errorf("%q is missing in %q", typed, got)
		}
	}
	c.keys("q")
	c.ended(0)
}

// TestOpenAndSaveChangesNothing: what was only looked at in the editor keeps
// every byte and gets no version; what was typed is undone and done again.
func TestOpenAndSaveChangesNothing(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	const text = "\xef\xbb\xbfone\ttwo\r\n\x1b[31mthree\r\nfour"
	h.note("note", text)
	c := h.open(80, 24)
	c.console("● PRIMARY")
	c.keys("2")
	c.see("Documents  1")
	c.keys("e")
	c.see("^[[31mthree", "CRLF", "BOM")
	c.keys("C-s")
	c.see("Nothing changed, nothing was written")
	h.holds("note", text)

	c.keys("e")
	c.see("Edit note")
	c.keys("C-f")
	c.types("four")
	c.fits(c.see("find: four", "esc closes the search"))
	c.keys("Escape")
	c.miss("find: four")
	c.keys("End")
	c.types(" five")
	c.see("four five", "modified")
	c.keys("C-z")
	c.miss("five")
	c.keys("C-s")
	c.see("Nothing changed, nothing was written")
	h.holds("note", text)
	if n := strings.Count(h.must("history", "note"), "Put document note"); n != 1 {
		t.Errorf("%d versions, want 1", n)
	}
	c.keys("e")
	c.see("Edit note")
	c.keys("F2")
	c.see("No metadata")
	c.types("owner")
	c.keys("Tab")
	c.types("ada")
	c.see("owner", "ada")
	c.keys("C-s")
	c.see("Saved note")
	h.holds("note", text)
	if out := h.must("get", "--json", "note"); !strings.Contains(out, `"owner": "ada"`) {
		t.Errorf("the metadata is not there:\n%s", out)
	}
	c.keys("q")
	c.ended(0)
}

// TestAConflictWithACommand: somebody changes what is being edited, each time
// another answer is given, and no version is lost.
func TestAConflictWithACommand(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.note("note", "one\ntwo\nthree\n")
	c := h.open(120, 36)
	c.console("● PRIMARY")
	c.keys("2")
	c.see("Documents  1")
	conflict := func(typed, theirs string) {
		t.Helper()
		c.keys("e")
		c.see("Edit note")
		c.types(typed)
		c.see(typed)
		h.note("note", theirs)
		c.keys("C-s")
		c.fits(c.see("Nothing is lost: choose what is to stay", "base", "theirs", "mine", "w write mine", "t take theirs"))
		c.still()
	}
	conflict("merged ", "one\ntwo\nthree\nfour\n")
	c.resize(60, 15)
	c.fits(c.see("m merge (clean)  w mine  t theirs  c copy", "esc goes back to the editor"))
	c.resize(120, 36)
	c.see("m save the merge (clean)")
	c.keys("m")
	c.see("Saved note")
	h.holds("note", "merged one\ntwo\nthree\nfour\n")

	conflict("mine ", "theirs\n")
	c.keys("Escape")
	c.see("Nothing was saved yet", "mine ▏merged one")
	c.keys("C-s")
	c.see("choose what is to stay")
	c.still()
	c.keys("w")
	c.see("Saved note")
	h.holds("note", "mine merged one\ntwo\nthree\nfour\n")

	conflict("copied ", "theirs again\n")
	c.keys("c")
	c.see("id of the copy note.mine")
	c.keys("Enter")
	c.see("Saved note.mine")
	h.holds("note", "theirs again\n")
	h.holds("note.mine", "copied mine merged one\ntwo\nthree\nfour\n")

	conflict("kept ", "theirs at last\n")
	c.keys("t")
	c.see("Take theirs", "keep mine as a draft", "esc cancel")
	c.keys("Tab", "Enter")
	c.see("The draft of note is kept", "drafts: 1")
	h.holds("note", "theirs at last\n")
	c.drafted(1)
	out := h.must("history", "note")
	if n := strings.Count(out, "Put document note"); n != 7 {
		t.Errorf("%d versions, want 7:\n%s", n, out)
	}
	c.keys("q")
	c.ended(0)
}

// TestEditWithAProgram edits with programs of the operator's own: one that
// works, one that fails, one that removes its file.
func TestEditWithAProgram(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.note("note", "old text\n")
	c := h.open(80, 24)
	for _, tt := range []struct{ editor, told, want string }{
		{"sed -i s/old/new/", "Saved note", "new text\n"},
		{"true", "Nothing changed, nothing was written", "new text\n"},
		{"false", "The editor failed: exit status 1. note is as it was", "new text\n"},
		{"rm -f", "The editor removed its file; note is as it was", "new text\n"},
		{"nowhere-to-be-found", "Not edited", "new text\n"},
	} {
		c.start("env TMPDIR=" + h.dir + " EDITOR='" + tt.editor + "' caiatop")
		c.see("● PRIMARY")
		c.keys("2")
		c.see("Documents  1")
		c.keys("E")
		c.fits(c.see(tt.told, "Documents  1"))
		h.holds("note", tt.want)
		c.keys("q")
		c.ended(0)
		c.clear()
		if left, err := filepath.Glob(h.path("caiatop-*")); err != nil || len(left) > 0 {
			t.Errorf("%s left %q, %v", tt.editor, left, err)
		}
	}

	// A console that has to end takes the program with it, and keeps what that
	// has written.
	script := h.write("echo more >>$1\necho WRITTEN\nexec sleep 100\n", "slow")
	c.start("env TMPDIR=" + h.dir + " EDITOR='sh " + script + "' caiatop")
	c.see("● PRIMARY")
	c.keys("2")
	c.see("Documents  1")
	c.keys("E")
	c.see("WRITTEN")
	signal(t, c.pid(), syscall.SIGTERM)
	c.ended(0)
	c.drafted(1)
	h.holds("note", "new text\n")
	if left, err := filepath.Glob(h.path("caiatop-*")); err != nil || len(left) > 0 {
		t.Errorf("left %q, %v", left, err)
	}
	c.clear()
	c.console("● PRIMARY")
	c.keys("2")
	c.see("A draft was left over")
	c.still()
	c.keys("e")
	c.see("Edit note (modified)", "2 more")
	c.keys("C-s")
	c.see("Saved note")
	h.holds("note", "new text\nmore\n")
	c.keys("q")
	c.ended(0)
}
