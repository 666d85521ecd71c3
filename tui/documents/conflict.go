package documents

import (
	"context"
	"errors"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/store"
	"github.com/caiatech/caiatop/tui/compare"
	"github.com/caiatech/caiatop/tui/task"
	"github.com/caiatech/caiatop/tui/termsafe"
	"github.com/caiatech/caiatop/tui/ui"
)

// wholeContext shows every line of what is compared.
const wholeContext = 1 << 20

// conflict shows what a document was, what others made of it and what was made
// of it here. The edit stays behind it as it was: leaving goes back to it.
type conflict struct {
	mine   document.Document
	theirs *document.Document // nil: it was deleted
	hash   document.Hash      // of theirs
	origin *document.Document // nil: it is not known
	// merged is what comes out of both, nil where nothing can be merged; clean
	// says that no line and no name was changed on both sides.
	merged  *document.Document
	clean   bool
	marked  bool     // the merged text holds marks
	clashes []string // names of metadata that both sides changed

	panes  []pane // base, theirs, mine, and merged if there is one
	focus  int
	naming *ui.Editor // the id of a copy being typed, nil if none is
	note   termsafe.Text
	// It opens by itself, in the middle of what is being typed.
	deafUntil time.Time
}

// pane is one side of a conflict.
type pane struct {
	title string
	diff  *diff
}

// theirsMsg is what stands in the way of a save.
type theirsMsg struct {
	seq      uint64
	edit     *edit
	conflict *conflict
	err      error
}

// readTheirs reads what a document is now and compares it with what was to be
// saved.
func (p *Page) readTheirs(e *edit, mine document.Document) tea.Cmd {
	if c := p.conflict; c != nil {
		mine = c.mine // what was refused may have been a merge
	}
	e.saving, e.note = true, termsafe.Line("it was changed meanwhile; reading what is there now …")
	source, origin, base := p.o.Source, e.origin, e.base
	reply := theirsMsg{seq: p.next(), edit: e}
	e.seq = reply.seq
	return p.o.Tasks.Go("reading a document", readLimit, func(ctx context.Context) tea.Msg {
		c := &conflict{mine: mine, origin: origin}
		found, err := source.Get(ctx, mine.ID)
		switch {
		case err == nil:
			c.theirs, c.hash = &found.Document, found.Hash
		case !errors.Is(err, store.ErrNotFound):
			reply.err = err
			return reply
		}
		if c.origin == nil {
			c.origin = versionOf(ctx, source, mine.ID, base)
		}
		c.prepare()
		reply.conflict = c
		return reply
	})
}

// prepare merges and compares.
func (c *conflict) prepare() {
	base := pane{"base", newDiff([]compare.Line{{Kind: compare.Same, Text: termsafe.Line("The version that this was made of is not in git's history.")}})}
	theirs := pane{"theirs: deleted", newDiff(compare.Documents(c.origin, c.theirs, wholeContext))}
	mine := pane{"mine", newDiff(compare.Documents(c.origin, &c.mine, wholeContext))}
	switch {
	case c.theirs != nil:
		theirs.title = "theirs"
	case c.origin == nil:
		theirs.diff = newDiff(whole(plain(termsafe.Line("The document was deleted."))))
	}
	if c.origin != nil {
		base.diff = newDiff(whole(contents(*c.origin)))
	} else if c.theirs != nil {
		theirs.diff = newDiff(whole(contents(*c.theirs)))
		mine = pane{"mine, compared with theirs", newDiff(compare.Documents(c.theirs, &c.mine, wholeContext))}
	}
	c.panes = []pane{base, theirs, mine}
	c.focus = 1
	if c.origin == nil || c.theirs == nil {
		return
	}
	merged := c.theirs.Clone()
	merged.Content.Text, c.clean = compare.Merge(c.origin.Content.Text, c.mine.Content.Text, c.theirs.Content.Text)
	merged.Content.Metadata, c.clashes = compare.MergeMetadata(c.origin.Content.Metadata, c.mine.Content.Metadata, c.theirs.Content.Metadata)
	c.marked = !c.clean
	c.clean = c.clean && len(c.clashes) == 0
	c.merged = &merged
	title := "merged, compared with theirs"
	if !c.clean {
		title = "merged with marks, compared with theirs"
	}
	c.panes = append(c.panes, pane{title, newDiff(compare.Documents(c.theirs, c.merged, wholeContext))})
}

// contents lists what a document holds.
func contents(d document.Document) []line {
	out := metadata(d.Content.Metadata)
	if len(out) > 0 {
		out = append(out[1:], line{}) // without the empty line above
	}
	return append(out, plain(textLines(d.Content.Text)...)...)
}

