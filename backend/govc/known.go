package govc

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/frame"
	"github.com/caiatech/caiatop/backend/store"
)

// maxKnown bounds the folders that are remembered.
const maxKnown = 4096

// known is what folders of the service held when this client saw or wrote them
// last: their files by name, with the hashes of their blobs; none where there
// was nothing. It is a hint and never believed: a write that is made upon it is
// made on the condition that it is still so. The zero value is ready.
type known struct {
	mu      sync.Mutex
	folders map[string]remembered
}

// remembered is what is known of one folder.
type remembered struct {
	blobs map[string]frame.Hash // nobody changes it
	// version is that of the document which they make, zero if there is none, or
	// if nobody told.
	version document.Hash
}

// find returns what is remembered of a folder.
func (k *known) find(folder string) (r remembered, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	r, ok = k.folders[folder]
	return r, ok
}

// keep remembers a folder, and forgets any other one where there are too many.
func (k *known) keep(folder string, r remembered) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.folders == nil {
		k.folders = map[string]remembered{}
	}
	if _, there := k.folders[folder]; !there && len(k.folders) >= maxKnown {
		for other := range k.folders {
			delete(k.folders, other)
			break
		}
	}
	k.folders[folder] = r
}

func (k *known) forget(folder string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.folders, folder)
}

// recall finds what is remembered of the folders of tasks.
func (c *Client) recall(tasks []*task) {
	for _, t := range tasks {
		r, known := c.known.find(t.op.Key.Folder.String())
		t.held, t.version, t.known = r.blobs, r.version, known
		t.before, t.stale, t.folder, t.skip, t.guessed = state{}, nil, false, false, false
	}
}

// guess plans tasks upon what is remembered, without asking the service. It
// reports false where that is no good: a delete of what may not be there, a put
// of what is there already, and a document of which nothing is known where those
// before were not new, and a version that must not be replaced.
func (c *Client) guess(info Info, tasks []*task) bool {
	for _, t := range tasks {
		remove := t.op.Doc == nil
		if !t.known && (remove || !c.news.Load()) {
			return false
		}
		if remove && len(t.held) == 0 {
			return false
		}
		// What was somebody else's when it was seen last is looked at again.
		if t.op.Over != nil && len(t.held) > 0 && (t.version.IsZero() || !slices.Contains(t.op.Over, t.version)) {
			return false
		}
		t.guessed, t.folder = true, remove
		if remove {
			continue
		}
		t.planStale(info, slices.Collect(maps.Keys(t.held)))
		if maps.Equal(t.held, t.after()) {
			return false
		}
	}
	return true
}

// applyGuessed makes the changes that were guessed, all or none. over is false
// if nothing was changed because the service holds something else than was
// remembered, or refuses something: then it takes a look.
func (c *Client) applyGuessed(ctx context.Context, batch store.Batch, tasks []*task) (_ store.Receipt, over bool, _ error) {
	in, _ := requestOf(batch, tasks, func(int) string { return "all" })
	done, err := c.sendBatch(ctx, in, batch.Ops)
	if errors.Is(err, errNoBatch) { // by the little that a guess adds
		return store.Receipt{}, false, nil
	}
	if err != nil {
		c.forgetAll(tasks)
		return store.Receipt{}, false, err
	}
	if done.commit == "" {
		c.forgetAll(tasks)
		return store.Receipt{}, false, nil
	}
	for i, got := range done.items {
		if err := in.is(i, got); err != nil {
			c.forgetAll(tasks)
			return store.Receipt{Commit: done.commit}, true, err
		}
	}
	c.keepAll(tasks)
	return store.Receipt{Commit: done.commit, Written: len(tasks)}, true, nil
}

// learn keeps what a look found, and whether it was worth it.
func (c *Client) learn(tasks []*task) {
	met, news := false, true
	for _, t := range tasks {
		t.held = t.before.blobs()
		if !t.known && t.op.Doc != nil {
			met, news = true, news && t.before.absent()
		}
		if t.before.partial {
			c.known.forget(t.op.Key.Folder.String())
		} else {
			r := remembered{blobs: t.held}
			if t.op.Over != nil && t.before.doc != nil {
				r.version = versionOf(t.before.doc)
			}
			c.known.keep(t.op.Key.Folder.String(), r)
		}
	}
	if met {
		c.news.Store(news)
	}
}

// keepAll remembers what tasks have done.
func (c *Client) keepAll(tasks []*task) {
	for _, t := range tasks {
		if folder := t.op.Key.Folder.String(); t.before.partial {
			c.known.forget(folder)
		} else {
			c.known.keep(folder, remembered{t.after(), t.op.Hash})
		}
	}
}

// versionOf is zero for a document that has none.
func versionOf(d *document.Document) document.Hash {
	h, err := d.Hash()
	if err != nil {
		return document.Hash{}
	}
	return h
}

func (c *Client) forgetAll(tasks []*task) {
	for _, t := range tasks {
		c.known.forget(t.op.Key.Folder.String())
	}
}

// after returns what a folder holds once a task is done.
func (t *task) after() map[string]frame.Hash {
	if t.folder {
		return nil
	}
	blobs := maps.Clone(t.held)
	if blobs == nil {
		blobs = make(map[string]frame.Hash, len(t.files))
	}
	for _, name := range t.stale {
		delete(blobs, name)
	}
	for i, f := range t.files {
		blobs[f.Name] = t.blobs[i]
	}
	return blobs
}
