package probe

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// Defaults of ProberOptions.
const (
	DefaultInterval    = time.Second
	DefaultMaxInterval = 30 * time.Second
	DefaultJitter      = 0.2
	DefaultTimeout     = 2 * time.Second
)

const (
	// patience is the number of failed probes in a row after which the interval
	// starts to double. Until then an outage is watched as closely as health.
	patience = 30
	// medianOf is the number of good probes that Health.Latency is taken from.
	medianOf = 30
)

// Checker asks the service once how it is. Check returns when ctx ends. An error
// means that the service cannot be used; what was Found all the same is shown.
type Checker interface {
	Check(ctx context.Context) (Found, error)
}

// Found is what a service says of itself. All of it is unsanitised.
type Found struct {
	Status  string
	Version string
	Uptime  time.Duration
	Checks  map[string]string
}

// ProberOptions sets up a Prober. Zero values stand for the defaults.
type ProberOptions struct {
	Interval    time.Duration // from the end of one probe to the next
	MaxInterval time.Duration // what the interval grows to in a long outage
	// Jitter is the part of the interval that chance adds or takes, 0 to 1;
	// negative means none.
	Jitter  float64
	Timeout time.Duration // of one probe
	// OnResult gets every result, in order, from the goroutine of Run. The next
	// probe waits for it.
	OnResult func(Health)
	Now      func() time.Time
	Rand     func() float64 // in [0,1)
}

// Prober probes a service until it is told to stop. Create it with NewProber.
type Prober struct {
	checker Checker
	opts    ProberOptions
	hurry   chan struct{}

	mu        sync.Mutex
	health    Health
	latencies []time.Duration // of the last good probes, oldest first
}

// NewProber returns a Prober that has not found anything yet. Run starts it.
func NewProber(checker Checker, opts ProberOptions) *Prober {
	if opts.Interval <= 0 {
		opts.Interval = DefaultInterval
	}
	if opts.MaxInterval <= 0 {
		opts.MaxInterval = DefaultMaxInterval
	}
	opts.MaxInterval = max(opts.MaxInterval, opts.Interval)
	switch {
	case opts.Jitter == 0:
		opts.Jitter = DefaultJitter
	case opts.Jitter < 0:
		opts.Jitter = 0
	}
	opts.Jitter = min(opts.Jitter, 1)
	if opts.Timeout <= 0 {
		opts.Timeout = DefaultTimeout
	}
	if opts.OnResult == nil {
		opts.OnResult = func(Health) {}
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Rand == nil {
		opts.Rand = rand.Float64
	}
	return &Prober{checker: checker, opts: opts, hurry: make(chan struct{}, 1)}
}

// Run probes at once and then after each interval, until ctx ends. After 30
// failed probes in a row the interval doubles with each further one, up to
// MaxInterval; a good probe and Hurry bring it back. Run is called once.
func (p *Prober) Run(ctx context.Context) {
	interval := p.opts.Interval
	for failed := 0; ; {
		health, ok := p.probe(ctx)
		if !ok {
			return
		}
		switch {
		case health.Up:
			failed, interval = 0, p.opts.Interval
		case failed < patience:
			failed++
		}
		if failed == patience && !health.Up {
			interval = min(2*interval, p.opts.MaxInterval)
		}
		p.opts.OnResult(health)

		timer := time.NewTimer(p.jittered(interval))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		case <-p.hurry:
			timer.Stop()
			failed, interval = 0, p.opts.Interval
		}
	}
}

// Hurry makes the next probe start at once, or as soon as the one under way has
// ended, and forgets that the interval had grown. It never blocks.
func (p *Prober) Hurry() {
	select {
	case p.hurry <- struct{}{}:
	default:
	}
}

// Health returns what the last probe found; its zero value if there was none.
func (p *Prober) Health() Health {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.snapshot()
}

func (p *Prober) jittered(interval time.Duration) time.Duration {
	return time.Duration(float64(interval) * (1 + p.opts.Jitter*(2*p.opts.Rand()-1)))
}

// probe asks once. A probe that was cut off by the end of ctx says nothing of
// the service: then the result is false and nothing is changed.
func (p *Prober) probe(ctx context.Context) (Health, bool) {
	limited, cancel := context.WithTimeout(ctx, p.opts.Timeout)
	defer cancel()
	begin := p.opts.Now()
	found, err := p.checker.Check(limited)
	end := p.opts.Now()
	if ctx.Err() != nil {
		return Health{}, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.note(found, err, end, max(0, end.Sub(begin)))
	return p.snapshot(), true
}

func (p *Prober) note(found Found, err error, at time.Time, took time.Duration) {
	up := err == nil
	h := Health{
		Up: up, At: at, Since: p.health.Since, Streak: p.health.Streak + 1, Latency: p.health.Latency,
		Status: found.Status, Version: found.Version, Uptime: found.Uptime, Checks: maps.Clone(found.Checks),
	}
	if err != nil {
		h.Err = err.Error()
	}
	if up != p.health.Up || p.health.At.IsZero() {
		h.Since, h.Streak = at, 1
	}
	if up {
		if len(p.latencies) == medianOf {
			p.latencies = slices.Delete(p.latencies, 0, 1)
		}
		p.latencies = append(p.latencies, took)
		h.Latency = median(p.latencies)
	}
	p.health = h
}

// median returns the lower middle, so that it is always a time that was
// measured.
func median(of []time.Duration) time.Duration {
	sorted := slices.Clone(of)
	slices.Sort(sorted)
	return sorted[(len(sorted)-1)/2]
}

func (p *Prober) snapshot() Health {
	h := p.health
	h.Checks = maps.Clone(h.Checks)
	return h
}
