package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/state"
	"github.com/caiatech/caiatop/backend/store"
)

// conflict keeps both versions: theirs keeps the place, ours goes on as a copy
// whose identity carries the operation's, so that a second replay finds it and
// stops. A caller who wrote meanwhile is compared by the next round.
func (e *Engine) conflict(ctx context.Context, w wanted, op store.Op, theirs document.Document) error {
	if op.Doc == nil {
		// Modify beats delete.
		err := e.inbound(ctx, op.Key, &theirs, primaryReplica, document.Hash{})
		if errors.Is(err, store.ErrConflict) {
			return nil
		}
		if err == nil {
			e.noteConflict(w, Conflict{ID: op.Key.ID})
			e.event(Warning, "conflict", fmt.Sprintf("%q was changed at govc after it was deleted here: their version stays", op.Key.ID),
				fmt.Sprintf("Read %q; delete it again if it is not wanted. Ours is in its history (caiatop history)", op.Key.ID))
			e.conflicts.Add(1)
		}
		return err
	}
	copyID, err := e.keepCopy(ctx, w, op)
	if err != nil {
		return err
	}
	err = e.inbound(ctx, op.Key, &theirs, primaryReplica, w.newest.Hash)
	if err != nil && !errors.Is(err, store.ErrConflict) {
		return err
	}
	e.noteConflict(w, Conflict{ID: op.Key.ID, Copy: copyID})
	e.event(Warning, "conflict", fmt.Sprintf("%q was changed at govc too: their version keeps the place, ours is kept as %q", op.Key.ID, copyID),
		fmt.Sprintf("Compare the two, put into %q what is to stay, and delete %q", op.Key.ID, copyID))
	e.conflicts.Add(1)
	return nil
}

// keepCopy makes the conflict copy of our version, unless it is there.
func (e *Engine) keepCopy(ctx context.Context, w wanted, op store.Op) (document.ID, error) {
	mark := w.newest.OpID
	if mark == "" { // from a snapshot: the version names itself
		mark = w.newest.Hash.String()[:12]
	}
	copyID, err := conflictID(op.Key.ID, mark)
	if err != nil {
		return document.ID{}, local(err)
	}
	if _, err := e.o.State.Lookup(ctx, copyID); !errors.Is(err, store.ErrNotFound) {
		return copyID, local(err)
	}
	ours := op.Doc.Clone()
	ours.ID = copyID
	hash, err := ours.Hash()
	if err != nil {
		return document.ID{}, local(err)
	}
	_, err = e.o.State.Append(ctx, []state.Operation{{
		OpID: e.o.NewID(), Key: store.NewKey(e.o.Layout, ours), Doc: &ours, Hash: hash, At: e.o.Now(),
	}})
	if err != nil {
		return document.ID{}, local(err)
	}
	e.appended()
	return copyID, nil
}

// conflictID names the copy of a document that keeps our version.
func conflictID(id document.ID, mark string) (document.ID, error) {
	suffix := ".conflict-" + mark
	base := id.String()
	if most := document.MaxID - len(suffix); len(base) > most {
		digest := document.ShortHash(base)
		base = strings.ToValidUTF8(base[:most-len(digest)-1], "") + "-" + digest
	}
	return document.ParseID(base + suffix)
}

// maxCollided bounds the conflicts that are remembered for those who wait for the
// acknowledgement of what met them.
const maxCollided = 4096

// collision is the newest conflict about a document, and the operations that it
// was about: those after and up to through.
type collision struct {
	Conflict
	after, through int64
}

// noteConflict remembers a conflict for whoever waits for the operation.
func (e *Engine) noteConflict(w wanted, c Conflict) {
	after := e.govcMark.now()
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, known := e.collided[c.ID]; !known && len(e.collided) >= maxCollided {
		for other := range e.collided {
			delete(e.collided, other)
			break
		}
	}
	e.collided[c.ID] = collision{c, after, w.newest.Seq}
}

// conflictsOf returns the conflicts that these operations met at the primary.
func (e *Engine) conflictsOf(ops []state.Operation, issued []state.Issued) (met []Conflict) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i, op := range ops {
		c, known := e.collided[op.Key.ID]
		if known && c.after < issued[i].Seq && issued[i].Seq <= c.through {
			met = append(met, c.Conflict)
		}
	}
	return met
}
