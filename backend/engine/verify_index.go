package engine

import (
	"context"
	"errors"

	"github.com/caiatech/caiatop/backend/state"
	"github.com/caiatech/caiatop/backend/store"
)

// index looks for documents that git's branch holds and the index does not know.
func (v *verifier) index(ctx context.Context) error {
	if !v.e.isKnown(gitReplica) {
		v.unknown(PartIndex, "git is being mended now; look at it again later")
		return nil
	}
	g := &gitCheck{verifier: v}
	if err := g.meet(ctx, PartIndex); err != nil || g.behind {
		return err
	}
	tip, err := v.e.o.Git.Look(ctx)
	if err != nil {
		return err
	}
	v.expect(PartIndex, v.e.o.State.Summary().Documents)
	n := int64(0)
	for entry, err := range v.e.listAt(ctx, tip) {
		if err != nil {
			return err
		}
		if n++; n%snapshotPage == 0 {
			v.checked(PartIndex, snapshotPage)
			v.e.gate.yield(ctx, textYieldMost)
		}
		if err := g.entry(ctx, entry.Key); err != nil {
			return err
		}
	}
	v.checked(PartIndex, n%snapshotPage)
	return nil
}

// entry judges one document of the branch.
func (g *gitCheck) entry(ctx context.Context, key store.Key) error {
	strange, err := g.strange(ctx, key)
	if err != nil || !strange {
		return err
	}
	tip, err := g.e.o.Git.Look(ctx)
	if err != nil {
		return err
	}
	op, err := g.e.gitOperation(ctx, tip, key)
	f := Finding{Part: PartIndex, Document: key.ID.String(), What: "git holds it in " + key.Folder.String() + ", and the index does not know it", Next: repairAdvice}
	if err != nil {
		return nil //nolint:nilerr // deleted meanwhile, or no document: the engine tells of such folders
	}
	// Once more: a delete may have gone through every store while it was read.
	if strange, err = g.strange(ctx, key); err != nil || !strange {
		return err
	}
	if _, err := g.e.o.State.Grave(ctx, key.ID); err == nil {
		f.What += "; a document of that id was deleted here once"
		f.Next += "; if it is not wanted delete it then"
	}
	mended := g.find(f)
	if !g.o.Repair {
		return nil
	}
	if _, err := g.e.appendNew(ctx, []state.Operation{op}); err != nil {
		return err
	}
	mended()
	return nil
}

// strange reports a document of the branch that the index does not know. Where
// it lies twice, the index knows one of them.
func (g *gitCheck) strange(ctx context.Context, key store.Key) (bool, error) {
	_, err := g.e.o.State.Lookup(ctx, key.ID)
	if err == nil {
		return false, nil
	}
	if !errors.Is(err, store.ErrNotFound) {
		return false, err
	}
	tip, err := g.e.o.Git.Look(ctx)
	if err != nil || tip == "" {
		return false, err
	}
	return g.e.o.Git.Has(ctx, tip, key.Folder)
}
