package e2e

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/backend/store"
)

// BenchmarkFirstFrame measures from exec to the first frame with the panes of
// the Overview, on a state of 10,000 documents, in turn with `git --version`,
// which is what starting any process costs here. Target: 150 ms.
func BenchmarkFirstFrame(b *testing.B) {
	const n, batch = 10_000, 500
	binary, err := program()
	if err != nil {
		b.Fatal(err)
	}
	home := b.TempDir()
	fillState(b, filepath.Join(home, "state", "embedded", "caia-documents"), n, batch)
	var frame, floor []time.Duration
	for b.Loop() {
		frame = append(frame, firstFrame(b, binary, home))
		started := time.Now()
		if err := exec.Command("git", "--version").Run(); err != nil {
			b.Fatal(err)
		}
		floor = append(floor, time.Since(started))
	}
	slices.Sort(frame)
	slices.Sort(floor)
	b.ReportMetric(float64(frame[len(frame)/2].Milliseconds()), "ms/first-frame")
	b.ReportMetric(float64(floor[len(floor)/2].Microseconds())/1000, "ms/process-start")
}

func fillState(b *testing.B, dir string, n, batch int) {
	b.Helper()
	h, err := engine.Start(b.Context(), engine.Setup{
		Dir: dir, Repository: "caia-documents", Phase: engine.PhaseDual, Detached: true,
		Author: store.Author{Name: "bench", Email: "bench@caiatop.invalid"},
	})
	if err != nil {
		b.Fatal(err)
	}
	for i := 0; i < n; i += batch {
		docs := make([]document.Document, 0, batch)
		for k := i; k < i+batch; k++ {
			id, err := document.ParseID(fmt.Sprintf("doc-%06d", k))
			if err != nil {
				b.Fatal(err)
			}
			kind, err := document.ParseType("text")
			if err != nil {
				b.Fatal(err)
			}
			docs = append(docs, document.Document{ID: id, Source: document.Source{Type: kind}, Content: document.Content{Text: fmt.Sprintf("text %d", k)}})
		}
		if _, err := h.Put(b.Context(), docs...); err != nil {
			b.Fatal(err)
		}
	}
	if err := h.Close(b.Context()); err != nil {
		b.Fatal(err)
	}
}

// firstFrame starts the console on a terminal that never answers a query.
func firstFrame(b *testing.B, binary, home string) time.Duration {
	b.Helper()
	started := time.Now()
	s := openSilent(b, binary, home)
	s.until(b, "Latency")
	took := time.Since(started)
	if _, err := s.master.WriteString("q"); err != nil {
		b.Fatal(err)
	}
	s.end(b)
	return took
}
