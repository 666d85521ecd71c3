package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/state"
	"github.com/caiatech/caiatop/backend/store"
)

// metaConflicts is set once the copies that the index holds are recorded as
// conflicts.
const metaConflicts = "conflicts.known"

// runConflicts records, once for each state file, the copies that it did not
// record itself: those of earlier versions of caiatop, and those that git brings to
// a state made anew. It begins when the index knows what git holds, and changes
// nothing when it is done again.
func (e *Engine) runConflicts(ctx context.Context) {
	defer close(e.conflictsKnown)
	select {
	case <-e.adopted:
	case <-ctx.Done():
		return
	}
	if e.o.State.Meta(metaConflicts) != "" {
		return
	}
	found, err := e.recordCopies(ctx)
	if err == nil {
		err = e.o.State.SetMeta(ctx, metaConflicts, "yes")
	}
	switch {
	case ctx.Err() != nil: // the next start does it
	case err != nil:
		e.event(Error, kindConflict, fmt.Sprintf("The conflicts of earlier times cannot be listed: %v", err),
			"Look at the disk that holds the state folder; they are looked for again at the next start")
	case found > 0:
		e.event(Warning, kindConflict, fmt.Sprintf("Found %s of conflicts that nobody has settled", numbered(found, "copy", "copies")),
			"List them with: caiatop conflicts list, and choose with: caiatop conflicts resolve")
	}
}

// awaitConflicts waits until the conflicts of earlier times are listed.
func (e *Engine) awaitConflicts(ctx context.Context) error {
	select {
	case <-e.conflictsKnown: // in all but the first moments
		return nil
	default:
	}
	ctx, cancel := context.WithTimeout(ctx, e.o.Budget)
	defer cancel()
	select {
	case <-e.conflictsKnown:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: the conflicts of earlier times are still being looked for: %w", store.ErrUnavailable, ctx.Err())
	}
}

// recordCopies records every copy of a conflict in the index that no conflict
// knows, and returns how many there were.
func (e *Engine) recordCopies(ctx context.Context) (found int, err error) {
	var told []state.Event
	for offset := 0; ; offset += snapshotPage {
		rows, _, err := e.o.State.Page(ctx, state.PageQuery{Contains: state.CopyMark, Offset: offset, Limit: snapshotPage})
		if err != nil || len(rows) == 0 {
			return found, err
		}
		if told == nil {
			if told, err = e.o.State.Events(ctx, state.MaxEvents); err != nil {
				return found, err
			}
		}
		var list []state.Conflict
		for _, row := range rows {
			c, is, err := e.oldConflict(ctx, row.ID, told)
			if err != nil {
				return found, err
			}
			if is {
				list = append(list, c)
			}
		}
		n, err := e.o.State.RecordConflicts(ctx, list)
		if err != nil {
			return found, err
		}
		found += n
	}
}

// oldConflict is what the id of a copy and the events say of its conflict. The
// rest is unknown.
func (e *Engine) oldConflict(ctx context.Context, name document.ID, told []state.Event) (c state.Conflict, is bool, err error) {
	id, mark, is := splitCopy(name)
	if !is {
		return c, false, nil
	}
	c = state.Conflict{Name: name, Copy: true}
	if _, err := uuid.Parse(mark); err == nil {
		// Copies are marked by our operation only at the service, and are ours.
		c.OpID, c.Kept, c.Where = mark, string(Ours), primaryReplica
	}
	for _, ev := range told {
		if ev.Kind != kindConflict {
			continue
		}
		switch {
		case strings.HasSuffix(ev.Text, fmt.Sprintf("ours is kept as %q", name)):
			c.Kept, c.Where, c.At = string(Ours), primaryReplica, ev.At
		case strings.HasSuffix(ev.Text, fmt.Sprintf("theirs is kept as %q", name)):
			c.Kept, c.Where, c.At = string(Theirs), gitReplica, ev.At
		}
	}
	c.ID, err = e.originalOf(ctx, id)
	return c, true, err
}

// splitCopy takes apart the id of a copy. is is false if that is none.
func splitCopy(name document.ID) (id, mark string, is bool) {
	text := name.String()
	at := strings.LastIndex(text, state.CopyMark)
	if at <= 0 {
		return "", "", false
	}
	id, mark = text[:at], text[at+len(state.CopyMark):]
	if len(mark) == markLength && strings.Trim(mark, "0123456789abcdef") == "" {
		return id, mark, true
	}
	const canonical = 36
	_, err := uuid.Parse(mark)
	return id, mark, err == nil && len(mark) == canonical
}

// originalOf finds the document whose copy begins with these letters: one of
// that id, or one whose id was cut and marked with its hash. It is zero if the
// id was cut and no document fits.
func (e *Engine) originalOf(ctx context.Context, base string) (document.ID, error) {
	id, err := document.ParseID(base)
	if err != nil {
		return document.ID{}, nil //nolint:nilerr // unknown, and said so
	}
	start, digest, cut := cutID(base)
	if !cut {
		return id, nil
	}
	if _, err := e.o.State.Lookup(ctx, id); !errors.Is(err, store.ErrNotFound) {
		return id, err
	}
	for after := start; ; {
		rows, err := e.o.State.Scan(ctx, after, snapshotPage)
		if err != nil || len(rows) == 0 {
			return document.ID{}, err
		}
		for _, row := range rows {
			text := row.ID.String()
			if !strings.HasPrefix(text, start) {
				return document.ID{}, nil
			}
			if document.ShortHash(text) == digest {
				return row.ID, nil
			}
		}
		after = rows[len(rows)-1].ID.String()
	}
}

// cutID takes apart what conflictID made of a long id. It does that with ids of
// which less than a mark of 12 digits fits, and leaves a few bytes at most.
func cutID(base string) (start, digest string, cut bool) {
	const digits, torn = 16, 3
	at := len(base) - digits - 1
	if at <= 0 || base[at] != '-' || strings.Trim(base[at+1:], "0123456789abcdef") != "" {
		return "", "", false
	}
	const longestMark = 36
	least := document.MaxID - len(state.CopyMark) - longestMark - torn
	return base[:at], base[at+1:], len(base) >= least
}
