package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/config"
	"github.com/caiatech/caiatop/tui/cli"
)

// program runs the real wiring in a home of its own. Its console fails the
// test: nothing here may come that far.
func program(t *testing.T, terminal bool, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	deps := cli.Program("1.2.3", func(context.Context, *engine.Host, config.Config) error {
		return errors.New("the console was started")
	})
	var out, errs bytes.Buffer
	deps.Stdout, deps.Stderr, deps.Stdin = &out, &errs, strings.NewReader("")
	deps.IsTerminal = func(io.Writer) bool { return terminal }
	code = cli.Run(t.Context(), deps, args)
	return code, out.String(), errs.String()
}

// home gives the process a home of its own and no settings of its user.
func home(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, value := range map[string]string{
		"HOME": dir, "XDG_STATE_HOME": "", "XDG_CONFIG_HOME": "", "CAIATOP_STATE_DIR": "", "CAIA_USE_GOVC": "", "GOVC_TIMEOUT": "", "GOVC_SERVICE_URL": "", "GOVC_REPO_NAME": "",
	} {
		t.Setenv(name, value)
	}
	return dir
}

// TestABadConfigurationIsOneLine: it was told in up to three lines, the first of
// which said nothing.
func TestABadConfigurationIsOneLine(t *testing.T) {
	dir := home(t)
	file := filepath.Join(dir, "config.yaml")
	for name, tt := range map[string]struct {
		env, file string // NAME=VALUE, content of the file
		args      []string
		want      string
		fix       string // the part of want that says what to do
	}{
		"a duration": {
			env:  "GOVC_TIMEOUT=banana",
			want: `environment GOVC_TIMEOUT: govc.timeout: "banana" is not a duration; use 100ms to 10m, such as 30s, or plain seconds`,
			fix:  "use 100ms to 10m, such as 30s, or plain seconds",
		},
		"a URL": {
			args: []string{"--govc-url", "ftp://x"},
			want: "flag --govc-url: govc.url: the URL does not begin with http:// or https://; write http://host:port or https://host",
			fix:  "write http://host:port or https://host",
		},
		"a key": {
			file: "phase: dual\ngovc:\n  urll: http://x\n", args: []string{"--config", file},
			want: `config.yaml:3: "govc.urll": there is no such setting; did you mean "govc.url"?`,
			fix:  `did you mean "govc.url"?`,
		},
		"no answer": {
			env:  "CAIA_USE_GOVC=perhaps",
			want: `environment CAIA_USE_GOVC: phase: "perhaps" is neither true nor false; use true for phase primary, false for git-only, or --phase`,
			fix:  "use true for phase primary, false for git-only, or --phase",
		},
		"no file": {
			args: []string{"--config", filepath.Join(dir, "none.yaml")},
			want: filepath.Join(dir, "none.yaml") + ": the file cannot be read: no such file or directory; check the path and its permissions",
			fix:  "check the path and its permissions",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if name, value, ok := strings.Cut(tt.env, "="); ok {
				t.Setenv(name, value)
			}
			if err := os.WriteFile(file, []byte(tt.file), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, command := range []string{"", "ls", "get x", "status", "recover"} {
				code, stdout, stderr := program(t, true, append(strings.Fields(command), tt.args...)...)
				if want := "caiatop: " + tt.want + "\n"; code != cli.ExitConfig || stdout != "" || stderr != want {
					t.Errorf("caiatop %s: exit code %d\n got %q%s\nwant %q", command, code, stdout, stderr, want)
				}
			}
			var got struct {
				Error, Code, Fix string
				Exit             int
			}
			code, _, stderr := program(t, false, append([]string{"ls", "--json"}, tt.args...)...)
			if err := json.Unmarshal([]byte(stderr), &got); err != nil {
				t.Fatalf("%v: %s", err, stderr)
			}
			if code != cli.ExitConfig || got.Exit != code || got.Code != "config" || got.Fix != tt.fix || got.Error+"; "+got.Fix != tt.want {
				t.Errorf("--json: exit code %d, %+v", code, got)
			}
		})
	}
}

// TestNoEngineRunsIsASentence: it repeated itself down to the system call.
func TestNoEngineRunsIsASentence(t *testing.T) {
	what := "no engine runs on " + filepath.Join(home(t), ".local/state/caiatop/embedded/caia-documents")
	for command, want := range map[string]int{"status": cli.ExitNoneRuns, "recover": cli.ExitUnavailable, "fallback": cli.ExitUnavailable} {
		code, stdout, stderr := program(t, true, command)
		if text := "caiatop: " + what + "\n  try: start it with: caiatop\n"; code != want || stdout != "" || stderr != text {
			t.Errorf("%s: exit code %d, %q%q", command, code, stdout, stderr)
		}
		var got struct {
			Error, Code, Fix string
			Exit             int
		}
		code, _, stderr = program(t, true, command, "--json")
		if err := json.Unmarshal([]byte(stderr), &got); err != nil {
			t.Fatalf("%v: %s", err, stderr)
		}
		if code != want || got.Exit != want || got.Error != what || got.Code != "unavailable" || got.Fix == "" {
			t.Errorf("%s --json: exit code %d, %+v", command, code, got)
		}
	}
}

// TestEmptyQuery: the engine's words for it were told as a fault of the search.
func TestEmptyQuery(t *testing.T) {
	home(t)
	code, _, stderr := program(t, false, "search", " ")
	if code != cli.ExitUsage || stderr != "caiatop: the query is empty\n  try: give a word\n" {
		t.Errorf("exit code %d, %q", code, stderr)
	}
}

// TestCommandsOnAnEngineOfTheirOwn passes through the real engine, whose words
// differ from those of the one that other tests talk to.
func TestCommandsOnAnEngineOfTheirOwn(t *testing.T) {
	dir := home(t)
	file := filepath.Join(dir, "one.txt")
	if err := os.WriteFile(file, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args   string
		code   int
		stdout string
		stderr string
	}{
		{"get nope", 66, "", "caiatop: \"nope\" cannot be read\n  why: there is no document \"nope\"\n  try: look for it with: caiatop ls --contains TEXT\n"},
		{"put --id a " + file, 0, "stored a (txt, 5 B): local\n", ""},
		{"put --id b " + file, 0, "stored b (txt, 5 B): local\n", ""},
		{"rm a none", 66, "", "caiatop: nothing was deleted\n  why: there is no document \"none\"\n  try: look for it with: caiatop ls --contains TEXT\n"},
		{"get a", 0, "hello", ""},
		{"rm a b a", 0, "deleted 2 documents: local\n", ""},
		{"ls", 0, "", "0 documents\n"},
		{"ls --state-dir " + filepath.Join(file, "x"), 73, "", "try: choose another folder with --state-dir: this one cannot be made"},
	} {
		code, stdout, stderr := program(t, false, strings.Fields(tt.args)...)
		if code != tt.code || stdout != tt.stdout || !strings.HasSuffix(strings.TrimSpace(stderr), strings.TrimSpace(tt.stderr)) {
			t.Errorf("caiatop %s: exit code %d, %q, %q", tt.args, code, stdout, stderr)
		}
	}
}
