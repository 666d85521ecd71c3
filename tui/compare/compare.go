// Package compare shows what differs between texts and between documents, and
// merges two edits of one text.
//
// A comparison is for reading: its lines passed termsafe, it is bounded, and it
// says what it left out. A merge is for keeping: it works on bytes, so that line
// ends, a missing newline at the end and what is not UTF-8 stay what they are,
// and where both sides changed the same place it holds both.
//
// The time is bounded for texts of any kind: of two that have little in common,
// a comparison may show more as changed than a longer search would. The package
// never writes, and never decides a conflict.
package compare

import (
	"fmt"
	"strings"

	"github.com/caiatech/caiatop/tui/termsafe"
)

const (
	// MaxLines bounds the lines of a comparison.
	MaxLines = 10_000
	// MaxBytes bounds the text of its lines together, in bytes (2 MiB).
	MaxBytes = 2 << 20
	// longLine is from how many bytes on a changed line is shown from where it
	// begins to differ.
	longLine = 1000
	// lead is how much of what is alike stands before that, in bytes.
	lead = 40
)

// Kind says what a line of a comparison is.
type Kind int

// The kinds.
const (
	Same Kind = iota
	Added
	Removed
	Header // of a hunk or of a section, or what was left out
)

// Line is one line of a comparison. Its text begins with a sign of its kind, so
// that nothing depends on colour: a space, "+" or "-"; a header has none.
type Line struct {
	Kind Kind
	Text termsafe.Text
}

// Texts returns the hunks of what differs between two texts, each with a header
// and at most context lines of what is alike around it. Equal texts have no
// lines. Carriage returns at line ends are shown unless all lines of both texts
// have them. Past MaxLines and MaxBytes, the last line says what is left out.
func Texts(before, after string, context int) []Line {
	var out writer
	out.texts(before, after, context)
	return out.done()
}

// writer collects lines up to the limits.
type writer struct {
	lines []Line
	bytes int
	left  int // changed lines that were left out
	cut   bool
}

func (w *writer) add(kind Kind, s string) {
	if w.full() {
		if kind == Added || kind == Removed {
			w.left++
		}
		w.cut = true
		return
	}
	text := termsafe.Line(s)
	w.bytes += len(text.String())
	w.lines = append(w.lines, Line{kind, text})
}

// full keeps one line for what is left out.
func (w *writer) full() bool { return len(w.lines) >= MaxLines-1 || w.bytes >= MaxBytes }

func (w *writer) done() []Line {
	switch {
	case w.left > 0:
		w.lines = append(w.lines, Line{Header, termsafe.Line(fmt.Sprintf("… %d more changed lines are not shown", w.left))})
	case w.cut:
		w.lines = append(w.lines, Line{Header, termsafe.Line("… what follows is alike")})
	}
	return w.lines
}

// texts writes the hunks of two texts.
func (w *writer) texts(before, after string, context int) {
	if before == after {
		return
	}
	context = max(min(context, MaxLines), 0) // more is never shown
	p := pair{a: splitLines(before), b: splitLines(after)}
	p.crlf = allCRLF(p.a) && allCRLF(p.b)
	edits := diff(p.a, p.b)
	for i := 0; i < len(edits); {
		last := i
		for last+1 < len(edits) && edits[last+1].aFrom-edits[last].aTo <= 2*context {
			last++
		}
		if w.full() {
			for _, e := range edits[i : last+1] {
				w.left += e.aTo - e.aFrom + e.bTo - e.bFrom
			}
		} else {
			w.hunk(&p, edits[i:last+1], context)
		}
		i = last + 1
	}
}

// pair is two texts in lines.
type pair struct {
	a, b []string
	crlf bool // every line of both ends with CRLF
}

func (w *writer) hunk(p *pair, edits []edit, context int) {
	first, last := edits[0], edits[len(edits)-1]
	from := max(first.aFrom-context, 0)
	to := min(last.aTo+context, len(p.a))
	bFrom := first.bFrom - (first.aFrom - from)
	bTo := last.bTo + (to - last.aTo)
	w.add(Header, fmt.Sprintf("@@ -%s +%s @@", span(from, to), span(bFrom, bTo)))
	at := from
	for _, e := range edits {
		for ; at < e.aFrom; at++ {
			w.line(p, Same, p.a[at], "")
		}
		paired := e.aTo-e.aFrom == e.bTo-e.bFrom
		for i := e.aFrom; i < e.aTo; i++ {
			other := ""
			if paired {
				other = p.b[e.bFrom+i-e.aFrom]
			}
			w.line(p, Removed, p.a[i], other)
		}
		for i := e.bFrom; i < e.bTo; i++ {
			other := ""
			if paired {
				other = p.a[e.aFrom+i-e.bFrom]
			}
			w.line(p, Added, p.b[i], other)
		}
		at = e.aTo
	}
	for ; at < to; at++ {
		w.line(p, Same, p.a[at], "")
	}
}

// line writes one line of a text; other is the one in its place, if there is
// one.
func (w *writer) line(p *pair, kind Kind, s, other string) {
	if w.full() {
		w.add(kind, "")
		return
	}
	shown, ended := strings.CutSuffix(s, "\n")
	if p.crlf {
		shown = strings.TrimSuffix(shown, "\r")
	}
	if skip := alike(s, other) - lead; len(shown) > longLine && skip > lead {
		shown = fmt.Sprintf("… %d bytes alike … %s", skip, shown[min(skip, len(shown)):])
	}
	w.add(kind, [...]string{Same: " ", Added: "+", Removed: "-"}[kind]+shown)
	if !ended {
		w.add(kind, `\ no newline at the end`)
	}
}

// alike returns how many bytes two lines begin with alike.
func alike(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// span is how a hunk names its lines: the first one and how many, of no lines
// the one before.
func span(from, to int) string {
	switch n := to - from; n {
	case 0:
		return fmt.Sprintf("%d,0", from)
	case 1:
		return fmt.Sprint(from + 1)
	default:
		return fmt.Sprintf("%d,%d", from+1, n)
	}
}

// splitLines returns the lines of s with their ends.
func splitLines(s string) []string {
	if s == "" {
		return nil
	}
	lines := strings.SplitAfter(s, "\n")
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	return lines
}

// allCRLF reports whether every line ends with CRLF; a last one without a line
// end says nothing.
func allCRLF(lines []string) bool {
	for i, line := range lines {
		if !strings.HasSuffix(line, "\r\n") && (i < len(lines)-1 || strings.HasSuffix(line, "\n")) {
			return false
		}
	}
	return true
}
