package govc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/store"
)

// parallel is how many calls a batch has under way at a service of ours.
const parallel = 8

// task is one operation of a batch and what it takes to do it.
type task struct {
	op     store.Op
	want   document.Hash // zero for a delete
	before state
	files  []document.File // to add, metadata.json last
	stale  []string        // names to delete
	folder bool            // delete the whole folder
	skip   bool            // the service holds what is wanted
}

// Apply makes the changes of a batch in one commit and reads every changed
// document back. On a service of ours readers see the batch at once; on any
// other they may see its files appear one by one.
//
// Errors: store.ErrAmbiguous if the batch may have been applied, wholly or in
// part; store.ErrConflict if the service holds something else afterwards;
// store.ErrTooLarge before anything is sent, if a document does not Fit;
// otherwise nothing was committed.
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
		if err := c.prepare(tasks[i]); err != nil {
			return store.Receipt{}, err
		}
	}
	if err := c.writer.lock(ctx); err != nil {
		return store.Receipt{}, fmt.Errorf("govc: apply: %w", err)
	}
	defer c.writer.unlock()
	info, err := c.described(ctx)
	if err != nil {
		return store.Receipt{}, err
	}
	found, err := c.lookAll(ctx, info, tasks)
	if err != nil {
		return store.Receipt{}, err
	}
	for i, t := range tasks {
		c.plan(info, t, found[i])
	}
	tasks = slices.DeleteFunc(tasks, func(t *task) bool { return t.skip })
	if len(tasks) == 0 {
		return store.Receipt{}, nil
	}
	return c.applyTasks(ctx, info, batch, tasks)
}

// prepare encodes the document of an operation and checks that it fits.
func (c *Client) prepare(t *task) error {
	if t.op.Doc == nil {
		return nil
	}
	var err error
	if t.want, err = t.op.Doc.Hash(); err != nil {
		return err
	}
	if t.files, err = t.op.Doc.Files(document.TextOnly); err != nil {
		return err
	}
	slices.SortStableFunc(t.files, func(a, b document.File) int { return metadataLast(a.Name) - metadataLast(b.Name) })
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

// plan decides what is to be done about what the service holds.
func (c *Client) plan(info Info, t *task, found state) {
	t.before = found
	sure := !c.dirty.Load()
	switch {
	case t.op.Doc != nil:
		t.skip = sure && found.same(t.want)
		for _, name := range []string{document.RawFile, document.LegacyTextFile} {
			wanted := slices.ContainsFunc(t.files, func(f document.File) bool { return f.Name == name })
			if info.Has(capDelete) && !wanted && slices.Contains(found.names, name) {
				t.stale = append(t.stale, name)
			}
		}
	case info.Has(capDelete):
		t.folder = true
		t.skip = sure && found.absent()
	default:
		t.skip = found.doc == nil && found.broken == nil
	}
}

// applyTasks stages, commits and reads back.
func (c *Client) applyTasks(ctx context.Context, info Info, batch store.Batch, tasks []*task) (store.Receipt, error) {
	var staged atomic.Bool
	c.dirty.Store(true)
	err := each(ctx, info, len(tasks), func(ctx context.Context, i int) error {
		did, err := c.stage(ctx, batch, tasks[i])
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
	hash, err := c.commit(ctx, commitRequest{
		Message: batch.Message(), Author: oneLine(batch.Author.Name), Email: oneLine(batch.Author.Email),
		Timestamp: timestamp(info, batch.At),
	})
	if err != nil {
		return store.Receipt{}, torn(err)
	}
	c.dirty.Store(false)
	if hash == "" { // another client's commit took what we had staged
		if hash, err = c.commitOf(ctx, info, tasks[0].op.Key); err != nil {
			return store.Receipt{}, fmt.Errorf("%w: %w", store.ErrAmbiguous, err)
		}
	}
	receipt := store.Receipt{Commit: hash}
	return receipt, c.readBack(ctx, info, tasks)
}

// stage adds and deletes the files of one task. did reports that something may
// be staged now.
func (c *Client) stage(ctx context.Context, batch store.Batch, t *task) (did bool, err error) {
	folder := t.op.Key.Folder.String()
	if t.folder {
		did, err := c.deleteFile(ctx, folder)
		// Where there was something, "not found" is the answer to a repeated
		// request whose first answer got lost.
		return did || !t.before.absent(), err
	}
	if t.op.Doc == nil {
		return true, c.bury(ctx, batch, t)
	}
	if t.before.tombstone {
		if err := c.restore(ctx, batch, t.op); err != nil {
			return true, err
		}
	}
	for _, name := range t.stale {
		if _, err := c.deleteFile(ctx, folder+"/"+name); err != nil {
			return true, err
		}
	}
	for _, f := range t.files {
		if err := c.addFile(ctx, folder+"/"+f.Name, f.Data); err != nil {
			return true, err
		}
	}
	return true, nil
}

// addFile writes and stages one file. It may be repeated.
func (c *Client) addFile(ctx context.Context, path string, data []byte) error {
	body, err := encodeAdd(path, data)
	if err != nil {
		return err
	}
	_, err = c.call(ctx, request{
		op: "add file", method: http.MethodPost, path: c.api("/files"), body: body, write: true, repeat: true,
	})
	return err
}

// deleteFile stages the deletion of a file or folder; did is false if there
// was none.
func (c *Client) deleteFile(ctx context.Context, path string) (did bool, err error) {
	_, err = c.call(ctx, request{
		op: "delete file", method: http.MethodDelete, path: c.api("/files"), query: url.Values{"path": {path}}, write: true, repeat: true,
	})
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return true, err
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
		gone := found[i].doc == nil && found[i].broken == nil
		if (t.op.Doc == nil && gone) || (t.op.Doc != nil && found[i].same(t.want)) {
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
