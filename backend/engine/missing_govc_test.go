package engine

import (
	"strings"
	"testing"

	"github.com/caiatech/caiatop/probe"
)

// TestADocumentStaysMissingAtTheServiceThoughGitHasItAgain: nobody had it when
// the service was filled; when git delivers it again, the service gets it.
func TestADocumentStaysMissingAtTheServiceThoughGitHasItAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	run(t, forgetful(dir), func(h *Host) {
		put(t, h, doc("a", "one"), doc("b", "the second text"))
		synced(t, h)
		await(t, h, "git alone has the content", trimmed)
	})
	h := start(t, detached(dir))
	restore := overwrite(t, dir, h, "b")
	stop(t, h)
	h = start(t, forgetful(dir))
	awaitState(t, h, StatePrimary)
	await(t, h, "b missing everywhere", func(s *Stats) bool { return s.Parked == 2 })
	wantEvent(t, h, "reseed", "found in no store: 1 document of the index")
	restore()
	lookNow(h)
	await(t, h, "b everywhere again", func(s *Stats) bool { return s.Parked == 0 && healthyAndInStep(s) })
	wantText(t, h, "b", "the second text", probe.Govc)
	asides := 0
	for _, text := range toldAbout(h, "parked", Warning) {
		if strings.Contains(text, `"b"`) {
			asides++
		}
	}
	if asides != 1 {
		t.Errorf("told %d times that it is set aside", asides)
	}
}
