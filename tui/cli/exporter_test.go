package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caiatech/caiatop/probe/httpapi"
	"github.com/caiatech/caiatop/probe/httpapi/httpapitest"
)

func newExporter(t *testing.T, docs httpapi.Documents, dir string, force bool) *exporter {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := root.Close(); err != nil {
			t.Error(err)
		}
	})
	return &exporter{docs: docs, root: root, force: force, progress: func(int64, int64) {}}
}

func filled(t *testing.T, ids ...string) *httpapitest.Engine {
	t.Helper()
	e := &httpapitest.Engine{}
	var docs []httpapi.Document
	for _, id := range ids {
		docs = append(docs, httpapi.Document{ID: id, Type: "t", Text: id})
	}
	for batch := range slices.Chunk(docs, httpapi.MaxBatch) {
		if _, err := e.Put(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
	}
	return e
}

// moving changes the store under a listing: documents before the place that the
// export has come to are deleted and others are added.
type moving struct {
	*httpapitest.Engine
	lists int
}

func (m *moving) List(ctx context.Context, q httpapi.ListQuery) (httpapi.Page, error) {
	m.lists++
	page, err := m.Engine.List(ctx, q)
	switch {
	case err != nil:
	case m.lists == 1:
		var gone []string
		for i := range 700 {
			gone = append(gone, fmt.Sprintf("doc-%05d", i))
		}
		_, err = m.Delete(ctx, gone)
	case m.lists == 3:
		_, err = m.Put(ctx, []httpapi.Document{{ID: "a", Type: "t"}, {ID: "b", Type: "t"}})
	}
	return page, err
}

// TestAnExportOfAListThatMoves: what was there all the time is exported, once.
func TestAnExportOfAListThatMoves(t *testing.T) {
	var ids []string
	for i := range 3*httpapi.MaxList + 10 {
		ids = append(ids, fmt.Sprintf("doc-%05d", i))
	}
	dir := t.TempDir()
	e := newExporter(t, &moving{Engine: filled(t, ids...)}, dir, false)
	if err := e.run(t.Context(), httpapi.ListQuery{}, time.Now()); err != nil {
		t.Fatal(err)
	}
	index, err := os.ReadFile(filepath.Join(dir, indexName))
	if err != nil {
		t.Fatal(err)
	}
	for i, id := range ids {
		want := 1
		if i < 700 {
			continue // deleted while it ran: either is right
		}
		if got := strings.Count(string(index), `"id":"`+id+`"`); got != want {
			t.Errorf("%s is there %d times", id, got)
		}
	}
	if e.report.Exported+e.report.Gone != len(ids) {
		t.Errorf("%+v of %d", e.report, len(ids))
	}
}

// TestATargetThatVanishes ends the export with words about the target.
func TestATargetThatVanishes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	e := newExporter(t, filled(t, "a", "b", "c"), dir, false)
	e.progress = func(done, _ int64) {
		if done == 2 {
			if err := os.RemoveAll(dir); err != nil {
				t.Error(err)
			}
		}
	}
	err := exportFault(e.run(t.Context(), httpapi.ListQuery{}, time.Now()), e.report.Exported)
	if Code(err) != ExitIO || !strings.Contains(err.Error(), "after 2 documents") || !strings.Contains(advice(err), "the folder was removed meanwhile") {
		t.Errorf("exit code %d: %v; %s", Code(err), err, advice(err))
	}
}

func TestPathsOfAnExport(t *testing.T) {
	for id, want := range map[string]string{
		"a": "files/a", "a~b.txt": "files/a/b.txt", "a%7Eb": "files/a~b", "~a": "", "a~": "", "a~~b": "", "a~%2E%2E~b": "", "%2E%2E": "",
		"a%00": "", "a%0A": "", "a%5Cb": "", "100%": "files/100%",
	} {
		if got := filePath(id); got != want {
			t.Errorf("%q: %q, want %q", id, got, want)
		}
	}
	// Ids that would share a file on a file system that folds case, and a file
	// where a folder has to be.
	ids := []string{"A", "a", "a~b", "a~b~c", "x~1", "x~1~2", strings.Repeat("é", 100)}
	dir := t.TempDir()
	e := newExporter(t, filled(t, ids...), dir, false)
	if err := e.run(t.Context(), httpapi.ListQuery{}, time.Now()); err != nil {
		t.Fatal(err)
	}
	again := &httpapitest.Engine{}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := root.Close(); err != nil {
			t.Error(err)
		}
	}()
	i := &importer{docs: again, tree: folder{root}, failed: func(name string, err error) { t.Error(name, err) }, progress: func(report) {}}
	run, total, err := i.plan(t.Context(), root, false)
	if err != nil || total != int64(len(ids)) {
		t.Fatal(total, err)
	}
	if err := run(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		if got := again.All()[id]; got.Text != id || got.Type != "t" {
			t.Errorf("%s came back as %q", id, got.Text)
		}
	}
}

// TestAKilledExportIsNoFolderOfDocuments: its files would have been imported
// under other ids.
func TestAKilledExportIsNoFolderOfDocuments(t *testing.T) {
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := root.WriteFile(indexPart, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = openExport(root)
	if !errors.Is(err, httpapi.ErrInvalid) || !strings.Contains(advice(err), "--plain") {
		t.Errorf("%v; %s", err, advice(err))
	}
	if err := root.Close(); err != nil {
		t.Error(err)
	}
}
