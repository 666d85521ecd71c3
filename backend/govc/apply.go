package govc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/frame"
	"github.com/caiatech/caiatop/backend/store"
)

// parallel is how many calls a batch has under way at a service of ours.
const parallel = 8

// task is one operation of a batch and what it takes to do it.
type task struct {
	op     store.Op
	files  []document.File       // to add, metadata.json last
	blobs  []frame.Hash          // of files, as git names them
	before state                 // as it was looked at
	held   map[string]frame.Hash // files that are there before, with the hashes of their blobs
	stale  []string              // names to delete
	folder bool                  // delete the whole folder
	skip   bool                  // the service holds what is wanted
	// contested: the service holds a version that must not be replaced.
	contested bool

	known   bool          // held was remembered
	version document.Hash // that held makes, see remembered
	guessed bool          // what is planned relies on that, or on there being nothing
}

// Apply makes the changes of a batch in one commit and reads every changed
// document back. On a service of ours readers see the batch at once; on any
// other they may see its files appear one by one.
//
// Errors: store.ErrAmbiguous if the batch may have been applied, wholly or in
// part; store.ErrConflict if the service holds something else afterwards, a
// *RefusedError if it refuses a document for good (of a batch that a service
// takes as one, the other documents are written in both cases, as they are
// beside a document of which the service holds a version that is not in Op.Over);
// store.ErrTooLarge before anything is sent, if a document does not Fit, and
// store.ErrIdentity if the service lost the repository; otherwise nothing was
// committed.
func (c *Client) Apply(ctx context.Context, batch store.Batch) (store.Receipt, error) {
	if err := batch.Validate(); err != nil {
		return store.Receipt{}, err
	}
	if len(batch.Ops) == 0 {
		return store.Receipt{}, nil
	}
	tasks := make([]*task, len(batch.Ops))
	for i, op := range batch.Ops {
		tasks[i] = &task{op: op}
	}
	if err := prepareAll(tasks); err != nil {
		return store.Receipt{}, err
	}
	if n := len(batch.Message()); n > maxMessage {
		return store.Receipt{}, fmt.Errorf("govc: apply: %w: the message of the commit has %d bytes, the limit is %d", store.ErrTooLarge, n, maxMessage)
	}
	receipt, err := c.applyPart(ctx, batch, tasks)
	if errors.Is(err, errNoBatch) {
		return c.applyAlone(ctx, batch, tasks)
	}
	return receipt, err
}

// applyPart makes the changes of a batch while others write other documents, if
// it is known that the service takes a batch as one: else errNoBatch.
func (c *Client) applyPart(ctx context.Context, batch store.Batch, tasks []*task) (store.Receipt, error) {
	info := c.info.Load()
	if info == nil || !info.batches() {
		return store.Receipt{}, errNoBatch
	}
	unlock, err := c.writer.lock(ctx, foldersOf(tasks))
	if err != nil {
		return store.Receipt{}, fmt.Errorf("govc: apply: %w", err)
	}
	defer unlock()
	return c.applyAtOnce(ctx, *info, batch, tasks)
}

// applyAlone makes the changes of a batch while nobody else writes. To find out
// what the service is, is part of that: some do not take it beside a writer.
func (c *Client) applyAlone(ctx context.Context, batch store.Batch, tasks []*task) (store.Receipt, error) {
	unlock, err := c.writer.lock(ctx, nil)
	if err != nil {
		return store.Receipt{}, fmt.Errorf("govc: apply: %w", err)
	}
	defer unlock()
	info, err := c.described(ctx)
	if err != nil {
		return store.Receipt{}, err
	}
	if info.batches() {
		receipt, err := c.applyAtOnce(ctx, info, batch, tasks)
		if !errors.Is(err, errNoBatch) {
			return receipt, err
		}
	}
	if err := c.stillThere(ctx, info); err != nil {
		return store.Receipt{}, err
	}
	c.forgetAll(tasks)
	looked := c.now()
	left, err := c.planAll(ctx, info, tasks)
	if err != nil || len(left) == 0 {
		return store.Receipt{}, cmp.Or(err, contested(tasks))
	}
	receipt, err := c.stageTasks(ctx, info, only(batch, left), left, looked)
	return receipt, cmp.Or(err, contested(tasks))
}

