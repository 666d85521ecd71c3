package bench

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	mrand "math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/gitrepo"
	"github.com/caiatech/caiatop/backend/gitstore"
	"github.com/caiatech/caiatop/backend/govc"
	"github.com/caiatech/caiatop/backend/govcd"
	"github.com/caiatech/caiatop/backend/store"
)

// Defaults and bounds of a run.
const (
	DefaultDocuments = 1000 // in each store before the measurement begins
	DefaultDocBytes  = 1024
	MaxDocuments     = 100_000

	writes   = 200
	reads    = 500
	merges   = 20
	fillStep = 250
	// sectionTime bounds one line of the report; what was measured until then
	// is what the line says.
	sectionTime = 2 * time.Second
)

// published holds the figures of the published guide, by operation and store.
// The guide's "in memory" has neither trees nor commits, ours has both.
var published = map[string]map[string]time.Duration{
	"write": {"git": 10 * time.Millisecond, "govc": 20 * time.Millisecond, "memory": 12 * time.Microsecond},
	"read":  {"git": 126 * time.Microsecond, "govc": 10 * time.Millisecond, "memory": 2 * time.Microsecond},
	"merge": {"git": 100 * time.Millisecond, "govc": 30 * time.Millisecond, "memory": 5 * time.Microsecond},
}

// Options say how large a run is. Zero values take the defaults.
type Options struct {
	Documents int
	DocBytes  int
	Seed      uint64
}

// subject is one store under measurement.
type subject struct {
	name  string
	store store.Store
	keys  []store.Key
}

// Run measures write, read and merge, one caller at a time, on a memory
// repository, a git repository in a temporary folder, and a govc service of its
// own on a loopback port. Everything is removed afterwards. An operator's
// documents and service are never touched.
func Run(ctx context.Context, o Options, progress func(Progress)) (report Report, err error) {
	if o.Documents == 0 {
		o.Documents = DefaultDocuments
	}
	if o.DocBytes == 0 {
		o.DocBytes = DefaultDocBytes
	}
	if o.Documents < 1 || o.Documents > MaxDocuments || o.DocBytes < 1 || o.DocBytes > document.MaxContent {
		return Report{}, fmt.Errorf("bench: %d documents of %d bytes: 1 to %d documents of 1 to %d bytes are possible", o.Documents, o.DocBytes, MaxDocuments, document.MaxContent)
	}
	if progress == nil {
		progress = func(Progress) {}
	}
	started := time.Now()
	subjects, release, err := open(ctx)
	defer func() { err = errors.Join(err, release()) }()
	if err != nil {
		return Report{}, err
	}
	random := mrand.New(mrand.NewPCG(o.Seed, 1))
	report = Report{At: started, Documents: o.Documents, DocBytes: o.DocBytes, Machine: machine()}
	sections := []struct {
		op      string
		measure func(context.Context, *subject, Options, *mrand.Rand) ([]time.Duration, error)
	}{{"write", measureWrite}, {"read", measureRead}, {"merge", measureMerge}}
	total, finished := len(subjects)*(len(sections)+1), 0
	for _, s := range subjects {
		progress(Progress{What: "filling " + s.name, Done: finished, Total: total})
		if err := fill(ctx, s, o, random); err != nil {
			return Report{}, fmt.Errorf("bench: fill %s: %w", s.name, err)
		}
		finished++
	}
	for _, section := range sections {
		for _, s := range subjects {
			progress(Progress{What: section.op + " on " + s.name, Done: finished, Total: total})
			times, err := section.measure(ctx, s, o, random)
			if err != nil {
				return Report{}, fmt.Errorf("bench: %s on %s: %w", section.op, s.name, err)
			}
			report.Rows = append(report.Rows, summarize(section.op, s.name, times))
			finished++
		}
	}
	progress(Progress{What: "done", Done: total, Total: total})
	report.Took = time.Since(started)
	return report, nil
}

// open makes the stores. release removes all of them and is never nil.
func open(ctx context.Context) (subjects []*subject, release func() error, err error) {
	var closers []func() error
	release = func() error {
		var all error
		for _, closer := range slices.Backward(closers) {
			all = errors.Join(all, closer())
		}
		return all
	}
	memory := gitrepo.NewMemory(gitrepo.Options{})
	closers = append(closers, memory.Close)

	dir, err := os.MkdirTemp("", "caiatop-bench-")
	if err != nil {
		return nil, release, fmt.Errorf("bench: %w", err)
	}
	closers = append(closers, func() error { return os.RemoveAll(dir) })
	disk, err := gitrepo.OpenDisk(dir, gitrepo.Options{})
	if err != nil {
		return nil, release, fmt.Errorf("bench: %w", err)
	}
	closers = append(closers, disk.Close)

	key := randomHex()
	service := govcd.New(govcd.Options{Key: key})
	url, err := service.Start("127.0.0.1:0")
	if err != nil {
		return nil, release, fmt.Errorf("bench: %w", err)
	}
	closers = append(closers, func() error { return service.Stop(context.WithoutCancel(ctx)) })
	client, err := govc.New(govc.Options{URL: url, Repo: "bench-" + key[:12], APIKey: govc.Secret(key)})
	if err != nil {
		return nil, release, fmt.Errorf("bench: %w", err)
	}
	closers = append(closers, func() error { client.Close(); return nil })
	if _, err := client.Describe(ctx); err != nil {
		return nil, release, fmt.Errorf("bench: %w", err)
	}
	if _, err := client.EnsureRepo(ctx); err != nil {
		return nil, release, fmt.Errorf("bench: %w", err)
	}
	return []*subject{
		{name: "memory", store: gitstore.New(memory)},
		{name: "git", store: gitstore.New(disk)},
		{name: "govc", store: client},
	}, release, nil
}

