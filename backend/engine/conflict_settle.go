package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/state"
	"github.com/caiatech/caiatop/backend/store"
	"github.com/caiatech/caiatop/probe"
)

// Choice is how a conflict is settled.
type Choice string

// The choices. Where nobody knows which side is ours, ChoosePlace and ChooseCopy
// say it by where the versions are.
const (
	ChooseOurs   Choice = "ours"
	ChooseTheirs Choice = "theirs"
	ChooseBoth   Choice = "both" // the copy stays, as a document like any other
	ChooseEdit   Choice = "edit" // a third version
	ChoosePlace  Choice = "place"
	ChooseCopy   Choice = "copy"
)

// Choices are all of them.
var Choices = []Choice{ChooseOurs, ChooseTheirs, ChooseBoth, ChooseEdit, ChoosePlace, ChooseCopy}

// Resolution says how a conflict is to be settled.
type Resolution struct {
	Choice Choice
	// Seen is that of the Dispute that was shown. Once one of the sides is
	// another one, nothing is done and the error is a *ConflictError.
	Seen string
	// Edited is the third version, for ChooseEdit, under the document's id.
	Edited *document.Document
	// As is a new id for the copy, for ChooseBoth; zero leaves it its own.
	As document.ID
}

// settling is what a resolution comes to.
type settling struct {
	state.Settlement
	ops []state.Operation
}

// Resolve settles a conflict: what is chosen gets the document's place, and the
// copy is removed, in one transaction and as operations like any others, so that
// stores which are away get them later.
//
// Errors wrap store.ErrNotFound, store.ErrConflict (settled already, or a side
// changed; then it is a *ConflictError), document.ErrInvalid for a choice that
// this conflict does not leave, and those of Put. Then nothing was done.
func (e *Engine) Resolve(ctx context.Context, name document.ID, r Resolution) (Ack, error) {
	started := e.o.Now()
	s, ack, err := e.resolve(ctx, name, r)
	e.observeSettled(s, started, err)
	if err != nil {
		return Ack{}, fmt.Errorf("resolve the conflict %q: %w", name, err)
	}
	e.event(Info, kindConflict, fmt.Sprintf("The conflict %q was settled: %s", s.Name, s.How), "")
	return ack, nil
}

// observeSettled measures the writes of a settlement, if it came to that.
func (e *Engine) observeSettled(s settling, started time.Time, err error) {
	if len(s.ops) > 0 && !errors.Is(err, store.ErrConflict) {
		e.observe(probe.Write, started, len(s.ops), err)
	}
}

func (e *Engine) resolve(ctx context.Context, name document.ID, r Resolution) (settling, Ack, error) {
	if err := e.mayResolve(ctx, r); err != nil {
		return settling{}, Ack{}, err
	}
	d, err := e.dispute(ctx, name)
	switch {
	case err != nil:
		return settling{}, Ack{}, err
	case !d.Open():
		return settling{}, Ack{}, fmt.Errorf("%w: it is settled already (%s)", store.ErrConflict, d.How)
	case d.Seen != r.Seen:
		return settling{}, Ack{}, &ConflictError{d.subject()}
	}
	s, err := e.plan(ctx, d, r)
	if err != nil {
		return settling{}, Ack{}, err
	}
	ack, err := e.settle(ctx, s)
	if errors.Is(err, store.ErrConflict) {
		err = &ConflictError{d.subject()} // written between the look and the transaction
	}
	return s, ack, err
}

func (e *Engine) mayResolve(ctx context.Context, r Resolution) error {
	if err := e.admit(ctx, 1); err != nil {
		return err
	}
	if r.Seen == "" {
		return fmt.Errorf("%w: it does not say what was seen of the conflict", document.ErrInvalid)
	}
	return e.awaitAdopted(ctx)
}

// subject is the document that a conflict is about, or what is known of it.
func (c Conflict) subject() document.ID {
	if c.ID.IsZero() {
		return c.Name
	}
	return c.ID
}

// settle appends what a settlement comes to, as an acknowledged write.
func (e *Engine) settle(ctx context.Context, s settling) (Ack, error) {
	enter := func(ctx context.Context, ops []state.Operation) ([]state.Issued, error) {
		return e.o.State.Settle(ctx, s.Settlement, ops)
	}
	if len(s.ops) > 0 {
		return e.commitBy(ctx, s.ops, enter)
	}
	// What was chosen is there already.
	_, err := enter(ctx, nil)
	e.noteAppend(ctx, err)
	e.touch()
	return Ack{Durability: Local}, err
}

