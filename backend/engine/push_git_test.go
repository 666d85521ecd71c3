package engine

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/document"
)

// A push of many documents by real git reaches every store while reads and
// writes go on.
func TestAPushOfTwoThousandDocuments(t *testing.T) {
	t.Parallel()
	docs := 2 * pushWaits
	if raced {
		docs = 300
	}
	dir := t.TempDir()
	h := start(t, setup(dir))
	awaitState(t, h, StatePrimary)
	put(t, h, doc("own", "mine"))
	synced(t, h)
	c := cloneOf(t, dir)
	base := c.git("rev-parse", "HEAD")
	var stream strings.Builder
	stream.WriteString("commit refs/heads/main\ncommitter T <t@example.org> 1790000000 +0000\ndata 1\nx\nfrom " + base + "\n")
	for i := range docs {
		id := fmt.Sprint("n", i)
		folder := document.LayoutFanOut.Folder(mustType("text"), theirTime, mustID(id))
		for name, data := range map[string]string{
			"metadata.json": fmt.Sprintf(`{"id":%q,"source":{"type":"text"},"created_at":"2026-11-20T08:00:00Z"}`, id),
			"content.txt":   "text of " + id,
		} {
			fmt.Fprintf(&stream, "M 100644 inline %s/%s\ndata %d\n%s\n", folder, name, len(data), data)
		}
	}
	cmd := exec.Command("git", "-C", c.dir, "-c", "core.fsync=none", "fast-import", "--quiet", "--force")
	cmd.Stdin = strings.NewReader(stream.String())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	c.git("push", "-q", "origin", "main")
	lookNow(h)
	writes := 0
	for ; h.Stats().Documents < int64(docs)+1; pause(t.Context(), time.Millisecond, nil) {
		put(t, h, doc("own", fmt.Sprint("write ", writes)))
		wantText(t, h, "own", fmt.Sprint("write ", writes))
		writes++
	}
	taken(t, h)
	await(t, h, "every store has it", inStep)
	for _, i := range []int{0, docs / 2, docs - 1} {
		wantText(t, h, fmt.Sprint("n", i), fmt.Sprint("text of n", i))
	}
	wantText(t, h, "own", fmt.Sprint("write ", writes-1))
	if n := h.Stats().Documents; n != int64(docs)+1 {
		t.Errorf("%d documents", n)
	}
	if told := toldAbout(h, "conflict", Info); len(told) > 0 {
		t.Errorf("told: %q", told)
	}
	if names := gitOutput(t, dir, "ls-tree", "-r", "--name-only", "main"); strings.Count(names, "/content.txt") != docs+1 {
		t.Errorf("git holds %d documents", strings.Count(names, "/content.txt"))
	}
}

// TestWritesWaitForSomebodyElsesPush: while many pushed documents were on their
// way to the service, each write took its whole budget and was then acknowledged
// as local.
func TestWritesWaitForSomebodyElsesPush(t *testing.T) {
	t.Parallel()
	h := start(t, setup(t.TempDir()))
	awaitState(t, h, StatePrimary)
	if ack := put(t, h, doc("a", "one")); ack.Durability != PrimaryAndLocal {
		t.Fatalf("%+v", ack)
	}
	h.pushedTo.Store(h.govcMark.now() + pushWaits + 100)
	if ack := put(t, h, doc("a", "two")); ack.Durability != Local {
		t.Errorf("behind a large push: %+v", ack)
	}
	wantText(t, h, "a", "two")
	h.pushedTo.Store(h.govcMark.now() + pushWaits)
	if ack := put(t, h, doc("a", "three")); ack.Durability != PrimaryAndLocal {
		t.Errorf("behind a small one: %+v", ack)
	}
}
