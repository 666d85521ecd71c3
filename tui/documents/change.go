package documents

import (
	"context"
	"errors"
	"slices"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/caiatech/caiatop/backend/action"
	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/backend/store"
	"github.com/caiatech/caiatop/tui/compare"
	"github.com/caiatech/caiatop/tui/task"
	"github.com/caiatech/caiatop/tui/termsafe"
	"github.com/caiatech/caiatop/tui/ui"
)

// change is an undo or a restore that is shown before it is done.
type change struct {
	seq     uint64
	id      document.ID
	verb    string             // "Undo" or "Restore"
	read    func() tea.Cmd     // asks for it again
	before  *document.Document // what the document becomes; nil: it is deleted
	base    document.Hash      // of what it is now
	reading bool
	working bool
	diff    *diff
	note    termsafe.Text
	cancel  context.CancelFunc
	// What is shown anew is not done by a key that was meant for what was shown
	// before.
	again     bool
	deafUntil time.Time
}

// proposedMsg is what a change would do.
type proposedMsg struct {
	seq         uint64
	now, before *document.Document
	base        document.Hash
	lines       []compare.Line
	err         error
}

// appliedMsg says how doing it went.
type appliedMsg struct {
	seq    uint64
	change *change
	ack    engine.Ack
	err    error
}

// maxDeleted bounds the documents that the page remembers as deleted here.
const maxDeleted = 50

// remember notes that a document was deleted here, so that undo finds it.
func (p *Page) remember(id document.ID) {
	p.forget(id)
	p.deleted = append([]document.ID{id}, p.deleted...)
	p.deleted = p.deleted[:min(len(p.deleted), maxDeleted)]
	p.justDeleted = true
}

func (p *Page) forget(id document.ID) {
	p.deleted = slices.DeleteFunc(p.deleted, func(other document.ID) bool { return other == id })
}

// undo shows the inverse of the newest change: of what was just deleted here,
// else of the selected document, else of what was deleted last. Where an undo is
// shown already, it shows the next one that was deleted.
func (p *Page) undo() tea.Cmd {
	id, _, ok := p.selected()
	if c := p.change; c != nil {
		i := slices.Index(p.deleted, c.id) + 1
		if c.verb != undoVerb || i >= len(p.deleted) {
			return nil
		}
		id, ok = p.deleted[i], true
	} else if len(p.deleted) > 0 && (p.justDeleted || !ok) {
		id, ok = p.deleted[0], true
	}
	if !ok {
		return tell(task.Warn("Nothing is selected, and nothing was deleted here"))
	}
	p.closeChange()
	p.change = &change{id: id, verb: undoVerb}
	p.change.read = func() tea.Cmd { return p.proposeUndo(id) }
	return p.change.read()
}

// The verbs of a change.
const (
	undoVerb    = "Undo"
	restoreVerb = "Restore"
)

func (p *Page) proposeUndo(id document.ID) tea.Cmd {
	source := p.o.Source
	return p.propose(func(ctx context.Context, reply *proposedMsg) error {
		found, err := source.Undo(ctx, id)
		reply.now, reply.before, reply.base = found.Now, found.Before, found.Base
		return err
	})
}

// restore shows what restoring a revision would change.
func (p *Page) restore(id document.ID, commit string) tea.Cmd {
	p.closeChange()
	p.change = &change{id: id, verb: restoreVerb}
	source := p.o.Source
	p.change.read = func() tea.Cmd {
		return p.propose(func(ctx context.Context, reply *proposedMsg) error {
			before, err := source.GetAt(ctx, id, commit)
			if err != nil {
				return err
			}
			reply.before = &before
			found, err := source.Get(ctx, id)
			if errors.Is(err, store.ErrNotFound) {
				return nil
			}
			reply.now, reply.base = &found.Document, found.Hash
			return err
		})
	}
	return p.change.read()
}

// propose asks for what a change would do, and compares.
func (p *Page) propose(ask func(context.Context, *proposedMsg) error) tea.Cmd {
	c := p.change
	reply := proposedMsg{seq: p.next()}
	c.seq, c.reading = reply.seq, true
	cmd, cancel := p.o.Tasks.Start("reading a change", readLimit, func(ctx context.Context) tea.Msg {
		if reply.err = ask(ctx, &reply); reply.err == nil {
			reply.lines = compare.Documents(reply.now, reply.before, diffContext)
		}
		return reply
	})
	c.cancel = cancel
	return cmd
}

func (p *Page) onProposed(msg proposedMsg) tea.Cmd {
	c := p.change
	if c == nil || c.seq != msg.seq {
		return nil
	}
	p.revision++
	c.reading = false
	name := termsafe.Line(c.id.String())
	switch {
	case msg.err != nil:
		p.closeChange()
		return tell(task.Failure(c.doing(), msg.err))
	case msg.now == nil && msg.before == nil:
		p.closeChange()
		return tell(task.Warn("There is nothing to undo: %s is deleted, and was not there before", name))
	case msg.now != nil && msg.before != nil && sameContent(*msg.now, *msg.before):
		if c.verb == restoreVerb {
			p.closeChange()
			return tell(task.Result("%s holds this already", name))
		}
		c.note = termsafe.Line("only the times differ")
	}
	c.before, c.base, c.diff = msg.before, msg.base, newDiff(msg.lines)
	if c.again {
		c.deafUntil = p.o.Now().Add(deafFor)
	}
	return p.changed()
}

