package ui

import (
	"github.com/charmbracelet/lipgloss"
	"github.com/muesli/termenv"

	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/tui/termsafe"
)

// Tone is the meaning that a colour supports. It is never the only sign of it.
type Tone int

// The tones.
const (
	Plain Tone = iota
	Dim
	Strong
	Good
	Warn
	Bad
	Accent
	Selected
	Found // words found by a search
	toneCount
)

// Theme paints text for one terminal. It is made once a session and is
// read-only afterwards.
type Theme struct {
	// Mono says that nothing is coloured: glyphs and words tell everything.
	Mono   bool
	Glyphs Glyphs
	styles [toneCount]lipgloss.Style
}

// Glyphs are the characters that widgets draw with, one cell each.
type Glyphs struct {
	Good, Busy, Warn, Bad, None string // states
	Cursor                      string // beside the selected line
	Caret                       string // in an editor
	Spark                       []rune // lowest first
	// The border: corners from the top left clockwise, then the two lines.
	Corners          [4]string
	Across, Down     string
	BarFull, BarRest string
}

// Unicode draws with block elements.
func Unicode() Glyphs {
	return Glyphs{
		Good: "●", Busy: "◆", Warn: "▲", Bad: "■", None: "○",
		Cursor: "▸", Caret: "▏", Spark: []rune("▁▂▃▄▅▆▇█"),
		Corners: [4]string{"╭", "╮", "╯", "╰"}, Across: "─", Down: "│",
		BarFull: "█", BarRest: "░",
	}
}

// ASCII draws with what every terminal has.
func ASCII() Glyphs {
	return Glyphs{
		Good: "*", Busy: "~", Warn: "!", Bad: "#", None: "o",
		Cursor: ">", Caret: "|", Spark: []rune("_.-=+*%#"),
		Corners: [4]string{"+", "+", "+", "+"}, Across: "-", Down: "|",
		BarFull: "#", BarRest: ".",
	}
}

// NewTheme returns the theme for what r can show: the first 16 colours, which
// follow the operator's own scheme, or none at all where NO_COLOR or TERM=dumb
// told r so.
func NewTheme(r *lipgloss.Renderer, glyphs Glyphs) *Theme {
	t := &Theme{Mono: r.ColorProfile() == termenv.Ascii, Glyphs: glyphs}
	base := r.NewStyle()
	for tone, style := range map[Tone]lipgloss.Style{
		Plain:    base,
		Dim:      base.Foreground(lipgloss.Color("8")),
		Strong:   base.Bold(true),
		Good:     base.Foreground(lipgloss.Color("2")),
		Warn:     base.Foreground(lipgloss.Color("3")).Bold(true),
		Bad:      base.Foreground(lipgloss.Color("1")).Bold(true),
		Accent:   base.Foreground(lipgloss.Color("6")),
		Selected: base.Reverse(true),
		Found:    base.Foreground(lipgloss.Color("0")).Background(lipgloss.Color("3")),
	} {
		t.styles[tone] = style.Inline(true)
	}
	return t
}

// Paint returns s in a tone. s is one line without escape sequences.
func (t *Theme) Paint(tone Tone, s string) string {
	if t.Mono || tone == Plain || s == "" {
		return s
	}
	return t.styles[tone].Render(s)
}

// State returns the glyph and the word of a state of the primary, and the tone
// for both.
func (t *Theme) State(s engine.State) (glyph, word string, tone Tone) {
	switch s {
	case engine.StatePrimary:
		return t.Glyphs.Good, string(s), Good
	case engine.StateFallback:
		return t.Glyphs.Warn, string(s), Warn
	case engine.StateReplaying, engine.StateReseeding:
		return t.Glyphs.Busy, string(s), Accent
	case engine.StateLocked:
		return t.Glyphs.Bad, string(s), Bad
	case engine.StateNone, engine.StateProbing:
		return t.Glyphs.None, string(s), Dim
	}
	return t.Glyphs.None, "UNKNOWN", Dim
}

// Service returns the glyph and the word for how the service does, and the tone
// for both.
func (t *Theme) Service(s engine.Service) (glyph, word string, tone Tone) {
	switch {
	case s.Drill == engine.DrillDown:
		return t.Glyphs.Warn, "down by drill", Warn
	case s.Drill != "": // how it does is rehearsed
		return t.Glyphs.Warn, "drill: " + string(s.Drill), Warn
	case s.Health.At.IsZero():
		return t.Glyphs.None, "not looked at yet", Dim
	case !s.Health.Up && s.Health.Status == "unhealthy": // it answers that it cannot serve
		return t.Glyphs.Bad, "unhealthy", Bad
	case !s.Health.Up:
		return t.Glyphs.Bad, "unreachable", Bad
	case s.Health.Status == "" || s.Health.Status == "healthy":
		return t.Glyphs.Good, "healthy", Good
	}
	return t.Glyphs.Warn, termsafe.Line(s.Health.Status).String(), Warn
}

// Insecure is the warning that the certificate of the service is not checked.
// It is a word, so that it is seen without colours, too.
func (t *Theme) Insecure() string { return t.Paint(Bad, t.Glyphs.Bad+" INSECURE TLS") }

// Presence returns glyph and tone for what a store holds of a document.
func (t *Theme) Presence(p engine.Presence) (glyph string, tone Tone) {
	switch p {
	case engine.InStep:
		return t.Glyphs.Good, Good
	case engine.Behind:
		return t.Glyphs.Busy, Accent
	case engine.Missing, engine.Parked:
		return t.Glyphs.Bad, Bad
	case engine.TooLarge, engine.Disputed:
		return t.Glyphs.Warn, Warn
	case engine.Detached:
		return " ", Dim
	}
	return t.Glyphs.None, Dim
}
