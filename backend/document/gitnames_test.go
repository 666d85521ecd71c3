package document_test

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/caiatech/caiatop/backend/document"
)

// ownNames are names that some file system takes for a file in which git reads.
var ownNames = []string{
	".gitmodules", ".GITMODULES", ".gitmodules.", ".gitmodules ", ".gitmodules . .", ".gitmodules::$INDEX_ALLOCATION", ".gitmodules:x",
	"gitmod~1", "GITMOD~4", "gitmod~2.", "gi7eba~1", "GI7EBA~9", "gi7eb~12", "gi~12345", "~1234567",
	".gitattributes", ".GitAttributes", ".gitattributes ", "gitatt~1", "gi7d29~1", "gi7d2~10",
}

// nearlyOwnNames are not.
var nearlyOwnNames = []string{
	".gitignore", ".mailmap", ".gitmodule", "gitmodules", "x.gitmodules", ".gitmodulesx", "gitmod~5", "gitmod~0", "gitmod~", "gitmod~11",
	"gi7eba~0", "gi7eba~10", "gi7ebb~1", "gi7eba~x", "gitattributes", "gitatt~9", "gi7d29", "a~1234567",
}

// TestNoFolderOfOursFailsFsck: what git fsck refuses as a folder is no id, no
// type and no folder of a path, and nothing else is lost to that rule.
func TestNoFolderOfOursFailsFsck(t *testing.T) {
	refused := fsckRefuses(t, slices.Concat(ownNames, nearlyOwnNames, goodSegments))
	for _, s := range ownNames {
		if !refused[s] {
			t.Errorf("git has nothing against the folder %q", s)
		}
		if _, err := document.ParseID(s); !errors.Is(err, document.ErrInvalid) {
			t.Errorf("the id %q: %v", s, err)
		}
		if _, err := document.ParseType(s); !errors.Is(err, document.ErrInvalid) {
			t.Errorf("the type %q: %v", s, err)
		}
		if _, err := document.ParsePath("a/" + s + "/b"); !errors.Is(err, document.ErrInvalid) {
			t.Errorf("the folder %q: %v", s, err)
		}
		if _, err := document.ParsePath("a/" + s); err != nil {
			t.Errorf("the file %q: %v", s, err)
		}
		id, err := document.EscapeID(s)
		if back, whole := document.UnescapeID(id); err != nil || !whole || back != s {
			t.Errorf("%q is escaped as %q, back %q, %v", s, id, back, err)
		}
	}
	for _, s := range slices.Concat(nearlyOwnNames, goodSegments) {
		if refused[s] {
			t.Errorf("git refuses the folder %q", s)
		}
		if _, err := document.ParseID(s); err != nil {
			t.Errorf("the id %q: %v", s, err)
		}
	}
}

// fsckRefuses returns the names that git fsck refuses for a folder.
func fsckRefuses(t *testing.T, names []string) map[string]bool {
	t.Helper()
	dir := t.TempDir()
	git := func(input string, args ...string) (string, error) {
		cmd := exec.Command("git", append([]string{"-C", dir}, args...)...)
		cmd.Stdin = strings.NewReader(input)
		out, err := cmd.CombinedOutput()
		return string(bytes.TrimSpace(out)), err
	}
	in := func(input string, args ...string) string {
		out, err := git(input, args...)
		if err != nil {
			t.Fatalf("git %s: %v: %s", args, err, out)
		}
		return out
	}
	in("", "init", "-q", "--bare")
	blob := in("x", "hash-object", "-w", "--stdin")
	var folders, outers strings.Builder
	for _, name := range names {
		// Each folder is another one, so that git names it when it refuses.
		fmt.Fprintf(&folders, "100644 blob %s\t%x\x00\x00", blob, name)
	}
	trees := strings.Fields(in(folders.String(), "mktree", "-z", "--batch"))
	for i, name := range names {
		fmt.Fprintf(&outers, "040000 tree %s\t%s\x00\x00", trees[i], name)
	}
	refused := map[string]bool{}
	var refs strings.Builder
	for i, outer := range strings.Fields(in(outers.String(), "mktree", "-z", "--batch")) {
		fmt.Fprintf(&refs, "create refs/tags/%d %s\n", i, outer)
	}
	in(refs.String(), "update-ref", "--stdin")
	out, err := git("", "fsck", "--strict")
	for i, name := range names {
		refused[name] = strings.Contains(out, trees[i]+": git")
	}
	if err == nil {
		t.Fatalf("git fsck has nothing to say: %s", out)
	}
	return refused
}
