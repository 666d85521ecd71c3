package documents

import (
	"context"
	"errors"
	"fmt"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/backend/store"
	"github.com/caiatech/caiatop/tui/task"
	"github.com/caiatech/caiatop/tui/termsafe"
	"github.com/caiatech/caiatop/tui/ui"
)

// maxTyped bounds the text of a document that is typed here, in characters.
// Longer ones are imported from files.
const maxTyped = 20_000

// errExists: the operator asked for a new document.
var errExists = errors.New("a document with this id exists; choose another id")

// form is a new document being typed.
type form struct {
	fields [3]*ui.Editor // id, type, text
	focus  int
	saving bool
	leave  bool // esc was pressed once on a form that holds something
	note   termsafe.Text
	// refused is what of the last key or paste into a field was not taken,
	// until that field changes: the form never saves less than the operator
	// believes to have given it.
	refused [3]ui.Refusal
}

const (
	idField = iota
	typeField
	textField
)

func newForm() *form {
	f := &form{fields: [3]*ui.Editor{
		ui.NewEditor(true, document.MaxID), ui.NewEditor(true, document.MaxType), ui.NewEditor(false, maxTyped),
	}}
	f.fields[typeField].Set("text")
	return f
}

type savedMsg struct {
	form *form
	id   termsafe.Text
	ack  engine.Ack
	err  error
}

func (p *Page) typeForm(msg tea.KeyMsg) tea.Cmd {
	f := p.form
	if f.saving {
		return nil
	}
	leaving := f.leave
	f.leave, f.note = false, termsafe.Text{}
	switch {
	case msg.Type == tea.KeyEsc:
		if leaving || (f.fields[idField].Value() == "" && f.fields[textField].Value() == "") {
			p.form = nil
			return nil
		}
		f.leave, f.note = true, termsafe.Line("press esc again to drop this draft")
	case msg.Type == tea.KeyCtrlS:
		return p.save()
	case msg.Type == tea.KeyShiftTab:
		f.focus = (f.focus + len(f.fields) - 1) % len(f.fields)
	case msg.Type == tea.KeyTab, msg.Type == tea.KeyEnter && f.focus != textField:
		f.focus = (f.focus + 1) % len(f.fields)
	default:
		f.key(msg)
	}
	return nil
}

// key gives a key or a paste to the field in focus.
func (f *form) key(msg tea.KeyMsg) {
	changed, refusal := f.fields[f.focus].Key(msg)
	if changed || refusal != ui.TakenWhole {
		f.refused[f.focus] = refusal
	}
}

// fieldNames are what messages call the fields.
var fieldNames = [...]string{idField: "id", typeField: "type", textField: "text"}

// untaken returns the first field that did not take all it was given.
func (f *form) untaken() (field int, r ui.Refusal) {
	for i, r := range f.refused {
		if r != ui.TakenWhole {
			return i, r
		}
	}
	return 0, ui.TakenWhole
}

// refuse says why the form is not saved while a field lacks something.
func (f *form) refuse(field int, r ui.Refusal) tea.Cmd {
	f.focus = field
	why := "the last key or paste did not fit into it"
	if r == ui.LeftOut {
		why = "control characters were left out of it"
	}
	return tell(task.Warn("Not saved: the %s is not all that was given, %s. Change the field to save what it holds, or run: caiatop put --id ID FILE",
		fieldNames[field], why))
}

// save writes the document, unless one of that id exists. The form stays open
// until it is written, so that nothing typed is ever lost.
func (p *Page) save() tea.Cmd {
	f := p.form
	if field, r := f.untaken(); r != ui.TakenWhole {
		return f.refuse(field, r)
	}
	id, err := document.ParseID(f.fields[idField].Value())
	if err != nil {
		f.focus, f.note = idField, termsafe.Line(err.Error())
		return nil
	}
	kind, err := document.ParseType(f.fields[typeField].Value())
	if err != nil {
		f.focus, f.note = typeField, termsafe.Line(err.Error())
		return nil
	}
	now := p.o.Now().UTC()
	doc := document.Document{
		ID: id, Source: document.Source{Type: kind},
		Content:   document.Content{Text: f.fields[textField].Value()},
		CreatedAt: now, UpdatedAt: now,
	}
	f.saving, f.note = true, termsafe.Line("saving …")
	source := p.o.Source
	return p.o.Tasks.Go("saving a document", writeLimit, func(ctx context.Context) tea.Msg {
		ack, err := create(ctx, source, doc)
		return savedMsg{form: f, id: termsafe.Line(id.String()), ack: ack, err: err}
	})
}

func create(ctx context.Context, source Source, doc document.Document) (engine.Ack, error) {
	switch _, err := source.Get(ctx, doc.ID); {
	case err == nil:
		return engine.Ack{}, errExists
	case !errors.Is(err, store.ErrNotFound):
		return engine.Ack{}, fmt.Errorf("looking whether it exists: %w", err)
	}
	return source.Put(ctx, doc)
}

func (p *Page) onSaved(msg savedMsg) tea.Cmd {
	p.revision++
	msg.form.saving = false
	if msg.err != nil {
		msg.form.note = termsafe.Line("not saved: " + task.Reason(msg.err))
		return tell(task.Failure("saving "+msg.id.String(), msg.err))
	}
	if p.form == msg.form {
		p.form = nil
	}
	p.list.stale = true
	return tea.Batch(tell(task.Result("Saved %s (%s)", msg.id, promise(msg.ack))), p.changed())
}

// promise says in words what an acknowledgement stands for.
func promise(a engine.Ack) string {
	if a.Durability == engine.PrimaryAndLocal {
		return "on govc, and safe here"
	}
	return "safe here, stores follow"
}

// remark is the note, or which field did not take what it was given.
func (f *form) remark(w int) string {
	field, r := f.untaken()
	name := fieldNames[field]
	switch {
	case f.note.Width() > 0:
		return f.note.String()
	case r == ui.TooLong:
		return ui.Longest(w, name+": the last key or paste was not taken, it is over the limit; for a file: caiatop put --id ID FILE",
			name+": over the limit, not taken; for a file: caiatop put", name+": over the limit, not taken")
	case r == ui.LeftOut:
		return ui.Longest(w, name+": control characters were left out; for every byte of a file: caiatop put --id ID FILE",
			name+": control characters were left out; see caiatop put", name+": control characters left out")
	}
	return ""
}

// view draws the form as a pane.
func (f *form) view(t *ui.Theme, w, h int) []string {
	inner := w - 4
	line := func(i int, name string) string {
		tone := ui.Dim
		if f.focus == i {
			tone = ui.Accent
		}
		return t.Paint(tone, ui.Fit(name, 6)) + f.fields[i].View(t, inner-6, 1, f.focus == i)[0]
	}
	hint := t.Paint(ui.Dim, ui.Longest(inner,
		"tab next field   ctrl+s save   esc leave", "tab next  ctrl+s save  esc leave", "ctrl+s save  esc leave"))
	note := t.Paint(ui.Warn, f.remark(inner))
	lines := []string{line(idField, "id"), line(typeField, "type"), ""}
	switch room := h - 2 - len(lines) - 2; {
	case room >= 1:
		text := f.fields[textField].View(t, inner, room, f.focus == textField)
		lines = append(lines, ui.Frame(text, inner, room)...)
	case f.focus == textField: // a low pane shows the field in focus only
		lines = f.fields[textField].View(t, inner, 1, true)[:1]
	default:
		lines = lines[f.focus : f.focus+1]
	}
	return t.Box("New document", append(lines, note, hint), w, h, true)
}
