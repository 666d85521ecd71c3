// Package events is the page that lists what happened, newest last, with its
// details and what to do about it.
//
// It holds as many entries as a journal does and reads new ones outside of
// Update, and only when a snapshot tells that there are some. The cursor stays
// on its entry while others arrive, unless the page follows the newest. Entries
// may quote anybody: nothing of them is drawn but as termsafe.Text. The page has
// no clock, keeps nothing on disk and changes nothing.
package events

import (
	"context"
	"time"

	"github.com/charmbracelet/bubbles/key"
	tea "github.com/charmbracelet/bubbletea"

	"github.com/caiatech/caiatop/backend/action"
	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/probe/journal"
	"github.com/caiatech/caiatop/tui/task"
	"github.com/caiatech/caiatop/tui/ui"
)

// Source is where events come from, a *journal.Journal for example.
type Source interface {
	// Since returns the entries with a number above seq, oldest first.
	Since(seq uint64) []journal.Entry
}

// readLimit bounds the time that reading events takes.
const readLimit = 10 * time.Second

// filterLimit bounds a filter, in characters.
const filterLimit = 400

// Options of a Page. All are required.
type Options struct {
	Source   Source
	Tasks    *task.Runner
	Theme    *ui.Theme
	Location *time.Location // for times of day
}

// Page is the events page.
type Page struct {
	o       Options
	w, h    int
	visible bool
	now     time.Time // of the newest snapshot; tells what "today" is

	newest  uint64 // number of the newest event, as far as is known
	read    uint64 // number of the newest one that was read
	loaded  bool
	asking  bool
	list    list
	input   *input   // the filter while it is typed
	details *details // nil if none are open

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

// input is the line that a filter is typed into.
type input struct {
	before string // the filter to go back to
	editor *ui.Editor
}

// readMsg is the reply to a question for the events after a number.
type readMsg struct {
	after, newest uint64 // read before it, and known to be there
	found         []*event
}

// New returns a page that has read nothing yet and follows the newest event.
func New(o Options) *Page {
	return &Page{o: o, keys: ui.NewKeys(action.PageEvents), list: list{follow: true, level: journal.Info}}
}

// ShortHelp returns the keys for the footer.
func (p *Page) ShortHelp() []key.Binding { return p.keys.ShortHelp() }

// FullHelp returns every key that works here.
func (p *Page) FullHelp() [][]key.Binding { return p.keys.FullHelp() }

// Hint says what can be pressed while a filter is typed or details are open; ""
// otherwise.
func (p *Page) Hint() string {
	hint := func(name, does string) string { return p.keys.Binding(name).Help().Key + " " + does }
	switch {
	case p.input != nil:
		return "enter keep   " + hint(action.Back, "drop") + "   words, or kind:slow"
	case p.details != nil:
		return hint(action.Back, "back") + "   " + hint(action.Up, "up") + "   " + hint(action.Down, "down")
	}
	return ""
}

// SetSize says how many cells the page may fill.
func (p *Page) SetSize(w, h int) tea.Cmd {
	p.w, p.h = w, h
	p.list.clamp(p.rowsHeight())
	return p.changed()
}

// SetVisible says whether the page is looked at. A hidden one asks for nothing.
func (p *Page) SetVisible(on bool) tea.Cmd {
	p.visible = on
	return p.changed()
}

// SetStats looks whether something happened.
func (p *Page) SetStats(s *engine.Stats) tea.Cmd {
	newDay := !sameDay(p.now, s.At, p.o.Location)
	p.now = s.At
	// What was read may be newer than a snapshot.
	if s.Newest > p.newest || newDay {
		p.newest = max(p.newest, s.Newest)
		return p.changed()
	}
	return nil
}

// SetNewest says that there is an event of that number, which no snapshot knows
// of yet.
func (p *Page) SetNewest(seq uint64) tea.Cmd {
	p.newest = max(p.newest, seq)
	return p.changed()
}

// Typing says that keys are text now.
func (p *Page) Typing() bool { return p.input != nil }

// Update takes the replies to what the page asked for. It reports whether msg
// was one.
func (p *Page) Update(msg tea.Msg) (tea.Cmd, bool) {
	read, ok := msg.(readMsg)
	if !ok {
		return nil, false
	}
	if read.after != p.read {
		return nil, true // an answer to an older question
	}
	p.asking, p.loaded = false, true
	p.list.add(read.found, p.rowsHeight())
	p.read = max(p.read, read.newest) // if it is not there now, it never will be
	if n := len(read.found); n > 0 {
		p.read = read.found[n-1].Seq
		p.newest = max(p.newest, p.read)
	}
	return p.changed(), true
}

// Type takes a key as text for the filter.
func (p *Page) Type(msg tea.KeyMsg) tea.Cmd {
	in := p.input
	switch msg.Type {
	case tea.KeyEsc:
		p.input = nil
		p.list.setFilter(in.before, p.rowsHeight())
	case tea.KeyEnter:
		p.input = nil
	case tea.KeyUp, tea.KeyDown, tea.KeyPgUp, tea.KeyPgDown:
		if a, ok := p.keys.Action(msg); ok {
			p.list.move(a.Name, p.rowsHeight())
		}
	default:
		if changed, _ := in.editor.Key(msg); changed {
			p.list.setFilter(in.editor.Value(), p.rowsHeight())
		}
	}
	return p.changed()
}

// Do carries out an action by its name. Names that the page does not know are
// left alone.
func (p *Page) Do(name string) tea.Cmd {
	l, h := &p.list, p.rowsHeight()
	switch name {
	case action.FilterEvents:
		p.details = nil
		p.input = &input{before: l.filter, editor: ui.NewEditor(true, filterLimit)}
		p.input.editor.Set(l.filter)
	case action.Level:
		p.details = nil
		l.setLevel(next(l.level), h)
	case action.Follow:
		p.details = nil
		l.setFollow(!l.follow, h)
	case action.OpenEvent:
		if e := l.selected(); e != nil && p.details == nil {
			l.setFollow(false, h) // so that the cursor is where it was afterwards
			p.details = &details{event: e}
		}
	case action.Back:
		p.back()
	default:
		if p.details != nil {
			p.details.move(name)
		} else {
			l.move(name, h)
		}
	}
	return p.changed()
}

// back leaves what was opened or narrowed last.
func (p *Page) back() {
	l, h := &p.list, p.rowsHeight()
	switch {
	case p.details != nil:
		p.details = nil
	case l.filter != "":
		l.setFilter("", h)
	case l.level != journal.Info:
		l.setLevel(journal.Info, h)
	}
}

// changed makes the next View draw anew, and asks for events if there are some
// that were not read. While a question is open, the next one waits for its
// reply.
func (p *Page) changed() tea.Cmd {
	p.revision++
	if !p.visible || p.asking || (p.loaded && p.newest == p.read) {
		return nil
	}
	p.asking = true
	source, after, newest := p.o.Source, p.read, p.newest
	return p.o.Tasks.Go("reading the events", readLimit, func(context.Context) tea.Msg {
		entries := source.Since(after)
		entries = entries[max(len(entries)-journal.Keep, 0):]
		reply := readMsg{after: after, newest: newest, found: make([]*event, len(entries))}
		for i, e := range entries {
			reply.found[i] = newEvent(e)
		}
		return reply
	})
}

// sameDay says whether two times are of the same day in a place.
func sameDay(a, b time.Time, place *time.Location) bool {
	ay, am, ad := a.In(place).Date()
	by, bm, bd := b.In(place).Date()
	return ay == by && am == bm && ad == bd
}
