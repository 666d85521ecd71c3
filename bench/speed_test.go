package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/backend/store"
)

// The benchmarks of this file run the engine as the product runs it. They
// report ratios to a floor that is measured in the same run, in turn with what
// is compared; nothing here asserts a time.

func setup(dir string, detached bool) engine.Setup {
	return engine.Setup{
		Dir: dir, Repository: "caia-documents", Phase: engine.PhaseDual, Detached: detached,
		Author: store.Author{Name: "bench", Email: "bench@caiatop.invalid"},
	}
}

func startEngine(b *testing.B, detached bool) *engine.Host {
	b.Helper()
	h, err := engine.Start(b.Context(), setup(b.TempDir(), detached))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := h.Close(ctx); err != nil {
			b.Error(err)
		}
	})
	return h
}

func awaitState(b *testing.B, h *engine.Host, want engine.State) {
	b.Helper()
	feed := h.Subscribe()
	defer feed.Close()
	timeout := time.NewTimer(time.Minute)
	defer timeout.Stop()
	for h.Stats().State != want {
		select {
		case <-feed.C:
		case <-timeout.C:
			b.Fatalf("state %s, want %s", h.Stats().State, want)
		}
	}
}

func sampleDocs(b *testing.B, from, n int) []document.Document {
	b.Helper()
	random := rand.New(rand.NewPCG(uint64(from), 7))
	docs := make([]document.Document, 0, n)
	for i := range n {
		d, err := sample(from+i, Options{DocBytes: DefaultDocBytes}, random)
		if err != nil {
			b.Fatal(err)
		}
		docs = append(docs, d)
	}
	return docs
}

func median(times []time.Duration) time.Duration {
	slices.Sort(times)
	return times[len(times)/2]
}

// BenchmarkAckLocal compares one acknowledged write while the service is down
// with a raw append and fsync of the same bytes. Target: a ratio of 2.
func BenchmarkAckLocal(b *testing.B) {
	h := startEngine(b, false)
	awaitState(b, h, engine.StatePrimary)
	if _, err := h.StartDrill(b.Context(), engine.Drill{Kind: engine.DrillDown, For: engine.MaxDrill}); err != nil {
		b.Fatal(err)
	}
	awaitState(b, h, engine.StateFallback)
	raw, err := os.OpenFile(filepath.Join(b.TempDir(), "raw"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := raw.Close(); err != nil {
			b.Error(err)
		}
	})
	payload := make([]byte, 1340)
	var floor, ack []time.Duration
	written := 0
	for b.Loop() {
		// A hundred of each in turn, so that both see the same disk.
		docs := sampleDocs(b, written, 100)
		written += len(docs)
		for _, d := range docs {
			started := time.Now()
			if _, err := h.Put(b.Context(), d); err != nil {
				b.Fatal(err)
			}
			ack = append(ack, time.Since(started))
		}
		for range docs {
			started := time.Now()
			if _, err := raw.Write(payload); err != nil {
				b.Fatal(err)
			}
			if err := raw.Sync(); err != nil {
				b.Fatal(err)
			}
			floor = append(floor, time.Since(started))
		}
	}
	b.ReportMetric(float64(median(ack).Microseconds()), "us/ack")
	b.ReportMetric(float64(median(floor).Microseconds()), "us/append+fsync")
	b.ReportMetric(float64(median(ack))/float64(median(floor)), "ratio")
}

// BenchmarkImport imports 10,000 documents of 1 KiB in phase dual, beside a
// service that takes them too and without one, and counts until git holds the
// last one. Target: 2,000 documents a second.
func BenchmarkImport(b *testing.B) {
	for _, detached := range []bool{false, true} {
		name := "service"
		if detached {
			name = "one-shot"
		}
		b.Run(name, func(b *testing.B) {
			const n, batch = 10_000, 256
			for b.Loop() {
				b.StopTimer()
				h := startEngine(b, detached)
				if !detached {
					awaitState(b, h, engine.StatePrimary)
				}
				docs := sampleDocs(b, 0, n)
				b.StartTimer()
				started := time.Now()
				for part := range slices.Chunk(docs, batch) {
					if _, err := h.Put(b.Context(), part...); err != nil {
						b.Fatal(err)
					}
				}
				acked := time.Since(started)
				if err := h.Sync(b.Context()); err != nil {
					b.Fatal(err)
				}
				all := time.Since(started)
				b.ReportMetric(n/acked.Seconds(), "acked/s")
				b.ReportMetric(n/all.Seconds(), "docs/s")
			}
		})
	}
}

// BenchmarkRefill starts on 10,000 documents of 1 KiB, all of which the embedded
// service has to be given before it serves.
func BenchmarkRefill(b *testing.B) {
	const n, batch = 10_000, 256
	dir := b.TempDir()
	filler, err := engine.Start(b.Context(), setup(dir, true))
	if err != nil {
		b.Fatal(err)
	}
	for part := range slices.Chunk(sampleDocs(b, 0, n), batch) {
		if _, err := filler.Put(b.Context(), part...); err != nil {
			b.Fatal(err)
		}
	}
	if err := filler.Close(b.Context()); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		started := time.Now()
		h, err := engine.Start(b.Context(), setup(dir, false))
		if err != nil {
			b.Fatal(err)
		}
		awaitState(b, h, engine.StatePrimary)
		b.ReportMetric(n/time.Since(started).Seconds(), "docs/s")
		b.StopTimer()
		if err := h.Close(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// BenchmarkStores prints what key b measures.
func BenchmarkStores(b *testing.B) {
	for b.Loop() {
		report, err := Run(b.Context(), Options{}, nil)
		if err != nil {
			b.Fatal(err)
		}
		for _, r := range report.Rows {
			if r.Count > 0 {
				b.ReportMetric(float64(r.P50.Nanoseconds())/1000, fmt.Sprintf("us/%s-%s", r.Op, r.Store))
			}
		}
	}
}
