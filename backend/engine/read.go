package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/state"
	"github.com/caiatech/caiatop/backend/store"
	"github.com/caiatech/caiatop/probe"
)

// Get returns the newest acknowledged version of a document and which store it
// came from. The error wraps store.ErrNotFound if the document does not exist,
// and store.ErrUnavailable if it does and no store can deliver it now.
func (e *Engine) Get(ctx context.Context, id document.ID) (Found, error) {
	started := e.o.Now()
	found, err := e.get(ctx, id)
	if err == nil {
		found.Conflict, _, err = e.disputed(ctx, id)
	}
	if !errors.Is(err, store.ErrNotFound) {
		e.measure(probe.Read, probe.Engine, e.o.Now().Sub(started), err)
	}
	if err == nil {
		e.reads.Add(1)
	}
	e.touch()
	return found, err
}

func (e *Engine) get(ctx context.Context, id document.ID) (Found, error) {
	caller := ctx
	ctx, cancel := context.WithTimeout(ctx, e.o.Budget)
	defer cancel()
	for tried := int64(0); ; {
		row, err := e.o.State.Lookup(ctx, id)
		if err != nil {
			return Found{}, fmt.Errorf("get %q: %w", id, err)
		}
		if row.Deleted {
			return Found{}, fmt.Errorf("get %q: %w: it was deleted", id, store.ErrNotFound)
		}
		found, err := e.deliver(caller, ctx, row)
		if err == nil || row.Seq == tried || ctx.Err() != nil {
			return found, err
		}
		// It may have been overwritten while it was looked for: once more for
		// every newer version, within the budget.
		tried = row.Seq
	}
}

// deliver reads one version of a document from the first store that has it.
// caller is the context without the engine's own limit.
func (e *Engine) deliver(caller, ctx context.Context, row state.Row) (Found, error) {
	found := Found{Folder: row.Folder, Hash: row.Hash, Pending: e.pendingAnywhere(row.Seq)}
	if e.serving() && row.Seq <= e.govcMark.now() {
		if doc, moved, ok := e.readPrimary(caller, ctx, row); ok {
			found.Document, found.ServedBy, found.Hash = doc, probe.Govc, moved
			return found, nil
		}
	}
	if doc, ok := e.readPending(ctx, row); ok {
		found.Document, found.ServedBy = doc, probe.State
		return found, nil
	}
	key := store.Key{ID: row.ID, Folder: row.Folder}
	trouble := []error{}
	for _, source := range []struct {
		name probe.Store
		read func() (document.Document, error)
	}{
		{probe.State, func() (document.Document, error) { return e.readKept(ctx, row) }},
		{probe.Git, func() (document.Document, error) { return e.readGit(ctx, row, key) }},
		{probe.Memory, func() (document.Document, error) { return e.o.Memory.Get(ctx, key) }},
	} {
		started := e.o.Now()
		doc, err := source.read()
		if err == nil {
			err = matches(doc, row.Hash)
		}
		if !errors.Is(err, store.ErrNotFound) {
			e.measure(probe.Read, source.name, e.o.Now().Sub(started), err)
		}
		if err == nil {
			found.Document, found.ServedBy = doc, source.name
			return found, nil
		}
		if errors.Is(err, store.ErrCorrupt) {
			signal(e.wakeGit) // which then looks what is damaged
		}
		trouble = append(trouble, fmt.Errorf("%s: %w", source.name, err))
	}
	signal(e.wakeGit) // which then looks whether the repository is still there
	return Found{}, fmt.Errorf("get %q: %w: no store can deliver it now; %s (%v)", row.ID, store.ErrUnavailable, e.whereItWouldBe(row), errors.Join(trouble...))
}

// whereItWouldBe says which places should hold a document that none delivers.
func (e *Engine) whereItWouldBe(row state.Row) string {
	text := fmt.Sprintf("it would be in git (%s, folder %s)", e.o.GitDir, row.Folder)
	if !e.hasGit() {
		text = "it would be in the copies that the state file keeps"
	}
	switch {
	case !e.talks():
	case row.Seq > e.govcMark.now():
		text += ", govc did not have it yet"
	case e.serving():
		text += " and at govc"
	default:
		text += fmt.Sprintf(" and at govc, which does not serve now (%s)", e.current())
	}
	return text
}

// serving reports whether content is read from the primary.
func (e *Engine) serving() bool {
	s := e.current()
	return s == StatePrimary || s == StateReplaying
}

