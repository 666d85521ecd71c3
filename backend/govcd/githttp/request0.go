package githttp

import "strings"

// ackMode is how a client of version 0 is told what it has in common.
type ackMode uint8

const (
	ackOnce ackMode = iota
	ackContinue
	ackDetailed
)

// The sizes of packets of the side-band, content included, in bytes.
const (
	smallBand = 1000
	maxBand   = 65520
)

// first reads a request of version 0 or 1: wants, of which the first says what
// the client can, the ends of its history, and after a flush what it has.
func (p *parser) first() error {
	if err := p.firstWants(); err != nil || p.command == commandNone {
		return err
	}
	for {
		sort, line, err := p.lines.next()
		if err != nil {
			return err
		}
		switch {
		case sort == flush:
			return nil // this round is over
		case sort == end:
			p.silent = true
			return nil
		case sort == delimiter:
			return malformed("it has a delimiter")
		case line == "done":
			p.done = true
			return nil
		}
		hash, ok := strings.CutPrefix(line, "have ")
		if !ok {
			return malformed("%s is no have", shown(line))
		}
		if err := p.addName(&p.haves, hash); err != nil {
			return err
		}
	}
}

// firstWants reads up to the first flush. Without a want nothing was asked.
func (p *parser) firstWants() error {
	for {
		sort, line, err := p.lines.next()
		switch {
		case err != nil:
			return err
		case sort == flush, sort == end && p.wants.len() == 0 && p.shallows.len() == 0:
			if p.wants.len() > 0 {
				p.command = commandFetch
			} else if p.shallows.len() > 0 || p.deepens() {
				return malformed("it wants nothing")
			}
			return nil
		case sort != text:
			return malformed("it ends before its flush packet")
		}
		if want, ok := strings.CutPrefix(line, "want "); ok {
			hash, capabilities, _ := strings.Cut(want, " ")
			if p.wants.len() == 0 {
				if err := p.capabilities(capabilities); err != nil {
					return err
				}
			}
			if err := p.addName(&p.wants, hash); err != nil {
				return err
			}
			continue
		}
		if known, err := p.narrow(line); err != nil || !known {
			if err == nil {
				err = malformed("%s is no want", shown(line))
			}
			return err
		}
	}
}

// capabilities reads what a client of version 0 can. What is not known here was
// not announced, and means nothing.
func (p *parser) capabilities(words string) error {
	for word := range strings.FieldsSeq(words) {
		switch word {
		case "multi_ack":
			p.ack = max(p.ack, ackContinue)
		case "multi_ack_detailed":
			p.ack = ackDetailed
		case "no-done":
			p.noDone = true
		case "side-band":
			p.band = max(p.band, smallBand)
		case "side-band-64k":
			p.band = maxBand
		default:
			if p.wish(word) {
				continue
			}
			if format, ok := strings.CutPrefix(word, "object-format="); ok {
				if err := checkFormat(format); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
