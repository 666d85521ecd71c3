// Package documents is the page that lists, filters, searches, shows, edits,
// undoes and deletes documents, and shows their history.
//
// It keeps one window of rows around what is visible, however many documents
// there are, and asks for the next one outside of Update. Replies carry a
// number; older ones than the newest question are dropped. Text from outside is
// shown only as termsafe.Text.
//
// What was typed is never lost: an edit stays open until it is saved, kept as a
// draft or dropped by an answer to a question, and while it is open a draft of
// it is kept. A document is written only over the version that the operator saw;
// if it is another one by then, both are shown. The page never changes a
// document that the operator did not name.
package documents

import (
	"context"
	"time"

	"github.com/charmbracelet/bubbles/key"
	tea "github.com/charmbracelet/bubbletea"

	"github.com/caiatech/caiatop/backend/action"
	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/probe"
	"github.com/caiatech/caiatop/tui/task"
	"github.com/caiatech/caiatop/tui/termsafe"
	"github.com/caiatech/caiatop/tui/ui"
)

// Limits in time of what the page asks for.
const (
	readLimit  = 10 * time.Second
	writeLimit = 30 * time.Second
)

// textStore is the replica that searches read.
const textStore probe.Store = "text"

// wideWidth is the width from which on list and preview stand side by side.
const wideWidth = 110

// Options of a Page. All but the last three are required.
type Options struct {
	Source   Source
	Tasks    *task.Runner
	Theme    *ui.Theme
	Location *time.Location // for times of day
	Now      func() time.Time

	Drafts Drafts    // nil: what is typed is kept nowhere until it is saved
	Owner  string    // of the drafts that are kept and offered
	Exec   task.Exec // nil: no program may be run
}

// Page is the documents page.
type Page struct {
	o       Options
	w, h    int
	visible bool
	seen    seen

	list    list
	input   *input   // a line being typed: filter or search
	hits    *hits    // results of a search, nil if none are shown
	preview *preview // nil if none is open
	removal *removal // the delete dialog, nil if none
	history *history // revisions, nil if none are shown
	change  *change  // an undo or a restore to look at, nil if none

	opening  *opening  // on its way into an editor
	edit     *edit     // being written
	conflict *conflict // what stands in the way of saving edit
	question *question // on top of everything

	drafts    *keeper // nil if there are none
	leftovers []leftover
	draftsSeq uint64
	looked    bool // for drafts that were left over
	// deleted holds what was deleted here, newest first; justDeleted says that
	// nothing was looked at since.
	deleted     []document.ID
	justDeleted bool
	pause       func(context.Context, time.Duration) bool // tests do not wait

	seq      uint64 // of the newest question of any kind
	revision uint64 // of everything that is drawn
	keys     ui.Keys
	drawn    drawing
	lines    []string
}

// drawing says what a drawing depends on.
type drawing struct {
	revision uint64
	w, h     int
}

// seen is what of a snapshot tells that the list may have changed.
type seen struct {
	documents, pending, lag int64
	unindexed               int64 // operations that the text index lacks
	writes                  uint64
	state                   engine.State
}

// New returns a page that has asked for nothing yet.
func New(o Options) *Page {
	p := &Page{o: o, keys: ui.NewKeys(action.PageDocuments), pause: pause}
	if o.Drafts != nil {
		p.drafts = &keeper{store: o.Drafts, newest: map[document.ID]uint64{}}
	}
	return p
}

// ShortHelp returns the keys for the footer. Views that lie over the list name
// their own.
func (p *Page) ShortHelp() []key.Binding {
	if p.history != nil || p.change != nil {
		return nil
	}
	return p.keys.ShortHelp()
}

// FullHelp returns every key that works here.
func (p *Page) FullHelp() [][]key.Binding { return p.keys.FullHelp() }

// SetSize says how many cells the page may fill.
func (p *Page) SetSize(w, h int) tea.Cmd {
	p.w, p.h = w, h
	p.list.clamp(p.rowsHeight())
	return p.changed()
}

// SetVisible says whether the page is looked at. A hidden one asks for nothing.
func (p *Page) SetVisible(on bool) tea.Cmd {
	p.visible = on
	if on && !p.looked {
		p.looked = true
		return tea.Batch(p.changed(), p.listDrafts(true))
	}
	return p.changed()
}

// SetStats looks whether the list has to be read again.
func (p *Page) SetStats(s *engine.Stats) tea.Cmd {
	now := seen{documents: s.Documents, pending: s.Outbox.Pending, writes: s.Writes, state: s.State}
	for _, store := range s.Stores {
		now.lag += store.Lag
		if store.Name == textStore {
			now.unindexed = store.Lag
		}
	}
	if now == p.seen {
		return nil
	}
	if v := p.preview; v != nil && (v.unsettled() || now.state != p.seen.state) {
		v.stale = true
	}
	p.seen = now
	p.list.stale = true
	return tea.Batch(p.searchAgain(), p.changed())
}

// Typing says that keys are text now, or the answer to a question.
func (p *Page) Typing() bool { return p.input != nil || p.removal != nil || p.busy() }

// busy says that an edit or a question has the keys.
func (p *Page) busy() bool { return p.edit != nil || p.opening != nil || p.question != nil }

// Update takes the replies to what the page asked for. It reports whether msg
// was one.
func (p *Page) Update(msg tea.Msg) (tea.Cmd, bool) {
	switch msg := msg.(type) {
	case rowsMsg:
		return p.onRows(msg), true
	case hitsMsg:
		return p.onHits(msg), true
	case detailMsg:
		return p.onDetail(msg), true
	case removedMsg:
		return p.onRemoved(msg), true
	case historyMsg:
		return p.onHistory(msg), true
	case revisionMsg:
		return p.onRevision(msg), true
	case proposedMsg:
		return p.onProposed(msg), true
	case appliedMsg:
		return p.onApplied(msg), true
	}
	return p.updateEdit(msg)
}

