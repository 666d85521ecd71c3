package editor

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	tea "github.com/charmbracelet/bubbletea"
	"pgregory.net/rapid"

	"github.com/caiatech/caiatop/tui/termsafe"
)

// model is an editor as simple as it can be: bytes and a caret.
type model struct {
	text  string
	caret int
	goal  int
	page  int
}

// unitAt returns the bytes of the unit at i.
func (m *model) unitAt(i int) int {
	if strings.HasPrefix(m.text[i:], "\r\n") {
		return 2
	}
	r, n := utf8.DecodeRuneInString(m.text[i:])
	if r < 0x20 || r == 0x202e || (r == utf8.RuneError && n == 1) {
		return n
	}
	for i+n < len(m.text) {
		r, size := utf8.DecodeRuneInString(m.text[i+n:])
		if r != 0x301 {
			break
		}
		n += size
	}
	return n
}

// starts returns where units begin, and the end.
func (m *model) starts() []int {
	var out []int
	for i := 0; i < len(m.text); i += m.unitAt(i) {
		out = append(out, i)
	}
	return append(out, len(m.text))
}

func (m *model) snap(i int) int {
	for _, start := range m.starts() {
		if start >= i {
			return start
		}
	}
	return len(m.text)
}

func (m *model) left(i int) int {
	out := 0
	for _, start := range m.starts() {
		if start < i {
			out = start
		}
	}
	return out
}

func (m *model) right(i int) int { return m.snap(i + 1) }

func (m *model) put(from, to int, s string) {
	m.text = m.text[:from] + s + m.text[to:]
	m.caret = m.snap(from + len(s))
}

func (m *model) line(i int) (from, to int) {
	from = strings.LastIndex(m.text[:i], "\n") + 1
	to = len(m.text)
	if n := strings.Index(m.text[i:], "\n"); n >= 0 {
		to = i + n
		if to > from && m.text[to-1] == '\r' {
			to--
		}
	}
	return from, to
}

func (m *model) cells(unit string, column int) int {
	if unit == "\t" {
		return 8 - column%8
	}
	return termsafe.Line(unit).Width()
}

func (m *model) vertical(by int) {
	from, _ := m.line(m.caret)
	if m.goal < 0 {
		m.goal = 0
		for i := from; i < m.caret; i += m.unitAt(i) {
			m.goal += m.cells(m.text[i:i+m.unitAt(i)], m.goal)
		}
	}
	for ; by < 0 && from > 0; by++ {
		from, _ = m.line(from - 1)
	}
	for ; by > 0; by-- {
		n := strings.Index(m.text[from:], "\n")
		if n < 0 {
			break
		}
		from += n + 1
	}
	_, to := m.line(from)
	column := 0
	m.caret = from
	for m.caret < to {
		n := m.unitAt(m.caret)
		column += m.cells(m.text[m.caret:m.caret+n], column)
		if column > m.goal {
			break
		}
		m.caret += n
	}
}

func (m *model) ending() string {
	if 2*strings.Count(m.text, "\r\n") > strings.Count(m.text, "\n") {
		return "\r\n"
	}
	return "\n"
}

func (m *model) key(name string) {
	inWord := func(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r) }
	if name != "up" && name != "down" && name != "pgup" && name != "pgdown" {
		m.goal = -1
	}
	from, to := m.line(m.caret)
	switch name {
	case "left":
		m.caret = m.left(m.caret)
	case "right":
		m.caret = m.right(m.caret)
	case "up":
		m.vertical(-1)
	case "down":
		m.vertical(1)
	case "pgup":
		m.vertical(-m.page)
	case "pgdown":
		m.vertical(m.page)
	case "home", "ctrl+a":
		m.caret = from
	case "end", "ctrl+e":
		m.caret = to
	case "ctrl+home":
		m.caret = 0
	case "ctrl+end":
		m.caret = len(m.text)
	case "ctrl+right":
		rest := m.text[m.caret:]
		word := strings.TrimLeftFunc(rest, func(r rune) bool { return !inWord(r) })
		m.caret = m.snap(len(m.text) - len(strings.TrimLeftFunc(word, inWord)))
	case "ctrl+left":
		rest := strings.TrimRightFunc(m.text[:m.caret], func(r rune) bool { return !inWord(r) })
		m.caret = m.snap(len(strings.TrimRightFunc(rest, inWord)))
	case "backspace":
		m.put(m.left(m.caret), m.caret, "")
	case "delete":
		m.put(m.caret, m.right(m.caret), "")
	case "ctrl+k":
		if to == m.caret {
			to = m.right(to)
		}
		m.put(m.caret, to, "")
	case "ctrl+u":
		m.put(from, m.caret, "")
	case "enter":
		m.put(m.caret, m.caret, m.ending())
	case "tab":
		m.put(m.caret, m.caret, "\t")
	default:
		typed := strings.TrimPrefix(name, "paste:")
		typed = strings.NewReplacer("\r\n", m.ending(), "\r", m.ending(), "\n", m.ending()).Replace(typed)
		m.put(m.caret, m.caret, typed)
	}
}

