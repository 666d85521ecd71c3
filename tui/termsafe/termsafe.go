// Package termsafe makes text from outside safe to show on a terminal.
//
// Whatever comes from a document, a path, an error, a header or a log line
// becomes a Text, and views accept nothing else. Nothing is deleted: what a
// terminal would act on, hide or reorder is replaced by a visible form, so
// that an operator sees that it is there. Control characters are shown as ^[
// or \u009b, invisible and bidirectional characters as ‹U+202E›, bytes that are
// not UTF-8 as \xNN. A cell carries at most MaxMarks combining marks. Lines and
// numbers of lines are bounded, whatever the input is.
//
// The package does no I/O, keeps nothing and never fails.
package termsafe

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
)

const (
	// MaxCells bounds a line, in terminal cells. What is cut off is marked.
	MaxCells = 4096
	// MaxMarks is the number of combining marks that one cell may carry.
	MaxMarks = 4

	tabStop = 8
	cut     = "…"
	// orphan carries a combining mark that has nothing to stand on, so that it
	// cannot decorate what the screen shows before it.
	orphan = "◌"
	// window bounds the bytes that are searched for the end of one cluster.
	window = 96
)

// Text is one line that any terminal shows as it is: valid UTF-8 without
// control, bidirectional or invisible characters. The zero Text is empty.
type Text struct {
	s     string
	width int
}

// String returns the line.
func (t Text) String() string { return t.s }

// Width returns the cells that the line takes, 0 to MaxCells.
func (t Text) Width() int { return t.width }

// Line makes one Text of s. Line ends within s are shown as ^J and ^M.
func Line(s string) Text {
	l := liner{in: s}
	return l.run()
}

// Lines splits s at its newlines and makes a Text of each line. If there are
// more than limit, the last of the limit lines returned says how many are
// left out. An empty s, and a limit below one, have no lines.
func Lines(s string, limit int) []Text {
	if s == "" || limit < 1 {
		return nil
	}
	s = strings.TrimSuffix(s, "\n")
	var out []Text
	for {
		line, rest, more := strings.Cut(s, "\n")
		if more && len(out) == limit-1 {
			left := strings.Count(rest, "\n") + 2
			return append(out, Line(fmt.Sprintf("%s %d more lines", cut, left)))
		}
		out = append(out, Line(line))
		if !more {
			return out
		}
		s = rest
	}
}

// liner turns one line into a Text, from left to right.
type liner struct {
	in    string
	out   strings.Builder
	width int
}

func (l *liner) run() Text {
	l.out.Grow(min(len(l.in), MaxCells))
	for i := 0; i < len(l.in); {
		r, size := utf8.DecodeRuneInString(l.in[i:])
		piece, width, n := string(r), 1, size
		switch shown := replacement(r, size, l.in[i], l.width); {
		case shown != "":
			piece, width = shown, ansi.StringWidth(shown)
		case r >= utf8.RuneSelf || !asciiNext(l.in, i+size):
			piece, n = l.cluster(i)
			width = ansi.StringWidth(piece)
		}
		if !l.fits(width, i+n < len(l.in)) {
			l.write(cut, 1)
			break
		}
		l.write(piece, width)
		i += n
	}
	s := l.out.String()
	return Text{s, ansi.StringWidth(s)}
}

// fits keeps one cell free for the mark that says that the line was cut.
func (l *liner) fits(width int, more bool) bool {
	if more {
		width++
	}
	return l.width+width <= MaxCells
}

func (l *liner) write(s string, width int) {
	l.out.WriteString(s)
	l.width += width
}

// cluster returns how the user-perceived character at i is shown, and how many
// bytes of the input it covers. It ends before the first character that has to
// be replaced.
func (l *liner) cluster(i int) (string, int) {
	ahead := l.in[i:min(i+window, len(l.in))]
	for len(ahead) < len(l.in)-i && !utf8.RuneStart(l.in[i+len(ahead)]) {
		ahead = ahead[:len(ahead)-1]
	}
	whole, _ := ansi.FirstGraphemeCluster(ahead, ansi.GraphemeWidth)
	var shown strings.Builder
	first, size := utf8.DecodeRuneInString(whole)
	n, marks, extra := size, 0, 0
	if unicode.Is(unicode.M, first) {
		// A mark that stands on something is part of the cluster before.
		shown.WriteString(orphan)
		marks++
	}
	shown.WriteString(whole[:size])
	for n < len(l.in)-i {
		r, size := utf8.DecodeRuneInString(l.in[i+n:])
		mark := unicode.Is(unicode.M, r)
		if (n >= len(whole) && !mark) || replacement(r, size, l.in[i+n], 0) != "" {
			break
		}
		switch marks++; {
		case marks > MaxMarks:
			extra++
		case wideJamo(r):
			fmt.Fprintf(&shown, "‹U+%04X›", r)
		default:
			shown.WriteRune(r)
		}
		n += size
	}
	if extra > 0 {
		fmt.Fprintf(&shown, "‹+%d›", extra)
	}
	return shown.String(), n
}

// asciiNext reports whether what stands at i cannot join the character before
// it.
func asciiNext(s string, i int) bool { return i >= len(s) || s[i] < utf8.RuneSelf }

// replacement returns what is shown in place of r, or "" if r is shown as it
// is. The column decides how far a tab goes.
func replacement(r rune, size int, b byte, column int) string {
	switch {
	case r == utf8.RuneError && size == 1:
		return fmt.Sprintf(`\x%02x`, b)
	case r == '\t':
		return strings.Repeat(" ", tabStop-column%tabStop)
	case r < 0x20:
		return "^" + string(r+'@')
	case r < 0x7f:
		return ""
	case r == 0x7f:
		return "^?"
	case r < 0xa0:
		return fmt.Sprintf(`\u%04x`, r)
	case hidden(r):
		return fmt.Sprintf("‹U+%04X›", r)
	}
	return ""
}

// hidden reports characters that are not seen, or that change how others are
// drawn: bidirectional controls, joiners, zero-width and variation characters,
// fillers, line separators, tags and what is no character at all.
func hidden(r rune) bool {
	switch {
	case unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Variation_Selector, unicode.Noncharacter_Code_Point):
		return true
	case r >= 0xe0000 && r <= 0xe0fff: // tags, and what may become some
		return true
	case r >= 0xe000 && r <= 0xf8ff, r >= 0xf0000: // private use: any width
		return true
	}
	switch r {
	case '\u034f', '\u115f', '\u1160', '\u17b4', '\u17b5', '\u3164', '\uffa0':
		return true
	case '\ufff9', '\ufffa', '\ufffb', '\ufffc':
		return true
	}
	return false
}

// wideJamo reports the Hangul letters that open a syllable: a row of them is
// one character to Unicode, and many cells on a terminal.
func wideJamo(r rune) bool {
	return (r >= 0x1100 && r <= 0x115f) || (r >= 0xa960 && r <= 0xa97c)
}
