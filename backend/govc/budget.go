package govc

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// RetryOptions bound the retries of reads and additions. The zero value is the
// default.
type RetryOptions struct {
	Max       int                                        // retries of one call; 0 is 2, negative is none
	Ratio     float64                                    // retries earned by each call; 0 is 0.2
	PerSecond float64                                    // retries earned by each second; 0 is 10
	Base, Cap time.Duration                              // of the wait, doubled each time, full jitter; 0 is 50 ms and 1 s
	Sleep     func(context.Context, time.Duration) error // nil sleeps
}

// burst bounds what the budget can save up.
const burst = 100

// budget is a token bucket that all calls of a client share, so that a service
// in trouble is not buried under retries.
type budget struct {
	ratio, perSecond float64
	now              func() time.Time

	mu     sync.Mutex
	tokens float64
	last   time.Time
}

func newBudget(o RetryOptions, now func() time.Time) *budget {
	return &budget{ratio: o.Ratio, perSecond: o.PerSecond, now: now, tokens: o.PerSecond, last: now()}
}

// earn counts one call.
func (b *budget) earn() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tokens = min(b.tokens+b.ratio, burst)
}

// take reports whether one more retry may be made, and counts it.
func (b *budget) take() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	if gone := now.Sub(b.last).Seconds(); gone > 0 {
		b.tokens = min(b.tokens+gone*b.perSecond, burst)
	}
	b.last = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

func (o RetryOptions) withDefaults() RetryOptions {
	set := func(d *time.Duration, to time.Duration) {
		if *d <= 0 {
			*d = to
		}
	}
	if o.Max == 0 {
		o.Max = 2
	}
	if o.Ratio <= 0 {
		o.Ratio = 0.2
	}
	if o.PerSecond <= 0 {
		o.PerSecond = 10
	}
	set(&o.Base, 50*time.Millisecond)
	set(&o.Cap, time.Second)
	if o.Sleep == nil {
		o.Sleep = sleep
	}
	return o
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// wait is the time before retry number attempt, counted from 0: anything up to
// the doubled base.
func (o RetryOptions) wait(attempt int, random func(n int64) int64) time.Duration {
	limit := min(o.Base<<min(attempt, 20), o.Cap)
	return time.Duration(random(int64(limit) + 1))
}

// defaultRandom is safe for concurrent use.
func defaultRandom(n int64) int64 { return rand.Int64N(n) }
