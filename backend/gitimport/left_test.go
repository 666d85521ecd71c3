package gitimport

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestAnImportLeavesOutLinksAndSubmodulesWithoutAWord: the report did not say that
// anything was left out.
func TestAnImportLeavesOutLinksAndSubmodulesWithoutAWord(t *testing.T) {
	s := newSource(t)
	s.write("2026/03", "a", "text")
	s.file("README.md", "x")
	if err := os.Symlink("README.md", filepath.Join(s.dir, "link")); err != nil {
		t.Fatal(err)
	}
	head := s.commit("one")
	s.run("update-index", "--add", "--cacheinfo", "160000,"+head+",lib/module")
	s.run("commit", "-q", "-m", "two")
	into, _ := target(t)
	r := must(t, s.dir, into, options())
	if r.Documents != 1 || r.LeftOut != 3 || r.Links != 1 || r.Submodules != 1 ||
		!slices.Equal(r.LeftNames, []string{"lib/module (submodule)", "link (symbolic link)", "README.md"}) {
		t.Errorf("%+v", r)
	}
}
