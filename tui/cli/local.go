package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"sync/atomic"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/durable"
	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/backend/store"
	"github.com/caiatech/caiatop/probe"
	"github.com/caiatech/caiatop/probe/httpapi"
)

// Local offers an engine in this process through the interfaces of the control
// API, so that a command does the same beside a running engine and without
// one.
type Local struct {
	engine *engine.Engine
	holder httpapi.Holder
	job    func() *httpapi.Progress
	// adopted: it is known what git holds.
	adopted *atomic.Bool
}

// NewLocal wraps e, which stays the caller's to close.
func NewLocal(e *engine.Engine) Local {
	return Local{engine: e, holder: httpapi.Holder{PID: os.Getpid()}, adopted: &atomic.Bool{}}
}

// As returns an adapter whose Status names holder, with the id of this process
// where holder has none, and what job returns: nil while there is none. job
// itself may be nil, and is called from any goroutine.
func (l Local) As(holder httpapi.Holder, job func() *httpapi.Progress) Local {
	if holder.PID == 0 {
		holder.PID = os.Getpid()
	}
	l.holder, l.job = holder, job
	return l
}

var _ httpapi.Engine = Local{}

// Put implements httpapi.Documents.
func (l Local) Put(ctx context.Context, docs []httpapi.Document) (httpapi.Ack, error) {
	converted := make([]document.Document, 0, len(docs))
	for _, d := range docs {
		doc, err := fromAPI(d)
		if err != nil {
			return httpapi.Ack{}, apiError(err)
		}
		converted = append(converted, doc)
	}
	ack, err := l.engine.Put(ctx, converted...)
	return toAck(ack), apiError(err)
}

// Get implements httpapi.Documents.
func (l Local) Get(ctx context.Context, id string) (httpapi.Document, error) {
	parsed, err := document.ParseID(id)
	if err != nil {
		return httpapi.Document{}, apiError(err)
	}
	if err := l.awaitAdopted(ctx); err != nil {
		return httpapi.Document{}, err
	}
	found, err := l.engine.Get(ctx, parsed)
	if err != nil {
		return httpapi.Document{}, apiError(err)
	}
	doc, err := toAPI(found.Document)
	doc.Hash, doc.ServedBy, doc.Conflict = found.Hash.String(), string(found.ServedBy), found.Conflict
	return doc, err
}

// Delete implements httpapi.Documents.
func (l Local) Delete(ctx context.Context, ids []string) (httpapi.Ack, error) {
	parsed := make([]document.ID, 0, len(ids))
	for _, id := range ids {
		p, err := document.ParseID(id)
		if err != nil {
			return httpapi.Ack{}, apiError(err)
		}
		parsed = append(parsed, p)
	}
	if err := l.awaitAdopted(ctx); err != nil {
		return httpapi.Ack{}, err
	}
	ack, err := l.engine.Delete(ctx, parsed...)
	return toAck(ack), apiError(err)
}

// List implements httpapi.Documents.
func (l Local) List(ctx context.Context, q httpapi.ListQuery) (httpapi.Page, error) {
	if err := l.awaitAdopted(ctx); err != nil {
		return httpapi.Page{}, err
	}
	page, err := l.engine.List(ctx, engine.Query{Contains: q.Contains, Type: q.Type, Offset: q.Offset, Limit: q.Limit})
	if err != nil {
		return httpapi.Page{}, apiError(err)
	}
	out := httpapi.Page{Total: page.Total, Rows: make([]httpapi.Row, 0, len(page.Rows))}
	for _, r := range page.Rows {
		out.Rows = append(out.Rows, toRow(r))
	}
	return out, nil
}

// Search implements httpapi.Documents.
func (l Local) Search(ctx context.Context, query string, limit int) (httpapi.Hits, error) {
	if limit == 0 {
		limit = 50
	}
	if err := l.awaitAdopted(ctx); err != nil {
		return httpapi.Hits{}, err
	}
	hits, behind, err := l.engine.SearchAll(ctx, query, limit)
	if err != nil {
		return httpapi.Hits{}, apiError(err)
	}
	out := httpapi.Hits{Hits: make([]httpapi.Hit, 0, len(hits)), Behind: behind}
	for _, h := range hits {
		out.Hits = append(out.Hits, httpapi.Hit{Row: toRow(h.Row), Snippet: h.Snippet})
	}
	return out, nil
}

// Status implements httpapi.Control.
func (l Local) Status(ctx context.Context) (httpapi.Status, error) {
	status := toStatus(l.engine.Stats())
	status.Holder = l.holder
	if l.job != nil {
		status.Job = l.job()
	}
	status.Ready = true
	if err := l.engine.Ready(ctx); err != nil {
		status.Ready, status.Unready = false, err.Error()
	}
	return status, nil
}