// doing names the change for a notice.
func (c *change) doing() string {
	if c.verb == undoVerb {
		return "undoing " + termsafe.Line(c.id.String()).String()
	}
	return "restoring " + termsafe.Line(c.id.String()).String()
}

func (p *Page) closeChange() {
	if p.change != nil {
		if p.change.cancel != nil {
			p.change.cancel()
		}
		p.change = nil
	}
}

// doChange carries out an action while a change is shown.
func (p *Page) doChange(name string) tea.Cmd {
	c := p.change
	if c.working {
		return nil
	}
	switch name {
	case action.Back:
		p.closeChange()
	case action.Open:
		return p.apply()
	case action.Undo:
		return p.undo()
	case action.History:
		p.closeChange()
		return p.historyOf(c.id, termsafe.Line(c.id.String()))
	default:
		if c.diff != nil {
			c.diff.move(name, p.changeHeight())
		}
	}
	return nil
}

// apply does what is shown, if the document is still what it was then.
func (p *Page) apply() tea.Cmd {
	c := p.change
	if c.diff == nil || c.reading || p.deaf(&c.deafUntil) {
		return nil
	}
	c.working, c.note = true, termsafe.Line("working …")
	source, id, before, base := p.o.Source, c.id, c.before, c.base
	reply := appliedMsg{seq: c.seq, change: c}
	return p.o.Tasks.Go("changing a document", writeLimit, func(ctx context.Context) tea.Msg {
		if before == nil {
			reply.ack, reply.err = source.Remove(ctx, id, base)
		} else {
			reply.ack, reply.err = source.Replace(ctx, *before, base)
		}
		return reply
	})
}

func (p *Page) onApplied(msg appliedMsg) tea.Cmd {
	c := msg.change
	p.revision++
	c.working, c.note = false, termsafe.Text{}
	var moved *engine.ConflictError
	gone := c.before == nil && errors.Is(msg.err, store.ErrNotFound)
	switch {
	case errors.As(msg.err, &moved) || gone:
		if p.change != c {
			return tell(task.Failure(c.doing(), msg.err))
		}
		c.diff, c.again, c.note = nil, true, termsafe.Line("it changed meanwhile; this is what would change now")
		return tea.Batch(c.read(), tell(task.Warn("Not done: %s changed meanwhile. What would change now is shown anew", termsafe.Line(c.id.String()))))
	case msg.err != nil:
		c.note = termsafe.Line("not done: " + task.Reason(msg.err))
		return tell(task.Failure(c.doing(), msg.err))
	}
	if p.change == c {
		p.closeChange()
	}
	done := "Undone: "
	if c.verb == restoreVerb {
		done = "Restored: "
	}
	if c.before == nil {
		p.remember(c.id)
		if p.preview != nil && p.preview.id == c.id {
			p.closePreview()
		}
	} else {
		p.forget(c.id)
		p.justDeleted = false
	}
	p.touched()
	return tea.Batch(tell(task.Result("%s%s (%s); u takes it back", done, termsafe.Line(c.id.String()), promise(msg.ack))), p.changed())
}

func (p *Page) changeHeight() int { return max(p.h-4, 1) }

func (c *change) view(t *ui.Theme, w, h, deleted int) []string {
	inner := max(w-4, 1)
	var lines []string
	body := max(h-4, 1)
	switch {
	case c.diff == nil:
		lines = []string{"Reading …"}
	case len(c.diff.lines) == 0:
		lines = []string{t.Paint(ui.Dim, "no difference")}
	default:
		lines = c.diff.view(t, inner, body)
	}
	lines = ui.Frame(lines, inner, body)
	if h >= 4 {
		lines = append(lines, c.foot(t, inner, deleted)...)
	}
	return t.Box(c.verb+"  "+termsafe.Line(c.id.String()).String(), lines, w, h, true)
}

// foot says what happens with the document, and how to answer.
func (c *change) foot(t *ui.Theme, w, deleted int) []string {
	what := "this is how the document changes"
	if c.diff != nil && c.before == nil {
		what = "the document did not exist before: this deletes it"
	}
	tone := ui.Dim
	if c.note.Width() > 0 {
		what, tone = c.note.String(), ui.Warn
	}
	more, short := "", ""
	if c.verb == undoVerb && deleted > 1 {
		more, short = "   u next one deleted", "  u next"
	}
	hint := ui.Longest(w, "enter do it   esc leave it as it is   H history"+more, "enter do it   esc leave it as it is"+more, "enter do it  esc cancel"+short, "enter  esc")
	if w < 30 {
		hint = ui.Longest(w, "enter do it  esc", "enter")
	}
	return []string{t.Paint(tone, ui.Fit(what, w)), t.Paint(ui.Dim, hint)}
}