var (
	anyText = rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{
			"a", "B", "word ", "_", " ", "\t", "\n", "\n", "\r\n", "\r", "\x1b", "\x00", "\xff", "\xe4", "\xb8", "\xad", "é", "漢", "\u0301", "\u202e",
		}), 0, 60).Draw(t, "text"), "")
	})
	editKeys = []string{
		"left", "right", "up", "down", "pgup", "pgdown", "home", "end", "ctrl+home", "ctrl+end", "ctrl+left", "ctrl+right",
		"backspace", "backspace", "delete", "delete", "ctrl+k", "ctrl+u", "enter", "tab",
		"a", "é", "漢", "\u0301", "ab\r", "paste:one\rtwo", "paste:\x1b\x00", "paste:\r\n\tx\n",
	}
)

func TestKeysEqualANaiveModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := open(anyText.Draw(t, "text"))
		e.SetSize(4000, rapid.IntRange(1, 20).Draw(t, "h"))
		m := &model{text: e.Text(), goal: -1, page: e.pageRows()}
		for _, name := range rapid.SliceOfN(rapid.SampledFrom(editKeys), 0, 60).Draw(t, "keys") {
			before := m.text
			m.key(name)
			r := e.Key(message(name))
			if e.Text() != m.text || e.caret != m.caret {
				t.Fatalf("after %s of %q:\n got %q at %d\nwant %q at %d", name, before, e.Text(), e.caret, m.text, m.caret)
			}
			if r.Unused || r.Changed != (before != m.text) {
				t.Fatalf("%s of %q: %+v", name, before, r)
			}
			check(t, e)
		}
	})
}

func TestTextIsKeptByteForByte(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
		e := open(text)
		for _, name := range rapid.SliceOfN(rapid.SampledFrom([]string{"left", "right", "up", "down", "end", "ctrl+right", "pgdown", "esc", "ctrl+s"}), 0, 20).Draw(t, "moves") {
			e.Key(message(name))
		}
		if e.Text() != text || e.Modified() {
			t.Fatalf("%q became %q", text, e.Text())
		}
		check(t, e)
	})
}

func TestUndoAllIsTheOriginalAndRedoAllTheFinal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		original := anyText.Draw(t, "text")
		e := open(original)
		keys := append([]string{"ctrl+z", "ctrl+y", "replace", "saved"}, editKeys...)
		saved := original
		for _, name := range rapid.SliceOfN(rapid.SampledFrom(keys), 0, 80).Draw(t, "keys") {
			switch name {
			case "replace":
				e.Replace(anyText.Draw(t, "another"))
			case "saved":
				e.Saved()
				saved = e.Text()
			default:
				e.Key(message(name))
			}
			if e.Modified() != (e.Text() != saved) {
				t.Fatalf("%q, saved %q: modified %v", e.Text(), saved, e.Modified())
			}
		}
		final := e.Text()
		for len(e.history.undone) > 0 { // what was undone on the way is the end
			e.Key(message("ctrl+y"))
		}
		if e.Text() != final {
			final = e.Text()
		}
		for e.Key(message("ctrl+z")).Changed {
			check(t, e)
		}
		if e.Text() != original {
			t.Fatalf("%q, want the original %q", e.Text(), original)
		}
		for e.Key(message("ctrl+y")).Changed {
			check(t, e)
		}
		if e.Text() != final || e.history.bytes < 0 {
			t.Fatalf("%q, want the final %q", e.Text(), final)
		}
	})
}

func TestViewIsAlwaysOfItsSize(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(anyText, rapid.String(), rapid.Custom(func(t *rapid.T) string {
			return string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
		})).Draw(t, "text")
		e := open(text)
		for range 4 {
			e.SetSize(rapid.IntRange(1, 500).Draw(t, "w"), rapid.IntRange(1, 200).Draw(t, "h"))
			check(t, e)
			e.SetSize(rapid.IntRange(1, 12).Draw(t, "narrow"), rapid.IntRange(1, 6).Draw(t, "low"))
			check(t, e)
			e.Key(message(rapid.SampledFrom(append([]string{"ctrl+f", "ctrl+g", "ctrl+n", "ctrl+p", "esc"}, editKeys...)).Draw(t, "key")))
			check(t, e)
		}
	})
}

// A key that no terminal sends must not hurt either.
func TestAnyKeyIsSurvived(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := open(anyText.Draw(t, "text"))
		e.SetSize(30, 5)
		for range 30 {
			e.Key(tea.KeyMsg{
				Type: tea.KeyType(rapid.IntRange(-90, 140).Draw(t, "type")), Alt: rapid.Bool().Draw(t, "alt"), Paste: rapid.Bool().Draw(t, "paste"),
				Runes: rapid.SliceOfN(rapid.Rune(), 0, 4).Draw(t, "runes"),
			})
			check(t, e)
		}
	})
}
