package httpapitest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/caiatech/caiatop/probe/httpapi"
)

// version is one entry of a document's history; doc is nil where it was
// deleted.
type version struct {
	httpapi.Revision
	doc *httpapi.Document
}

// start is the time of the first operation; each further one is a second later.
var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// SetFacts sets what Stats and Metrics return.
func (e *Engine) SetFacts(s httpapi.Stats, m httpapi.Metrics) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stats, e.metrics = s, m
}

// AddEvent numbers an event and keeps it.
func (e *Engine) AddEvent(ev httpapi.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	ev.Seq = uint64(len(e.events)) + 1
	e.events = append(e.events, ev)
}

// store keeps a version. The caller holds the lock.
func (e *Engine) store(d httpapi.Document) {
	if e.docs == nil {
		e.docs, e.history = map[string]httpapi.Document{}, map[string][]version{}
	}
	d.Raw, d.ServedBy = bytes.Clone(d.Raw), "govc"
	d.Hash = hashOf(d, len(e.history[d.ID]))
	e.docs[d.ID] = d
	e.note(d.ID, &d)
}

func (e *Engine) drop(id string) {
	delete(e.docs, id)
	e.note(id, nil)
}

func (e *Engine) note(id string, d *httpapi.Document) {
	n := len(e.history[id])
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", id, n))
	e.history[id] = append(e.history[id], version{httpapi.Revision{
		Commit: hex.EncodeToString(sum[:20]), At: start.Add(time.Duration(n) * time.Second), Author: "test",
		Message: fmt.Sprintf("Change %d of %s", n+1, id), Deleted: d == nil,
	}, d})
}

// hashOf makes two versions with the same content differ, as times do.
func hashOf(d httpapi.Document, n int) string {
	d.Hash, d.ServedBy = "", ""
	data, err := json.Marshal(d)
	if err != nil {
		panic(fmt.Sprintf("httpapitest: %q came unchecked: %v", d.ID, err))
	}
	sum := sha256.Sum256(fmt.Appendf(data, "%d", n))
	return hex.EncodeToString(sum[:])
}

// History implements httpapi.Versions.
func (e *Engine) History(ctx context.Context, id string, limit int) ([]httpapi.Revision, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.enter(ctx, "history"); err != nil {
		return nil, err
	}
	all, err := e.versions(id)
	if limit == 0 {
		limit = httpapi.DefaultHistory
	}
	var out []httpapi.Revision
	for _, v := range slices.Backward(all) {
		if len(out) < limit {
			out = append(out, v.Revision)
		}
	}
	return out, err
}

func (e *Engine) versions(id string) ([]version, error) {
	all := e.history[id]
	if len(all) == 0 {
		return nil, fmt.Errorf("history of %q: %w", id, httpapi.ErrNotFound)
	}
	return all, nil
}

// GetAt implements httpapi.Versions.
func (e *Engine) GetAt(ctx context.Context, id, commit string) (httpapi.Document, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.enter(ctx, "get at"); err != nil {
		return httpapi.Document{}, err
	}
	for _, v := range e.history[id] {
		if v.Commit == commit && v.doc != nil {
			return *v.doc, nil
		}
	}
	return httpapi.Document{}, fmt.Errorf("get %q at %.12s: %w", id, commit, httpapi.ErrNotFound)
}

// Restore implements httpapi.Versions.
func (e *Engine) Restore(ctx context.Context, id, commit, base string) (httpapi.Ack, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.enter(ctx, "restore"); err != nil {
		return httpapi.Ack{}, err
	}
	for _, v := range e.history[id] {
		if v.Commit != commit || v.doc == nil {
			continue
		}
		if e.docs[id].Hash != base {
			return httpapi.Ack{}, fmt.Errorf("%w: %q was changed meanwhile", httpapi.ErrConflict, id)
		}
		e.store(*v.doc)
		return e.ack(1), nil
	}
	return httpapi.Ack{}, fmt.Errorf("get %q at %.12s: %w", id, commit, httpapi.ErrNotFound)
}

// Replace implements httpapi.Conditional.
func (e *Engine) Replace(ctx context.Context, doc httpapi.Document, base string) (httpapi.Ack, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.enter(ctx, "replace"); err != nil {
		return httpapi.Ack{}, err
	}
	if doc.ID == "" || doc.Type == "" {
		return httpapi.Ack{}, fmt.Errorf("%w: the id or the type is missing", httpapi.ErrInvalid)
	}
	if e.docs[doc.ID].Hash != base {
		return httpapi.Ack{}, fmt.Errorf("%w: %q was changed meanwhile", httpapi.ErrConflict, doc.ID)
	}
	e.store(doc)
	return e.ack(1), nil
}

// Remove implements httpapi.Conditional.
func (e *Engine) Remove(ctx context.Context, id, base string) (httpapi.Ack, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.enter(ctx, "remove"); err != nil {
		return httpapi.Ack{}, err
	}
	d, ok := e.docs[id]
	switch {
	case !ok:
		return httpapi.Ack{}, fmt.Errorf("delete %q: %w", id, httpapi.ErrNotFound)
	case d.Hash != base:
		return httpapi.Ack{}, fmt.Errorf("%w: %q was changed meanwhile", httpapi.ErrConflict, id)
	}
	e.drop(id)
	return e.ack(1), nil
}

// Undo implements httpapi.Versions.
func (e *Engine) Undo(ctx context.Context, id string) (httpapi.Change, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.enter(ctx, "undo"); err != nil {
		return httpapi.Change{}, err
	}
	all, err := e.versions(id)
	if err != nil {
		return httpapi.Change{}, err
	}
	newest := all[len(all)-1]
	change := httpapi.Change{ID: id, At: newest.At, Now: newest.doc}
	if newest.doc != nil {
		change.Base = newest.doc.Hash
	}
	if len(all) > 1 && all[len(all)-2].doc != nil {
		change.Before, change.Commit = all[len(all)-2].doc, all[len(all)-2].Commit
	}
	return change, nil
}

// Stats implements httpapi.Facts.
func (e *Engine) Stats(ctx context.Context) (httpapi.Stats, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.stats, e.enter(ctx, "stats")
}

// Metrics implements httpapi.Facts.
func (e *Engine) Metrics(ctx context.Context) (httpapi.Metrics, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.metrics, e.enter(ctx, "metrics")
}

// ResetMetrics implements httpapi.Facts.
func (e *Engine) ResetMetrics(ctx context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.enter(ctx, "reset metrics"); err != nil {
		return err
	}
	e.metrics.Operations = nil
	return nil
}

// Events implements httpapi.Facts.
func (e *Engine) Events(ctx context.Context, since uint64, limit int) ([]httpapi.Event, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.enter(ctx, "events"); err != nil {
		return nil, err
	}
	if limit == 0 {
		limit = httpapi.DefaultEvents
	}
	after := e.events[min(since, uint64(len(e.events))):]
	return slices.Clone(after[max(0, len(after)-limit):]), nil
}

// Note implements httpapi.Facts. It is no call of Calls.
func (e *Engine) Note(ctx context.Context, note httpapi.Note) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	e.events = append(e.events, httpapi.Event{Seq: uint64(len(e.events)) + 1, At: start, Level: note.Level, Kind: "job", Text: note.Text, Next: note.Next})
	return nil
}
