package editor

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/caiatech/caiatop/tui/termsafe"
	"github.com/caiatech/caiatop/tui/ui"
)

// Question is what a prompt asks for.
type Question int

// Questions.
const (
	Nothing  Question = iota // there is no prompt
	FindText                 // a text to go to
	GotoLine                 // the number of a line to go to
)

// maxDigits bounds the number of a line, as it is typed.
const maxDigits = 9

// prompt takes the place of the status line.
type prompt struct {
	kind     Question
	typed    string
	origin   int    // where the caret was
	from, to int    // what was found
	told     string // about it
}

// Asking returns what the prompt asks for; esc closes it.
func (e *Editor) Asking() Question { return e.prompt.kind }

func (e *Editor) openFind() Result {
	e.history.seal()
	e.prompt = prompt{kind: FindText, origin: e.caret}
	if e.query != "" {
		e.prompt.told = "enter: " + e.query
	}
	return Result{}
}

func (e *Editor) openGoto() Result {
	e.history.seal()
	e.prompt = prompt{kind: GotoLine, origin: e.caret}
	return Result{}
}

// promptKey applies a key to the prompt. What it does not use closes the prompt
// and is for the text.
func (e *Editor) promptKey(msg tea.KeyMsg) (Result, bool) {
	if typed, ok := typedText(msg); ok {
		e.promptType(typed)
		return Result{}, true
	}
	find := e.prompt.kind == FindText
	switch name := msg.String(); {
	case name == "esc":
		e.prompt = prompt{}
	case name == "backspace" || name == "ctrl+h":
		_, size := utf8.DecodeLastRuneInString(e.prompt.typed)
		e.prompt.typed = e.prompt.typed[:len(e.prompt.typed)-size]
		e.search()
	case name == "ctrl+u":
		e.prompt.typed = ""
		e.search()
	case find && (name == "enter" || name == "ctrl+n" || name == "ctrl+f" || name == "ctrl+w" || name == "ctrl+j"):
		return e.again(true), true
	case find && name == "ctrl+p":
		return e.again(false), true
	case find && name == "tab":
		e.promptType("\t")
	case !find && (name == "enter" || name == "ctrl+j"):
		return e.leaveForLine(), true
	default:
		return Result{}, false
	}
	return Result{}, true
}

// promptType adds to what is asked for; of a paste, its first line.
func (e *Editor) promptType(s string) {
	if n := strings.IndexAny(s, "\r\n"); n >= 0 {
		s = s[:n]
	}
	limit := maxQuery
	if e.prompt.kind == GotoLine {
		limit = maxDigits
		s = strings.Map(func(r rune) rune {
			if r < '0' || r > '9' {
				return -1
			}
			return r
		}, s)
	}
	if len(e.prompt.typed)+len(s) > limit {
		e.prompt.told = "no longer than " + strconv.Itoa(limit) + " bytes"
		return
	}
	e.prompt.typed += s
	e.search()
}

// search goes to the first match at or after the place where the prompt was
// opened.
func (e *Editor) search() {
	p := &e.prompt
	p.told, p.from, p.to = "", 0, 0
	if p.kind != FindText {
		return
	}
	if p.typed == "" {
		e.moveTo(p.origin)
		return
	}
	e.query = p.typed
	f := newFinder(p.typed)
	start, end, ok := e.forward(&f, p.origin, e.buf.size)
	if !ok && f.stopped < 0 {
		if start, end, ok = e.forward(&f, 0, p.origin); ok {
			p.told = "from the start"
		}
	}
	e.found(&f, start, end, ok)
}

// found goes to a match, or as far as the search went.
func (e *Editor) found(f *finder, start, end int, ok bool) {
	if f.stopped >= 0 {
		e.moveTo(f.stopped)
		e.prompt.from, e.prompt.to = 0, 0
		e.prompt.told = "not found so far: enter looks further"
		return
	}
	if !ok {
		e.prompt.told = "not found"
		e.prompt.from, e.prompt.to = 0, 0
		return
	}
	e.moveTo(start)
	e.prompt.from, e.prompt.to = start, end
}

// again goes to the next match or the one before, around the ends of the text.
func (e *Editor) again(next bool) Result {
	p := &e.prompt
	if p.typed == "" {
		if e.query == "" {
			return Result{}
		}
		// What was looked for last is looked for again.
		p.typed = e.query
	}
	p.told = ""
	e.query = p.typed
	f := newFinder(p.typed)
	at := e.caret
	past := at
	if p.to > p.from {
		at, past = p.from, p.from+1
	}
	var start, end int
	var ok bool
	if next {
		if start, end, ok = e.forward(&f, past, e.buf.size); !ok && f.stopped < 0 {
			p.told = "from the start"
			start, end, ok = e.forward(&f, 0, past)
		}
	} else if start, end, ok = e.backward(&f, 0, at); !ok && f.stopped < 0 {
		p.told = "from the end"
		start, end, ok = e.backward(&f, at, e.buf.size)
	}
	e.found(&f, start, end, ok)
	if !ok && f.stopped < 0 {
		return Result{Note: termsafe.Line("not found: " + p.typed)}
	}
	return Result{}
}

func (e *Editor) leaveForLine() Result {
	n, err := strconv.Atoi(e.prompt.typed)
	e.prompt = prompt{}
	if err != nil { // nothing was typed
		return Result{}
	}
	e.Goto(n)
	if n < 1 || n > e.buf.lines+1 {
		return Result{Note: termsafe.Line(fmt.Sprintf("line %s: the text has %s", ui.Count(int64(n)), ui.Count(int64(e.buf.lines)+1)))}
	}
	return Result{}
}
