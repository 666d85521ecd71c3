package probe

import (
	"errors"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"pgregory.net/rapid"
)

// clock is a clock that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func only(t interface{ Fatalf(string, ...any) }, r *Recorder) OpStats {
	all := r.Snapshot()
	if len(all) != 1 {
		t.Fatalf("%d series, want 1", len(all))
	}
	return all[0]
}

var errFailed = errors.New("failed")

// TestBucketsAreThoseOfHDR compares our index with the library's, at the ends
// of every bucket.
func TestBucketsAreThoseOfHDR(t *testing.T) {
	h := hdrhistogram.New(1, maxMicros, digits)
	if n := len(h.Export().Counts); n != buckets {
		t.Fatalf("the library has %d buckets, we have %d", n, buckets)
	}
	last := bucketOf(time.Duration(maxMicros) * time.Microsecond)
	for bucket := 1; bucket <= last; bucket++ {
		for _, us := range []int64{valueOf(bucket), valueOf(bucket+1) - 1} {
			us = min(us, maxMicros)
			if got := bucketOf(time.Duration(us) * time.Microsecond); got != bucket {
				t.Fatalf("bucketOf(%d us) = %d, want %d", us, got, bucket)
			}
			h.Reset()
			if err := h.RecordValue(us); err != nil {
				t.Fatalf("RecordValue(%d): %v", us, err)
			}
			if h.Export().Counts[bucket] != 1 {
				t.Fatalf("the library keeps %d us in another bucket than %d", us, bucket)
			}
		}
	}
}

func TestDurationsOutOfRange(t *testing.T) {
	for _, c := range []struct{ d, p50, max time.Duration }{
		{-time.Second, 0, 0},
		{0, 0, 0},
		{300 * time.Nanosecond, 300 * time.Nanosecond, 300 * time.Nanosecond},
		{time.Microsecond, time.Microsecond, time.Microsecond},
		{60 * time.Second, 60 * time.Second, 60 * time.Second},
		{time.Hour, 60 * time.Second, time.Hour},
		{math.MaxInt64, 60 * time.Second, math.MaxInt64},
	} {
		r := New(newClock().Now)
		r.Observe(Read, Govc, c.d, nil)
		got := only(t, r)
		if tolerance := c.p50 / 100; got.Count != 1 || got.Max != c.max || got.P50 < c.p50-tolerance || got.P50 > c.p50+tolerance {
			t.Errorf("%v: count %d, p50 %v, max %v; want 1, %v, %v", c.d, got.Count, got.P50, got.Max, c.p50, c.max)
		}
	}
}

// exact returns the smallest value that at least q percent do not exceed.
func exact(sorted []time.Duration, q float64) time.Duration {
	rank := int(math.Ceil(float64(len(sorted)) * q / 100))
	return sorted[max(rank, 1)-1]
}

// TestPercentiles compares with a sorted slice, over a window that moves.
func TestPercentiles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := newClock()
		r := New(c.Now)
		type observed struct {
			slot int64
			d    time.Duration
		}
		var all []observed
		var at time.Duration
		for range rapid.IntRange(1, 60).Draw(t, "bursts") {
			for range rapid.IntRange(1, 30).Draw(t, "operations") {
				// Drawn as mantissa and exponent: all magnitudes are as likely.
				d := time.Duration(rapid.IntRange(1, 999).Draw(t, "mantissa")) *
					time.Duration(math.Pow10(rapid.IntRange(3, 7).Draw(t, "exponent")))
				r.Observe(Write, Git, d, nil)
				all = append(all, observed{int64(at / SlotDuration), d})
			}
			step := time.Duration(rapid.Int64Range(0, int64(20*time.Second)).Draw(t, "step"))
			at += step
			c.Advance(step)
		}
		var window []time.Duration
		for _, o := range all {
			if o.slot > int64(at/SlotDuration)-SparkPoints {
				window = append(window, o.d)
			}
		}
		slices.Sort(window)
		got := only(t, r)
		if got.Count != int64(len(window)) {
			t.Fatalf("count %d, want %d", got.Count, len(window))
		}
		if len(window) == 0 {
			if got.P50 != 0 || got.Max != 0 {
				t.Fatalf("an empty window has p50 %v, max %v", got.P50, got.Max)
			}
			return
		}
		if got.Max != window[len(window)-1] {
			t.Fatalf("max %v, want %v", got.Max, window[len(window)-1])
		}
		for q, value := range map[float64]time.Duration{50: got.P50, 95: got.P95, 99: got.P99} {
			want := exact(window, q)
			slack := want/128 + time.Microsecond
			// The library rounds the rank, we take its ceiling: one rank apart is right as well.
			lower := exact(window, q-100/float64(len(window)))
			if value < lower-time.Microsecond || value > want+slack {
				t.Fatalf("p%v = %v, want %v (+%v)", q, value, want, slack)
			}
		}
	})
}