// Fallback implements httpapi.Control.
func (l Local) Fallback(ctx context.Context) error { return apiError(l.engine.Fallback(ctx)) }

// Recover implements httpapi.Control.
func (l Local) Recover(ctx context.Context, adopt bool) error {
	return apiError(l.engine.Recover(ctx, adopt))
}

// Sync implements httpapi.Control.
func (l Local) Sync(ctx context.Context) error { return apiError(l.engine.Sync(ctx)) }

func fromAPI(d httpapi.Document) (document.Document, error) {
	id, err := document.ParseID(d.ID)
	if err != nil {
		return document.Document{}, err
	}
	kind, err := document.ParseType(d.Type)
	if err != nil {
		return document.Document{}, fmt.Errorf("document %q: %w", id, err)
	}
	var metadata map[string]any
	if len(d.Metadata) > 0 {
		metadata = make(map[string]any, len(d.Metadata))
		for name, raw := range d.Metadata {
			decoder := json.NewDecoder(bytes.NewReader(raw))
			decoder.UseNumber()
			var value any
			if err := decoder.Decode(&value); err != nil {
				return document.Document{}, fmt.Errorf("%w %q: metadata %q: %w", document.ErrInvalid, id, name, err)
			}
			metadata[name] = value
		}
	}
	return document.Document{
		ID:      id,
		Source:  document.Source{Type: kind, URL: d.SourceURL, Path: d.SourcePath},
		Content: document.Content{Text: d.Text, Raw: d.Raw, Metadata: metadata},
		// The time of the update is the engine's to set.
		CreatedAt: d.CreatedAt,
	}, nil
}

func toAPI(d document.Document) (httpapi.Document, error) {
	out := httpapi.Document{
		ID: d.ID.String(), Type: d.Source.Type.String(), SourceURL: d.Source.URL, SourcePath: d.Source.Path,
		Text: d.Content.Text, Raw: d.Content.Raw, CreatedAt: d.CreatedAt, UpdatedAt: d.UpdatedAt,
	}
	for name, value := range d.Content.Metadata {
		raw, err := json.Marshal(value)
		if err != nil {
			return httpapi.Document{}, apiError(fmt.Errorf("document %q: metadata %q: %w", d.ID, name, err))
		}
		if out.Metadata == nil {
			out.Metadata = map[string]json.RawMessage{}
		}
		out.Metadata[name] = raw
	}
	return out, nil
}

func toAck(a engine.Ack) httpapi.Ack {
	out := httpapi.Ack{OpIDs: a.OpIDs, Durability: string(a.Durability), Commit: a.Commit}
	for _, c := range a.Conflicts {
		out.Conflicts = append(out.Conflicts, httpapi.MetConflict{ID: c.ID.String(), Copy: c.Copy.String()})
	}
	return out
}

func toRow(r engine.Row) httpapi.Row {
	return httpapi.Row{
		ID: r.ID.String(), Type: r.Type.String(), Folder: r.Folder.String(), Source: r.Source, Size: r.Size,
		CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt, Hash: r.Hash.String(), Govc: string(r.Govc), Git: string(r.Git), Conflict: r.Conflict,
	}
}

func toStatus(s *engine.Stats) httpapi.Status {
	out := httpapi.Status{
		Healthy: Healthy(s), State: string(s.State), Since: s.Since, Reason: s.Reason, Next: withoutKeys(s.Next), Phase: string(s.Phase), PhaseSince: s.Change.Since, Change: toPhaseChange(s.Change), Kept: toKept(s.Kept),
		Service: httpapi.Service{
			URL: s.Service.URL, Embedded: s.Service.Embedded, Up: s.Service.Health.Up, Error: s.Service.Health.Err,
			Version: s.Service.Health.Version, ProbeMS: milliseconds(s.Service.Health.Latency),
		},
		Outbox:    httpapi.Outbox{Pending: s.Outbox.Pending, Bytes: s.Outbox.Bytes},
		Documents: s.Documents, Bytes: s.Bytes, Parked: s.Parked, Conflicts: s.Conflicts,
		Backup: toBackup(s.Backup), Verify: toVerification(s.Verify),
		Safe: s.Safe, Also: s.Also, Repository: s.Repository, StateDir: s.StateDir, GitDir: s.GitDir, PID: os.Getpid(),
	}
	if !s.Outbox.Oldest.IsZero() {
		out.Outbox.Oldest = &s.Outbox.Oldest
	}
	if s.Progress != nil {
		out.Progress = &httpapi.Progress{What: s.Progress.What, Done: s.Progress.Done, Total: s.Progress.Total, Started: s.Progress.Started}
	}
	if drill := toDrill(s.Drill); drill.Running {
		out.Drill = &drill
	}
	for _, r := range s.Stores {
		out.Stores = append(out.Stores, httpapi.Store{
			Name: string(r.Name), Cursor: r.Cursor, Lag: r.Lag, InStep: inStep(r), Unknown: r.Unknown, Detached: r.Detached, Error: r.Err, Damage: r.Damage, Warning: r.Warning,
		})
	}
	for _, op := range s.Ops {
		out.Latencies = append(out.Latencies, latency(op))
	}
	return out
}

