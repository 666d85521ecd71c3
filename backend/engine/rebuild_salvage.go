package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/durable"
	"github.com/caiatech/caiatop/backend/state"
	"github.com/caiatech/caiatop/backend/store"
)

// prepareRebuild gives a new state file what was known of the service, before
// the engine opens on it. It may be repeated.
func (r *rebuild) prepareRebuild(ctx context.Context, db *state.DB) error {
	refill := ""
	if r.old.Meta[metaLineage] != "" {
		refill = "rebuild" // it is ours, and compared as a whole; any other one needs a person
	}
	for key, value := range map[string]string{
		metaRebuild: "begun", metaRefill: refill,
		metaLineage: r.old.Meta[metaLineage], metaEpoch: r.old.Meta[metaEpoch], metaBackup: r.old.Meta[metaBackup],
	} {
		if value == "" || db.Meta(key) != "" {
			continue
		}
		if err := db.SetMeta(ctx, key, value); err != nil {
			return err
		}
	}
	return nil
}

// restore writes again what only the old outbox knew, lets go of the record of
// the rebuild, and waits until the service was compared.
func (r *rebuild) restore(ctx context.Context) error {
	e := r.host.Engine
	if err := e.adoptedGit(ctx); err != nil {
		return err
	}
	if err := r.salvage(ctx); err != nil {
		return err
	}
	if !e.talks() {
		if err := e.o.State.SetMeta(ctx, metaRebuild, ""); err != nil {
			return err
		}
	}
	// From here on the engine goes on by itself, at every start.
	if err := (durable.Volume{}).Remove(filepath.Join(r.setup.Dir, RebuildFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	r.explain(ctx)
	if err := r.awaitService(ctx); err != nil {
		return err
	}
	stats := e.Stats()
	r.report.Documents, r.report.State, r.report.Reason = stats.Documents, stats.State, stats.Reason
	if e.rebuilding() {
		r.unknown(fmt.Sprintf("what the service holds: it was not compared yet (%s: %s)", stats.State, stats.Reason))
	}
	text := fmt.Sprintf("The state file was rebuilt (%s): %d documents", r.report.Why, r.report.Documents)
	if r.report.Again > 0 {
		text += fmt.Sprintf("; %d operations of the old outbox were written again", r.report.Again)
	}
	e.event(Warning, rebuildKind, text, "Look at the documents that were changed last, then run: caiatop verify")
	return nil
}

// adoptedGit waits until the index knows what git holds, however long it takes.
func (e *Engine) adoptedGit(ctx context.Context) error {
	select {
	case <-e.adopted:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting until the index knows what git holds: %w", ctx.Err())
	}
}

// chain are the operations of the old outbox on one document.
type chain struct {
	newest   int64
	versions map[document.Hash]struct{} // that these replaced or made; zero: it was not there
}

// salvage reads the old outbox, and carries out the newest operation on each
// document where git has not come so far.
func (r *rebuild) salvage(ctx context.Context) error {
	chains := map[document.ID]*chain{}
	unreadable := 0
	for _, seq := range r.old.Numbers(ctx) {
		op, err := r.old.Operation(ctx, seq)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			unreadable++
			continue
		}
		r.report.Read++
		c := chains[op.Key.ID]
		if c == nil {
			c = &chain{versions: map[document.Hash]struct{}{}}
			chains[op.Key.ID] = c
		}
		c.newest = seq
		c.versions[op.Base], c.versions[op.Hash] = struct{}{}, struct{}{}
	}
	if unreadable > 0 {
		r.unknown(fmt.Sprintf("%d operations of the old outbox cannot be read", unreadable))
	}
	order := make([]*chain, 0, len(chains))
	for _, c := range chains {
		order = append(order, c)
	}
	slices.SortFunc(order, func(a, b *chain) int { return int(min(max(a.newest-b.newest, -1), 1)) })
	for _, c := range order {
		if err := r.again(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// again carries out the newest operation on one document, unless the index has
// it, or git had it once.
func (r *rebuild) again(ctx context.Context, c *chain) error {
	e := r.host.Engine
	op, err := r.old.Operation(ctx, c.newest)
	if err != nil || op.Origin != "" {
		return ctx.Err() // it came from a store, which still has it
	}
	row, err := e.o.State.Lookup(ctx, op.Key.ID)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	absent := err != nil || row.Deleted
	switch {
	case absent && op.Delete, !absent && row.Hash == op.Hash:
		return nil
	case !op.Delete && op.Doc == nil:
		return nil // its payload was let go once git had it
	}
	expect := row.Hash // zero if absent
	if _, ours := c.versions[expect]; !ours {
		return r.astray(ctx, op, absent)
	}
	key := op.Key
	if !absent {
		key.Folder = row.Folder
	}
	_, err = e.o.State.Append(ctx, []state.Operation{{
		OpID: op.OpID, Key: key, Doc: op.Doc, Hash: op.Hash, At: op.At, Expect: &expect,
	}})
	if errors.Is(err, store.ErrConflict) {
		return r.astray(ctx, op, false)
	}
	if err != nil {
		return err
	}
	r.report.Again++
	e.appended()
	return nil
}

// astray keeps a version whose place has another one now, unless git had it
// before that one.
func (r *rebuild) astray(ctx context.Context, op state.Outgoing, absent bool) error {
	e := r.host.Engine
	if op.Delete {
		return nil // what was changed since is not deleted
	}
	w := wanted{newest: op, ours: map[document.Hash]struct{}{}}
	if err := e.addEarlier(ctx, &w); err != nil {
		return err
	}
	if w.isOurs(op.Hash) {
		return nil // and it was changed or deleted since
	}
	if absent {
		_, err := e.o.State.Append(ctx, []state.Operation{{OpID: op.OpID, Key: op.Key, Doc: op.Doc, Hash: op.Hash, At: op.At, Expect: &document.Hash{}}})
		if err == nil {
			r.report.Again++
			e.appended()
		}
		return err
	}
	return r.dispute(ctx, op)
}

// dispute keeps a version of the old outbox as a copy: another one, whose origin
// is not known, has its place.
func (r *rebuild) dispute(ctx context.Context, op state.Outgoing) error {
	e := r.host.Engine
	row, err := e.o.State.Lookup(ctx, op.Key.ID)
	if err != nil {
		return local(err)
	}
	c := state.Conflict{ID: op.Key.ID, Copy: true, Kept: string(Ours), OpID: op.OpID, Base: op.Base, Ours: op.Hash, Theirs: row.Hash, At: e.o.Now()}
	if c.Name, err = conflictID(op.Key.ID, op.OpID); err != nil {
		return local(err)
	}
	made, err := e.copyOf(ctx, c.Name, *op.Doc)
	if err != nil || made == nil {
		return err
	}
	made.Conflict = &c
	if err := e.appendOwn(ctx, *made); err != nil {
		return err
	}
	r.report.Again++
	r.report.Conflicts++
	e.tellConflict(c, fmt.Sprintf("The old outbox held a version of %q that was never committed, and another one has its place: ours is kept as %q", c.ID, c.Name))
	return nil
}

func (r *rebuild) unknown(what string) { r.report.Unknown = append(r.report.Unknown, what) }

// explain says what nobody can know any more.
func (r *rebuild) explain(ctx context.Context) {
	for _, trouble := range r.old.Trouble {
		r.unknown("the old state file: " + trouble)
	}
	if len(r.old.Trouble) == 0 {
		return
	}
	since := "ever"
	if last, err := r.host.o.Git.NewestAt(ctx); err == nil && !last.IsZero() {
		since = "after " + last.UTC().Format(time.RFC3339) + ", the time of git's newest commit"
	}
	r.unknown("whether anything was written or deleted " + since + " that reached neither git nor the service: only the old outbox knew")
	r.unknown("which documents were set aside, dropped or deleted before: what git and the service hold now counts")
}

// awaitService waits until the service was compared, or a person is needed. It
// gives up when nothing happens there for a while: the engine goes on.
func (r *rebuild) awaitService(ctx context.Context) error {
	e := r.host.Engine
	if !e.talks() {
		return nil
	}
	adopted := false
	feed := e.Subscribe()
	defer feed.Close()
	patience := time.NewTimer(rebuildPatience)
	defer patience.Stop()
	for {
		switch e.current() {
		case StatePrimary:
			return nil
		case StateLocked:
			if !r.options.Adopt || adopted {
				return nil
			}
			adopted = true
			if err := e.Recover(ctx, true); err != nil {
				r.unknown("what the service holds: " + err.Error())
				return ctx.Err()
			}
		case StateFallback:
			if !e.healthUp() {
				return nil
			}
			if err := e.Recover(ctx, r.options.Adopt); err != nil && ctx.Err() == nil {
				return nil //nolint:nilerr // the state tells why, and the engine tries again
			}
		case StateProbing, StateReplaying, StateReseeding, StateNone:
		}
		select {
		case <-feed.C:
			if e.progressing() {
				patience.Reset(rebuildPatience)
			}
		case <-patience.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// progressing reports that something is being copied.
func (e *Engine) progressing() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.view.progress != nil
}