// prepareAtOnce is how many tasks are prepared by one goroutine at least: fewer
// are not worth another one.
const prepareAtOnce = 25

// prepareAll prepares tasks, on several processors where there are many.
func prepareAll(tasks []*task) error {
	var group errgroup.Group
	each := max(prepareAtOnce, (len(tasks)+runtime.GOMAXPROCS(0)-1)/runtime.GOMAXPROCS(0))
	for part := range slices.Chunk(tasks, each) {
		prepare := func() error {
			for _, t := range part {
				if err := t.prepare(); err != nil {
					return err
				}
			}
			return nil
		}
		if len(part) == len(tasks) {
			return prepare()
		}
		group.Go(prepare)
	}
	return group.Wait()
}

// prepare encodes the document of an operation and checks that it fits.
func (t *task) prepare() error {
	if t.op.Doc == nil {
		return nil
	}
	var err error
	if t.files, err = t.op.Doc.Files(document.TextOnly); err != nil {
		return err
	}
	slices.SortStableFunc(t.files, func(a, b document.File) int { return metadataLast(a.Name) - metadataLast(b.Name) })
	t.blobs = make([]frame.Hash, len(t.files))
	for i, f := range t.files {
		t.blobs[i] = blobHash(f.Data)
	}
	return fits(t.op.Key, t.files)
}

// metadataLast orders files so that metadata.json, which names the others,
// never comes before them.
func metadataLast(name string) int {
	if name == document.MetadataFile {
		return 1
	}
	return 0
}

// planAll looks at what the service holds and decides what is to be done. It
// returns the tasks that are left.
func (c *Client) planAll(ctx context.Context, info Info, tasks []*task) ([]*task, error) {
	found, err := c.lookAll(ctx, info, tasks)
	if err != nil {
		return nil, err
	}
	for i, t := range tasks {
		t.before = found[i]
		if err := c.plan(info, t); err != nil {
			return nil, err
		}
		t.contested = !t.skip && !t.mayReplace()
		t.skip = t.skip || t.contested
	}
	return slices.DeleteFunc(slices.Clone(tasks), func(t *task) bool { return t.skip }), nil
}

// mayReplace holds what was found against the versions that the operation may
// replace. Where the service takes batches, the batch is made against the very
// files that were found.
func (t *task) mayReplace() bool {
	if t.op.Over == nil || t.before.doc == nil {
		return true
	}
	held, err := t.before.doc.Hash()
	return err != nil || held == t.op.Hash || slices.Contains(t.op.Over, held)
}

// contested is the error about documents that were left alone.
func contested(tasks []*task) error {
	for _, t := range tasks {
		if t.contested {
			return fmt.Errorf("govc: apply %q: %w: the service holds a version that is not to be replaced", t.op.Key.ID, store.ErrConflict)
		}
	}
	return nil
}

// plan decides what is to be done about what the service holds.
func (c *Client) plan(info Info, t *task) error {
	t.stale, t.folder, t.skip, t.guessed = nil, false, false, false
	sure := !c.dirty.Load() || info.batches() // which stages nothing, and reads commits
	switch {
	case t.op.Doc != nil:
		same, err := t.before.same(t.op.Doc)
		if err != nil {
			return err
		}
		t.skip = sure && same
		t.planStale(info, t.before.names)
	case info.deletes():
		t.folder = true
		// A plain listing tells more than the files that make a document.
		t.skip = sure && t.before.absent() && info.isOurs()
	default:
		t.skip = t.before.doc == nil && t.before.broken == nil
	}
	return nil
}

// planStale finds which of the files that are there would make another document
// of what is put.
func (t *task) planStale(info Info, there []string) {
	for _, name := range []string{document.RawFile, document.LegacyTextFile} {
		wanted := slices.ContainsFunc(t.files, func(f document.File) bool { return f.Name == name })
		if info.deletes() && !wanted && slices.Contains(there, name) {
			t.stale = append(t.stale, name)
		}
	}
}

