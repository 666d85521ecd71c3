package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/caiatech/caiatop/bench"
	"github.com/caiatech/caiatop/probe/httpapi"
	"github.com/caiatech/caiatop/probe/httpapi/httpapitest"
	"github.com/caiatech/caiatop/tui/cli"
)

// TestMain looks for goroutines that were left behind. The library of the log
// file leaves one a file, which waits for as long as the process lives.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("gopkg.in/natefinch/lumberjack%2ev2.(*Logger).millRun"))
}

// session is a client of a served engine.
type session struct {
	*httpapi.Client
	closed *int
}

func (s session) Control() httpapi.Control { return s.Client }

func (s session) Close(context.Context) error {
	*s.closed++
	s.Client.Close()
	return nil
}

// world is an engine behind a real socket, and a person at a shell.
type world struct {
	t        *testing.T
	engine   *httpapitest.Engine
	dir      string
	terminal bool
	stdin    string
	flags    cli.Flags // of the last session or console
	console  error     // what the console ends with
	bench    func(context.Context, func(bench.Progress)) (bench.Report, error)
	opened   int
	// afterOpen, if any, is called when a session was opened.
	afterOpen func()
	closed    int
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return &world{t: t, engine: &httpapitest.Engine{}, dir: t.TempDir()}
}

// serve runs the engine until the test ends.
func (w *world) serve() *world {
	w.t.Helper()
	ln, err := httpapi.Listen(w.dir)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- httpapi.NewServer(w.engine, nil).Serve(ctx, ln) }()
	w.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Error(err)
		}
		if w.opened != w.closed {
			w.t.Errorf("%d sessions were opened and %d closed", w.opened, w.closed)
		}
	})
	return w
}

func (w *world) open(ctx context.Context, flags cli.Flags, _ cli.Caller) (cli.Session, error) {
	w.flags = flags
	client, err := httpapi.New(ctx, w.dir)
	if err != nil {
		return nil, err
	}
	w.opened++
	if w.afterOpen != nil {
		w.afterOpen()
	}
	return session{client, &w.closed}, nil
}

func (w *world) run(args ...string) (code int, stdout, stderr string) {
	w.t.Helper()
	return w.runIn(w.t.Context(), args...)
}

func (w *world) runIn(ctx context.Context, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = cli.Run(ctx, cli.Deps{
		Open: w.open, Running: w.open, Start: w.open,
		Console: func(_ context.Context, flags cli.Flags, _ cli.Caller) error {
			w.flags = flags
			return w.console
		},
		Bench:   w.bench,
		Version: "1.2.3", Stdin: strings.NewReader(w.stdin), Stdout: &out, Stderr: &errs,
		IsTerminal: func(io.Writer) bool { return w.terminal },
		Now:        func() time.Time { return time.Date(2026, 1, 2, 3, 16, 5, 0, time.UTC) },
	}, args)
	return code, out.String(), errs.String()
}

// must runs a command that has to succeed and returns its output.
func (w *world) must(args ...string) string {
	w.t.Helper()
	code, stdout, stderr := w.run(args...)
	if code != cli.ExitOK {
		w.t.Fatalf("caiatop %q: exit code %d: %s", args, code, stderr)
	}
	return stdout
}

func (w *world) put(id, text string, raw []byte) {
	w.t.Helper()
	if _, err := w.engine.Put(w.t.Context(), []httpapi.Document{{ID: id, Type: "text", Text: text, Raw: raw}}); err != nil {
		w.t.Fatal(err)
	}
}

