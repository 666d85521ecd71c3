package bench

import "time"

// Row is one line of a report: one operation at one store, as published and as
// measured.
type Row struct {
	Op    string // "write", "read", "merge"
	Store string // "memory", "git", "govc"
	// Published is the figure of the published table for this operation and
	// store, 0 if there is none.
	Published time.Duration
	// Count operations were measured; 0 means that this line was not measured,
	// and the durations below mean nothing.
	Count int
	P50   time.Duration
	P95   time.Duration
	P99   time.Duration
	Max   time.Duration
	Rate  float64 // operations a second, one caller
}

// Report is the result of one run.
type Report struct {
	At        time.Time
	Took      time.Duration
	Documents int // in each store while it was measured
	DocBytes  int // content of one document
	Machine   string
	Rows      []Row
}

// Progress tells how far a run is.
type Progress struct {
	What        string // "write on git"
	Done, Total int
}
