package engine

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/gitrepo"
	"github.com/caiatech/caiatop/backend/state"
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

// What a forced push drops is joined again, and survives a collection of
// garbage in between.
func TestAForcedPushDropsNothing(t *testing.T) {
	dir := t.TempDir()
	h := start(t, detached(dir))
	put(t, h, doc("a", "one"), doc("both", "base"))
	synced(t, h)
	c := cloneOf(t, dir)
	replace(t, h, "a", "two")
	replace(t, h, "both", "ours")
	put(t, h, doc("b", "after the clone"))
	synced(t, h)
	c.write("new", "theirs")
	c.edit(h, "both", "theirs")
	stop(t, h)
	c.commit("theirs")
	c.git("push", "-q", "--force", "origin", "main")
	gitOutput(t, dir, "reflog", "expire", "--expire=now", "--all")
	gitOutput(t, dir, "gc", "-q", "--prune=now")
	h = start(t, detached(dir))
	taken(t, h)
	for id, want := range map[string]string{"a": "two", "b": "after the clone", "new": "theirs", "both": "ours"} {
		wantText(t, h, id, want)
	}
	if got := copies(t, h, "both"); !slices.Equal(got, []string{"theirs"}) {
		t.Errorf("the copies of both: %q", got)
	}
	wantEvent(t, h, "git", "both histories are joined")
	wantHistory(t, h, "a", "two", "one")
	gitOutput(t, dir, "fsck", "--strict", "--full")
}

func TestAForcedPushOfAnotherHistory(t *testing.T) {
	dir := t.TempDir()
	h := start(t, detached(dir))
	put(t, h, doc("a", "one"))
	synced(t, h)
	c := cloneOf(t, dir)
	c.git("checkout", "-q", "--orphan", "other")
	c.git("rm", "-rqf", ".")
	c.write("new", "theirs")
	c.commit("another beginning")
	c.git("push", "-q", "--force", "origin", "other:main")
	lookNow(h)
	taken(t, h)
	wantText(t, h, "a", "one")
	wantText(t, h, "new", "theirs")
	wantHistory(t, h, "a", "one")
}

func TestMainIsMovedBackOrDeleted(t *testing.T) {
	dir := t.TempDir()
	h := start(t, detached(dir))
	put(t, h, doc("a", "one"))
	synced(t, h)
	c := cloneOf(t, dir)
	replace(t, h, "a", "two")
	synced(t, h)
	last := strings.TrimSpace(gitOutput(t, dir, "rev-parse", "main"))
	c.git("push", "-q", "--force", "origin", "main")
	lookNow(h)
	await(t, h, "brought forward", func(*Stats) bool { return len(toldAbout(h, "git", Warning)) == 1 })
	if at := strings.TrimSpace(gitOutput(t, dir, "rev-parse", "main")); at != last {
		t.Errorf("main is at %s, not at %s", at, last)
	}
	gitOutput(t, dir, "config", "receive.denyDeleteCurrent", "ignore")
	c.git("push", "-q", "origin", "--delete", "main")
	lookNow(h)
	await(t, h, "made again", func(*Stats) bool { return len(toldAbout(h, "git", Warning)) == 2 })
	wantEvent(t, h, "git", "was deleted in git")
	put(t, h, doc("b", "three"))
	synced(t, h)
	wantHistory(t, h, "a", "two", "one")
}

// The process died after it had moved the mark and before it moved the branch:
// our own work, nothing to tell of.
func TestACrashBetweenMarkAndBranch(t *testing.T) {
	dir, crashed := t.TempDir(), t.TempDir()
	h := start(t, detached(dir))
	put(t, h, doc("a", "one"))
	synced(t, h)
	before := strings.TrimSpace(gitOutput(t, dir, "rev-parse", "main"))
	free := blocked(t, dir)
	put(t, h, doc("b", "two"))
	copyFolder(t, dir, crashed)
	free()
	synced(t, h)
	last := strings.TrimSpace(gitOutput(t, dir, "rev-parse", "main"))
	stop(t, h)
	removeGit(t, crashed)
	copyFolder(t, filepath.Join(dir, GitDir), filepath.Join(crashed, GitDir))
	gitOutput(t, crashed, "update-ref", "refs/heads/main", before)
	h = start(t, detached(crashed))
	taken(t, h)
	if at := strings.TrimSpace(gitOutput(t, crashed, "rev-parse", "main")); at != last {
		t.Errorf("main is at %s, not at %s", at, last)
	}
	wantText(t, h, "b", "two")
	if texts := toldAbout(h, "git", Warning); len(texts) > 0 {
		t.Errorf("told: %q", texts)
	}
}

