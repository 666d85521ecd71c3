package engine

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caiatech/caiatop/backend/document"
)

// BenchmarkPush measures how long documents that somebody pushed take until the
// index holds them, beside what git needs to write the same documents.
func BenchmarkPush(b *testing.B) {
	const docs = 10_000
	var stream strings.Builder
	stream.WriteString("commit refs/heads/main\ncommitter T <t@example.org> 1790000000 +0000\ndata 1\nx\n")
	for i := range docs {
		id := fmt.Sprint("n", i)
		folder := document.LayoutFanOut.Folder(mustType("text"), theirTime, mustID(id))
		for name, data := range map[string]string{
			"metadata.json": fmt.Sprintf(`{"id":%q,"source":{"type":"text"},"created_at":"2026-11-20T08:00:00Z"}`, id),
			"content.txt":   strings.Repeat(fmt.Sprint("word", i, " "), 100),
		} {
			fmt.Fprintf(&stream, "M 100644 inline %s/%s\ndata %d\n%s\n", folder, name, len(data), data)
		}
	}
	for b.Loop() {
		b.StopTimer()
		dir := b.TempDir()
		h, err := Start(b.Context(), detached(dir))
		if err != nil {
			b.Fatal(err)
		}
		before := h.o.Now()
		cmd := exec.Command("git", "-C", filepath.Join(dir, GitDir), "fast-import", "--quiet")
		cmd.Stdin = strings.NewReader(stream.String())
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("%v\n%s", err, out)
		}
		floor := h.o.Now().Sub(before)
		b.StartTimer()
		started := h.o.Now()
		if err := h.Sync(b.Context()); err != nil {
			b.Fatal(err)
		}
		took := h.o.Now().Sub(started)
		if n := h.Stats().Documents; n != docs {
			b.Fatalf("%d documents", n)
		}
		b.StopTimer()
		b.ReportMetric(docs/took.Seconds(), "docs/s")
		b.ReportMetric(took.Seconds()/floor.Seconds(), "x-fast-import")
		if err := h.Close(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
