package engine

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/gitrepo"
	"github.com/caiatech/caiatop/backend/state"
	"github.com/caiatech/caiatop/backend/store"
)

// What a forced push drops is joined again, and survives a collection of
// garbage in between.
func TestAForcedPushDropsNothing(t *testing.T) {
	t.Parallel()
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
	t.Parallel()
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
	t.Parallel()
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
	t.Parallel()
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
	t.Parallel()
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
	t.Parallel()
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
	if told := toldAbout(h, "conflict", Info); len(told) > 0 {
		t.Errorf("nobody changed anything here, and conflicts are told: %q", told)
	}
}

// A push of more commits than are searched for our trailer does not hide it.
func TestAPushOfManyCommitsHidesOurs(t *testing.T) {
	t.Parallel()
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
	t.Parallel()
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
	t.Parallel()
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
