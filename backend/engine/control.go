package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/caiatech/caiatop/backend/document"
)

// ErrNoPrimary: the phase has no service, so it cannot be left or taken back.
var ErrNoPrimary = errors.New("this engine runs without a govc service")

// Fallback leaves the service until Recover is called: reads and writes go on
// from state file and git.
func (e *Engine) Fallback(ctx context.Context) error {
	if !e.talks() {
		return ErrNoPrimary
	}
	v := &verdict{
		to: StateFallback, held: true,
		reason: "the operator left the service",
		next:   "It lasts until you press r (caiatop recover)",
	}
	e.mu.Lock()
	already := e.view.state == StateFallback
	if already {
		e.view.reason, e.view.next, e.view.held = v.reason, v.next, true
	}
	e.mu.Unlock()
	if already {
		e.touch()
		return nil
	}
	if !e.interrupt(v, StatePrimary, StateReplaying, StateReseeding, StateProbing) {
		return fmt.Errorf("fall back: not possible in state %s", e.current())
	}
	return e.waitFor(ctx, StateFallback)
}

// Recover looks at the service now, instead of after the hold-down, and takes
// it back if it can be trusted. With adopt it is also taken as the home of
// these documents when it holds another repository or none of ours.
func (e *Engine) Recover(ctx context.Context, adopt bool) error {
	if !e.talks() {
		return ErrNoPrimary
	}
	if err := e.silenced(); err != nil {
		return fmt.Errorf("recover: %w", err)
	}
	if err := e.restartEmbedded(ctx); err != nil {
		return fmt.Errorf("recover: %w", err)
	}
	command := recovery{adopt: adopt, reply: make(chan error, 1)}
	for {
		select {
		case e.recoverC <- command:
		case <-ctx.Done():
			return fmt.Errorf("recover: %w", ctx.Err())
		case <-e.ended:
			return fmt.Errorf("recover: %w", ErrClosing)
		case <-time.After(suspectRetry):
			switch e.current() {
			case StateReplaying, StateReseeding, StatePrimary:
				return nil // it is under way
			}
			continue
		}
		break
	}
	select {
	case err := <-command.reply:
		if err != nil {
			return fmt.Errorf("recover: the service cannot be taken back yet: %w", err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("recover: %w", ctx.Err())
	case <-e.ended:
		return fmt.Errorf("recover: %w", ErrClosing)
	}
}

// waitFor returns once the state is to, or the context ends.
func (e *Engine) waitFor(ctx context.Context, to State) error {
	feed := e.Subscribe()
	defer feed.Close()
	for e.current() != to {
		select {
		case _, open := <-feed.C:
			if !open {
				return fmt.Errorf("waiting for %s: %w", to, ErrClosing)
			}
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", to, ctx.Err())
		}
	}
	return nil
}

// Samples adds a few documents to start with and returns how many. Those that
// exist already are left alone.
func (e *Engine) Samples(ctx context.Context) (int, error) {
	var add []document.Document
	for _, doc := range samples() {
		row, err := e.o.State.Lookup(ctx, doc.ID)
		if err == nil && !row.Deleted {
			continue
		}
		add = append(add, doc)
	}
	if len(add) == 0 {
		return 0, nil
	}
	if _, err := e.Put(ctx, add...); err != nil {
		return 0, err
	}
	return len(add), nil
}
