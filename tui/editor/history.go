package editor

import (
	"strings"
	"unicode/utf8"
)

// Limits of what can be undone. The oldest steps are forgotten first, the
// newest one never.
const (
	// MaxSteps bounds the number of steps.
	MaxSteps = 10_000
	// MaxHistory bounds the bytes that they hold (32 MiB).
	MaxHistory = 32 << 20
	// maxTyped bounds what is typed in one step, in bytes.
	maxTyped = 64
)

// kind says which changes become one step.
type kind int

const (
	whole    kind = iota // a step by itself
	typing               // joined with typing right before it
	erasing              // to the left, joined with erasing right before it
	deleting             // to the right, likewise
)

// step is a change of the text that can be undone.
type step struct {
	at                int
	removed, inserted string
	before, after     int // the caret
	from, to          int // states of the text
	kind              kind
}

// history holds the steps before the present text, and those that were undone.
// Each text has a state of its own; the same state is the same text.
type history struct {
	done, undone []step
	state, last  int
	bytes        int // in done and undone
	sealed       bool
}

// seal ends the present step: what follows is another one.
func (h *history) seal() { h.sealed = true }

// add keeps a step that was just done.
func (h *history) add(s step) {
	for _, gone := range h.undone {
		h.bytes -= len(gone.removed) + len(gone.inserted)
	}
	h.undone = h.undone[:0]
	h.last++
	s.from, s.to = h.state, h.last
	h.state = h.last
	h.bytes += len(s.removed) + len(s.inserted)
	if n := len(h.done); n > 0 && !h.sealed && join(&h.done[n-1], s) {
		return
	}
	h.sealed = false
	h.done = append(h.done, s)
	drop := 0
	for len(h.done)-drop > 1 && (len(h.done)-drop > MaxSteps || h.bytes > MaxHistory) {
		h.bytes -= len(h.done[drop].removed) + len(h.done[drop].inserted)
		h.done[drop] = step{}
		drop++
	}
	h.done = h.done[drop:]
}

// join makes one step of two, if they are of one kind and beside each other.
func join(old *step, s step) bool {
	if old.kind != s.kind || len(old.inserted)+len(old.removed) >= maxTyped {
		return false
	}
	switch {
	case s.kind == typing && s.at == old.at+len(old.inserted) && s.removed == "" && !strings.HasSuffix(old.inserted, "\n"):
		old.inserted += s.inserted
	case s.kind == erasing && s.at+len(s.removed) == old.at:
		old.at = s.at
		old.removed = s.removed + old.removed
	case s.kind == deleting && s.at == old.at:
		old.removed += s.removed
	default:
		return false
	}
	old.after, old.to = s.after, s.to
	return true
}

// change puts s in place of the bytes between two offsets, moves the caret
// behind it, and reports whether that changed anything.
func (e *Editor) change(from, to int, s string, k kind) bool {
	e.goal = -1 // also where there was nothing to change
	removed := strings.Clone(e.buf.slice(from, to))
	if removed == s {
		return false
	}
	st := step{at: from, removed: removed, inserted: s, before: e.caret, kind: k}
	e.swap(from, removed, s)
	e.caret = e.settle(from + len(s))
	st.after = e.caret
	e.history.add(st)
	return true
}

// swap changes the text and all that is known about it.
func (e *Editor) swap(at int, removed, inserted string) {
	e.count(at, len(removed), -1)
	e.buf.replace(at, at+len(removed), inserted)
	e.count(at, len(inserted), 1)
	switch {
	case e.top >= at+len(removed):
		e.top += len(inserted) - len(removed)
	case e.top > at:
		e.top = at
	}
}

// count adds what lies around a change to the counters, or takes it away. Both
// ends are where a character begins, whatever the change is: a byte that cannot
// follow begins one, and after three that can only follow each stands alone.
func (e *Editor) count(at, n, sign int) {
	from, to := max(at-1, 0), min(at+n+1, e.buf.size)
	e.crlf += sign * strings.Count(e.buf.slice(from, to), "\r\n")
	from, to = at, at+n
	for back := 1; back <= utf8.UTFMax && at-back >= 0; back++ {
		if utf8.RuneStart(e.buf.at(at - back)) {
			from = at - back
			break
		}
	}
	for to < min(at+n+utf8.UTFMax, e.buf.size) && !utf8.RuneStart(e.buf.at(to)) {
		to++
	}
	e.invalid += sign * invalidBytes(e.buf.slice(from, to))
}

// undo takes the newest step back and reports whether there was one.
func (e *Editor) undo() bool {
	h := &e.history
	if len(h.done) == 0 {
		return false
	}
	s := h.done[len(h.done)-1]
	h.done = h.done[:len(h.done)-1]
	h.undone = append(h.undone, s)
	e.swap(s.at, s.inserted, s.removed)
	e.caret, e.goal = s.before, -1
	h.state = s.from
	h.seal()
	return true
}

// redo does again what was undone last and reports whether there was something.
func (e *Editor) redo() bool {
	h := &e.history
	if len(h.undone) == 0 {
		return false
	}
	s := h.undone[len(h.undone)-1]
	h.undone = h.undone[:len(h.undone)-1]
	h.done = append(h.done, s)
	e.swap(s.at, s.removed, s.inserted)
	e.caret, e.goal = s.after, -1
	h.state = s.to
	h.seal()
	return true
}
