package editor

import (
	"unicode"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"

	"github.com/caiatech/caiatop/tui/termsafe"
)

const (
	// maxUnit bounds what the caret steps over at once, in bytes: a character
	// may carry marks without end.
	maxUnit = 128
	// memory bounds what is remembered of how characters are shown.
	memory = 4096
	// tabStop is the distance of tab stops, in cells.
	tabStop = 8
)

// piece is how a unit is shown.
type piece struct {
	text  string
	width int
	sign  bool // stands for a unit that a terminal would not show as it is
}

// glyphs knows how units are shown. It remembers what termsafe told it.
type glyphs struct {
	visible map[rune]bool
	pieces  map[string]piece
}

func newGlyphs() glyphs {
	return glyphs{visible: map[rune]bool{}, pieces: map[string]piece{}}
}

// shows reports whether termsafe shows r as it is.
func (g *glyphs) shows(r rune, size int) bool {
	if r < utf8.RuneSelf {
		return r >= 0x20 && r != 0x7f
	}
	if r == utf8.RuneError && size == 1 {
		return false
	}
	known, ok := g.visible[r]
	if !ok {
		if len(g.visible) >= memory {
			clear(g.visible)
		}
		known = termsafe.Line("x"+string(r)).String() == "x"+string(r)
		g.visible[r] = known
	}
	return known
}

// next returns the bytes of the unit at the start of s, which is not empty.
func (g *glyphs) next(s string) int {
	if s[0] < utf8.RuneSelf && (len(s) == 1 || s[1] < utf8.RuneSelf) {
		return 1
	}
	r, size := utf8.DecodeRuneInString(s)
	if !g.shows(r, size) {
		return size
	}
	n := size
	whole := -1
	for n < maxUnit && n < len(s) {
		r, size := utf8.DecodeRuneInString(s[n:])
		if !g.shows(r, size) {
			break
		}
		if !unicode.Is(unicode.M, r) {
			if whole < 0 {
				whole = cluster(s)
			}
			if n >= whole {
				break
			}
		}
		n += size
	}
	return n
}

// cluster returns the bytes of the character at the start of s, which may be
// made of several code points.
func cluster(s string) int {
	ahead := s[:min(len(s), maxUnit)]
	for len(ahead) < len(s) && len(ahead) > utf8.UTFMax && !utf8.RuneStart(s[len(ahead)]) {
		ahead = ahead[:len(ahead)-1]
	}
	first, _ := ansi.FirstGraphemeCluster(ahead, ansi.GraphemeWidth)
	return len(first)
}

// show returns how a unit is shown that begins in a column.
func (g *glyphs) show(unit string, column int) piece {
	if len(unit) == 1 {
		switch c := unit[0]; {
		case c == '\t':
			n := tabStop - column%tabStop
			return piece{"        "[:n], n, false}
		case c >= 0x20 && c < 0x7f:
			return piece{unit, 1, false}
		}
	}
	known, ok := g.pieces[unit]
	if !ok {
		if len(g.pieces) >= memory {
			clear(g.pieces)
		}
		text := termsafe.Line(unit)
		r, size := utf8.DecodeRuneInString(unit)
		known = piece{text.String(), text.Width(), !g.shows(r, size)}
		g.pieces[unit] = known
	}
	return known
}
