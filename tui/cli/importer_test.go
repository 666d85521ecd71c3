package cli

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"testing/fstest"

	"github.com/caiatech/caiatop/probe/httpapi"
	"github.com/caiatech/caiatop/probe/httpapi/httpapitest"
)

// brokenFS refuses to open some files, and to list some folders.
type brokenFS struct {
	fstest.MapFS
	errs map[string]error
}

func (b brokenFS) Open(name string) (fs.File, error) {
	if err := b.errs[name]; err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return b.MapFS.Open(name)
}

func (b brokenFS) ReadDir(name string) ([]fs.DirEntry, error) {
	if err := b.errs[name]; err != nil {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: err}
	}
	return b.MapFS.ReadDir(name)
}

// picky refuses some documents for their own fault.
type picky struct {
	httpapitest.Engine
	refuse map[string]error
}

func (p *picky) Put(ctx context.Context, docs []httpapi.Document) (httpapi.Ack, error) {
	for _, d := range docs {
		if err := p.refuse[d.ID]; err != nil {
			return httpapi.Ack{}, err
		}
	}
	return p.Engine.Put(ctx, docs)
}

func runImport(t *testing.T, docs httpapi.Documents, tree fs.FS) (report, []string, error) {
	t.Helper()
	var failed []string
	i := &importer{
		docs: docs, tree: tree, progress: func(report) {},
		failed: func(name string, _ error) { failed = append(failed, name) },
	}
	err := i.run(t.Context())
	return i.report, failed, err
}

func TestUnreadableAndVanishedFilesAreToldAndSkipped(t *testing.T) {
	tree := brokenFS{
		MapFS: fstest.MapFS{
			"a": {Data: []byte("a")}, "denied": {Data: []byte("x")}, "gone": {Data: []byte("x")},
			"closed/x": {Data: []byte("x")}, "z": {Data: []byte("z")},
		},
		errs: map[string]error{"denied": fs.ErrPermission, "gone": fs.ErrNotExist, "closed": fs.ErrPermission},
	}
	e := &httpapitest.Engine{}
	r, failed, err := runImport(t, e, tree)
	if err != nil || r.Imported != 2 || r.Failed != 3 || !slices.Equal(failed, []string{"closed", "denied", "gone"}) {
		t.Errorf("%+v, %v, %v", r, failed, err)
	}
	tree.errs["."] = fs.ErrPermission
	if _, _, err := runImport(t, e, tree); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("an unreadable root: %v", err)
	}
}

func TestRefusedDocumentsDoNotTakeTheBatchWithThem(t *testing.T) {
	tree := fstest.MapFS{"a": {}, "b": {}, "c": {}, "d": {}}
	e := &picky{refuse: map[string]error{"b": httpapi.ErrInvalid, "c": httpapi.ErrTooLarge}}
	r, failed, err := runImport(t, e, tree)
	if err != nil || r.Imported != 2 || !slices.Equal(failed, []string{"b", "c"}) {
		t.Errorf("%+v, %v, %v", r, failed, err)
	}
	e = &picky{refuse: map[string]error{"b": httpapi.ErrInvalid, "c": httpapi.ErrUnavailable}}
	r, _, err = runImport(t, e, tree)
	if !errors.Is(err, httpapi.ErrUnavailable) || r.Imported != 1 || r.Failed != 1 {
		t.Errorf("the engine goes away in between: %+v, %v", r, err)
	}
}

func TestFailuresThatAreKeptAreBounded(t *testing.T) {
	tree := brokenFS{MapFS: fstest.MapFS{}, errs: map[string]error{}}
	for i := range maxFailures + 1 {
		name := "f" + string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676))
		tree.MapFS[name] = &fstest.MapFile{}
		tree.errs[name] = fs.ErrPermission
	}
	r, failed, err := runImport(t, &httpapitest.Engine{}, tree)
	if err != nil || r.Failed != maxFailures+1 || len(failed) != r.Failed || len(r.Failures) != maxFailures {
		t.Errorf("%d failed, %d told, %d kept, %v", r.Failed, len(failed), len(r.Failures), err)
	}
}

func TestAPipeInThePlaceOfAFileIsNotWaitedFor(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/hostname", filepath.Join(dir, "outside")); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := root.Close(); err != nil {
			t.Error(err)
		}
	}()
	i := &importer{tree: folder{root}}
	if _, err := i.content("fifo"); !errors.Is(err, httpapi.ErrInvalid) {
		t.Errorf("a pipe: %v", err)
	}
	if _, err := i.content("outside"); err == nil {
		t.Error("a link out of the folder was followed")
	}
}

func TestExtension(t *testing.T) {
	for name, want := range map[string]string{
		"a.txt": "txt", "A.TXT": "txt", "a.tar.gz": "gz", "a": "", ".bashrc": "", "..x": "", "a.": "", "a.x-y": "", "a.é": "",
		"a.abcdefghijkl": "abcdefghijkl", "a.abcdefghijklm": "", "d.e/f": "", ".a.b": "b", "": "",
	} {
		if got := extension(name); got != want {
			t.Errorf("extension(%q) = %q, want %q", name, got, want)
		}
	}
}
