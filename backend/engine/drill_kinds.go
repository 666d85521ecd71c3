package engine

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// DrillKind is an outage that can be rehearsed.
type DrillKind string

// The kinds.
const (
	DrillDown         DrillKind = "down"
	DrillSlow         DrillKind = "slow"
	DrillErrors       DrillKind = "errors"
	DrillReset        DrillKind = "reset"
	DrillBlackHole    DrillKind = "black-hole"
	DrillBandwidth    DrillKind = "bandwidth"
	DrillEmptyRestart DrillKind = "empty-restart"
	DrillLostReplies  DrillKind = "lost-replies"
)

// Limits of a drill, and what it takes where nothing is said.
const (
	DefaultDrill = time.Minute
	LeastDrill   = time.Second
	MaxDrill     = 15 * time.Minute

	defaultDelay = time.Second
	defaultRate  = 0.5
	defaultBytes = 64 << 10
	maxDelay     = 30 * time.Second
	leastBytes   = 1 << 10
	maxBytes     = 1 << 30
	maxDrillPath = 256 // bytes
)

var (
	// ErrDrillRuns: there is one drill at a time.
	ErrDrillRuns = errors.New("a drill runs already")
	// ErrNoDrill: this drill cannot be held, ever or at this service.
	ErrNoDrill = errors.New("this drill is not possible")
)

// Drill is an outage to rehearse. The zero value of everything but Kind is its
// default.
type Drill struct {
	Kind DrillKind
	For  time.Duration // LeastDrill to MaxDrill; 0 is DefaultDrill
	// Delay and Jitter are of DrillSlow: each answer comes later by Delay, and by
	// up to Jitter more or less. At most 30 s; 0 is 1 s and half of Delay.
	Delay, Jitter time.Duration
	// Rate is the share of requests that meet the fault, of DrillErrors,
	// DrillReset and DrillLostReplies: above 0, at most 1; 0 is one half.
	Rate float64
	// Path is what the path of a request begins with that meets DrillErrors; ""
	// are all.
	Path string
	// Bandwidth is of DrillBandwidth, in bytes a second and direction: 1 KiB to
	// 1 GiB; 0 is 64 KiB.
	Bandwidth int64
}

// DrillInfo describes a kind.
type DrillInfo struct {
	Kind DrillKind
	// Means says in a few words what the service does.
	Means string
	// Takes names the measures that the kind has beside its duration: "delay",
	// "jitter", "rate", "path", "bandwidth".
	Takes []string
	// Embedded: only at the embedded service. A real one would lose what is its
	// users', or do twice what must be done once.
	Embedded bool
	// Plain: only where nothing is encrypted on the way.
	Plain bool
	// Silent: the service cannot be asked anything while it lasts.
	Silent bool
}

var drillKinds = []DrillInfo{
	{Kind: DrillDown, Means: "connections are refused", Silent: true},
	{Kind: DrillSlow, Means: "answers come late", Takes: []string{"delay", "jitter"}},
	{Kind: DrillErrors, Means: "requests are answered with errors, and not done", Takes: []string{"rate", "path"}, Plain: true},
	{Kind: DrillReset, Means: "connections break in the middle of an answer", Takes: []string{"rate"}},
	{Kind: DrillBlackHole, Means: "connections are taken, and nothing is answered", Silent: true},
	{Kind: DrillBandwidth, Means: "the way to the service is narrow", Takes: []string{"bandwidth"}},
	{Kind: DrillEmptyRestart, Means: "the service comes back with nothing in it", Embedded: true},
	{Kind: DrillLostReplies, Means: "writes are done, and their answers are lost", Takes: []string{"rate"}, Embedded: true, Plain: true},
}

// DrillKinds returns the kinds in the order in which they are offered.
func DrillKinds() []DrillInfo { return slices.Clone(drillKinds) }

// DrillsAt returns the kinds that can be held at a service.
func DrillsAt(s Service) []DrillInfo {
	if s.URL == "" {
		return nil
	}
	encrypted := strings.HasPrefix(strings.ToLower(s.URL), "https:")
	return slices.DeleteFunc(DrillKinds(), func(i DrillInfo) bool {
		return i.Embedded && !s.Embedded || i.Plain && encrypted
	})
}

