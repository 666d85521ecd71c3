package engine

import (
	"context"
	"sync"
)

// watermark tells waiters how far a replica has come. It runs ahead of the
// cursor in the state file, which is written afterwards.
type watermark struct {
	mu      sync.Mutex
	seq     int64
	changed chan struct{}
	// commits remembers which commit carried the operations up to a sequence
	// number, oldest first.
	commits []passedBatch
}

type passedBatch struct {
	through int64
	commit  string
}

const rememberedBatches = 128

func newWatermark(seq int64) *watermark {
	return &watermark{seq: seq, changed: make(chan struct{})}
}

// pass raises the watermark and wakes the waiters.
func (w *watermark) pass(seq int64, commit string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if seq <= w.seq {
		return
	}
	w.seq = seq
	w.commits = append(w.commits, passedBatch{seq, commit})
	if len(w.commits) > rememberedBatches {
		w.commits = append(w.commits[:0], w.commits[len(w.commits)-rememberedBatches:]...)
	}
	close(w.changed)
	w.changed = make(chan struct{})
}

// reset puts the watermark to seq, also backwards: the store lost its data.
func (w *watermark) reset(seq int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seq, w.commits = seq, nil
	close(w.changed)
	w.changed = make(chan struct{})
}

func (w *watermark) now() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seq
}

// wait returns the commit that carried seq once the replica passed it, or
// false if the context ended before.
func (w *watermark) wait(ctx context.Context, seq int64) (commit string, passed bool) {
	for {
		w.mu.Lock()
		changed := w.changed
		if w.seq >= seq {
			for _, b := range w.commits {
				if b.through >= seq {
					commit = b.commit
					break
				}
			}
			w.mu.Unlock()
			return commit, true
		}
		w.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return "", false
		}
	}
}
