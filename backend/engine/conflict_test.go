package engine

import (
	"testing"

	"github.com/caiatech/caiatop/backend/document"
)

// TestAWriteThatMetAConflictIsAcknowledgedAsThere, though somebody else's version
// keeps the place: the acknowledgement names the copy that keeps ours.
func TestAWriteThatMetAConflictIsAcknowledgedAsThere(t *testing.T) {
	t.Parallel()
	address := service(t, "k")
	h := start(t, external(t.TempDir(), address))
	awaitState(t, h, StatePrimary)
	put(t, h, doc("a", "base"), doc("b", "base"), doc("c", "base"))
	c := colleague(t, address)
	for _, id := range []string{"a", "b"} {
		key, theirs := changed(get(t, h, id), "theirs")
		writeThere(t, c, key, theirs)
	}
	ack := put(t, h, doc("a", "ours"), doc("c", "ours"))
	if ack.Durability != Local || ack.Commit != "" || len(ack.Conflicts) != 1 || ack.Conflicts[0].ID != mustID("a") || ack.Conflicts[0].Copy.IsZero() {
		t.Fatalf("acknowledged as %+v", ack)
	}
	wantText(t, h, "a", "theirs")
	wantText(t, h, "c", "ours")
	wantText(t, h, ack.Conflicts[0].Copy.String(), "ours")
	ack, err := h.Delete(t.Context(), mustID("b"))
	if err != nil || ack.Durability != Local || len(ack.Conflicts) != 1 || ack.Conflicts[0] != (MetConflict{ID: mustID("b")}) {
		t.Errorf("acknowledged as %+v, %v", ack, err)
	}
	wantText(t, h, "b", "theirs")
	// What was met before is no conflict of what follows.
	if ack := put(t, h, doc("a", "ours again")); ack.Durability != PrimaryAndLocal || len(ack.Conflicts) != 0 {
		t.Errorf("acknowledged as %+v", ack)
	}
}

// TestConflictsAreRememberedForEver: only so many.
func TestConflictsAreRememberedForEver(t *testing.T) {
	t.Parallel()
	h := start(t, detached(t.TempDir()))
	for i := range maxCollided + 2 {
		h.noteConflict(wanted{}, MetConflict{ID: mustID(document.ShortHash(string(rune(i))) + "-x")})
	}
	if n := len(h.collided); n > maxCollided {
		t.Errorf("%d are remembered", n)
	}
}
