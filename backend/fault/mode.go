package fault

import (
	"fmt"
	"strings"
	"time"
)

// Mode is what happens to connections. The zero value is Pass. Modes that need
// a measure take it as an argument of their function; one that makes no sense
// is brought to the nearest that does. Modes can be compared.
type Mode struct {
	kind          kind
	delay, jitter time.Duration // Slow
	rate          float64       // Errors, Broken, LostReplies: 0 to 1
	path          string        // Errors
	bytes         int64         // Bandwidth: a second; Cut: of the answers
}

type kind uint8

const (
	kindPass kind = iota
	kindDown
	kindReset
	kindSlow
	kindBandwidth
	kindBlackHole
	kindCut
	kindErrors
	kindBroken
	kindLost
)

var names = [...]string{"pass", "down", "reset", "slow", "bandwidth", "black-hole", "cut", "errors", "broken", "lost-replies"}

// Pass carries every byte as it is.
func Pass() Mode { return Mode{kind: kindPass} }

// Down refuses new connections, as a machine does on which nothing listens,
// and ends those that there are.
func Down() Mode { return Mode{kind: kindDown} }

// Reset accepts new connections and resets them, and resets those that there
// are, as a process does that dies with requests unread.
func Reset() Mode { return Mode{kind: kindReset} }

// Slow brings what the target sends later by delay, and by up to jitter more or
// less. Bytes stay in order, and as many come as did before.
func Slow(delay, jitter time.Duration) Mode {
	delay = max(delay, 0)
	return Mode{kind: kindSlow, delay: delay, jitter: min(max(jitter, 0), delay)}
}

// Bandwidth lets so many bytes a second pass in each direction, those of all
// connections together.
func Bandwidth(bytesPerSecond int64) Mode {
	return Mode{kind: kindBandwidth, bytes: max(bytesPerSecond, 1)}
}

// BlackHole takes connections and everything that is sent on them, and never
// answers: the target hears of nothing.
func BlackHole() Mode { return Mode{kind: kindBlackHole} }

// Cut resets each connection when so many bytes came back on it, whatever they
// mean; what is encrypted can be cut as well.
func Cut(after int64) Mode { return Mode{kind: kindCut, bytes: max(after, 0)} }

// Errors answers 503 in the place of the target to this share of the HTTP
// requests whose path begins with path; the target never hears of those.
func Errors(rate float64, path string) Mode {
	return Mode{kind: kindErrors, rate: share(rate), path: path}
}

// Broken carries this share of the HTTP answers up to the middle of the body
// and then resets the connection.
func Broken(rate float64) Mode { return Mode{kind: kindBroken, rate: share(rate)} }

// LostReplies carries HTTP requests, and drops this share of the answers to
// those that change something: the target has done what was asked for, the
// connection is reset.
func LostReplies(rate float64) Mode { return Mode{kind: kindLost, rate: share(rate)} }

func share(rate float64) float64 {
	if !(rate > 0) { // NaN, too
		return 0
	}
	return min(rate, 1)
}

// String names the mode and its measures: "pass", "slow 200ms ±50ms".
func (m Mode) String() string {
	name := names[m.kind]
	switch m.kind {
	case kindSlow:
		return fmt.Sprintf("%s %s ±%s", name, m.delay, m.jitter)
	case kindBandwidth, kindCut:
		return fmt.Sprintf("%s %d", name, m.bytes)
	case kindErrors, kindBroken, kindLost:
		return strings.TrimSpace(fmt.Sprintf("%s %g %s", name, m.rate, m.path))
	default:
		return name
	}
}

// NeedsHTTP reports whether the mode must understand the requests: it resets
// connections on which something else is spoken, TLS included.
func (m Mode) NeedsHTTP() bool {
	return m.kind == kindErrors || m.kind == kindBroken || m.kind == kindLost
}

// listens reports whether a connection can be made at all.
func (m Mode) listens() bool { return m.kind != kindDown }

// carries reports whether connections are kept.
func (m Mode) carries() bool { return m.kind != kindDown && m.kind != kindReset }

// resets reports whether connections end with a reset instead of an end.
func (m Mode) resets() bool { return m.kind != kindDown && m.kind != kindPass }
