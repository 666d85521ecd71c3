package documents

import (
	"context"
	"errors"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/tui/drafts"
	"github.com/caiatech/caiatop/tui/editor"
	"github.com/caiatech/caiatop/tui/task"
	"github.com/caiatech/caiatop/tui/termsafe"
	"github.com/caiatech/caiatop/tui/ui"
)

// errExists: the operator asked for a new document.
var errExists = errors.New("a document with this id exists; choose another id")

// field is a part of an edit that can have the focus.
type field int

const (
	idField field = iota
	typeField
	textField
	metaField
)

// edit is a document being written. It stays open until what was typed is
// saved, kept as a draft or dropped by an answer to a question.
type edit struct {
	title    termsafe.Text
	isNew    bool
	id, kind *ui.Editor // of a new document, else nil
	refused  [2]ui.Refusal
	// origin is what the document was made of, nil for a new one and where that
	// version is not known; its hash is the base of the save.
	origin *document.Document
	base   document.Hash
	name   document.ID // zero while a new document has none
	text   *editor.Editor
	meta   *meta
	focus  field
	// untaken says what of the last paste into the text was not taken, until
	// the text changes: the form never saves less than the operator believes to
	// have given it.
	untaken termsafe.Text
	saving  bool
	seq     uint64 // of the newest save, or what follows from it
	note    termsafe.Text
	marked  bool  // conflict markers were put into the text
	file    *file // that an external editor wrote, removed once it is saved
	draft   drafting

	textW, textH int // of the text's view
}

// startNew opens the form of a new document, or offers the draft of one.
func (p *Page) startNew() tea.Cmd {
	for _, l := range p.leftovers {
		if !l.draft.New {
			continue
		}
		p.askFor("Draft", []termsafe.Text{p.draftLine(l.draft, l.version)},
			choice{label: "cancel"},
			choice{label: "continue the draft", run: func() tea.Cmd { return p.resumeDraft(l.draft) }},
			choice{label: "write another one", run: func() tea.Cmd { p.newDocument(); return p.changed() }})
		return nil
	}
	p.newDocument()
	return nil
}

// newDocument opens the form of a document that does not exist.
func (p *Page) newDocument() {
	e := &edit{
		title: termsafe.Line("New document"), isNew: true, id: ui.NewEditor(true, document.MaxID), kind: ui.NewEditor(true, document.MaxType),
		text: editor.New(p.o.Theme, ""), meta: newMeta(nil),
	}
	e.kind.Set("text")
	p.edit = e
}

// newEdit is the edit of a document as it was read.
func (p *Page) newEdit(found engine.Found) *edit {
	return &edit{
		title: termsafe.Line("Edit " + found.Document.ID.String()), origin: &found.Document, base: found.Hash, name: found.Document.ID,
		text: editor.New(p.o.Theme, found.Document.Content.Text), meta: newMeta(found.Document.Content.Metadata), focus: textField,
	}
}

// resume is the edit that a draft holds. Origin is the version that it was made
// of, nil if that is not known.
func (p *Page) resume(d drafts.Draft, origin *document.Document) *edit {
	content := d.Document.Content
	e := &edit{
		title: termsafe.Line("Edit " + d.ID.String()), isNew: d.New, origin: origin, base: d.Base, name: d.ID, focus: textField,
		note: termsafe.Line("the draft of " + p.clock(d.At) + "; ctrl+s saves it"),
	}
	if d.New {
		e.title = termsafe.Line("New document")
		e.id, e.kind = ui.NewEditor(true, document.MaxID), ui.NewEditor(true, document.MaxType)
		e.kind.Set(d.Document.Source.Type.String())
		if !strings.HasPrefix(d.ID.String(), unnamed) {
			e.id.Set(d.ID.String())
		}
	}
	var before document.Content
	if origin != nil {
		before = origin.Content
	} else {
		e.origin = nil
		d.Document.Content.Text, d.Document.Content.Metadata = "", nil
		if !d.New {
			e.draft.foundation = &d.Document // source and raw bytes
		}
	}
	e.text, e.meta = editor.New(p.o.Theme, before.Text), newMeta(before.Metadata)
	e.text.Replace(content.Text)
	e.meta.set(content.Metadata)
	e.draft.id, e.draft.stored = d.ID, true
	return e
}

// modified reports whether there is something to save.
func (e *edit) modified() bool {
	if e.text.Modified() || e.meta.modified() {
		return true
	}
	return e.isNew && e.id.Value() != ""
}

