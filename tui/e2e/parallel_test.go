package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// TestParallelCommands runs commands beside one another without a console. Each
// may serve the others, and takes its engine with it when it ends.
func TestParallelCommands(t *testing.T) {
	t.Parallel()
	const rounds, commands = 5, 8
	h := newHome(t)
	file := h.write("hello\n", "one.txt")
	for round := range rounds {
		var ends []func() result
		for n := range commands {
			ends = append(ends, h.begin("put", "--id", fmt.Sprintf("doc-%d-%d", round, n), file))
		}
		for n, end := range ends {
			if r := end(); r.code != 0 {
				t.Errorf("round %d, command %d: exit code %d\n%s%s", round, n, r.code, r.out, r.err)
			}
		}
	}
	if out := h.must("ls"); strings.Count(out, "doc-") != rounds*commands {
		t.Errorf("%d documents, want %d:\n%s", strings.Count(out, "doc-"), rounds*commands, out)
	}
}

// TestLostInput stores nothing where stdin is closed or the null device: the
// document that was there stays.
func TestLostInput(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.must("put", "--id", "kept", h.write("text\n", "one.txt"))
	// Without a stdin of its own a command gets the null device.
	r := h.run("put", "--id", "kept", "-")
	if r.code != 65 || !strings.Contains(r.err, "standard input is /dev/null") {
		t.Errorf("exit code %d: %s", r.code, r.err)
	}
	if out := h.must("get", "kept"); out != "text\n" {
		t.Errorf("it became %q", out)
	}
}
