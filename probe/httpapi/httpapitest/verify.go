package httpapitest

import (
	"context"
	"fmt"

	"github.com/caiatech/caiatop/probe/httpapi"
)

// SetVerification sets what is told of verifications, SetParked of what is set
// aside.
func (e *Engine) SetVerification(v httpapi.Verification) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.verification = v
}

// SetParked sets what Parked returns.
func (e *Engine) SetParked(list httpapi.ParkedList) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.parked = list
}

// Verify implements httpapi.Verifications.
func (e *Engine) Verify(ctx context.Context, o httpapi.VerifyOptions) (httpapi.Verification, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.verification, e.enter(ctx, fmt.Sprintf("verify %v %d", o.Repair, o.Sample))
}

// Verification implements httpapi.Verifications.
func (e *Engine) Verification(ctx context.Context) (httpapi.Verification, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.verification, e.enter(ctx, "verification")
}

// StopVerification implements httpapi.Verifications.
func (e *Engine) StopVerification(ctx context.Context) (httpapi.Verification, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.verification, e.enter(ctx, "stop verification")
}

// Parked implements httpapi.Parkings.
func (e *Engine) Parked(ctx context.Context, limit int) (httpapi.ParkedList, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.parked, e.enter(ctx, fmt.Sprintf("parked %d", limit))
}

// RetryParked implements httpapi.Parkings.
func (e *Engine) RetryParked(ctx context.Context, ids []string) (httpapi.Retried, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return httpapi.Retried{Done: len(ids), Left: e.parked.Total}, e.enter(ctx, fmt.Sprintf("retry %v", ids))
}

// DropParked implements httpapi.Parkings.
func (e *Engine) DropParked(ctx context.Context, id string, lose bool) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.enter(ctx, fmt.Sprintf("drop %s %v", id, lose))
}