// document returns what would be saved, or puts the focus on what stands in the
// way.
func (e *edit) document() (document.Document, error) {
	var doc document.Document
	switch {
	case e.isNew:
		id, err := document.ParseID(e.id.Value())
		if err != nil {
			e.focus = idField
			return doc, err
		}
		kind, err := document.ParseType(e.kind.Value())
		if err != nil {
			e.focus = typeField
			return doc, err
		}
		doc.ID, doc.Source.Type = id, kind
	case e.origin != nil:
		doc = e.origin.Clone()
	default:
		doc = e.draft.foundation.Clone()
	}
	values, err := e.meta.values()
	if err != nil {
		e.focus = metaField
		return doc, err
	}
	doc.Content.Text, doc.Content.Metadata = e.text.Text(), values
	return doc, nil
}

// typeEdit gives a key to what has the focus. What neither that nor the text
// uses is for the edit as a whole.
func (p *Page) typeEdit(msg tea.KeyMsg) tea.Cmd {
	e := p.edit
	if e.saving {
		return nil
	}
	e.note = termsafe.Text{}
	switch msg.Type {
	case tea.KeyCtrlS:
		return p.save()
	case tea.KeyF2:
		if e.focus == textField {
			e.focus = metaField
		} else {
			e.focus = textField
		}
		return nil
	}
	var changed, unused bool
	switch e.focus {
	case idField, typeField:
		changed, unused = e.typeName(msg)
	case metaField:
		if unused = msg.Type == tea.KeyEsc; !unused {
			changed = e.meta.key(msg)
		}
	case textField:
		changed, unused = e.typeText(msg)
	}
	switch {
	case changed:
		return p.drafted(e)
	case unused && msg.Type == tea.KeyEsc:
		return p.leave()
	}
	return nil
}

// typeName gives a key to the id or the type of a new document.
func (e *edit) typeName(msg tea.KeyMsg) (changed, unused bool) {
	switch msg.Type {
	case tea.KeyEsc:
		return false, true
	case tea.KeyTab, tea.KeyEnter, tea.KeyDown:
		e.focus++
		return false, false
	case tea.KeyShiftTab, tea.KeyUp:
		e.focus = max(e.focus-1, idField)
		return false, false
	}
	in := e.id
	if e.focus == typeField {
		in = e.kind
	}
	changed, refusal := in.Key(msg)
	if changed || refusal != ui.TakenWhole {
		e.refused[e.focus] = refusal
	}
	return changed, false
}

func (e *edit) typeText(msg tea.KeyMsg) (changed, unused bool) {
	r := e.text.Key(msg)
	e.note = r.Note
	switch {
	case r.Changed:
		e.untaken = termsafe.Text{}
	case msg.Paste && r.Note.Width() > 0:
		e.untaken = r.Note
	}
	if r.Unused && msg.Type == tea.KeyShiftTab && e.isNew {
		e.focus = typeField
	}
	return r.Changed, r.Unused
}

// leave closes an edit that holds nothing, and asks about any other.
func (p *Page) leave() tea.Cmd {
	e := p.edit
	if !e.modified() {
		return tea.Batch(p.dropDraft(e), p.closeEdit(e))
	}
	choices := []choice{
		{label: "stay"},
		{label: "save", run: p.save},
		{label: "discard", run: func() tea.Cmd { return p.discard(e) }},
	}
	if p.drafts != nil {
		choices = append(choices, choice{label: "keep draft", run: func() tea.Cmd { return p.keepAndClose(e) }})
	}
	p.askFor("Leave", []termsafe.Text{termsafe.Line("What was typed is not saved.")}, choices...)
	return nil
}

// discard closes an edit and forgets its draft.
func (p *Page) discard(e *edit) tea.Cmd {
	notice := task.Result("Nothing was saved")
	if e.file != nil {
		notice = task.Warn("Not saved: %s holds what the editor wrote", e.file.path)
	}
	return tea.Batch(p.dropDraft(e), p.closeEdit(e), tell(notice))
}

// closeEdit leaves the editor, without a word to the draft.
func (p *Page) closeEdit(e *edit) tea.Cmd {
	if p.edit == e {
		p.edit, p.conflict = nil, nil
	}
	return p.changed()
}

