package engine

// ResetMetrics forgets what was measured so far: counts, rates and latencies
// begin anew.
func (e *Engine) ResetMetrics() {
	e.o.Recorder.Reset()
	e.touch()
}
