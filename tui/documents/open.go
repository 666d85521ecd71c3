package documents

import (
	"context"
	"errors"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/backend/store"
	"github.com/caiatech/caiatop/tui/drafts"
	"github.com/caiatech/caiatop/tui/task"
	"github.com/caiatech/caiatop/tui/termsafe"
	"github.com/caiatech/caiatop/tui/ui"
)

const (
	// maxAhead bounds the keys that are typed before the editor is there.
	maxAhead = 256
	// maxSearched bounds the versions among which the base of a draft is looked
	// for.
	maxSearched = 100
)

// opening is a document on its way into an editor. Keys that are typed meanwhile
// are for the editor; esc ends it.
type opening struct {
	seq      uint64
	id       document.ID
	external bool
	running  bool // the external editor has the terminal, or had it
	file     file // that it edits
	ahead    []tea.KeyMsg
	cancel   context.CancelFunc
}

// openedMsg is the document that is to be edited.
type openedMsg struct {
	seq   uint64
	found engine.Found
	err   error
}

// resumedMsg is the version that a draft was made of, nil if it is not known.
type resumedMsg struct {
	seq    uint64
	draft  drafts.Draft
	origin *document.Document
	err    error
}

// startEdit reads a document in order to edit it.
func (p *Page) startEdit(external bool) tea.Cmd {
	id, _, ok := p.selected()
	switch {
	case !ok:
		return nil
	case external && p.o.Exec == nil:
		return tell(task.Warn("No program can be run from this console; e opens the built-in editor"))
	}
	p.justDeleted = false
	source, reply := p.o.Source, openedMsg{seq: p.next()}
	cmd, cancel := p.o.Tasks.Start("reading a document", readLimit, func(ctx context.Context) tea.Msg {
		reply.found, reply.err = source.Get(ctx, id)
		return reply
	})
	p.opening = &opening{seq: reply.seq, id: id, external: external, cancel: cancel}
	return cmd
}

// typeAhead keeps a key for the editor that is on its way.
func (p *Page) typeAhead(msg tea.KeyMsg) {
	o := p.opening
	switch {
	case msg.Type == tea.KeyEsc && !o.running:
		p.stopOpening()
	case !o.external && len(o.ahead) < maxAhead:
		o.ahead = append(o.ahead, msg)
	}
}

func (p *Page) stopOpening() {
	if p.opening != nil {
		p.opening.cancel()
		p.opening = nil
	}
}

func (p *Page) onOpened(msg openedMsg) tea.Cmd {
	o := p.opening
	if o == nil || o.seq != msg.seq {
		return nil
	}
	p.revision++
	name := termsafe.Line(o.id.String())
	left := p.draftOn(o.id)
	if left != nil && errors.Is(msg.err, store.ErrNotFound) {
		p.opening = nil
		return p.resumeDraft(left.draft)
	}
	if msg.err != nil {
		p.opening = nil
		p.list.stale = p.list.stale || errors.Is(msg.err, store.ErrNotFound)
		return tell(task.Failure("opening "+name.String(), msg.err))
	}
	if why := refusal(msg.found.Document); why != "" {
		p.opening = nil
		return tell(task.Warn("%s cannot be edited here: %s", name, why))
	}
	if left != nil {
		p.opening = nil
		p.askDraft(*left, msg.found, o.external)
		return p.changed()
	}
	return p.opened(msg.found, o)
}

// opened shows the editor, and gives it what was typed meanwhile.
func (p *Page) opened(found engine.Found, o *opening) tea.Cmd {
	if o.external {
		return p.prepareEditor(found)
	}
	p.opening, p.edit = nil, p.newEdit(found)
	cmds := []tea.Cmd{p.changed()}
	for _, key := range o.ahead {
		cmds = append(cmds, p.Type(key))
	}
	return tea.Batch(cmds...)
}