// stageTasks stages, commits and reads back what was looked at from then on.
func (c *Client) stageTasks(ctx context.Context, info Info, batch store.Batch, tasks []*task, looked time.Time) (store.Receipt, error) {
	var staged atomic.Bool
	c.dirty.Store(true)
	err := each(ctx, info, len(tasks), func(ctx context.Context, i int) error {
		did, err := c.stage(ctx, c.speak(info), batch, tasks[i])
		if did {
			staged.Store(true)
		}
		return err
	})
	if err != nil {
		if staged.Load() {
			err = torn(err)
		}
		return store.Receipt{}, err
	}
	if !staged.Load() {
		return store.Receipt{}, nil
	}
	hash, err := c.speak(info).commit(ctx, commitRequest{
		Message: batch.Message(), Author: batch.Author.Name, Email: batch.Author.Email, Timestamp: timestamp(batch.At),
	})
	if err != nil {
		return store.Receipt{}, torn(err)
	}
	window := c.now().Sub(looked)
	c.dirty.Store(false)
	if hash == "" { // another client's commit took what we had staged
		if hash, err = c.commitOf(ctx, info, tasks[0].op.Key); err != nil {
			return store.Receipt{}, fmt.Errorf("%w: %w", store.ErrAmbiguous, err)
		}
	}
	receipt := store.Receipt{Commit: hash, Written: len(tasks), Window: window}
	return receipt, c.readBack(ctx, info, tasks)
}

// stage adds and deletes the files of one task. did reports that something may
// be staged now.
func (c *Client) stage(ctx context.Context, d dialect, batch store.Batch, t *task) (did bool, err error) {
	folder := t.op.Key.Folder.String()
	if t.folder {
		did, err := d.remove(ctx, folder)
		// Where there was something, "not found" is the answer to a repeated
		// request whose first answer got lost.
		return did || !t.before.absent(), err
	}
	if t.op.Doc == nil {
		return true, bury(ctx, d, batch, t)
	}
	if t.before.tombstone {
		if err := restore(ctx, d, batch, t.op); err != nil {
			return true, err
		}
	}
	if len(t.stale) > 0 {
		if _, err := d.remove(ctx, folder, t.stale...); err != nil {
			return true, err
		}
	}
	for _, f := range t.files {
		if err := d.add(ctx, folder+"/"+f.Name, f.Data); err != nil {
			return true, err
		}
	}
	return true, nil
}

// timestamp is the time of a commit, where the service takes one.
func timestamp(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	at = at.UTC()
	return &at
}

// commitOf finds the commit that last changed a document; "" if the service
// cannot tell.
func (c *Client) commitOf(ctx context.Context, info Info, key store.Key) (string, error) {
	if !info.Has(capLogPath) {
		return "", nil
	}
	commits, err := c.speak(info).log(ctx, key.Folder.String(), 1)
	if err != nil || len(commits) == 0 {
		return "", err
	}
	return commits[0].Hash, nil
}

// readBack compares what the service holds with what was sent.
func (c *Client) readBack(ctx context.Context, info Info, tasks []*task) error {
	found, err := c.lookAll(ctx, info, tasks)
	switch {
	case errors.Is(err, store.ErrIdentity):
		return err // the service lost the repository meanwhile
	case err != nil:
		return fmt.Errorf("govc: read back: %w: %w", store.ErrAmbiguous, err)
	}
	for i, t := range tasks {
		done := found[i].doc == nil && found[i].broken == nil
		if t.op.Doc != nil {
			if done, err = found[i].same(t.op.Doc); err != nil {
				return err
			}
		}
		if done {
			continue
		}
		return fmt.Errorf("govc: read back %q: %w: the service holds something else than was sent", t.op.Key.ID, store.ErrConflict)
	}
	return nil
}

// torn marks an error that came after something had been staged: reads may
// show it, and the next commit takes it. A repository that is gone took
// everything with it, and a refusal is final.
func torn(err error) error {
	interrupted := errors.Is(err, store.ErrUnavailable) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
	if !interrupted || errors.Is(err, store.ErrAmbiguous) {
		return err
	}
	return fmt.Errorf("%w: %w", store.ErrAmbiguous, err)
}

// each calls do for 0 to n-1: several at once at a service of ours, which is
// built for it, and one after the other at any other.
func each(ctx context.Context, info Info, n int, do func(ctx context.Context, i int) error) error {
	if !info.isOurs() || n == 1 {
		for i := range n {
			if err := do(ctx, i); err != nil {
				return err
			}
		}
		return nil
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i := range n {
		group.Go(func() error { return do(ctx, i) })
	}
	return group.Wait()
}
