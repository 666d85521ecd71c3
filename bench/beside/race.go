package beside

import (
	"context"
	"math"
	"slices"
	"syscall"
	"time"
)

// Figure is what was measured of one thing.
type Figure struct {
	Median float64 `json:"median"`
	P99    float64 `json:"p99,omitempty"` // of times: the 99th percentile; of rates: none
	Count  int     `json:"count"`         // samples; 0 means that it was not measured
	// Quick is what only one in twenty was quicker than: what it costs while
	// nothing else wants the processors.
	Quick float64 `json:"quick,omitempty"`
	// Processor is the mean time of the processors for one, all of this process
	// included, in microseconds: what else runs on the machine changes it less
	// than the time on the clock. 0 where it was not asked for.
	Processor float64 `json:"processor_us,omitempty"`
}

// Once is a figure of a single measurement.
func Once(v float64) Figure { return Figure{Median: v, Count: 1} }

// Rate makes of the time of n documents, in microseconds, how many are done in a
// second.
func (f Figure) Rate(n int) Figure {
	if f.Median == 0 {
		return Figure{}
	}
	per := func(micros float64) float64 { return float64(n) * 1e6 / micros }
	return Figure{Median: per(f.Median), Quick: per(f.Quick), Count: f.Count, Processor: f.Processor / float64(n)}
}

// Racer is one of several that are measured in turn. Its loop ends after Count
// samples or when its own Time is over; one sample is always taken.
type Racer struct {
	Count int
	Time  time.Duration
	// Do does it once and returns how long the part took that counts.
	Do func(i int) (time.Duration, error)

	times     []time.Duration
	spent     time.Duration
	processor time.Duration
}

// Taken is how many samples were taken.
func (r *Racer) Taken() int { return len(r.times) }

// turns is how often the racers change: often enough that all see the same
// machine.
const turns = 20

// Rules are how a race is run.
type Rules struct {
	Samples   int  // of each racer at most, 0 for as many as it likes
	Processor bool // all of the work is done by this process: count its time, too
}

// Race measures all racers in turn and returns their figures, in microseconds.
func (u Rules) Race(ctx context.Context, racers ...*Racer) ([]Figure, error) {
	for turn := range turns {
		for _, r := range racers {
			before := ProcessorTime()
			if u.Samples > 0 {
				r.Count = min(r.Count, u.Samples)
			}
			until := max(r.Count*(turn+1)/turns, 1)
			for len(r.times) < until && (r.spent < r.Time*time.Duration(turn+1)/turns || len(r.times) == 0) {
				if err := ctx.Err(); err != nil {
					return nil, err
				}
				begun := time.Now()
				took, err := r.Do(len(r.times))
				if err != nil {
					return nil, err
				}
				r.times = append(r.times, took)
				r.spent += time.Since(begun)
			}
			r.processor += ProcessorTime() - before
		}
	}
	figures := make([]Figure, len(racers))
	for i, r := range racers {
		figures[i] = Summarize(r.times)
		if u.Processor {
			figures[i].Processor = Micros(r.processor) / float64(len(r.times))
		}
	}
	return figures, nil
}

// Summarize makes a figure of times, in microseconds.
func Summarize(times []time.Duration) Figure {
	if len(times) == 0 {
		return Figure{}
	}
	times = slices.Clone(times)
	slices.Sort(times)
	at := func(q float64) float64 {
		return Micros(times[min(len(times)-1, max(int(math.Ceil(q*float64(len(times))))-1, 0))])
	}
	return Figure{Median: at(0.5), P99: at(0.99), Quick: at(0.05), Count: len(times)}
}

// Micros is a duration in microseconds.
func Micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

// Clock times one call.
func Clock(do func() error) (time.Duration, error) {
	begun := time.Now()
	err := do()
	return time.Since(begun), err
}

// ProcessorTime is what this process has used of all cores so far.
func ProcessorTime() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