func TestSeriesOfSlots(t *testing.T) {
	c := newClock()
	r := New(c.Now)
	for range 10 {
		r.Observe(Read, Govc, 100*time.Microsecond, nil)
	}
	r.Observe(Read, Govc, time.Second, errFailed)
	c.Advance(SlotDuration)
	for range 20 {
		r.Observe(Read, Govc, 200*time.Microsecond, nil)
	}
	c.Advance(2 * time.Second)
	got := only(t, r)
	const newest = SparkPoints - 1
	if got.LatencySeries[newest-1] != 100*time.Microsecond || got.LatencySeries[newest] != 200*time.Microsecond {
		t.Errorf("the last medians are %v", got.LatencySeries[newest-1:])
	}
	if got.RateSeries[newest-1] != 2 || got.RateSeries[newest] != 10 {
		t.Errorf("the last rates are %v, want 2 and 10", got.RateSeries[newest-1:])
	}
	if got.LatencySeries[0] != 0 || got.RateSeries[newest-2] != 0 {
		t.Error("slots without operations are not 0")
	}
	if got.Count != 30 || got.Errors != 1 || got.Max != 200*time.Microsecond {
		t.Errorf("count %d, errors %d, max %v; want 30, 1, 200us", got.Count, got.Errors, got.Max)
	}
	// A median is computed again when its slot got more.
	for range 50 {
		r.Observe(Read, Govc, 50*time.Microsecond, nil)
	}
	if got := only(t, r); got.LatencySeries[newest] != 50*time.Microsecond {
		t.Errorf("the median of the current slot is %v, want 50us", got.LatencySeries[newest])
	}
}

func TestSlotsExpire(t *testing.T) {
	for name, c := range map[string]struct {
		wait          time.Duration
		count, errors int64
	}{
		"within the window":   {SparkPoints*SlotDuration - 1, 1, 1},
		"just past it":        {SparkPoints * SlotDuration, 0, 0},
		"far past it":         {100 * time.Hour, 0, 0},
		"one slot, one after": {SlotDuration, 1, 1},
	} {
		clock := newClock()
		r := New(clock.Now)
		r.Observe(Write, State, time.Second, nil)
		r.Observe(Write, State, 0, errFailed)
		clock.Advance(c.wait)
		got := only(t, r)
		if got.Count != c.count || got.Errors != c.errors {
			t.Errorf("%s: count %d, errors %d; want %d, %d", name, got.Count, got.Errors, c.count, c.errors)
		}
		if c.count == 0 && (got.P99 != 0 || got.Max != 0 || got.Rate != 0 || got.LatencySeries != [SparkPoints]time.Duration{}) {
			t.Errorf("%s: something is left: %+v", name, got)
		}
		// What expired is used again and counts from zero.
		r.Observe(Write, State, time.Millisecond, nil)
		if got := only(t, r); got.Count != c.count+1 || got.LatencySeries[SparkPoints-1] == 0 {
			t.Errorf("%s: count %d after one more", name, got.Count)
		}
	}
}

func TestRate(t *testing.T) {
	c := newClock()
	r := New(c.Now)
	want := func(when string, rate float64) {
		t.Helper()
		if got := only(t, r).Rate; math.Abs(got-rate) > 1e-9 {
			t.Errorf("%s: rate %v, want %v", when, got, rate)
		}
	}
	for range 20 {
		for range 5 {
			r.Observe(Write, Govc, time.Millisecond, nil)
			r.Observe(Write, Govc, time.Millisecond, errFailed)
			c.Advance(200 * time.Millisecond)
		}
	}
	want("five a second", 5)
	c.Advance(5 * time.Second)
	want("5 s later", 2.5)
	c.Advance(4500 * time.Millisecond)
	want("9.5 s later", 0.25)
	c.Advance(500 * time.Millisecond)
	want("10 s later", 0)
}

