package httpapitest

import (
	"context"

	"github.com/caiatech/caiatop/probe/httpapi"
)

// SetPhaseReply sets what Phase returns.
func (e *Engine) SetPhaseReply(p httpapi.Phase) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.phase = p
}

// Phase implements httpapi.Phases.
func (e *Engine) Phase(ctx context.Context) (httpapi.Phase, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.phase, e.enter(ctx, "phase")
}

// SetPhase implements httpapi.Phases.
func (e *Engine) SetPhase(ctx context.Context, phase string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.enter(ctx, "set phase "+phase); err != nil {
		return err
	}
	e.phase.Phase, e.state.Phase = phase, phase
	return nil
}
