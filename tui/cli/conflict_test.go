package cli_test

import (
	"strings"
	"testing"

	"github.com/caiatech/caiatop/probe/httpapi"
	"github.com/caiatech/caiatop/tui/cli"
)

// TestACommandThatMetAConflictSaysThatAllIsWell: text, JSON and exit code say
// that theirs keeps the place, and where ours is.
func TestACommandThatMetAConflictSaysThatAllIsWell(t *testing.T) {
	w := newWorld(t).serve()
	w.put("a", "one", nil)
	w.engine.Meets(httpapi.MetConflict{ID: "a", Copy: "a.conflict-1"})
	for _, line := range []string{"put --id a -", "rm a"} {
		w.put("a", "one", nil)
		code, stdout, stderr := w.run(strings.Fields(line)...)
		if code != cli.ExitTempFail || !strings.Contains(stderr, `"a" was changed at the service`) || !strings.Contains(stderr, `yours is kept as "a.conflict-1"`) ||
			!strings.Contains(stderr, "caiatop rm a.conflict-1") {
			t.Errorf("%s: exit code %d\n%s%s", line, code, stdout, stderr)
		}
		w.put("a", "one", nil)
		code, stdout, stderr = w.run(append(strings.Fields(line), "--json")...)
		if code != cli.ExitTempFail || !strings.Contains(stdout, `"copy": "a.conflict-1"`) || !strings.Contains(stderr, `"code": "conflict"`) {
			t.Errorf("%s --json: exit code %d\n%s%s", line, code, stdout, stderr)
		}
	}
	w.put("a", "one", nil)
	w.engine.Meets(httpapi.MetConflict{ID: "a"})
	if code, stdout, stderr := w.run("rm", "a"); code != cli.ExitTempFail || !strings.Contains(stderr, "their version stays") {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
}

// TestASearchThatIsBehindSaysZero and nothing else.
func TestASearchThatIsBehindSaysZero(t *testing.T) {
	w := newWorld(t).serve()
	w.engine.Lags(1240)
	code, stdout, stderr := w.run("search", "nowhere")
	if code != cli.ExitTempFail || stdout != "" || !strings.Contains(stderr, "0 hits so far: the text index is behind by 1,240 operations") {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
	if code, out, _ := w.run("search", "nowhere", "--json"); code != cli.ExitTempFail || !strings.Contains(out, `"behind": 1240`) {
		t.Errorf("exit code %d: %s", code, out)
	}
	w.put("a", "somewhere", nil)
	if code, _, stderr := w.run("search", "somewhere"); code != cli.ExitOK || !strings.Contains(stderr, "1 hit so far: the text index is behind") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}
