package probe

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

const (
	// SlotDuration is the length of one slot; SparkPoints of them are the window.
	SlotDuration = 5 * time.Second
	// MaxSeries bounds the pairs of operation and store that are measured.
	// Observations of further pairs are counted as dropped.
	MaxSeries = 64
)

// Recorder measures operations by kind and store within a rolling window of five
// minutes. Latencies are kept in microseconds, from 1 us to 60 s, with two
// significant digits: a percentile is at most 0.8 % and 1 us above the exact
// one. Longer ones count as 60 s, but for the maximum, which is exact.
//
// A series takes at most 340 kB, and about 100 kB in practice. All methods are
// safe for concurrent use. Each pair has a lock of its own; Observe takes no
// other and allocates nothing once its pair is known.
type Recorder struct {
	now     func() time.Time
	start   time.Time
	reset   atomic.Int64 // nanoseconds after start of the last Reset
	dropped atomic.Uint64

	// series is replaced, never changed, so that Observe reads it without a
	// lock. grow serialises the replacing.
	series atomic.Pointer[map[seriesKey]*series]
	grow   sync.Mutex

	// scratch computes the percentiles of one series after the other.
	snapshot sync.Mutex
	scratch  *hdrhistogram.Histogram
}

type seriesKey struct {
	op    Op
	store Store
}

// New returns a Recorder that reads the time from now. A clock that jumps
// backwards loses nothing that was measured: the window goes on from where it was.
func New(now func() time.Time) *Recorder {
	r := &Recorder{now: now, start: now(), scratch: hdrhistogram.New(1, maxMicros, digits)}
	r.series.Store(&map[seriesKey]*series{})
	return r
}

// Observe counts one operation that took d. A failed one (err is not nil)
// counts as an error and leaves latency and rate alone.
func (r *Recorder) Observe(op Op, s Store, d time.Duration, err error) {
	now := r.now()
	of := r.find(seriesKey{op, s}, now)
	if of == nil {
		r.dropped.Add(1)
		return
	}
	of.mu.Lock()
	defer of.mu.Unlock()
	of.advance(now)
	if err != nil {
		of.fail()
		return
	}
	of.add(d)
}

// Dropped returns how many observations were not kept because their pair came
// after MaxSeries others.
func (r *Recorder) Dropped() uint64 { return r.dropped.Load() }

func (r *Recorder) find(key seriesKey, now time.Time) *series {
	if s := (*r.series.Load())[key]; s != nil {
		return s
	}
	r.grow.Lock()
	defer r.grow.Unlock()
	old := *r.series.Load()
	if s := old[key]; s != nil {
		return s
	}
	if len(old) >= MaxSeries {
		return nil
	}
	next := make(map[seriesKey]*series, len(old)+1)
	for k, s := range old {
		next[k] = s
	}
	next[key] = newSeries(now, now.Sub(r.start))
	r.series.Store(&next)
	return next[key]
}

// Reset forgets what is within the window. Pairs stay known, and the totals since
// the start go on: counters that others read never fall.
func (r *Recorder) Reset() {
	now := r.now()
	for _, s := range *r.series.Load() {
		s.mu.Lock()
		s.advance(now)
		s.forget()
		s.mu.Unlock()
	}
	r.reset.Store(int64(max(0, now.Sub(r.start))))
}

// Since returns when the window begins: five minutes ago, or at the start or
// the last Reset where that is younger.
func (r *Recorder) Since() time.Time {
	window := r.now().Add(-SparkPoints * SlotDuration)
	if began := r.start.Add(time.Duration(r.reset.Load())); began.After(window) {
		return began
	}
	return window
}

// Snapshot returns what is within the window now, sorted by operation and
// store. A pair that was once observed stays in it, with zeros if need be.
func (r *Recorder) Snapshot() []OpStats {
	now := r.now()
	r.snapshot.Lock()
	defer r.snapshot.Unlock()
	all := *r.series.Load()
	stats := make([]OpStats, 0, len(all))
	for key, s := range all {
		stats = append(stats, r.describe(key, s, now))
	}
	slices.SortFunc(stats, func(a, b OpStats) int {
		return cmp.Or(cmp.Compare(a.Op, b.Op), cmp.Compare(a.Store, b.Store))
	})
	return stats
}

// describe copies what needs the lock of the series and computes without it.
func (r *Recorder) describe(key seriesKey, s *series, now time.Time) OpStats {
	stats := OpStats{Op: key.op, Store: key.store}
	s.mu.Lock()
	s.advance(now)
	s.fill(&stats)
	window := s.window
	s.mu.Unlock()
	r.scratch.Reset()
	for bucket, n := range window {
		if n == 0 {
			continue
		}
		if err := r.scratch.RecordValues(valueOf(bucket), int64(n)); err != nil {
			// Impossible: the buckets are made from the histogram's range.
			panic(fmt.Sprintf("probe: bucket %d: %v", bucket, err))
		}
	}
	if stats.Count == 0 {
		return stats
	}
	ranks := r.scratch.ValueAtPercentilesSlice([]float64{50, 95, 99})
	stats.P50 = atMost(ranks[0], stats.Max)
	stats.P95 = atMost(ranks[1], stats.Max)
	stats.P99 = atMost(ranks[2], stats.Max)
	return stats
}

// atMost keeps the upper end of a bucket from exceeding the exact maximum.
func atMost(us int64, largest time.Duration) time.Duration {
	return min(time.Duration(us)*time.Microsecond, largest)
}
