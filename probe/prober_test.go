package probe

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type checkFunc func(ctx context.Context) (Found, error)

func (f checkFunc) Check(ctx context.Context) (Found, error) { return f(ctx) }

var errRefused = errors.New("connection refused")

// pass lets that much of the bubble's time pass.
func pass(d time.Duration) { <-time.After(d) }

// shared guards what a test and its checker both touch: passing time orders
// nothing.
type shared struct{ sync.Mutex }

func (s *shared) do(f func()) {
	s.Lock()
	defer s.Unlock()
	f()
}

// run runs a Prober within a synctest bubble, and returns it with the function
// that stops it and waits. The middle of the jitter is used.
func run(t *testing.T, check checkFunc, onResult func(Health)) (*Prober, func()) {
	t.Helper()
	p := NewProber(check, ProberOptions{OnResult: onResult, Rand: func() float64 { return 0.5 }})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.Run(ctx)
	}()
	return p, func() {
		cancel()
		<-done
	}
}

// TestIntervals looks at the whole course of a long outage.
func TestIntervals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		var mu shared
		var at []time.Duration
		up := false
		_, stop := run(t, func(context.Context) (Found, error) {
			mu.Lock()
			defer mu.Unlock()
			at = append(at, time.Since(begin))
			if up {
				return Found{}, nil
			}
			return Found{}, errRefused
		}, nil)
		defer stop()
		// 30 failed probes, then 2, 4, 8, 16, 30, 30 s.
		pass(29*time.Second + (2+4+8+16+30+30)*time.Second)
		synctest.Wait()
		var want []time.Duration
		for s := range 30 {
			want = append(want, time.Duration(s)*time.Second)
		}
		for _, s := range []time.Duration{31, 35, 43, 59, 89, 119} {
			want = append(want, s*time.Second)
		}
		mu.do(func() {
			if !slices.Equal(at, want) {
				t.Errorf("probes at %v, want %v", at, want)
			}
			up, at = true, nil
		})
		// One good probe and the interval is 1 s again.
		pass(32 * time.Second)
		synctest.Wait()
		mu.do(func() {
			if want := []time.Duration{149 * time.Second, 150 * time.Second, 151 * time.Second}; !slices.Equal(at, want) {
				t.Errorf("probes at %v after the outage, want %v", at, want)
			}
		})
	})
}

func TestHurry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		var mu shared
		var at []time.Duration
		p, stop := run(t, func(context.Context) (Found, error) {
			mu.do(func() { at = append(at, time.Since(begin)) })
			return Found{}, errRefused
		}, nil)
		defer stop()
		pass(200 * time.Second)
		synctest.Wait()
		mu.do(func() { at = nil })
		p.Hurry()
		p.Hurry()
		synctest.Wait()
		mu.do(func() {
			if len(at) < 1 || at[0] != 200*time.Second {
				t.Errorf("probes at %v after Hurry, want one at 200s", at)
			}
			at = nil
		})
		pass(2500 * time.Millisecond)
		synctest.Wait()
		mu.do(func() {
			if want := []time.Duration{201 * time.Second, 202 * time.Second}; !slices.Equal(at, want) {
				t.Errorf("probes at %v, want %v: Hurry resets the interval", at, want)
			}
		})
	})
}

func TestHurryDuringAProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := make(chan struct{})
		var calls atomic.Int64
		p, stop := run(t, func(ctx context.Context) (Found, error) {
			calls.Add(1)
			select {
			case <-answer:
				return Found{}, nil
			case <-ctx.Done():
				return Found{}, ctx.Err()
			}
		}, nil)
		defer stop()
		synctest.Wait()
		p.Hurry()
		p.Hurry()
		answer <- struct{}{}
		synctest.Wait()
		if calls.Load() != 2 {
			t.Fatalf("%d probes, want the second one right after the first", calls.Load())
		}
		answer <- struct{}{}
		synctest.Wait()
		if calls.Load() != 2 {
			t.Fatalf("%d probes: two calls of Hurry are one hurry", calls.Load())
		}
	})
}

func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		p, stop := run(t, func(ctx context.Context) (Found, error) {
			<-ctx.Done()
			return Found{}, ctx.Err()
		}, nil)
		defer stop()
		pass(DefaultTimeout)
		synctest.Wait()
		h := p.Health()
		if h.Up || h.Err == "" || h.Streak != 1 || h.At.Sub(begin) != DefaultTimeout {
			t.Fatalf("health after the timeout: %+v", h)
		}
	})
}

func TestHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		var mu shared
		var results []Health
		var takes time.Duration
		var err error
		found := Found{Status: "healthy", Version: "1.2.3", Uptime: time.Hour, Checks: map[string]string{"storage": "healthy"}}
		p, stop := run(t, func(context.Context) (Found, error) {
			mu.Lock()
			takes, found, err := takes, found, err
			mu.Unlock()
			pass(takes)
			return found, err
		}, func(h Health) { mu.do(func() { results = append(results, h) }) })
		defer stop()
		synctest.Wait()
		first := p.Health()
		if !first.Up || first.Streak != 1 || !first.Since.Equal(begin) || first.Status != "healthy" || first.Version != "1.2.3" ||
			first.Uptime != time.Hour || first.Checks["storage"] != "healthy" || first.Err != "" {
			t.Fatalf("first health %+v", first)
		}
		// What a caller does to its copy stays with it.
		first.Checks["storage"] = "forged"
		mu.do(func() { results[0].Checks["storage"] = "forged" })
		if got := p.Health().Checks["storage"]; got != "healthy" {
			t.Errorf("checks were shared: %q", got)
		}

		pass(3 * time.Second)
		synctest.Wait()
		if h := p.Health(); h.Streak != 4 || !h.Since.Equal(begin) || h.Latency != 0 {
			t.Errorf("after four good probes: %+v", h)
		}

		// A service that answers that it is not well is down, and says why.
		mu.do(func() { err, found = errors.New("503"), Found{Status: "unhealthy"} })
		pass(2 * time.Second)
		synctest.Wait()
		h := p.Health()
		if h.Up || h.Streak != 2 || h.Since.Sub(begin) != 4*time.Second || h.Status != "unhealthy" || h.Err != "503" || h.Version != "" {
			t.Errorf("after two bad probes: %+v", h)
		}
		mu.do(func() {
			if len(results) != 6 || results[5].Streak != h.Streak || !maps.Equal(results[5].Checks, h.Checks) {
				t.Errorf("%d results, want 6, the last as Health says", len(results))
			}
		})

		// The median is of the last 30 good probes, whatever failed between.
		mu.do(func() { err, takes = nil, 10*time.Millisecond })
		pass(15*(time.Second+takes) + time.Millisecond)
		synctest.Wait()
		if h := p.Health(); h.Latency != takes {
			t.Errorf("median %v, want %v: 4 at once, 15 of 10ms", h.Latency, takes)
		}
		mu.do(func() { takes = 20 * time.Millisecond })
		pass(30*(time.Second+takes) + time.Millisecond)
		synctest.Wait()
		if h := p.Health(); h.Latency != takes {
			t.Errorf("median %v, want %v: the last 30 all took that", h.Latency, takes)
		}
	})
}

func TestStopDuringAProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		results := 0
		p, stop := run(t, func(ctx context.Context) (Found, error) {
			<-ctx.Done()
			return Found{}, ctx.Err()
		}, func(Health) { results++ })
		synctest.Wait()
		stop()
		if h := p.Health(); results != 0 || !h.At.IsZero() || h.Streak != 0 {
			t.Errorf("a probe that was cut off counted: %d results, %+v", results, h)
		}
	})
}

func TestStopBetweenProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		_, stop := run(t, func(context.Context) (Found, error) { return Found{}, nil }, nil)
		synctest.Wait()
		stop()
		if d := time.Since(begin); d != 0 {
			t.Errorf("stopping took %v", d)
		}
	})
}

func TestJitter(t *testing.T) {
	for _, c := range []struct {
		jitter, chance float64
		want           time.Duration
	}{
		{0, 0, 800 * time.Millisecond},
		{0, 0.5, time.Second},
		{0.5, 0, 500 * time.Millisecond},
		{0.5, 0.999999, 1499999 * time.Microsecond},
		{-1, 0, time.Second},
		{7, 0, 0},
	} {
		p := NewProber(nil, ProberOptions{Jitter: c.jitter, Rand: func() float64 { return c.chance }})
		if got := p.jittered(time.Second); got.Round(time.Microsecond) != c.want {
			t.Errorf("jitter %v, chance %v: %v, want %v", c.jitter, c.chance, got, c.want)
		}
	}
}
