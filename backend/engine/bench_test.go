package engine

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// BenchmarkOverwrite compares a write that names its base with one that does
// not, in one run on one engine.
func BenchmarkOverwrite(b *testing.B) {
	h, err := Start(b.Context(), detached(b.TempDir()))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := h.Close(ctx); err != nil {
			b.Error(err)
		}
	})
	ids := [2]string{"put", "replaced"}
	for _, id := range ids {
		if _, err := h.Put(b.Context(), doc(id, "")); err != nil {
			b.Fatal(err)
		}
	}
	var took [2]time.Duration
	for i := 0; b.Loop(); i++ {
		at := i % 2 // one after the other, so that both meet the same disk
		found, err := h.Get(b.Context(), mustID(ids[at]))
		if err != nil {
			b.Fatal(err)
		}
		found.Document.Content.Text = fmt.Sprint(i)
		started := time.Now()
		if at == 0 {
			_, err = h.Put(b.Context(), found.Document)
		} else {
			_, err = h.Replace(b.Context(), found.Document, found.Hash)
		}
		took[at] += time.Since(started)
		if err != nil {
			b.Fatal(err)
		}
	}
	each := float64(b.N) / 2
	b.ReportMetric(float64(took[0].Microseconds())/each, "µs/put")
	b.ReportMetric(float64(took[1].Microseconds())/each, "µs/replace")
}
