package cli

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/probe/httpapi"
)

// bare is a session on an engine of the test.
type bare struct{ Local }

func (b bare) Control() httpapi.Control { return b.Local }

func (b bare) Close(context.Context) error { return nil }

// runOn runs a command on l.
func runOn(t *testing.T, l Local, args ...string) (code int, said string) {
	t.Helper()
	var out bytes.Buffer
	open := func(context.Context, Flags, Caller) (Session, error) { return bare{l}, nil }
	code = Run(t.Context(), Deps{
		Open: open, Running: open, Start: open, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out,
		IsTerminal: func(io.Writer) bool { return false },
	}, args)
	return code, out.String()
}

// putWith stores a version whose metadata.json has a field that no interface
// has a place for.
func putWith(t *testing.T, e *engine.Engine, text, extra string) {
	t.Helper()
	kind, err := document.ParseType("text")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := document.FromFiles(map[string][]byte{
		document.MetadataFile: []byte(`{"id":"a","source":{"type":"text"}` + extra + `}`), document.TextFile: []byte(text),
	}, kind)
	if err == nil {
		_, err = e.Put(t.Context(), doc)
	}
	if err = errors.Join(err, e.Sync(t.Context())); err != nil {
		t.Fatal(err)
	}
}

// metadataOf is metadata.json of the newest version.
func metadataOf(t *testing.T, e *engine.Engine) (text, metadata string) {
	t.Helper()
	id, err := document.ParseID("a")
	if err != nil {
		t.Fatal(err)
	}
	found, err := e.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	files, err := found.Document.Files(document.AnyBytes)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f.Name == document.MetadataFile {
			metadata = string(f.Data)
		}
	}
	return found.Document.Content.Text, metadata
}

// TestARestoreMixesTheUnknownFieldsOfTwoVersions: what a document of the API has
// no field for was that of the newest version.
func TestARestoreMixesTheUnknownFieldsOfTwoVersions(t *testing.T) {
	for _, args := range [][]string{{"undo", "a", "--yes"}, {"restore", "a"}} {
		l, host := newLocal(t, false)
		putWith(t, host.Engine, "one", `,"first":"kept"`)
		putWith(t, host.Engine, "two", `,"later":"added"`)
		if args[0] == "restore" {
			revisions, err := l.History(t.Context(), "a", 0)
			if err != nil || len(revisions) != 2 {
				t.Fatalf("%+v, %v", revisions, err)
			}
			args = append(args, revisions[1].Commit)
		}
		if code, said := runOn(t, l, args...); code != ExitOK {
			t.Fatalf("%q: exit code %d: %s", args, code, said)
		}
		text, metadata := metadataOf(t, host.Engine)
		if text != "one" || !strings.Contains(metadata, `"first": "kept"`) && !strings.Contains(metadata, `"first":"kept"`) || strings.Contains(metadata, "later") {
			t.Errorf("%q: %q with %s", args, text, metadata)
		}
	}
}

// TestARestoreThatIsRefused: nothing is written over a version that nobody
// looked at, or from a commit that does not hold the document.
func TestARestoreThatIsRefused(t *testing.T) {
	l, host := newLocal(t, false)
	putWith(t, host.Engine, "one", "")
	putWith(t, host.Engine, "two", "")
	revisions, err := l.History(t.Context(), "a", 0)
	if err != nil {
		t.Fatal(err)
	}
	now, err := l.Get(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	none := strings.Repeat("0", 40)
	for _, c := range []struct {
		id, commit, base string
		want             error
	}{
		{"a", revisions[1].Commit, "", httpapi.ErrConflict},
		{"a", revisions[1].Commit, none + none[:24], httpapi.ErrConflict},
		{"a", revisions[1].Commit, "x", httpapi.ErrInvalid},
		{"a/b", revisions[1].Commit, now.Hash, httpapi.ErrInvalid},
		{"a", none, now.Hash, httpapi.ErrNotFound},
		{"a", "HEAD", now.Hash, httpapi.ErrNotFound},
		{"b", revisions[1].Commit, "", httpapi.ErrNotFound},
	} {
		if _, err := l.Restore(t.Context(), c.id, c.commit, c.base); !errors.Is(err, c.want) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if text, _ := metadataOf(t, host.Engine); text != "two" {
		t.Errorf("it is %q", text)
	}
}