// obstacle says why what is in the form is not all that was given to it.
func (e *edit) obstacle() (field, string) {
	for i, r := range e.refused {
		switch r {
		case ui.TooLong:
			return field(i), "the last key or paste did not fit into it"
		case ui.LeftOut:
			return field(i), "control characters were left out of it"
		case ui.TakenWhole:
		}
	}
	if e.untaken.Width() > 0 {
		return textField, e.untaken.String()
	}
	return 0, ""
}

// fieldNames are what messages call the fields.
var fieldNames = [...]string{idField: "id", typeField: "type", textField: "text", metaField: "metadata"}

// savedMsg says how a write went.
type savedMsg struct {
	seq  uint64
	edit *edit
	doc  document.Document
	copy bool // it was written under another id
	ack  engine.Ack
	err  error
}

// save writes the document over the version that it was made of, if that is
// still the newest.
func (p *Page) save() tea.Cmd {
	e := p.edit
	if at, why := e.obstacle(); why != "" {
		e.focus = at
		return tell(task.Warn("Not saved: the %s is not all that was given, %s. Change the field to save what it holds, or run: caiatop put --id ID FILE",
			fieldNames[at], why))
	}
	doc, err := e.document()
	if err != nil {
		e.note = termsafe.Line(err.Error())
		return nil
	}
	if e.origin != nil && sameContent(doc, *e.origin) {
		return tea.Batch(p.dropDraft(e), p.removeFile(e), p.closeEdit(e), tell(task.Result("Nothing changed, nothing was written")))
	}
	if e.marked && hasMarkers(doc.Content.Text) {
		p.askFor("Conflict markers", []termsafe.Text{termsafe.Line("The text still holds the lines that mark what both sides changed.")},
			choice{label: "go on editing"}, choice{label: "save with them", run: func() tea.Cmd { return p.write(e, doc, e.base, false) }})
		return nil
	}
	return p.write(e, doc, e.base, false)
}

// write replaces the version base by doc. The edit stays open until it is
// written, so that nothing typed is ever lost.
func (p *Page) write(e *edit, doc document.Document, base document.Hash, another bool) tea.Cmd {
	e.saving, e.note = true, termsafe.Line("saving …")
	source, reply := p.o.Source, savedMsg{seq: p.next(), edit: e, doc: doc, copy: another}
	e.seq = reply.seq
	return p.o.Tasks.Go("saving a document", writeLimit, func(ctx context.Context) tea.Msg {
		reply.ack, reply.err = source.Replace(ctx, doc, base)
		return reply
	})
}

func (p *Page) onSaved(msg savedMsg) tea.Cmd {
	p.revision++
	e, name := msg.edit, termsafe.Line(msg.doc.ID.String())
	if e.seq != msg.seq {
		return nil
	}
	e.saving, e.note = false, termsafe.Text{}
	var changed *engine.ConflictError
	switch {
	case errors.As(msg.err, &changed) && (e.isNew || msg.copy):
		return tea.Batch(p.refuseName(e, msg.copy), tell(task.Failure("saving "+name.String(), errExists)))
	case errors.As(msg.err, &changed):
		return p.readTheirs(e, msg.doc)
	case msg.err != nil:
		e.note = termsafe.Line("not saved: " + task.Reason(msg.err))
		if p.conflict != nil {
			p.conflict.note = e.note
		}
		return tell(task.Failure("saving "+name.String(), msg.err))
	}
	if !msg.copy && (p.preview == nil || p.preview.id == msg.doc.ID) {
		p.list.wanted = msg.doc.ID
	}
	return p.saved(e, task.Result("Saved %s (%s)", name, promise(msg.ack)))
}

// refuseName says that the id of a new document is taken.
func (p *Page) refuseName(e *edit, another bool) tea.Cmd {
	note := termsafe.Line(errExists.Error())
	if c := p.conflict; another && c != nil {
		c.note = note
		return nil
	}
	e.focus, e.note = idField, note
	return p.changed()
}

// saved ends an edit whose text is safe.
func (p *Page) saved(e *edit, notice task.Notice) tea.Cmd {
	p.touched()
	return tea.Batch(p.dropDraft(e), p.removeFile(e), p.closeEdit(e), tell(notice))
}

// touched makes the page read again what it shows of documents.
func (p *Page) touched() {
	p.list.stale = true
	if p.preview != nil {
		p.preview.stale = true
	}
	if p.history != nil {
		p.history.stale = true
	}
}
