package gitimport

import (
	"slices"
	"testing"

	"github.com/caiatech/caiatop/backend/gitrepo"
	"github.com/caiatech/caiatop/backend/gitstore"
)

// TestADocumentIsNamedOnceWhenMainMovesUnderTheMerge: the engine commits beside
// an import, and each attempt to merge compares anew.
func TestADocumentIsNamedOnceWhenMainMovesUnderTheMerge(t *testing.T) {
	into, _ := target(t)
	existing(t, into, "a", "ours")
	s := newSource(t)
	s.write("2026/03", "a", "theirs")
	s.commit("one")
	if report := must(t, s.dir, into, options()); report.Conflicts != 1 {
		t.Fatalf("%+v", report)
	}
	tip, err := into.Tip(gitrepo.Main)
	if err != nil {
		t.Fatal(err)
	}
	merge, err := into.ReadCommit(t.Context(), tip)
	if err != nil {
		t.Fatal(err)
	}
	r := &run{into: into, here: gitstore.New(into), tip: merge.Parents[1]}
	for attempt := range 3 {
		if err := r.allOverridden(t.Context(), []string{key(t, "a").Folder.String()}); err != nil {
			t.Fatal(err)
		}
		if r.report.Conflicts != 1 || !slices.Equal(r.report.Kept, []string{"a"}) {
			t.Errorf("attempt %d: %+v", attempt, r.report)
		}
	}
}
