package documents

import (
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"

	"github.com/caiatech/caiatop/tui/termsafe"
	"github.com/caiatech/caiatop/tui/ui"
)

// deafFor is how long a question that opened by itself ignores keys, so that
// what is being typed does not answer it: until nothing was typed for so long.
const deafFor = 400 * time.Millisecond

// deaf says that a key was meant for what was there before, and that the next
// one may be as well.
func (p *Page) deaf(until *time.Time) bool {
	now := p.o.Now()
	if !now.Before(*until) {
		return false
	}
	*until = now.Add(deafFor)
	return true
}

// question is a dialog with one answer out of a few. The first one changes
// nothing; it has the focus, and esc gives it.
type question struct {
	title     string
	text      []termsafe.Text
	choices   []choice
	chosen    int
	deafUntil time.Time
}

// choice is one answer. A key gives it at once, where one is named.
type choice struct {
	key   string
	label string
	run   func() tea.Cmd // nil: nothing
}

// askFor opens a question that follows a key.
func (p *Page) askFor(title string, text []termsafe.Text, choices ...choice) {
	p.question = &question{title: title, text: text, choices: choices}
}

func (p *Page) typeQuestion(msg tea.KeyMsg) tea.Cmd {
	q := p.question
	if p.deaf(&q.deafUntil) {
		return nil
	}
	n := len(q.choices)
	switch msg.String() {
	case "esc":
		return p.answer(0)
	case "enter":
		return p.answer(q.chosen)
	case "tab", "right", "l", "down", "j":
		q.chosen = (q.chosen + 1) % n
	case "shift+tab", "left", "h", "up", "k":
		q.chosen = (q.chosen + n - 1) % n
	default:
		for i, c := range q.choices {
			if c.key != "" && c.key == msg.String() {
				return p.answer(i)
			}
		}
	}
	return nil
}

// answer closes the question and does what was chosen.
func (p *Page) answer(i int) tea.Cmd {
	run := p.question.choices[i].run
	p.question = nil
	if run == nil {
		return nil
	}
	return run()
}

// view draws the dialog in at most h lines. Where the pane is too low, the text
// goes first, then all answers but the chosen one.
func (q *question) view(t *ui.Theme, w, h int) []string {
	width := ui.DialogWidth(w)
	inner := width - 4
	buttons := q.buttons(t, inner)
	room := max(h-2, 1)
	if len(buttons) > room {
		first := max(min(q.chosen-room/2, len(buttons)-room), 0)
		buttons = buttons[first : first+room]
	}
	var lines []string
	for _, text := range q.text {
		lines = append(lines, ui.Wrap(text.String(), inner, 5)...)
	}
	hint := t.Paint(ui.Dim, ui.Longest(inner, "tab choose   enter do it   esc "+q.choices[0].label, "tab choose  enter do it", "tab, enter"))
	switch left := room - len(buttons); {
	case left >= len(lines)+3:
		lines = append(append(append(lines, ""), buttons...), "", hint)
	case left >= len(lines)+1:
		lines = append(append(lines, buttons...), hint)
	default:
		lines = append(lines[:min(max(left, 0), len(lines))], buttons...)
	}
	return t.Box(q.title, lines, width, min(len(lines)+2, h), true)
}

// buttons are the answers, on one line if that is wide enough.
func (q *question) buttons(t *ui.Theme, w int) []string {
	out := make([]string, len(q.choices))
	for i, c := range q.choices {
		label := c.label
		if c.key != "" {
			label = c.key + " " + label
		}
		out[i] = "  " + label + " "
		if i == q.chosen {
			out[i] = t.Paint(ui.Selected, t.Glyphs.Cursor+" "+label+" ")
		}
	}
	if line := strings.Join(out, "  "); ansi.StringWidth(line) <= w {
		return []string{line}
	}
	return out
}
