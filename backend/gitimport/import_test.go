package gitimport

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/gitrepo"
	"github.com/caiatech/caiatop/backend/gitstore"
	"github.com/caiatech/caiatop/backend/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	us   = store.Author{Name: "Us", Email: "us@example.org"}
	when = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
)

// source is a repository with a worktree, as others have one.
type source struct {
	t   *testing.T
	dir string
	at  int64 // of the next commit
}

func newSource(t *testing.T, args ...string) *source {
	t.Helper()
	s := &source{t, filepath.Join(t.TempDir(), "source"), 1_700_000_000}
	s.run(append(append([]string{"init", "-q", "-b", "main"}, args...), s.dir)...)
	return s
}

func (s *source) run(args ...string) string {
	s.t.Helper()
	cmd := exec.Command("git", append([]string{"-c", "core.fsync=none", "-c", "core.compression=0"}, args...)...)
	if args[0] != "init" {
		cmd.Dir = s.dir
	}
	date := fmt.Sprintf("%d +0200", s.at)
	cmd.Env = append(os.Environ(), "GIT_AUTHOR_NAME=Them", "GIT_AUTHOR_EMAIL=them@example.org", "GIT_AUTHOR_DATE="+date,
		"GIT_COMMITTER_NAME=Them", "GIT_COMMITTER_EMAIL=them@example.org", "GIT_COMMITTER_DATE="+fmt.Sprintf("%d +0200", s.at+3600)) // it was rebased since
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (s *source) file(path, text string) {
	s.t.Helper()
	path = filepath.Join(s.dir, path)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
		s.t.Fatal(err)
	}
}

// write puts a document as the CAIA Library does.
func (s *source) write(month, id, text string) {
	s.t.Helper()
	meta, err := json.Marshal(map[string]any{"id": id, "source": "https://example.org/" + id, "created_at": "2026-03-01T00:00:00Z"})
	if err != nil {
		s.t.Fatal(err)
	}
	s.file("documents/text/"+month+"/"+id+"/metadata.json", string(meta))
	s.file("documents/text/"+month+"/"+id+"/text.txt", text)
}

func (s *source) commit(message string) string {
	s.t.Helper()
	s.at += 60
	s.run("add", "-A")
	s.run("commit", "-q", "--allow-empty", "-m", message)
	return s.run("rev-parse", "HEAD")
}

func target(t *testing.T) (*gitrepo.Repo, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "target.git")
	repo, err := gitrepo.OpenDisk(dir, gitrepo.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := repo.Close(); err != nil {
			t.Error(err)
		}
	})
	return repo, dir
}

func options(change ...func(*Options)) Options {
	o := Options{Author: us, Now: func() time.Time { return when }}
	for _, c := range change {
		c(&o)
	}
	return o
}

