package documents

import (
	"context"
	"slices"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/caiatech/caiatop/backend/action"
	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/tui/task"
	"github.com/caiatech/caiatop/tui/termsafe"
)

const (
	// margin is the number of rows that are kept above and below what is
	// visible, lead how near its end may come before the next are asked for.
	margin = 150
	lead   = 50
	// maxWindow is the most rows that the page keeps.
	maxWindow = 800
)

// row is one document, ready to be shown.
type row struct {
	id         document.ID
	text, kind termsafe.Text
	size       int64
	updated    time.Time
	version
}

// version says which content of a document the stores hold, and where.
type version struct {
	hash      document.Hash
	govc, git engine.Presence
}

func newRow(r engine.Row) row {
	return row{
		id: r.ID, text: termsafe.Line(r.ID.String()), kind: termsafe.Line(r.Type.String()),
		size: r.Size, updated: r.UpdatedAt, version: version{r.Hash, r.Govc, r.Git},
	}
}

// list is a window into all documents that match the filter, and the cursor.
type list struct {
	filter string // as typed
	offset int    // of rows[0] among all that match
	rows   []row
	total  int

	cursor, top int

	seq    uint64 // of the newest question
	asking bool
	stale  bool // the documents changed since the newest question
	loaded bool
	cancel context.CancelFunc
	// jumped says that the newest question is for other documents, so that the
	// cursor stays at its place and not on its document.
	jumped bool
	// wanted is a document that was just written: the cursor goes to it with the
	// next rows, if it is among them.
	wanted document.ID
}

// rowsMsg is the reply to a question for rows.
type rowsMsg struct {
	seq    uint64
	offset int
	rows   []row
	total  int
	err    error
}

// parseFilter reads "type:pdf some words": the type, and what the id contains.
func parseFilter(s string) engine.Query {
	var q engine.Query
	var words []string
	for word := range strings.FieldsSeq(s) {
		if kind, ok := strings.CutPrefix(word, "type:"); ok {
			q.Type = kind
			continue
		}
		words = append(words, word)
	}
	q.Contains = strings.Join(words, " ")
	return q
}

// ask sends a question for the rows around what is visible, and cancels the one
// before.
func (p *Page) ask() tea.Cmd {
	l := &p.list
	if l.cancel != nil {
		l.cancel()
	}
	seq := p.next()
	l.seq, l.asking, l.stale = seq, true, false
	q := parseFilter(l.filter)
	q.Offset = max(l.top-margin, 0)
	q.Limit = min(p.rowsHeight()+2*margin, maxWindow)
	source := p.o.Source
	cmd, cancel := p.o.Tasks.Start("listing documents", readLimit, func(ctx context.Context) tea.Msg {
		page, err := source.List(ctx, q)
		reply := rowsMsg{seq: seq, offset: q.Offset, total: int(page.Total), err: err}
		for _, r := range page.Rows[:min(len(page.Rows), maxWindow)] {
			reply.rows = append(reply.rows, newRow(r))
		}
		return reply
	})
	l.cancel = cancel
	return cmd
}

func (p *Page) onRows(msg rowsMsg) tea.Cmd {
	l := &p.list
	if msg.seq != l.seq {
		return nil
	}
	l.asking = false
	if msg.err != nil {
		l.stale = true // the next key or snapshot tries again
		p.revision++
		return tell(task.Failure("listing documents", msg.err))
	}
	before := l.at(l.cursor)
	l.loaded = true
	l.offset, l.rows, l.total = msg.offset, msg.rows, msg.total
	switch {
	case l.jumped:
	case l.wanted != (document.ID{}) && l.has(l.wanted):
		l.keepOn(l.wanted)
	case before != nil:
		l.keepOn(before.id)
	}
	l.jumped, l.wanted = false, document.ID{}
	l.clamp(p.rowsHeight())
	p.compare()
	return p.changed()
}

func (l *list) has(id document.ID) bool {
	return slices.ContainsFunc(l.rows, func(r row) bool { return r.id == id })
}

// keepOn moves cursor and view along with a document whose place changed.
func (l *list) keepOn(id document.ID) {
	for i, r := range l.rows {
		if r.id != id {
			continue
		}
		moved := l.offset + i - l.cursor
		l.cursor += moved
		l.top = max(l.top+moved, 0)
		return
	}
}

// setFilter shows other documents, from the first one.
func (p *Page) setFilter(s string) tea.Cmd {
	l := &p.list
	if s == l.filter {
		return nil
	}
	l.filter, l.cursor, l.top, l.jumped = s, 0, 0, true
	p.revision++
	return p.ask()
}

// at returns the row at a place among all, nil if it is not in the window.
func (l *list) at(i int) *row {
	if i < l.offset || i >= l.offset+len(l.rows) {
		return nil
	}
	return &l.rows[i-l.offset]
}

// needs reports whether rows in view are missing or soon will be.
func (l *list) needs(height int) bool {
	end := l.offset + len(l.rows)
	return (l.offset > 0 && l.top < l.offset+lead) || (end < l.total && l.top+height > end-lead && l.top+height+margin > end)
}

func (l *list) move(name string, height int) {
	l.cursor = moved(l.cursor, name, l.total, height)
	l.clamp(height)
}

// clamp keeps the cursor on a document and in view.
func (l *list) clamp(height int) {
	l.cursor = max(min(l.cursor, l.total-1), 0)
	l.top = scrolled(l.top, l.cursor, l.total, height)
}

// moved returns where a movement takes a cursor among total lines.
func moved(cursor int, name string, total, height int) int {
	switch name {
	case action.Up:
		cursor--
	case action.Down:
		cursor++
	case action.PageUp:
		cursor -= max(height-1, 1)
	case action.PageDown:
		cursor += max(height-1, 1)
	case action.Top:
		cursor = 0
	case action.Bottom:
		cursor = total - 1
	}
	return max(min(cursor, total-1), 0)
}

// turned returns the first visible line of a text after a movement, which moves
// the text itself.
func turned(top int, name string, total, height int) int {
	return max(min(moved(top, name, total, height), total-height), 0)
}

// scrolled returns the first visible line that keeps the cursor in view.
func scrolled(top, cursor, total, height int) int {
	top = min(top, cursor)
	if height > 0 && cursor >= top+height {
		top = cursor - height + 1
	}
	return max(min(top, total-height), 0)
}
