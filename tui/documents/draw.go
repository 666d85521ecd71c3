package documents

import (
	"strings"

	"github.com/charmbracelet/x/ansi"

	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/tui/termsafe"
	"github.com/caiatech/caiatop/tui/ui"
)

// chrome is the lines of the pane that are no rows: border, bar and titles.
const chrome = 4

// rowsHeight is the number of rows that are visible.
func (p *Page) rowsHeight() int { return max(p.h-chrome, 1) }

func (p *Page) previewHeight() int { return max(p.h-2, 1) }

// View returns exactly as many lines of exactly the width that SetSize said.
func (p *Page) View() []string {
	now := drawing{p.revision, p.w, p.h}
	if p.lines == nil || now != p.drawn {
		p.lines, p.drawn = ui.Frame(p.draw(), p.w, p.h), now
	}
	return p.lines
}

func (p *Page) draw() []string {
	t := p.o.Theme
	var out []string
	switch {
	case p.edit != nil && p.conflict != nil:
		out = p.conflict.view(t, p.w, p.h, p.edit.saving)
	case p.edit != nil:
		out = p.edit.view(t, p.w, p.h)
	case p.change != nil:
		out = p.change.view(t, p.w, p.h, len(p.deleted))
	case p.history != nil:
		out = p.history.view(t, p.w, p.h, p.o.Location)
	case p.preview == nil:
		out = p.table(p.w)
	case p.w >= wideWidth:
		left := p.w / 2
		out = ui.Beside(p.table(left), p.drawPreview(p.w-left))
	default:
		out = p.drawPreview(p.w)
	}
	if p.removal != nil {
		out = ui.Over(out, p.removal.view(t, p.w, p.h), p.w)
	}
	if p.question != nil {
		out = ui.Over(out, p.question.view(t, p.w, p.h), p.w)
	}
	return out
}

func (p *Page) drawPreview(w int) []string {
	return p.o.Theme.Box(p.preview.title.String(), p.preview.view(w-4, p.previewHeight()), w, p.h, true)
}

// table draws the list, or the results of a search.
func (p *Page) table(w int) []string {
	inner := w - 4
	lines := []string{p.bar(inner)}
	title := "Documents  " + ui.Count(int64(p.list.total))
	if p.hits != nil {
		title = "Found  " + ui.Count(int64(len(p.hits.found)))
		if len(p.hits.found) == maxHits {
			title = "Found  the best " + ui.Count(maxHits)
		}
		lines = append(lines, p.drawHits(inner)...)
	} else {
		lines = append(lines, p.drawRows(inner)...)
	}
	return p.o.Theme.Box(title, lines, w, p.h, p.preview == nil)
}

// bar is the line above the titles: what is typed, or what is shown.
func (p *Page) bar(w int) string {
	t := p.o.Theme
	switch {
	case p.input != nil:
		name := "filter "
		if p.input.kind == searchInput {
			name = "search "
		}
		return t.Paint(ui.Accent, name) + p.input.editor.View(t, w-len(name), 1, true)[0]
	case p.hits != nil && p.hits.waiting:
		return t.Paint(ui.Dim, "searching for ") + p.hits.query.String()
	case p.hits != nil:
		text := t.Paint(ui.Dim, "documents with ") + p.hits.query.String()
		if note := p.behindNote(); note != "" {
			text = ui.Fit(text, max(w-ansi.StringWidth(note)-3, 0)) + "   " + t.Paint(ui.Warn, note)
		}
		return text
	case p.opening != nil:
		return t.Paint(ui.Dim, "opening ") + termsafe.Line(p.opening.id.String()).String()
	case p.list.filter != "":
		e := ui.NewEditor(true, inputLimit)
		e.Set(p.list.filter)
		return t.Paint(ui.Accent, "filter ") + e.View(t, w-7, 1, false)[0]
	}
	if n := len(p.leftovers); n > 0 {
		return t.Paint(ui.Dim, "all documents   drafts: "+ui.Count(int64(n)))
	}
	return t.Paint(ui.Dim, "all documents")
}

// columns of the list: narrow panes do without the time, then without the size.
func columns(w int) (ui.Table, int) {
	switch {
	case w >= 90:
		return ui.Table{
			{Width: 1},
			{Title: "id"},
			{Title: "type", Width: 8},
			{Title: "size", Width: ui.BytesWidth, Right: true},
			{Title: "updated", Width: 16},
			{Title: "govc", Width: 11},
			{Title: "git", Width: 11},
		}, 7
	case w >= 66:
		return ui.Table{
			{Width: 1},
			{Title: "id"},
			{Title: "type", Width: 8},
			{Title: "size", Width: ui.BytesWidth, Right: true},
			{Title: "updated", Width: 16},
			{Title: "stores", Width: 15},
		}, 6
	case w >= 50:
		return ui.Table{{Width: 1}, {Title: "id"}, {Title: "type", Width: 6}, {Title: "size", Width: ui.BytesWidth, Right: true}, {Title: "stores", Width: 15}}, 5
	}
	return ui.Table{{Width: 1}, {Title: "id"}, {Title: "stores", Width: 9}}, 3
}