func TestCommands(t *testing.T) {
	file := filepath.Join(t.TempDir(), "Report.PDF")
	if err := os.WriteFile(file, []byte("some text"), 0o600); err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		args   string // separated by spaces; FILE is a file, ESC an escape character
		code   int
		stdout string // parts that must be there, separated by |
		stderr string
	}{
		{"version", 0, "caiatop 1.2.3 (go", ""},
		{"--version", 0, "caiatop 1.2.3 (go", ""},
		{"search -- ", 64, "", "search: an argument is missing"},
		{"version --json", 0, `"version": "1.2.3"`, ""},
		{"status", 0, "PRIMARY (healthy) for 12m|documents", ""},
		{"status --json", 0, `"state": "PRIMARY"|"healthy": true`, ""},
		{"put --id r FILE", 0, "stored r (pdf, 9 B): local\n", ""},
		{"put --id r --json FILE", 0, `"id": "r"|"type": "pdf"|"bytes": 9|"durability": "local"`, ""},
		{"put --id r --type note --meta a=b=c --meta n= --url http://x/ FILE", 0, "stored r (note", ""},
		{"put FILE", 64, "", "the id of the document is missing|try: use it as: caiatop put --id ID"},
		{"put --id r", 64, "", "put: an argument is missing|try: use it as: caiatop put"},
		{"put --id r --meta x FILE", 64, "", `--meta "x" is not NAME=VALUE`},
		{"put --id a/b FILE", 65, "", "why: invalid document: the id holds '/'\n|try: an id has 1 to 200 bytes"},
		{"put --id r --type .git FILE", 65, "", "means .git"},
		{"put --id r FILE.not", 66, "", "no such file|try: check the name"},
		{"get one", 0, "first text", ""},
		{"get one --json", 0, `"text": "first text"`, ""},
		{"get none", 66, "", `"none" cannot be read|why: there is no document "none"|try: look for it`},
		{"get none --json", 66, "", `"code": "not_found"|"exit": 66|"fix": `},
		{"get ESC[31m", 65, "", `\x1b[31m|try: an id has`},
		{"put --id r FOLDER", 74, "", "is a directory|try: name a file; a whole folder is stored with: caiatop import DIR"},
		{"get", 64, "", "get: an argument is missing"},
		{"get one two", 64, "", `get: "two" is one argument too many`},
		{"ls", 0, "ID   TYPE  SIZE  UPDATED  GOVC     GIT\none  text  10 B|two", "2 documents"},
		{"ls --limit 1", 0, "one", "1 of 2 documents; the rest with --offset and --limit"},
		{"ls --offset 1 --contains o --json", 0, `"id": "two"|"total": 2`, ""},
		{"ls --type pdf --json", 0, `"rows": []`, ""},
		{"ls --limit 0", 64, "", "--limit 0 is out of range"},
		{"ls --limit 1001", 64, "", "out of range"},
		{"ls --offset -1", 64, "", "negative"},
		{"ls --limit x", 64, "", "invalid argument|try: see: caiatop ls --help"},
		{"search first", 0, "one  text\n    *first* text\n", "1 hit"},
		{"search first --json", 0, `"snippet": "\u0002first\u0003 text"`, ""},
		{"search nowhere --json", 0, `"hits": []`, ""},
		{"search --limit 0 x", 64, "", "out of range"},
		{"rm one two", 0, "deleted 2 documents: local", ""},
		{"rm one two one", 0, "deleted 2 documents: local", ""},
		{"rm one none", 66, "", `nothing was deleted|why: there is no document "none"|try: look for it`},
		{"rm none", 66, "", `why: there is no document "none"`},
		{"rm one a/b", 65, "", `nothing was deleted|why: "a/b": invalid document|try: an id has`},
		{"rm", 64, "", "rm: an argument is missing"},
		{"phase show", 0, "phase", ""},
		{"phase show --json", 0, `"phase": `, ""},
		{"phase set govc-only --yes", 0, "govc-only", ""},
		{"phase set govc-only --yes --json", 0, `"phase": "govc-only"`, ""},
		{"phase set both", 64, "", `"both" is no phase, known are dual|try: use it as: caiatop phase set dual`},
		{"phase set", 64, "", "an argument is missing"},
		{"phase", 64, "", "say what to do with the phase"},
		{"backup nwo", 64, "", `backup: there is no command "nwo"|try: see: caiatop backup --help`},
		{"config shwo", 64, "", `config: there is no command "shwo"`},
		{"backup now x", 64, "", `backup now: "x" is one argument too many`},
		{"recover", 0, "PRIMARY", ""},
		{"recover --adopt --json", 0, `"state": "PRIMARY"`, ""},
		{"fallback", 0, "PRIMARY", ""},
		{"import FILE", 74, "", "cannot be read"},
		{"import FILE.not", 66, "", "no such file"},
		{"import . --type a/b", 64, "", "cannot be used"},
		{"ipmort x", 64, "", `there is no command "ipmort"|did you mean: caiatop import`},
		{"ls --colour", 64, "", "unknown flag|try: "},
		{"--help", 0, "Exit codes:", ""},
	}
	for _, c := range cases {
		t.Run(c.args, func(t *testing.T) {
			w := newWorld(t).serve()
			w.put("one", "first text", nil)
			w.put("two", "", []byte{0, 1})
			args := strings.Fields(strings.NewReplacer("FILE", file, "FOLDER", filepath.Dir(file), "ESC", "\x1b").Replace(c.args))
			code, stdout, stderr := w.run(args...)
			if code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			for _, part := range strings.Split(c.stdout, "|") {
				if !strings.Contains(stdout, part) {
					t.Errorf("stdout lacks %q: %s", part, stdout)
				}
			}
			for _, part := range strings.Split(c.stderr, "|") {
				if !strings.Contains(stderr, part) {
					t.Errorf("stderr lacks %q: %s", part, stderr)
				}
			}
			if c.stdout == "" && stdout != "" {
				t.Errorf("stdout should be empty: %s", stdout)
			}
			if strings.Contains(stdout+stderr, "\x1b") {
				t.Errorf("an escape character came through: %q %q", stdout, stderr)
			}
			if strings.Contains(c.args, "--json") && code == 0 && !json.Valid([]byte(stdout)) {
				t.Errorf("not JSON: %s", stdout)
			}
		})
	}
}

