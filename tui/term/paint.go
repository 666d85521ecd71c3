package term

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
)

// The sequences of a frame.
const (
	beginUpdate = "\x1b[?2026h" // the terminal shows nothing of what follows
	endUpdate   = "\x1b[?2026l" // until this
	resetStyle  = "\x1b[m"
	eraseScreen = "\x1b[H\x1b[2J"
	eraseLine   = "\x1b[2K"
	eraseRest   = "\x1b[K"
)

// painter knows what stands on the terminal. The zero value knows nothing.
type painter struct {
	size  Size
	lines []string // of size.Height; nil if nothing is known
	out   []byte   // the buffer of the last paint
}

// forget makes the next paint draw everything.
func (p *painter) forget() { p.lines = nil }

// paint returns what to write so that a terminal of that size shows frame, and
// nothing if it does already. Lines below the last of the frame are empty; lines
// below the terminal are left out. The result is good until the next call.
func (p *painter) paint(frame string, size Size) []byte {
	lines := make([]string, max(size.Height, 0))
	for i := range lines {
		line, rest, more := strings.Cut(frame, "\n")
		lines[i] = line
		if frame = rest; !more {
			break
		}
	}
	p.out = append(p.out[:0], beginUpdate...)
	none := len(p.out)
	if p.lines == nil || p.size != size {
		p.out = append(p.out, resetStyle+eraseScreen...)
		p.size, p.lines = size, make([]string, len(lines))
	}
	for i, line := range lines {
		if line != p.lines[i] {
			p.line(i, line)
		}
	}
	p.lines = lines
	if len(p.out) == none {
		return nil
	}
	p.out = append(p.out, endUpdate...)
	return p.out
}

// line draws one line. What the line leaves free is erased from where the
// terminal's cursor is, whatever the terminal thinks of the width of a glyph.
// After a full line the cursor stands on its last cell, so nothing may be erased
// there; such a line is erased first if its width is not beyond doubt.
func (p *painter) line(i int, line string) {
	p.out = append(p.out, "\x1b["...)
	p.out = strconv.AppendInt(p.out, int64(i+1), 10)
	p.out = append(p.out, ";1H"...)
	width := ansi.StringWidth(line)
	full := width >= p.size.Width
	if full && width != utf8.RuneCountInString(ansi.Strip(line)) {
		p.out = append(p.out, eraseLine...)
	}
	p.out = append(p.out, line...)
	p.out = append(p.out, resetStyle...)
	if !full {
		p.out = append(p.out, eraseRest...)
	}
}
