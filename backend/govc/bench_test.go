package govc_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/govc"
	"github.com/caiatech/caiatop/backend/govcd"
)

// BenchmarkEcho is the floor: one exchange of 1 KiB over the same loopback.
func BenchmarkEcho(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }))
	defer server.Close()
	body := strings.Repeat("x", 1024)
	for b.Loop() {
		r, err := server.Client().Post(server.URL, "text/plain", strings.NewReader(body))
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			b.Fatal(err)
		}
		if err := r.Body.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGet(b *testing.B) {
	_, url := startService(b, govcd.Options{})
	c := openClient(b, govc.Options{URL: url})
	d := newDoc(b, "one", strings.Repeat("x", 1024))
	if _, err := c.Apply(b.Context(), put(d)); err != nil {
		b.Fatal(err)
	}
	key := keyOf(d)
	for b.Loop() {
		if _, err := c.Get(b.Context(), key); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPut is a whole Apply of one document: look, stage two files,
// commit, read back.
func BenchmarkPut(b *testing.B) {
	_, url := startService(b, govcd.Options{})
	c := openClient(b, govc.Options{URL: url})
	text := strings.Repeat("x", 1024)
	n := 0
	for b.Loop() {
		n++
		if _, err := c.Apply(b.Context(), put(newDoc(b, fmt.Sprintf("doc-%d", n), text))); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkApply256 writes by batches; beside it, by staging file after file.
func BenchmarkApply256(b *testing.B) {
	b.Run("batch", func(b *testing.B) {
		_, url := startService(b, govcd.Options{})
		benchmarkApply(b, url)
	})
	b.Run("staged", func(b *testing.B) {
		benchmarkApply(b, between(b, func(http.ResponseWriter, *http.Request) bool { return false }))
	})
}

func benchmarkApply(b *testing.B, url string) {
	c := openClient(b, govc.Options{URL: url})
	text := strings.Repeat("x", 1024)
	n := 0
	before := cpuTime(b)
	for b.Loop() {
		docs := make([]document.Document, 256)
		for i := range docs {
			n++
			docs[i] = newDoc(b, fmt.Sprintf("doc-%d", n), text)
		}
		if _, err := c.Apply(b.Context(), put(docs...)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "docs/s")
	b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/float64(n), "cpu-us/doc")
}

// cpuTime is what client and service have used together: other than docs/s it
// does not depend on what else the machine does.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
