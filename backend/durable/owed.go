package durable

import (
	"errors"
	"io/fs"
	"sync"
	"sync/atomic"
)

// Owed remembers the folders of a Volume whose sync failed: names in them are
// visible, but a power cut may undo them. It is safe for concurrent use.
type Owed struct {
	fs      FS
	any     atomic.Bool
	mu      sync.Mutex
	folders map[string]struct{}
}

// Track returns a Volume over v and what it owes. Whoever finds something done
// already and is about to report it as done calls Settle first: it may be what
// an earlier call of ours left visible, with ErrUnsynced.
func (v Volume) Track() (Volume, *Owed) {
	o := &Owed{fs: v.fs(), folders: make(map[string]struct{})}
	return Volume{FS: tracked{o.fs, o}}, o
}

// Settle syncs the folders whose sync failed, and remembers those where it
// fails again. A folder that is gone owes nothing.
func (o *Owed) Settle() error {
	if !o.any.Load() {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	var failed error
	for dir := range o.folders {
		err := o.fs.SyncDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed = errors.Join(failed, wrap("sync folder", dir, err))
			continue
		}
		delete(o.folders, dir)
	}
	o.any.Store(len(o.folders) > 0)
	return failed
}

// tracked is a file system that notes what it could not sync.
type tracked struct {
	FS
	owed *Owed
}

func (t tracked) SyncDir(name string) error {
	err := t.FS.SyncDir(name)
	if err != nil {
		t.owed.mu.Lock()
		defer t.owed.mu.Unlock()
		t.owed.folders[name] = struct{}{}
		t.owed.any.Store(true)
	}
	return err
}
