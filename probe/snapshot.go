package probe

import "time"

// Op is the kind of an operation that is measured.
type Op string

// Store names where an operation was done.
type Store string

// The operations and stores that are measured.
const (
	Write  Op = "write"
	Read   Op = "read"
	Delete Op = "delete"
	Search Op = "search"
	// Verify reads a document to compare it: no caller's work.
	Verify Op = "verify"

	Engine Store = "engine" // what callers saw, through the whole path
	Govc   Store = "govc"
	Git    Store = "git"
	Memory Store = "memory"
	State  Store = "state"
)

// SparkPoints is the number of points of a series: 60 of 5 s each, that is the
// last five minutes.
const SparkPoints = 60

// OpStats describes the operations of one kind at one store within the rolling
// window (5 minutes). Durations are zero when Count is.
type OpStats struct {
	Op     Op
	Store  Store
	Count  int64   // successful operations within the window
	Errors int64   // failed operations within the window
	Rate   float64 // successful operations a second over the last 10 s
	P50    time.Duration
	P95    time.Duration
	P99    time.Duration
	Max    time.Duration
	// LatencySeries is the p50 and RateSeries the operations a second of each
	// 5 s slot, oldest first. A slot without operations is 0 in both.
	LatencySeries [SparkPoints]time.Duration
	RateSeries    [SparkPoints]float64
	// Total and TotalErrors count successes and failures since the recorder
	// began, TotalTime is what the successes took together. They never fall.
	Total, TotalErrors int64
	TotalTime          time.Duration
}

// Health is what the last probes of the service found. It is never counted as
// throughput.
type Health struct {
	Up      bool
	Err     string // why the last probe failed, unsanitised; "" if it did not
	At      time.Time
	Since   time.Time     // of the current value of Up
	Latency time.Duration // median of the last 30 good probes; 0 if none
	Streak  int           // probes in a row with this result
	Status  string        // "healthy", "unhealthy" as the service says; "" if unknown
	Version string        // of the service; "" if unknown
	Uptime  time.Duration // as the service says; 0 if unknown
	// Checks are the service's own, name to status ("healthy", "warning").
	Checks map[string]string
}
