package documents

import (
	"slices"

	"github.com/caiatech/caiatop/tui/editor"
	"github.com/caiatech/caiatop/tui/ui"
)

// editChrome says how the pane of an edit of h lines is divided: the lines of
// id and type, those of the text or the metadata, and those below it.
func (e *edit) parts(h int) (head, body, foot int) {
	rows := max(h-2, 1)
	foot = 1
	if rows >= 7 {
		foot = 2
	}
	if rows == 1 {
		foot = 0
	}
	if e.isNew {
		switch {
		case rows >= 10:
			head = 3
		case rows >= 6:
			head = 2
		case e.focus < textField:
			head = rows - foot
		}
	}
	return head, max(rows-head-foot, 0), foot
}

// fit tells the text how large it is drawn.
func (e *edit) fit(w, h int) {
	_, body, _ := e.parts(h)
	if w, h := max(w-4, 1), max(body, 1); w != e.textW || h != e.textH {
		e.textW, e.textH = w, h
		e.text.SetSize(w, h)
	}
}

// view draws the edit as a pane.
func (e *edit) view(t *ui.Theme, w, h int) []string {
	inner := max(w-4, 1)
	head, body, foot := e.parts(h)
	lines := ui.Frame(e.names(t, inner, head), inner, head)
	if body > 0 {
		e.text.Focus(e.focus == textField)
		shown := e.text.View()
		if e.focus == metaField {
			shown = e.meta.view(t, inner, body, true)
		}
		lines = append(lines, ui.Frame(shown, inner, body)...)
	}
	note, hint := t.Paint(ui.Warn, ui.Fit(e.remark(inner), inner)), t.Paint(ui.Dim, e.hint(inner))
	switch {
	case foot == 2:
		lines = append(lines, note, hint)
	case foot == 1 && e.remark(inner) != "":
		lines = append(lines, note)
	case foot == 1:
		lines = append(lines, hint)
	}
	title := e.title.String()
	if e.modified() {
		title += " (modified)"
	}
	return t.Box(title, lines, w, h, true)
}

// names are the lines of id and type, the one in focus alone where there is no
// room for both.
func (e *edit) names(t *ui.Theme, w, h int) []string {
	if h == 0 {
		return nil
	}
	line := func(f field, name string, in *ui.Editor) string {
		tone := ui.Dim
		if e.focus == f {
			tone = ui.Accent
		}
		return t.Paint(tone, ui.Fit(name, 6)) + in.View(t, max(w-6, 1), 1, e.focus == f)[0]
	}
	lines := []string{line(idField, "id", e.id), line(typeField, "type", e.kind)}
	if h == 1 {
		return slices.Clone(lines[min(e.focus, typeField):])
	}
	return lines
}

// remark is what the operator has to know now.
func (e *edit) remark(w int) string {
	if e.note.Width() > 0 {
		return e.note.String()
	}
	if e.focus == metaField {
		if remark := e.meta.remark(); remark != "" {
			return remark
		}
	}
	if at, why := e.obstacle(); why != "" {
		name := fieldNames[at]
		return ui.Longest(w, name+": "+why+"; for every byte of a file: caiatop put --id ID FILE", name+": "+why, name+": not all was taken")
	}
	if e.draft.trouble.Width() > 0 {
		return ui.Longest(w, "no draft is kept: "+e.draft.trouble.String(), "no draft is kept; save with ctrl+s")
	}
	return ""
}

func (e *edit) hint(w int) string {
	switch {
	case e.saving:
		return "saving …"
	case e.focus == textField && e.text.Asking() == editor.FindText:
		return ui.Longest(w, "enter next   ctrl+p previous   esc close", "enter next  ctrl+p previous")
	case e.focus == textField && e.text.Asking() == editor.GotoLine:
		return ui.Longest(w, "enter go there   esc close", "enter go")
	case e.focus == metaField:
		return ui.Longest(w, "tab next cell   ctrl+n add row   ctrl+d delete row   F2 text   ctrl+s save   esc leave",
			"tab cell  ctrl+n add  ctrl+d delete  F2 text  ctrl+s save  esc", "ctrl+n add  ctrl+d delete  F2 text  ctrl+s save", "F2 text  ctrl+s save  esc leave", "F2 text  ctrl+s save")
	case e.focus < textField:
		return ui.Longest(w, "tab next field   F2 text and metadata   ctrl+s save   esc leave", "tab next  F2 text  ctrl+s save  esc leave", "tab next  ctrl+s save  esc")
	case e.isNew:
		return ui.Longest(w, "shift+tab id and type   F2 metadata   ctrl+s save   esc leave", "F2 metadata  ctrl+s save  esc leave", "F2 metadata  ctrl+s save")
	}
	return ui.Longest(w, "F2 metadata   ctrl+s save   esc leave   ctrl+f find   ctrl+g line   ctrl+z undo",
		"F2 metadata   ctrl+s save   esc leave", "F2 metadata  ctrl+s save")
}
