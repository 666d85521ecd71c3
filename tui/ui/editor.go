package ui

import (
	"slices"
	"strings"
	"unicode"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"

	"github.com/caiatech/caiatop/tui/termsafe"
)

// Editor is a small text buffer with a cursor, for what is typed by hand or
// pasted by the terminal. It keeps every character it is given but control
// characters, of which only tab and newline are text, and refuses as a whole
// what would make it longer than its limit. It never reads a clipboard.
type Editor struct {
	lines    [][]rune
	row, col int
	size     int // runes, newlines included
	limit    int // runes
	single   bool
}

// NewEditor returns an empty editor for at most limit characters.
func NewEditor(single bool, limit int) *Editor {
	return &Editor{lines: [][]rune{nil}, limit: limit, single: single}
}

// Value returns the text as it was typed. It is not safe to show.
func (e *Editor) Value() string {
	lines := make([]string, len(e.lines))
	for i, line := range e.lines {
		lines[i] = string(line)
	}
	return strings.Join(lines, "\n")
}

// Set replaces the text and puts the cursor at its end.
func (e *Editor) Set(s string) {
	*e = *NewEditor(e.single, e.limit)
	e.insert([]rune(s))
}

// Refusal says what of a key or a paste an editor did not take.
type Refusal int

// The refusals.
const (
	TakenWhole Refusal = iota
	TooLong            // nothing was taken: it would pass the limit
	LeftOut            // control characters were left out, and the rest was taken
)

// Key applies one key or paste and reports whether the text changed, and what
// was not taken.
func (e *Editor) Key(msg tea.KeyMsg) (changed bool, r Refusal) {
	if msg.Alt {
		return false, TakenWhole
	}
	before := e.size
	switch msg.Type {
	case tea.KeyRunes, tea.KeySpace:
		return e.insert(msg.Runes)
	case tea.KeyEnter:
		if !e.single {
			return e.insert([]rune{'\n'})
		}
	case tea.KeyTab:
		if !e.single {
			return e.insert([]rune{'\t'})
		}
	case tea.KeyBackspace, tea.KeyCtrlH:
		e.backspace()
	case tea.KeyDelete:
		if at := *e; e.move(1) {
			if e.row != at.row || e.col != at.col {
				e.backspace()
			}
		}
	case tea.KeyCtrlU:
		e.size -= e.col
		e.lines[e.row] = slices.Clone(e.lines[e.row][e.col:])
		e.col = 0
	case tea.KeyLeft:
		e.move(-1)
	case tea.KeyRight:
		e.move(1)
	case tea.KeyUp:
		e.vertical(-1)
	case tea.KeyDown:
		e.vertical(1)
	case tea.KeyHome, tea.KeyCtrlA:
		e.col = 0
	case tea.KeyEnd, tea.KeyCtrlE:
		e.col = len(e.lines[e.row])
	}
	return e.size != before, TakenWhole
}

// insert takes a key or a paste whole, or, where it would pass the limit, not
// at all: half of a paste looks like the whole of it.
func (e *Editor) insert(runes []rune) (changed bool, r Refusal) {
	text, left := e.text(runes)
	if e.size+len(text) > e.limit {
		return false, TooLong
	}
	line := e.lines[e.row]
	tail := slices.Clone(line[e.col:])
	e.lines[e.row] = line[:e.col]
	var below [][]rune // the lines that begin in text
	last := &e.lines[e.row]
	for _, c := range text {
		if c == '\n' {
			below = append(below, nil)
			last = &below[len(below)-1]
			continue
		}
		*last = append(*last, c)
	}
	e.col = len(*last)
	*last = append(*last, tail...)
	e.lines = slices.Insert(e.lines, e.row+1, below...)
	e.row += len(below)
	e.size += len(text)
	if left {
		r = LeftOut
	}
	return len(text) > 0, r
}

// text is what of runes the editor keeps: every line end is a newline, and
// control characters are left out; so are line ends where there is one line,
// of which one at the very end, as a copied line has it, is not worth a word.
func (e *Editor) text(runes []rune) (text []rune, left bool) {
	text = make([]rune, 0, len(runes))
	previous := rune(0)
	for i, r := range runes {
		switch {
		case r == '\n' && previous == '\r':
		case (r == '\r' || r == '\n') && !e.single:
			text = append(text, '\n')
		case r == '\r' || r == '\n':
			left = left || strings.Trim(string(runes[i:]), "\r\n") != ""
		case r == '\t' || !unicode.IsControl(r):
			text = append(text, r)
		default:
			left = true
		}
		previous = r
	}
	return text, left
}

func (e *Editor) backspace() {
	switch {
	case e.col > 0:
		e.lines[e.row] = slices.Delete(e.lines[e.row], e.col-1, e.col)
		e.col--
	case e.row > 0:
		e.col = len(e.lines[e.row-1])
		e.lines[e.row-1] = append(e.lines[e.row-1], e.lines[e.row]...)
		e.lines = slices.Delete(e.lines, e.row, e.row+1)
		e.row--
	default:
		return
	}
	e.size--
}

// move goes one character left or right, across line ends. It reports whether
// there was somewhere to go.
func (e *Editor) move(by int) bool {
	switch col := e.col + by; {
	case col >= 0 && col <= len(e.lines[e.row]):
		e.col = col
	case by < 0 && e.row > 0:
		e.row--
		e.col = len(e.lines[e.row])
	case by > 0 && e.row < len(e.lines)-1:
		e.row, e.col = e.row+1, 0
	default:
		return false
	}
	return true
}

func (e *Editor) vertical(by int) {
	e.row = min(max(e.row+by, 0), len(e.lines)-1)
	e.col = min(e.col, len(e.lines[e.row]))
}

// View draws the part around the cursor in at most h lines of exactly w cells.
// Only a focused editor shows its caret.
func (e *Editor) View(t *Theme, w, h int, focused bool) []string {
	first := max(e.row-h+1, 0)
	var out []string
	for i := first; i < len(e.lines) && len(out) < h; i++ {
		if i != e.row || !focused {
			out = append(out, Fit(termsafe.Line(string(e.lines[i])).String(), w))
			continue
		}
		before := termsafe.Line(string(e.lines[i][:e.col])).String()
		after := termsafe.Line(string(e.lines[i][e.col:])).String()
		if n := ansi.StringWidth(before); n > w-2 {
			before = ansi.TruncateLeft(before, n-(w-2)/2, "…")
		}
		out = append(out, Fit(before+t.Paint(Accent, t.Glyphs.Caret)+after, w))
	}
	return out
}
