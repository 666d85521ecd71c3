package engine

import (
	"context"
	"testing"
	"time"
)

func TestADamagedOperationIsMendedFromWhereItsVersionIs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := stocked(t, setup(dir))
	goesOn := gitStands(t, dir)
	put(t, h, doc("b", "beta two"))
	put(t, h, doc("c", "gamma two"))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := h.Close(ctx); err == nil {
		t.Error("git held everything")
	}
	h.closers = nil
	database(t, dir, "state.db", `UPDATE outbox SET payload = zeroblob(length(payload)) WHERE id = 'b' AND payload IS NOT NULL`)
	h = start(t, setup(dir))
	awaitState(t, h, StatePrimary)
	r := verified(t, h, VerifyOptions{})
	wantFound(t, r, PartOutbox, false, "b: cannot be read")
	r = verified(t, h, VerifyOptions{Repair: true})
	wantFound(t, r, PartOutbox, true, "b: cannot be read")
	goesOn()
	synced(t, h)
	stop(t, h)
	if text := gitOutput(t, dir, "show", "main:"+folderOf(t, dir, "b")+"/content.txt"); text != "beta two" {
		t.Errorf("git holds %q", text)
	}
}

func TestATextIndexThatIsWrongOrDamagedIsMadeRight(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := stocked(t, setup(dir))
	database(t, dir, "derived.db",
		`INSERT INTO words(words, rowid, id, meta, text) SELECT 'delete', n, id, meta, text FROM docs WHERE id IN ('b', 'c')`,
		`DELETE FROM docs WHERE id = 'b'`, `UPDATE docs SET text = 'stale' WHERE id = 'c'`,
		`INSERT INTO words(rowid, id, meta, text) SELECT n, id, meta, text FROM docs WHERE id = 'c'`,
		`INSERT INTO docs(id, meta, text) VALUES ('ghost', '', 'boo')`,
		`INSERT INTO words(rowid, id, meta, text) SELECT n, id, meta, text FROM docs WHERE id = 'ghost'`)
	r := verified(t, h, VerifyOptions{})
	wantFound(t, r, PartText, false, "b: not indexed", "c: not indexed", "ghost: no such document")
	r = verified(t, h, VerifyOptions{Repair: true})
	wantFound(t, r, PartText, true, "b: not indexed", "c: not indexed", "ghost: no such document")
	for _, word := range []string{"beta", "gamma"} {
		if hits, err := h.Search(t.Context(), word, 10); err != nil || len(hits) != 1 {
			t.Errorf("%s: %v, %v", word, hits, err)
		}
	}

	// The words no longer fit the texts: the file is made anew while the engine
	// runs.
	database(t, dir, "derived.db", `UPDATE docs SET text = 'something else' WHERE id = 'b'`)
	r = verified(t, h, VerifyOptions{})
	wantFound(t, r, PartText, false, ": derived.db is damaged")
	r = verified(t, h, VerifyOptions{Repair: true})
	wantFound(t, r, PartText, true, ": derived.db is damaged")
	if hits, err := h.Search(t.Context(), "beta", 10); err != nil || len(hits) != 1 {
		t.Errorf("%v, %v", hits, err)
	}
	put(t, h, doc("e", "epsilon"))
	await(t, h, "every store in step", healthyAndInStep)
	if hits, err := h.Search(t.Context(), "epsilon", 10); err != nil || len(hits) != 1 {
		t.Errorf("%v, %v", hits, err)
	}
	wantClean(t, h)
}
