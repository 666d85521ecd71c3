package editor

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maxQuery bounds what is looked for, in bytes.
	maxQuery = 256
	// maxCompared bounds the characters that one search compares, so that a text
	// of near misses does not stop the screen: some ten milliseconds.
	maxCompared = 8 << 20
)

// finder looks for a literal text. It tells upper from lower case only if an
// upper case letter was typed.
type finder struct {
	query string
	exact bool
	first []byte // bytes that a match can begin with

	compared int // characters so far
	stopped  int // where the search went no further, -1 if it ended
}

func newFinder(query string) finder {
	f := finder{query: query, stopped: -1, exact: strings.ContainsFunc(query, unicode.IsUpper)}
	if query == "" {
		return f
	}
	f.first = []byte{query[0]}
	r, size := utf8.DecodeRuneInString(query)
	if f.exact || (r == utf8.RuneError && size == 1) {
		return f
	}
	for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
		if b := string(other)[0]; !slices.Contains(f.first, b) {
			f.first = append(f.first, b)
		}
	}
	return f
}

// match returns how many bytes of s, from its start, are a match.
func (f *finder) match(s string) (int, bool) {
	f.compared++
	if f.exact {
		f.compared += len(f.query) / 32
		return len(f.query), strings.HasPrefix(s, f.query)
	}
	n := 0
	for i := 0; i < len(f.query); {
		f.compared++
		if n == len(s) {
			return 0, false
		}
		want, size := utf8.DecodeRuneInString(f.query[i:])
		got, width := utf8.DecodeRuneInString(s[n:])
		if f.query[i:i+size] != s[n:n+width] && (want == utf8.RuneError || !sameLetter(want, got)) {
			return 0, false
		}
		i, n = i+size, n+width
	}
	return n, true
}

// sameLetter reports whether two characters differ in nothing but their case.
func sameLetter(a, b rune) bool {
	if a == b {
		return true
	}
	if a < utf8.RuneSelf && b < utf8.RuneSelf {
		return a|0x20 == b|0x20 && 'a' <= a|0x20 && a|0x20 <= 'z'
	}
	for other := unicode.SimpleFold(a); other != a; other = unicode.SimpleFold(other) {
		if other == b {
			return true
		}
	}
	return false
}

// forward returns the first match that begins in [from, to).
func (e *Editor) forward(f *finder, from, to int) (start, end int, ok bool) {
	p := e.buf.seek(from)
	in := from - p.off
	for i, off := p.i, p.off; i < len(e.buf.chunks) && off < to; i++ {
		s := e.buf.chunks[i].s
		for next := range f.candidates(s, in) {
			at := off + next
			if at >= to {
				return 0, 0, false
			}
			if f.compared > maxCompared {
				f.stopped = at
				return 0, 0, false
			}
			if n, ok := e.matches(f, s, at, next); ok {
				return at, at + n, true
			}
		}
		off += len(s)
		in = 0
	}
	return 0, 0, false
}

// backward returns the last match that begins in [from, to).
func (e *Editor) backward(f *finder, from, to int) (start, end int, ok bool) {
	p := e.buf.seek(to)
	in := to - p.off
	for {
		if p.i < len(e.buf.chunks) {
			s := e.buf.chunks[p.i].s
			// From left to right within a chunk, as that is much faster.
			for next := range f.candidates(s, max(from-p.off, 0)) {
				if next >= in {
					break
				}
				if n, found := e.matches(f, s, p.off+next, next); found {
					start, end, ok = p.off+next, p.off+next+n, true
				}
			}
		}
		if ok || p.i == 0 || p.off <= from {
			return start, end, ok
		}
		if f.compared > maxCompared {
			f.stopped = p.off
			return 0, 0, false
		}
		p.i--
		in = len(e.buf.chunks[p.i].s)
		p.off -= in
	}
}

// matches looks for a match at an offset, which is a place in a chunk.
func (e *Editor) matches(f *finder, chunk string, at, in int) (int, bool) {
	// A letter may take more bytes in its other case.
	need := len(f.query) * utf8.UTFMax
	if in+need <= len(chunk) {
		return f.match(chunk[in:])
	}
	if n := min(len(f.query), len(chunk)-in); f.exact && chunk[in:in+n] != f.query[:n] {
		return 0, false
	}
	return f.match(e.buf.slice(at, min(at+need, e.buf.size)))
}

// candidates yields where a match could begin in s, from left to right.
func (f *finder) candidates(s string, from int) func(yield func(int) bool) {
	return func(yield func(int) bool) {
		next := make([]int, len(f.first))
		for i, b := range f.first {
			next[i] = index(s, b, from)
		}
		for {
			i := 0
			for j := range next {
				if next[j] < next[i] {
					i = j
				}
			}
			at := next[i]
			if at == len(s) || !yield(at) {
				return
			}
			next[i] = index(s, f.first[i], at+1)
		}
	}
}

// index returns where b is in s, at or after from; the length of s if nowhere.
func index(s string, b byte, from int) int {
	if n := strings.IndexByte(s[from:], b); n >= 0 {
		return from + n
	}
	return len(s)
}
