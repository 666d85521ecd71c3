package editor

import (
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/lipgloss"
	"github.com/charmbracelet/x/ansi"
	"github.com/muesli/termenv"
	"go.uber.org/goleak"

	"github.com/caiatech/caiatop/tui/ui"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func theme(p termenv.Profile) *ui.Theme {
	r := lipgloss.NewRenderer(io.Discard)
	r.SetColorProfile(p)
	return ui.NewTheme(r, ui.Unicode())
}

func open(text string) *Editor { return New(theme(termenv.Ascii), text) }

var named = map[string]tea.KeyMsg{
	"left": {Type: tea.KeyLeft}, "right": {Type: tea.KeyRight}, "up": {Type: tea.KeyUp}, "down": {Type: tea.KeyDown},
	"home": {Type: tea.KeyHome}, "end": {Type: tea.KeyEnd}, "ctrl+a": {Type: tea.KeyCtrlA}, "ctrl+e": {Type: tea.KeyCtrlE},
	"ctrl+left": {Type: tea.KeyCtrlLeft}, "ctrl+right": {Type: tea.KeyCtrlRight}, "pgup": {Type: tea.KeyPgUp}, "pgdown": {Type: tea.KeyPgDown},
	"ctrl+home": {Type: tea.KeyCtrlHome}, "ctrl+end": {Type: tea.KeyCtrlEnd}, "enter": {Type: tea.KeyEnter}, "tab": {Type: tea.KeyTab},
	"backspace": {Type: tea.KeyBackspace}, "delete": {Type: tea.KeyDelete}, "ctrl+k": {Type: tea.KeyCtrlK}, "ctrl+u": {Type: tea.KeyCtrlU},
	"ctrl+z": {Type: tea.KeyCtrlZ}, "ctrl+_": {Type: tea.KeyCtrlUnderscore}, "ctrl+y": {Type: tea.KeyCtrlY}, "ctrl+f": {Type: tea.KeyCtrlF},
	"ctrl+w": {Type: tea.KeyCtrlW}, "ctrl+n": {Type: tea.KeyCtrlN}, "ctrl+p": {Type: tea.KeyCtrlP}, "ctrl+g": {Type: tea.KeyCtrlG},
	"esc": {Type: tea.KeyEsc}, "space": {Type: tea.KeySpace, Runes: []rune{' '}}, "ctrl+s": {Type: tea.KeyCtrlS}, "ctrl+c": {Type: tea.KeyCtrlC},
	"alt+x": {Type: tea.KeyRunes, Runes: []rune{'x'}, Alt: true}, "nul": {Type: tea.KeyNull},
}

// press applies keys by their names; what has no name is typed.
func press(t testing.TB, e *Editor, names ...string) Result {
	t.Helper()
	var r Result
	for _, name := range names {
		r = e.Key(message(name))
	}
	return r
}

func message(name string) tea.KeyMsg {
	if pasted, ok := strings.CutPrefix(name, "paste:"); ok {
		return tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(pasted), Paste: true}
	}
	if msg, ok := named[name]; ok {
		return msg
	}
	return tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(name)}
}

// check holds what every editor promises at every moment.
func check(t interface {
	Helper()
	Fatalf(string, ...any)
}, e *Editor,
) {
	t.Helper()
	text := e.Text()
	if e.buf.size != len(text) || e.buf.lines != strings.Count(text, "\n") {
		t.Fatalf("%q: size %d, %d lines", text, e.buf.size, e.buf.lines)
	}
	if want := strings.Count(text, "\r\n"); e.crlf != want {
		t.Fatalf("%q: %d CRLF, counted %d", text, want, e.crlf)
	}
	if want := invalidBytes(text); e.invalid != want {
		t.Fatalf("%q: %d invalid bytes, counted %d", text, want, e.invalid)
	}
	if want := strings.Count(text[:e.caret], "\n") + 1; e.Line() != want {
		t.Fatalf("%q at %d: line %d, want %d", text, e.caret, e.Line(), want)
	}
	lines := e.View()
	if len(lines) != e.h {
		t.Fatalf("%d lines, want %d", len(lines), e.h)
	}
	for _, line := range lines {
		plain := ansi.Strip(line)
		if ansi.StringWidth(plain) != e.w || !utf8.ValidString(plain) {
			t.Fatalf("%q has %d cells, want %d", line, ansi.StringWidth(plain), e.w)
		}
		if strings.ContainsFunc(plain, func(r rune) bool { return r < 0x20 || r == 0x7f || (r >= 0x80 && r < 0xa0) || r == 0x202e }) {
			t.Fatalf("unsafe: %q", line)
		}
	}
	body := lines[:max(len(lines)-1, 1)]
	if e.prompt.kind == Nothing && e.w > 1 && strings.Count(strings.Join(body, ""), e.theme.Glyphs.Caret) != 1 {
		t.Fatalf("no caret, or several:\n%s", strings.Join(lines, "\n"))
	}
}
