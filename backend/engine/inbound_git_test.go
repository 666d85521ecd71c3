package engine

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/store"
)

// clone is somebody else's working copy of the engine's repository.
type clone struct {
	t   *testing.T
	dir string
}

func cloneOf(t *testing.T, dir string) clone {
	t.Helper()
	c := clone{t, filepath.Join(t.TempDir(), "clone")}
	runGit(t, "", "clone", "-q", filepath.Join(dir, GitDir), c.dir)
	runGit(t, c.dir, "checkout", "-q", "-B", "main")
	return c
}

func runGit(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-c", "user.name=Them", "-c", "user.email=them@example.org", "-c", "core.fsync=none", "-c", "core.compression=0", "-c", "pack.window=0"}, args...)...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (c clone) git(args ...string) string { c.t.Helper(); return runGit(c.t, c.dir, args...) }

func (c clone) folder(id string) string {
	c.t.Helper()
	return filepath.Join(c.dir, document.LayoutFanOut.Folder(mustType("text"), theirTime, mustID(id)).String())
}

// write makes the files of a document, as others would.
func (c clone) write(id, text string) {
	c.t.Helper()
	folder := c.folder(id)
	meta, err := json.Marshal(map[string]any{
		"id": id, "source": map[string]string{"type": "text"}, "created_at": theirTime, "updated_at": theirTime,
	})
	if err != nil {
		c.t.Fatal(err)
	}
	c.file(filepath.Join(folder, "metadata.json"), string(meta))
	c.file(filepath.Join(folder, "content.txt"), text)
}

func (c clone) file(path, text string) {
	c.t.Helper()
	if !filepath.IsAbs(path) {
		path = filepath.Join(c.dir, path)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		c.t.Fatal(err)
	}
	writeFile(c.t, path, text)
}

// edit changes the text of a document where the engine put it.
func (c clone) edit(h *Host, id, text string) {
	c.t.Helper()
	c.file(filepath.Join(newest(c.t, h, id).Folder.String(), "content.txt"), text)
}

func (c clone) commit(message string) string {
	c.t.Helper()
	c.git("add", "-A")
	c.git("commit", "-q", "-m", message)
	return c.git("rev-parse", "HEAD")
}

// push commits what was written, and brings it to the engine's main.
func (c clone) push(h *Host, args ...string) string {
	c.t.Helper()
	at := c.commit("theirs")
	c.git(append([]string{"push", "-q", "origin", "main"}, args...)...)
	lookNow(h)
	return at
}

var theirTime = time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)

// taken waits until the index holds what was pushed, and every store has it.
func taken(t *testing.T, h *Host) {
	t.Helper()
	if err := h.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func wantGone(t *testing.T, h *Host, id string) {
	t.Helper()
	if found, err := h.Get(t.Context(), mustID(id)); err == nil {
		t.Errorf("%s was deleted and reads %q", id, found.Document.Content.Text)
	}
}

func copies(t *testing.T, h *Host, id string) (texts []string) {
	t.Helper()
	page, err := h.List(t.Context(), Query{Contains: id + ".conflict-"})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range page.Rows {
		found, err := h.Get(t.Context(), row.ID)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, found.Document.Content.Text)
	}
	return texts
}

func wantEvent(t *testing.T, h *Host, kind, part string) {
	t.Helper()
	if texts := toldAbout(h, kind, Info); !slices.ContainsFunc(texts, func(s string) bool { return strings.Contains(s, part) }) {
		t.Errorf("no event of %s tells of %q: %q", kind, part, texts)
	}
}

func TestWhatIsPushedReachesEveryStore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := start(t, setup(dir))
	awaitState(t, h, StatePrimary)
	put(t, h, doc("a", "one"), doc("b", "two"), doc("c", "three"))
	synced(t, h)
	c := cloneOf(t, dir)
	c.write("new", "written by somebody else")
	c.edit(h, "a", "changed by somebody else")
	if err := os.RemoveAll(filepath.Join(c.dir, newest(t, h, "b").Folder.String())); err != nil {
		t.Fatal(err)
	}
	c.file("README.md", "not a document")
	c.push(h)
	taken(t, h)
	await(t, h, "in step", inStep)
	wantText(t, h, "new", "written by somebody else")
	wantText(t, h, "a", "changed by somebody else")
	wantText(t, h, "c", "three")
	wantGone(t, h, "b")
	if hits, err := h.Search(t.Context(), "somebody", 10); err != nil || len(hits) != 2 {
		t.Errorf("%d hits, %v", len(hits), err)
	}
	service := outside(t, h, dir)
	for id, want := range map[string]string{"new": "written by somebody else", "a": "changed by somebody else"} {
		got, err := service.Get(t.Context(), store.Key{ID: mustID(id), Folder: newest(t, h, id).Folder})
		if err != nil || got.Content.Text != want {
			t.Errorf("govc: %s reads %q, %v", id, got.Content.Text, err)
		}
	}
	wantEvent(t, h, "inbound", "2 documents were taken over, 1 deleted")
	wantEvent(t, h, "git", "README.md")
	if found, err := h.History(t.Context(), mustID("a"), 10); err != nil || len(found) != 2 || found[0].Author != "Them" {
		t.Errorf("%+v, %v", found, err)
	}
	if gitOutput(t, dir, "show", "main:README.md") != "not a document" {
		t.Error("the file of others is gone")
	}
	gitOutput(t, dir, "fsck", "--strict", "--full")
}

