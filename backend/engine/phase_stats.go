package engine

import (
	"context"
	"fmt"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/state"
)

// keptStats are the copies that are kept.
func (e *Engine) keptStats(s state.Summary) KeptStats {
	return KeptStats{
		Attached: e.phased.kept.on.Load(), All: e.o.State.Meta(metaKept) == keptAll,
		Documents: s.Kept, Bytes: s.KeptBytes, Limit: e.o.KeptBytes, Err: e.replicaError(keptReplica),
	}
}

// serviceURL is the address of the service, "" in a phase without one.
func (e *Engine) serviceURL() string {
	if e.o.Primary != nil && !e.talks() {
		return ""
	}
	if late, ok := e.o.Primary.(interface{ URL() string }); ok {
		return late.URL()
	}
	return e.o.URL
}

// judgeParts corrects what cursors say of stores that the phase does not have.
// The caller holds the mutex.
func (e *Engine) judgeParts(s *Stats) {
	for i, on := range []bool{s.State != StateNone || e.phase().stores().govc, e.hasGit()} {
		if !on {
			s.Stores[i].Detached, s.Stores[i].Unknown, s.Stores[i].Lag = true, true, 0
		}
	}
}

// safeWithoutGit are the places that survive a restart and hold everything in a
// phase without git. The caller holds the mutex.
func (e *Engine) safeWithoutGit(s *Stats) []string {
	if e.phase().stores().git {
		return nil
	}
	var safe []string
	if s.Kept.All && e.lag(keptReplica) == 0 && e.view.errs[keptReplica] == "" {
		safe = append(safe, "kept copies")
	}
	if s.Service.Durable && s.State == StatePrimary && s.Stores[0].Lag == 0 && s.Parked == 0 && len(e.missing) == 0 {
		safe = append(safe, "govc")
	}
	return safe
}

// whoLags says whose fault a full outbox is.
func (e *Engine) whoLags() string {
	if !e.hasGit() {
		return "the govc service could not take: " + e.replicaError(primaryReplica)
	}
	return "git could not take: " + e.replicaError(gitReplica)
}

// readKept is the copy that is kept of a document.
func (e *Engine) readKept(ctx context.Context, row state.Row) (document.Document, error) {
	doc, _, err := e.o.State.Kept(ctx, row.ID)
	if err != nil {
		return document.Document{}, fmt.Errorf("kept copies: %w", err)
	}
	return doc, nil
}
