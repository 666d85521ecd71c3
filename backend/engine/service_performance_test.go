package engine_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/engine"
)

// together is how many callers the concurrent rounds have. All go through one
// engine, which is the one writer that a govc service can take.
const together = 8

// sample is how long each call of one round took, and the whole round.
type sample struct {
	name  string
	calls []time.Duration
	took  time.Duration
}

// measure makes n calls, by that many callers at once.
func measure(t *testing.T, name string, n, callers int, call func(i int) error) sample {
	t.Helper()
	s := sample{name: name, calls: make([]time.Duration, n)}
	var all sync.WaitGroup
	begin := time.Now()
	for c := range callers {
		all.Go(func() {
			for i := c; i < n; i += callers {
				at := time.Now()
				if err := call(i); err != nil {
					t.Errorf("%s %d: %v", name, i, err)
				}
				s.calls[i] = time.Since(at)
			}
		})
	}
	all.Wait()
	s.took = time.Since(begin)
	slices.Sort(s.calls)
	return s
}

// percentile is the nearest rank.
func (s sample) percentile(p int) time.Duration {
	return s.calls[(len(s.calls)*p+99)/100-1]
}

func (s sample) String() string {
	return fmt.Sprintf("%-28s %5d %9.0f %10.3f %10.3f %10.3f", s.name, len(s.calls), float64(len(s.calls))/s.took.Seconds(),
		milliseconds(s.percentile(50)), milliseconds(s.percentile(95)), milliseconds(s.percentile(99)))
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// performance measures n calls of each kind beside floors of the same run. It
// fails on what is wrong, never on what is slow.
func performance(t *testing.T, s target, n int) {
	s.dropAtEnd(t)
	direct := s.client(t)
	h := s.start(t)
	await(t, h, "the service as primary", healthy)

	text := strings.Repeat("a line of a document of two KiB.\n", 62)
	docs := make([]document.Document, 2*n)
	for i := range docs {
		docs[i] = newDoc(t, numbered("measured", i), document.Content{Text: text + fmt.Sprint(i)})
	}
	write := func(i int) error {
		ack, err := h.Put(t.Context(), docs[i])
		if err == nil && ack.Durability != engine.PrimaryAndLocal {
			err = fmt.Errorf("acknowledged %q: %s", ack.Durability, h.Stats().Reason)
		}
		return err
	}
	read := func(i int) error {
		found, err := h.Get(t.Context(), docs[i].ID)
		if err == nil && found.Document.Content.Text != docs[i].Content.Text {
			err = fmt.Errorf("read back %d bytes, wrote %d", len(found.Document.Content.Text), len(docs[i].Content.Text))
		}
		return err
	}
	rounds := []sample{
		floorOfDisk(t, n, text),
		floorOfHTTP(t, s, n),
		measure(t, "write, one after another", n, 1, write),
		measure(t, fmt.Sprintf("write, %d callers", together), n, together, func(i int) error { return write(n + i) }),
		measure(t, "read, one after another", 2*n, 1, read),
		measure(t, fmt.Sprintf("read, %d callers", together), 2*n, together, read),
	}
	var table strings.Builder
	fmt.Fprintf(&table, "%-28s %5s %9s %10s %10s %10s\n", "", "calls", "calls/s", "p50 ms", "p95 ms", "p99 ms")
	for _, r := range rounds {
		fmt.Fprintln(&table, r)
	}
	t.Logf("documents of %d bytes at %s\n%s", len(text), s.url, table.String())

	await(t, h, "every store in step", healthy)
	if got := h.Stats().Documents; got != int64(len(docs)) {
		t.Errorf("%d documents are there, %d were written", got, len(docs))
	}
	for _, d := range docs {
		wantThere(t, h, direct, d, "")
	}
}

// floorOfDisk appends the same bytes to a file and flushes each of them.
func floorOfDisk(t *testing.T, n int, text string) sample {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "floor"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // every write was flushed
	return measure(t, "floor: append and fsync", n, 1, func(int) error {
		if _, err := f.WriteString(text); err != nil {
			return err
		}
		return f.Sync()
	})
}

// floorOfHTTP asks for the service's health over one connection.
func floorOfHTTP(t *testing.T, s target, n int) sample {
	t.Helper()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: servicePatience}
	return measure(t, "floor: GET /health", n, 1, func(int) error {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/health", nil)
		if err != nil {
			return err
		}
		answer, err := client.Do(r)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, answer.Body)
		if closeErr := answer.Body.Close(); err == nil {
			err = closeErr
		}
		return err
	})
}
