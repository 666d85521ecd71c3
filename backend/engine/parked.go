package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/state"
	"github.com/caiatech/caiatop/backend/store"
	"github.com/caiatech/caiatop/probe"
)

// ErrLastCopy: no durable place holds what is to be dropped.
var ErrLastCopy = errors.New("no durable place holds this version")

// MaxParked bounds what Parked lists.
const MaxParked = 10_000

// ParkedDocument is an operation that a store did not take, or a document that
// it lost and that nobody could deliver.
type ParkedDocument struct {
	Store  probe.Store
	ID     document.ID
	Reason string    // "too large", "refused", "missing" or "unreadable"
	Detail string    // of the store, unsanitised
	At     time.Time // when it was set aside
	Delete bool      // it is a delete that was set aside
	// Elsewhere names the durable places that hold this version: "state" (the
	// outbox), "git", "govc".
	Elsewhere []string
	// Next says what to do.
	Next string
}

// Parked lists what is set aside, by store and the oldest first, at most limit
// (1 to MaxParked).
func (e *Engine) Parked(ctx context.Context, limit int) ([]ParkedDocument, error) {
	limit = min(max(limit, 1), MaxParked)
	var out []ParkedDocument
	for _, name := range []string{primaryReplica, gitReplica} {
		parked, err := e.o.State.ParkedIn(ctx, name, limit-len(out))
		if err != nil {
			return nil, fmt.Errorf("list what is parked: %w", err)
		}
		for _, p := range parked {
			d, err := e.describeParked(ctx, p)
			if err != nil {
				return nil, fmt.Errorf("list what is parked: %w", err)
			}
			out = append(out, d)
		}
		if len(out) == limit {
			break
		}
	}
	return out, nil
}

func (e *Engine) describeParked(ctx context.Context, p state.Parked) (ParkedDocument, error) {
	d := ParkedDocument{Store: probe.Store(p.Store), ID: p.ID, Reason: p.Reason, Detail: p.Detail, At: p.At, Next: e.parkedAdvice(p.Reason)}
	switch {
	case isSpoilt(p):
		d.Next = spoiltAdvice
	case p.Store == gitReplica:
		d.Next = gitMissingAdvice
	}
	row, err := e.o.State.Lookup(ctx, p.ID)
	if errors.Is(err, store.ErrNotFound) {
		d.Delete = true // a delete that every other store has
		return d, nil
	}
	if err != nil {
		return d, err
	}
	if d.Delete = row.Deleted; d.Delete {
		return d, nil
	}
	d.Elsewhere, err = e.durablePlaces(ctx, row)
	return d, err
}

// durablePlaces names the places that hold the newest version of a document and
// survive the end of this process. What does not answer holds nothing.
func (e *Engine) durablePlaces(ctx context.Context, row state.Row) (places []string, err error) {
	key := store.Key{ID: row.ID, Folder: row.Folder}
	holds := func(doc document.Document, err error) bool { return err == nil && matches(doc, row.Hash) == nil }
	out, found, err := e.o.State.Newest(ctx, row.ID)
	if err != nil && !errors.Is(err, store.ErrCorrupt) {
		return nil, err
	}
	if err == nil && found && out.Doc != nil && holds(*out.Doc, nil) {
		places = append(places, string(probe.State))
	}
	if holds(e.readGit(ctx, row, key)) {
		places = append(places, string(probe.Git))
	}
	if e.talks() && e.serving() && e.primaryKeeps() && holds(e.o.Primary.Get(ctx, key)) {
		places = append(places, string(probe.Govc))
	}
	return places, ctx.Err()
}

// primaryKeeps reports whether the service says that a restart keeps its data.
func (e *Engine) primaryKeeps() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.view.info.Durable || (e.o.Embedded != nil && e.o.Embedded.Keeps())
}