func (e *Engine) pendingAnywhere(seq int64) bool {
	return (e.hasGit() && seq > e.gitMark.now()) || (e.talks() && seq > e.govcMark.now())
}

// readPending overlays what the primary lacks: the payload is still in the
// outbox.
func (e *Engine) readPending(ctx context.Context, row state.Row) (document.Document, bool) {
	started := e.o.Now()
	out, found, err := e.o.State.Newest(ctx, row.ID)
	if err != nil || !found || out.Doc == nil || out.Seq != row.Seq {
		return document.Document{}, false
	}
	e.measure(probe.Read, probe.State, e.o.Now().Sub(started), nil)
	return *out.Doc, true
}

// readGit reads the version at the commit that took it, or at the tip.
func (e *Engine) readGit(ctx context.Context, row state.Row, key store.Key) (document.Document, error) {
	if row.Commit != "" {
		if doc, err := e.o.Git.GetAt(ctx, row.Commit, key); err == nil {
			return doc, nil
		}
	}
	return e.o.Git.Get(ctx, key)
}

func matches(doc document.Document, want document.Hash) error {
	got, err := doc.Hash()
	if err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("%w: it holds version %.12s, not %.12s", store.ErrCorrupt, got, want)
	}
	return nil
}

// readPrimary reads a document that the primary has passed. It returns false
// when another store has to serve it, and reports what that says about the
// primary: an outage, a lost document, or somebody else's change.
func (e *Engine) readPrimary(caller, ctx context.Context, row state.Row) (document.Document, document.Hash, bool) {
	ctx, cancel := context.WithTimeout(ctx, readShare)
	defer cancel()
	key := store.Key{ID: row.ID, Folder: row.Folder}
	started := e.o.Now()
	doc, err := e.o.Primary.Get(ctx, key)
	took := e.o.Now().Sub(started)
	switch {
	case errors.Is(err, store.ErrNotFound):
		e.lost(ctx, row)
		return document.Document{}, document.Hash{}, false
	case errors.Is(err, store.ErrIdentity):
		e.interrupt(reseeding("the service lost the repository: "+err.Error()), StatePrimary)
		return document.Document{}, document.Hash{}, false
	case errors.Is(err, store.ErrUnauthorized):
		e.interrupt(locked("the service refuses our credentials: "+err.Error(), credentialsHint), StatePrimary)
		return document.Document{}, document.Hash{}, false
	case caller.Err() != nil:
		return document.Document{}, document.Hash{}, false // the caller's time was up, not the primary's
	case err != nil && aboutDocument(err):
		e.measure(probe.Read, probe.Govc, took, err)
		e.lost(ctx, row) // what is there is no document: written again
		return document.Document{}, document.Hash{}, false
	case err != nil:
		e.measure(probe.Read, probe.Govc, took, err)
		if why := e.breaker.report(e.o.Now(), true); why != "" {
			e.interrupt(unreachable(why+", the last one: "+err.Error()), StatePrimary)
		}
		return document.Document{}, document.Hash{}, false
	}
	e.measure(probe.Read, probe.Govc, took, nil)
	e.breaker.report(e.o.Now(), false)
	hash, err := doc.Hash()
	if err != nil || hash == row.Hash {
		return doc, hash, err == nil
	}
	return doc, hash, e.changedThere(ctx, row, key, doc, hash)
}

// lost notes a document that the primary passed and does not hold any more: a
// 404 never means deleted. It is written again once, and if the identity
// marker is gone too the probe starts the refill.
func (e *Engine) lost(ctx context.Context, row state.Row) {
	if now, err := e.o.State.Lookup(ctx, row.ID); err != nil || now.Seq != row.Seq {
		return // written or deleted meanwhile
	}
	parked, err := e.o.State.ParkedAt(ctx, row.ID)
	_, dropped, dropErr := e.o.State.Dropped(ctx, primaryReplica, row.ID)
	if err != nil || dropErr != nil || dropped || slices.ContainsFunc(parked, func(p state.Parked) bool { return p.Store == primaryReplica }) {
		return // known not to be there
	}
	e.mu.Lock()
	_, known := e.missing[row.ID]
	if !known && len(e.missing) < maxMissing {
		e.missing[row.ID] = false
	}
	e.mu.Unlock()
	if !known {
		e.trouble(Warning, "missing", fmt.Sprintf("govc no longer delivers %q, which it had taken", row.ID),
			"It is written there once more; if that fails it is listed as missing at govc. Look for who deletes there")
		signal(e.wakeGovc)
		e.prober.Hurry()
	}
}

