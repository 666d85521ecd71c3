package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/backend/store"
	"github.com/caiatech/caiatop/probe/httpapi"
	"github.com/caiatech/caiatop/probe/httpapi/httpapitest"
)

// faked is a session on an engine in a map.
type faked struct{ *httpapitest.Engine }

func (f faked) Control() httpapi.Control { return f.Engine }

func (f faked) Close(context.Context) error { return nil }

// conflictRun runs a command on e. edit is what happens in the editor.
func conflictRun(t *testing.T, e *httpapitest.Engine, stdin string, edit func(text string) (string, error), args ...string) (code int, out, said string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	open := func(context.Context, Flags, Caller) (Session, error) { return faked{e}, nil }
	code = Run(t.Context(), Deps{
		Open: open, Running: open, Start: open, Stdin: strings.NewReader(stdin), Stdout: &stdout, Stderr: &stderr,
		IsTerminal: func(io.Writer) bool { return false },
		Edit: func(_ context.Context, file string) error {
			was, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			text, err := edit(string(was))
			return errors.Join(err, os.WriteFile(file, []byte(text), 0o600))
		},
	}, append([]string{"conflicts"}, args...))
	return code, stdout.String(), stderr.String()
}

func version3(text, by string) *httpapi.Document {
	return &httpapi.Document{ID: "a", Type: "text", Text: text, Metadata: map[string]json.RawMessage{"by": json.RawMessage(`"` + by + `"`)}}
}

// disputed is an engine with a conflict about a, and one that is settled.
func disputed() (*httpapitest.Engine, httpapi.Dispute) {
	at := time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)
	d := httpapi.Dispute{
		Conflict: httpapi.Conflict{
			Name: "a.conflict-1", ID: "a", Copy: true, Kept: "ours", Where: "govc", OpID: "1", Author: "Ada\x1b[31m", Commit: "c0ffee", At: &at,
		},
		Place: version3("one\n2\nthree\nfour\nfive\n", "them"), Other: version3("one\ntwo\nthree\nfour\n5\n", "us"),
		BaseDocument: version3("one\ntwo\nthree\nfour\nfive\n", "all"), Seen: "s1",
	}
	e := &httpapitest.Engine{}
	e.SetDisputes(d, httpapi.Dispute{Conflict: httpapi.Conflict{Name: "old.conflict-0", How: "both", SettledAt: &at}, Seen: "s2"})
	return e, d
}

func TestConflictsAreListedAndShown(t *testing.T) {
	e, d := disputed()
	for _, args := range [][]string{{}, {"list"}} {
		code, out, said := conflictRun(t, e, "", nil, args...)
		if code != ExitOK || strings.Count(out, "\n") != 2 || !strings.Contains(out, "2026-03-14 12:00:00Z") || !strings.Contains(out, "ours: a copy") ||
			!strings.Contains(out, "Ada^[[31m") || !strings.Contains(said, "1 conflict") {
			t.Errorf("%v: %d\n%s%s", args, code, out, said)
		}
	}
	if code, out, _ := conflictRun(t, e, "", nil, "list", "--all"); code != ExitOK || !strings.Contains(out, "a copy, whose is unknown") || !strings.Contains(out, "both\n") {
		t.Errorf("%d\n%s", code, out)
	}
	var list httpapi.ConflictList
	if code, out, _ := conflictRun(t, e, "", nil, "list", "--json"); code != ExitOK || json.Unmarshal([]byte(out), &list) != nil || len(list.Conflicts) != 1 || list.Conflicts[0].Name != d.Name {
		t.Errorf("%d\n%s", code, out)
	}
	code, out, said := conflictRun(t, e, "", nil, "show", "a")
	for _, want := range []string{"kept as a.conflict-1, operation 1", "holds the place, by Ada^[[31m, commit c0ffee", "what ours changed", "+5", "what theirs changed", "+2", "s1"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not shown:\n%s", want, out)
		}
	}
	if code != ExitOK || strings.Contains(out, "\x1b") || !strings.Contains(said, "caiatop conflicts resolve a.conflict-1") {
		t.Errorf("%d, %s", code, said)
	}
	var shown httpapi.Dispute
	if code, out, _ := conflictRun(t, e, "", nil, "show", "a", "--json"); code != ExitOK || json.Unmarshal([]byte(out), &shown) != nil || shown.Seen != "s1" || shown.Place.Text != d.Place.Text {
		t.Errorf("%d\n%s", code, out)
	}
	if code, _, said := conflictRun(t, e, "", nil, "show", "none"); code != ExitNoInput || !strings.Contains(said, "caiatop conflicts list --all") {
		t.Errorf("%d, %s", code, said)
	}
	bare := d
	bare.BaseDocument, bare.NoBase, bare.Other, bare.Copy, bare.Deleted, bare.Moved = nil, "git is gone", nil, false, "ours", true
	e.SetDisputes(bare)
	code, out, _ = conflictRun(t, e, "", nil, "show", "a")
	for _, want := range []string{"git is gone", "from theirs to ours", "it was deleted", "was changed", "a delete"} {
		if code != ExitOK || !strings.Contains(out, want) {
			t.Errorf("%q is not shown:\n%s", want, out)
		}
	}
}

