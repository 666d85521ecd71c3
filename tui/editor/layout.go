package editor

import (
	"unicode"
	"unicode/utf8"
)

// stretchSize is after how many bytes a line is wrapped anew, so that the
// middle of a line of megabytes can be shown without its beginning.
const stretchSize = 4 << 10

// stretch is a part of a line that is wrapped by itself: all of the line but
// its end, if the line is not longer than stretchSize.
type stretch struct {
	from, to         int
	lineFrom, lineTo int // the line, without its end
	ending           int // bytes of the line's end
	s                string
}

// row is one line on the screen.
type row struct{ from, to int }

// cursor walks over rows.
type cursor struct {
	stretch
	rows []row
	i    int
}

func (c *cursor) row() row { return c.rows[c.i] }

// first reports whether the row begins its line.
func (c *cursor) first() bool { return c.row().from == c.lineFrom }

// last reports whether the row ends its line.
func (c *cursor) last() bool { return c.i == len(c.rows)-1 && c.to == c.lineTo }

// stretchAt returns the stretch in which the byte at off is. The line's end
// belongs to its last stretch.
func (e *Editor) stretchAt(off int) stretch {
	var s stretch
	s.lineFrom = e.buf.lineStart(off)
	s.lineTo, s.ending = e.buf.lineEnd(off)
	off = min(off, s.lineTo)
	k := (off - s.lineFrom) / stretchSize
	s.from = e.border(s, k)
	for s.from > off {
		k--
		s.from = e.border(s, k)
	}
	s.to = e.border(s, k+1)
	for s.from == s.lineTo && s.from > s.lineFrom {
		// The end of the line belongs to the stretch before it.
		k--
		s.to, s.from = s.from, e.border(s, k)
	}
	s.s = e.buf.slice(s.from, s.to)
	return s
}

// border returns where stretch k of a line begins: where a character begins, if
// there is one near.
func (e *Editor) border(s stretch, k int) int {
	at := s.lineFrom + k*stretchSize
	if k <= 0 {
		return s.lineFrom
	}
	if at >= s.lineTo {
		return s.lineTo
	}
	near := e.buf.slice(at, min(at+maxUnit, s.lineTo))
	n := 0
	for n < len(near) {
		r, size := utf8.DecodeRuneInString(near[n:])
		if utf8.RuneStart(near[n]) && !unicode.Is(unicode.M, r) && r != utf8.RuneError {
			break
		}
		n += size
	}
	if n == len(near) {
		// No character near: bytes that are none, or marks without end.
		for n = 0; n < min(len(near), utf8.UTFMax-1) && !utf8.RuneStart(near[n]); {
			n++
		}
	}
	return at + n
}

// wrap breaks a stretch into rows of at most the width of the text.
func (e *Editor) wrap(s stretch) []row {
	width := e.textWidth()
	rows := make([]row, 0, len(s.s)/width+1)
	start, column := 0, 0
	for i := 0; i < len(s.s); {
		n := e.glyphs.next(s.s[i:])
		w := e.glyphs.show(s.s[i:i+n], column).width
		if column > 0 && column+w > width {
			rows = append(rows, row{s.from + start, s.from + i})
			start, column = i, 0
			w = e.glyphs.show(s.s[i:i+n], 0).width
		}
		column += w
		i += n
	}
	return append(rows, row{s.from + start, s.to})
}

// cursorAt returns the row on which the caret stands at off.
func (e *Editor) cursorAt(off int) cursor {
	c := cursor{stretch: e.stretchAt(off)}
	c.rows = e.wrap(c.stretch)
	for c.i < len(c.rows)-1 && c.rows[c.i+1].from <= off {
		c.i++
	}
	return c
}

// down moves to the next row and reports whether there was one.
func (e *Editor) down(c *cursor) bool {
	switch {
	case c.i < len(c.rows)-1:
		c.i++
		return true
	case c.to < c.lineTo:
		*c = e.cursorAt(c.to)
	case c.ending > 0:
		*c = e.cursorAt(c.lineTo + c.ending)
	default:
		return false
	}
	return true
}

// up moves to the row before and reports whether there was one.
func (e *Editor) up(c *cursor) bool {
	switch {
	case c.i > 0:
		c.i--
		return true
	case c.from > c.lineFrom:
		*c = e.cursorAt(c.from - 1)
	case c.lineFrom > 0:
		*c = e.cursorAt(c.lineFrom - 1)
	default:
		return false
	}
	c.i = len(c.rows) - 1
	return true
}

// column returns in which cell of the row the caret stands at off.
func (e *Editor) column(c *cursor, off int) int {
	column := 0
	for at := c.row().from; at < min(off, c.row().to); {
		n := e.glyphs.next(c.s[at-c.from:])
		column += e.glyphs.show(c.s[at-c.from:][:n], column).width
		at += n
	}
	return column
}

// offset returns where the caret stands in a cell of the row, or before it.
func (e *Editor) offset(c *cursor, column int) int {
	at, before, x := c.row().from, c.row().from, 0
	for at < c.row().to {
		n := e.glyphs.next(c.s[at-c.from:])
		x += e.glyphs.show(c.s[at-c.from:][:n], x).width
		if x > column {
			return at
		}
		before, at = at, at+n
	}
	if !c.last() {
		return before // the end of this row is the start of the next one
	}
	return at
}

// after returns where the unit at off ends.
func (e *Editor) after(off int) int {
	if off >= e.buf.size {
		return e.buf.size
	}
	s := e.stretchAt(off)
	if off >= s.lineTo {
		return min(s.lineTo+s.ending, e.buf.size)
	}
	return off + e.glyphs.next(s.s[off-s.from:])
}

// before returns where the unit begins that ends at off.
func (e *Editor) before(off int) int {
	if off <= 0 {
		return 0
	}
	s := e.stretchAt(off - 1)
	if off > s.lineTo {
		return s.lineTo
	}
	at := s.from
	for {
		n := e.glyphs.next(s.s[at-s.from:])
		if at+n >= off {
			return at
		}
		at += n
	}
}

// settle returns off, or the end of the unit that off is within.
func (e *Editor) settle(off int) int {
	off = max(min(off, e.buf.size), 0)
	if off == 0 || off == e.buf.size {
		return off
	}
	s := e.stretchAt(off)
	if off > s.lineTo {
		return s.lineTo + s.ending
	}
	at := s.from
	for at < off {
		at += e.glyphs.next(s.s[at-s.from:])
	}
	return at
}
