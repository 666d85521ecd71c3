package documents

import (
	"context"
	"slices"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/caiatech/caiatop/backend/action"
	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/tui/task"
	"github.com/caiatech/caiatop/tui/termsafe"
	"github.com/caiatech/caiatop/tui/ui"
)

// removal is the dialog that deletes one document, once its id was typed.
type removal struct {
	id     document.ID
	shown  termsafe.Text
	editor *ui.Editor
	wrong  bool
}

func newRemoval(id document.ID, shown termsafe.Text) *removal {
	return &removal{id: id, shown: shown, editor: ui.NewEditor(true, document.MaxID)}
}

type removedMsg struct {
	id  document.ID
	ack engine.Ack
	err error
}

func (p *Page) typeRemoval(msg tea.KeyMsg) tea.Cmd {
	r := p.removal
	r.wrong = false
	switch msg.Type {
	case tea.KeyEsc:
		p.removal = nil
		return nil
	case tea.KeyEnter:
		if r.editor.Value() != r.id.String() {
			r.wrong = true
			return nil
		}
		p.removal = nil
		source, id := p.o.Source, r.id
		return p.o.Tasks.Go("deleting a document", writeLimit, func(ctx context.Context) tea.Msg {
			ack, err := source.Delete(ctx, id)
			return removedMsg{id, ack, err}
		})
	}
	r.editor.Key(msg)
	return nil
}

func (p *Page) onRemoved(msg removedMsg) tea.Cmd {
	shown := termsafe.Line(msg.id.String())
	if msg.err != nil {
		return tell(task.Failure("deleting "+shown.String(), msg.err))
	}
	if p.preview != nil && p.preview.id == msg.id {
		p.closePreview()
	}
	p.remember(msg.id)
	p.touched()
	return tea.Batch(tell(task.Result("Deleted %s (%s); u brings it back", shown, promise(msg.ack))), p.changed())
}

// view draws the dialog.
func (r *removal) view(t *ui.Theme, w, h int) []string {
	width := ui.DialogWidth(w)
	inner := width - 4
	text := ui.Wrap("This deletes the document from every store. The git history keeps what it held.", inner, 4)
	note := t.Paint(ui.Dim, ui.Longest(inner, "type the id to delete it   esc cancel", "type its id   esc cancel", "type its id  esc"))
	switch {
	case r.wrong:
		note = t.Paint(ui.Warn, ui.Longest(inner, "this is not its id   esc cancel", "not its id   esc cancel", "not its id  esc"))
	case r.editor.Value() == r.id.String():
		note = t.Paint(ui.Bad, "enter delete") + t.Paint(ui.Dim, ui.Longest(inner-len("enter delete"), "   esc cancel", "  esc"))
	}
	title := t.Paint(ui.Strong, r.shown.String())
	answer := []string{"id  " + r.editor.View(t, inner-4, 1, true)[0], note}
	lines := append(append(slices.Clone(text), "", title, ""), answer...)
	lines = append(lines, "", t.Paint(ui.Dim, "same as: "+r.command()))
	// Where the pane is low, what has to be seen for the answer stays.
	if room := h - 2; len(lines) > room {
		lines = append(append(text, title), answer...)
		lines = lines[min(max(len(lines)-room, 0), len(text)):]
	}
	return t.Box("Delete", lines, width, min(len(lines)+2, h), true)
}

// command is what does the same without the console.
func (r *removal) command() string {
	a, _ := action.ByName(action.Delete)
	return strings.Replace(a.Command, "ID", quoted(r.shown.String()), 1)
}

// quoted returns s as one word of a shell.
func quoted(s string) string {
	plain := func(r rune) bool {
		return (r >= 'a' && r <= 'z') || (r >= 'A' && r <= 'Z') || (r >= '0' && r <= '9') || strings.ContainsRune("._-+@:,", r)
	}
	out := s
	if strings.ContainsFunc(s, func(r rune) bool { return !plain(r) }) {
		out = "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
	}
	if strings.HasPrefix(s, "-") {
		out = "-- " + out
	}
	return out
}
