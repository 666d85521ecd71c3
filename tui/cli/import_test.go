package cli_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/probe/httpapi"
	"github.com/caiatech/caiatop/tui/cli"
)

// plant writes files below dir.
func plant(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// result is what import --json writes.
type result struct {
	Imported, Failed, Skipped int
	Bytes                     int64
	Synced                    bool
	Failures                  []struct{ Path, Error string }
}

func (w *world) importJSON(dir string) (int, result, string) {
	w.t.Helper()
	code, stdout, stderr := w.run("import", "--json", dir)
	var r result
	if err := json.Unmarshal([]byte(stdout), &r); err != nil {
		w.t.Fatalf("%v: %s %s", err, stdout, stderr)
	}
	return code, r, stderr
}

func TestImportOfATree(t *testing.T) {
	dir := t.TempDir()
	files := map[string]string{
		"readme.MD": "hello", "a/b/c.txt": "deep", "a/.hidden": "h", "empty": "", "nul.txt": "a\x00b", "latin1.html": "caf\xe9",
		"no-such.extension-": "x", "~tilde%.txt": "t", "a~b/c": "1", "a/b~c": "2", "\x1b[31m.txt": "escape", "caf\xe9": "name",
		"漢字/\u202efile": "bidi", strings.Repeat("x", 250): "long", strings.Repeat("d/", 90) + "f": "far",
	}
	plant(t, dir, files)
	plant(t, dir, map[string]string{".git/config": "no", "sub/.git": "gitdir: elsewhere"})
	if err := os.Symlink("readme.MD", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/", filepath.Join(dir, "root")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t).serve()
	code, r, stderr := w.importJSON(dir)
	if code != cli.ExitOK || r.Imported != len(files) || r.Failed != 0 || r.Skipped != 5 || !r.Synced || stderr != "" {
		t.Errorf("exit code %d, %+v, %s", code, r, stderr)
	}
	docs := w.engine.All()
	var size int64
	for name, content := range files {
		size += int64(len(content))
		id, err := document.EscapeID(name)
		if err != nil {
			t.Fatal(err)
		}
		d, ok := docs[id.String()]
		if !ok {
			t.Errorf("%q is missing", name)
			continue
		}
		if d.Text+string(d.Raw) != content || d.SourcePath != strings.ToValidUTF8(name, "\ufffd") {
			t.Errorf("%q became %+v", name, d)
		}
		if back, whole := document.UnescapeID(id); whole && back != name {
			t.Errorf("%q comes back as %q", name, back)
		}
	}
	if r.Bytes != size {
		t.Errorf("%d bytes, want %d", r.Bytes, size)
	}
	for id, kind := range map[string]string{
		"readme.MD": "md", "a~b~c.txt": "txt", "a~.hidden": "text", "empty": "text", "nul.txt": "txt", "latin1.html": "html",
		"no-such.extension-": "text", "caf%E9": "text",
	} {
		if docs[id].Type != kind {
			t.Errorf("%q has the type %q, want %q", id, docs[id].Type, kind)
		}
	}
	if string(docs["nul.txt"].Raw) != "a\x00b" || string(docs["latin1.html"].Raw) != "caf\xe9" {
		t.Error("what is no text was stored as text")
	}
	if calls := w.engine.Calls(); calls[len(calls)-1] != "sync" {
		t.Errorf("it did not wait for git: %v", calls)
	}
}

func TestImportGoesOnAfterAFile(t *testing.T) {
	dir := t.TempDir()
	plant(t, dir, map[string]string{
		"good": "x", "largest": strings.Repeat("x", document.MaxContent), "larger\x1b": strings.Repeat("x", document.MaxContent+1),
	})
	w := newWorld(t).serve()
	code, r, stderr := w.importJSON(dir)
	if code != cli.ExitData || r.Imported != 2 || r.Failed != 1 || len(r.Failures) != 1 || r.Failures[0].Path != "larger\x1b" || !r.Synced {
		t.Errorf("exit code %d, %+v", code, r)
	}
	if !strings.Contains(stderr, "not imported: larger^[: too large") || strings.Contains(stderr, "\x1b") {
		t.Errorf("stderr: %q", stderr)
	}
	code, stdout, _ := w.run("import", dir)
	if code != cli.ExitData || !strings.Contains(stdout, "imported 2 documents (10.0 MiB)") || !strings.Contains(stdout, ", 1 failed") {
		t.Errorf("the report: %d %s", code, stdout)
	}
}

func TestImportIsPutInBatches(t *testing.T) {
	dir := t.TempDir()
	files := map[string]string{}
	for i := range 600 {
		files[fmt.Sprintf("%03d", i)] = "x"
	}
	big := strings.Repeat("y", 3<<20)
	for _, name := range []string{"big1", "big2", "big3"} {
		files[name] = big
	}
	plant(t, dir, files)
	w := newWorld(t).serve()
	if code, r, stderr := w.importJSON(dir); code != 0 || r.Imported != 603 {
		t.Fatalf("%d %+v %s", code, r, stderr)
	}
	// 88 small documents and two big ones fill the third batch up to 8 MiB.
	if got, want := w.engine.Calls(), []string{"list", "put 256", "put 256", "put 90", "put 1", "sync"}; !slices.Equal(got, want) {
		t.Errorf("calls %v, want %v", got, want)
	}
}

func TestImportEndsWithTheEngine(t *testing.T) {
	dir := t.TempDir()
	plant(t, dir, map[string]string{"a": "x"})
	w := newWorld(t).serve()
	w.engine.Fail(httpapi.ErrDiskFull)
	code, r, stderr := w.importJSON(dir)
	if code != cli.ExitIO || r.Imported != 0 || r.Synced || !strings.Contains(stderr, `"code": "disk_full"`) {
		t.Errorf("%d %+v %s", code, r, stderr)
	}
}

// TestAnInterruptedImport: it told of a cancelled context at a socket.
func TestAnInterruptedImport(t *testing.T) {
	dir := t.TempDir()
	plant(t, dir, map[string]string{"a": "x"})
	w := newWorld(t).serve()
	ctx, cancel := context.WithCancel(t.Context())
	w.afterOpen = cancel
	code, _, stderr := w.runIn(ctx, "import", dir)
	if code != cli.ExitInterrupted || stderr != "caiatop: the import ended early, after 0 documents\n  why: interrupted\n  try: run the command again\n" {
		t.Errorf("exit code %d, %q", code, stderr)
	}
}

func TestImportOfNothing(t *testing.T) {
	w := newWorld(t).serve()
	if code, r, _ := w.importJSON(t.TempDir()); code != 0 || r.Imported != 0 || r.Failures == nil {
		t.Errorf("%d %+v", code, r)
	}
}