// changedThere takes over somebody else's version, found while reading, unless
// it is an earlier one of ours: then the primary went back in time.
func (e *Engine) changedThere(ctx context.Context, row state.Row, key store.Key, doc document.Document, hash document.Hash) bool {
	if now, err := e.o.State.Lookup(ctx, row.ID); err != nil || now.Seq != row.Seq {
		return false // ours is on its way
	}
	again, err := e.o.Primary.Get(ctx, key) // believed only when read twice
	if err != nil || matches(again, hash) != nil {
		return false
	}
	w := snapshotOf(row)
	if err := e.addEarlier(ctx, &w); err != nil {
		e.trouble(Error, "inbound", fmt.Sprintf("A version of %q that somebody else wrote to govc could not be taken over: %v", row.ID, err),
			"It is tried again when the document is read; look at the disk that holds the state folder")
		return false
	}
	if w.isOurs(hash) {
		e.interrupt(reseeding(fmt.Sprintf("the service holds an earlier version of %q", row.ID)), StatePrimary)
		return false
	}
	err = e.inbound(ctx, key, &doc, primaryReplica, row.Hash)
	switch {
	case errors.Is(err, store.ErrConflict):
		return false
	case err != nil:
		e.trouble(Error, "inbound", fmt.Sprintf("A version of %q that somebody else wrote to govc could not be taken over: %v", row.ID, err),
			"It is tried again when the document is read; look at the disk that holds the state folder")
		return false
	}
	e.event(Info, "inbound", fmt.Sprintf("%q was changed at govc by somebody else", row.ID), "")
	return true
}

// List returns a page of the index.
func (e *Engine) List(ctx context.Context, q Query) (Page, error) {
	limit := q.Limit
	if limit == 0 {
		limit = 100
	}
	limit = min(max(limit, 1), 1000)
	rows, total, err := e.o.State.Page(ctx, state.PageQuery{Contains: q.Contains, Type: q.Type, Offset: max(q.Offset, 0), Limit: limit})
	if err != nil {
		return Page{}, fmt.Errorf("list: %w", err)
	}
	page := Page{Total: total, Rows: make([]Row, 0, len(rows))}
	for _, r := range rows {
		row, err := e.describe(ctx, r)
		if err != nil {
			return Page{}, fmt.Errorf("list: %w", err)
		}
		page.Rows = append(page.Rows, row)
	}
	return page, nil
}

// describe adds to a row of the index what each store holds of it.
func (e *Engine) describe(ctx context.Context, r state.Row) (Row, error) {
	row := Row{
		ID: r.ID, Type: r.Type, Folder: r.Folder, Source: r.Source, Size: r.Size,
		CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt, Hash: r.Hash, Govc: InStep, Git: InStep,
	}
	e.mu.Lock()
	state, gitKnown := e.view.state, e.view.known[gitReplica]
	_, missing := e.missing[r.ID]
	e.mu.Unlock()
	switch {
	case !e.hasGit():
		row.Git = Detached
	case r.Seq > e.gitMark.now():
		row.Git = Behind
	case !gitKnown:
		row.Git = Unknown
	}
	switch {
	case state == StateNone:
		row.Govc = Detached
	case state != StatePrimary && state != StateReplaying && r.Seq <= e.govcMark.now():
		row.Govc = Unknown
	case missing:
		row.Govc = Missing
	case r.Seq > e.govcMark.now():
		row.Govc = Behind
	}
	if e.o.State.ParkedCount() > 0 {
		parked, err := e.o.State.ParkedAt(ctx, r.ID)
		if err != nil {
			return Row{}, err
		}
		for _, p := range parked {
			switch {
			case row.Git == Detached && p.Store == gitReplica:
			case isSpoilt(p):
				if row.Git != Behind {
					row.Git = Parked
				}
			case p.Store == gitReplica && p.Seq == r.Seq:
				row.Git = Missing
			case p.Store != primaryReplica || row.Govc == Detached:
			case p.Reason == parkedTooLarge:
				row.Govc = TooLarge
			default:
				row.Govc = Parked
			}
		}
	}
	if e.o.State.Summary().Conflicts > 0 {
		if err := e.markDisputed(ctx, &row); err != nil {
			return Row{}, err
		}
	}
	err := e.describeDropped(ctx, &row)
	return row, err
}
