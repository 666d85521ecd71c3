package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/probe"
	"github.com/caiatech/caiatop/probe/httpapi"
	"github.com/caiatech/caiatop/tui/ui"
)

// Stats implements httpapi.Facts.
func (l Local) Stats(context.Context) (httpapi.Stats, error) {
	s := l.engine.Stats()
	out := httpapi.Stats{
		Govc: httpapi.GovcStats{
			Integrated: s.State != engine.StateNone, ServiceURL: s.Service.URL,
			FallbackMode:      s.State != engine.StateNone && s.State != engine.StatePrimary,
			DocumentsInMemory: s.Cached,
		},
		Git: httpapi.GitStats{Path: s.GitDir},
		Engine: httpapi.EngineStats{
			State: string(s.State), Reason: s.Reason, Phase: string(s.Phase), Documents: s.Documents, Bytes: s.Bytes,
			Pending: s.Outbox.Pending, Parked: s.Parked, Reads: s.Reads, Writes: s.Writes, Switches: s.Switches, Safe: s.Safe,
			Conflicts: s.Conflicts, ConflictsFound: s.ConflictsFound,
		},
	}
	for _, r := range s.Stores {
		if r.Name == probe.Git {
			out.Git.Lag, out.Git.InStep = r.Lag, inStep(r)
			out.Git.Damage = r.Damage
		}
	}
	return out, nil
}

// Service implements httpapi.Services.
func (l Local) Service(context.Context) (httpapi.ServiceFacts, error) {
	s := l.engine.Stats()
	return serviceFacts(s.Facts, s), nil
}

func serviceFacts(f engine.Facts, s *engine.Stats) httpapi.ServiceFacts {
	out := httpapi.ServiceFacts{
		Known: f.Described, URL: s.Service.URL, Embedded: s.Service.Embedded,
		Dialect: f.Dialect, Reason: f.Reason, Version: f.Version, Implementation: f.Implementation, Durable: f.Durable,
		Capabilities: []httpapi.Capability{}, WindowMS: milliseconds(f.Window),
		Repository: s.Repository, Lineage: f.Lineage, Epoch: f.Epoch, Tip: f.Tip,
	}
	if !f.TipAt.IsZero() {
		out.TipAt = &f.TipAt
	}
	for _, c := range f.Capabilities {
		out.Capabilities = append(out.Capabilities, httpapi.Capability(c))
	}
	if a := f.Access; a.Method != "" {
		out.Access = &httpapi.ServiceAccess{
			Method: a.Method, Confirmed: a.Confirmed, Subject: a.Subject, Rights: a.Rights, Renews: a.Renews, Problem: a.Problem, CSRF: a.CSRF,
		}
		if !a.Expires.IsZero() {
			out.Access.Expires = &a.Expires
		}
		out.TLS = &httpapi.ServiceTLS{Version: a.TLSVersion, Peer: a.Peer, Insecure: a.Insecure, Proxy: a.Proxy}
	}
	if l := f.Latency; !l.Opened.IsZero() || l.FirstByte > 0 {
		out.Latency = &httpapi.ServiceLatency{
			DNSMS: milliseconds(l.DNS), ConnectMS: milliseconds(l.Connect), TLSMS: milliseconds(l.TLS),
			FirstByteMS: milliseconds(l.FirstByte), Reused: l.Reused,
		}
	}
	return out
}

// Metrics implements httpapi.Facts.
func (l Local) Metrics(context.Context) (httpapi.Metrics, error) {
	out := httpapi.Metrics{
		Since:         l.engine.MetricsSince().UTC(),
		WindowSeconds: int(probe.SparkPoints * probe.SlotDuration / time.Second),
		Operations:    []httpapi.Latency{},
	}
	for _, op := range l.engine.Stats().Ops {
		out.Operations = append(out.Operations, latency(op))
	}
	return out, nil
}

// ResetMetrics implements httpapi.Facts.
func (l Local) ResetMetrics(context.Context) error {
	l.engine.ResetMetrics()
	return nil
}

// Events implements httpapi.Facts.
func (l Local) Events(_ context.Context, since uint64, limit int) ([]httpapi.Event, error) {
	if limit == 0 {
		limit = httpapi.DefaultEvents
	}
	if limit < 0 || limit > httpapi.MaxEvents {
		return nil, httpapi.NewError(fmt.Errorf("%w: the limit %d is not within 1 to %s", httpapi.ErrInvalid, limit, ui.Count(httpapi.MaxEvents)), "")
	}
	entries := l.engine.Journal().Since(since)
	entries = entries[max(0, len(entries)-limit):]
	out := make([]httpapi.Event, 0, len(entries))
	for _, e := range entries {
		out = append(out, httpapi.Event{
			Seq: e.Seq, At: e.At, Level: string(e.Level), Kind: e.Kind, Text: e.Text, Next: withoutKeys(e.Next),
		})
	}
	return out, nil
}

// jobKind is the kind of the events about what commands do.
const jobKind = "job"

// Note implements httpapi.Facts.
func (l Local) Note(_ context.Context, n httpapi.Note) error {
	l.engine.Note(engine.Level(n.Level), jobKind, n.Text, n.Next)
	return nil
}
