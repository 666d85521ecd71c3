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

func typed(e *Editor, s string) (changed bool, r Refusal) {
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
	if _, r := typed(e, "abc"); r != TakenWhole {
		t.Error("the limit itself is refused")
	}
	if changed, r := typed(e, "d"); changed || r != TooLong {
		t.Error("one past the limit is taken")
	}
	for _, k := range []tea.KeyType{tea.KeyEnter, tea.KeyTab} {
		if changed, r := e.Key(tea.KeyMsg{Type: k}); changed || r != TooLong {
			t.Errorf("%s past the limit: changed %t, refusal %d", k, changed, r)
		}
	}
	if e.Value() != "abc" {
		t.Errorf("%q", e.Value())
	}
}

// TestAPasteIsTakenWholeOrNotAtAll: it was cut at the limit.
func TestAPasteIsTakenWholeOrNotAtAll(t *testing.T) {
	tests := []struct {
		name   string
		single bool
		paste  string
		want   string // around it stand a and b
		r      Refusal
	}{
		{"fits exactly", false, "12345678", "a12345678b", TakenWhole},
		{"one more", false, "123456789", "ab", TooLong},
		{"line ends count once", false, "1\r\n2\r3\n45", "a1\n2\n3\n45b", TakenWhole},
		{"line ends only", false, "\n\n", "a\n\nb", TakenWhole},
		{"too many lines", false, "\n\n\n\n\n\n\n\n\n", "ab", TooLong},
		{"control characters", false, "1\x1b2\x00", "a12b", LeftOut},
		{"control characters only", false, "\x1b", "ab", LeftOut},
		{"C1 control characters", true, "1\u009b2", "a12b", LeftOut},
		{"what is left out does not count", false, "\x0112345678", "a12345678b", LeftOut},
		{"too long and control characters", false, "\x01123456789", "ab", TooLong},
		{"a line end in a field", true, "1\n2", "a12b", LeftOut},
		{"a line end after a field", true, "12\r\n", "a12b", TakenWhole},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := NewEditor(tt.single, 10)
			e.Set("ab")
			keys(e, tea.KeyLeft)
			changed, r := typed(e, tt.paste)
			if e.Value() != tt.want || r != tt.r || changed != (tt.want != "ab") {
				t.Errorf("%q, refusal %d, changed %t; want %q, %d", e.Value(), r, changed, tt.want, tt.r)
			}
			keys(e, tea.KeyDelete) // the b, if the cursor stands before it
			if e.Value() != strings.TrimSuffix(tt.want, "b") {
				t.Errorf("the cursor went astray: %q", e.Value())
			}
		})
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