// RetryParked gives documents that are set aside, or were dropped, another
// chance now, all that are set aside if none is named. It returns how many are
// not set aside any more. store.ErrNotFound if one that is named is not set
// aside, store.ErrUnavailable if the service does not serve now: what it refused
// is tried again by itself when it comes back.
func (e *Engine) RetryParked(ctx context.Context, ids ...document.ID) (done int, err error) {
	there, here, err := e.toRetry(ctx, ids)
	if err != nil {
		return 0, fmt.Errorf("retry what is parked: %w", err)
	}
	if len(here) > 0 {
		e.gitFill.Store(true)
		signal(e.wakeGit)
		if done, err = e.awaitUnparked(ctx, here); err != nil {
			return done, fmt.Errorf("retry what is parked: %w", err)
		}
	}
	if len(there) == 0 {
		return done, nil
	}
	if !e.talks() {
		return done, fmt.Errorf("retry what is parked: %w: this engine runs without the service", store.ErrUnavailable)
	}
	if s := e.current(); s != StatePrimary {
		return done, fmt.Errorf("retry what is parked: %w: the service does not serve now (%s); what it refused is tried again when it comes back", store.ErrUnavailable, s)
	}
	for part := range slices.Chunk(there, govcBatchOps) {
		parked, err := e.bringAgain(ctx, part)
		if err != nil {
			return done, fmt.Errorf("retry what is parked: %w", err)
		}
		done += len(part) - len(parked)
	}
	return done, nil
}

// toRetry are the documents that are set aside at the service and at git.
func (e *Engine) toRetry(ctx context.Context, ids []document.ID) (there, here []document.ID, err error) {
	if len(ids) == 0 {
		for name, list := range map[string]*[]document.ID{primaryReplica: &there, gitReplica: &here} {
			parked, err := e.o.State.ParkedIn(ctx, name, MaxParked)
			if err != nil {
				return nil, nil, err
			}
			for _, p := range parked {
				*list = append(*list, p.ID)
			}
		}
		return there, here, nil
	}
	for _, id := range ids {
		found := false
		for name, list := range map[string]*[]document.ID{primaryReplica: &there, gitReplica: &here} {
			_, dropped, err := e.o.State.Dropped(ctx, name, id)
			if err != nil {
				return nil, nil, err
			}
			parked, err := e.o.State.ParkedAt(ctx, id)
			if err != nil {
				return nil, nil, err
			}
			if dropped || slices.ContainsFunc(parked, func(p state.Parked) bool { return p.Store == name }) {
				*list, found = append(*list, id), true
			}
		}
		if !found {
			return nil, nil, notParked(id)
		}
	}
	return there, here, nil
}

func notParked(id document.ID) error {
	return fmt.Errorf("%w: nothing of %q is set aside", store.ErrNotFound, id)
}

// bringAgain lets the goroutine that writes to the service write documents
// again as they are now, and returns those that it did not take. What it took is
// not set aside any more.
func (e *Engine) bringAgain(ctx context.Context, ids []document.ID) (parked []state.Parked, err error) {
	err = e.primaryWork.ask(ctx, func(ctx context.Context) error {
		list, err := e.repairs(ctx, ids)
		if err != nil {
			return err
		}
		through := e.govcMark.now()
		list = slices.DeleteFunc(list, func(w wanted) bool { return w.newest.Seq > through })
		commit, refused, err := e.bring(ctx, list)
		if err == nil {
			err = e.recordTip(ctx, commit)
		}
		if err != nil {
			return err
		}
		parked = refused
		if len(refused) > 0 {
			if err := e.o.State.Advance(ctx, state.Advance{Store: primaryReplica, Seq: through, Park: refused}); err != nil {
				return local(err)
			}
			e.tellParked(refused)
		}
		return e.took(ctx, ids, refused)
	})
	e.touch()
	return parked, err
}

// took forgets what was set aside of documents that the service holds now.
func (e *Engine) took(ctx context.Context, ids []document.ID, refused []state.Parked) error {
	for _, id := range ids {
		if err := e.o.State.Undrop(ctx, primaryReplica, id); err != nil {
			return local(err)
		}
		if slices.ContainsFunc(refused, func(p state.Parked) bool { return p.ID == id }) {
			continue
		}
		if err := e.o.State.Unpark(ctx, primaryReplica, id); err != nil {
			return local(err)
		}
		e.mu.Lock()
		delete(e.missing, id)
		e.mu.Unlock()
	}
	return nil
}

