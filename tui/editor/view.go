package editor

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"

	"github.com/caiatech/caiatop/tui/termsafe"
	"github.com/caiatech/caiatop/tui/ui"
)

const (
	// minText is the width of the text, in cells, that line numbers leave.
	minText = 24
	// maxColumn is how far into a line characters are counted, in bytes.
	maxColumn = 64 << 10
)

// textHeight is what the status line leaves, if there is room for both.
func (e *Editor) textHeight() int { return max(e.h-1, 1) }

// gutter is the width of the line numbers with the space beside them, 0 if
// there is no room.
func (e *Editor) gutter() int {
	n := max(len(strconv.Itoa(e.buf.lines+1)), 3) + 1
	if e.w-n-1 < minText {
		return 0
	}
	return n
}

// textWidth is what the line numbers and the caret leave.
func (e *Editor) textWidth() int { return max(e.w-e.gutter()-1, 1) }

// View draws exactly as many lines as SetSize was given, each of exactly its
// width: the text around the caret, soft wrapped, and below it the status or
// the prompt. What it costs does not depend on the length of the text.
func (e *Editor) View() []string {
	out := make([]string, 0, e.h)
	if e.h == 1 && e.prompt.kind != Nothing {
		return append(out, e.promptLine())
	}
	c := e.cursorAt(min(e.top, e.buf.size))
	at := e.cursorAt(e.caret)
	number := e.buf.lineOf(c.lineFrom) + 1
	gutter := e.gutter()
	for more := true; len(out) < e.textHeight(); {
		if !more {
			out = append(out, ui.Fit("", e.w))
			continue
		}
		left := ""
		if gutter > 0 {
			left = strings.Repeat(" ", gutter)
			if c.first() {
				left = e.theme.Paint(ui.Dim, fmt.Sprintf("%*d ", gutter-1, number))
			}
		}
		caret := -1
		if !e.away && c.row() == at.row() {
			caret = e.caret
		}
		out = append(out, ui.Fit(left+e.draw(&c, caret), e.w))
		line := c.lineFrom
		more = e.down(&c)
		if c.lineFrom != line {
			number++
		}
	}
	switch {
	case e.h == 1:
	case e.prompt.kind != Nothing:
		out = append(out, e.promptLine())
	default:
		out = append(out, e.status())
	}
	return out
}

// draw returns one row, with the caret in a cell of its own if it is in it.
func (e *Editor) draw(c *cursor, caret int) string {
	p := painter{theme: e.theme}
	width, column := e.w-e.gutter(), 0
	if caret >= 0 && width > 1 {
		width-- // for the caret
	}
	for at := c.row().from; at < c.row().to; {
		n := e.glyphs.next(c.s[at-c.from:])
		shown := e.glyphs.show(c.s[at-c.from:][:n], column)
		if at == caret {
			p.add(ui.Accent, e.theme.Glyphs.Caret)
		}
		tone := ui.Plain
		switch {
		case at >= e.prompt.from && at < e.prompt.to:
			tone = ui.Found
		case shown.sign:
			tone = ui.Dim
		}
		text := shown.text
		if column+shown.width > width { // wider than a whole row
			text = ansi.Truncate(text, width-column, "")
		}
		p.add(tone, text)
		column += shown.width
		at += n
	}
	if caret == c.row().to {
		p.add(ui.Accent, e.theme.Glyphs.Caret)
	}
	return p.done()
}

// painter joins what is painted alike.
type painter struct {
	theme *ui.Theme
	out   strings.Builder
	run   strings.Builder
	tone  ui.Tone
}

func (p *painter) add(tone ui.Tone, s string) {
	if tone != p.tone {
		p.flush()
		p.tone = tone
	}
	p.run.WriteString(s)
}

func (p *painter) flush() {
	p.out.WriteString(p.theme.Paint(p.tone, p.run.String()))
	p.run.Reset()
}

func (p *painter) done() string {
	p.flush()
	return p.out.String()
}

// status tells where the caret is, and what of the text is not seen.
func (e *Editor) status() string {
	start := e.buf.lineStart(e.caret)
	column := ""
	if n := e.caret - start; n <= maxColumn {
		column = strconv.Itoa(utf8.RuneCountInString(e.buf.slice(start, e.caret)) + 1)
	} else {
		column = "byte " + strconv.Itoa(n+1)
	}
	parts := []string{fmt.Sprintf("%d:%s", e.buf.lineOf(e.caret)+1, column)}
	if e.Modified() {
		parts = append(parts, "modified")
	}
	parts = append(parts, ui.Count(int64(e.buf.size))+" bytes")
	parts = append(parts, e.marks()...)
	return ui.Fit(e.theme.Paint(ui.Dim, ui.Fit(strings.Join(parts, "  "), e.w)), e.w)
}

// marks name what a screen does not show.
func (e *Editor) marks() []string {
	var out []string
	switch {
	case e.crlf > 0 && e.crlf == e.buf.lines:
		out = append(out, "CRLF")
	case e.crlf > 0:
		out = append(out, fmt.Sprintf("CRLF in %s of %s lines", ui.Count(int64(e.crlf)), ui.Count(int64(e.buf.lines))))
	}
	if e.buf.size >= 3 && e.buf.slice(0, 3) == "\ufeff" {
		out = append(out, "BOM")
	}
	switch {
	case e.invalid == 1:
		out = append(out, "1 invalid byte")
	case e.invalid > 1:
		out = append(out, ui.Count(int64(e.invalid))+" invalid bytes")
	}
	return out
}

// promptLine shows the end of what is typed, where the caret is.
func (e *Editor) promptLine() string {
	label := "find: "
	if e.prompt.kind == GotoLine {
		label = "go to line: "
	}
	typed := termsafe.Line(e.prompt.typed).String()
	told := ""
	if e.prompt.told != "" {
		told = "  " + termsafe.Line(e.prompt.told).String()
	}
	room := max(e.w-len(label)-1, 1)
	if n := ansi.StringWidth(typed); n > room {
		typed = ansi.TruncateLeft(typed, n-room+1, "…")
	}
	line := e.theme.Paint(ui.Strong, label) + typed + e.theme.Paint(ui.Accent, e.theme.Glyphs.Caret)
	return ui.Fit(line+e.theme.Paint(ui.Warn, told), e.w)
}
