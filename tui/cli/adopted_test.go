package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/backend/store"
	"github.com/caiatech/caiatop/probe/httpapi"
)

// startIn runs an engine without a service on dir until the returned function
// is called.
func startIn(t *testing.T, dir string) (Local, func()) {
	t.Helper()
	host, err := engine.Start(context.Background(), engine.Setup{
		Dir: dir, Repository: "docs", Phase: engine.PhaseGitOnly, Layout: document.LayoutFanOut, Version: "test",
		Author: store.Author{Name: "test", Email: "test@example.org"}, Strict: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	return NewLocal(host.Engine), func() {
		if err := host.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}
}

// TestAnExportWithoutItsStateFileIsEmpty: a command that makes a lost state file
// anew answered before it knew what git holds. An export of nothing was called
// complete, and nobody ever stayed long enough to take the documents over.
func TestAnExportWithoutItsStateFileIsEmpty(t *testing.T) {
	const documents = 120
	dir := t.TempDir()
	l, end := startIn(t, dir)
	var all []httpapi.Document
	for n := range documents {
		all = append(all, httpapi.Document{ID: fmt.Sprintf("d%03d", n), Type: "t", Text: "word"})
	}
	if _, err := l.Put(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	if err := l.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	end()
	for _, c := range [][]string{
		{"export", filepath.Join(t.TempDir(), "out"), "exported 120 documents"},
		{"ls", "120 documents"},
		{"get", "d119", "word"},
		{"history", "d119", "Update 120 documents"},
		{"undo", "d119", "--yes", "d119 is deleted"},
		{"rm", "d118", "deleted"},
	} {
		lost, err := filepath.Glob(filepath.Join(dir, "*.db*"))
		if err != nil || len(lost) == 0 {
			t.Fatalf("%q, %v", lost, err)
		}
		for _, file := range lost {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		}
		l, end := startIn(t, dir)
		args, want := c[:len(c)-1], c[len(c)-1]
		if code, said := runOn(t, l, args...); code != ExitOK || !strings.Contains(said, want) {
			t.Errorf("%q: exit code %d: %.200s", args, code, said)
		}
		if err := l.Sync(t.Context()); err != nil {
			t.Error(err)
		}
		end()
	}
}
