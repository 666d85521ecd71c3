package main

import (
	"context"
	"math"
	"slices"
	"syscall"
	"time"
)

// figure is what was measured of one thing.
type figure struct {
	Median float64 `json:"median"`
	P99    float64 `json:"p99,omitempty"` // of times: the 99th percentile; of rates: none
	Count  int     `json:"count"`         // samples; 0 means that it was not measured
	// Quick is what only one in twenty was quicker than: what it costs while
	// nothing else wants the processors.
	Quick float64 `json:"quick,omitempty"`
	// Processor is the mean time of the processors for one, both sides and the
	// collector included, in microseconds: what else runs on the machine changes
	// it less than the time on the clock.
	Processor float64 `json:"processor_us,omitempty"`
}

// once is a figure of a single measurement.
func once(v float64) figure { return figure{Median: v, Count: 1} }

// rate makes of the time of n documents, in microseconds, how many are done in a
// second.
func (f figure) rate(n int) figure {
	if f.Median == 0 {
		return figure{}
	}
	per := func(micros float64) float64 { return float64(n) * 1e6 / micros }
	return figure{Median: per(f.Median), Quick: per(f.Quick), Count: f.Count, Processor: f.Processor / float64(n)}
}

// racer is one of several that are measured in turn. Its loop ends after count
// samples or when its own time is over; one sample is always taken.
type racer struct {
	count int
	time  time.Duration
	// do does it once and returns how long the part took that counts.
	do func(i int) (time.Duration, error)

	times     []time.Duration
	spent     time.Duration
	processor time.Duration
}

// turns is how often the racers change: often enough that all see the same
// machine.
const turns = 20

// race measures all racers in turn and returns their figures, in microseconds.
// With samples each takes no more of them.
func race(ctx context.Context, samples int, racers ...*racer) ([]figure, error) {
	for turn := range turns {
		for _, r := range racers {
			before := processorTime()
			if samples > 0 {
				r.count = min(r.count, samples)
			}
			until := min(max(r.count*(turn+1)/turns, 1), r.count)
			for len(r.times) < until && (r.spent < r.time*time.Duration(turn+1)/turns || len(r.times) == 0) {
				if err := ctx.Err(); err != nil {
					return nil, err
				}
				begun := time.Now()
				took, err := r.do(len(r.times))
				if err != nil {
					return nil, err
				}
				r.times = append(r.times, took)
				r.spent += time.Since(begun)
			}
			r.processor += processorTime() - before
		}
	}
	figures := make([]figure, len(racers))
	for i, r := range racers {
		figures[i] = summarize(r.times)
		figures[i].Processor = micros(r.processor) / float64(len(r.times))
	}
	return figures, nil
}

func summarize(times []time.Duration) figure {
	if len(times) == 0 {
		return figure{}
	}
	times = slices.Clone(times)
	slices.Sort(times)
	at := func(q float64) float64 {
		i := min(len(times)-1, max(int(math.Ceil(q*float64(len(times))))-1, 0))
		return micros(times[i])
	}
	return figure{Median: at(0.5), P99: at(0.99), Quick: at(0.05), Count: len(times)}
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

// processorTime is what this process has used of all cores so far.
func processorTime() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// clock times one call.
func clock(do func() error) (time.Duration, error) {
	begun := time.Now()
	err := do()
	return time.Since(begun), err
}
