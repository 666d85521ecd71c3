package editor

import (
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	// chunkSize is what a chunk is split to, in bytes; it grows to twice that.
	chunkSize = 4 << 10
	// smallChunk is what is joined with its neighbour, in bytes.
	smallChunk = 1 << 10
)

// chunk is a part of the text. Its bytes never change.
type chunk struct {
	s     string
	lines int // newlines in s
}

// buffer holds the text as a row of chunks. Reading moves only its hint.
type buffer struct {
	chunks []chunk
	size   int // bytes
	lines  int // newlines
	hint   place
}

// place is the start of a chunk.
type place struct {
	i    int // of the chunk
	off  int // bytes before it
	line int // newlines before it
}

func newBuffer(text string) buffer {
	b := buffer{chunks: split(nil, text), size: len(text)}
	for _, c := range b.chunks {
		b.lines += c.lines
	}
	return b
}

// split appends s in chunks that begin at the start of a character, as far as
// there is one.
func split(to []chunk, s string) []chunk {
	for len(s) > 2*chunkSize {
		n := chunkSize
		for n > chunkSize-utf8.UTFMax && !utf8.RuneStart(s[n]) {
			n--
		}
		to = append(to, chunk{s[:n], strings.Count(s[:n], "\n")})
		s = s[n:]
	}
	if s != "" {
		to = append(to, chunk{s, strings.Count(s, "\n")})
	}
	return to
}

// seek returns the chunk that holds the byte at off; at the end of the text,
// the place after the last one.
func (b *buffer) seek(off int) place {
	p := b.hint
	for p.i > 0 && off < p.off {
		p.i--
		p.off -= len(b.chunks[p.i].s)
		p.line -= b.chunks[p.i].lines
	}
	for p.i < len(b.chunks) && off >= p.off+len(b.chunks[p.i].s) {
		p.off += len(b.chunks[p.i].s)
		p.line += b.chunks[p.i].lines
		p.i++
	}
	b.hint = p
	return p
}

// slice returns the bytes from one offset to another.
func (b *buffer) slice(from, to int) string {
	if from >= to {
		return ""
	}
	p := b.seek(from)
	if c := b.chunks[p.i].s; to <= p.off+len(c) {
		return c[from-p.off : to-p.off]
	}
	var out strings.Builder
	out.Grow(to - from)
	for i, off := p.i, p.off; off < to; i++ {
		c := b.chunks[i].s
		out.WriteString(c[max(from-off, 0):min(to-off, len(c))])
		off += len(c)
	}
	return out.String()
}

// at returns the byte at off.
func (b *buffer) at(off int) byte {
	p := b.seek(off)
	return b.chunks[p.i].s[off-p.off]
}

// replace puts s in place of the bytes between two offsets.
func (b *buffer) replace(from, to int, s string) {
	first := b.seek(from)
	last := b.seek(to)
	head, tail := "", ""
	end := last.i // the first chunk that stays
	if first.i < len(b.chunks) {
		head = b.chunks[first.i].s[:from-first.off]
	}
	if last.i < len(b.chunks) {
		tail = b.chunks[last.i].s[to-last.off:]
		end++
	}
	start := first.i
	if start == len(b.chunks) && start > 0 || len(head)+len(s)+len(tail) < smallChunk && start > 0 {
		start--
		before := b.chunks[start].s
		first.off -= len(before)
		head = before + head
	}
	put := split(nil, head+s+tail)
	for _, c := range b.chunks[start:end] {
		b.lines -= c.lines
	}
	for _, c := range put {
		b.lines += c.lines
	}
	b.chunks = slices.Replace(b.chunks, start, end, put...)
	b.size += len(s) - (to - from)
	// What lies before the change is as it was.
	b.hint = place{i: start, off: first.off, line: 0}
	for _, c := range b.chunks[:start] {
		b.hint.line += c.lines
	}
}

// lineOf returns the number of newlines before off.
func (b *buffer) lineOf(off int) int {
	p := b.seek(off)
	if p.i == len(b.chunks) {
		return p.line
	}
	return p.line + strings.Count(b.chunks[p.i].s[:off-p.off], "\n")
}

// lineStart returns where the line begins that off is in.
func (b *buffer) lineStart(off int) int {
	p := b.seek(off)
	in := off - p.off
	for {
		if p.i < len(b.chunks) && b.chunks[p.i].lines > 0 {
			if n := strings.LastIndexByte(b.chunks[p.i].s[:in], '\n'); n >= 0 {
				return p.off + n + 1
			}
		}
		if p.i == 0 {
			return 0
		}
		p.i--
		in = len(b.chunks[p.i].s)
		p.off -= in
	}
}

// newline returns where the first newline at or after off is, and the size of
// the text if there is none.
func (b *buffer) newline(off int) int {
	p := b.seek(off)
	in := off - p.off
	for ; p.i < len(b.chunks); p.i++ {
		c := b.chunks[p.i]
		if c.lines > 0 {
			if n := strings.IndexByte(c.s[in:], '\n'); n >= 0 {
				return p.off + in + n
			}
		}
		p.off += len(c.s)
		in = 0
	}
	return b.size
}

// lineEnd returns where the line of off ends, and how many bytes its end has:
// none at the end of the text.
func (b *buffer) lineEnd(off int) (end, ending int) {
	start := b.lineStart(off)
	n := b.newline(off)
	switch {
	case n == b.size:
		return n, 0
	case n > start && b.at(n-1) == '\r':
		return n - 1, 2
	}
	return n, 1
}

// startOf returns where line n begins, counted from zero; the last line if
// there are fewer.
func (b *buffer) startOf(n int) int {
	n = max(min(n, b.lines), 0)
	off := 0
	for _, c := range b.chunks {
		if n > c.lines {
			n -= c.lines
			off += len(c.s)
			continue
		}
		in := 0
		for ; n > 0; n-- {
			in += strings.IndexByte(c.s[in:], '\n') + 1
		}
		return off + in
	}
	return off
}

// equal reports whether the buffer holds what other chunks hold. Chunks that
// are still shared cost nothing.
func (b *buffer) equal(other []chunk) bool {
	var left, right string
	i, j := 0, 0
	for {
		for left == "" && i < len(b.chunks) {
			left, i = b.chunks[i].s, i+1
		}
		for right == "" && j < len(other) {
			right, j = other[j].s, j+1
		}
		n := min(len(left), len(right))
		if n == 0 {
			return left == right
		}
		if left[:n] != right[:n] {
			return false
		}
		left, right = left[n:], right[n:]
	}
}
