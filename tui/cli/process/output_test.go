package process_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caiatech/caiatop/tui/cli"
)

// TestAnExportOntoAFullDisk: what was written is whole, and is an export of that
// much.
func TestAnExportOntoAFullDisk(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.must("import", h.tree("tree", 30))
	big := h.write("big", strings.Repeat("x", 200<<10))
	h.must("put", "--id", "z", big)
	out := filepath.Join(h.dir, "out")
	// The limit of a file's size stands for the disk: the kernel refuses, and
	// has written a part of the file by then. The engine is another process.
	service := h.begin("serve", "--http-addr", "127.0.0.1:0")
	service.await("caiatop serves")
	cmd := h.command()
	limited := exec.Command("sh", "-c", `trap "" XFSZ; ulimit -f 64; exec caiatop export `+out)
	limited.Env, limited.Dir = cmd.Env, h.dir
	said, err := limited.CombinedOutput()
	if code := limited.ProcessState.ExitCode(); code != cli.ExitIO {
		t.Errorf("exit code %d, %v\n%s", code, err, said)
	}
	for _, want := range []string{"the export ended early, after 30 documents", `"z": `, "file too large", "free space there", "exported 30 documents"} {
		if !strings.Contains(string(said), want) {
			t.Errorf("it does not say %q:\n%s", want, said)
		}
	}
	checkExport(t, out, 30)
	h.must("import", out, "--state-dir", filepath.Join(h.dir, "other"))
	h.must("export", out, "--force")
	checkExport(t, out, 31)
}

// checkExport sees to it that the index names n documents, and that the folder
// has their files and no part of another.
func checkExport(t *testing.T, dir string, n int) {
	t.Helper()
	index, err := os.ReadFile(filepath.Join(dir, "caiatop-export.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(index), "\n"), "\n")
	if len(lines) != n+1 {
		t.Errorf("the index has %d lines, want %d", len(lines), n+1)
	}
	for _, line := range lines[1:] {
		var doc struct{ ID, Text string }
		if err := json.Unmarshal([]byte(line), &doc); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(dir, doc.Text)); err != nil {
			t.Error(err)
		}
	}
	if parts, err := filepath.Glob(filepath.Join(dir, ".caiatop-part*")); err != nil || len(parts) > 0 {
		t.Errorf("left behind: %q, %v", parts, err)
	}
}

// TestAReaderWhoLeaves ends a command that writes, without a word, and with the
// engine closed.
func TestAReaderWhoLeaves(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	for i := range 3 {
		h.must("put", "--id", fmt.Sprint(i), h.write("one", strings.Repeat("x", 1<<20)))
	}
	for _, args := range [][]string{{"ls"}, {"get", "1"}, {"get", "1", "--json"}, {"config", "show"}, {"history", "1"}} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		cmd := h.command(args...)
		var errs strings.Builder
		cmd.Stdout, cmd.Stderr = w, &errs
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		err = cmd.Wait()
		if code := cmd.ProcessState.ExitCode(); code != cli.ExitIO || errs.Len() > 0 {
			t.Errorf("%q: exit code %d, %v: %s", args, code, err, &errs)
		}
		if _, err := os.Lstat(filepath.Join(h.dir, ".local/state/caiatop/embedded/caia-documents/control.sock")); !os.IsNotExist(err) {
			t.Errorf("%q left its socket: %v", args, err)
		}
	}
	// A full device is told.
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	cmd := h.command("get", "1")
	var errs strings.Builder
	cmd.Stdout, cmd.Stderr = full, &errs
	err = cmd.Run()
	if code := cmd.ProcessState.ExitCode(); code != cli.ExitIO || !strings.Contains(errs.String(), "no space left") {
		t.Errorf("exit code %d, %v: %s", code, err, &errs)
	}
	if err := full.Close(); err != nil {
		t.Error(err)
	}
}

// TestUndoAsks: on a terminal only a clear yes is one, and leaving changes
// nothing.
func TestUndoAsks(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	for _, text := range []string{"first", "second"} {
		h.must("put", "--id", "a", h.write("one", text))
	}
	for _, c := range []struct {
		answer string
		code   int
		now    string
	}{{"n\n", cli.ExitInterrupted, "second"}, {"\n", cli.ExitInterrupted, "second"}, {"\x03", cli.ExitInterrupted, "second"}, {"yes\n", cli.ExitOK, "first"}} {
		p := h.beginOnTerminal("undo", "a")
		p.await("[y/N]")
		if !strings.Contains(p.said(), "+first") {
			t.Errorf("it asks without showing: %q", p.said())
		}
		p.enter(c.answer)
		if code := p.code(); code != c.code {
			t.Errorf("%q: exit code %d\n%s", c.answer, code, p.said())
		}
		if out := h.must("get", "a"); out != c.now {
			t.Errorf("%q: it is %q", c.answer, out)
		}
	}
}

// TestStatusOnATerminal draws its report over the one before.
func TestStatusOnATerminal(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	p := h.beginOnTerminal("status", "--watch")
	p.await("no engine runs")
	service := h.begin("serve", "--http-addr", "127.0.0.1:0")
	p.await("state folder")
	service.await("caiatop serves")
	if out := p.said(); strings.Count(out, "\x1b[H") < 2 || !strings.Contains(out, "\x1b[K\r\n") || !strings.Contains(out, "\x1b[J") {
		t.Errorf("%q", out)
	}
	p.enter("\x03")
	if code := p.code(); code != cli.ExitOK {
		t.Errorf("exit code %d", code)
	}
}
