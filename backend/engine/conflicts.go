package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/state"
	"github.com/caiatech/caiatop/backend/store"
	"github.com/caiatech/caiatop/probe"
)

// Side is one of the two that changed a document.
type Side string

// The sides of a conflict.
const (
	Ours        Side = "ours"   // callers of this engine
	Theirs      Side = "theirs" // whoever else writes to the service, or pushes to git
	UnknownSide Side = ""
)

// Conflict is a document that was changed here and elsewhere, while neither
// side knew of the other. What one side made holds the place of the document;
// what the other one made is a copy, a document of its own, or was a delete.
type Conflict struct {
	// Name is that of the copy, or what it would be. Nothing else has it.
	Name document.ID
	ID   document.ID // of the document, zero if unknown: its name was cut to fit
	Copy bool        // there is a copy; else the other side is a delete
	// Kept is the side that does not hold the place, Deleted the one that is a
	// delete. UnknownSide of Kept: a copy of earlier versions of caiatop that does not
	// tell.
	Kept, Deleted Side
	// Where both sides met: govc or git, "" if unknown.
	Where probe.Store
	OpID  string // of our change, "" if unknown
	// Base is the version that both come from; Ours and Theirs are those that
	// met. Each is zero if unknown, or if there was none.
	Base, Ours, Theirs document.Hash
	// Author and Commit are those of their version, "" if unknown. Unsanitised.
	Author, Commit string
	At             time.Time // when it was found, zero if unknown
	// How it was settled, "" while it is open: a Choice, or "removed" if its copy
	// was deleted.
	How       string
	SettledAt time.Time
}

// Open reports whether nobody has settled it.
func (c Conflict) Open() bool { return c.How == "" }

// Dispute is a conflict with what both sides hold now.
type Dispute struct {
	Conflict
	// Place is what holds the document's place, nil if that was deleted. Other is
	// the other side with the id of the document, nil if that is a delete, or if
	// the conflict is settled and its copy gone.
	Place, Other *document.Document
	// Base is what both come from, nil if git does not have it; then NoBase says
	// why.
	Base   *document.Document
	NoBase string
	// Moved: the place holds another version than the one that met ours.
	Moved bool
	// Seen names what was shown: a resolution is refused once something else is
	// there.
	Seen string

	place, other document.Hash // as the index has them
	otherFolder  document.Path // of the copy
}

// Sides returns both versions, nil for a delete. known is false if it is not
// known which is which: then ours is what holds the place.
func (d Dispute) Sides() (ours, theirs *document.Document, known bool) {
	switch d.Kept {
	case Ours:
		return d.Other, d.Place, true
	case Theirs:
		return d.Place, d.Other, true
	}
	return d.Place, d.Other, false
}

// Conflicts lists conflicts, the newest first: those that are open, or all that
// are remembered. total is how many there are. Limit 0 means 100, the most is
// 1,000.
func (e *Engine) Conflicts(ctx context.Context, all bool, offset, limit int) (list []Conflict, total int64, err error) {
	if err := e.awaitConflicts(ctx); err != nil {
		return nil, 0, fmt.Errorf("list the conflicts: %w", err)
	}
	if limit == 0 {
		limit = 100
	}
	found, total, err := e.o.State.Conflicts(ctx, all, offset, min(max(limit, 1), 1000))
	if err != nil {
		return nil, 0, fmt.Errorf("list the conflicts: %w", err)
	}
	for _, c := range found {
		list = append(list, conflictOf(c))
	}
	return list, total, nil
}

func conflictOf(c state.Conflict) Conflict {
	return Conflict{
		Name: c.Name, ID: c.ID, Copy: c.Copy, Kept: Side(c.Kept), Deleted: Side(c.Deleted), Where: probe.Store(c.Where), OpID: c.OpID,
		Base: c.Base, Ours: c.Ours, Theirs: c.Theirs, Author: c.Author, Commit: c.Commit, At: c.At, How: c.How, SettledAt: c.SettledAt,
	}
}

// Conflict returns a conflict with both sides as they are now, read anew, so
// that what others wrote to the service meanwhile is noticed. It is named by its
// name, or by the id of its document if only one is open about that. Errors
// wrap store.ErrNotFound if there is none, document.ErrInvalid if there are
// several, and store.ErrUnavailable if a side cannot be read now.
func (e *Engine) Conflict(ctx context.Context, name document.ID) (Dispute, error) {
	d, err := e.dispute(ctx, name)
	if err != nil {
		return Dispute{}, fmt.Errorf("conflict %q: %w", name, err)
	}
	d.Base, d.NoBase = e.baseOf(ctx, d.Conflict)
	return d, ctx.Err()
}

