package gitimport

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// fed runs git with an input, for trees that no worktree can hold.
func (s *source) fed(input string, args ...string) string {
	s.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir, cmd.Stdin = s.dir, strings.NewReader(input)
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("git %v: %v", args, err)
	}
	return strings.TrimSpace(string(out))
}

// TestDocumentsInHostileFoldersAreLeftOutWithoutAWord: nothing was said of
// documents in folders that no document may have.
func TestDocumentsInHostileFoldersAreLeftOutWithoutAWord(t *testing.T) {
	names := []string{
		".GIT", "git~1", ".g\u200cit", ".git\u200b", "a\u202eb", "c\x01d", "e\x1b[31mf", `g\h`, "i\u2066j", "n\nl", "K\ufeffL", "bad\xff\xfe",
		".gitmodules", "gitmod~1", ".gitattributes", "GITATT~1",
	}
	s := newSource(t)
	s.write("2026/03", "good", "good")
	s.file("documents/text/2026/03/good/attachment.pdf", "beside")
	s.write("2026/03", "link", "")
	link := filepath.Join(s.dir, "documents/text/2026/03/link")
	if err := errors.Join(os.Remove(filepath.Join(link, "text.txt")), os.Symlink("../../../../../secret", filepath.Join(link, "content.txt"))); err != nil {
		t.Fatal(err)
	}
	s.file("secret", "text")
	s.commit("Good")
	var month strings.Builder
	month.WriteString(s.fed("", "ls-tree", "-z", "HEAD", "documents/text/2026/03/"))
	listing := strings.ReplaceAll(month.String(), "documents/text/2026/03/", "")
	for _, name := range names {
		meta := s.fed(fmt.Sprintf(`{"id":%q,"source":{"type":"text"}}`, name), "hash-object", "-w", "--stdin")
		text := s.fed("text of it", "hash-object", "-w", "--stdin")
		tree := s.fed("100644 blob "+meta+"\tmetadata.json\n100644 blob "+text+"\tcontent.txt\n", "mktree")
		listing += "040000 tree " + tree + "\t" + name + "\x00"
	}
	tree := s.fed(listing, "mktree", "-z")
	for _, name := range []string{"03", "2026", "text", "documents"} {
		tree = s.fed("040000 tree "+tree+"\t"+name+"\n", "mktree")
	}
	s.at += 60
	s.run("update-ref", "refs/heads/main", s.run("commit-tree", "-p", "HEAD", "-m", "Hostile", tree))

	into, dir := target(t)
	told := map[string]string{}
	r := must(t, s.dir, into, options(func(o *Options) { o.Failed = func(path string, err error) { told[path] = err.Error() } }))
	if r.Refused != int64(len(names)) || len(r.Refusals) != len(names) {
		t.Errorf("%d refused: %+v", r.Refused, r.Refusals)
	}
	for _, name := range names {
		folder := "documents/text/2026/03/" + name
		if !slices.ContainsFunc(r.Refusals, func(f Failure) bool { return f.Path == folder && f.Error != "" && f.Error == told[folder] }) {
			t.Errorf("%q is not named", name)
		}
	}
	if r.Documents != 1 || r.Failed != 1 || !strings.HasSuffix(r.Failures[0].Path, "/link") {
		t.Errorf("%d documents, %d failed: %+v", r.Documents, r.Failed, r.Failures)
	}
	if r.LeftOut != 2 || r.Links != 1 || !slices.Equal(r.LeftNames, []string{"documents/text/2026/03/link/content.txt (symbolic link)", "documents/text/2026/03/good/attachment.pdf"}) {
		t.Errorf("left out: %d, %q", r.LeftOut, r.LeftNames)
	}
	wantText(t, into, "good", "good")
	wantText(t, into, "link", "")
	gitIn(t, dir, "fsck", "--strict", "--full")
	if again := must(t, s.dir, into, options()); again.Refused != r.Refused || again.Imported != 0 {
		t.Errorf("again: %+v", again)
	}
}

// TestNothingThatCanBeReadWasNoDocument: where no document could be read, the
// repository was said to hold none.
func TestNothingThatCanBeReadWasNoDocument(t *testing.T) {
	s := newSource(t)
	s.file("documents/text/2026/03/bad/metadata.json", "no json")
	s.commit("Bad")
	into, _ := target(t)
	for range 2 {
		r, err := imported(t.Context(), t, s.dir, into, options())
		if err != nil || r.Failed != 1 || r.Imported != 0 || r.Merge != "" || r.Documents != 0 {
			t.Errorf("%+v, %v", r, err)
		}
	}
}

// TestUnreadableFoldersCountAfterAResume: documents that could not be imported
// counted as documents in the next run.
func TestUnreadableFoldersCountAfterAResume(t *testing.T) {
	s := newSource(t)
	s.write("2026/03", "a", "one")
	s.write("2026/03", "b", "one")
	s.file("documents/text/2026/03/bad/metadata.json", "no json")
	s.commit("One")
	into, _ := target(t)
	for _, want := range []int{2, 2} {
		if r := must(t, s.dir, into, options()); r.Documents != want {
			t.Errorf("%d documents, not %d", r.Documents, want)
		}
	}
	s.write("2026/03", "bad", "mended")
	s.commit("Mend")
	if r := must(t, s.dir, into, options()); r.Documents != 3 || r.Revisions != 1 {
		t.Errorf("mended: %+v", r)
	}
	s.run("rm", "-rq", "documents/text/2026/03/bad")
	s.commit("Drop")
	if r := must(t, s.dir, into, options()); r.Documents != 2 || r.Deletes != 1 {
		t.Errorf("dropped: %+v", r)
	}
}
