package documents

import "github.com/caiatech/caiatop/tui/editor"

// Hint says what esc does where it is something else than leaving what is typed;
// "" otherwise. What can be pressed besides stands in the view itself.
func (p *Page) Hint() string {
	switch {
	case p.question != nil:
		return "esc " + p.question.choices[0].label
	case p.conflict != nil && p.conflict.naming != nil:
		return "esc goes back to both sides"
	case p.conflict != nil:
		return "esc goes back to the editor"
	case p.removal != nil:
		return "esc cancel"
	case p.edit == nil || p.edit.focus != textField:
		return ""
	}
	switch p.edit.text.Asking() {
	case editor.FindText:
		return "esc closes the search"
	case editor.GotoLine:
		return "esc closes the line number"
	case editor.Nothing:
	}
	return ""
}