func TestAPushWhileTheServiceIsDown(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := start(t, detached(dir))
	put(t, h, doc("a", "one"))
	synced(t, h)
	stop(t, h)
	c := cloneOf(t, dir)
	c.write("new", "theirs")
	c.commit("theirs")
	c.git("push", "-q", "origin", "main")
	h = start(t, detached(dir))
	taken(t, h)
	wantText(t, h, "new", "theirs")
	wantText(t, h, "a", "one")
}

// A repository of an earlier version has no mark: what came behind our newest
// commit was never taken over.
func TestAPushIntoARepositoryWithoutAMark(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := start(t, detached(dir))
	put(t, h, doc("a", "one"))
	synced(t, h)
	stop(t, h)
	c := cloneOf(t, dir)
	c.write("new", "theirs")
	c.commit("theirs")
	c.git("push", "-q", "origin", "main")
	gitOutput(t, dir, "update-ref", "-d", "refs/caiatop/last")
	h = start(t, detached(dir))
	taken(t, h)
	wantText(t, h, "new", "theirs")
	wantText(t, h, "a", "one")
	gitOutput(t, dir, "merge-base", "--is-ancestor", "main", "refs/caiatop/last")
}

// The first push into a repository that nothing was ever written to.
func TestAPushIntoAnEmptyRepository(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := start(t, detached(dir))
	c := cloneOf(t, dir)
	c.write("new", "theirs")
	c.push(h)
	await(t, h, "taken over", func(s *Stats) bool { return s.Documents == 1 })
	put(t, h, doc("a", "one"))
	taken(t, h)
	wantText(t, h, "new", "theirs")
}

// pending starts an engine whose git cannot be written to, so that what is put
// stays pending until free is called.
func blocked(t *testing.T, dir string) (free func()) {
	t.Helper()
	lock := filepath.Join(dir, GitDir, "refs", "caiatop", "last.lock")
	writeFile(t, lock, "")
	return func() {
		if err := os.Remove(lock); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAPushAgainstPendingWritesOfOurs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := start(t, detached(dir))
	put(t, h, doc("both", "base"), doc("ourdelete", "base"), doc("theirdelete", "base"), doc("same", "base"))
	synced(t, h)
	c := cloneOf(t, dir)
	free := blocked(t, dir)
	replace(t, h, "both", "ours")
	replace(t, h, "theirdelete", "ours")
	if _, err := h.Delete(t.Context(), mustID("ourdelete")); err != nil {
		t.Fatal(err)
	}
	c.edit(h, "both", "theirs")
	c.edit(h, "same", "theirs")
	c.file(filepath.Join(document.LayoutFanOut.Folder(mustType("text"), newest(t, h, "both").Document.CreatedAt, mustID("ourdelete")).String(), "content.txt"), "theirs")
	if err := os.RemoveAll(filepath.Join(c.dir, newest(t, h, "theirdelete").Folder.String())); err != nil {
		t.Fatal(err)
	}
	c.push(h)
	free()
	taken(t, h)
	wantText(t, h, "both", "ours")
	wantText(t, h, "same", "theirs")
	wantText(t, h, "theirdelete", "ours")
	wantText(t, h, "ourdelete", "theirs")
	if got := copies(t, h, "both"); !slices.Equal(got, []string{"theirs"}) {
		t.Errorf("the copies of both: %q", got)
	}
	wantEvent(t, h, "conflict", `"both" was changed in git too`)
	wantEvent(t, h, "conflict", `"theirdelete" was deleted in git`)
	wantEvent(t, h, "conflict", `"ourdelete" was changed in git after`)
	for id, want := range map[string]string{"both": "ours", "same": "theirs", "theirdelete": "ours", "ourdelete": "theirs"} {
		if got := gitOutput(t, dir, "show", "main:"+newest(t, h, id).Folder.String()+"/content.txt"); got != want {
			t.Errorf("git holds %q of %s, not %q", got, id, want)
		}
	}
}
