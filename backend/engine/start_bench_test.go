package engine

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/document"
)

// BenchmarkStart measures how long a start takes until the embedded service
// serves, with a folder and without one, over as many documents of 1 KiB as
// CAIATOP_BENCH_DOCS says (2,000).
func BenchmarkStart(b *testing.B) {
	docs := 2_000
	if n, err := strconv.Atoi(os.Getenv("CAIATOP_BENCH_DOCS")); err == nil {
		docs = n
	}
	dir := b.TempDir()
	pushed(b, dir, docs)
	serves(b, setup(dir)) // fills the folder
	for _, memory := range []bool{false, true} {
		b.Run(map[bool]string{false: "folder", true: "memory"}[memory], func(b *testing.B) {
			s := setup(dir)
			s.Memory = memory
			var took time.Duration
			copied := ""
			for b.Loop() {
				t, c := serves(b, s)
				took, copied = took+t, c
			}
			b.ReportMetric(took.Seconds()/float64(b.N), "s/start")
			n, err := strconv.ParseFloat(copied, 64)
			if err != nil {
				b.Fatalf("it copied %q", copied)
			}
			b.ReportMetric(n, "copied")
		})
	}
}

// pushed makes a state folder with documents that somebody pushed.
func pushed(b *testing.B, dir string, docs int) {
	b.Helper()
	h, err := Start(b.Context(), detached(dir))
	if err != nil {
		b.Fatal(err)
	}
	var stream strings.Builder
	stream.WriteString("commit refs/heads/main\ncommitter T <t@example.org> 1790000000 +0000\ndata 1\nx\n")
	for i := range docs {
		id := fmt.Sprintf("n-%06d", i)
		folder := document.LayoutFanOut.Folder(mustType("text"), theirTime, mustID(id))
		for name, data := range map[string]string{
			"metadata.json": fmt.Sprintf(`{"id":%q,"source":{"type":"text"},"created_at":"2026-11-20T08:00:00Z"}`, id),
			"content.txt":   strings.Repeat(fmt.Sprintf("word %06d ", i), 86)[:1024],
		} {
			fmt.Fprintf(&stream, "M 100644 inline %s/%s\ndata %d\n%s\n", folder, name, len(data), data)
		}
	}
	cmd := exec.Command("git", "-C", filepath.Join(dir, GitDir), "fast-import", "--quiet")
	cmd.Stdin = strings.NewReader(stream.String())
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	if err := h.Sync(b.Context()); err != nil {
		b.Fatal(err)
	}
	if n := h.Stats().Documents; n != int64(docs) {
		b.Fatalf("%d documents", n)
	}
	if err := h.Close(b.Context()); err != nil {
		b.Fatal(err)
	}
}

// serves starts an engine and ends it once the service has everything. It
// returns how long the start took, and how many documents it says it copied.
func serves(b *testing.B, s Setup) (took time.Duration, copied string) {
	b.Helper()
	began := time.Now()
	h, err := Start(b.Context(), s)
	if err != nil {
		b.Fatal(err)
	}
	for h.Stats().State != StatePrimary {
		feed := h.Subscribe()
		select {
		case <-feed.C:
		case <-b.Context().Done():
			b.Fatal(b.Context().Err())
		}
		feed.Close()
	}
	took, copied = time.Since(began), "0"
	for _, ev := range newEvents(h, began) {
		if ev.Kind == "reseed" {
			copied = strings.Fields(ev.Text)[1]
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := h.Close(ctx); err != nil {
		b.Fatal(err)
	}
	return took, copied
}