// plan makes the operations of a resolution.
func (e *Engine) plan(ctx context.Context, d Dispute, r Resolution) (settling, error) {
	now := e.o.Now().UTC()
	s := settling{Settlement: state.Settlement{
		Name: d.Name, How: string(r.Choice), At: now, PlaceBefore: d.place, PlaceAfter: d.place, CopyBefore: d.other,
	}}
	if (r.Edited != nil) != (r.Choice == ChooseEdit) || (!r.As.IsZero() && r.Choice != ChooseBoth) {
		return s, fmt.Errorf("%w: a document belongs to the choice edit, and a new id to both", document.ErrInvalid)
	}
	if r.Edited != nil && r.Edited.ID != d.ID {
		return s, fmt.Errorf("%w: the third version is one of %q, and the conflict is about %q", document.ErrInvalid, r.Edited.ID, d.subject())
	}
	choice, err := d.choose(r.Choice)
	if err != nil {
		return s, err
	}
	if choice == ChooseBoth {
		return s, e.planBoth(ctx, &s, d, r.As)
	}
	if d.other != (document.Hash{}) {
		s.ops = append(s.ops, e.removal(d, now))
	}
	switch {
	case choice == ChoosePlace:
		if !d.ID.IsZero() {
			s.Unchanged = append(s.Unchanged, state.Version{ID: d.ID, Hash: d.place})
		}
	case choice == ChooseCopy && d.Other == nil && d.Place == nil: // both are deletes
	case choice == ChooseCopy && d.Other == nil:
		row, err := e.o.State.Lookup(ctx, d.ID)
		if err != nil {
			return s, err
		}
		s.PlaceAfter = document.Hash{}
		s.ops = append(s.ops, state.Operation{
			OpID: e.o.NewID(), Key: store.Key{ID: d.ID, Folder: row.Folder}, At: now, Expect: &d.place,
		})
	default:
		version, whole := d.Other, true
		if choice == ChooseEdit {
			// One that was read as a whole is written as it is, see Replace.
			version, whole = r.Edited, !r.Edited.UpdatedAt.IsZero()
		}
		op, err := e.operation(ctx, *version, now, whole)
		if err != nil {
			return s, err
		}
		op.Expect, s.PlaceAfter = &d.place, op.Hash
		s.ops = append([]state.Operation{op}, s.ops...)
	}
	return s, nil
}

// choose checks a choice, and turns it into one of place, copy, both and edit.
func (d Dispute) choose(c Choice) (Choice, error) {
	side := map[Choice]Side{ChooseOurs: Ours, ChooseTheirs: Theirs}[c]
	switch {
	case side != UnknownSide && d.Kept == UnknownSide:
		return c, fmt.Errorf("%w: nobody knows any more which side is ours: choose place (the document as it is) or copy", document.ErrInvalid)
	case side != UnknownSide && side == d.Kept:
		c = ChooseCopy
	case side != UnknownSide:
		c = ChoosePlace
	}
	switch {
	case c == ChooseBoth && !d.Copy:
		return c, fmt.Errorf("%w: one side is a delete, so there are not two versions to keep", document.ErrInvalid)
	case c == ChooseBoth && d.Other == nil, c == ChooseCopy && d.Copy && d.Other == nil:
		return c, fmt.Errorf("%w: the copy is gone", document.ErrInvalid)
	case d.ID.IsZero() && (c == ChooseCopy || c == ChooseEdit):
		return c, fmt.Errorf("%w: it is not known which document the copy belongs to: read it (caiatop get), put what is to stay where it belongs, and choose place to remove the copy, or both to keep it", document.ErrInvalid)
	case c == ChoosePlace || c == ChooseCopy || c == ChooseBoth || c == ChooseEdit:
		return c, nil
	}
	return c, fmt.Errorf("%w: the choice %q is none of %v", document.ErrInvalid, c, Choices)
}

// removal deletes the copy that was seen.
func (e *Engine) removal(d Dispute, now time.Time) state.Operation {
	return state.Operation{OpID: e.o.NewID(), Key: store.Key{ID: d.Name, Folder: d.otherFolder}, At: now, Expect: &d.other}
}

// planBoth leaves both versions, the copy under another id if it is to have one.
func (e *Engine) planBoth(ctx context.Context, s *settling, d Dispute, as document.ID) error {
	if !d.ID.IsZero() {
		s.Unchanged = append(s.Unchanged, state.Version{ID: d.ID, Hash: d.place})
	}
	if as.IsZero() || as == d.Name {
		s.Unchanged = append(s.Unchanged, state.Version{ID: d.Name, Hash: d.other})
		return nil
	}
	moved := d.Other.Clone()
	moved.ID = as
	op, err := e.operation(ctx, moved, s.At, true)
	if err != nil {
		return err
	}
	if row, err := e.o.State.Lookup(ctx, as); err == nil && !row.Deleted {
		return fmt.Errorf("%w: %q is a document already, choose another id", document.ErrInvalid, as)
	}
	op.Expect = &document.Hash{}
	s.ops = append(s.ops, op, e.removal(d, s.At))
	return nil
}

