package e2e

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// hostile is what a terminal would act on: a title, the clipboard, a colour,
// a bell, a cleared screen, and a one-byte CSI as UTF-8.
const hostile = "\x1b]0;PWNED\x07 \x1b]52;c;UFdORUQ=\x1b\\ \x1b[31mred \a \x1b[2J \u009b5mblink \x1bPq#0\x1b\\ \u202egnp.exe \r over \x00 end"

// ours are the sequences that the console itself sends: modes, cursor, erase
// and colours.
var ours = regexp.MustCompile(`\x1b\[(\?(7|25|1002|1003|1004|1006|1049|2004|2026)[hl]|[0-9;]*[ABCDGHJKm])`)

// TestHostileText shows documents made to harm a terminal. What reaches it is
// judged byte by byte.
func TestHostileText(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	c := h.open(120, 36)
	raw := h.path("raw")
	c.tmux("pipe-pane", "-t", pane, "-o", "cat >"+raw)
	c.console("● PRIMARY")
	told := importHostile(h)

	c.see("documents 6")
	c.keys("2")
	c.see("Documents  6", "harmless.txt", "%07", "日本語")
	for _, id := range []string{"harmless", "with metadata", "binary"} {
		c.keys("/")
		c.keys("C-u")
		c.types(id)
		c.see("Documents  1")
		c.keys("Enter", "Enter")
		c.see("served by  govc", "PWNED")
		c.fits(c.screen())
		c.keys("G")
		c.fits(c.screen())
		c.keys("Escape")
		c.miss("served by")
	}
	h.inStep() // the text index too
	c.keys("F")
	c.types("PWNED")
	c.keys("Enter")
	c.fits(c.see("documents with PWNED", "harmless.txt"))
	c.keys("q")
	c.ended(0)

	var sent []byte
	poll(t, "the record of the whole run", func() (bool, string) {
		var err error
		if sent, err = os.ReadFile(raw); err != nil {
			t.Fatal(err)
		}
		_, after, left := strings.Cut(string(sent), "\x1b[?1049l")
		return left && strings.Contains(after, prompt) && strings.Contains(string(sent), "PWNED"), string(sent[max(len(sent)-200, 0):])
	})
	for name, got := range map[string]string{"terminal": string(sent), "import": told} {
		if left := ours.ReplaceAllString(got, ""); strings.ContainsAny(left, "\x1b\a\x00\u009b\u202e\x0e\x0f") {
			at := strings.IndexAny(left, "\x1b\a\x00\u009b\u202e\x0e\x0f")
			t.Errorf("%s: a character that a terminal acts on: %q", name, left[max(at-40, 0):min(at+40, len(left))])
		}
	}
}

// importHostile stores files with hostile names, texts and metadata, and
// returns what the commands said.
func importHostile(h *home) string {
	h.t.Helper()
	evil := strings.NewReplacer("\x00", "", "/", "").Replace(hostile)
	h.write(hostile[:strings.Index(hostile, "\x00")], "tree", "harmless.txt")
	h.write("binary "+hostile, "tree", "binary.bin")
	h.write("a title\n", "tree", evil)
	h.write("a bell\n", "tree", "bell\a.txt")
	h.write("any script\n", "tree", "日本語 e\u0301.txt")
	told := h.must("import", h.path("tree"))
	if !strings.Contains(told, "imported 5 documents") {
		h.t.Errorf("import of hostile names:\n%q", told)
	}
	told += h.must("put", "--id", "with metadata", "--meta", "evil="+evil, h.write("PWNED below\n", "plain.txt"))
	for _, args := range [][]string{{"ls"}, {"search", "PWNED"}, {"status"}, {"ls", "--json"}} {
		told += h.must(args...)
	}
	return told
}
