package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/state"
	"github.com/caiatech/caiatop/backend/store"
	"github.com/caiatech/caiatop/probe"
)

// verifyReadLimit bounds one read at the service.
const verifyReadLimit = 10 * time.Second

// govc compares every document of the index with what the service holds, and
// looks there for documents that the index does not know. What the service
// cannot list, and all of it while it does not serve, is unknown.
func (v *verifier) govc(ctx context.Context) error {
	e := v.e
	if !e.talks() {
		why := "this engine runs without the service"
		if e.o.Phase == PhaseGitOnly {
			why = "this phase has no service"
		}
		v.unknown(PartGovc, why)
		return nil
	}
	if !e.serving() {
		v.unknown(PartGovc, fmt.Sprintf("the service does not serve now (%s)", e.current()))
		return nil
	}
	v.pace = pacer{rate: verifyThereRate, now: e.o.Now}
	if e.o.Embedded != nil {
		v.pace.rate = verifyHereRate
	}
	c := &govcCheck{verifier: v}
	if err := v.each(ctx, PartGovc, func(row state.Row) error { return c.row(ctx, row) }); err != nil {
		return c.left(err)
	}
	if err := c.strangers(ctx); err != nil {
		return c.left(err)
	}
	if v.o.Repair {
		return c.left(c.mend(ctx))
	}
	return nil
}

// govcCheck is the part of a run about the service.
type govcCheck struct {
	*verifier
	lost    []lostVersion // absent, damaged, or an earlier version of ours
	changed []changedVersion
	buried  []buriedDocument
	strange []strangeDocument
}

type changedVersion struct {
	row    state.Row
	doc    document.Document
	hash   document.Hash
	mended func()
}

type buriedDocument struct {
	key    store.Key
	mended func()
}

type strangeDocument struct {
	key    store.Key
	mended func()
}

// left says of an error that the service was left meanwhile, if it was.
func (c *govcCheck) left(err error) error {
	if err != nil && !c.e.serving() {
		return fmt.Errorf("the service was left while it was read (%s): %w", c.e.current(), err)
	}
	return err
}

// row compares one document.
func (c *govcCheck) row(ctx context.Context, row state.Row) error {
	if row.Seq > c.e.govcMark.now() {
		return nil // it is on its way
	}
	if !c.e.serving() {
		return store.ErrUnavailable
	}
	doc, hash, err := c.read(ctx, row)
	if err == nil && hash == row.Hash {
		return nil
	}
	what := ""
	switch {
	case errors.Is(err, store.ErrNotFound):
		what = "govc does not hold it"
	case err != nil && aboutDocument(err):
		what = "govc holds it damaged: " + err.Error()
	case err != nil:
		return err
	}
	if still, err := c.still(ctx, row); err != nil || !still {
		return err
	}
	if what == "" {
		return c.other(ctx, row, doc, hash)
	}
	aside, err := c.setAside(ctx, row)
	if err != nil || aside {
		return err
	}
	c.lost = append(c.lost, lostVersion{row, c.find(Finding{Part: PartGovc, Document: row.ID.String(), What: what, Next: repairAdvice})})
	return nil
}

// read reads a document at the service. It is measured apart from what callers
// read, and no failure of it counts against the service.
func (c *govcCheck) read(ctx context.Context, row state.Row) (doc document.Document, hash document.Hash, err error) {
	limited, cancel := context.WithTimeout(ctx, verifyReadLimit)
	defer cancel()
	started := c.e.o.Now()
	doc, err = c.e.o.Primary.Get(limited, store.Key{ID: row.ID, Folder: row.Folder})
	c.e.o.Recorder.Observe(probe.Verify, probe.Govc, c.e.o.Now().Sub(started), err)
	if err != nil {
		return doc, hash, err
	}
	if hash, err = doc.Hash(); err != nil {
		err = fmt.Errorf("%w: %w", store.ErrCorrupt, err)
	}
	return doc, hash, err
}

// setAside reports a document that is known not to be at the service.
func (c *govcCheck) setAside(ctx context.Context, row state.Row) (bool, error) {
	_, dropped, err := c.e.o.State.Dropped(ctx, primaryReplica, row.ID)
	if err != nil {
		return false, err
	}
	parked, err := c.e.o.State.ParkedAt(ctx, row.ID)
	if err != nil {
		return false, err
	}
	known := dropped || slices.ContainsFunc(parked, func(p state.Parked) bool { return p.Store == primaryReplica })
	if known {
		c.aside(PartGovc)
	}
	return known, nil
}

// other judges another version than the index has. It is believed only after a
// second read.
func (c *govcCheck) other(ctx context.Context, row state.Row, doc document.Document, hash document.Hash) error {
	_, again, err := c.read(ctx, row)
	if err != nil || again != hash {
		if err == nil || errors.Is(err, store.ErrNotFound) || aboutDocument(err) {
			return nil // it changes right now: it is met by whoever changes it, or the next time
		}
		return err
	}
	if still, err := c.still(ctx, row); err != nil || !still {
		return err
	}
	aside, err := c.setAside(ctx, row)
	if err != nil || aside {
		return err // an earlier version may stand there
	}
	w := snapshotOf(row)
	if err := c.e.addEarlier(ctx, &w); err != nil && ctx.Err() != nil {
		return err
	}
	f := Finding{Part: PartGovc, Document: row.ID.String(), Next: repairAdvice}
	if w.isOurs(hash) {
		f.What = "govc holds an earlier version of it"
		c.lost = append(c.lost, lostVersion{row, c.find(f)})
		return nil
	}
	f.What = "somebody changed it at govc"
	f.Next += ", or read it: their version is then taken over, ours stays in its history"
	c.changed = append(c.changed, changedVersion{row, doc, hash, c.find(f)})
	return nil
}

