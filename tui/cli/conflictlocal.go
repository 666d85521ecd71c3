package cli

import (
	"context"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/probe/httpapi"
)

// Conflicts implements httpapi.Conflicts.
func (l Local) Conflicts(ctx context.Context, all bool, offset, limit int) (httpapi.ConflictList, error) {
	if limit == 0 {
		limit = httpapi.DefaultConflicts
	}
	list, total, err := l.engine.Conflicts(ctx, all, offset, limit)
	if err != nil {
		return httpapi.ConflictList{}, apiError(err)
	}
	out := httpapi.ConflictList{Total: total, Conflicts: make([]httpapi.Conflict, 0, len(list))}
	for _, c := range list {
		out.Conflicts = append(out.Conflicts, toConflict(c))
	}
	return out, nil
}

func toConflict(c engine.Conflict) httpapi.Conflict {
	out := httpapi.Conflict{
		Name: c.Name.String(), ID: c.ID.String(), Copy: c.Copy, Kept: string(c.Kept), Deleted: string(c.Deleted), Where: string(c.Where),
		OpID: c.OpID, Base: hashText(c.Base), Ours: hashText(c.Ours), Theirs: hashText(c.Theirs), Author: c.Author, Commit: c.Commit, How: c.How,
	}
	if !c.At.IsZero() {
		out.At = &c.At
	}
	if !c.SettledAt.IsZero() {
		out.SettledAt = &c.SettledAt
	}
	return out
}

// hashText is "" for no version.
func hashText(h document.Hash) string {
	if h.IsZero() {
		return ""
	}
	return h.String()
}

// Conflict implements httpapi.Conflicts.
func (l Local) Conflict(ctx context.Context, name string) (httpapi.Dispute, error) {
	parsed, err := document.ParseID(name)
	if err != nil {
		return httpapi.Dispute{}, apiError(err)
	}
	d, err := l.engine.Conflict(ctx, parsed)
	if err != nil {
		return httpapi.Dispute{}, apiError(err)
	}
	out := httpapi.Dispute{Conflict: toConflict(d.Conflict), NoBase: d.NoBase, Moved: d.Moved, Seen: d.Seen}
	for _, side := range []struct {
		from *document.Document
		to   **httpapi.Document
	}{{d.Place, &out.Place}, {d.Other, &out.Other}, {d.Base, &out.BaseDocument}} {
		if side.from == nil {
			continue
		}
		doc, err := toAPI(*side.from)
		if err != nil {
			return httpapi.Dispute{}, err
		}
		*side.to = &doc
	}
	return out, nil
}

// Resolve implements httpapi.Conflicts.
func (l Local) Resolve(ctx context.Context, name string, r httpapi.Resolution) (httpapi.Ack, error) {
	parsed, err := document.ParseID(name)
	if err != nil {
		return httpapi.Ack{}, apiError(err)
	}
	wanted := engine.Resolution{Choice: engine.Choice(r.Choice), Seen: r.Seen}
	if r.As != "" {
		if wanted.As, err = document.ParseID(r.As); err != nil {
			return httpapi.Ack{}, apiError(err)
		}
	}
	if r.Document != nil {
		edited, err := fromAPI(*r.Document)
		if err != nil {
			return httpapi.Ack{}, apiError(err)
		}
		wanted.Edited = &edited
	}
	ack, err := l.engine.Resolve(ctx, parsed, wanted)
	return toAck(ack), apiError(err)
}

// Reopen implements httpapi.Conflicts.
func (l Local) Reopen(ctx context.Context, name string) (httpapi.Ack, error) {
	parsed, err := document.ParseID(name)
	if err != nil {
		return httpapi.Ack{}, apiError(err)
	}
	ack, err := l.engine.Reopen(ctx, parsed)
	return toAck(ack), apiError(err)
}

// Conflicts implements httpapi.Conflicts.
func (f *following) Conflicts(ctx context.Context, all bool, offset, limit int) (httpapi.ConflictList, error) {
	return follow(ctx, f, func(s Session) (httpapi.ConflictList, error) { return s.Conflicts(ctx, all, offset, limit) })
}

// Conflict implements httpapi.Conflicts.
func (f *following) Conflict(ctx context.Context, name string) (httpapi.Dispute, error) {
	return follow(ctx, f, func(s Session) (httpapi.Dispute, error) { return s.Conflict(ctx, name) })
}

// Resolve implements httpapi.Conflicts, with the same doubt as Replace.
func (f *following) Resolve(ctx context.Context, name string, r httpapi.Resolution) (httpapi.Ack, error) {
	return f.conditional(ctx, errLostReplace, func(s Session) (httpapi.Ack, error) { return s.Resolve(ctx, name, r) })
}

// Reopen implements httpapi.Conflicts, with the same doubt as Replace.
func (f *following) Reopen(ctx context.Context, name string) (httpapi.Ack, error) {
	return f.conditional(ctx, errLostReplace, func(s Session) (httpapi.Ack, error) { return s.Reopen(ctx, name) })
}
