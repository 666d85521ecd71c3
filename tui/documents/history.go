package documents

import (
	"context"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/caiatech/caiatop/backend/action"
	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/tui/compare"
	"github.com/caiatech/caiatop/tui/task"
	"github.com/caiatech/caiatop/tui/termsafe"
	"github.com/caiatech/caiatop/tui/ui"
)

// historyPage is the number of revisions that are asked for at first, and how
// many more when the end comes near.
const historyPage = 100

// history lists the revisions of a document, and shows what one of them changed.
type history struct {
	seq         uint64
	id          document.ID
	title       termsafe.Text
	rows        []revision
	limit       int // revisions asked for
	loaded      bool
	asking      bool
	stale       bool
	cursor, top int
	cancel      context.CancelFunc
	opened      *openedRevision // nil: the list is shown
}

// revision is one version, ready to be shown.
type revision struct {
	commit  string
	at      time.Time
	author  termsafe.Text
	message termsafe.Text
	deleted bool
	mark    string
}

// openedRevision is what one revision changed.
type openedRevision struct {
	seq  uint64
	row  revision
	diff *diff // nil while it is being read
}

type historyMsg struct {
	seq  uint64
	rows []revision
	err  error
}

type revisionMsg struct {
	seq   uint64
	lines []compare.Line
	err   error
}

// openHistory lists the revisions of the selected document.
func (p *Page) openHistory() tea.Cmd {
	id, title, ok := p.selected()
	if !ok {
		return nil
	}
	return p.historyOf(id, title)
}

// historyOf lists the revisions of a document, of a deleted one as well.
func (p *Page) historyOf(id document.ID, title termsafe.Text) tea.Cmd {
	p.justDeleted = false
	p.closeHistory()
	p.history = &history{id: id, title: title}
	return p.askHistory(historyPage)
}

func (p *Page) closeHistory() {
	if p.history != nil {
		if p.history.cancel != nil {
			p.history.cancel()
		}
		p.history = nil
	}
}

// askHistory asks for the newest revisions.
func (p *Page) askHistory(limit int) tea.Cmd {
	h := p.history
	reply := historyMsg{seq: p.next()}
	h.seq, h.asking, h.stale, h.limit = reply.seq, true, false, min(limit, engine.MaxHistory)
	source, id, limit := p.o.Source, h.id, h.limit
	cmd, cancel := p.o.Tasks.Start("reading the history", readLimit, func(ctx context.Context) tea.Msg {
		found, err := source.History(ctx, id, limit)
		reply.err = err
		for i, r := range found {
			reply.rows = append(reply.rows, newRevision(r, i == 0))
		}
		return reply
	})
	h.cancel = cancel
	return cmd
}

func newRevision(r engine.Revision, newest bool) revision {
	first, _, _ := strings.Cut(strings.TrimSpace(r.Message), "\n")
	mark := ""
	switch {
	case r.Deleted:
		mark = "deleted"
	case newest:
		mark = "current"
	}
	return revision{commit: r.Commit, at: r.At, author: termsafe.Line(r.Author), message: termsafe.Line(first), deleted: r.Deleted, mark: mark}
}

func (p *Page) onHistory(msg historyMsg) tea.Cmd {
	h := p.history
	if h == nil || h.seq != msg.seq {
		return nil
	}
	p.revision++
	h.asking = false
	if msg.err != nil {
		if !h.loaded {
			p.closeHistory()
		}
		return tell(task.Failure("reading the history of "+h.title.String(), msg.err))
	}
	if h.loaded && h.cursor < len(h.rows) {
		h.keepOn(h.rows[h.cursor].commit, msg.rows)
	}
	h.rows, h.loaded = msg.rows, true
	h.move("", p.historyHeight())
	return p.changed()
}

// keepOn moves the cursor along with a revision whose place changed.
func (h *history) keepOn(commit string, rows []revision) {
	for i, r := range rows {
		if r.commit == commit {
			h.top += i - h.cursor
			h.cursor = i
			return
		}
	}
}

func (h *history) move(name string, height int) {
	h.cursor = moved(h.cursor, name, len(h.rows), height)
	h.top = scrolled(max(h.top, 0), h.cursor, len(h.rows), height)
}

// needs says that the end of what is known comes near and that there may be
// more.
func (h *history) needs(height int) bool {
	return !h.asking && h.loaded && len(h.rows) == h.limit && h.limit < engine.MaxHistory && h.top+2*height >= len(h.rows)
}

// doHistory carries out an action while a history is shown.
func (p *Page) doHistory(name string) tea.Cmd {
	h := p.history
	switch name {
	case action.Back:
		if h.opened == nil {
			p.closeHistory()
		}
		h.opened = nil
	case action.Open:
		if h.opened == nil && h.cursor < len(h.rows) {
			return p.openRevision(h.cursor)
		}
	case action.Restore:
		return p.restoreRevision()
	case action.Edit, action.EditWith, action.Undo, action.Delete:
		return p.doDocument(name)
	case action.New, action.Filter, action.Search:
		p.closeHistory()
		return p.doDocument(name)
	default:
		if h.opened == nil {
			h.move(name, p.historyHeight())
		} else if h.opened.diff != nil {
			h.opened.diff.move(name, p.historyHeight())
		}
	}
	return nil
}

