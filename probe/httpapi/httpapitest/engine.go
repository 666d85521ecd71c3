// Package httpapitest is an engine in a map, for tests of what talks to one
// through httpapi. It keeps the promises of httpapi.Documents but durability:
// tests only.
package httpapitest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caiatech/caiatop/probe/httpapi"
)

// Engine implements httpapi.Engine. The zero value is empty and healthy.
type Engine struct {
	mu       sync.Mutex
	docs     map[string]httpapi.Document
	history  map[string][]version // newest last
	fail     error
	calls    []string
	state    httpapi.Status
	stats    httpapi.Stats
	metrics  httpapi.Metrics
	events   []httpapi.Event
	ops      int
	run      httpapi.BackupRun
	report   httpapi.BackupReport
	service  httpapi.ServiceFacts
	phase    httpapi.Phase
	behind   int64
	met      []httpapi.MetConflict
	disputes []httpapi.Dispute
	drill    httpapi.DrillStatus

	verification httpapi.Verification
	parked       httpapi.ParkedList
}

var _ httpapi.Engine = (*Engine)(nil)

// Lags makes every search say that the index is behind by n operations.
func (e *Engine) Lags(n int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.behind = n
}

// Meets makes every write say that it met these conflicts.
func (e *Engine) Meets(conflicts ...httpapi.MetConflict) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.met = conflicts
}

// Fail makes every call return err until it is nil again.
func (e *Engine) Fail(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.fail = err
}

// SetStatus sets what Status returns.
func (e *Engine) SetStatus(s httpapi.Status) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.state = s
}

// Calls returns the names of the calls so far, in order; a put as "put N".
func (e *Engine) Calls() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.calls)
}

// All returns a copy of the documents by id.
func (e *Engine) All() map[string]httpapi.Document {
	e.mu.Lock()
	defer e.mu.Unlock()
	return maps.Clone(e.docs)
}

// enter notes the call and returns the error that it must fail with. The
// caller holds the lock.
func (e *Engine) enter(ctx context.Context, call string) error {
	e.calls = append(e.calls, call)
	if err := ctx.Err(); err != nil {
		return err
	}
	return e.fail
}

// Put implements httpapi.Documents.
func (e *Engine) Put(ctx context.Context, docs []httpapi.Document) (httpapi.Ack, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.enter(ctx, fmt.Sprintf("put %d", len(docs))); err != nil {
		return httpapi.Ack{}, err
	}
	for _, d := range docs {
		if d.ID == "" || d.Type == "" {
			return httpapi.Ack{}, fmt.Errorf("%w: the id or the type is missing", httpapi.ErrInvalid)
		}
	}
	for _, d := range docs {
		e.store(d)
	}
	return e.ack(len(docs)), nil
}

func (e *Engine) ack(n int) httpapi.Ack {
	ack := httpapi.Ack{Durability: "local", Conflicts: e.met}
	for range n {
		e.ops++
		ack.OpIDs = append(ack.OpIDs, fmt.Sprintf("op-%d", e.ops))
	}
	return ack
}

// Get implements httpapi.Documents.
func (e *Engine) Get(ctx context.Context, id string) (httpapi.Document, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.enter(ctx, "get"); err != nil {
		return httpapi.Document{}, err
	}
	d, ok := e.docs[id]
	if !ok {
		return httpapi.Document{}, fmt.Errorf("get %q: %w", id, httpapi.ErrNotFound)
	}
	return d, nil
}

// Delete implements httpapi.Documents.
func (e *Engine) Delete(ctx context.Context, ids []string) (httpapi.Ack, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.enter(ctx, "delete"); err != nil {
		return httpapi.Ack{}, err
	}
	for _, id := range ids {
		if _, ok := e.docs[id]; !ok {
			return httpapi.Ack{}, fmt.Errorf("delete %q: %w", id, httpapi.ErrNotFound)
		}
	}
	for _, id := range ids {
		e.drop(id)
	}
	return e.ack(len(ids)), nil
}

// List implements httpapi.Documents.
func (e *Engine) List(ctx context.Context, query httpapi.ListQuery) (httpapi.Page, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.enter(ctx, "list"); err != nil {
		return httpapi.Page{}, err
	}
	var all []httpapi.Row
	for _, id := range slices.Sorted(maps.Keys(e.docs)) {
		d := e.docs[id]
		if strings.Contains(id, query.Contains) && (query.Type == "" || query.Type == d.Type) {
			all = append(all, row(d))
		}
	}
	page := httpapi.Page{Total: int64(len(all))}
	limit := query.Limit
	if limit == 0 {
		limit = 100
	}
	if query.Offset < len(all) {
		page.Rows = all[query.Offset:min(query.Offset+limit, len(all))]
	}
	return page, nil
}

func row(d httpapi.Document) httpapi.Row {
	source := d.SourcePath
	if d.SourceURL != "" {
		source = d.SourceURL
	}
	return httpapi.Row{
		ID: d.ID, Type: d.Type, Folder: "documents/" + d.Type + "/" + d.ID, Source: source,
		Size: int64(len(d.Text) + len(d.Raw)), CreatedAt: d.CreatedAt, UpdatedAt: d.UpdatedAt,
		Hash: d.Hash, Govc: "in step", Git: "in step",
	}
}

// Search implements httpapi.Documents: the query is a word of the text.
func (e *Engine) Search(ctx context.Context, query string, limit int) (httpapi.Hits, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.enter(ctx, "search"); err != nil {
		return httpapi.Hits{}, err
	}
	var hits []httpapi.Hit
	for _, id := range slices.Sorted(maps.Keys(e.docs)) {
		d := e.docs[id]
		if (limit == 0 || len(hits) < limit) && strings.Contains(d.Text, query) {
			hits = append(hits, httpapi.Hit{Row: row(d), Snippet: strings.ReplaceAll(d.Text, query, "\x02"+query+"\x03")})
		}
	}
	return httpapi.Hits{Hits: hits, Behind: e.behind}, nil
}

// Status implements httpapi.Control.
func (e *Engine) Status(ctx context.Context) (httpapi.Status, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.enter(ctx, "status"); err != nil {
		return httpapi.Status{}, err
	}
	status := e.state
	if status.State == "" {
		status.State, status.Phase, status.Healthy = "PRIMARY", "dual", true
		status.Ready = true
		status.Since = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	}
	status.Documents = int64(len(e.docs))
	return status, nil
}

// Fallback implements httpapi.Control.
func (e *Engine) Fallback(ctx context.Context) error { return e.act(ctx, "fallback") }

// Recover implements httpapi.Control.
func (e *Engine) Recover(ctx context.Context, adopt bool) error {
	return e.act(ctx, fmt.Sprintf("recover %t", adopt))
}

// Sync implements httpapi.Control.
func (e *Engine) Sync(ctx context.Context) error { return e.act(ctx, "sync") }

func (e *Engine) act(ctx context.Context, name string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.enter(ctx, name)
}
