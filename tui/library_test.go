package tui

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/backend/store"
	"github.com/caiatech/caiatop/probe"
	"github.com/caiatech/caiatop/probe/journal"
	"github.com/caiatech/caiatop/tui/documents"
)

// library is a Documents and a Control over rows in memory.
type library struct {
	rows    []engine.Row
	text    map[string]string
	past    map[string][]string // earlier texts of a document, oldest first
	hits    []engine.Hit
	fail    error
	listed  int
	calls   []string
	drilled engine.DrillKind
	events  *journal.Journal
	drafts  documents.Drafts // nil: none are kept
}

func (l *library) List(ctx context.Context, q engine.Query) (engine.Page, error) {
	l.listed++
	if l.fail != nil {
		return engine.Page{}, l.fail
	}
	var match []engine.Row
	for _, r := range l.rows {
		if strings.Contains(r.ID.String(), q.Contains) && (q.Type == "" || q.Type == r.Type.String()) {
			match = append(match, r)
		}
	}
	from := min(q.Offset, len(match))
	return engine.Page{Rows: match[from:min(from+q.Limit, len(match))], Total: int64(len(match))}, ctx.Err()
}

func (l *library) Get(_ context.Context, id document.ID) (engine.Found, error) {
	if l.fail != nil {
		return engine.Found{}, l.fail
	}
	for _, r := range l.rows {
		if r.ID == id {
			doc := document.Document{
				ID: id, Source: document.Source{Type: r.Type, URL: r.Source}, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt,
				Content: document.Content{
					Text:     l.text[id.String()],
					Raw:      []byte("%PDF-1.7\x00\x01\x02\x1b[31m"),
					Metadata: map[string]any{"author": "Ada", "pages": 12, "tags": []string{"a", "b"}},
				},
			}
			return engine.Found{Document: doc, Hash: r.Hash, Folder: r.Folder, ServedBy: probe.Govc, Pending: r.Govc == engine.Behind}, nil
		}
	}
	return engine.Found{}, fmt.Errorf("get %q: %w", id, store.ErrNotFound)
}

func (l *library) Search(context.Context, string, int) ([]engine.Hit, error) { return l.hits, l.fail }

// Replace writes a document that is still what base says.
func (l *library) Replace(_ context.Context, d document.Document, base document.Hash) (engine.Ack, error) {
	if l.fail != nil {
		return engine.Ack{}, l.fail
	}
	name := d.ID.String()
	i := slices.IndexFunc(l.rows, func(r engine.Row) bool { return r.ID == d.ID })
	if l.hash(i) != base {
		return engine.Ack{}, &engine.ConflictError{ID: d.ID}
	}
	l.calls = append(l.calls, "put "+name)
	if i >= 0 {
		l.past[name] = append(l.past[name], l.text[name])
		l.rows = slices.Delete(l.rows, i, i+1)
	}
	l.text[name] = d.Content.Text
	l.rows = append(l.rows, engine.Row{
		ID: d.ID, Type: d.Source.Type, Size: d.Content.Size(), UpdatedAt: d.UpdatedAt, Hash: sha256.Sum256([]byte(name + d.Content.Text)),
		Govc: engine.InStep, Git: engine.InStep,
	})
	slices.SortFunc(l.rows, func(a, b engine.Row) int { return strings.Compare(a.ID.String(), b.ID.String()) })
	return engine.Ack{Durability: engine.PrimaryAndLocal}, nil
}

// hash is that of the row at a place, zero if there is none.
func (l *library) hash(i int) document.Hash {
	if i < 0 {
		return document.Hash{}
	}
	return l.rows[i].Hash
}

// Remove deletes a document that is still what base says.
func (l *library) Remove(ctx context.Context, id document.ID, base document.Hash) (engine.Ack, error) {
	if i := slices.IndexFunc(l.rows, func(r engine.Row) bool { return r.ID == id }); l.fail == nil && l.hash(i) != base {
		return engine.Ack{}, &engine.ConflictError{ID: id}
	}
	return l.Delete(ctx, id)
}

func (l *library) Delete(_ context.Context, ids ...document.ID) (engine.Ack, error) {
	if l.fail != nil {
		return engine.Ack{}, l.fail
	}
	for _, id := range ids {
		l.calls = append(l.calls, "delete "+id.String())
		l.rows = slices.DeleteFunc(l.rows, func(r engine.Row) bool { return r.ID == id })
	}
	return engine.Ack{Durability: engine.Local}, nil
}

