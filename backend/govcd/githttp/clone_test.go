package githttp

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/gitrepo"
)

// version is the option that has git speak one version of its protocol.
func version(v int) string { return fmt.Sprintf("protocol.version=%d", v) }

// TestAClone has all branches and tags, and nothing of ours.
func TestAClone(t *testing.T) {
	ctx := context.Background()
	disk, _ := disked(t)
	for _, c := range []struct {
		repo     *gitrepo.Repo
		versions []int
	}{{gitrepo.NewMemory(gitrepo.Options{}), []int{0, 1, 2}}, {disk, []int{2}}} {
		r := c.repo
		tip := filled(t, r, 5, 30)
		if err := r.CreateBranch("side/way", tip); err != nil {
			t.Fatal(err)
		}
		side := commitOn(t, r, "side/way", when.Add(time.Hour), put(t, "side.txt", "aside"))
		for _, in := range []gitrepo.TagInput{
			{Name: "light", Commit: tip}, {Name: "v1", Commit: side, Message: "first", Tagger: ann, At: when},
		} {
			if err := r.CreateTag(ctx, in); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.SetRef(ctx, "refs/caiatop/last", side); err != nil {
			t.Fatal(err)
		}
		tag, err := r.Ref("refs/tags/v1")
		if err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf("%s refs/heads/main\n%s refs/heads/side/way\n%s refs/tags/light\n%s refs/tags/v1", tip, side, tip, tag)
		url := serve(t, r, Options{})
		for _, v := range c.versions {
			dir := filepath.Join(t.TempDir(), "c")
			git(t, "", "-c", version(v), "clone", "-q", "--mirror", url, dir)
			if got := git(t, dir, "for-each-ref", "--format=%(objectname) %(refname)"); got != want {
				t.Errorf("version %d: references\n%s\nwant\n%s", v, got, want)
			}
			if got := git(t, dir, "symbolic-ref", "HEAD"); got != "refs/heads/main" {
				t.Errorf("version %d: HEAD is %s", v, got)
			}
			fsck(t, dir)
		}
		if got := git(t, "", "-c", version(0), "ls-remote", url); !strings.Contains(got, side.String()+"\trefs/tags/v1^{}") || strings.Contains(got, "caiatop") {
			t.Errorf("ls-remote:\n%s", got)
		}
		dir := filepath.Join(t.TempDir(), "c")
		git(t, "", "clone", "-q", "-b", "side/way", "--single-branch", url, dir)
		if got := git(t, dir, "show", "HEAD:side.txt"); got != "aside" {
			t.Errorf("side.txt is %q", got)
		}
		if got := git(t, dir, "tag"); got != "light\nv1" {
			t.Errorf("the tags of one branch are %q", got)
		}
	}
}

// TestAnEmptyRepository is cloned with git's own warning.
func TestAnEmptyRepository(t *testing.T) {
	url := serve(t, gitrepo.NewMemory(gitrepo.Options{}), Options{})
	for _, v := range []int{0, 2} {
		dir := filepath.Join(t.TempDir(), "c")
		if out := git(t, "", "-c", version(v), "-c", "init.defaultBranch=other", "clone", url, dir); !strings.Contains(out, "empty repository") {
			t.Errorf("version %d: %s", v, out)
		}
		if got := git(t, dir, "symbolic-ref", "HEAD"); v == 2 && got != "refs/heads/main" {
			t.Errorf("HEAD is %s", got)
		}
	}
}

var total = regexp.MustCompile(`remote: Total (\d+) objects, (\d+) of them`)

// sent is how many objects a fetch was sent, "" if there was no pack.
func sent(out string) string {
	if m := total.FindStringSubmatch(out); m != nil {
		return m[1]
	}
	return ""
}

// TestAFetch is sent what is new, and nothing else.
func TestAFetch(t *testing.T) {
	for _, v := range []int{0, 2} {
		r := gitrepo.NewMemory(gitrepo.Options{})
		filled(t, r, 6, 40)
		url, dir := serve(t, r, Options{}), filepath.Join(t.TempDir(), "c")
		git(t, "", "-c", version(v), "clone", "-q", "--bare", url, dir)
		git(t, dir, "config", "remote.origin.fetch", "+refs/heads/*:refs/heads/*")
		git(t, dir, "config", "protocol.version", fmt.Sprint(v))
		fetch := func(want, why string) {
			t.Helper()
			if out := git(t, dir, "fetch", "--progress", "--prune", "origin"); sent(out) != want {
				t.Errorf("version %d, %s: sent %q objects, want %s\n%s", v, why, sent(out), want, out)
			}
		}
		fetch("", "nothing happened")
		// A commit, its tree, two folders and a file.
		tip := commitOn(t, r, "", when.Add(time.Hour), docs(t, 3, 4, 99)...)
		fetch("5", "one document")
		if err := r.CreateBranch("feature", tip); err != nil {
			t.Fatal(err)
		}
		fetch("", "a branch of what was there")
		commitOn(t, r, "feature", when.Add(2*time.Hour), put(t, "new", "new"))
		commitOn(t, r, "", when.Add(2*time.Hour), put(t, "other", "other"))
		fetch("6", "two branches")
		if _, err := r.Merge(context.Background(), gitrepo.MergeInput{From: "feature", Message: "merge", Author: ann, At: when.Add(3 * time.Hour)}); err != nil {
			t.Fatal(err)
		}
		if err := r.DeleteBranch("feature"); err != nil {
			t.Fatal(err)
		}
		fetch("5", "a merge of a branch that is gone at the client, too")
		if got := git(t, dir, "branch", "--format=%(refname:short)"); got != "main" {
			t.Errorf("version %d: the branches are %q", v, got)
		}
		fsck(t, dir)
	}
}

// TestShallowHistories end where they were asked to end, and can be made longer.
func TestShallowHistories(t *testing.T) {
	r := gitrepo.NewMemory(gitrepo.Options{})
	filled(t, r, 8, 20) // a minute apart
	old, err := r.Log(context.Background(), mustTip(t, r), gitrepo.LogOptions{Limit: 8})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.CreateTag(context.Background(), gitrepo.TagInput{Name: "old", Commit: old[5].Hash}); err != nil {
		t.Fatal(err)
	}
	url := serve(t, r, Options{})
	for _, v := range []int{0, 2} {
		dir := filepath.Join(t.TempDir(), "c")
		git(t, "", "-c", version(v), "clone", "-q", "--bare", "--depth=2", "--no-tags", url, dir)
		git(t, dir, "config", "protocol.version", fmt.Sprint(v))
		commits := func(want string) {
			t.Helper()
			if got := git(t, dir, "rev-list", "--count", "HEAD"); got != want {
				t.Errorf("version %d: %s commits, want %s", v, got, want)
			}
		}
		commits("2")
		git(t, dir, "fetch", "-q", "--deepen=2", "--no-tags", "origin", "main")
		commits("4")
		git(t, dir, "fetch", "-q", "--no-tags", "--shallow-since="+when.Add(90*time.Second).Format(time.RFC3339), "origin", "main")
		commits("6")
		git(t, dir, "fetch", "-q", "--no-tags", "--shallow-exclude=old", "origin", "main")
		git(t, dir, "fetch", "-q", "--depth=7", "--no-tags", "origin", "main")
		commits("7")
		fsck(t, dir)
		git(t, dir, "fetch", "-q", "--unshallow", "origin", "main")
		commits("8")
		if out := git(t, dir, "rev-parse", "--is-shallow-repository"); out != "false" {
			t.Errorf("version %d: still shallow", v)
		}
		fsck(t, dir)
	}
	dir := filepath.Join(t.TempDir(), "c")
	git(t, "", "clone", "-q", "--bare", "--shallow-exclude=old", url, dir)
	if got := git(t, dir, "rev-list", "--count", "HEAD"); got != "5" {
		t.Errorf("%s commits after the tag, want 5", got)
	}
	if out, err := try(t, dir, "fetch", "--shallow-exclude=nothing", "origin"); err == nil || !strings.Contains(out, "no branch or tag") {
		t.Errorf("an unknown reference: %v %s", err, out)
	}
}

func mustTip(t testing.TB, r *gitrepo.Repo) Hash {
	t.Helper()
	tip, err := r.Tip("")
	if err != nil {
		t.Fatal(err)
	}
	return tip
}

// TestAShallowCloneIsKeptUp: it is sent what is new, also where that begins
// before its history does, and where a branch was moved back.
func TestAShallowCloneIsKeptUp(t *testing.T) {
	r := gitrepo.NewMemory(gitrepo.Options{})
	filled(t, r, 4, 20)
	log, err := r.Log(context.Background(), mustTip(t, r), gitrepo.LogOptions{Limit: 4})
	if err != nil {
		t.Fatal(err)
	}
	url, dir := serve(t, r, Options{}), filepath.Join(t.TempDir(), "c")
	git(t, "", "clone", "-q", "--mirror", "--depth=1", url, dir)
	fetch := func(want string) {
		t.Helper()
		if out := git(t, dir, "fetch", "--progress", "--prune"); sent(out) != want {
			t.Errorf("sent %q objects, want %s\n%s", sent(out), want, out)
		}
	}
	commitOn(t, r, "", when.Add(time.Hour), docs(t, 35, 36, 99)...)
	fetch("5")
	// Before the end of the history of the clone: a branch, merged.
	if err := r.CreateBranch("side", log[3].Hash); err != nil {
		t.Fatal(err)
	}
	commitOn(t, r, "side", when.Add(2*time.Hour), put(t, "side", "side"))
	if _, err := r.Merge(context.Background(), gitrepo.MergeInput{From: "side", Message: "merge", Author: ann, At: when.Add(3 * time.Hour)}); err != nil {
		t.Fatal(err)
	}
	if out := git(t, dir, "fetch", "--progress", "--prune"); sent(out) == "" {
		t.Errorf("nothing was sent: %s", out)
	}
	fsck(t, dir)
	if err := r.DeleteBranch("side"); err != nil {
		t.Fatal(err)
	}
	if err := r.CreateBranch("side", log[2].Hash); err != nil {
		t.Fatal(err)
	}
	git(t, dir, "fetch", "-q", "--prune")
	fsck(t, dir)
	if got := git(t, dir, "rev-parse", "side"); got != log[2].Hash.String() {
		t.Errorf("side is at %s", got)
	}
}

// TestPartialClones are without what they were asked to be without, and get it
// when it is looked at.
func TestPartialClones(t *testing.T) {
	r := gitrepo.NewMemory(gitrepo.Options{})
	filled(t, r, 4, 20)
	url := serve(t, r, Options{})
	for _, c := range []struct {
		version int
		filter  string
	}{{0, "blob:none"}, {2, "blob:none"}, {2, "tree:0"}} {
		dir := filepath.Join(t.TempDir(), "c")
		git(t, "", "-c", version(c.version), "clone", "-q", "--no-checkout", "--filter="+c.filter, url, dir)
		out := git(t, dir, "cat-file", "--batch-all-objects", "--batch-check=:%(objecttype)")
		kinds := strings.FieldsFunc(out, func(r rune) bool { return r == '\n' })
		kinds = slices.DeleteFunc(kinds, func(line string) bool { return line[0] != ':' }) // a warning
		slices.Sort(kinds)
		want := []string{":commit", ":tree"}
		if c.filter == "tree:0" {
			want = want[:1]
		}
		if kinds = slices.Compact(kinds); !slices.Equal(kinds, want) {
			t.Errorf("%v: it has %v, want %v", c, kinds, want)
		}
		git(t, dir, "-c", version(c.version), "checkout", "-q", "main")
		if out := git(t, dir, "status", "--short"); out != "" {
			t.Errorf("%v: %s", c, out)
		}
		fsck(t, dir)
	}
	if out, err := try(t, t.TempDir(), "clone", "-q", "--filter=blob:limit=1k", url, "c"); err == nil || !strings.Contains(out, "use blob:none or tree:0") {
		t.Errorf("a filter that is not offered: %v %s", err, out)
	}
}

// TestGitCannotPush, and is told so.
func TestGitCannotPush(t *testing.T) {
	r := gitrepo.NewMemory(gitrepo.Options{})
	filled(t, r, 1, 3)
	url, dir := serve(t, r, Options{}), filepath.Join(t.TempDir(), "c")
	git(t, "", "clone", "-q", "--bare", url, dir)
	if out, err := try(t, dir, "push", url, "main:other"); err == nil || !strings.Contains(out, "push is not offered") {
		t.Errorf("%v %s", err, out)
	}
}