func (p *Page) drawRows(w int) []string {
	t, l := p.o.Theme, &p.list
	table, n := columns(w)
	lines := []string{table.Head(t, w)}
	switch {
	case !l.loaded:
		return append(lines, t.Paint(ui.Dim, "Reading …"))
	case l.total == 0 && l.filter != "":
		return append(lines, "No document matches. esc shows all.")
	case l.total == 0:
		return append(lines, ui.Wrap("No documents yet: press s for samples, a to write one, or run: caiatop import DIR", w, 3)...)
	}
	for i := l.top; i < min(l.top+p.rowsHeight(), l.total); i++ {
		r := l.at(i)
		if r == nil {
			lines = append(lines, t.Paint(ui.Dim, "  …"))
			continue
		}
		lines = append(lines, p.drawRow(table, n, w, r, i == l.cursor))
	}
	return lines
}

func (p *Page) drawRow(table ui.Table, n, w int, r *row, selected bool) string {
	t := p.o.Theme
	updated := ui.Unknown
	if !r.updated.IsZero() {
		updated = r.updated.In(p.o.Location).Format("2006-01-02 15:04")
	}
	cells := []string{" ", r.text.String()}
	tones := []ui.Tone{ui.Plain, ui.Plain}
	add := func(cell string, tone ui.Tone) { cells, tones = append(cells, cell), append(tones, tone) }
	worst, name := worse(r.govc, r.git)
	glyph, tone := t.Presence(worst)
	switch n {
	case 7:
		add(r.kind.String(), ui.Plain)
		add(ui.Bytes(r.size), ui.Plain)
		add(updated, ui.Dim)
		for _, presence := range []engine.Presence{r.govc, r.git} {
			glyph, tone := t.Presence(presence)
			add(glyph+" "+string(presence), tone)
		}
	case 6, 5:
		add(r.kind.String(), ui.Plain)
		add(ui.Bytes(r.size), ui.Plain)
		if n == 6 {
			add(updated, ui.Dim)
		}
		add(strings.TrimSpace(glyph+" "+string(worst)+" "+name), tone)
	default:
		add(glyph+" "+string(worst), tone)
	}
	if !selected {
		return table.Row(t, w, cells, tones...)
	}
	cells[0] = t.Glyphs.Cursor
	return t.Paint(ui.Selected, table.Row(t, w, cells))
}

// worse returns the presence that an operator should know of, and the store if
// it is not the same everywhere.
func worse(govc, git engine.Presence) (engine.Presence, string) {
	order := []engine.Presence{engine.Missing, engine.Parked, engine.Disputed, engine.TooLarge, engine.Behind, engine.Unknown}
	for _, p := range order {
		switch {
		case govc == p && git == p:
			return p, ""
		case govc == p:
			return p, "govc"
		case git == p:
			return p, "git"
		}
	}
	return engine.InStep, ""
}

// behindNote says that a search does not see everything yet.
func (p *Page) behindNote() string {
	if n := p.seen.unindexed; n > 0 {
		return "the index is " + ui.Count(n) + " behind"
	}
	return ""
}

// nothing says why a search may have found nothing, and what to do.
func (p *Page) nothing() string {
	switch {
	case !searchable(p.hits.asked):
		return "Nothing was found: a search needs a letter or a digit. Press F to search again, esc for the list."
	case p.seen.unindexed > 0:
		return "Nothing was found so far: the index is still being filled, and this list follows it. esc goes back to the list."
	}
	return "Nothing was found: a document must hold every word. Press F to search again, esc for the list."
}

func (p *Page) drawHits(w int) []string {
	t, h := p.o.Theme, p.hits
	table := ui.Table{{Width: 1}, {Title: "id", Width: min(max(w/4, 12), 40)}, {Title: "text"}}
	lines := []string{table.Head(t, w)}
	if len(h.found) == 0 && !h.waiting {
		return append(lines, ui.Wrap(p.nothing(), w, 4)...)
	}
	for i := h.top; i < min(h.top+p.rowsHeight(), len(h.found)); i++ {
		found := &h.found[i]
		if i == h.cursor {
			cells := []string{t.Glyphs.Cursor, found.row.text.String(), p.snippet(found.spans, false)}
			lines = append(lines, t.Paint(ui.Selected, table.Row(t, w, cells)))
			continue
		}
		lines = append(lines, table.Row(t, w, []string{" ", found.row.text.String(), p.snippet(found.spans, true)}))
	}
	return lines
}

// snippet marks the words found: by colour, and by brackets where there is
// none.
func (p *Page) snippet(spans []span, coloured bool) string {
	t := p.o.Theme
	var out strings.Builder
	for _, s := range spans {
		switch {
		case !s.found:
			out.WriteString(s.text.String())
		case coloured && !t.Mono:
			out.WriteString(t.Paint(ui.Found, s.text.String()))
		default:
			out.WriteString("[" + s.text.String() + "]")
		}
	}
	return out.String()
}
