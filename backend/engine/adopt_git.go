package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/gitstore"
	"github.com/caiatech/caiatop/backend/state"
	"github.com/caiatech/caiatop/backend/store"
)

// adoptGit fills the index of a new state from the documents that git holds.
// It may be interrupted and begun again.
func (e *Engine) adoptGit(ctx context.Context) error {
	started := e.o.Now()
	if err := e.wholeBranch(ctx); err != nil {
		return err
	}
	// One commit is taken over as a whole; what is pushed meanwhile comes later.
	tip, err := e.o.Git.Look(ctx)
	if err != nil {
		return err
	}
	a := &adoption{e: e, tip: tip}
	// A document may lie in git twice, because somebody moved it: then the one
	// that we write is where the layout has it, and the other one is old.
	err = a.pass(ctx, true)
	if err == nil && a.elsewhere {
		err = a.pass(ctx, false)
	}
	if err != nil {
		return err
	}
	if tip != "" {
		if err := e.buryDeleted(ctx, tip); err != nil {
			return err
		}
		if err := e.noteTaken(ctx, tip, metaGitDone); err != nil {
			return err
		}
		if err := e.o.Git.SetLast(ctx, tip); err != nil {
			return fmt.Errorf("%w: %w", errGitSide, err)
		}
	}
	if err := e.noteBeginning(ctx); err != nil {
		return err
	}
	if err := e.o.State.SetMeta(ctx, metaGitAdopt, ""); err != nil {
		return fmt.Errorf("state file: %w", err)
	}
	close(e.adopted)
	left := e.o.Git.Left()
	e.tellOthers(gitstore.Others{Count: int64(left.Total()), Named: left.First[:min(len(left.First), toldParked)]})
	if a.adopted > 0 {
		e.event(Info, "git", fmt.Sprintf("Took over %s documents that git held already, in %s", number(a.adopted), roundDuration(e.o.Now().Sub(started))), "")
	}
	return nil
}

// buryDeleted makes a new state remember what git's history deleted: a service
// that still holds such a document at a version that git knows is not asked to
// bring it back, and its history is found.
func (e *Engine) buryDeleted(ctx context.Context, tip string) error {
	keys, err := e.o.Git.Deleted(ctx, tip, state.MaxGraves)
	if err != nil {
		return fmt.Errorf("%w: %w", errGitSide, err)
	}
	if err := e.o.State.Bury(ctx, keys); err != nil {
		return fmt.Errorf("state file: %w", err)
	}
	return nil
}

// wholeBranch brings main forward to what was committed to it last, if it was
// deleted or moved back since: a new state knows no documents but those of main,
// and its first commit would let go of the others.
func (e *Engine) wholeBranch(ctx context.Context) error {
	last, err := e.o.Git.Last(ctx)
	if err != nil || last == "" {
		return err
	}
	if _, err := e.o.Git.BuiltUpon(ctx, last, last); errors.Is(err, store.ErrNotFound) {
		return nil // the mark is left of a repository that was another one
	}
	tip, err := e.o.Git.Look(ctx)
	if err != nil || tip == last {
		return err
	}
	if tip != "" {
		back, err := e.builtUpon(ctx, tip, last)
		if err != nil || !back {
			return err // it went on from there, or is another history
		}
	}
	return e.meet(ctx, tip, last)
}

// adoption takes over what one commit holds, in batches.
type adoption struct {
	e         *Engine
	tip       string
	elsewhere bool // documents lie where no layout has them
	adopted   int
	ops       []state.Operation
	size      int64 // of the content in ops
}

// pass takes over the documents that the index does not know: those that lie
// where a layout has them, or those that do not.
func (a *adoption) pass(ctx context.Context, placed bool) error {
	for entry, err := range a.e.listAt(ctx, a.tip) {
		if err != nil {
			return err
		}
		if err := a.take(ctx, entry.Key, placed); err != nil {
			return err
		}
	}
	return a.flush(ctx)
}

func (a *adoption) take(ctx context.Context, key store.Key, placed bool) error {
	row, err := a.e.o.State.Lookup(ctx, key.ID)
	switch {
	case err == nil: // an earlier attempt, or a caller, was here first
		if !placed && row.Folder != key.Folder {
			a.e.tellUnreadable(key.Folder.String(), fmt.Errorf("the document %q lies in %s already", key.ID, row.Folder))
		}
		return nil
	case !errors.Is(err, store.ErrNotFound):
		return fmt.Errorf("state file: %w", err)
	}
	op, err := a.e.gitOperation(ctx, a.tip, key)
	if err != nil {
		a.e.tellUnreadable(key.Folder.String(), err)
		return nil
	}
	if placed && !inPlace(key, op.Doc) {
		a.elsewhere = true
		return nil
	}
	a.ops, a.size = append(a.ops, op), a.size+op.Doc.Content.Size()
	if len(a.ops) == govcBatchOps || a.size > govcBatchBytes {
		return a.flush(ctx)
	}
	return nil
}

func (a *adoption) flush(ctx context.Context) error {
	n, err := a.e.appendNew(ctx, a.ops)
	a.adopted, a.ops, a.size = a.adopted+n, a.ops[:0], 0
	return err
}

// inPlace reports whether a document lies where a layout has it.
func inPlace(key store.Key, doc *document.Document) bool {
	for _, layout := range []document.Layout{document.LayoutFanOut, document.LayoutLibrary} {
		if layout.Folder(doc.Source.Type, doc.CreatedAt, key.ID) == key.Folder {
			return true
		}
	}
	return false
}
