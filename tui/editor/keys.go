package editor

import (
	"fmt"
	"strings"

	"github.com/charmbracelet/bubbles/key"
	tea "github.com/charmbracelet/bubbletea"

	"github.com/caiatech/caiatop/tui/termsafe"
)

// command is what one of the editor's keys does.
type command struct {
	keys []string
	help string // shown in the footer and in help, empty for what fingers know
	name string // of the key in help
	do   func(e *Editor) Result
}

// commands are the keys of the editor. None is alt and a letter: that is what
// esc and a letter typed fast look like. They are a function, because what they
// do refers to them.
func commands() []command {
	return []command{
		{[]string{"ctrl+f", "ctrl+w"}, "find", "ctrl+f", (*Editor).openFind},
		{[]string{"ctrl+g"}, "go to line", "ctrl+g", (*Editor).openGoto},
		{[]string{"ctrl+z", "ctrl+_"}, "undo", "ctrl+z", (*Editor).onUndo},
		{[]string{"ctrl+y"}, "redo", "ctrl+y", (*Editor).onRedo},
		{[]string{"ctrl+k"}, "cut to the end", "ctrl+k", (*Editor).onCutRight},
		{[]string{"ctrl+u"}, "cut to the start", "ctrl+u", (*Editor).onCutLeft},
		{[]string{"ctrl+left", "alt+left"}, "word left", "ctrl+left", moves(func(e *Editor) int { return e.wordLeft(e.caret) })},
		{[]string{"ctrl+right", "alt+right"}, "word right", "ctrl+right", moves(func(e *Editor) int { return e.wordRight(e.caret) })},
		{[]string{"home", "ctrl+a"}, "start of the line", "home", moves((*Editor).lineStart)},
		{[]string{"end", "ctrl+e"}, "end of the line", "end", moves((*Editor).lineEnd)},
		{[]string{"ctrl+home"}, "start of the text", "ctrl+home", moves(func(*Editor) int { return 0 })},
		{[]string{"ctrl+end"}, "end of the text", "ctrl+end", moves(func(e *Editor) int { return e.buf.size })},
		{[]string{"left"}, "", "", moves(func(e *Editor) int { return e.before(e.caret) })},
		{[]string{"right"}, "", "", moves(func(e *Editor) int { return e.after(e.caret) })},
		{[]string{"up"}, "", "", rows(func(*Editor) int { return -1 })},
		{[]string{"down"}, "", "", rows(func(*Editor) int { return 1 })},
		{[]string{"pgup"}, "", "", rows(func(e *Editor) int { return -e.pageRows() })},
		{[]string{"pgdown"}, "", "", rows((*Editor).pageRows)},
		{[]string{"enter", "ctrl+j"}, "", "", func(e *Editor) Result { return e.insert(e.lineEnding(), whole) }},
		{[]string{"tab"}, "", "", func(e *Editor) Result { return e.insert("\t", typing) }},
		{[]string{"backspace", "ctrl+h"}, "", "", (*Editor).onBackspace},
		{[]string{"delete", "ctrl+d"}, "", "", (*Editor).onDelete},
	}
}

// table finds the command of a key.
var table = func() map[string]func(e *Editor) Result {
	out := map[string]func(e *Editor) Result{}
	for _, c := range commands() {
		for _, k := range c.keys {
			out[k] = c.do
		}
	}
	return out
}()

// Keys returns the bindings that help and footer name, the most wanted first.
func Keys() []key.Binding {
	var out []key.Binding
	for _, c := range commands() {
		if c.help != "" {
			out = append(out, key.NewBinding(key.WithKeys(c.keys...), key.WithHelp(c.name, c.help)))
		}
	}
	return out
}

// Key applies one key or paste, to the prompt if one is open. What it does not
// know is Unused, and changes nothing.
func (e *Editor) Key(msg tea.KeyMsg) Result {
	if e.prompt.kind != Nothing {
		if r, used := e.promptKey(msg); used {
			e.reveal()
			return r
		}
	}
	asked := e.prompt
	e.prompt = prompt{}
	r := e.edit(msg)
	if r.Unused {
		e.prompt = asked
		return r
	}
	e.reveal()
	return r
}

func (e *Editor) edit(msg tea.KeyMsg) Result {
	if typed, ok := typedText(msg); ok {
		kind := typing
		if msg.Paste {
			kind = whole
		}
		return e.insert(e.withLineEndings(typed), kind)
	}
	if do := table[msg.String()]; do != nil && !msg.Paste {
		return do(e)
	}
	return Result{Unused: true}
}

// typedText returns what a key types, if it types anything.
func typedText(msg tea.KeyMsg) (string, bool) {
	if msg.Paste || (!msg.Alt && (msg.Type == tea.KeyRunes || msg.Type == tea.KeySpace)) {
		if msg.Type == tea.KeySpace && len(msg.Runes) == 0 {
			return " ", true
		}
		return string(msg.Runes), true
	}
	return "", false
}

// moves makes a command of a place to go to.
func moves(to func(e *Editor) int) func(e *Editor) Result {
	return func(e *Editor) Result {
		e.moveTo(to(e))
		return Result{}
	}
}

// rows makes a command of a number of rows to go down.
func rows(by func(e *Editor) int) func(e *Editor) Result {
	return func(e *Editor) Result {
		e.vertical(by(e))
		return Result{}
	}
}

// lineEnding returns what most lines of the text end with.
func (e *Editor) lineEnding() string {
	if 2*e.crlf > e.buf.lines {
		return "\r\n"
	}
	return "\n"
}

// withLineEndings returns s with the line ends of the text: terminals send a
// paste with carriage returns.
func (e *Editor) withLineEndings(s string) string {
	if !strings.ContainsAny(s, "\r\n") {
		return s
	}
	s = strings.ReplaceAll(s, "\r\n", "\n")
	s = strings.ReplaceAll(s, "\r", "\n")
	if ending := e.lineEnding(); ending != "\n" {
		s = strings.ReplaceAll(s, "\n", ending)
	}
	return s
}

// insert takes s whole or, where it does not fit, not at all: half of a paste
// looks like the whole of it.
func (e *Editor) insert(s string, k kind) Result {
	if len(s) > MaxBytes-min(e.buf.size, MaxBytes) {
		return Result{Note: termsafe.Line(fmt.Sprintf(
			"%d bytes do not fit: the text has %d, the limit is %d", len(s), e.buf.size, MaxBytes))}
	}
	return Result{Changed: e.change(e.caret, e.caret, s, k)}
}

func (e *Editor) onBackspace() Result {
	return Result{Changed: e.change(e.before(e.caret), e.caret, "", erasing)}
}

func (e *Editor) onDelete() Result {
	return Result{Changed: e.change(e.caret, e.after(e.caret), "", deleting)}
}

// onCutRight cuts to the end of the line; there, it cuts the line end.
func (e *Editor) onCutRight() Result {
	end := e.lineEnd()
	if end == e.caret {
		end = e.after(e.caret)
	}
	return Result{Changed: e.change(e.caret, end, "", whole)}
}

func (e *Editor) onCutLeft() Result {
	return Result{Changed: e.change(e.lineStart(), e.caret, "", whole)}
}

func (e *Editor) onUndo() Result {
	if !e.undo() {
		return Result{Note: termsafe.Line("nothing to undo")}
	}
	return Result{Changed: true}
}

func (e *Editor) onRedo() Result {
	if !e.redo() {
		return Result{Note: termsafe.Line("nothing to redo")}
	}
	return Result{Changed: true}
}
