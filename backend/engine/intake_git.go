package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/gitstore"
	"github.com/caiatech/caiatop/backend/state"
	"github.com/caiatech/caiatop/backend/store"
)

const (
	// intakeAttempts is how often one document is compared again because callers
	// write it meanwhile.
	intakeAttempts = 5
	// intakeNamed is how many documents an event about a push names.
	intakeNamed = 3
)

// intake takes over what one commit of others holds, in batches. It belongs to
// the goroutine that writes to git.
type intake struct {
	e      *Engine
	commit string
	from   string // what the index knew of git before, "" if unknown
	ops    []state.Operation
	size   int64 // of the content in ops

	put, deleted, conflicts, unreadable int
	named                               []string
	moved                               map[document.ID]bool // to another folder
	spoilt                              []state.Parked
	healed                              []document.ID
}

// take compares a document that the commit holds with the index.
func (in *intake) take(ctx context.Context, key store.Key) error {
	doc, hash, why, err := in.read(ctx, key)
	if err != nil {
		return err
	}
	row, err := in.lookup(ctx, key.ID)
	if err != nil {
		return err
	}
	if why != nil {
		return in.spoil(ctx, key, row, why)
	}
	known := !row.ID.IsZero()
	if known && row.Folder != key.Folder {
		return in.elsewhere(ctx, key, row, doc, hash)
	}
	if known && !row.Deleted && row.Hash == hash {
		return in.heal(ctx, key.ID)
	}
	ours := false
	if known {
		if ours, err = in.e.pendingOurs(ctx, row); err != nil {
			return err
		}
	}
	switch {
	case !ours:
		expect := row.Hash
		return in.add(ctx, state.Operation{Key: key, Doc: doc, Hash: hash, Origin: gitReplica, Commit: in.commit, Expect: &expect})
	default:
		return in.conflict(ctx, key, row, doc, hash)
	}
}

// read returns the document, or why there is none that can be read.
func (in *intake) read(ctx context.Context, key store.Key) (doc *document.Document, hash document.Hash, why, err error) {
	found, hash, err := in.e.o.Git.Readable(ctx, in.commit, key)
	if err == nil {
		return &found, hash, nil, nil
	}
	if gitstore.Unreadable(err) {
		in.unreadable++
		return nil, hash, err, nil
	}
	return nil, hash, nil, err
}

// lookup is the row of a document, zero if the index does not know it.
func (in *intake) lookup(ctx context.Context, id document.ID) (state.Row, error) {
	row, err := in.e.o.State.Lookup(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return state.Row{}, nil
	}
	return row, local(err)
}

// drop compares a document that the commit does not hold any more.
func (in *intake) drop(ctx context.Context, key store.Key) error {
	row, err := in.lookup(ctx, key.ID)
	if err != nil || row.ID.IsZero() || row.Deleted || row.Folder != key.Folder || in.moved[key.ID] {
		return err
	}
	ours, err := in.e.pendingOurs(ctx, row)
	if err != nil {
		return err
	}
	if ours {
		return in.deletedThere(ctx, row)
	}
	expect := row.Hash
	return in.add(ctx, state.Operation{Key: key, Origin: gitReplica, Expect: &expect})
}

// yieldTo keeps their version of a document at which both histories of a
// branch changed something and ours is taken.
func (in *intake) yieldTo(ctx context.Context, key store.Key) error {
	there, err := in.e.o.Git.Has(ctx, in.commit, key.Folder)
	if err != nil {
		return err
	}
	if !there { // deleted there, changed here: ours stays
		row, err := in.lookup(ctx, key.ID)
		if err != nil || row.ID.IsZero() || row.Deleted {
			return err
		}
		return in.deletedThere(ctx, row)
	}
	doc, hash, why, err := in.read(ctx, key)
	if err != nil {
		return err
	}
	if why != nil { // ours stays, theirs is in the history of the merge
		in.e.tellUnreadable(key.Folder.String(), why)
		return nil
	}
	row, err := in.lookup(ctx, key.ID)
	if err != nil || (!row.ID.IsZero() && row.Hash == hash) {
		return err
	}
	return in.conflict(ctx, key, row, doc, hash)
}