func imported(ctx context.Context, t *testing.T, from string, into *gitrepo.Repo, o Options) (Report, error) {
	t.Helper()
	s, err := Open(from)
	if err != nil {
		return Report{}, err
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	return s.Run(ctx, into, o)
}

func must(t *testing.T, from string, into *gitrepo.Repo, o Options) Report {
	t.Helper()
	r, err := imported(t.Context(), t, from, into, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func mustID(t *testing.T, s string) document.ID {
	t.Helper()
	id, err := document.ParseID(s)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// key is where a document of the source is to lie.
func key(t *testing.T, id string) store.Key {
	t.Helper()
	kind, err := document.ParseType("text")
	if err != nil {
		t.Fatal(err)
	}
	return store.Key{ID: mustID(t, id), Folder: document.LayoutFanOut.Folder(kind, time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), mustID(t, id))}
}

func wantText(t *testing.T, repo *gitrepo.Repo, id, want string) {
	t.Helper()
	d, err := gitstore.New(repo).Get(t.Context(), key(t, id))
	if want == "" {
		if !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s is there: %q, %v", id, d.Content.Text, err)
		}
		return
	}
	if err != nil || d.Content.Text != want {
		t.Errorf("%s reads %q, not %q (%v)", id, d.Content.Text, want, err)
	}
}

func gitIn(t *testing.T, dir string, args ...string) string {
	t.Helper()
	out, err := exec.Command("git", append([]string{"-C", dir}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// wantOnce checks that each commit of the source was made once.
func wantOnce(t *testing.T, dir string, want int) {
	t.Helper()
	froms := strings.Fields(gitIn(t, dir, "log", "--format=%(trailers:key=Imported-From,valueonly)", "main"))
	all := len(froms)
	slices.Sort(froms)
	if once := len(slices.Compact(froms)); once != want || all != want {
		t.Errorf("%d commits name %d commits of the source, not %d", all, once, want)
	}
	gitIn(t, dir, "fsck", "--strict", "--full")
}

func existing(t *testing.T, repo *gitrepo.Repo, id, text string) {
	t.Helper()
	k := key(t, id)
	kind, err := document.ParseType("text")
	if err != nil {
		t.Fatal(err)
	}
	d := document.Document{ID: k.ID, Source: document.Source{Type: kind}, Content: document.Content{Text: text}, CreatedAt: when, UpdatedAt: when}
	if _, err := gitstore.New(repo).Apply(t.Context(), store.Batch{Ops: []store.Op{{Key: k, Doc: &d}}, Author: us, At: when}); err != nil {
		t.Fatal(err)
	}
}

func TestAHistoryIsImported(t *testing.T) {
	s := newSource(t)
	s.file("README.md", "no document")
	s.commit("Begin")
	s.write("2026/03", "a", "one")
	s.write("2026/03", "b", "one")
	s.write("2026/03", "here", "theirs")
	first := s.commit("Add three\n\nWith a reason.\n\nSigned-off-by: Them <them@example.org>")
	s.write("2026/03", "a", "two")
	s.commit("Edit a")
	s.run("mv", "documents/text/2026/03/a", "documents/text/2026/04-moved")
	s.run("mv", "documents/text/2026/04-moved", "documents/text/2026/03/../a-moved")
	if err := os.MkdirAll(filepath.Join(s.dir, "documents/text/2026/04"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.run("mv", "documents/text/2026/a-moved", "documents/text/2026/04/a")
	s.commit("Move a")
	s.run("checkout", "-q", "-b", "side", "HEAD~1")
	s.write("2026/03", "side", "merged")
	s.commit("Beside")
	s.run("checkout", "-q", "main")
	s.at += 60
	s.run("merge", "-q", "--no-ff", "-m", "Merge side", "side")
	s.run("rm", "-rq", "documents/text/2026/03/b")
	s.commit("Drop b")

	into, dir := target(t)
	existing(t, into, "here", "ours")
	existing(t, into, "other", "ours")
	dry := must(t, s.dir, into, options(func(o *Options) { o.DryRun = true }))
	if at, err := into.Ref(gitstore.LastRef); err != nil || at.String() != gitIn(t, dir, "rev-parse", "main") {
		t.Fatal("a dry run has written")
	}
	r := must(t, s.dir, into, options())
	want := Report{
		Branch: "main", Commits: 6, Done: 6, Imported: 5, Documents: 3, Revisions: 6, Deletes: 1,
		Failures: []Failure{}, Refusals: []Failure{}, ElsewhereNames: []string{}, LeftOut: 1, LeftNames: []string{"README.md"}, Conflicts: 1, Kept: []string{"here"},
	}
	if fmt.Sprintf("%+v", dry) != fmt.Sprintf("%+v", want) {
		t.Errorf("dry: %+v", dry)
	}
	want.Merge = gitIn(t, dir, "rev-parse", "main")
	if fmt.Sprintf("%+v", r) != fmt.Sprintf("%+v", want) {
		t.Errorf("%+v, not %+v", r, want)
	}
	for id, text := range map[string]string{"a": "two", "b": "", "side": "merged", "here": "ours", "other": "ours"} {
		wantText(t, into, id, text)
	}
	wantOnce(t, dir, 5)
	made := gitIn(t, dir, "log", "--format=%an <%ae> %at %ct%n%B", "--grep", first, "main")
	if made != "Them <them@example.org> 1700000120 1700003720\nAdd three\n\nWith a reason.\n\nSigned-off-by: Them <them@example.org>\nImported-From: "+first {
		t.Errorf("it was made into:\n%s", made)
	}
	history, err := gitstore.New(into).History(t.Context(), key(t, "a"), 10)
	if err != nil || len(history) != 2 || !strings.HasPrefix(history[0].Message, "Edit a\n") || !strings.HasPrefix(history[1].Message, "Add three\n") {
		t.Errorf("%+v, %v", history, err)
	}
	if again := must(t, s.dir, into, options()); again.Imported != 0 || again.Earlier != 6 || again.Merge != "" {
		t.Errorf("again: %+v", again)
	}
}

// What the source got since is imported behind the rest; what was written here
// keeps its place.
func TestTheSourceGrows(t *testing.T) {
	s := newSource(t)
	for _, id := range []string{"a", "b", "c"} {
		s.write("2026/03", id, "one")
	}
	s.commit("Three")
	into, dir := target(t)
	must(t, s.dir, into, options())
	existing(t, into, "b", "ours")
	for _, id := range []string{"a", "b"} {
		s.write("2026/03", id, "two")
	}
	s.run("rm", "-rq", "documents/text/2026/03/c")
	s.commit("Grown")
	r := must(t, s.dir, into, options())
	if r.Earlier != 1 || r.Imported != 1 || r.Revisions != 2 || r.Deletes != 1 || !slices.Equal(r.Kept, []string{"b"}) || r.Documents != 2 {
		t.Errorf("%+v", r)
	}
	for id, text := range map[string]string{"a": "two", "b": "ours", "c": ""} {
		wantText(t, into, id, text)
	}
	wantOnce(t, dir, 2)
	// The source is rewritten: what both have is kept.
	s.run("reset", "-q", "--hard", "HEAD~1")
	s.write("2026/03", "d", "one")
	s.commit("Rewritten")
	if r := must(t, s.dir, into, options()); r.Earlier != 1 || r.Imported != 1 {
		t.Errorf("rewritten: %+v", r)
	}
	wantText(t, into, "d", "one")
	wantOnce(t, dir, 3)
}

// stream is a history of n commits on some documents, for git fast-import.
func stream(n, docs int) string {
	var b strings.Builder
	for i := range n {
		id := fmt.Sprint("d", i%docs)
		fmt.Fprintf(&b, "commit refs/heads/main\ncommitter T <t@example.org> %d +0000\ndata 4\nstep\n", 1_700_000_000+i)
		for name, data := range map[string]string{
			"metadata.json": fmt.Sprintf(`{"id":%q,"source":{"type":"text"},"created_at":"2026-03-01T00:00:00Z"}`, id), "content.txt": fmt.Sprint("step ", i),
		} {
			fmt.Fprintf(&b, "M 100644 inline documents/text/2026/03/%s/%s\ndata %d\n%s\n", id, name, len(data), data)
		}
	}
	return b.String()
}

func (s *source) fastImport(stream string) {
	s.t.Helper()
	cmd := exec.Command("git", "-c", "core.fsync=none", "fast-import", "--quiet")
	cmd.Dir, cmd.Stdin = s.dir, strings.NewReader(stream)
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("%v\n%s", err, out)
	}
}

func TestUnreadableDocumentsAreTold(t *testing.T) {
	s := newSource(t)
	s.write("2026/03", "good", "good")
	s.write("2026/03", "bad", "bad")
	s.file("documents/text/2026/03/bad/metadata.json", "no json")
	s.commit("Both")
	into, _ := target(t)
	var told []string
	r := must(t, s.dir, into, options(func(o *Options) { o.Failed = func(path string, _ error) { told = append(told, path) } }))
	if r.Failed != 1 || len(r.Failures) != 1 || !slices.Equal(told, []string{"documents/text/2026/03/bad"}) {
		t.Errorf("%+v, told %q", r, told)
	}
	wantText(t, into, "good", "good")
}

func TestSourcesThatAreRefused(t *testing.T) {
	s := newSource(t)
	s.write("2026/03", "a", "one")
	s.commit("One")
	s.write("2026/03", "a", "two")
	s.commit("Two")
	shallow := filepath.Join(t.TempDir(), "shallow")
	gitIn(t, s.dir, "clone", "-q", "--depth", "1", "file://"+s.dir, shallow)
	empty, other := newSource(t), newSource(t)
	other.file("README", "x")
	other.commit("No document")
	newer := newSource(t, "--object-format=sha256")
	into, dir := target(t)
	for name, c := range map[string]struct {
		dir, branch string
		want        error
	}{
		"shallow":      {shallow, "", gitrepo.ErrIncomplete},
		"no commits":   {empty.dir, "", ErrNoDocuments},
		"no documents": {other.dir, "", ErrNoDocuments},
		"sha256":       {newer.dir, "", gitrepo.ErrInvalid},
		"no branch":    {s.dir, "elsewhere", gitrepo.ErrNotFound},
		"no folder":    {s.dir + "-none", "", os.ErrNotExist},
	} {
		if _, err := imported(t.Context(), t, c.dir, into, options(func(o *Options) { o.Branch = c.branch })); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := Own(dir, dir); !errors.Is(err, ErrOwn) {
		t.Errorf("its own repository: %v", err)
	}
	if err := Own(s.dir, dir); err != nil {
		t.Error(err)
	}
}