func TestPutKeepsWhatWasGiven(t *testing.T) {
	w := newWorld(t).serve()
	w.stdin = "caf\xe9"
	w.must("put", "--id", "latin", "--meta", "who=me <&>", "--url", "http://x/", "-")
	d := w.engine.All()["latin"]
	if string(d.Raw) != w.stdin || d.Text != "" || d.Type != "binary" || d.SourceURL != "http://x/" {
		t.Errorf("stored %+v", d)
	}
	var who string
	if err := json.Unmarshal(d.Metadata["who"], &who); err != nil || who != "me <&>" {
		t.Errorf("metadata %q, %v", d.Metadata, err)
	}
	w.stdin = strings.Repeat("x", 10<<20)
	w.must("put", "--id", "largest", "-")
	w.stdin += "x"
	if code, _, stderr := w.run("put", "--id", "larger", "-"); code != cli.ExitData || !strings.Contains(stderr, "at most 10.0 MiB") {
		t.Errorf("one byte over the limit: %d %s", code, stderr)
	}
}

func TestGetIsExactInAPipeAndSafeOnATerminal(t *testing.T) {
	const text = "\x1b]0;title\x07\u202eabc\r\nlast\xff"
	raw := []byte{0, 0x1b, '[', 'm', 0xff}
	w := newWorld(t).serve()
	w.put("text", text, nil)
	w.put("raw", "", raw)
	w.put("empty", "", nil)
	if got := w.must("get", "text"); got != text {
		t.Errorf("in a pipe: %q", got)
	}
	if got := w.must("get", "raw"); got != string(raw) {
		t.Errorf("raw in a pipe: %q", got)
	}
	w.terminal = true
	if got := w.must("get", "text"); strings.ContainsAny(got, "\x1b\x07\r\u202e") || !strings.Contains(got, "^[]0;title^G") || !strings.Contains(got, "last") {
		t.Errorf("on a terminal: %q", got)
	}
	if got := w.must("get", "--raw", "text"); got != text {
		t.Errorf("on a terminal, raw wanted: %q", got)
	}
	if got := w.must("get", "empty"); got != "" {
		t.Errorf("an empty document: %q", got)
	}
	if code, stdout, stderr := w.run("get", "raw"); code != cli.ExitData || stdout != "" || !strings.Contains(stderr, "--raw") {
		t.Errorf("raw bytes on a terminal: %d %q %q", code, stdout, stderr)
	}
	if got := w.must("get", "--json", "text"); !json.Valid([]byte(got)) || strings.ContainsAny(got, "\x1b\u202e") {
		t.Errorf("JSON: %q", got)
	}
}

