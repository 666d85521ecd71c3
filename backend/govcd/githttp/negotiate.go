package githttp

import (
	"errors"
	"time"

	"github.com/caiatech/caiatop/backend/gitrepo"
)

// common is what a client has that is here, too.
type common struct {
	haves []Hash // in its order
	ready bool   // every want has a history in common with it: a pack can be made
}

// errMet ends a walk early.
var errMet = errors.New("met")

// compare looks for what a client has. Anything else is none of our business.
func (g *graph) compare(haves *set, wants []Hash) (common, error) {
	var c common
	var shared set
	var oldest time.Time
	for _, h := range haves.names {
		found, err := g.commit(h)
		if lost(err) {
			continue
		}
		if err != nil {
			return c, err
		}
		c.haves = append(c.haves, h)
		shared.add(h)
		if oldest.IsZero() || found.At.Before(oldest) {
			oldest = found.At
		}
	}
	if shared.len() == 0 {
		return c, nil
	}
	for _, want := range wants {
		met := false
		err := g.each([]Hash{want}, func(c gitrepo.Commit, _ int) (bool, error) {
			if shared.has(c.Hash) {
				met = true
				return false, errMet
			}
			return !c.At.Before(oldest), nil
		})
		if err != nil && !errors.Is(err, errMet) {
			return c, err
		}
		if !met {
			return c, nil
		}
	}
	c.ready = true
	return c, nil
}

// acknowledge2 answers the haves of version 2, and reports whether a pack comes.
func (c common) acknowledge2(b []byte) (out []byte, pack bool) {
	b = appendLine(b, "acknowledgments")
	if len(c.haves) == 0 {
		b = appendLine(b, "NAK")
	}
	for _, h := range c.haves {
		b = appendLine(b, "ACK ", h.String())
	}
	if !c.ready {
		return append(b, flushLine...), false
	}
	return append(appendLine(b, "ready"), delimiterLine...), true
}

// acknowledge0 answers the haves of version 0.
func (c common) acknowledge0(b []byte, r *request) (out []byte, pack bool) {
	has := func(h Hash) bool { return len(c.haves) > 0 && h == c.haves[0] }
	last := ""
	rest := c
	other := false
	for _, h := range r.haves.names {
		ours := len(rest.haves) > 0 && h == rest.haves[0]
		if ours {
			rest.haves = rest.haves[1:]
			last = h.String()
		}
		switch {
		case ours && r.ack == ackDetailed:
			b = appendLine(b, "ACK ", last, " common")
		case ours && r.ack == ackContinue, !ours && r.ack == ackContinue && c.ready:
			b = appendLine(b, "ACK ", h.String(), " continue")
		case ours && has(h): // the first one, and no more
			b = appendLine(b, "ACK ", last)
		case !ours && r.ack == ackDetailed && c.ready:
			b = appendLine(b, "ACK ", h.String(), " ready")
			other = true
		}
	}
	if r.done {
		if last == "" {
			return appendLine(b, "NAK"), true
		}
		if r.ack != ackOnce {
			b = appendLine(b, "ACK ", last)
		}
		return b, true
	}
	ready := r.ack == ackDetailed && c.ready
	if ready && !other {
		b = appendLine(b, "ACK ", last, " ready")
	}
	if last == "" || r.ack != ackOnce {
		b = appendLine(b, "NAK")
	}
	if ready && r.noDone {
		return appendLine(b, "ACK ", last), true
	}
	return b, false
}
