package documents

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/store"
	"github.com/caiatech/caiatop/tui/drafts"
	"github.com/caiatech/caiatop/tui/task"
	"github.com/caiatech/caiatop/tui/termsafe"
)

const (
	// draftTick is how often it is looked whether a draft has to be kept: after
	// two ticks without a change, and in continuous typing after twenty.
	draftTick   = 500 * time.Millisecond
	quietTicks  = 2
	typingTicks = 20
	draftLimit  = 30 * time.Second
	// maxCompared bounds the drafts whose base is compared with what is there.
	maxCompared = 20
)

// unnamed begins the id of the draft of a document that has none yet.
const unnamed = "unnamed-document"

// drafting is what is known of the draft of an edit.
type drafting struct {
	changes, kept, seen uint64 // counts: made, in the draft, at the last tick
	ticks, quiet        int
	ticking             bool
	id                  document.ID   // that it is stored under
	stored              bool          // it may be on the disk
	trouble             termsafe.Text // why it could not be kept
	told                string        // the trouble that was told
	// foundation holds what an edit does not change, where its origin is not
	// known.
	foundation *document.Document
}

// keeper calls Drafts one after the other. What was asked for a document before
// something newer was done to its draft is left out, so that no late save brings
// back what was dropped.
type keeper struct {
	store  Drafts
	mu     sync.Mutex
	newest map[document.ID]uint64
}

func (k *keeper) do(id document.ID, n uint64, f func() error) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if n < k.newest[id] {
		return nil
	}
	k.newest[id] = n
	return f()
}

// tickMsg asks whether the draft of an edit has to be kept now; Kept says how
// that went.
type tickMsg struct{ edit *edit }

// Kept says how keeping a draft went that was asked for by Keep.
type Kept struct {
	// Err is why what is being typed could not be kept, nil if it is safe.
	Err error

	edit    *edit
	id      document.ID
	changes uint64
	close   bool
	quiet   bool // it was not asked for by the operator
}

// pause waits, and reports whether it was not cut short.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// drafted notes that an edit changed.
func (p *Page) drafted(e *edit) tea.Cmd {
	e.draft.changes++
	if p.drafts == nil || e.draft.ticking {
		return nil
	}
	e.draft.ticking = true
	return p.tick(e)
}

func (p *Page) tick(e *edit) tea.Cmd {
	wait := p.pause
	return p.o.Tasks.Go("keeping a draft", 0, func(ctx context.Context) tea.Msg {
		if !wait(ctx, draftTick) {
			return nil
		}
		return tickMsg{e}
	})
}

func (p *Page) onTick(msg tickMsg) tea.Cmd {
	e, d := msg.edit, &msg.edit.draft
	if p.edit != e || d.changes == d.kept {
		d.ticking = false
		return nil
	}
	d.ticks++
	d.quiet++
	if d.changes != d.seen {
		d.seen, d.quiet = d.changes, 0
	}
	if d.quiet < quietTicks && d.ticks < typingTicks {
		return p.tick(e)
	}
	d.ticks, d.quiet = 0, 0
	if !e.modified() {
		d.kept = d.changes
		return tea.Batch(p.dropDraft(e), p.tick(e))
	}
	return tea.Batch(p.keep(e, Kept{quiet: true}), p.tick(e))
}

// Unsaved reports whether something was typed that is not saved, here or in an
// editor of the operator's own.
func (p *Page) Unsaved() bool {
	if p.opening != nil && p.opening.running {
		return true
	}
	return p.edit != nil && (p.edit.saving || p.edit.modified())
}

// Keep returns a command that keeps what was typed as a draft. Kept follows,
// which belongs to Update. It is nil if there is nothing to keep.
func (p *Page) Keep() tea.Cmd {
	switch {
	case !p.Unsaved():
		return nil
	case p.opening != nil && p.opening.running:
		return p.keepFile(p.opening.file)
	}
	return p.keep(p.edit, Kept{})
}

// errNoDrafts: this console has nowhere to keep drafts.
var errNoDrafts = errors.New("this console keeps no drafts")

// keep stores the draft of an edit as it is now.
func (p *Page) keep(e *edit, reply Kept) tea.Cmd {
	reply.edit, reply.changes = e, e.draft.changes
	if p.drafts == nil {
		reply.Err = errNoDrafts
		return func() tea.Msg { return reply }
	}
	d := p.draftOf(e)
	before, had := e.draft.id, e.draft.stored
	e.draft.kept, e.draft.id, e.draft.stored, reply.id = e.draft.changes, d.ID, true, d.ID
	k, n, now := p.drafts, p.next(), p.o.Now
	return p.o.Tasks.Go("keeping a draft", draftLimit, func(ctx context.Context) tea.Msg {
		d.At = now().UTC()
		reply.Err = k.do(d.ID, n, func() error { return k.store.Save(ctx, d) })
		if reply.Err == nil && had && before != d.ID {
			reply.Err = k.do(before, n, func() error { return k.store.Drop(ctx, before, d.Owner) })
		}
		return reply
	})
}

