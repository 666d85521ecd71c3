package engine

import (
	"fmt"
	"strings"
	"testing"

	"github.com/caiatech/caiatop/backend/document"
)

// The message of a large batch is longer than what many programs expect, and
// the trailers lie below it: they still tell how far git is, to real git and to
// the next start.
func TestTheTrailersOfALongMessageAreFound(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := setup(dir)
	s.Detached = true
	h := start(t, s)
	const documents = 400
	long := strings.Repeat("n", document.MaxID-5)
	var docs []document.Document
	for i := range documents {
		docs = append(docs, doc(fmt.Sprintf("%s%05d", long, i), "text"))
	}
	put(t, h, docs...)
	if err := h.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	message := gitOutput(t, dir, "log", "-1", "--format=%B", "main")
	subject, _, _ := strings.Cut(message, "\n")
	if subject != fmt.Sprintf("Update %d documents", documents) || len(message) < 64<<10 {
		t.Fatalf("%d bytes that begin with %q: this test tests nothing", len(message), subject)
	}
	want := fmt.Sprintf("%s/%d", h.o.State.StateID(), documents)
	if got := gitOutput(t, dir, "log", "-1", "--format=%(trailers:key="+trailerSeq+",valueonly)", "main"); strings.TrimSpace(got) != want {
		t.Errorf("real git reads %q, want %q", got, want)
	}
	if n := strings.Count(gitOutput(t, dir, "log", "-1", "--format=%(trailers:key="+trailerOp+")", "main"), trailerOp); n != documents {
		t.Errorf("real git reads %d operations", n)
	}
	if value, _, err := h.o.Git.Trailer(t.Context(), trailerSeq, h.isOwn, 1); err != nil || value != want {
		t.Errorf("we read %q, %v, want %q", value, err, want)
	}
	tip := gitOutput(t, dir, "rev-parse", "main")
	stop(t, h)
	h = start(t, s)
	if err := h.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if now := gitOutput(t, dir, "rev-parse", "main"); now != tip {
		t.Errorf("the next start committed anew: %s", gitOutput(t, dir, "log", "-1", "main"))
	}
	stop(t, h)
	gitOutput(t, dir, "fsck", "--strict", "--full")
}