// strangers looks for documents that only the service has.
func (c *govcCheck) strangers(ctx context.Context) error {
	n := 0
	for entry, err := range c.e.o.Primary.List(ctx) {
		if errors.Is(err, errors.ErrUnsupported) {
			c.unknown(PartGovc, "this service cannot list: documents that only it holds are not known")
			return nil
		}
		if err != nil {
			return err
		}
		if n++; n%snapshotPage == 0 {
			c.e.gate.yield(ctx, textYieldMost)
		}
		if err := c.entry(ctx, entry.Key); err != nil {
			return err
		}
	}
	return nil
}

// entry judges one document that the service lists.
func (c *govcCheck) entry(ctx context.Context, key store.Key) error {
	row, err := c.e.o.State.Lookup(ctx, key.ID)
	switch {
	case err == nil && (!row.Deleted || row.Seq > c.e.govcMark.now()):
		return nil // known, or the delete is on its way
	case err != nil && !errors.Is(err, store.ErrNotFound):
		return err
	case err == nil:
		if aside, err := c.setAside(ctx, row); err != nil || aside {
			return err
		}
	}
	_, ours, err := c.e.buried(ctx, key)
	if err != nil {
		return err
	}
	if ours {
		f := Finding{Part: PartGovc, Document: key.ID.String(), What: "it was deleted here, and govc still holds it", Next: repairAdvice}
		c.buried = append(c.buried, buriedDocument{key, c.find(f)})
		return nil
	}
	doc, err := c.e.o.Primary.Get(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return nil // deleted a moment ago
	}
	f := Finding{Part: PartGovc, Document: key.ID.String(), What: "govc holds it, and the index does not know it", Next: repairAdvice}
	switch {
	case aboutDocument(err):
		f.What, f.Next = "govc holds it, and it cannot be read: "+err.Error(), "Look at it at the service; what is written again with the same id replaces it"
		c.find(f)
		return nil
	case err != nil:
		return err
	}
	if row, err := c.e.o.State.Lookup(ctx, doc.ID); err == nil && !row.Deleted {
		return nil // written meanwhile
	}
	c.strange = append(c.strange, strangeDocument{key, c.find(f)})
	return nil
}

// mend brings what the service lacks, takes over what others wrote there, and
// deletes there what was deleted here.
func (c *govcCheck) mend(ctx context.Context) error {
	for part := range slices.Chunk(c.lost, govcBatchOps) {
		if err := c.bring(ctx, part); err != nil {
			return err
		}
	}
	for _, f := range c.changed {
		if still, err := c.still(ctx, f.row); err != nil || !still {
			if err != nil {
				return err
			}
			f.mended() // written since: the comparison of that write decides
			continue
		}
		if c.e.changedThere(ctx, f.row, store.Key{ID: f.row.ID, Folder: f.row.Folder}, f.doc, f.hash) {
			f.mended()
		}
	}
	for _, b := range c.buried {
		if err := c.bury(ctx, b); err != nil {
			return err
		}
	}
	t := takeover{e: c.e}
	for _, s := range c.strange {
		before := t.taken
		if err := t.take(ctx, s.key); err != nil {
			return err
		}
		if t.taken > before {
			s.mended()
		}
	}
	t.tell("")
	return nil
}

// bring lets the goroutine that writes to the service write documents again, and
// looks whether it holds them.
func (c *govcCheck) bring(ctx context.Context, part []lostVersion) error {
	ids := make([]document.ID, 0, len(part))
	for _, l := range part {
		ids = append(ids, l.row.ID)
	}
	if _, err := c.e.bringAgain(ctx, ids); err != nil {
		return fmt.Errorf("write it again: %w", err)
	}
	for _, l := range part {
		still, err := c.still(ctx, l.row)
		if err != nil {
			return err
		}
		if still {
			_, hash, err := c.read(ctx, l.row)
			if err != nil && !errors.Is(err, store.ErrNotFound) && !aboutDocument(err) {
				return err
			}
			if err != nil || hash != l.row.Hash {
				continue
			}
		}
		l.mended()
	}
	return nil
}

// bury deletes at the service what was deleted here.
func (c *govcCheck) bury(ctx context.Context, b buriedDocument) error {
	done := false
	err := c.e.primaryWork.ask(ctx, func(ctx context.Context) error {
		w, still, err := c.e.buried(ctx, b.key)
		if err != nil || !still {
			return err
		}
		commit, parked, err := c.e.bring(ctx, []wanted{w})
		if err == nil {
			err = c.e.recordTip(ctx, commit)
		}
		done = err == nil && len(parked) == 0
		return err
	})
	if done {
		b.mended()
	}
	return err
}