func (p *Page) onTheirs(msg theirsMsg) tea.Cmd {
	e := msg.edit
	if p.edit != e || e.seq != msg.seq {
		return nil
	}
	e.saving, e.note = false, termsafe.Text{}
	p.revision++
	c := msg.conflict
	switch {
	case msg.err != nil:
		e.note = termsafe.Line("not saved: it was changed meanwhile, and what is there now cannot be read: " + task.Reason(msg.err))
		return tell(task.Failure("reading what is there now", msg.err))
	case c.theirs != nil && sameContent(*c.theirs, c.mine):
		// A save whose reply was lost, or the same words by somebody else.
		return p.saved(e, task.Result("%s holds this already", termsafe.Line(c.mine.ID.String())))
	case p.conflict != nil:
		c.note = termsafe.Line("it was changed once more; this is what is there now")
	}
	c.deafUntil = p.o.Now().Add(deafFor)
	p.conflict = c
	return tea.Batch(p.drafted(e), p.changed(), tell(task.Warn("Not saved: %s was %s meanwhile. Choose what is to stay", termsafe.Line(c.mine.ID.String()), c.done())))
}

// done says what others did.
func (c *conflict) done() string {
	if c.theirs == nil {
		return "deleted"
	}
	return "changed"
}

// typeConflict takes the answer to a conflict.
func (p *Page) typeConflict(msg tea.KeyMsg) tea.Cmd {
	c, e := p.conflict, p.edit
	if e.saving || p.deaf(&c.deafUntil) {
		return nil
	}
	c.note = termsafe.Text{}
	if c.naming != nil {
		return p.typeCopy(msg)
	}
	switch msg.String() {
	case "esc":
		p.conflict = nil
		return tell(task.Result("Nothing was saved yet; ctrl+s shows both sides again"))
	case "tab", "right":
		c.focus = (c.focus + 1) % len(c.panes)
	case "shift+tab", "left":
		c.focus = (c.focus + len(c.panes) - 1) % len(c.panes)
	case "m":
		return p.takeMerge()
	case "w":
		return p.write(e, c.mine, c.hash, false)
	case "t":
		p.askTheirs()
	case "c":
		c.naming = ui.NewEditor(true, document.MaxID)
		c.naming.Set(copyName(c.mine.ID))
	default:
		if a, ok := p.keys.Action(msg); ok {
			c.panes[c.focus].diff.move(a.Name, p.paneHeight())
		}
	}
	return nil
}

// copyName is an id that a copy may get.
func copyName(id document.ID) string {
	const end = ".mine"
	name := id.String()
	for len(name)+len(end) > document.MaxID {
		_, size := lastRune(name)
		name = name[:len(name)-size]
	}
	return name + end
}

// takeMerge saves a clean merge. One that is not goes into the editor, where
// the operator settles what both sides changed.
func (p *Page) takeMerge() tea.Cmd {
	c, e := p.conflict, p.edit
	switch {
	case c.merged == nil:
		c.note = termsafe.Line("there is nothing to merge with")
		return nil
	case c.clean:
		return p.write(e, *c.merged, c.hash, false)
	}
	p.conflict = nil
	e.origin, e.base, e.marked = c.theirs, c.hash, c.marked
	e.text.Replace(c.merged.Content.Text)
	e.meta.set(c.merged.Content.Metadata)
	e.focus = textField
	note := "both sides changed the marked lines; settle them and press ctrl+s"
	if names := strings.Join(c.clashes, ", "); names != "" {
		note = "both sides changed " + names + " in the metadata (F2); settle it and press ctrl+s"
		if c.marked {
			note = "settle the marked lines, and what both sides changed in the metadata (F2): " + names
		} else {
			e.focus = metaField
		}
	}
	e.note = termsafe.Line(note)
	if line := firstMarker(c.merged.Content.Text); line > 0 {
		e.text.Goto(line)
	}
	return tea.Batch(p.drafted(e), p.changed())
}

// askTheirs asks what happens to mine before theirs is taken.
func (p *Page) askTheirs() {
	e := p.edit
	choices := []choice{{label: "cancel"}}
	if p.drafts != nil {
		choices = append(choices, choice{label: "keep mine as a draft", run: func() tea.Cmd { return p.keepAndClose(e) }})
	}
	choices = append(choices, choice{label: "drop mine", run: func() tea.Cmd { p.touched(); return p.discard(e) }})
	p.askFor("Take theirs", []termsafe.Text{termsafe.Line("The document stays as the others made it. What was typed here is not saved.")}, choices...)
}

// typeCopy takes the id of a copy.
func (p *Page) typeCopy(msg tea.KeyMsg) tea.Cmd {
	c := p.conflict
	switch msg.Type {
	case tea.KeyEsc:
		c.naming = nil
	case tea.KeyEnter, tea.KeyCtrlS:
		id, err := document.ParseID(c.naming.Value())
		if err != nil {
			c.note = termsafe.Line(err.Error())
			return nil
		}
		another := c.mine.Clone()
		another.ID = id
		return p.write(p.edit, another, document.Hash{}, true)
	default:
		c.naming.Key(msg)
	}
	return nil
}

// marker begins the line where two versions of the same lines begin.
const marker = "<<<<<<<"

// firstMarker returns the line of the first conflict marker, from 1, or 0.
func firstMarker(text string) int {
	n := 0
	for line := range strings.SplitSeq(text, "\n") {
		n++
		if strings.HasPrefix(line, marker) {
			return n
		}
	}
	return 0
}

func hasMarkers(text string) bool { return firstMarker(text) > 0 }
