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

// A conflict is recorded in the transaction that makes the copy, and at the
// service also takes their version over: whatever interrupts it, either nothing
// was done, and the comparison is made again, or all of it was.

// kindConflict is the kind of events about conflicts.
const kindConflict = "conflict"

// appendOwn appends operations of the engine's own. One whose document is not what
// it expects makes the error wrap store.ErrConflict, and nothing is appended.
func (e *Engine) appendOwn(ctx context.Context, ops ...state.Operation) error {
	issued, err := e.o.State.Append(ctx, ops)
	if errors.Is(err, store.ErrConflict) {
		return err
	}
	if err != nil {
		return local(err)
	}
	e.feedMemory(ops, issued)
	e.appended()
	return nil
}

// conflict keeps both versions of a document that was changed at the service as
// well: theirs keeps the place, ours goes on as a copy whose identity carries the
// operation's, so that a second replay finds it and stops. A caller who wrote
// meanwhile is compared by the next round.
func (e *Engine) conflict(ctx context.Context, w wanted, op store.Op, theirs document.Document) error {
	hash, err := theirs.Hash()
	if err != nil {
		return local(err)
	}
	mark := w.newest.OpID
	switch {
	case mark != "":
	case op.Doc != nil: // from a snapshot: the version names itself
		mark = markOf(w.newest.Hash)
	default:
		mark = markOf(hash)
	}
	c := state.Conflict{
		ID: op.Key.ID, Copy: op.Doc != nil, Kept: string(Ours), Where: primaryReplica, OpID: w.newest.OpID,
		Base: w.base, Ours: w.newest.Hash, Theirs: hash, At: e.o.Now(),
	}
	if c.Name, err = conflictID(op.Key.ID, mark); err != nil {
		return local(err)
	}
	c.Author, c.Commit = e.whoWroteThere(ctx, op.Key)
	their := state.Operation{
		OpID: e.o.NewID(), Key: op.Key, Doc: &theirs, Hash: hash, At: e.o.Now(), Origin: primaryReplica, Expect: &w.newest.Hash, Conflict: &c,
	}
	if op.Doc == nil {
		c.Deleted = string(Ours) // modify beats delete
		err := e.appendOwn(ctx, their)
		if err == nil {
			e.noteConflict(w, MetConflict{ID: c.ID})
			e.tellConflict(c, fmt.Sprintf("%q was changed at govc after it was deleted here: their version stays", c.ID))
		}
		return withoutConflict(err)
	}
	made, err := e.copyOf(ctx, c.Name, *op.Doc)
	if err != nil {
		return err
	}
	ops := []state.Operation{their}
	if made != nil {
		ops = []state.Operation{*made, their}
	}
	err = e.appendOwn(ctx, ops...)
	if errors.Is(err, store.ErrConflict) && made != nil {
		// Our version leaves the place to the one that a caller wrote meanwhile,
		// and may be in no other document.
		made.Conflict = &c
		err = e.appendOwn(ctx, *made)
	}
	if err == nil {
		e.noteConflict(w, MetConflict{ID: c.ID, Copy: c.Name})
		e.tellConflict(c, fmt.Sprintf("%q was changed at govc too: their version keeps the place, ours is kept as %q", c.ID, c.Name))
	}
	return withoutConflict(err)
}

// withoutConflict passes over a document that somebody wrote meanwhile.
func withoutConflict(err error) error {
	if errors.Is(err, store.ErrConflict) {
		return nil
	}
	return err
}

// tellConflict counts a conflict and says what to do about it.
func (e *Engine) tellConflict(c state.Conflict, text string) {
	e.conflicts.Add(1)
	if e.o.State.Summary().Conflicts >= state.MaxConflicts {
		e.overConflicts()
	}
	e.event(Warning, kindConflict, text, fmt.Sprintf("Compare the two with: caiatop conflicts show %q, and choose with: caiatop conflicts resolve", c.Name))
}

// overConflicts makes the next start look for the copies that are not recorded
// now.
func (e *Engine) overConflicts() {
	ctx, cancel := context.WithTimeout(context.Background(), second)
	defer cancel()
	if err := e.o.State.SetMeta(ctx, metaConflicts, ""); err != nil {
		e.setReplicaError("events", fmt.Errorf("that conflicts are to be looked for again was not recorded: %w", err))
	}
	e.trouble(Error, kindConflict, fmt.Sprintf("%d conflicts are open: further ones are kept as copies and not listed", state.MaxConflicts),
		"Settle some (caiatop conflicts list), then start caiatop again: it lists the copies that it finds")
}

// copyOf is the operation that keeps a version of a document as a copy, nil if
// the copy is there. One that was deleted is made again: this version would be
// in no document.
func (e *Engine) copyOf(ctx context.Context, name document.ID, version document.Document) (*state.Operation, error) {
	row, err := e.o.State.Lookup(ctx, name)
	if err == nil && !row.Deleted {
		return nil, nil
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, local(err)
	}
	kept := version.Clone()
	kept.ID = name
	hash, err := kept.Hash()
	if err != nil {
		return nil, local(err)
	}
	return &state.Operation{
		OpID: e.o.NewID(), Key: store.NewKey(e.o.Layout, kept), Doc: &kept, Hash: hash, At: e.o.Now(), Expect: &document.Hash{},
	}, nil
}