// awaitUnparked waits until git holds documents again that it lacked, as long
// as it gets on, and returns how many it does.
func (e *Engine) awaitUnparked(ctx context.Context, ids []document.ID) (done int, err error) {
	for began := e.o.Now(); ; pause(ctx, mendLook, nil) {
		now := 0
		for _, id := range ids {
			parked, err := e.o.State.ParkedAt(ctx, id)
			if err != nil {
				return done, err
			}
			if !slices.ContainsFunc(parked, func(p state.Parked) bool { return p.Store == gitReplica }) {
				now++
			}
		}
		if now > done {
			done, began = now, e.o.Now()
		}
		quiet := e.o.Now().Sub(began)
		if done == len(ids) || quiet > mendPatience || (quiet > mendQuiet && !e.gitFill.Load()) || ctx.Err() != nil {
			return done, ctx.Err()
		}
	}
}

// DropParked gives up what is set aside of a document: the store that did not
// take it stays without it, and it counts as set aside no more. RetryParked
// takes that back. What no durable place holds is given up only with lose, which
// deletes the document, because nobody can deliver it; else ErrLastCopy.
// store.ErrNotFound if nothing of it is set aside.
func (e *Engine) DropParked(ctx context.Context, id document.ID, lose bool) error {
	parked, err := e.o.State.ParkedAt(ctx, id)
	if err != nil {
		return fmt.Errorf("drop what is parked: %w", err)
	}
	if len(parked) == 0 {
		return fmt.Errorf("drop what is parked: %w", notParked(id))
	}
	row, err := e.o.State.Lookup(ctx, id)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("drop what is parked: %w", err)
	}
	var places []string
	if err == nil && !row.Deleted {
		if places, err = e.durablePlaces(ctx, row); err != nil {
			return fmt.Errorf("drop what is parked: %w", err)
		}
		if len(places) == 0 {
			if !lose {
				return fmt.Errorf("drop what is parked of %q: %w: it would be lost for good", id, ErrLastCopy)
			}
			return e.lose(ctx, row)
		}
	}
	for _, p := range parked {
		if _, err := e.o.State.Drop(ctx, p.Store, id); err != nil {
			return fmt.Errorf("drop what is parked: %w", err)
		}
		text := fmt.Sprintf("%q is given up at %s (%s)", id, p.Store, p.Reason)
		if len(places) > 0 {
			text += "; it is in " + strings.Join(places, ", ")
		}
		e.event(Warning, "parked", text, fmt.Sprintf("To try it again: caiatop parked retry %s", id))
	}
	e.mu.Lock()
	delete(e.missing, id)
	e.mu.Unlock()
	e.touch()
	return nil
}

// lose deletes a document that nobody can deliver, if it is still the version
// that was looked at.
func (e *Engine) lose(ctx context.Context, row state.Row) error {
	_, err := e.o.State.Append(ctx, []state.Operation{{
		OpID: e.o.NewID(), Key: store.Key{ID: row.ID, Folder: row.Folder}, At: e.o.Now(), Expect: &row.Hash,
	}})
	if err != nil {
		return fmt.Errorf("drop what is parked: %w", err)
	}
	for _, name := range []string{primaryReplica, gitReplica} {
		if err := e.o.State.Unpark(ctx, name, row.ID); err != nil {
			return fmt.Errorf("drop what is parked: %w", err)
		}
	}
	e.appended()
	e.event(Warning, "parked", fmt.Sprintf("%q was given up for good: no store held version %.12s", row.ID, row.Hash), fmt.Sprintf("Earlier versions may be in its history: caiatop history %s", row.ID))
	return nil
}

// describeDropped says of a row what was given up of it.
func (e *Engine) describeDropped(ctx context.Context, row *Row) error {
	if !e.o.State.AnyDropped() {
		return nil
	}
	for name, at := range map[string]*Presence{primaryReplica: &row.Govc, gitReplica: &row.Git} {
		_, dropped, err := e.o.State.Dropped(ctx, name, row.ID)
		if err != nil {
			return err
		}
		if dropped && *at != Detached {
			*at = Dropped
		}
	}
	return nil
}