func TestConflictsAreSettledByCommand(t *testing.T) {
	for _, tc := range []struct {
		args []string
		code int
		call string // "" if nothing may be done
		said string
	}{
		{[]string{"ours", "--yes"}, ExitOK, "resolve a.conflict-1 ours ", ""},
		{[]string{"theirs", "--yes", "--seen", "s1"}, ExitOK, "resolve a.conflict-1 theirs ", ""},
		{[]string{"both", "--yes", "--as", "b"}, ExitOK, "resolve a.conflict-1 both b", ""},
		{[]string{"copy", "--yes", "--json"}, ExitOK, "resolve a.conflict-1 copy ", ""},
		{[]string{"theirs", "--yes", "--seen", "s0"}, ExitTempFail, "", "since it was shown"},
		{[]string{"theirs"}, ExitUsage, "", "--yes"},
		{[]string{"mine", "--yes"}, ExitUsage, "", "choose one of"},
		{[]string{"ours", "--yes", "--as", "b"}, ExitUsage, "", "--as belongs to both"},
		{[]string{"ours", "--yes", "--file", "x"}, ExitUsage, "", "--file belongs to edit"},
		{[]string{"both", "--yes", "--as", "a/b"}, ExitData, "", "without a slash"},
		{[]string{"edit", "--file", "-"}, ExitOK, "resolve a.conflict-1 edit ", "both sides changed the metadata"},
	} {
		e, _ := disputed()
		code, out, said := conflictRun(t, e, "from stdin", nil, append([]string{"resolve", "a"}, tc.args...)...)
		if code != tc.code || !strings.Contains(said, tc.said) {
			t.Errorf("%v: %d\n%s%s", tc.args, code, out, said)
		}
		did := slices.ContainsFunc(e.Calls(), func(c string) bool { return strings.HasPrefix(c, "resolve") })
		if did != (tc.call != "") || did && !slices.Contains(e.Calls(), tc.call) {
			t.Errorf("%v: %q", tc.args, e.Calls())
		}
	}
	e, _ := disputed()
	if code, out, _ := conflictRun(t, e, "", nil, "resolve", "a", "ours"); code != ExitUsage || !strings.Contains(out, "+two") || !strings.Contains(out, "-2") {
		t.Errorf("what would change is not shown: %d\n%s", code, out)
	}
	if code, out, _ := conflictRun(t, e, "", nil, "reopen", "old.conflict-0"); code != ExitOK || out != "open again: old.conflict-0: local\n" {
		t.Errorf("%d, %s", code, out)
	}
	if code, _, said := conflictRun(t, e, "", nil, "reopen", "a.conflict-1"); code != ExitTempFail || !strings.Contains(said, "it is open") {
		t.Errorf("%d, %s", code, said)
	}
}

func TestAConflictIsSettledInTheEditor(t *testing.T) {
	e, d := disputed()
	code, out, said := conflictRun(t, e, "", func(text string) (string, error) {
		if text != "one\n2\nthree\nfour\n5\n" {
			t.Errorf("the merge is %q", text)
		}
		return text + "more\n", nil
	}, "resolve", "a", "edit")
	if now, err := e.Conflict(t.Context(), "a"); code != ExitOK || err != nil || now.Place.Text != "one\n2\nthree\nfour\n5\nmore\n" || string(now.Place.Metadata["by"]) != `"us"` {
		t.Errorf("%d, %+v\n%s%s", code, now.Place, out, said)
	}
	// Where both changed the same, the marks must go first, and the text is kept.
	d.Other = version3("one\nzwei\nthree\nfour\nfive\n", "us")
	e.SetDisputes(d)
	code, _, said = conflictRun(t, e, "", func(text string) (string, error) { return text, nil }, "resolve", "a", "edit")
	kept := keptFile(t, said)
	if code != ExitData || !strings.Contains(said, "edit --file "+kept) {
		t.Errorf("%d, %s", code, said)
	}
	// Somebody else settles it meanwhile.
	code, _, said = conflictRun(t, e, "", func(string) (string, error) {
		_, err := e.Resolve(t.Context(), "a", httpapi.Resolution{Choice: "ours", Seen: "s1"})
		return "mine\n", err
	}, "resolve", "a", "edit")
	if text, err := os.ReadFile(keptFile(t, said)); code != ExitTempFail || err != nil || string(text) != "mine\n" {
		t.Errorf("%d, %q, %v\n%s", code, text, err, said)
	}
	d.Place.Raw = []byte{1}
	e.SetDisputes(d)
	if code, _, said = conflictRun(t, e, "", nil, "resolve", "a", "edit"); code != ExitData || !strings.Contains(said, "raw bytes") {
		t.Errorf("%d, %s", code, said)
	}
}

