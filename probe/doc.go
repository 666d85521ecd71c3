// Package probe measures: a Recorder keeps latency percentiles and rates of
// operations over the last five minutes, a Prober asks a service again and again
// how it is.
//
// What the two find is never mixed: probes are not counted as operations. The
// package decides nothing, keeps nothing on disk, starts no goroutine of its own
// and imports nothing of backend. Every clock and source of chance is given to it.
package probe