func randomHex() string {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // it never returns an error, see its documentation
	return hex.EncodeToString(secret)
}

var author = store.Author{Name: "caiatop bench", Email: "bench@caiatop.invalid"}

// sample makes a document of words, so that it compresses like text.
func sample(i int, o Options, random *mrand.Rand) (document.Document, error) {
	id, err := document.ParseID(fmt.Sprintf("bench-%07d", i))
	if err != nil {
		return document.Document{}, err
	}
	kind, err := document.ParseType("text")
	if err != nil {
		return document.Document{}, err
	}
	var text strings.Builder
	for text.Len() < o.DocBytes {
		fmt.Fprintf(&text, "%s ", words[random.IntN(len(words))])
	}
	at := time.Date(2026, 1, 1, 0, 0, i%86400, 0, time.UTC)
	return document.Document{
		ID: id, Source: document.Source{Type: kind}, CreatedAt: at, UpdatedAt: at,
		Content: document.Content{Text: text.String()[:o.DocBytes], Metadata: map[string]any{"n": i}},
	}, nil
}

var words = strings.Fields("ledger archive outbox cursor replica commit branch merge window latency throughput shelf volume index " +
	"catalogue record reader writer service fallback recovery marker lineage epoch snapshot pack object tree blob signature")

func operation(i int, o Options, random *mrand.Rand) (store.Op, error) {
	doc, err := sample(i, o, random)
	return store.Op{Key: store.NewKey(document.LayoutFanOut, doc), Doc: &doc}, err
}

func fill(ctx context.Context, s *subject, o Options, random *mrand.Rand) error {
	for i := 0; i < o.Documents; i += fillStep {
		batch := store.Batch{Author: author, At: time.Now().UTC()}
		for n := i; n < min(i+fillStep, o.Documents); n++ {
			op, err := operation(n, o, random)
			if err != nil {
				return err
			}
			batch.Ops = append(batch.Ops, op)
			s.keys = append(s.keys, op.Key)
		}
		if _, err := s.store.Apply(ctx, batch); err != nil {
			return err
		}
	}
	return nil
}

// timed runs do up to n times, within sectionTime, and returns how long each
// took.
func timed(ctx context.Context, n int, do func(i int) error) ([]time.Duration, error) {
	times := make([]time.Duration, 0, n)
	until := time.Now().Add(sectionTime)
	for i := range n {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		started := time.Now()
		if err := do(i); err != nil {
			return nil, err
		}
		times = append(times, time.Since(started))
		if time.Now().After(until) {
			break
		}
	}
	return times, nil
}

func measureWrite(ctx context.Context, s *subject, o Options, random *mrand.Rand) ([]time.Duration, error) {
	ops := make([]store.Op, writes)
	for i := range ops {
		var err error
		if ops[i], err = operation(o.Documents+i, o, random); err != nil {
			return nil, err
		}
	}
	return timed(ctx, writes, func(i int) error {
		_, err := s.store.Apply(ctx, store.Batch{Ops: ops[i : i+1], Author: author, At: time.Now().UTC()})
		return err
	})
}

func measureRead(ctx context.Context, s *subject, _ Options, random *mrand.Rand) ([]time.Duration, error) {
	return timed(ctx, reads, func(int) error {
		_, err := s.store.Get(ctx, s.keys[random.IntN(len(s.keys))])
		return err
	})
}

// measureMerge merges a branch and main that changed one document each, where
// the store has branches. Only the merge is timed.
func measureMerge(ctx context.Context, s *subject, o Options, random *mrand.Rand) ([]time.Duration, error) {
	merger, ok := s.store.(store.Merger)
	if !ok {
		return nil, nil
	}
	var times []time.Duration
	for i := range merges {
		name := fmt.Sprintf("bench-%d", i)
		branch, err := merger.Branch(ctx, name)
		if err != nil {
			return nil, err
		}
		for side, target := range []store.Store{branch, merger} {
			op, err := operation(o.Documents+writes+2*i+side, o, random)
			if err != nil {
				return nil, err
			}
			if _, err := target.Apply(ctx, store.Batch{Ops: []store.Op{op}, Author: author, At: time.Now().UTC()}); err != nil {
				return nil, err
			}
		}
		one, err := timed(ctx, 1, func(int) error {
			_, err := merger.Merge(ctx, name, author, time.Now().UTC())
			return err
		})
		if err != nil {
			return nil, err
		}
		times = append(times, one...)
	}
	return times, nil
}

func summarize(op, name string, times []time.Duration) Row {
	row := Row{Op: op, Store: name, Published: published[op][name], Count: len(times)}
	if len(times) == 0 {
		return row
	}
	slices.Sort(times)
	at := func(q float64) time.Duration {
		return times[min(len(times)-1, int(math.Ceil(q*float64(len(times))))-1)]
	}
	row.P50, row.P95, row.P99, row.Max = at(0.50), at(0.95), at(0.99), times[len(times)-1]
	var sum time.Duration
	for _, t := range times {
		sum += t
	}
	if sum > 0 {
		row.Rate = float64(len(times)) / sum.Seconds()
	}
	return row
}

func machine() string {
	return fmt.Sprintf("%s/%s, %d cores, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version())
}