// whoWroteThere is the author and the commit of the newest version at the
// service, "" where it cannot tell. It asks a few times a minute only: after a
// long outage there may be very many conflicts.
func (e *Engine) whoWroteThere(ctx context.Context, key store.Key) (author, commit string) {
	if ask, _ := e.asked.admit(e.o.Now()); !ask {
		return "", ""
	}
	ctx, cancel := context.WithTimeout(ctx, readShare)
	defer cancel()
	revisions, err := e.o.Primary.History(ctx, key, 1)
	if err != nil || len(revisions) == 0 {
		return "", "" // unknown, and said so: nothing depends on it
	}
	return revisions[0].Author.Name, revisions[0].Commit
}

// conflict keeps both versions of a document that was changed here, too: ours
// keeps the place and is committed on top, theirs goes on as a copy. Modify
// beats delete.
func (in *intake) conflict(ctx context.Context, key store.Key, row state.Row, theirs *document.Document, hash document.Hash) error {
	c, err := in.record(ctx, key, row, markOf(hash))
	if err != nil {
		return err
	}
	c.Theirs = hash
	if row.Deleted || row.ID.IsZero() {
		c.Kept, c.Deleted = string(Ours), string(Ours)
		in.conflicts++
		in.e.tellConflict(c, fmt.Sprintf("%q was changed in git after it was deleted here: their version stays", key.ID))
		// Our own operation: git is to get it back after our delete.
		return in.add(ctx, state.Operation{Key: key, Doc: theirs, Hash: hash, Expect: &document.Hash{}, Conflict: &c})
	}
	c.Kept, c.Copy = string(Theirs), true
	known, err := in.e.o.State.Conflict(ctx, c.Name)
	if err == nil && known.Commit == in.commit {
		return nil // an earlier attempt made it
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return local(err)
	}
	made, err := in.e.copyOf(ctx, c.Name, *theirs)
	if err != nil || made == nil {
		return err
	}
	made.Conflict = &c
	if err := in.e.appendOwn(ctx, *made); err != nil {
		return withoutConflict(err) // somebody wrote a document of that name
	}
	in.conflicts++
	in.e.tellConflict(c, fmt.Sprintf("%q was changed in git too: our version keeps the place, theirs is kept as %q", key.ID, c.Name))
	return nil
}

// deletedThere records that a document was deleted in git after it was changed
// here, once for each commit that is taken over.
func (in *intake) deletedThere(ctx context.Context, row state.Row) error {
	c, err := in.record(ctx, store.Key{ID: row.ID, Folder: row.Folder}, row, in.commit[:markLength])
	if err != nil {
		return err
	}
	c.Kept, c.Deleted = string(Theirs), string(Theirs)
	fresh, err := in.e.o.State.RecordConflicts(ctx, []state.Conflict{c})
	if err != nil {
		return local(err)
	}
	if fresh > 0 {
		in.conflicts++
		in.e.tellConflict(c, fmt.Sprintf("%q was deleted in git after it was changed here: our version stays", row.ID))
	}
	return nil
}

// record is what is known of a conflict with what was pushed.
func (in *intake) record(ctx context.Context, key store.Key, row state.Row, mark string) (state.Conflict, error) {
	c := state.Conflict{ID: key.ID, Where: gitReplica, Ours: row.Hash, Commit: in.commit, At: in.e.o.Now()}
	var err error
	if c.Name, err = conflictID(key.ID, mark); err != nil {
		return c, local(err)
	}
	newest, found, err := in.e.o.State.Newest(ctx, key.ID)
	if err != nil {
		return c, local(err)
	}
	if found {
		c.OpID = newest.OpID
	}
	// Both are unknown where git cannot tell, and nothing depends on them.
	if in.from != "" {
		if _, base, err := in.e.o.Git.Readable(ctx, in.from, key); err == nil {
			c.Base = base
		}
	}
	if revisions, err := in.e.o.Git.History(ctx, key, 1); err == nil && len(revisions) > 0 {
		c.Author = revisions[0].Author.Name
	}
	return c, ctx.Err()
}

// markLength is how many digits of a hash mark a copy that no operation marks.
const markLength = 12

func markOf(h document.Hash) string { return h.String()[:markLength] }

// conflictID names the copy of a document that keeps one side of a conflict.
func conflictID(id document.ID, mark string) (document.ID, error) {
	suffix := state.CopyMark + mark
	base := id.String()
	if most := document.MaxID - len(suffix); len(base) > most {
		digest := document.ShortHash(base)
		base = strings.ToValidUTF8(base[:most-len(digest)-1], "") + "-" + digest
	}
	return document.ParseID(base + suffix)
}