// dispute is Conflict without the base.
func (e *Engine) dispute(ctx context.Context, name document.ID) (Dispute, error) {
	if err := e.awaitConflicts(ctx); err != nil {
		return Dispute{}, err
	}
	found, err := e.findConflict(ctx, name)
	if err != nil {
		return Dispute{}, err
	}
	d := Dispute{Conflict: conflictOf(found)}
	if !d.ID.IsZero() {
		if d.Place, d.place, _, err = e.side(ctx, d.ID); err != nil {
			return Dispute{}, err
		}
	}
	if d.Copy {
		if d.Other, d.other, d.otherFolder, err = e.side(ctx, d.Name); err != nil {
			return Dispute{}, err
		}
	}
	if d.Other != nil && !d.ID.IsZero() {
		d.Other.ID = d.ID
	}
	if was, known := d.met(); known {
		d.Moved = d.Open() && was != d.place
	}
	d.Seen = seen(d.place, d.other)
	return d, nil
}

// met is the version that held the place when the conflict was found.
func (c Conflict) met() (document.Hash, bool) {
	switch c.Kept {
	case Ours:
		return c.Theirs, !c.Theirs.IsZero()
	case Theirs:
		return c.Ours, !c.Ours.IsZero()
	}
	return document.Hash{}, false
}

// seen stands for what both sides held.
func seen(place, other document.Hash) string {
	sum := sha256.Sum256(append(place[:], other[:]...))
	return hex.EncodeToString(sum[:8])
}

// side reads one side, nil if that is deleted.
func (e *Engine) side(ctx context.Context, id document.ID) (*document.Document, document.Hash, document.Path, error) {
	found, err := e.Get(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, document.Hash{}, document.Path{}, nil
	}
	if err != nil {
		return nil, document.Hash{}, document.Path{}, err
	}
	return &found.Document, found.Hash, found.Folder, nil
}

// namedConflicts is how many conflicts about one document an error names.
const namedConflicts = 5

// findConflict finds a conflict by its name, or by its document.
func (e *Engine) findConflict(ctx context.Context, name document.ID) (state.Conflict, error) {
	c, err := e.o.State.Conflict(ctx, name)
	if !errors.Is(err, store.ErrNotFound) {
		return c, err
	}
	about, err := e.o.State.ConflictsOf(ctx, name)
	switch {
	case err != nil:
		return state.Conflict{}, err
	case len(about) == 0:
		return state.Conflict{}, fmt.Errorf("%w: there is none of that name, and none open about a document of that id", store.ErrNotFound)
	case len(about) > 1:
		var names []string
		for _, c := range about[:min(len(about), namedConflicts)] {
			names = append(names, c.Name.String())
		}
		return state.Conflict{}, fmt.Errorf("%w: several are open about that document, name one of them: %s", document.ErrInvalid, strings.Join(names, ", "))
	}
	return about[0], nil
}

// baseOf finds the version that both sides come from in git's history, or says
// why it is not there.
func (e *Engine) baseOf(ctx context.Context, c Conflict) (*document.Document, string) {
	switch {
	case c.ID.IsZero():
		return nil, "it is not known which document this is about"
	case c.Base.IsZero():
		return nil, "what both sides come from is not known, or there was nothing"
	}
	ctx, cancel := context.WithTimeout(ctx, e.o.Budget/2)
	defer cancel()
	doc, err := e.pastVersion(ctx, c.ID, c.Base)
	if err != nil {
		return nil, "git does not have what both sides come from: " + err.Error()
	}
	return &doc, ""
}

// pastVersion finds a version of a document, also of one that is deleted, among
// its newest revisions in git.
func (e *Engine) pastVersion(ctx context.Context, id document.ID, hash document.Hash) (document.Document, error) {
	row, err := e.everKnown(ctx, id)
	if err != nil {
		return document.Document{}, err
	}
	key := store.Key{ID: row.ID, Folder: row.Folder}
	revisions, err := e.o.Git.History(ctx, key, earlierVersions)
	if err != nil {
		return document.Document{}, e.unavailable(ctx, err)
	}
	for _, r := range revisions {
		if r.Deleted {
			continue
		}
		doc, err := e.o.Git.GetAt(ctx, r.Commit, key)
		if ctx.Err() != nil {
			return document.Document{}, ctx.Err()
		}
		if err == nil && matches(doc, hash) == nil { // one that cannot be read is not it
			return doc, nil
		}
	}
	return document.Document{}, fmt.Errorf("version %.12s of %q: %w among its newest %d revisions", hash, id, store.ErrNotFound, len(revisions))
}

// disputed reports whether a document is one side of an open conflict, and where
// the two met if it holds the place.
func (e *Engine) disputed(ctx context.Context, id document.ID) (disputed bool, met []string, err error) {
	list, err := e.o.State.ConflictsOf(ctx, id)
	for _, c := range list {
		if c.ID == id {
			met = append(met, c.Where)
		}
	}
	return len(list) > 0, met, err
}

// markDisputed shows in a row that the document is one side of a conflict, and
// at which store the two met.
func (e *Engine) markDisputed(ctx context.Context, row *Row) (err error) {
	var met []string
	if row.Conflict, met, err = e.disputed(ctx, row.ID); err != nil {
		return err
	}
	for _, where := range met {
		at := &row.Govc
		if where == gitReplica || row.Govc == Detached {
			at = &row.Git
		}
		if *at == InStep {
			*at = Disputed
		}
	}
	return nil
}