// draftOf is what a draft of an edit holds: all that was typed, whether it could
// be saved or not.
func (p *Page) draftOf(e *edit) drafts.Draft {
	var doc document.Document
	switch {
	case e.origin != nil:
		doc = e.origin.Clone()
	case e.draft.foundation != nil:
		doc = e.draft.foundation.Clone()
	}
	if e.isNew {
		var err error
		doc.ID = p.draftName(e)
		if doc.Source.Type, err = document.ParseType(e.kind.Value()); err != nil {
			doc.Source.Type, _ = document.ParseType("text")
		}
	}
	doc.Content.Text, doc.Content.Metadata = e.text.Text(), e.meta.best()
	return drafts.Draft{ID: doc.ID, New: e.isNew, Base: e.base, Document: doc, Owner: p.o.Owner}
}

// draftName is the id under which the draft of a new document is kept: its own
// while that is one, and never that of a draft which was left over.
func (p *Page) draftName(e *edit) document.ID {
	name := e.id.Value()
	for n := 1; ; n++ {
		id, err := document.ParseID(name)
		if err == nil && ((e.draft.stored && id == e.draft.id) || p.draftOn(id) == nil) {
			return id
		}
		name = unnamed
		if n > 1 {
			name = fmt.Sprintf("%s-%d", unnamed, n)
		}
	}
}

// keepAndClose leaves an edit once its draft is kept.
func (p *Page) keepAndClose(e *edit) tea.Cmd {
	e.saving, e.note = true, termsafe.Line("keeping the draft …")
	return p.keep(e, Kept{close: true})
}

func (p *Page) onKept(msg Kept) tea.Cmd {
	e := msg.edit
	if e == nil {
		return nil
	}
	p.revision++
	d := &e.draft
	if msg.close {
		e.saving, e.note = false, termsafe.Text{}
	}
	if msg.Err != nil {
		reason := task.Reason(msg.Err)
		d.trouble = termsafe.Line(reason)
		if msg.quiet && d.told == reason {
			return nil
		}
		d.told = reason
		return tell(task.Warn("No draft is kept: %s. What you typed is still here; save it with ctrl+s", reason))
	}
	d.trouble, d.told = termsafe.Text{}, ""
	if !msg.close {
		return nil
	}
	how := "e on it goes on"
	if e.isNew {
		how = "a goes on with it"
	}
	return tea.Batch(p.removeFile(e), p.closeEdit(e), p.listDrafts(false),
		tell(task.Result("The draft of %s is kept; %s", termsafe.Line(msg.id.String()), how)))
}

// dropDraft forgets the draft of an edit, if there may be one.
func (p *Page) dropDraft(e *edit) tea.Cmd {
	if p.drafts == nil || !e.draft.stored {
		return nil
	}
	e.draft.stored, e.draft.kept = false, e.draft.changes
	return p.drop(e.draft.id)
}

func (p *Page) drop(id document.ID) tea.Cmd {
	p.forgetDraft(id)
	k, n, owner := p.drafts, p.next(), p.o.Owner
	return p.o.Tasks.Go("dropping a draft", draftLimit, func(ctx context.Context) tea.Msg {
		if err := k.do(id, n, func() error { return k.store.Drop(ctx, id, owner) }); err != nil {
			return task.Warn("A draft of %s could not be removed: %s. It will be offered again", termsafe.Line(id.String()), task.Reason(err))
		}
		return nil
	})
}

// leftover is a draft that was found on the disk.
type leftover struct {
	draft   drafts.Draft
	version string // of the document, in relation to the draft's base
}

// draftsMsg is what was found on the disk.
type draftsMsg struct {
	seq   uint64
	found []leftover
	offer bool
	err   error
}

// listDrafts looks which drafts of this operator are left over.
func (p *Page) listDrafts(offer bool) tea.Cmd {
	if p.drafts == nil {
		return nil
	}
	p.draftsSeq = p.next()
	store, source, reply, owner := p.drafts.store, p.o.Source, draftsMsg{seq: p.draftsSeq, offer: offer}, p.o.Owner
	return p.o.Tasks.Go("looking for drafts", readLimit, func(ctx context.Context) tea.Msg {
		all, err := store.List(ctx)
		if err != nil {
			reply.err = err
			return reply
		}
		for _, d := range all {
			if d.Owner != owner {
				continue
			}
			l := leftover{draft: d}
			if len(reply.found) < maxCompared {
				l.version = relation(ctx, source, d)
			}
			reply.found = append(reply.found, l)
		}
		return reply
	})
}

// relation says how the document is to the version that a draft was made of.
func relation(ctx context.Context, source Library, d drafts.Draft) string {
	found, err := source.Get(ctx, d.ID)
	switch {
	case errors.Is(err, store.ErrNotFound) && d.New:
		return "a new document"
	case errors.Is(err, store.ErrNotFound):
		return "the document was deleted meanwhile"
	case err != nil:
		return ""
	case d.New:
		return "a new document, but this id is taken now"
	case found.Hash == d.Base:
		return "based on the newest version"
	}
	return "based on an older version"
}

func (p *Page) onDrafts(msg draftsMsg) tea.Cmd {
	if msg.seq != p.draftsSeq {
		return nil
	}
	if msg.err != nil {
		return tell(task.Failure("looking for drafts", msg.err))
	}
	p.leftovers = msg.found
	if msg.offer && len(msg.found) > 0 && !p.Typing() {
		p.offer(0)
		p.question.deafUntil = p.o.Now().Add(deafFor)
	}
	return p.changed()
}

// draftOn returns the draft that is left over of a document.
func (p *Page) draftOn(id document.ID) *leftover {
	for i := range p.leftovers {
		if p.leftovers[i].draft.ID == id {
			return &p.leftovers[i]
		}
	}
	return nil
}