// versions are the texts of a document, oldest first. The commit of each is
// named by its place.
func (l *library) versions(id document.ID) []string {
	return append(slices.Clone(l.past[id.String()]), l.text[id.String()])
}

func (l *library) History(_ context.Context, id document.ID, limit int) ([]engine.Revision, error) {
	if l.fail != nil {
		return nil, l.fail
	}
	var out []engine.Revision
	texts := l.versions(id)
	for i := len(texts) - 1; i >= 0 && len(out) < limit; i-- {
		out = append(out, engine.Revision{
			Commit: strings.Repeat(fmt.Sprint(i), 40), At: noon.Add(time.Duration(i-len(texts)) * time.Hour), Author: "Ada", Message: "Write " + id.String(),
		})
	}
	return out, nil
}

func (l *library) GetAt(ctx context.Context, id document.ID, commit string) (document.Document, error) {
	for i, text := range l.versions(id) {
		if commit == strings.Repeat(fmt.Sprint(i), 40) {
			found, err := l.Get(ctx, id)
			found.Document.Content.Text = text
			return found.Document, err
		}
	}
	return document.Document{}, fmt.Errorf("get %q at %s: %w", id, commit, store.ErrNotFound)
}

func (l *library) Undo(ctx context.Context, id document.ID) (engine.Change, error) {
	found, err := l.Get(ctx, id)
	if err != nil {
		return engine.Change{}, err
	}
	c := engine.Change{ID: id, Base: found.Hash, Now: &found.Document, At: noon.Add(-time.Hour)}
	if texts := l.versions(id); len(texts) > 1 {
		before := found.Document.Clone()
		before.Content.Text, c.Commit = texts[len(texts)-2], strings.Repeat(fmt.Sprint(len(texts)-2), 40)
		c.Before = &before
	}
	return c, nil
}

func (l *library) Fallback(context.Context) error {
	l.calls = append(l.calls, "fallback")
	return l.fail
}

func (l *library) Recover(context.Context) error { l.calls = append(l.calls, "recover"); return l.fail }

func (l *library) Samples(context.Context) (int, error) {
	l.calls = append(l.calls, "samples")
	return 5, l.fail
}

func (l *library) StartDrill(_ context.Context, d engine.Drill) (engine.DrillStatus, error) {
	l.calls = append(l.calls, fmt.Sprintf("drill %s %s", d.Kind, d.For))
	if l.fail != nil {
		return engine.DrillStatus{}, l.fail
	}
	l.drilled = d.Kind
	return engine.DrillStatus{Drill: d}, nil
}

func (l *library) StopDrill(context.Context) (engine.DrillStatus, error) {
	l.calls = append(l.calls, "end drill")
	ended := engine.DrillStatus{Drill: engine.Drill{Kind: l.drilled}}
	l.drilled = ""
	return ended, l.fail
}

func (l *library) SetPhase(_ context.Context, to engine.Phase) error {
	l.calls = append(l.calls, "phase "+string(to))
	return l.fail
}

func newLibrary(t testing.TB, n int) *library {
	t.Helper()
	l := &library{text: map[string]string{}, past: map[string][]string{}, events: journal.New()}
	kinds := []string{"text", "pdf", "html"}
	for i := range n {
		kind, err := document.ParseType(kinds[i%len(kinds)])
		if err != nil {
			t.Fatal(err)
		}
		r := engine.Row{
			ID: id(t, fmt.Sprintf("report-%05d", i)), Type: kind, Size: int64(i) * 977, Source: "https://example.org/a",
			CreatedAt: noon.Add(-time.Hour), UpdatedAt: noon.Add(-time.Duration(i) * time.Minute), Govc: engine.InStep, Git: engine.InStep,
		}
		switch i % 9 {
		case 3:
			r.Govc = engine.Behind
		case 5:
			r.Govc = engine.Missing
		case 7:
			r.Git = engine.Behind
		}
		r.Folder = document.LayoutFanOut.Folder(kind, r.CreatedAt, r.ID)
		l.text[r.ID.String()] = strings.Repeat("The quick brown fox jumps over the lazy dog. ", 6) + "\n\n\tindented line\nlast line"
		l.past[r.ID.String()] = []string{"The quick brown fox sleeps.\n\nlast line"}
		r.Hash = sha256.Sum256([]byte(r.ID.String()))
		l.rows = append(l.rows, r)
	}
	return l
}