// The keys of the console that the engine's words name: with a command that
// does the same, in those that have one, and those that only the console has.
var (
	keyWithCommand = regexp.MustCompile(`press [a-zA-Z] \((caiatop [^)]+)\)`)
	keyAtTheStart  = regexp.MustCompile(`Press [a-zA-Z] \((caiatop [^)]+)\)`)
	keyAlone       = regexp.MustCompile(` \(press [a-zA-Z][^)]*\)`)
)

// withoutKeys makes words for the console ones for whoever has no keys.
func withoutKeys(words string) string {
	words = keyAtTheStart.ReplaceAllString(keyWithCommand.ReplaceAllString(words, "run $1"), "Run $1")
	return keyAlone.ReplaceAllString(words, "")
}

func latency(op probe.OpStats) httpapi.Latency {
	return httpapi.Latency{
		Op: string(op.Op), Store: string(op.Store), Count: op.Count, Errors: op.Errors, Rate: op.Rate,
		P50MS: milliseconds(op.P50), P95MS: milliseconds(op.P95), P99MS: milliseconds(op.P99), MaxMS: milliseconds(op.Max),
		Total: op.Total, TotalErrors: op.TotalErrors, TotalMS: milliseconds(op.TotalTime),
	}
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// inStep reports whether a replica has every operation, and all of it whole.
func inStep(r engine.StoreStats) bool { return !r.Unknown && r.Lag == 0 && r.Damage == "" }

// Healthy reports whether every part does its work: the primary serves, or the
// phase has none, no replica fails or is damaged and nothing is set aside.
func Healthy(s *engine.Stats) bool {
	if s.State != engine.StatePrimary && s.State != engine.StateNone {
		return false
	}
	for _, r := range s.Stores {
		if r.Err != "" || r.Damage != "" {
			return false
		}
	}
	return s.Parked == 0 && s.StateErr == "" && s.Kept.Err == ""
}

// apiError gives an error of the engine the code that travels.
func apiError(err error) error {
	if err == nil {
		return nil
	}
	for _, known := range []struct{ is, as error }{
		{store.ErrAmbiguous, httpapi.ErrAmbiguous},
		{store.ErrDiskFull, httpapi.ErrDiskFull},
		{durable.ErrDiskFull, httpapi.ErrDiskFull},
		{store.ErrReadOnly, httpapi.ErrReadOnly},
		{store.ErrIdentity, httpapi.ErrIdentity},
		{document.ErrTooLarge, httpapi.ErrTooLarge},
		{store.ErrTooLarge, httpapi.ErrTooLarge},
		{store.ErrNotFound, httpapi.ErrNotFound},
		{document.ErrInvalid, httpapi.ErrInvalid},
		{store.ErrConflict, httpapi.ErrConflict},
		{store.ErrUnauthorized, httpapi.ErrUnauthorized},
		{store.ErrCorrupt, httpapi.ErrCorrupt},
		{store.ErrUnavailable, httpapi.ErrUnavailable},
		{engine.ErrNoPrimary, httpapi.ErrInvalid},
		{engine.ErrNoDrill, httpapi.ErrInvalid},
		{engine.ErrDrillRuns, httpapi.ErrConflict},
	} {
		if errors.Is(err, known.is) {
			return httpapi.NewError(coded{err, known.as}, "")
		}
	}
	return httpapi.NewError(coded{err, nil}, "")
}

// coded is an error of the engine that also wraps a sentinel of the API, with
// the engine's own words.
type coded struct{ err, sentinel error }

// Error returns the engine's words, for whoever has no keys.
func (c coded) Error() string { return withoutKeys(c.err.Error()) }

// Unwrap returns both.
func (c coded) Unwrap() []error {
	if c.sentinel == nil {
		return []error{c.err}
	}
	return []error{c.err, c.sentinel}
}
