package httpapitest

import (
	"context"
	"fmt"

	"github.com/caiatech/caiatop/probe/httpapi"
)

// Drill implements httpapi.Drills.
func (e *Engine) Drill(ctx context.Context) (httpapi.DrillStatus, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.drill, e.enter(ctx, "drill")
}

// StartDrill implements httpapi.Drills.
func (e *Engine) StartDrill(ctx context.Context, drill httpapi.Drill) (httpapi.DrillStatus, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.enter(ctx, fmt.Sprintf("start drill %s %gs", drill.Kind, drill.Seconds)); err != nil {
		return httpapi.DrillStatus{}, err
	}
	if e.drill.Running {
		return httpapi.DrillStatus{}, fmt.Errorf("%w: a drill runs already", httpapi.ErrConflict)
	}
	e.drill = httpapi.DrillStatus{Running: true, Drill: drill}
	return e.drill, nil
}

// StopDrill implements httpapi.Drills.
func (e *Engine) StopDrill(ctx context.Context) (httpapi.DrillStatus, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.enter(ctx, "stop drill"); err != nil {
		return httpapi.DrillStatus{}, err
	}
	was := e.drill
	e.drill, was.Running = httpapi.DrillStatus{}, false
	return was, nil
}