// openRevision compares a revision with the one before it.
func (p *Page) openRevision(i int) tea.Cmd {
	h := p.history
	rows := h.rows[i:min(i+2, len(h.rows))]
	last := len(rows) == 1
	if last && len(h.rows) == engine.MaxHistory {
		return tell(task.Warn("What it changed is not shown: the one before it is older than the %s revisions that are listed", ui.Count(engine.MaxHistory)))
	}
	reply := revisionMsg{seq: p.next()}
	h.opened = &openedRevision{seq: reply.seq, row: rows[0]}
	source, id, more := p.o.Source, h.id, last && len(h.rows) == h.limit
	return p.o.Tasks.Go("reading a revision", readLimit, func(ctx context.Context) tea.Msg {
		if more {
			found, err := source.History(ctx, id, i+2)
			if err != nil {
				reply.err = err
				return reply
			}
			if len(found) > i+1 {
				rows = append(rows[:1:1], newRevision(found[i+1], false))
			}
		}
		reply.lines, reply.err = compareRevisions(ctx, source, id, rows)
		return reply
	})
}

// compareRevisions compares the first of one or two revisions with the one
// before it.
func compareRevisions(ctx context.Context, source Versions, id document.ID, rows []revision) ([]compare.Line, error) {
	var docs [2]*document.Document
	for i, r := range rows {
		if r.deleted {
			continue
		}
		doc, err := source.GetAt(ctx, id, r.commit)
		if err != nil {
			return nil, err
		}
		docs[i] = &doc
	}
	return compare.Documents(docs[1], docs[0], diffContext), nil
}

func (p *Page) onRevision(msg revisionMsg) tea.Cmd {
	h := p.history
	if h == nil || h.opened == nil || h.opened.seq != msg.seq {
		return nil
	}
	p.revision++
	if msg.err != nil {
		h.opened = nil
		return tell(task.Failure("reading a revision of "+h.title.String(), msg.err))
	}
	h.opened.diff = newDiff(msg.lines)
	return nil
}

// restoreRevision shows what restoring the selected revision would change.
func (p *Page) restoreRevision() tea.Cmd {
	h := p.history
	var row revision
	switch {
	case h.opened != nil:
		row = h.opened.row
	case h.cursor < len(h.rows):
		row = h.rows[h.cursor]
	default:
		return nil
	}
	if row.deleted {
		return tell(task.Warn("This revision is a deletion; to delete the document press x, to take a deletion back restore the one before it"))
	}
	return p.restore(h.id, row.commit)
}

func (p *Page) historyHeight() int { return max(p.h-4, 1) }

// view draws the list, or what one revision changed.
func (h *history) view(t *ui.Theme, w, height int, location *time.Location) []string {
	inner, body := max(w-4, 1), max(height-4, 1)
	title, lines, hint := "History  "+h.title.String(), []string(nil), ""
	if o := h.opened; o != nil {
		title = h.title.String() + "  " + o.row.at.In(location).Format("2006-01-02 15:04")
		hint = ui.Longest(inner, "R restore this revision   esc list", "R restore  esc list", "R  esc")
		lines = []string{t.Paint(ui.Dim, strings.TrimSpace(o.row.author.String()+"  "+o.row.message.String()))}
		switch {
		case o.diff == nil:
			lines = append(lines, "Reading …")
		case len(o.diff.lines) == 0:
			lines = append(lines, t.Paint(ui.Dim, "only times differ from the revision before"))
		default:
			lines = append(lines, o.diff.view(t, inner, body)...)
		}
	} else {
		hint = ui.Longest(inner, "enter what it changed   R restore   u undo the newest   esc documents", "enter what changed  R restore  esc", "enter  R  esc")
		lines = h.list(t, inner, body, location)
	}
	lines = append(ui.Frame(lines, inner, body+1), t.Paint(ui.Dim, hint))
	return t.Box(title, lines, w, height, true)
}

func (h *history) list(t *ui.Theme, w, height int, location *time.Location) []string {
	table := ui.Table{{Width: 1}, {Title: "when", Width: 16}, {Title: "author", Width: min(max(w/6, 8), 20)}, {Title: "message"}, {Width: 7}}
	if w < 50 {
		table = ui.Table{{Width: 1}, {Title: "when", Width: 16}, {Title: "message"}, {Width: 7}}
	}
	lines := []string{table.Head(t, w)}
	switch {
	case !h.loaded:
		return append(lines, t.Paint(ui.Dim, "Reading …"))
	case len(h.rows) == 0:
		return append(lines, "git knows no revision of it.")
	}
	for i := h.top; i < min(h.top+height, len(h.rows)); i++ {
		r := h.rows[i]
		cells := []string{" ", r.at.In(location).Format("2006-01-02 15:04"), r.author.String(), r.message.String(), r.mark}
		tones := []ui.Tone{ui.Plain, ui.Plain, ui.Dim, ui.Plain, ui.Accent}
		if len(table) == 4 {
			cells, tones = append(cells[:2:2], cells[3:]...), append(tones[:2:2], tones[3:]...)
		}
		if i == h.cursor {
			cells[0] = t.Glyphs.Cursor
			lines = append(lines, t.Paint(ui.Selected, table.Row(t, w, cells)))
			continue
		}
		lines = append(lines, table.Row(t, w, cells, tones...))
	}
	return lines
}
