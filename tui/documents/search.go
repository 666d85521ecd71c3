package documents

import (
	"context"
	"strings"
	"unicode"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/tui/task"
	"github.com/caiatech/caiatop/tui/termsafe"
	"github.com/caiatech/caiatop/tui/ui"
)

// maxHits bounds the results of a search.
const maxHits = 100

// inputLimit bounds a filter or a search, in characters.
const inputLimit = 400

type inputKind int

const (
	filterInput inputKind = iota
	searchInput
)

// input is the line that a filter or a search is typed into.
type input struct {
	kind   inputKind
	before string // the filter to go back to
	editor *ui.Editor
}

func newInput(kind inputKind, value string) *input {
	in := &input{kind: kind, before: value, editor: ui.NewEditor(true, inputLimit)}
	in.editor.Set(value)
	return in
}

func (p *Page) typeInput(msg tea.KeyMsg) tea.Cmd {
	in := p.input
	switch msg.Type {
	case tea.KeyEsc:
		p.input = nil
		if in.kind == filterInput {
			return p.setFilter(in.before)
		}
		return nil
	case tea.KeyEnter:
		p.input = nil
		if text := strings.TrimSpace(in.editor.Value()); in.kind == searchInput && text != "" {
			return p.search(text)
		}
		return nil
	case tea.KeyUp, tea.KeyDown, tea.KeyPgUp, tea.KeyPgDown:
		if in.kind == filterInput {
			if a, ok := p.keys.Action(msg); ok {
				p.list.move(a.Name, p.rowsHeight())
			}
		}
		return nil
	}
	if changed, _ := in.editor.Key(msg); changed && in.kind == filterInput {
		return p.setFilter(in.editor.Value())
	}
	return nil
}

// hits are the results of a search.
type hits struct {
	seq         uint64
	asked       string // as typed
	query       termsafe.Text
	waiting     bool
	partial     bool // the index lacked operations when it was asked
	found       []hit
	cursor, top int
	cancel      context.CancelFunc
}

// hit is one result, ready to be shown.
type hit struct {
	row   row
	spans []span
}

// span is a part of a snippet.
type span struct {
	text  termsafe.Text
	found bool
}

type hitsMsg struct {
	seq   uint64
	found []hit
	err   error
}

// searchAgain repeats a search whose index was behind, once it is not any more.
func (p *Page) searchAgain() tea.Cmd {
	h := p.hits
	if h == nil || h.waiting || !h.partial || p.seen.unindexed > 0 {
		return nil
	}
	cmd := p.search(h.asked)
	p.hits.found, p.hits.cursor, p.hits.top = h.found, h.cursor, h.top
	return cmd
}

func (p *Page) search(query string) tea.Cmd {
	p.closeHits()
	seq := p.next()
	source := p.o.Source
	cmd, cancel := p.o.Tasks.Start("searching", readLimit, func(ctx context.Context) tea.Msg {
		found, err := source.Search(ctx, query, maxHits)
		reply := hitsMsg{seq: seq, err: err}
		for _, h := range found[:min(len(found), maxHits)] {
			reply.found = append(reply.found, hit{newRow(h.Row), spans(h.Snippet)})
		}
		return reply
	})
	p.hits = &hits{
		seq: seq, asked: query, query: termsafe.Line(query), waiting: true, partial: p.seen.unindexed > 0, cancel: cancel,
	}
	return cmd
}

func (p *Page) onHits(msg hitsMsg) tea.Cmd {
	if p.hits == nil || msg.seq != p.hits.seq {
		return nil
	}
	p.hits.waiting = false
	p.hits.found = msg.found
	p.hits.move("", p.rowsHeight())
	p.revision++
	if msg.err != nil {
		p.closeHits()
		return tell(task.Failure("searching", msg.err))
	}
	// The index may have caught up while the question was open.
	return p.searchAgain()
}

// searchable says that a query has something to look for.
func searchable(query string) bool {
	return strings.ContainsFunc(query, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsNumber(r) })
}

func (p *Page) closeHits() {
	if p.hits != nil {
		p.hits.cancel()
		p.hits = nil
	}
}

func (h *hits) selected() *row {
	if h.cursor >= len(h.found) {
		return nil
	}
	return &h.found[h.cursor].row
}

func (h *hits) move(name string, height int) {
	h.cursor = moved(h.cursor, name, len(h.found), height)
	h.top = scrolled(h.top, h.cursor, len(h.found), height)
}

// spans sanitises a snippet and keeps which of its words were found. Line ends
// and tabs become spaces: a snippet is shown on one line.
func spans(snippet string) []span {
	flat := strings.NewReplacer("\r\n", " ", "\n", " ", "\r", " ", "\t", " ").Replace(snippet)
	var out []span
	for len(flat) > 0 {
		before, rest, ok := strings.Cut(flat, engine.MarkStart)
		if before != "" {
			out = append(out, span{text: termsafe.Line(before)})
		}
		if !ok {
			break
		}
		word, after, closed := strings.Cut(rest, engine.MarkEnd)
		if !closed {
			// A start without an end is text like any other.
			return append(out, span{text: termsafe.Line(engine.MarkStart + rest)})
		}
		out = append(out, span{text: termsafe.Line(word), found: true})
		flat = after
	}
	return out
}
