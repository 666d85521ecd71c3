package githttp

import (
	"time"

	"github.com/caiatech/caiatop/backend/gitrepo"
)

// common is what a client has that is here, too.
type common struct {
	haves []Hash // in its order
	ready bool   // every want has a history in common with it: a pack can be made
}

// maxUnknown is after how many commits that are not here the rest of a round is
// taken for such, too: on disk each of them has the folder of packs read again.
const maxUnknown = 1 << 14

// compare looks for what a client has. Anything else is none of our business.
// Only where it is not done with asking it matters whether a pack can be made.
func (g *graph) compare(r *request, wants []Hash) (common, error) {
	var c common
	var shared set
	var oldest time.Time
	unknown := 0
	for _, h := range r.haves.names {
		if unknown == maxUnknown {
			break
		}
		found, err := g.commit(h)
		if lost(err) {
			unknown++
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
	if shared.len() == 0 || r.done {
		return c, nil
	}
	var err error
	c.ready, err = g.descend(wants, &shared, oldest)
	return c, err
}

// descend reports whether each of some commits leads to a shared one. It walks
// once, however many they are, and not past a time.
func (g *graph) descend(from []Hash, shared *set, oldest time.Time) (bool, error) {
	var met set
	var children []link
	var last []int32 // by the number of a commit, the last link to a child + 1
	number := func(h Hash) int {
		n, fresh := met.add(h)
		if fresh {
			last = append(last, 0)
		}
		return n
	}
	var reached []int // that lead to a shared one
	err := g.each(from, func(c gitrepo.Commit, _ int) (bool, error) {
		at := number(c.Hash)
		if shared.has(c.Hash) {
			reached = append(reached, at)
			return false, nil
		}
		if c.At.Before(oldest) {
			return false, nil
		}
		for _, parent := range c.Parents {
			n := number(parent)
			children = append(children, link{child: int32(at), before: last[n]}) //nolint:gosec // bounded by maxObjects
			last[n] = int32(len(children))                                       //nolint:gosec // as good as bounded
		}
		return true, nil
	})
	if err != nil {
		return false, err
	}
	leads := make([]bool, met.len())
	for len(reached) > 0 {
		at := reached[len(reached)-1]
		reached = reached[:len(reached)-1]
		if leads[at] {
			continue
		}
		leads[at] = true
		for l := last[at]; l > 0; l = children[l-1].before {
			reached = append(reached, int(children[l-1].child))
		}
	}
	for _, h := range from {
		if !leads[met.find(h)] {
			return false, nil
		}
	}
	return true, nil
}

// link leads from a commit to one of its children, and to the link before.
type link struct{ child, before int32 }

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
