package ui

import (
	"strings"
	"testing"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"
	"github.com/muesli/termenv"
	"pgregory.net/rapid"
)

func keys(e *Editor, kinds ...tea.KeyType) {
	for _, k := range kinds {
		e.Key(tea.KeyMsg{Type: k})
	}
}

func typed(e *Editor, s string) (changed, whole bool) {
	return e.Key(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(s)})
}

func TestEditorKeepsWhatIsTyped(t *testing.T) {
	e := NewEditor(false, 100)
	typed(e, "one\ttwo\r\nthree\rfour\nfive\x1b\x00")
	if got, want := e.Value(), "one\ttwo\nthree\nfour\nfive"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestEditorKeys(t *testing.T) {
	tests := []struct {
		name   string
		single bool
		keys   []tea.KeyType
		want   string
	}{
		{"backspace", true, []tea.KeyType{tea.KeyBackspace}, "ab"},
		{"backspace at the start", true, []tea.KeyType{tea.KeyHome, tea.KeyBackspace}, "abc"},
		{"delete", true, []tea.KeyType{tea.KeyHome, tea.KeyDelete}, "bc"},
		{"delete at the end", true, []tea.KeyType{tea.KeyDelete}, "abc"},
		{"cut to the start", true, []tea.KeyType{tea.KeyLeft, tea.KeyCtrlU}, "c"},
		{"no newline in a field", true, []tea.KeyType{tea.KeyEnter}, "abc"},
		{"newline", false, []tea.KeyType{tea.KeyLeft, tea.KeyEnter}, "ab\nc"},
		{"join lines", false, []tea.KeyType{tea.KeyLeft, tea.KeyEnter, tea.KeyBackspace}, "abc"},
		{"delete a line end", false, []tea.KeyType{tea.KeyLeft, tea.KeyEnter, tea.KeyUp, tea.KeyEnd, tea.KeyDelete}, "abc"},
		{"across line ends", false, []tea.KeyType{tea.KeyEnter, tea.KeyLeft, tea.KeyBackspace}, "ab\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := NewEditor(tt.single, 100)
			e.Set("abc")
			keys(e, tt.keys...)
			if got := e.Value(); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

func TestEditorLimit(t *testing.T) {
	e := NewEditor(false, 3)
	if _, whole := typed(e, "abc"); !whole {
		t.Error("the limit itself is refused")
	}
	if changed, whole := typed(e, "d"); changed || whole {
		t.Error("one past the limit is taken")
	}
	keys(e, tea.KeyEnter)
	if e.Value() != "abc" {
		t.Errorf("%q", e.Value())
	}
}

func TestEditorProperties(t *testing.T) {
	theme := themeFor(termenv.ANSI)
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(0, 20).Draw(t, "limit")
		e := NewEditor(rapid.Bool().Draw(t, "single"), limit)
		for range rapid.IntRange(0, 40).Draw(t, "keys") {
			if rapid.Bool().Draw(t, "type") {
				typed(e, rapid.StringN(0, 5, -1).Draw(t, "text"))
			} else {
				keys(e, tea.KeyType(rapid.IntRange(-30, 30).Draw(t, "key")))
			}
			if n := len([]rune(e.Value())); n != e.size || n > limit {
				t.Fatalf("%d characters, counted %d, limit %d", n, e.size, limit)
			}
			w := rapid.IntRange(0, 12).Draw(t, "w")
			for _, line := range e.View(theme, w, 3, true) {
				if ansi.StringWidth(line) != w || strings.ContainsRune(ansi.Strip(line), '\x1b') {
					t.Fatalf("%d cells on %d: %q", ansi.StringWidth(line), w, line)
				}
			}
		}
	})
}