// elsewhere meets a document in another folder than the index has it in. One
// that was moved is written back to where it lay; one that lies twice is left
// alone.
func (in *intake) elsewhere(ctx context.Context, key store.Key, row state.Row, doc *document.Document, hash document.Hash) error {
	own := store.Key{ID: row.ID, Folder: row.Folder}
	there, err := in.e.o.Git.Has(ctx, in.commit, own.Folder)
	if err != nil {
		return err
	}
	if there {
		in.e.tellUnreadable(key.Folder.String(), fmt.Errorf("the document %q lies in %s already", key.ID, row.Folder))
		return nil
	}
	if in.moved == nil {
		in.moved = map[document.ID]bool{}
	}
	in.moved[key.ID] = true
	ours, err := in.e.pendingOurs(ctx, row)
	switch {
	case err != nil:
		return err
	case ours && row.Hash == hash:
		return nil // on its way to where it lay
	case ours:
		return in.conflict(ctx, own, row, doc, hash)
	}
	in.e.tellUnreadable(key.Folder.String(), fmt.Errorf("the document %q was moved there and is kept in %s", key.ID, row.Folder))
	expect := row.Hash
	return in.add(ctx, state.Operation{Key: own, Doc: doc, Hash: hash, Expect: &expect})
}

// add completes an operation and appends the batch when it is full.
func (in *intake) add(ctx context.Context, op state.Operation) error {
	op.OpID, op.At = in.e.o.NewID(), in.e.o.Now()
	in.ops = append(in.ops, op)
	if op.Doc != nil {
		in.size += op.Doc.Content.Size()
	}
	if len(in.ops) >= gitBatchOps || in.size > govcBatchBytes {
		return in.flush(ctx)
	}
	return nil
}

// flush appends the batch. A document that a caller wrote meanwhile refuses it;
// then each is appended by itself, and that one is compared again.
func (in *intake) flush(ctx context.Context) error {
	ops := in.ops
	in.ops, in.size = nil, 0
	if len(ops) == 0 {
		return nil
	}
	in.e.gate.yield(ctx, gitYieldMost)
	err := in.append(ctx, ops)
	if !errors.Is(err, store.ErrConflict) {
		return err
	}
	for _, op := range ops {
		if err := in.appendOne(ctx, op); err != nil {
			return err
		}
	}
	return nil
}

func (in *intake) appendOne(ctx context.Context, op state.Operation) error {
	for range intakeAttempts {
		err := in.append(ctx, []state.Operation{op})
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
		again := &intake{e: in.e, commit: in.commit, from: in.from}
		if op.Doc == nil {
			err = again.drop(ctx, op.Key)
		} else {
			err = again.take(ctx, op.Key)
		}
		in.conflicts += again.conflicts
		if err != nil || len(again.ops) == 0 {
			return err
		}
		op = again.ops[0]
	}
	return local(fmt.Errorf("%w: %q is written faster than it can be compared", store.ErrUnavailable, op.Key.ID))
}

func (in *intake) append(ctx context.Context, ops []state.Operation) error {
	issued, err := in.e.o.State.Append(ctx, ops)
	if errors.Is(err, store.ErrConflict) {
		return err
	}
	if err != nil {
		return local(err)
	}
	in.e.feedMemory(ops, issued)
	in.e.pushedTo.Store(issued[len(issued)-1].Seq)
	in.e.appended()
	for _, op := range ops {
		if op.Doc == nil {
			in.deleted++
		} else {
			in.put++
		}
		if len(in.named) < intakeNamed {
			in.named = append(in.named, fmt.Sprintf("%q", op.Key.ID))
		}
	}
	return nil
}

// numbered is a number and the word that belongs to it.
func numbered(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return number(n) + " " + more
}

// tell says what was taken over, and each file that is no document once.
func (in *intake) tell(others gitstore.Others) {
	if in.put+in.deleted+in.unreadable > 0 {
		text := fmt.Sprintf("Somebody changed git (now commit %s): %s taken over, %s deleted", short(in.commit), numbered(in.put, "document was", "documents were"), number(in.deleted))
		if len(in.named) > 0 {
			text += ": " + strings.Join(in.named, ", ")
			if in.put+in.deleted > len(in.named) {
				text += " and others"
			}
		}
		if in.unreadable > 0 {
			text += fmt.Sprintf("; %s cannot be read as documents", numbered(in.unreadable, "folder", "folders"))
		}
		in.e.event(Info, "inbound", text, "")
	}
	in.e.tellOthers(others)
}

// tellOthers tells of what lies in git and is no document, each name once and
// no more than a few.
func (e *Engine) tellOthers(others gitstore.Others) {
	var fresh []string
	for _, path := range others.Named {
		if _, told := e.strangers[path]; told || len(e.strangers) >= maxStrangers {
			continue
		}
		e.strangers[path] = struct{}{}
		fresh = append(fresh, path)
	}
	if len(fresh) == 0 {
		return
	}
	text := strings.Join(fresh, ", ")
	if more := others.Count - int64(len(fresh)); more > 0 {
		text += fmt.Sprintf(" and %s more", number(more))
	}
	e.event(Info, "git", "Files in git that are no documents are left alone: "+text, "")
}

// maxStrangers bounds the files that are remembered as told.
const maxStrangers = 100
