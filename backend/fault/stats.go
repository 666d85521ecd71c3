package fault

import "sync/atomic"

// Stats counts since Start. Connections that a closed port refuses are the
// system's doing and are not counted by anybody.
type Stats struct {
	Mode      Mode
	Open      int    // connections now
	Accepted  uint64 // connections
	Cut       uint64 // connections that a mode or Close ended
	Refused   uint64 // connections over MaxConnections
	Unreached uint64 // connections reset because the target could not be reached
	Faults    uint64 // requests that a mode answered, broke off or left without an answer
	Strange   uint64 // connections reset because a mode needs HTTP and something else was spoken
	Sent      int64  // bytes carried to the target
	Received  int64  // bytes carried back
}

type counters struct {
	accepted, cut, refused, unreached, faults, strange atomic.Uint64
	sent, received                                     atomic.Int64
}

// Stats returns the counters.
func (p *Proxy) Stats() Stats {
	p.mu.Lock()
	mode, open := p.mode, len(p.links)
	p.mu.Unlock()
	c := &p.counters
	return Stats{
		Mode: mode, Open: open, Accepted: c.accepted.Load(), Cut: c.cut.Load(), Refused: c.refused.Load(),
		Unreached: c.unreached.Load(), Faults: c.faults.Load(), Strange: c.strange.Load(),
		Sent: c.sent.Load(), Received: c.received.Load(),
	}
}
