package gitstore_test

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/gitrepo"
	"github.com/caiatech/caiatop/backend/gitstore"
	"github.com/caiatech/caiatop/backend/store"
)

// TestLinksAndSubmodulesAreLeftOutWithoutAWord: submodules were skipped by every
// listing, and a symbolic link in a document's folder gave its target as text.
func TestLinksAndSubmodulesAreLeftOutWithoutAWord(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed: it writes what we refuse to write")
	}
	dir := filepath.Join(t.TempDir(), "repo.git")
	repo, err := gitrepo.OpenDisk(dir, gitrepo.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeRepo(t, repo) })
	s := gitstore.New(repo)
	plumb := plumbing(t, dir)
	long := strings.Repeat("n", 201)
	var stream strings.Builder
	stream.WriteString("commit refs/heads/main\ncommitter T <t@example.org> 1790000000 +0000\ndata 1\nx\n")
	for _, e := range []struct{ mode, path, data string }{
		{"100644", "documents/text/2026/11/good/metadata.json", `{"id":"good","source":{"type":"text"}}`},
		{"100644", "documents/text/2026/11/good/content.txt", "text"},
		{"100644", "documents/text/2026/11/good/notes.md", "beside"},
		{"120000", "documents/text/2026/11/good/raw2", "content.txt"},
		{"100644", "documents/text/2026/11/link/metadata.json", `{"id":"link","source":{"type":"text"}}`},
		{"120000", "documents/text/2026/11/link/content.txt", "/etc/hostname"},
		{"100644", "documents/text/2026/11/sub/metadata.json", `{"id":"sub","source":{"type":"text"}}`},
		{"160000", "documents/text/2026/11/sub/content.txt", ""},
		{"160000", "documents/text/2026/11/module", ""},
		{"100644", "documents/text/2026/11/" + long + "/metadata.json", "{}"},
		{"120000", "documents/latest", "text"},
		{"100644", "documents/README.md", "x"},
		{"160000", "vendor/lib", ""},
		{"120000", "here", "documents"},
	} {
		if e.mode == "160000" {
			fmt.Fprintf(&stream, "M 160000 1111111111111111111111111111111111111111 %s\n", e.path)
			continue
		}
		fmt.Fprintf(&stream, "M %s inline %s\ndata %d\n%s\n", e.mode, e.path, len(e.data), e.data)
	}
	plumb(stream.String(), "fast-import", "--quiet")
	tip := plumb("", "rev-parse", "main")

	var ids []string
	for e, err := range s.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, e.Key.ID.String())
		_, err := s.Get(t.Context(), e.Key)
		_, _, readable := s.Readable(t.Context(), tip, e.Key)
		if e.Key.ID.String() == "good" {
			if err != nil || readable != nil {
				t.Errorf("good: %v, %v", err, readable)
			}
			continue
		}
		if !errors.Is(err, store.ErrCorrupt) || !gitstore.Unreadable(err) || !errors.Is(readable, gitrepo.ErrNoFile) ||
			!strings.Contains(err.Error(), e.Key.Folder.String()+"/content.txt") {
			t.Errorf("%s: %v, %v", e.Key.ID, err, readable)
		}
	}
	if !slices.Equal(ids, []string{"good", "link", "sub"}) {
		t.Errorf("listed %q", ids)
	}
	left := s.Left()
	if left.Files != 1 || left.Links != 1 || left.Submodules != 1 || left.Folders != 1 || left.Total() != 4 ||
		!slices.Contains(left.First, "documents/text/2026/11/module (submodule)") || !slices.Contains(left.First, "documents/latest (symbolic link)") {
		t.Errorf("left out: %+v", left)
	}
	others, err := s.Beside(t.Context(), tip)
	if err != nil || others.Count != 9 || others.Links != 4 || others.Submodules != 3 || len(others.Named) != 9 ||
		!slices.Contains(others.Named, "documents/text/2026/11/good/notes.md") || !slices.Contains(others.Named, "vendor/lib (submodule)") || !slices.Contains(others.Named, "documents/text/2026/11/sub/content.txt (submodule)") {
		t.Errorf("no part of a document: %+v, %v", others, err)
	}
	if others.Documents != 1 || len(others.Refused) != 1 || others.Refused[0].Path != "documents/text/2026/11/"+long || !errors.Is(others.Refused[0].Why, document.ErrInvalid) {
		t.Errorf("refused: %d, %+v", others.Documents, others.Refused)
	}
}
