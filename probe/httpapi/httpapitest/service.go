package httpapitest

import (
	"context"

	"github.com/caiatech/caiatop/probe/httpapi"
)

// SetService sets what Service returns.
func (e *Engine) SetService(f httpapi.ServiceFacts) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.service = f
}

// Service implements httpapi.Services.
func (e *Engine) Service(ctx context.Context) (httpapi.ServiceFacts, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.service, e.enter(ctx, "service")
}
