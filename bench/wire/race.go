package main

import (
	"context"
	"math"
	"slices"
	"time"
)

// figure is what was measured of one thing.
type figure struct {
	Median float64 `json:"median"`
	P99    float64 `json:"p99,omitempty"` // of times: the 99th percentile; of rates: none
	Count  int     `json:"count"`         // samples; 0 means that it was not measured
}

// once is a figure of a single measurement.
func once(v float64) figure { return figure{Median: v, Count: 1} }

// rate makes of the time of n documents, in microseconds, how many are done in a
// second.
func (f figure) rate(n int) figure {
	if f.Median == 0 {
		return figure{}
	}
	return figure{Median: float64(n) * 1e6 / f.Median, Count: f.Count}
}

// racer is one of several that are measured in turn. Its loop ends after count
// samples or when its own time is over; one sample is always taken.
type racer struct {
	count int
	time  time.Duration
	// do does it once and returns how long the part took that counts.
	do func(i int) (time.Duration, error)

	times []time.Duration
	spent time.Duration
}

// turns is how often the racers change: often enough that all see the same
// machine.
const turns = 20

// race measures all racers in turn and returns their figures, in microseconds.
// With samples each takes no more of them.
func race(ctx context.Context, samples int, racers ...*racer) ([]figure, error) {
	for turn := range turns {
		for _, r := range racers {
			if samples > 0 {
				r.count = min(r.count, samples)
			}
			until := max(r.count*(turn+1)/turns, 1)
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
		}
	}
	figures := make([]figure, len(racers))
	for i, r := range racers {
		figures[i] = summarize(r.times)
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
		return float64(times[i].Nanoseconds()) / 1000
	}
	return figure{Median: at(0.5), P99: at(0.99), Count: len(times)}
}

// clock times one call.
func clock(do func() error) (time.Duration, error) {
	begun := time.Now()
	err := do()
	return time.Since(begun), err
}
