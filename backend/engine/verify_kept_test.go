package engine

import (
	"testing"

	"github.com/caiatech/caiatop/backend/state"
)

// TestAMissingKeptCopyIsFoundAndMade where no git holds the document.
func TestAMissingKeptCopyIsFoundAndMade(t *testing.T) {
	t.Parallel()
	h := start(t, forgetful(t.TempDir()))
	awaitState(t, h, StatePrimary)
	put(t, h, doc("a", "one"), doc("b", "two"))
	setPhase(t, h, PhaseGovcOnly)
	await(t, h, "two copies", func(s *Stats) bool { return s.Kept.Documents == 2 && settled(s) })
	if r := verified(t, h, VerifyOptions{}); r.part(PartKept).Checked != 2 || r.part(PartKept).Found != 0 {
		t.Errorf("%+v", r.part(PartKept))
	}
	row, err := h.o.State.Lookup(t.Context(), mustID("a"))
	if err != nil {
		t.Fatal(err)
	}
	if err := h.o.State.Keep(t.Context(), state.Keep{Drop: []state.KeptCopy{{ID: row.ID, Seq: row.Seq}}}); err != nil {
		t.Fatal(err)
	}
	wantFound(t, verified(t, h, VerifyOptions{}), PartKept, false, "a: no copy of it is kept")
	if kept := h.Stats().Kept.Documents; kept != 1 {
		t.Errorf("%d copies, though nothing was to be mended", kept)
	}
	wantFound(t, verified(t, h, VerifyOptions{Repair: true}), PartKept, true, "a: no copy of it is kept")
	if found, _, err := h.o.State.Kept(t.Context(), row.ID); err != nil || found.Content.Text != "one" {
		t.Errorf("%q, %v", found.Content.Text, err)
	}
}