// askDraft offers the draft of a document that is opened.
func (p *Page) askDraft(l leftover, found engine.Found, external bool) {
	d := l.draft
	version := "based on the newest version"
	if d.Base != found.Hash {
		version = "based on an older version"
	}
	if d.New {
		version = "a new document, but this id is taken now"
	}
	p.askFor("Draft", []termsafe.Text{p.draftLine(d, version)},
		choice{label: "cancel"},
		choice{label: "continue the draft", run: func() tea.Cmd { return p.resumeDraft(d) }},
		choice{label: "drop it, open the document", run: func() tea.Cmd {
			drop := p.drop(d.ID)
			o := &opening{seq: p.next(), id: d.ID, external: external, cancel: func() {}}
			p.opening = o
			return tea.Batch(drop, p.opened(found, o))
		}})
	p.question.deafUntil = p.o.Now().Add(deafFor)
}

func (p *Page) draftLine(d drafts.Draft, version string) termsafe.Text {
	text := "Draft of " + d.ID.String() + " from " + p.clock(d.At)
	if version != "" {
		text += ", " + version
	}
	return termsafe.Line(text)
}

// offer asks about the drafts that were left over, one after the other.
func (p *Page) offer(i int) {
	l := p.leftovers[i]
	text := []termsafe.Text{p.draftLine(l.draft, l.version)}
	next := func() tea.Cmd {
		if i < len(p.leftovers) {
			p.offer(i)
		}
		return nil
	}
	if more := len(p.leftovers) - i - 1; more > 0 {
		text = append(text, termsafe.Line(ui.Count(int64(more))+" more after this one"))
	}
	later := choice{label: "later", run: func() tea.Cmd {
		return tell(task.Result("Drafts stay where they are; e on a document offers its draft again"))
	}}
	p.askFor("A draft was left over", text, later,
		choice{key: "e", label: "continue", run: func() tea.Cmd { return p.resumeDraft(l.draft) }},
		choice{key: "x", label: "drop", run: func() tea.Cmd { return tea.Batch(p.drop(l.draft.ID), next()) }})
}

// forgetDraft takes a draft off the list of those left over.
func (p *Page) forgetDraft(id document.ID) {
	var left []leftover
	for _, l := range p.leftovers {
		if l.draft.ID != id {
			left = append(left, l)
		}
	}
	p.leftovers = left
}

// resumeDraft opens the editor with a draft, once the version that it was made
// of is found.
func (p *Page) resumeDraft(d drafts.Draft) tea.Cmd {
	reply := resumedMsg{seq: p.next(), draft: d}
	if d.New {
		p.opening = &opening{seq: reply.seq, id: d.ID, cancel: func() {}}
		return p.onResumed(reply)
	}
	source := p.o.Source
	cmd, cancel := p.o.Tasks.Start("reading a document", readLimit, func(ctx context.Context) tea.Msg {
		found, err := source.Get(ctx, d.ID)
		switch {
		case err == nil && found.Hash == d.Base:
			reply.origin = &found.Document
		case err == nil || errors.Is(err, store.ErrNotFound):
			reply.origin = versionOf(ctx, source, d.ID, d.Base)
		default:
			reply.err = err
		}
		return reply
	})
	p.opening = &opening{seq: reply.seq, id: d.ID, cancel: cancel}
	return cmd
}

// versionOf returns a version of a document by its hash, nil if it is not among
// the newest ones of git's history.
func versionOf(ctx context.Context, source Versions, id document.ID, hash document.Hash) *document.Document {
	revisions, err := source.History(ctx, id, maxSearched)
	if err != nil {
		return nil // without it there is no merge; both sides are shown all the same
	}
	for _, r := range revisions {
		if r.Deleted {
			continue
		}
		doc, err := source.GetAt(ctx, id, r.Commit)
		if err != nil {
			continue
		}
		if found, err := doc.Hash(); err == nil && found == hash {
			return &doc
		}
	}
	return nil
}

func (p *Page) onResumed(msg resumedMsg) tea.Cmd {
	o := p.opening
	if o == nil || o.seq != msg.seq {
		return nil
	}
	p.opening = nil
	p.revision++
	if msg.err != nil {
		return tell(task.Failure("opening "+termsafe.Line(msg.draft.ID.String()).String(), msg.err))
	}
	p.forgetDraft(msg.draft.ID)
	p.edit = p.resume(msg.draft, msg.origin)
	cmds := []tea.Cmd{p.changed()}
	for _, key := range o.ahead {
		cmds = append(cmds, p.Type(key))
	}
	return tea.Batch(cmds...)
}
