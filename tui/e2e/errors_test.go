package e2e

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	_ "modernc.org/sqlite" // opens the state file that a newer version left
)

func contains(s, part string) bool { return strings.Contains(s, part) }

// edges returns the first and the last line of a screen of h lines.
func edges(screen string, h int) (first, last string) {
	lines := strings.Split(strings.TrimRight(screen, "\n"), "\n")
	if len(lines) == h {
		last = lines[h-1]
	}
	return lines[0], last
}

// told wants a message that says what, why and what to do, and nothing of how
// the program is made inside.
func told(t *testing.T, screen string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !contains(screen, want) {
			t.Errorf("the message does not say %q:\n%s", want, screen)
		}
	}
	for _, bad := range []string{"goroutine ", "panic", ".go:", "runtime error"} {
		if contains(screen, bad) {
			t.Errorf("the message says %q:\n%s", bad, screen)
		}
	}
}

// TestRefusedStarts are consoles that cannot start. Each says why and what to
// do, with an exit code that a script can use, and leaves the terminal clean.
func TestRefusedStarts(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	c := h.open(160, 24)
	h.write("", "file")
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := taken.Close(); err != nil {
			t.Error(err)
		}
	})
	port := strconv.Itoa(taken.Addr().(*net.TCPAddr).Port)
	h.write("nonsense: 1\n", "unknown.yaml")
	newer := newerState(t, h)
	for _, start := range []struct {
		name, line string
		code       int
		says       []string
	}{
		{"no terminal on stdin", "caiatop </dev/null", 64, []string{"needs a terminal", "caiatop status"}},
		{"folder below a file", "caiatop --state-dir file/below", 73, []string{"cannot start", "file/below", "--state-dir"}},
		{"folder that cannot be", "caiatop --state-dir /proc/caiatop", 73, []string{"cannot start", "/proc/caiatop", "--state-dir"}},
		{"newer state file", "caiatop --state-dir " + newer, 69, []string{"newer", "use the newer caiatop"}},
		{"port taken", "caiatop --embedded-port " + port, 69, []string{port, "in use", "--embedded-port"}},
		{"unknown key", "caiatop --config unknown.yaml", 78, []string{"nonsense", "unknown.yaml"}},
		{"unknown command", "caiatop stauts", 64, []string{"stauts", "caiatop status"}},
		{"bad URL", "caiatop --govc-url ftp://host", 78, []string{"http://", "URL"}},
	} {
		t.Run(start.name, func(t *testing.T) {
			c.start(start.line)
			told(t, c.ended(start.code), start.says...)
			c.clear()
		})
	}
}

// newerState makes a state folder that a later version has written.
func newerState(t *testing.T, h *home) string {
	t.Helper()
	dir := h.path("newer")
	h.must("put", "--state-dir", dir, "--id", "one", h.write("text\n", "one.txt"))
	db, err := sql.Open("sqlite", dir+"/embedded/caia-documents/state.db")
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.ExecContext(t.Context(), "PRAGMA user_version = 9999")
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestSecondConsole starts two consoles on one state folder.
func TestSecondConsole(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	first := h.open(80, 24)
	first.console("● PRIMARY")
	pid := first.pid()
	other := &home{t: t, dir: t.TempDir(), program: h.program}
	second := other.open(160, 24)
	second.start("caiatop --state-dir " + h.path(".local", "state", "caiatop"))
	told(t, second.ended(75), "in use", "process "+strconv.Itoa(pid))
	first.keys("s")
	first.see("Added 6 samples")
	first.keys("q")
	first.ended(0)
	second.console("● PRIMARY", "--state-dir", h.path(".local", "state", "caiatop"))
	second.see("documents 6")
	second.keys("q")
	second.ended(0)
}

// TestWrongService points the console at servers that are no govc service: it
// runs on what is here and says what is wrong.
func TestWrongService(t *testing.T) {
	t.Parallel()
	html := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<!doctype html><title>Router \x1b]0;PWNED\a</title><h1>Log in</h1>") //nolint:errcheck // the client says what it got
	}))
	t.Cleanup(html.Close)
	closed, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "http://" + closed.Addr().String()
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	for _, service := range []struct{ name, url, why string }{
		{"HTML", html.URL, "is not a govc"},
		{"nobody", nobody, "refused"},
	} {
		t.Run(service.name, func(t *testing.T) {
			t.Parallel()
			h := newHome(t)
			c := h.open(120, 36)
			c.start("caiatop --govc-url " + service.url)
			screen := c.until("FALLBACK or LOCKED and why", func(screen string) bool {
				return (contains(screen, "FALLBACK") || contains(screen, "LOCKED")) && contains(screen, service.why)
			})
			told(t, screen, strings.TrimPrefix(service.url, "http://"))
			c.fits(screen)
			c.keys("Escape")
			c.keys("2")
			c.see("No documents yet")
			write(c, "kept", "It is safe here.")
			c.see("Documents  1")
			c.pending("kept")
			c.keys("q")
			c.ended(0)
		})
	}
}
