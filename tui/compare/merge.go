package compare

import (
	"slices"
	"strings"
)

// The lines that stand around what both sides changed.
const (
	markMine   = "<<<<<<< mine"
	markBase   = "||||||| base"
	markMiddle = "======="
	markTheirs = ">>>>>>> theirs"
)

// Merge applies to base what either side changed, line by line. Where both
// changed the same lines, or lines beside each other, it is not clean, and
// merged holds what all three have there between markers. A line within them
// that has no end gets one, so that the next marker is a line of its own.
//
// A clean merge is what git merge-file makes of the same texts, with two
// differences. If both sides made the same lines in different ways, as by
// changing one of two equal lines each, it is clean here and a conflict there.
// Of lines that stand in a text more than once, the two may take another one to
// be the changed one: then a place is a conflict for one of them, or one of two
// equal lines is moved.
func Merge(base, mine, theirs string) (merged string, clean bool) {
	switch {
	case mine == theirs, theirs == base:
		return mine, true
	case mine == base:
		return theirs, true
	}
	m := merger{base: splitLines(base), clean: true}
	m.mine.lines, m.theirs.lines = splitLines(mine), splitLines(theirs)
	m.mine.edits, m.theirs.edits = diff(m.base, m.mine.lines), diff(m.base, m.theirs.lines)
	m.ending = "\n"
	if len(m.mine.lines) > 0 && strings.HasSuffix(m.mine.lines[0], "\r\n") {
		m.ending = "\r\n"
	}
	m.run()
	return m.out.String(), m.clean
}

// Marked reports whether a text holds one of the lines that Merge puts around
// what both sides changed. The one in their middle is no sign: texts have it as
// the line below a title.
func Marked(text string) bool {
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimSuffix(line, "\r")
		if line == markMine || line == markBase || line == markTheirs {
			return true
		}
	}
	return false
}

// side is one of the two texts, with what of it is not merged yet.
type side struct {
	lines []string
	edits []edit
	moved int // how many lines further down than in base
}

type merger struct {
	base         []string
	mine, theirs side
	ending       string // of markers
	out          strings.Builder
	clean        bool
}

func (m *merger) run() {
	at := 0
	for len(m.mine.edits) > 0 || len(m.theirs.edits) > 0 {
		from := len(m.base)
		for _, s := range []*side{&m.mine, &m.theirs} {
			if len(s.edits) > 0 {
				from = min(from, s.edits[0].aFrom)
			}
		}
		m.write(m.base[at:from])
		at = m.region(from)
	}
	m.write(m.base[at:])
}

// region merges the edits that begin at a line of base and those that touch
// them, and returns where they end.
func (m *merger) region(from int) int {
	to := from
	mineFrom, theirsFrom := from+m.mine.moved, from+m.theirs.moved
	mine, theirs := false, false
	for {
		a, b := m.mine.take(&to), m.theirs.take(&to)
		if !a && !b {
			break
		}
		mine, theirs = mine || a, theirs || b
	}
	ours := m.mine.lines[mineFrom : to+m.mine.moved]
	others := m.theirs.lines[theirsFrom : to+m.theirs.moved]
	switch {
	case !theirs:
		m.write(ours)
	case !mine, slices.Equal(ours, others):
		m.write(others)
	default:
		m.conflict(ours, m.base[from:to], others)
	}
	return to
}

// take moves past the next edit if it touches what ends at to.
func (s *side) take(to *int) bool {
	if len(s.edits) == 0 || s.edits[0].aFrom > *to {
		return false
	}
	e := s.edits[0]
	s.edits = s.edits[1:]
	s.moved += (e.bTo - e.bFrom) - (e.aTo - e.aFrom)
	*to = max(*to, e.aTo)
	return true
}

func (m *merger) write(lines []string) {
	for _, line := range lines {
		m.out.WriteString(line)
	}
}

func (m *merger) conflict(ours, base, others []string) {
	m.clean = false
	for _, part := range []struct {
		mark  string
		lines []string
	}{{markMine, ours}, {markBase, base}, {markMiddle, others}} {
		m.out.WriteString(part.mark + m.ending)
		m.write(part.lines)
		if n := len(part.lines); n > 0 && !strings.HasSuffix(part.lines[n-1], "\n") {
			m.out.WriteString(m.ending)
		}
	}
	m.out.WriteString(markTheirs + m.ending)
}
