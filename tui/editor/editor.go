package editor

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/tui/termsafe"
	"github.com/caiatech/caiatop/tui/ui"
)

// MaxBytes bounds the text, in bytes (10 MiB).
const MaxBytes = document.MaxContent

// ErrTooLarge is wrapped by what Holds says of a text over MaxBytes.
var ErrTooLarge = errors.New("too large for the editor")

// Holds reports why an editor cannot hold a text, nil if it can: everything
// within MaxBytes.
func Holds(text string) error {
	if len(text) > MaxBytes {
		return fmt.Errorf("%w: the text has %d bytes, the limit is %d: edit it with a program of your own",
			ErrTooLarge, len(text), MaxBytes)
	}
	return nil
}

// Editor holds one text, its caret and what of it is shown.
type Editor struct {
	theme  *ui.Theme
	buf    buffer
	glyphs glyphs
	w, h   int

	away  bool // the keys go elsewhere: no caret is drawn
	caret int  // offset in bytes, where a unit begins
	goal  int  // cell that up and down aim at, -1 if none
	top   int  // offset on the first row that is shown

	crlf, invalid int // line ends that are CRLF, bytes that are not UTF-8
	history       history
	saved         []chunk
	savedState    int
	compared      int // the state that Modified compared last
	differs       bool

	prompt prompt
	query  string // looked for last
}

// Result says what a key did.
type Result struct {
	Changed bool          // the text is another one
	Note    termsafe.Text // what to tell, empty if nothing
	Unused  bool          // not a key of the editor: the page decides
}

// New returns an editor with the caret at the start of text, which is also the
// saved text. A text over MaxBytes is held, but cannot grow; see Holds.
func New(theme *ui.Theme, text string) *Editor {
	e := &Editor{theme: theme, buf: newBuffer(text), glyphs: newGlyphs(), goal: -1, w: 80, h: 24}
	e.crlf = strings.Count(text, "\r\n")
	e.invalid = invalidBytes(text)
	e.Saved()
	return e
}

// Text returns exactly the bytes of the text. It copies all of them.
func (e *Editor) Text() string { return e.buf.slice(0, e.buf.size) }

// Focus says whether the keys are for the editor. Without them it draws no caret.
func (e *Editor) Focus(on bool) { e.away = !on }

// Modified reports whether the text differs from what New or Saved was given.
func (e *Editor) Modified() bool {
	state := e.history.state
	switch {
	case state == e.savedState:
		return false
	case state != e.compared:
		e.compared, e.differs = state, !e.buf.equal(e.saved)
	}
	return e.differs
}

// Saved makes the present text the saved one.
func (e *Editor) Saved() {
	e.saved = slices.Clone(e.buf.chunks)
	e.savedState = e.history.state
	e.compared, e.differs = e.savedState, false
	e.history.seal()
}

// SetSize sets the size of the view, in cells. Less than one is one.
func (e *Editor) SetSize(w, h int) {
	e.w, e.h = max(w, 1), max(h, 1)
	e.goal = -1
	e.reveal()
}

// Replace makes text the text, as one step that can be undone. What does not
// differ at both ends is left alone, and the caret with it.
func (e *Editor) Replace(text string) {
	old := e.Text()
	head := commonPrefix(old, text)
	tail := commonSuffix(old[head:], text[head:])
	e.history.seal()
	caret := e.caret
	if !e.change(head, len(old)-tail, text[head:len(text)-tail], whole) {
		return
	}
	switch {
	case caret <= head:
		e.caret = caret
	case caret >= len(old)-tail:
		e.caret = caret + len(text) - len(old)
	}
	e.caret = e.settle(e.caret)
	e.history.seal()
	e.reveal()
}

// Line returns the line of the caret, from 1.
func (e *Editor) Line() int { return e.buf.lineOf(e.caret) + 1 }

// Goto puts the caret at the start of a line, from 1; where there are fewer, of
// the last one.
func (e *Editor) Goto(line int) {
	e.moveTo(e.buf.startOf(line - 1))
	e.reveal()
}

// invalidBytes counts the bytes of s that are not part of UTF-8.
func invalidBytes(s string) int {
	if utf8.ValidString(s) {
		return 0
	}
	count := 0
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 {
			count++
		}
		i += size
	}
	return count
}

// blockSize is how much is compared at once, in bytes.
const blockSize = 4 << 10

func commonPrefix(a, b string) int {
	n := 0
	for n+blockSize <= min(len(a), len(b)) && a[n:n+blockSize] == b[n:n+blockSize] {
		n += blockSize
	}
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}

func commonSuffix(a, b string) int {
	n := 0
	for n+blockSize <= min(len(a), len(b)) && a[len(a)-n-blockSize:len(a)-n] == b[len(b)-n-blockSize:len(b)-n] {
		n += blockSize
	}
	for n < min(len(a), len(b)) && a[len(a)-n-1] == b[len(b)-n-1] {
		n++
	}
	return n
}
