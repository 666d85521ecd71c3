package govcd

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/audit"
)

// durableClients is how many clients the published figure is for.
const durableClients = 32

// BenchmarkDurable makes b.N commits of one document each over HTTP, by many
// clients beside each other; each waits for its answer, which comes after the
// sync. The floor is one program that appends as many bytes to a file and syncs
// it, over and over, on the same disk.
func BenchmarkDurable(b *testing.B) {
	b.Run("floor", func(b *testing.B) {
		_, content := benchDocument(1)
		f, err := os.Create(filepath.Join(b.TempDir(), "floor"))
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if _, err := f.WriteString(content); err != nil {
				b.Fatal(err)
			}
			if err := f.Sync(); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "syncs/s")
		if err := f.Close(); err != nil {
			b.Fatal(err)
		}
	})
	for _, mode := range []string{"memory", "disk", "disk+audit"} {
		for _, clients := range []int{1, durableClients} {
			b.Run(fmt.Sprintf("%s/clients=%d", mode, clients), func(b *testing.B) { benchDurable(b, mode, clients) })
		}
	}
}

func benchDurable(b *testing.B, mode string, clients int) {
	o := Options{}
	if mode != "memory" {
		o.Data = b.TempDir()
	}
	if mode == "disk+audit" {
		log, err := audit.Open(filepath.Join(o.Data, "audit"), audit.Options{})
		if err != nil {
			b.Fatal(err)
		}
		o.Audit = log
		b.Cleanup(func() {
			if err := log.Close(); err != nil {
				b.Error(err)
			}
		})
	}
	s := newService(b, o)
	url, err := s.Start("127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	h := s.Handler()
	want(b, ask(b, h, "POST", "/api/v2/repos", `{"id":"docs"}`), 201, "docs")
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}}
	defer client.CloseIdleConnections()
	var next atomic.Int64
	var group sync.WaitGroup
	var slowest atomic.Int64
	before := cpuTime(b)
	b.ResetTimer()
	for range clients {
		group.Go(func() {
			for i := int(next.Add(1)); i <= b.N; i = int(next.Add(1)) {
				metadata, content := benchDocument(i)
				start := time.Now()
				answer, err := client.Post(url+docs+"/batch", "application/json", strings.NewReader(batchOf(metadata, content)))
				if err != nil {
					b.Error(err)
					return
				}
				_, err = io.Copy(io.Discard, answer.Body)
				if err = errors.Join(err, answer.Body.Close()); err != nil || answer.StatusCode != 201 {
					b.Error(answer.Status, err)
					return
				}
				for took := int64(time.Since(start)); took > slowest.Load(); {
					slowest.Store(took)
				}
			}
		})
	}
	group.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
	b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/float64(b.N), "cpu-us/commit")
	b.ReportMetric(float64(slowest.Load())/float64(time.Millisecond), "slowest-ms")
}

// cpuTime is what this process took of the processors: clients, service and the
// maintenance of git. On a machine that does other things it tells more than
// the time that went by.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
