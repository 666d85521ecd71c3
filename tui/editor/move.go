package editor

import (
	"unicode"
	"unicode/utf8"
)

// maxWord bounds a step by word, in bytes.
const maxWord = 64 << 10

// moveTo puts the caret at off, and ends a step of typing.
func (e *Editor) moveTo(off int) {
	e.caret = e.settle(off)
	e.goal = -1
	e.history.seal()
}

// vertical moves by rows, up if less than zero, and aims at the cell in which
// the first of such moves began.
func (e *Editor) vertical(by int) {
	c := e.cursorAt(e.caret)
	goal := e.goal
	if goal < 0 {
		goal = e.column(&c, e.caret)
	}
	for ; by < 0 && e.up(&c); by++ {
	}
	for ; by > 0 && e.down(&c); by-- {
	}
	e.moveTo(e.offset(&c, goal))
	e.goal = goal
}

// wordRight returns where the word ends that begins at off or after it.
func (e *Editor) wordRight(off int) int {
	ahead := e.buf.slice(off, min(off+maxWord, e.buf.size))
	in := false
	for i, r := range ahead {
		if wordly(r) {
			in = true
		} else if in {
			return off + i
		}
	}
	return off + len(ahead)
}

// wordLeft returns where the word begins that ends at off or before it.
func (e *Editor) wordLeft(off int) int {
	behind := e.buf.slice(max(off-maxWord, 0), off)
	in := false
	for n := len(behind); n > 0; {
		r, size := utf8.DecodeLastRuneInString(behind[:n])
		if wordly(r) {
			in = true
		} else if in {
			return off - len(behind) + n
		}
		n -= size
	}
	return off - len(behind)
}

// wordly reports whether a word is made of r. What marks a letter is part of
// it.
func wordly(r rune) bool {
	return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.Is(unicode.M, r)
}

// lineStart returns where the line of the caret begins.
func (e *Editor) lineStart() int { return e.buf.lineStart(e.caret) }

// lineEnd returns where the line of the caret ends, without its line end.
func (e *Editor) lineEnd() int {
	end, _ := e.buf.lineEnd(e.caret)
	return end
}

// pageRows is by how many rows a page moves: two stay.
func (e *Editor) pageRows() int { return max(e.textHeight()-2, 1) }

// reveal scrolls as little as shows the caret; what is far away is shown in the
// middle.
func (e *Editor) reveal() {
	height := e.textHeight()
	at := e.cursorAt(e.caret)
	top := e.cursorAt(e.settle(min(e.top, e.buf.size)))
	e.top = top.row().from
	if at.row().from >= e.top {
		for i := range height + 1 {
			if top.row() == at.row() {
				if i == height {
					e.scrollTo(at, height-1)
				}
				return
			}
			if !e.down(&top) {
				break
			}
		}
		e.scrollTo(at, height/2)
		return
	}
	back := at
	for range height {
		if !e.down(&back) {
			break
		}
		if back.row().from == e.top {
			e.top = at.row().from
			return
		}
	}
	e.scrollTo(at, height/2)
}

// scrollTo puts a row a number of rows below the first one.
func (e *Editor) scrollTo(c cursor, below int) {
	for range below {
		if !e.up(&c) {
			break
		}
	}
	e.top = c.row().from
}
