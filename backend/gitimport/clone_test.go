package gitimport

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// cloned is a clone of a target.
func cloned(t *testing.T, dir string) *source {
	t.Helper()
	c := &source{t, filepath.Join(t.TempDir(), "clone"), 1_800_000_000}
	gitIn(t, dir, "clone", "-q", "-b", "main", dir, c.dir)
	return c
}

func (s *source) edit(id, text string) {
	s.t.Helper()
	s.file(key(s.t, id).Folder.String()+"/content.txt", text)
}

func commits(t *testing.T, dir string) string {
	t.Helper()
	return gitIn(t, dir, "rev-list", "--count", "main")
}

// TestAnImportOfTheOwnHistoryDoublesIt: a clone of the repository, and a
// worktree of it, brought each of its commits once more, and a merge.
func TestAnImportOfTheOwnHistoryDoublesIt(t *testing.T) {
	into, dir := target(t)
	for _, text := range []string{"one", "two"} {
		existing(t, into, "a", text)
	}
	tree := filepath.Join(t.TempDir(), "tree")
	gitIn(t, dir, "worktree", "add", "-q", "-b", "side", tree, "main")
	for _, from := range []string{cloned(t, dir).dir, tree} {
		for _, dry := range []bool{true, false} {
			r := must(t, from, into, options(func(o *Options) { o.DryRun = dry }))
			if r.Commits != 2 || r.Known != 2 || r.Earlier != 2 || r.Imported != 0 || r.Merge != "" || r.Documents != 1 || r.Conflicts != 0 {
				t.Errorf("%+v", r)
			}
		}
	}
	if n := commits(t, dir); n != "2" {
		t.Errorf("%s commits", n)
	}
	w := &source{t, tree, 1_800_000_000}
	w.edit("a", "three")
	w.commit("In the worktree")
	if r := must(t, tree, into, options()); r.Known != 2 || r.Imported != 1 || r.Conflicts != 0 {
		t.Errorf("%+v", r)
	}
	wantText(t, into, "a", "three")
}

// A clone brings what was committed on top, and no more; what was changed on
// both sides keeps its content here.
func TestACloneWithCommitsOnTop(t *testing.T) {
	into, dir := target(t)
	for _, id := range []string{"theirs", "ours", "both", "dropped"} {
		existing(t, into, id, "one")
	}
	c, d := cloned(t, dir), cloned(t, dir)
	existing(t, into, "ours", "two")
	existing(t, into, "both", "ours")
	c.edit("theirs", "two")
	c.edit("both", "theirs")
	c.run("rm", "-rq", key(t, "dropped").Folder.String())
	c.commit("On top")
	c.write("2026/03", "new", "new")
	c.commit("And more")
	dry := must(t, c.dir, into, options(func(o *Options) { o.DryRun = true }))
	r := must(t, c.dir, into, options())
	for _, r := range []Report{dry, r} {
		if r.Commits != 6 || r.Known != 4 || r.Earlier != 4 || r.Imported != 2 || r.Revisions != 3 || r.Deletes != 1 || r.Documents != 4 || !slices.Equal(r.Kept, []string{"both"}) {
			t.Errorf("%+v", r)
		}
	}
	for id, text := range map[string]string{"theirs": "two", "ours": "two", "both": "ours", "dropped": "", "new": "new"} {
		wantText(t, into, id, text)
	}
	wantOnce(t, dir, 2)
	// Another clone comes between, and this one grows.
	d.edit("theirs", "of another")
	d.commit("Of another")
	if r := must(t, d.dir, into, options()); r.Imported != 1 || !slices.Equal(r.Kept, []string{"theirs"}) {
		t.Errorf("another: %+v", r)
	}
	c.write("2026/03", "new", "newer")
	c.commit("Grown")
	if r := must(t, c.dir, into, options()); r.Imported != 1 || r.Known != 4 || r.Earlier != 6 || r.Conflicts != 0 {
		t.Errorf("grown: %+v", r)
	}
	wantText(t, into, "new", "newer")
	wantOnce(t, dir, 4)
	// It pulls, and goes on from what is here.
	existing(t, into, "ours", "three")
	c.run("pull", "-q", "--no-rebase", "--no-edit", "-X", "theirs", "origin", "main")
	c.edit("ours", "four")
	c.commit("On what was pulled")
	if r := must(t, c.dir, into, options()); r.Imported != 2 || r.Conflicts != 0 {
		t.Errorf("pulled: %+v", r)
	}
	wantText(t, into, "ours", "four")
	if log := gitIn(t, dir, "log", "--format=%s", "main", "--", key(t, "ours").Folder.String()); strings.Count(log, "\n") != 3 {
		t.Errorf("the history of a document of ours:\n%s", log)
	}
	if again := must(t, c.dir, into, options()); again.Imported != 0 || again.Merge != "" {
		t.Errorf("again: %+v", again)
	}
	gitIn(t, dir, "fsck", "--strict", "--full")
}

// A clone that was rewritten is another history; what it says of the operations
// in it is not said of this repository.
func TestARewrittenCloneSpeaksForNoEngine(t *testing.T) {
	s := newSource(t)
	s.write("2026/03", "a", "one")
	s.commit("Put a\n\nOutbox-Seq: 0123/7\nOp-Id: 9\nSigned-off-by: Them <t@example.org>")
	into, dir := target(t)
	must(t, s.dir, into, options())
	body := gitIn(t, dir, "log", "-1", "--format=%B", "main")
	if want := "Put a\n\nImported-Outbox-Seq: 0123/7\nImported-Op-Id: 9\nSigned-off-by: Them <t@example.org>\nImported-From: " + s.run("rev-parse", "HEAD"); body != want {
		t.Errorf("it says\n%s", body)
	}
}

// An object that lies here without being part of main is not known.
func TestACommitBesideMainIsNotKnown(t *testing.T) {
	into, dir := target(t)
	existing(t, into, "a", "one")
	c := cloned(t, dir)
	c.edit("a", "two")
	c.commit("Beside")
	c.run("push", "-q", "origin", "HEAD:refs/heads/beside")
	if r := must(t, c.dir, into, options()); r.Known != 1 || r.Imported != 1 {
		t.Errorf("%+v", r)
	}
	wantText(t, into, "a", "two")
	if _, err := into.Tip("beside"); err != nil {
		t.Errorf("%v", err)
	}
}
