package gitrepo

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caiatech/caiatop/backend/durable"
)

// worktree makes a repository as somebody who works with git has it.
func worktree(t testing.TB, branch string) string {
	t.Helper()
	needGit(t)
	dir := filepath.Join(t.TempDir(), "work")
	git(t, ".", "init", "-q", "-b", branch, dir)
	if err := os.MkdirAll(filepath.Join(dir, "documents/text/2026/11/doc-1"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "documents/text/2026/11/doc-1/text.txt"), "the library's")
	git(t, dir, "add", ".")
	git(t, dir, "commit", "-q", "-m", "one")
	return dir
}

func readOnlyRepo(t testing.TB, dir string) *Repo {
	t.Helper()
	r, err := OpenDisk(dir, Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeRepo(t, r) })
	return r
}

const libraryFile = "documents/text/2026/11/doc-1/text.txt"

// state is every file below a folder, with its content and time.
func state(t testing.TB, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		b.WriteString(path + info.ModTime().String() + string(data) + "\n")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// The ways in which others have a repository: all are read, and none is
// written.
func TestRepositoriesOfOthersAreRead(t *testing.T) {
	dir := worktree(t, "master")
	git(t, dir, "tag", "-a", "-m", "v", "v1")
	linked := filepath.Join(t.TempDir(), "linked")
	git(t, dir, "worktree", "add", "-q", "-b", "topic", linked)
	write(t, filepath.Join(linked, "t"), "topic")
	git(t, linked, "add", ".")
	git(t, linked, "commit", "-q", "-m", "two")
	super := t.TempDir()
	git(t, super, "init", "-q")
	git(t, super, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", "-b", "master", dir, "sub")
	packed := filepath.Join(t.TempDir(), "packed")
	git(t, dir, "clone", "-q", "--mirror", dir, packed)
	git(t, packed, "gc", "-q")
	borrowing := filepath.Join(t.TempDir(), "borrowing")
	git(t, dir, "clone", "-q", "--shared", dir, borrowing)
	again := filepath.Join(t.TempDir(), "again")
	git(t, dir, "clone", "-q", "--bare", "--reference", borrowing, dir, again)
	master := git(t, dir, "rev-parse", "master")
	for name, c := range map[string]struct{ at, branch string }{
		"a worktree":               {dir, "master"},
		"its .git folder":          {filepath.Join(dir, ".git"), "master"},
		"a linked worktree":        {linked, "topic"},
		"the .git file of one":     {filepath.Join(linked, ".git"), "topic"},
		"a submodule":              {filepath.Join(super, "sub"), "master"},
		"packed references only":   {packed, "master"},
		"borrowed objects":         {borrowing, "master"},
		"borrowed from a borrower": {again, "master"},
	} {
		t.Run(name, func(t *testing.T) {
			before := state(t, filepath.Dir(c.at))
			r := readOnlyRepo(t, c.at)
			branch, tip, err := r.Head(context.Background())
			if err != nil || branch != c.branch {
				t.Fatalf("HEAD is %q, %v", branch, err)
			}
			if want := git(t, strings.TrimSuffix(c.at, "/.git"), "rev-parse", "HEAD"); tip.String() != want {
				t.Errorf("the tip is %s, want %s", tip, want)
			}
			wantFile(t, r, tip, libraryFile, "the library's")
			if got := hashes(t, r, tip, LogOptions{}); got[len(got)-1] != master {
				t.Errorf("the history ends at %s", got[len(got)-1])
			}
			if report := verify(t, r); !report.Whole() {
				t.Errorf("%+v", report)
			}
			refusesWrites(t, r, tip)
			look(t, r, nil)
			closeRepo(t, r)
			if after := state(t, filepath.Dir(c.at)); after != before {
				t.Error("something was written")
			}
		})
	}
}

func refusesWrites(t *testing.T, r *Repo, tip Hash) {
	t.Helper()
	ctx := context.Background()
	_, commitErr := r.Commit(ctx, CommitInput{Changes: []Change{put(t, "a", "2")}, Author: ann, At: when})
	_, mergeErr := r.Merge(ctx, MergeInput{Into: "master", Theirs: tip, Author: ann, At: when})
	_, revertErr := r.Revert(ctx, RevertInput{Branch: "master", Commit: tip, Author: ann, At: when})
	_, restoreErr := r.Restore(ctx, "master", tip, "/nowhere")
	for what, err := range map[string]error{
		"commit": commitErr, "merge": mergeErr, "revert": revertErr, "restore": restoreErr,
		"branch": r.CreateBranch("b", tip), "no branch": r.DeleteBranch("master"), "ref": r.SetRef(ctx, testMark, tip),
		"tag": r.CreateTag(ctx, TagInput{Name: "t", Commit: tip}), "no tag": r.DeleteTag(ctx, "v1"),
	} {
		if !errors.Is(err, ErrReadOnly) || !errors.Is(err, durable.ErrReadOnly) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if !r.ReadOnly() {
		t.Error("it does not say that it is read-only")
	}
}

// Of our own repositories, too, nothing is written: not what a crash left, and
// no maintenance.
func TestAReadOnlyRepositoryIsNotTouched(t *testing.T) {
	r, dir := disked(t)
	var tip Hash
	for range 3 {
		tip = commit(t, r, put(t, "a", tip.String()))
	}
	closeRepo(t, r)
	write(t, filepath.Join(dir, "objects/pack", tempPrefix+"999999999_0011"), "torn")
	before := state(t, dir)
	r = readOnlyRepo(t, dir)
	if at, err := r.Tip(""); err != nil || at != tip {
		t.Fatalf("%s, %v", at, err)
	}
	refusesWrites(t, r, tip)
	closeRepo(t, r)
	if state(t, dir) != before {
		t.Error("something was written")
	}
	empty := t.TempDir()
	for _, missing := range []string{empty, filepath.Join(empty, "none")} {
		if _, err := OpenDisk(missing, Options{ReadOnly: true}); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", missing, err)
		}
	}
	if left := matches(t, empty, "*"); len(left) != 0 {
		t.Errorf("made %v", left)
	}
}

// Errors say what is not supported and what to do.
func TestRefusalsSayWhatToDo(t *testing.T) {
	work := worktree(t, "main")
	sha256, reftable, future := t.TempDir(), t.TempDir(), t.TempDir()
	git(t, sha256, "init", "-q", "--bare", "--object-format=sha256")
	for dir, set := range map[string][]string{reftable: {"extensions.refStorage", "reftable"}, future: {"core.repositoryFormatVersion", "7"}} {
		git(t, dir, "init", "-q", "--bare")
		git(t, dir, "config", set[0], set[1])
	}
	borrowing := filepath.Join(t.TempDir(), "borrowing")
	git(t, work, "clone", "-q", "--bare", "--shared", work, borrowing)
	for name, c := range map[string]struct {
		dir  string
		want error
		says string
	}{
		"a worktree": {work, ErrReadOnly, "git clone --bare"},
		"its folder": {filepath.Join(work, ".git"), ErrReadOnly, "git clone --bare"},
		"borrowing":  {borrowing, ErrReadOnly, "git repack -ad"},
		"sha256":     {sha256, ErrInvalid, "git fast-export"},
		"reftable":   {reftable, ErrInvalid, "git refs migrate"},
		"a version":  {future, ErrInvalid, "version \"7\""},
	} {
		_, err := OpenDisk(c.dir, Options{})
		if !errors.Is(err, c.want) || !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestIncompleteClones(t *testing.T) {
	dir := worktree(t, "main")
	first := git(t, dir, "rev-parse", "HEAD")
	for _, text := range []string{"two", "three"} {
		write(t, filepath.Join(dir, libraryFile), text)
		git(t, dir, "commit", "-q", "-a", "-m", text)
	}
	git(t, dir, "config", "uploadpack.allowFilter", "true")
	ctx := context.Background()

	shallow := filepath.Join(t.TempDir(), "shallow")
	git(t, dir, "clone", "-q", "--bare", "--depth", "2", "file://"+dir, shallow)
	r := opened(t, shallow)
	tip, err := r.Tip("")
	if err != nil {
		t.Fatal(err)
	}
	if got := hashes(t, r, tip, LogOptions{Limit: 2}); len(got) != 2 {
		t.Fatalf("%d commits", len(got))
	}
	_, err = r.Log(ctx, tip, LogOptions{})
	if !errors.Is(err, ErrIncomplete) || errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), first) || !strings.Contains(err.Error(), "shallow clone") {
		t.Errorf("beyond the history: %v", err)
	}
	if report := verify(t, r); !report.Whole() || report.Shallow != 1 {
		t.Errorf("%+v", report)
	}
	if done, err := r.Restore(ctx, "", tip, ""); err != nil || !done.Whole {
		t.Errorf("a shallow clone passes for damaged: %+v, %v", done, err)
	}
	commit(t, r, put(t, "new", "1"))
	fsck(t, shallow)

	partial := filepath.Join(t.TempDir(), "partial")
	git(t, dir, "clone", "-q", "--bare", "--filter=blob:none", "file://"+dir, partial)
	r = opened(t, partial)
	if _, err := r.ReadFile(ctx, tip, path(t, libraryFile)); !errors.Is(err, ErrIncomplete) || !strings.Contains(err.Error(), "partial clone") {
		t.Errorf("a file that is not there: %v", err)
	}
	if got := hashes(t, r, tip, LogOptions{}); len(got) != 3 {
		t.Errorf("%d commits", len(got))
	}
	if report := verify(t, r); !report.Whole() || report.Absent != 3 {
		t.Errorf("%+v", report)
	}
	if done, err := r.Restore(ctx, "", tip, ""); err != nil || !done.Whole {
		t.Errorf("a partial clone passes for damaged: %+v, %v", done, err)
	}
}

func TestHead(t *testing.T) {
	both(t, func(t *testing.T, r *Repo) {
		ctx := context.Background()
		if branch, tip, err := r.Head(ctx); branch != Main || !tip.IsZero() || !errors.Is(err, ErrNotFound) {
			t.Errorf("without commits: %q, %s, %v", branch, tip, err)
		}
		first := commit(t, r, put(t, "a", "1"))
		if branch, tip, err := r.Head(ctx); branch != Main || tip != first || err != nil {
			t.Errorf("%q, %s, %v", branch, tip, err)
		}
		d, ok := r.refs.(*diskRefs)
		if !ok {
			return
		}
		for content, want := range map[string]string{"ref: refs/heads/main\n": Main, first.String() + "\n": ""} {
			write(t, d.head, content)
			if branch, tip, err := r.Head(ctx); branch != want || tip != first || err != nil {
				t.Errorf("%q: %q, %s, %v", content, branch, tip, err)
			}
		}
		write(t, d.head, "ref: refs/heads/main\n")
	})
}