func TestClockJumpsBackwards(t *testing.T) {
	c := newClock()
	r := New(c.Now)
	c.Advance(time.Minute)
	r.Observe(Read, Govc, time.Millisecond, nil)
	c.Advance(-24 * time.Hour)
	r.Observe(Read, Govc, time.Millisecond, nil)
	if got := only(t, r); got.Count != 2 || got.Rate != 0.2 {
		t.Errorf("count %d, rate %v; want 2, 0.2", got.Count, got.Rate)
	}
	// The window goes on moving at once, not after a day.
	c.Advance(SparkPoints * SlotDuration)
	if got := only(t, r); got.Count != 0 {
		t.Errorf("count %d, want 0: the window stands still after the jump", got.Count)
	}
	r.Observe(Read, Govc, time.Millisecond, nil)
	if got := only(t, r); got.Count != 1 || got.LatencySeries[SparkPoints-1] != time.Millisecond {
		t.Errorf("count %d, last median %v", got.Count, got.LatencySeries[SparkPoints-1])
	}
}

// TestFirstSeenBeforeStart: a pair that is first seen while the clock is behind
// the recorder's start.
func TestFirstSeenBeforeStart(t *testing.T) {
	c := newClock()
	r := New(c.Now)
	c.Advance(-time.Hour)
	r.Observe(Read, Git, time.Millisecond, nil)
	if got := only(t, r); got.Count != 1 {
		t.Errorf("count %d, want 1", got.Count)
	}
}

// TestCountersWrap: a bucket may be hit more often than its counter can hold.
func TestCountersWrap(t *testing.T) {
	c := newClock()
	r := New(c.Now)
	const fast, slow = 3<<16 + 7, 2 << 16
	for range fast {
		r.Observe(Read, Memory, time.Microsecond, nil)
	}
	for range slow {
		r.Observe(Read, Memory, time.Millisecond, nil)
	}
	got := only(t, r)
	if got.Count != fast+slow || got.P50 != time.Microsecond || got.P95 < 990*time.Microsecond || got.LatencySeries[SparkPoints-1] != time.Microsecond {
		t.Errorf("count %d, p50 %v, p95 %v", got.Count, got.P50, got.P95)
	}
	c.Advance(SparkPoints * SlotDuration)
	r.Observe(Read, Memory, time.Second, nil)
	if got := only(t, r); got.Count != 1 || got.P50 != time.Second {
		t.Errorf("count %d, p50 %v after all else expired; want 1, 1s", got.Count, got.P50)
	}
}

func TestSnapshotIsSorted(t *testing.T) {
	r := New(newClock().Now)
	for _, s := range []Store{State, Govc, Engine} {
		for _, op := range []Op{Write, Delete, Read} {
			r.Observe(op, s, time.Millisecond, nil)
		}
	}
	var got []string
	for _, stats := range r.Snapshot() {
		got = append(got, string(stats.Op)+" "+string(stats.Store))
	}
	want := []string{
		"delete engine", "delete govc", "delete state", "read engine", "read govc", "read state",
		"write engine", "write govc", "write state",
	}
	if !slices.Equal(got, want) {
		t.Errorf("order %q, want %q", got, want)
	}
}

func TestObserveDoesNotAllocate(t *testing.T) {
	c := newClock()
	r := New(c.Now)
	observe := func() {
		for i := range 100 {
			r.Observe(Read, Govc, time.Duration(i*i)*time.Microsecond, nil)
		}
		c.Advance(time.Second)
	}
	for range 2 * SparkPoints * 5 {
		observe()
	}
	if n := testing.AllocsPerRun(1000, observe); n > 0 {
		t.Errorf("a hundred observations allocate %v times, want 0", n)
	}
}

func TestConcurrentUse(t *testing.T) {
	c := newClock()
	r := New(c.Now)
	const workers, each = 8, 500
	var group sync.WaitGroup
	for w := range workers {
		group.Go(func() {
			for i := range each {
				var err error
				if i%10 == 0 {
					err = errFailed
				}
				r.Observe([]Op{Read, Write}[i%2], []Store{Govc, Git}[w%2], time.Duration(i)*time.Microsecond, err)
				if i%50 == 0 {
					r.Snapshot()
					c.Advance(time.Millisecond)
				}
			}
		})
	}
	group.Wait()
	var count, failed int64
	for _, s := range r.Snapshot() {
		count, failed = count+s.Count, failed+s.Errors
	}
	if count != workers*each*9/10 || failed != workers*each/10 {
		t.Errorf("%d operations and %d errors, want %d and %d", count, failed, workers*each*9/10, workers*each/10)
	}
}
