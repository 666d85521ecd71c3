package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/store"
)

// ErrNoPrimary: the phase has no service, so it cannot be left or taken back.
var ErrNoPrimary = errors.New("this engine runs without a govc service")

// Fallback leaves the service until Recover is called: reads and writes go on
// from state file and git.
func (e *Engine) Fallback(ctx context.Context) error {
	if e.o.Primary == nil {
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
	if e.o.Primary == nil {
		return ErrNoPrimary
	}
	if e.drilling() {
		return fmt.Errorf("recover: %w: the service was taken down by a drill, which ends in the console that began it (press d there) or when that console is closed", store.ErrUnavailable)
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

// drillWords are what a drill says: where the service has a folder, and where
// its memory is all it has.
type drillWords struct{ down, downNext, up, upNext string }

// How a drill ends has no command.
var (
	drillKeeps = drillWords{
		"The embedded service was taken down: connections are refused; what it holds stays in its folder",
		"It ends in the console that began it (press d there): the service is then sent what it missed. Reads and writes go on",
		"The embedded service is up again, with what its folder holds",
		"It is sent what it missed after good probes; press r (caiatop recover) to do it now",
	}
	drillForgets = drillWords{
		"The embedded service was taken down: connections are refused and its memory is gone",
		"It ends in the console that began it (press d there): the service is then filled again. Reads and writes go on",
		"The embedded service is up again, with nothing in its memory",
		"It is filled again after good probes; press r (caiatop recover) to do it now",
	}
)

// Drill takes the embedded service down, and its memory if that is all it has,
// or brings it up again, and reports whether it is down now.
func (e *Engine) Drill(ctx context.Context) (down bool, err error) {
	if e.o.Embedded == nil {
		return false, errors.New("drill: only the embedded service can be taken down from here")
	}
	words := drillForgets
	if e.o.Embedded.Keeps() {
		words = drillKeeps
	}
	e.drillMu.Lock()
	defer e.drillMu.Unlock()
	if e.drilling() || e.troubled() != nil {
		if err := e.o.Embedded.Start(); err != nil {
			return true, fmt.Errorf("drill: %w", err)
		}
		e.setDrill(false)
		e.event(Info, "drill", words.up, words.upNext)
		e.prober.Hurry()
		return false, nil
	}
	if err := e.o.Embedded.Stop(ctx); err != nil {
		return false, fmt.Errorf("drill: %w", err)
	}
	e.setDrill(true)
	e.event(Warning, "drill", words.down, words.downNext)
	e.prober.Hurry()
	return true, nil
}

func (e *Engine) drilling() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.view.drill
}

func (e *Engine) setDrill(on bool) {
	e.mu.Lock()
	e.view.drill = on
	e.mu.Unlock()
	e.touch()
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
