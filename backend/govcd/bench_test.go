package govcd

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// benchDocument is what a document of 1 KiB is at the wire: two files of one
// folder, spread as the layout of documents does.
func benchDocument(i int) (metadata, content string) {
	folder := fmt.Sprintf("documents/article/2030-01/%x/%x/%x/%08x", i%16, i/16%16, i/256%16, i)
	return put(folder+"/metadata.json", fmt.Sprintf(`{"id":"%08x"}`, i)), put(folder+"/content.txt", fmt.Sprint(i, strings.Repeat(" word", 200)))
}

// echo is the floor: a handler that reads the body and answers as much.
var echo = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(w, r.Body)
})

func serve(b *testing.B, h http.Handler, method, target, body string, status int) {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if status != 0 && w.Code != status {
		b.Fatalf("status %d: %.200s", w.Code, w.Body)
	}
}

// BenchmarkBatch makes batches of 1 and of 100 documents at a size of the
// repository, without a network.
func BenchmarkBatch(b *testing.B) {
	for _, size := range []int{1000, 20_000} {
		for _, each := range []int{1, 100} {
			b.Run(fmt.Sprintf("have=%d/documents=%d", size, each), func(b *testing.B) {
				h := withRepo(b, Options{})
				next := 0
				batch := func(n int) string {
					var items []string
					for range n {
						metadata, content := benchDocument(next)
						items = append(items, metadata, content)
						next++
					}
					return batchOf(items...)
				}
				for next < size {
					serve(b, h, "POST", docs+"/batch", batch(1000), 201)
				}
				bodies := make([]string, b.N)
				for i := range bodies {
					bodies[i] = batch(each)
				}
				b.ResetTimer()
				for _, body := range bodies {
					serve(b, h, "POST", docs+"/batch", body, 201)
				}
				b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*each), "us/document")
				b.StopTimer()
			})
		}
	}
	b.Run("floor/documents=100", func(b *testing.B) {
		var items []string
		for i := range 100 {
			metadata, content := benchDocument(i)
			items = append(items, metadata, content)
		}
		body := batchOf(items...)
		b.ResetTimer()
		for range b.N {
			serve(b, echo, "POST", docs+"/batch", body, 0)
		}
		b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*100), "us/document")
	})
}

// BenchmarkWire puts and gets one document over a connection, beside a handler
// that only echoes the same bodies.
func BenchmarkWire(b *testing.B) {
	h := withRepo(b, Options{})
	mux := http.NewServeMux()
	mux.Handle("/api/", h)
	mux.Handle("/echo", echo)
	server := httptest.NewServer(mux)
	b.Cleanup(server.Close)
	client := server.Client()
	call := func(b *testing.B, method, path, body string) {
		r, err := http.NewRequestWithContext(b.Context(), method, server.URL+path, strings.NewReader(body))
		if err != nil {
			b.Fatal(err)
		}
		w, err := client.Do(r)
		if err != nil {
			b.Fatal(err)
		}
		_, err = io.Copy(io.Discard, w.Body)
		if err = errors.Join(err, w.Body.Close()); err != nil || w.StatusCode >= 300 {
			b.Fatal(w.Status, err)
		}
	}
	next := 0
	document := func() string {
		metadata, content := benchDocument(next)
		next++
		return batchOf(metadata, content)
	}
	for range 1000 {
		serve(b, h, "POST", docs+"/batch", document(), 201)
	}
	body := document()
	for name, run := range map[string]func(b *testing.B){
		"echo/put": func(b *testing.B) { call(b, "POST", "/echo", body) },
		"put":      func(b *testing.B) { call(b, "POST", docs+"/batch", document()) },
		"echo/get": func(b *testing.B) { call(b, "GET", "/echo", "") },
		"get": func(b *testing.B) {
			call(b, "GET", docs+"/files?path=documents/article/2030-01/0/0/0/00000000/content.txt", "")
		},
	} {
		b.Run(name, func(b *testing.B) {
			for range b.N {
				run(b)
			}
		})
	}
}