// keptFile is the file that a message names, which the test removes.
func keptFile(t *testing.T, said string) string {
	t.Helper()
	_, rest, named := strings.Cut(said, "your text is kept in ")
	if !named {
		t.Fatalf("no file is named: %s", said)
	}
	file := strings.TrimRight(strings.Fields(rest)[0], ":;,")
	t.Cleanup(func() {
		if err := os.RemoveAll(file[:strings.LastIndex(file, "/")]); err != nil {
			t.Error(err)
		}
	})
	return file
}

// TestConflictsOfAnEngineInThisProcess: the copy lies in git, and the state file
// was lost, so that the conflict is found by its id.
func TestConflictsOfAnEngineInThisProcess(t *testing.T) {
	s := engine.Setup{
		Dir: t.TempDir(), Repository: "docs", Phase: engine.PhaseGitOnly, Version: "test",
		Author: store.Author{Name: "test", Email: "test@example.org"}, Strict: true,
	}
	begin := func() (Local, *engine.Host) {
		t.Helper()
		host, err := engine.Start(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		return NewLocal(host.Engine), host
	}
	end := func(host *engine.Host) {
		t.Helper()
		if err := host.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	}
	const name = "a.conflict-0199aaaa-0000-7000-8000-000000000000"
	l, host := begin()
	if _, err := l.Put(t.Context(), []httpapi.Document{{ID: "a", Type: "text", Text: "theirs"}, {ID: name, Type: "text", Text: "ours"}}); err != nil {
		t.Fatal(err)
	}
	end(host)
	for _, file := range []string{"state.db", "state.db-wal", "state.db-shm"} {
		if err := os.Remove(filepath.Join(s.Dir, file)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	l, host = begin()
	defer func() { end(host) }()
	third := filepath.Join(t.TempDir(), "third")
	if err := os.WriteFile(third, []byte("third"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"conflicts"}, ExitOK, name},
		{[]string{"ls"}, ExitOK, "conflict"},
		{[]string{"get", "a", "--json"}, ExitOK, `"conflict": true`},
		{[]string{"conflicts", "show", "a"}, ExitOK, "+ours"},
		{[]string{"conflicts", "resolve", "a", "ours", "--yes"}, ExitOK, "settled " + name},
		{[]string{"get", "a"}, ExitOK, "ours"},
		{[]string{"get", name}, ExitNoInput, "no document"},
		{[]string{"conflicts", "resolve", name, "theirs", "--yes"}, ExitTempFail, "settled already"},
		{[]string{"conflicts", "reopen", name}, ExitOK, "open again"},
		{[]string{"get", "a"}, ExitOK, "theirs"},
		{[]string{"conflicts", "resolve", "a", "edit", "--file", third}, ExitOK, "settled"},
		{[]string{"get", "a"}, ExitOK, "third"},
		{[]string{"conflicts", "list", "--all", "--json"}, ExitOK, `"how": "edit"`},
		{[]string{"conflicts", "show", "none"}, ExitNoInput, "none of that name"},
		{[]string{"conflicts", "show", "a/b"}, ExitData, "without a slash"},
	} {
		if code, said := runOn(t, l, step.args...); code != step.code || !strings.Contains(said, step.want) {
			t.Errorf("%q: %d, want %d with %q\n%s", step.args, code, step.code, step.want, said)
		}
	}
	if stats, err := l.Stats(t.Context()); err != nil || stats.Engine.Conflicts != 0 {
		t.Errorf("%+v, %v", stats.Engine, err)
	}
}