// Silent reports whether the service cannot be asked anything in such a drill.
func (k DrillKind) Silent() bool {
	info, _ := drillInfo(k)
	return info.Silent
}

// drillInfo returns what is known of a kind.
func drillInfo(kind DrillKind) (DrillInfo, bool) {
	i := slices.IndexFunc(drillKinds, func(i DrillInfo) bool { return i.Kind == kind })
	if i < 0 {
		return DrillInfo{}, false
	}
	return drillKinds[i], true
}

// complete checks the measures and fills in those that were not given.
func (d *Drill) complete() error {
	info, ok := drillInfo(d.Kind)
	if !ok {
		names := make([]string, 0, len(drillKinds))
		for _, one := range drillKinds {
			names = append(names, string(one.Kind))
		}
		return fmt.Errorf("%w: there is no drill %q, but %s", ErrNoDrill, d.Kind, strings.Join(names, ", "))
	}
	given := map[string]bool{"delay": d.Delay != 0, "jitter": d.Jitter != 0, "rate": d.Rate != 0, "path": d.Path != "", "bandwidth": d.Bandwidth != 0}
	for _, name := range []string{"delay", "jitter", "rate", "path", "bandwidth"} {
		if given[name] && !slices.Contains(info.Takes, name) {
			return fmt.Errorf("%w: the drill %s has no %s", ErrNoDrill, d.Kind, name)
		}
	}
	if d.For == 0 {
		d.For = DefaultDrill
	}
	for _, name := range info.Takes {
		d.fill(name, given[name])
	}
	return d.check(info)
}

// fill sets a measure that was not given.
func (d *Drill) fill(name string, given bool) {
	if given {
		return
	}
	switch name {
	case "delay":
		d.Delay = defaultDelay
	case "jitter":
		d.Jitter = d.Delay / 2
	case "rate":
		d.Rate = defaultRate
	case "bandwidth":
		d.Bandwidth = defaultBytes
	}
}

// check says which measure is out of its limits.
func (d *Drill) check(info DrillInfo) error {
	takes := func(name string) bool { return slices.Contains(info.Takes, name) }
	wrong := ""
	switch {
	case d.For < LeastDrill || d.For > MaxDrill:
		wrong = fmt.Sprintf("it lasts %s to %s, not %s", LeastDrill, MaxDrill, d.For)
	case takes("delay") && (d.Delay < 0 || d.Delay > maxDelay):
		wrong = fmt.Sprintf("the delay is at most %s, not %s", maxDelay, d.Delay)
	case takes("jitter") && (d.Jitter < 0 || d.Jitter > d.Delay):
		wrong = fmt.Sprintf("the jitter is at most the delay, %s, not %s", d.Delay, d.Jitter)
	case takes("rate") && (!(d.Rate > 0) || d.Rate > 1):
		wrong = fmt.Sprintf("the rate is above 0 and at most 1, not %g", d.Rate)
	case d.Path != "" && (d.Path[0] != '/' || len(d.Path) > maxDrillPath):
		wrong = fmt.Sprintf("the path begins with a slash and has at most %d bytes", maxDrillPath)
	case takes("bandwidth") && (d.Bandwidth < leastBytes || d.Bandwidth > maxBytes):
		wrong = fmt.Sprintf("the bandwidth is %d to %d bytes a second, not %d", leastBytes, maxBytes, d.Bandwidth)
	default:
		return nil
	}
	return fmt.Errorf("%w: %s", ErrNoDrill, wrong)
}

// measures says what was chosen beside the kind, "" if there is nothing.
func (d *Drill) measures() string {
	switch d.Kind {
	case DrillSlow:
		return fmt.Sprintf(" (%s, give or take %s)", d.Delay, d.Jitter)
	case DrillErrors:
		if d.Path != "" {
			return fmt.Sprintf(" (%g%% of those for %s)", d.Rate*100, d.Path)
		}
		return fmt.Sprintf(" (%g%% of them)", d.Rate*100)
	case DrillReset, DrillLostReplies:
		return fmt.Sprintf(" (%g%% of them)", d.Rate*100)
	case DrillBandwidth:
		return fmt.Sprintf(" (%d bytes a second)", d.Bandwidth)
	default:
		return ""
	}
}