func TestJSONEscapesWhatATerminalActsOn(t *testing.T) {
	const name = "a\u009b31m\u202e\u200b\U000e0041é漢\U0001f600"
	w := newWorld(t).serve()
	w.put(name, "x", nil)
	out := w.must("ls", "--json")
	if strings.ContainsAny(out, "\u009b\u202e\u200b\U000e0041") {
		t.Errorf("came through: %q", out)
	}
	var page httpapi.Page
	if err := json.Unmarshal([]byte(out), &page); err != nil || page.Rows[0].ID != name {
		t.Errorf("read back %+v, %v", page, err)
	}
	if out := w.must("ls"); strings.ContainsAny(out, "\u009b\u202e\u200b") {
		t.Errorf("the table lets through: %q", out)
	}
}

func TestErrorsHaveTheirExitCode(t *testing.T) {
	w := newWorld(t).serve()
	for _, c := range []struct {
		err  error
		code int
	}{
		{httpapi.ErrNotFound, cli.ExitNoInput},
		{httpapi.ErrInvalid, cli.ExitData},
		{httpapi.ErrTooLarge, cli.ExitData},
		{httpapi.ErrConflict, cli.ExitTempFail},
		{httpapi.ErrReadOnly, cli.ExitUnavailable},
		{httpapi.ErrUnavailable, cli.ExitUnavailable},
		{httpapi.ErrDiskFull, cli.ExitIO},
		{httpapi.ErrUnauthorized, cli.ExitPermission},
		{errors.New("a fault"), cli.ExitInternal},
	} {
		w.engine.Fail(c.err)
		if code, _, stderr := w.run("ls"); code != c.code || !strings.Contains(stderr, "why: "+c.err.Error()) || !strings.Contains(stderr, "try: ") {
			t.Errorf("%v: exit code %d, want %d; %s", c.err, code, c.code, stderr)
		}
	}
	for _, c := range []struct {
		err  error
		code int
	}{
		{nil, 0},
		{cli.ExitCode(1), 1},
		{fmt.Errorf("%w: x", cli.ErrConfig), cli.ExitConfig},
		{fmt.Errorf("%w: x", cli.ErrCantCreate), cli.ExitCantCreate},
		{fs.ErrPermission, cli.ExitPermission},
		{context.DeadlineExceeded, cli.ExitTempFail},
		{fmt.Errorf("x: %w", context.Canceled), cli.ExitInterrupted},
	} {
		w.console, w.terminal = c.err, true
		if code, _, stderr := w.run(); code != c.code || (c.code > 1) != (stderr != "") {
			t.Errorf("the console ended with %v: exit code %d, want %d; %q", c.err, code, c.code, stderr)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w.engine.Fail(nil)
	if code, _, _ := w.runIn(ctx, "ls"); code != cli.ExitInterrupted {
		t.Errorf("interrupted: exit code %d", code)
	}
}

func TestOnlyGivenSettingsAreFlags(t *testing.T) {
	w := newWorld(t).serve()
	w.terminal = true
	if code, _, _ := w.run(); code != 0 || len(w.flags) != 0 {
		t.Errorf("none given: %d %v", code, w.flags)
	}
	w.must("ls", "--repo", "r", "--timeout=3s", "--limit", "5", "--state-dir", "")
	if len(w.flags) != 3 || w.flags["repo"] != "r" || w.flags["timeout"] != "3s" {
		t.Errorf("flags %v", w.flags)
	}
	if _, given := w.flags["state-dir"]; !given {
		t.Error("an empty setting was not passed on")
	}
}

func TestEveryFlagHasHelp(t *testing.T) {
	w := newWorld(t)
	for _, command := range []string{"", "status", "put", "get", "ls", "search", "rm", "import", "recover", "fallback", "version"} {
		out := w.must(append(strings.Fields(command), "--help")...)
		for line := range strings.SplitSeq(out, "\n") {
			fields := strings.Fields(line)
			if len(fields) > 0 && strings.HasPrefix(fields[0], "--") && len(fields) < 4 {
				t.Errorf("%s: a flag without help: %q", command, line)
			}
		}
	}
}