// updateEdit takes the replies to what an edit asked for.
func (p *Page) updateEdit(msg tea.Msg) (tea.Cmd, bool) {
	switch msg := msg.(type) {
	case openedMsg:
		return p.onOpened(msg), true
	case resumedMsg:
		return p.onResumed(msg), true
	case preparedMsg:
		return p.onPrepared(msg), true
	case endedMsg:
		return p.onEnded(msg), true
	case readBackMsg:
		return p.onReadBack(msg), true
	case savedMsg:
		return p.onSaved(msg), true
	case theirsMsg:
		return p.onTheirs(msg), true
	case tickMsg:
		return p.onTick(msg), true
	case Kept:
		return p.onKept(msg), true
	case draftsMsg:
		return p.onDrafts(msg), true
	}
	return nil, false
}

// Type takes a key as text. It is for the dialog, editor or line that is open.
func (p *Page) Type(msg tea.KeyMsg) tea.Cmd {
	var cmd tea.Cmd
	switch {
	case p.question != nil:
		cmd = p.typeQuestion(msg)
	case p.opening != nil:
		p.typeAhead(msg)
	case p.conflict != nil:
		cmd = p.typeConflict(msg)
	case p.edit != nil:
		cmd = p.typeEdit(msg)
	case p.removal != nil:
		cmd = p.typeRemoval(msg)
	case p.input != nil:
		cmd = p.typeInput(msg)
	}
	return tea.Batch(cmd, p.changed())
}

// Do carries out an action by its name. Names that the page does not know are
// left alone, and so is everything while an edit or a question is open.
func (p *Page) Do(name string) tea.Cmd {
	var cmd tea.Cmd
	switch {
	case p.busy() || p.removal != nil:
		return nil
	case p.change != nil && name != action.New:
		cmd = p.doChange(name)
	case p.history != nil:
		p.closeChange()
		cmd = p.doHistory(name)
	default:
		p.closeChange()
		cmd = p.doDocument(name)
	}
	return tea.Batch(cmd, p.changed())
}

// doDocument carries out an action on the list or the selected document.
func (p *Page) doDocument(name string) tea.Cmd {
	switch name {
	case action.Filter:
		p.closeHits()
		p.closePreview()
		p.input = newInput(filterInput, p.list.filter)
	case action.Search:
		p.closePreview()
		p.input = newInput(searchInput, "")
	case action.New:
		p.input = nil
		return p.startNew()
	case action.Edit, action.EditWith:
		return p.startEdit(name == action.EditWith)
	case action.History:
		return p.openHistory()
	case action.Restore:
		if _, _, ok := p.selected(); ok {
			return tea.Batch(p.openHistory(), tell(task.Result("Choose the revision to restore and press R")))
		}
	case action.Undo:
		return p.undo()
	case action.Delete:
		if id, text, ok := p.selected(); ok {
			p.removal = newRemoval(id, text)
		}
	case action.Open:
		if p.preview == nil {
			p.justDeleted = false
			return p.open()
		}
	case action.Back:
		return p.back()
	default:
		p.justDeleted = false
		p.move(name)
	}
	return nil
}

// move carries out a movement in what has the focus.
func (p *Page) move(name string) {
	switch {
	case p.preview != nil:
		p.preview.move(name, p.previewHeight())
	case p.hits != nil:
		p.hits.move(name, p.rowsHeight())
	default:
		p.list.move(name, p.rowsHeight())
	}
}

// back leaves what was opened last: preview, results, filter.
func (p *Page) back() tea.Cmd {
	switch {
	case p.preview != nil:
		p.closePreview()
	case p.hits != nil:
		p.closeHits()
	case p.list.filter != "":
		return p.setFilter("")
	}
	return nil
}

// selected returns the document that the cursor is on.
func (p *Page) selected() (document.ID, termsafe.Text, bool) {
	if p.history != nil {
		return p.history.id, p.history.title, true
	}
	if p.preview != nil {
		return p.preview.id, p.preview.title, true
	}
	r := p.underCursor()
	if r == nil {
		return document.ID{}, termsafe.Text{}, false
	}
	return r.id, r.text, true
}

// underCursor returns the row of the list or the results that the cursor is on.
func (p *Page) underCursor() *row {
	if p.hits != nil {
		return p.hits.selected()
	}
	return p.list.at(p.list.cursor)
}

// changed makes the next View draw anew, and asks for the document and the rows
// in view if they are needed. While a question is open, the next one of its
// kind waits for its reply.
func (p *Page) changed() tea.Cmd {
	p.revision++
	if p.edit != nil {
		p.edit.fit(p.w, p.h)
	}
	if !p.visible || p.h == 0 {
		return nil
	}
	var cmds []tea.Cmd
	if h := p.history; h != nil && h.stale && !h.asking {
		cmds = append(cmds, p.askHistory(h.limit))
	} else if h != nil && h.needs(p.historyHeight()) {
		cmds = append(cmds, p.askHistory(2*h.limit))
	}
	if v := p.preview; v != nil && v.stale && !v.reading {
		cmds = append(cmds, p.read())
	}
	if l := &p.list; !l.asking && (l.stale || !l.loaded || l.needs(p.rowsHeight())) {
		cmds = append(cmds, p.ask())
	}
	return tea.Batch(cmds...)
}

// next numbers a question.
func (p *Page) next() uint64 {
	p.seq++
	return p.seq
}

// tell returns a command that shows a notice.
func tell(n task.Notice) tea.Cmd { return func() tea.Msg { return n } }