// Reopen takes a settlement back: the document is again what it was before, and
// the copy comes back, in one transaction. A document that Resolve made of the
// copy under another id stays. The error is a *ConflictError if the document was
// changed since, and wraps store.ErrConflict if the conflict is open.
func (e *Engine) Reopen(ctx context.Context, name document.ID) (Ack, error) {
	started := e.o.Now()
	s, ack, err := e.reopen(ctx, name)
	e.observeSettled(s, started, err)
	if err != nil {
		return Ack{}, fmt.Errorf("reopen the conflict %q: %w", name, err)
	}
	e.event(Info, kindConflict, fmt.Sprintf("The conflict %q is open again", s.Name), "")
	return ack, nil
}

func (e *Engine) reopen(ctx context.Context, name document.ID) (s settling, ack Ack, err error) {
	if err := e.admit(ctx, 1); err != nil {
		return s, Ack{}, err
	}
	if err := e.awaitConflicts(ctx); err != nil {
		return s, Ack{}, err
	}
	c, err := e.o.State.Conflict(ctx, name)
	if err != nil {
		return s, Ack{}, err
	}
	if c.How == "" {
		return s, Ack{}, fmt.Errorf("%w: it is open", store.ErrConflict)
	}
	s.Settlement = state.Settlement{Name: c.Name, From: c.How, At: e.o.Now().UTC()}
	if err := e.planPlaceBack(ctx, &s, c); err != nil {
		return s, Ack{}, err
	}
	if c.Copy {
		if err := e.planBack(ctx, &s, c.Name, c.CopyBefore); err != nil {
			return s, Ack{}, err
		}
	}
	ack, err = e.settle(ctx, s)
	if errors.Is(err, store.ErrConflict) {
		err = &ConflictError{conflictOf(c).subject()}
	}
	return s, ack, err
}

// planPlaceBack gives the document back what a settlement took from it.
func (e *Engine) planPlaceBack(ctx context.Context, s *settling, c state.Conflict) error {
	switch {
	case c.ID.IsZero(), c.How == state.HowRemoved && c.Copy:
		return nil
	case c.How == state.HowRemoved: // the delete of the document settled it
		return e.planBack(ctx, s, c.ID, document.Hash{})
	case c.PlaceBefore == c.PlaceAfter:
		return nil
	}
	if c.PlaceBefore.IsZero() {
		row, err := e.o.State.Lookup(ctx, c.ID)
		if errors.Is(err, store.ErrNotFound) {
			return &ConflictError{c.ID}
		}
		if err != nil {
			return err
		}
		s.ops = append(s.ops, state.Operation{
			OpID: e.o.NewID(), Key: store.Key{ID: c.ID, Folder: row.Folder}, At: s.At, Expect: &c.PlaceAfter,
		})
		return nil
	}
	return e.planVersion(ctx, s, c.ID, c.PlaceBefore, c.PlaceAfter)
}

// planBack brings back a document that is deleted, as the version of that hash,
// or as the one before the delete. One that is there stays as it is.
func (e *Engine) planBack(ctx context.Context, s *settling, id document.ID, hash document.Hash) error {
	row, err := e.o.State.Lookup(ctx, id)
	if err == nil && !row.Deleted {
		s.Unchanged = append(s.Unchanged, state.Version{ID: id, Hash: row.Hash})
		return nil
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if !hash.IsZero() {
		return e.planVersion(ctx, s, id, hash, document.Hash{})
	}
	change, err := e.Undo(ctx, id)
	if err != nil {
		return err
	}
	if change.Before == nil {
		return fmt.Errorf("%w: git does not hold %q any more", store.ErrUnavailable, id)
	}
	return e.planPut(ctx, s, *change.Before, document.Hash{})
}

// planVersion writes an earlier version of a document over the one of the hash
// over, zero for none.
func (e *Engine) planVersion(ctx context.Context, s *settling, id document.ID, hash, over document.Hash) error {
	if _, err := e.inGit(ctx, id); err != nil { // its delete may be on the way
		return err
	}
	doc, err := e.pastVersion(ctx, id, hash)
	if errors.Is(err, store.ErrNotFound) {
		err = fmt.Errorf("%w: git does not hold version %.12s of %q any more", store.ErrUnavailable, hash, id)
	}
	if err != nil {
		return err
	}
	return e.planPut(ctx, s, doc, over)
}

func (e *Engine) planPut(ctx context.Context, s *settling, doc document.Document, over document.Hash) error {
	op, err := e.operation(ctx, doc, s.At, true)
	if err != nil {
		return err
	}
	op.Expect = &over
	s.ops = append(s.ops, op)
	return nil
}