func copyFolder(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// Folders whose names no document may have, and what is too large or too deep,
// are passed over; the rest is taken.
func TestAHostilePush(t *testing.T) {
	dir := t.TempDir()
	h := start(t, detached(dir))
	c := cloneOf(t, dir)
	c.write("good", "good")
	c.write("huge", strings.Repeat("x", document.MaxContent+1))
	c.write("giant", "")
	if err := os.Truncate(filepath.Join(c.folder("giant"), "content.txt"), gitrepo.MaxObject+1); err != nil {
		t.Fatal(err)
	}
	c.write("swollen", "x")
	c.file(filepath.Join(c.folder("swollen"), "metadata.json"), `{"id":"swollen","source":{"type":"text"},"metadata":{"a":"`+strings.Repeat("x", 5<<20)+`"}}`)
	c.write("garbage", "x")
	c.file(filepath.Join(c.folder("garbage"), "metadata.json"), "no json")
	c.write("another", "x")
	c.file(filepath.Join(c.folder("another"), "metadata.json"), `{"id":"different","source":{"type":"text"}}`)
	c.file("documents/text/2026-11/0/0/0/a\u202eb/metadata.json", "{}")
	c.file("documents/text/2026/11/"+strings.Repeat("n", 201)+"/metadata.json", "{}")
	c.file(strings.Repeat("d/", 60)+"deep", "x")
	c.file("documents/"+strings.Repeat("d/", 60)+"deep", "x")
	c.push(h)
	taken(t, h)
	wantText(t, h, "good", "good")
	if s := h.Stats(); s.Documents != 1 {
		t.Errorf("%d documents", s.Documents)
	}
	for _, id := range []string{"huge", "giant", "swollen", "garbage", "another"} {
		wantEvent(t, h, "git", "/"+id+" in git cannot be read")
	}
	wantEvent(t, h, "git", "no documents are left alone")
	put(t, h, doc("after", "written"))
	synced(t, h)
	gitOutput(t, dir, "fsck", "--full")
}

func TestADocumentThatIsMovedOrLiesTwice(t *testing.T) {
	dir := t.TempDir()
	h := start(t, detached(dir))
	put(t, h, doc("moved", "one"), doc("twice", "two"))
	synced(t, h)
	c := cloneOf(t, dir)
	for _, id := range []string{"moved", "twice"} {
		from, to := newest(t, h, id).Folder.String(), "documents/text/2020/01/"+id
		c.file(to+"/.keep", "")
		if id == "moved" {
			c.git("mv", from+"/metadata.json", from+"/content.txt", to)
		} else if err := os.CopyFS(filepath.Join(c.dir, to), os.DirFS(filepath.Join(c.dir, from))); err != nil {
			t.Fatal(err)
		}
	}
	c.push(h)
	taken(t, h)
	wantText(t, h, "moved", "one")
	wantText(t, h, "twice", "two")
	if got := gitOutput(t, dir, "show", "main:"+newest(t, h, "moved").Folder.String()+"/content.txt"); got != "one" {
		t.Errorf("git holds %q", got)
	}
	wantEvent(t, h, "git", "lies in")
	wantEvent(t, h, "git", "was moved there")
}

// A push of more commits than are searched for our trailer does not hide it.
func TestAPushOfManyCommitsHidesOurs(t *testing.T) {
	dir := t.TempDir()
	h := start(t, detached(dir))
	put(t, h, doc("a", "one"))
	synced(t, h)
	stop(t, h)
	var stream strings.Builder
	for i := range trailerDepth + 10 {
		fmt.Fprintf(&stream, "commit refs/heads/main\ncommitter T <t@example.org> %d +0000\ndata 1\nx\n", 1790000000+i)
		if i == 0 {
			stream.WriteString("from refs/heads/main^0\n")
		}
	}
	cmd := exec.Command("git", "-C", filepath.Join(dir, GitDir), "-c", "core.fsync=none", "fast-import", "--quiet")
	cmd.Stdin = strings.NewReader(stream.String())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for range 2 { // and once more after it was taken over
		h = start(t, detached(dir))
		taken(t, h)
		if texts := toldAbout(h, "git", Warning); len(texts) > 0 {
			t.Errorf("told: %q", texts)
		}
		wantText(t, h, "a", "one")
		stop(t, h)
	}
}

// A push is in the index in part, and the process dies; then somebody replaces
// it by another.
func TestACrashWhileAPushIsTakenOver(t *testing.T) {
	dir := t.TempDir()
	h := start(t, detached(dir))
	put(t, h, doc("a", "one"))
	synced(t, h)
	c := cloneOf(t, dir)
	stop(t, h)
	for i := range 5 {
		c.write(fmt.Sprint("n", i), "theirs")
	}
	first := c.commit("first")
	c.git("push", "-q", "origin", "main")
	h = startWith(t, detached(dir), func(o *Options) {
		// As far as it came: the commit is noted, and one document is in.
		id := mustID("n0")
		folder := document.LayoutFanOut.Folder(mustType("text"), theirTime, id)
		if err := o.Git.Keep(t.Context(), first); err != nil {
			t.Fatal(err)
		}
		seq, _ := o.State.Cursor(gitReplica)
		if err := o.State.SetMeta(t.Context(), metaGitInbound, fmt.Sprintf("%s %d", first, seq)); err != nil {
			t.Fatal(err)
		}
		o.NewID = newID
		e := &Engine{o: *o}
		op, err := e.gitOperation(t.Context(), first, store.Key{ID: id, Folder: folder})
		if err != nil {
			t.Fatal(err)
		}
		op.Commit = first
		if _, err := o.State.Append(t.Context(), []state.Operation{op}); err != nil {
			t.Fatal(err)
		}
		// And before it is looked at again, the push is replaced.
		c.git("reset", "-q", "--hard", "HEAD~1")
		c.write("second", "theirs")
		c.commit("second")
		c.git("push", "-q", "--force", "origin", "main")
		gitOutput(t, dir, "gc", "-q", "--prune=now")
	})
	taken(t, h)
	for _, id := range []string{"n0", "n1", "n4", "second"} {
		wantText(t, h, id, "theirs")
		if got := gitOutput(t, dir, "show", "main:"+newest(t, h, id).Folder.String()+"/content.txt"); got != "theirs" {
			t.Errorf("git holds %q of %s", got, id)
		}
	}
	if s := h.Stats(); s.Documents != 7 {
		t.Errorf("%d documents", s.Documents)
	}
}

// Somebody pushes again and again while documents are written here.
func TestPushesBesideWrites(t *testing.T) {
	dir := t.TempDir()
	h := start(t, detached(dir))
	put(t, h, doc("a", "one"))
	synced(t, h)
	c := cloneOf(t, dir)
	done := make(chan error, 1)
	go func() {
		for i := range 40 {
			if _, err := h.Put(t.Context(), doc(fmt.Sprint("ours", i), "ours")); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for i := range 5 {
		c.write(fmt.Sprint("theirs", i), "theirs")
		c.commit("theirs")
		for range 100 {
			c.git("pull", "-q", "--rebase", "origin", "main")
			if exec.Command("git", "-C", c.dir, "push", "-q", "origin", "main").Run() == nil {
				break
			}
		}
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	taken(t, h)
	if s := h.Stats(); s.Documents != 46 {
		t.Errorf("%d documents of 46", s.Documents)
	}
	if names := gitOutput(t, dir, "ls-tree", "-r", "--name-only", "main"); strings.Count(names, "/content.txt") != 46 {
		t.Errorf("46 documents, git holds %d", strings.Count(names, "/content.txt"))
	}
	gitOutput(t, dir, "fsck", "--strict", "--full")
}
