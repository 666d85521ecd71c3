package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/caiatech/caiatop/backend/durable"
)

func (j *journal) wake() {
	select {
	case j.wanted <- struct{}{}:
	default: // it will look anyway
	}
}

// run publishes what gets old, until the journal is closed.
func (j *journal) run() {
	timer := time.NewTimer(journalAge)
	defer timer.Stop()
	for {
		select {
		case <-j.stopping:
			return
		case <-j.wanted:
		case <-timer.C:
		}
		wait, pending := j.due()
		if pending && wait <= 0 {
			// The outcome is reported by Maintenance, and to who needs the room.
			if j.publish(context.Background(), true) != nil {
				timer.Reset(journalRetry)
				continue
			}
			wait, pending = j.due()
		}
		if pending {
			timer.Reset(max(wait, 0))
		}
	}
}

// due tells when the next records are to be published; false if there are none.
func (j *journal) due() (time.Duration, bool) {
	j.mu.RLock()
	defer j.mu.RUnlock()
	if j.sealed != nil {
		return 0, true
	}
	if j.active.first.IsZero() {
		return 0, false
	}
	now := time.Now()
	return min(journalAge-now.Sub(j.active.first), journalQuiet-now.Sub(j.active.last)), true
}

// publish makes a pack and moves of references of the sealed segment; if there
// is none and all is set, of the active one. Only one does so at a time.
func (j *journal) publish(ctx context.Context, all bool) error {
	select {
	case j.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-j.turn }()
	j.mu.RLock()
	s := j.sealed
	j.mu.RUnlock()
	if s == nil && all {
		j.rotate()
		j.mu.RLock()
		s = j.sealed
		j.mu.RUnlock()
	}
	var err error
	if s != nil {
		err = j.publishSegment(ctx, s)
	}
	if err != nil {
		err = unpublished(err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.failed = err
	return err
}

// unpublished is the error of a publication for those who wait for it. It never
// wraps durable.ErrUnsynced: what they want to do themselves was not begun.
func unpublished(err error) error {
	const what = "publish the journal"
	if !errors.Is(err, durable.ErrUnsynced) {
		return fmt.Errorf("%s: %w", what, err)
	}
	for _, known := range []error{durable.ErrDiskFull, durable.ErrReadOnly} {
		if errors.Is(err, known) {
			return fmt.Errorf("%s: %w: %v", what, known, err) //nolint:errorlint // see above
		}
	}
	return fmt.Errorf("%s: %v", what, err) //nolint:errorlint // see above
}

// publishSegment may be done again after any error.
func (j *journal) publishSegment(ctx context.Context, s *segment) (err error) {
	h := j.repo.hold()
	h.journaled = true
	err = j.store(ctx, s, h)
	for ref, to := range s.moves {
		if err != nil {
			break
		}
		err = j.hold(ref).move(ctx, *to)
	}
	h.done(err == nil)
	// From here on nobody may need the records: who lets go of the references
	// lets others move them anywhere.
	if err == nil {
		err = s.void()
	}
	if err == nil {
		j.finish(s)
	}
	return err
}

func (j *journal) hold(ref string) *refHold {
	j.mu.RLock()
	defer j.mu.RUnlock()
	return j.heads[ref].lock
}

// store writes the objects of a segment into one pack.
func (j *journal) store(ctx context.Context, s *segment, h *hold) error {
	if len(s.staged) == 0 {
		return nil
	}
	err := j.repo.storeAll(ctx, s.staged, h, nil)
	if !errors.Is(err, ErrLost) {
		return err
	}
	if whole, look := j.repo.letGarbageGo(ctx); look != nil || !whole {
		return errors.Join(err, look)
	}
	return j.repo.storeAll(ctx, s.staged, h, nil)
}

// finish lets go of a segment that is published, and of the references that the
// other one has nothing for.
func (j *journal) finish(s *segment) {
	j.writing.Lock()
	defer j.writing.Unlock()
	var free []*journalHead
	j.mu.Lock()
	for ref := range s.moves {
		if j.active.moves[ref] == nil {
			free = append(free, j.heads[ref])
			delete(j.heads, ref)
		}
	}
	s.first, s.last = time.Time{}, time.Time{}
	s.reset()
	j.sealed, j.spare = nil, s
	j.mu.Unlock()
	for _, head := range free {
		j.letGo(head)
	}
}
