package engine

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/document"
)

// TestASearchRightAfterAWriteFindsNothing: it waits until the index has what was
// acknowledged before.
func TestASearchRightAfterAWriteFindsNothing(t *testing.T) {
	t.Parallel()
	h := start(t, detached(t.TempDir()))
	var docs []document.Document
	for i := range 600 {
		docs = append(docs, doc(fmt.Sprintf("doc-%03d", i), strings.Repeat(fmt.Sprintf("word%d ", i), 50)))
	}
	put(t, h, docs...)
	if hits, behind, err := h.SearchAll(t.Context(), "word599", 10); err != nil || len(hits) != 1 || behind != 0 {
		t.Errorf("%d hits, behind by %d, %v", len(hits), behind, err)
	}
}

// TestASearchOfAnIndexThatIsBehindSaysSo, once its time is up.
func TestASearchOfAnIndexThatIsBehindSaysSo(t *testing.T) {
	t.Parallel()
	h := startWith(t, detached(t.TempDir()), func(o *Options) { o.Budget = localReserve + 50*time.Millisecond })
	put(t, h, doc("a", "needle"))
	await(t, h, "the index in step", func(s *Stats) bool { return s.Stores[2].Lag == 0 })
	h.textMark.reset(-4)
	if hits, behind, err := h.SearchAll(t.Context(), "needle", 10); err != nil || len(hits) != 1 || behind != 5 {
		t.Errorf("%d hits, behind by %d, %v", len(hits), behind, err)
	}
	h.textMark.reset(1)
}
