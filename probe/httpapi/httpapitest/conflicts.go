package httpapitest

import (
	"context"
	"fmt"
	"slices"

	"github.com/caiatech/caiatop/probe/httpapi"
)

// SetDisputes sets what Conflicts and Conflict return.
func (e *Engine) SetDisputes(list ...httpapi.Dispute) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.disputes = slices.Clone(list)
}

// Conflicts implements httpapi.Conflicts.
func (e *Engine) Conflicts(ctx context.Context, all bool, offset, limit int) (httpapi.ConflictList, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var list httpapi.ConflictList
	if err := e.enter(ctx, fmt.Sprintf("conflicts %t %d %d", all, offset, limit)); err != nil {
		return list, err
	}
	for _, d := range e.disputes {
		if all || d.How == "" {
			list.Conflicts = append(list.Conflicts, d.Conflict)
		}
	}
	list.Total = int64(len(list.Conflicts))
	return list, nil
}

// Conflict implements httpapi.Conflicts.
func (e *Engine) Conflict(ctx context.Context, name string) (httpapi.Dispute, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.enter(ctx, "conflict "+name); err != nil {
		return httpapi.Dispute{}, err
	}
	i, err := e.disputeOf(name)
	if err != nil {
		return httpapi.Dispute{}, err
	}
	return e.disputes[i], nil
}

func (e *Engine) disputeOf(name string) (int, error) {
	i := slices.IndexFunc(e.disputes, func(d httpapi.Dispute) bool { return d.Name == name || d.ID == name })
	if i < 0 {
		return 0, fmt.Errorf("conflict %q: %w", name, httpapi.ErrNotFound)
	}
	return i, nil
}

// Resolve implements httpapi.Conflicts: it remembers the choice.
func (e *Engine) Resolve(ctx context.Context, name string, r httpapi.Resolution) (httpapi.Ack, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.enter(ctx, "resolve "+name+" "+r.Choice+" "+r.As); err != nil {
		return httpapi.Ack{}, err
	}
	i, err := e.disputeOf(name)
	if err != nil {
		return httpapi.Ack{}, err
	}
	if e.disputes[i].Seen != r.Seen || e.disputes[i].How != "" {
		return httpapi.Ack{}, fmt.Errorf("%w: %q was changed meanwhile", httpapi.ErrConflict, name)
	}
	e.disputes[i].How = r.Choice
	if r.Document != nil {
		e.disputes[i].Place = r.Document
	}
	return e.ack(1), nil
}

// Reopen implements httpapi.Conflicts.
func (e *Engine) Reopen(ctx context.Context, name string) (httpapi.Ack, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.enter(ctx, "reopen "+name); err != nil {
		return httpapi.Ack{}, err
	}
	i, err := e.disputeOf(name)
	if err != nil {
		return httpapi.Ack{}, err
	}
	if e.disputes[i].How == "" {
		return httpapi.Ack{}, fmt.Errorf("%w: it is open", httpapi.ErrConflict)
	}
	e.disputes[i].How = ""
	return e.ack(1), nil
}
