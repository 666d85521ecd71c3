package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	// quietTime is how long nobody must have committed until the maintenance
	// does what can wait: compressing, and consolidating a few packs.
	quietTime = 5 * time.Second
	// heldWait is how long to wait before looking again whether another
	// process is done with the maintenance.
	heldWait = 20 * time.Millisecond
)

// keeper owns the goroutine that keeps the packs few and small, and the one
// that makes spares.
type keeper struct {
	wanted   chan struct{} // one token: there may be something to do
	turn     chan struct{} // holds a token while somebody maintains
	stopping chan struct{}
	done     chan struct{}

	mu   sync.Mutex
	runs int
	err  error
}

func (k *keeper) start(s *packStore) {
	k.wanted, k.turn = make(chan struct{}, 1), make(chan struct{}, 1)
	k.stopping, k.done = make(chan struct{}), make(chan struct{})
	prepared := make(chan struct{})
	go func() {
		defer close(prepared)
		k.prepare(s)
	}()
	go func() {
		defer close(k.done)
		k.maintain(s)
		<-prepared
	}()
}

// prepare makes ready what the next commit needs. It does not wait for the
// maintenance, which may take long.
func (k *keeper) prepare(s *packStore) {
	for {
		select {
		case <-k.stopping:
			return
		case <-s.spares.wanted:
			s.spares.refill()
			s.filters()
		}
	}
}

func (k *keeper) maintain(s *packStore) {
	timer := time.NewTimer(quietTime)
	defer timer.Stop()
	for {
		// The outcome is reported by Maintenance.
		select {
		case <-k.stopping:
			return
		case <-k.wanted:
			_, _ = s.once(context.Background(), written)
			timer.Reset(quietTime)
		case <-timer.C:
			if did, err := s.once(context.Background(), quiet); did || errors.Is(err, errHeld) {
				timer.Reset(quietTime)
			}
		}
	}
}

// stop ends the maintenance between two objects and waits for it.
func (k *keeper) stop() {
	close(k.stopping)
	<-k.done
	k.turn <- struct{}{} // nobody gets it any more
}

func (k *keeper) wake() {
	select {
	case k.wanted <- struct{}{}:
	default: // it will look anyway
	}
}

func (k *keeper) note(did bool, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case err != nil && !errors.Is(err, errHeld):
		k.err = err
	case did:
		k.runs, k.err = k.runs+1, nil
	}
}

// once maintains when it is the caller's turn. It ends with the keeper.
func (s *packStore) once(ctx context.Context, why occasion) (did bool, err error) {
	k := &s.keeper
	if k.done == nil {
		return false, nil // open for reading
	}
	ctx, cancel := context.WithCancel(ctx)
	select {
	case <-k.stopping:
		cancel()
		return false, ErrClosed
	default:
	}
	select {
	case k.turn <- struct{}{}:
	case <-k.stopping:
		cancel()
		return false, ErrClosed
	case <-ctx.Done():
		cancel()
		return false, ctx.Err()
	}
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-k.stopping:
			cancel()
		case <-ctx.Done():
		}
	}()
	defer func() { cancel(); <-watched; <-k.turn }()
	did, err = s.maintain(ctx, why)
	select {
	case <-k.stopping:
		if errors.Is(err, context.Canceled) {
			return did, ErrClosed
		}
	default:
	}
	k.note(did, err)
	return did, err
}

// room waits until one more pack may be written.
func (s *packStore) room(ctx context.Context) error {
	for len(s.ours()) >= busyPacks {
		did, err := s.once(ctx, written)
		switch {
		case errors.Is(err, errHeld):
			if err := pause(ctx); err != nil {
				return err
			}
			if err := s.rescan(); err != nil {
				return err
			}
		case len(s.ours()) < busyPacks:
			// Made room, if not all that was wanted.
		case err != nil:
			return fmt.Errorf("make room among %d packs: %w", len(s.ours()), err)
		case !did:
			return fmt.Errorf("make room among %d packs: none can be consolidated: %w", len(s.ours()), s.maintenance().Err)
		}
	}
	return nil
}

func pause(ctx context.Context) error {
	wait := time.NewTimer(heldWait)
	defer wait.Stop()
	select {
	case <-wait.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// settleRuns bounds what Settle does while others go on to commit: two runs
// are enough where nobody does.
const settleRuns = 8

// settle maintains until there is nothing to do.
func (s *packStore) settle(ctx context.Context) error {
	for runs := 0; runs < settleRuns; {
		did, err := s.once(ctx, asked)
		switch {
		case errors.Is(err, errHeld):
			if err := pause(ctx); err != nil {
				return err
			}
		case err != nil:
			return err
		case !did:
			return nil
		default:
			runs++
		}
	}
	return nil
}

func (s *packStore) maintenance() Maintenance {
	packs := *s.packs.Load()
	m := Maintenance{Packs: len(packs)}
	var damaged error
	for _, b := range *s.bad.Load() {
		damaged = errors.Join(damaged, b.err)
	}
	for _, p := range packs {
		m.Bytes += p.size + p.index.size
		if d := p.damage.Load(); d != nil {
			damaged = errors.Join(damaged, d.err)
		}
	}
	s.keeper.mu.Lock()
	defer s.keeper.mu.Unlock()
	m.Runs, m.Err = s.keeper.runs, s.keeper.err
	if damaged != nil {
		m.Err = errors.Join(damaged, m.Err)
	}
	return m
}

// Settle waits until the maintenance has nothing to do: the packs are few, and
// compressed as well as they will be. While others commit it ends when that
// holds for what was there when it was called. A repository in memory has no
// maintenance.
func (r *Repo) Settle(ctx context.Context) error {
	p, ok := r.objects.(*packStore)
	if !ok {
		return nil
	}
	if err := p.settle(ctx); err != nil {
		return fmt.Errorf("settle the repository: %w", err)
	}
	return nil
}
