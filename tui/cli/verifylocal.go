package cli

import (
	"context"
	"errors"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/probe/httpapi"
)

// Verify implements httpapi.Verifications.
func (l Local) Verify(ctx context.Context, o httpapi.VerifyOptions) (httpapi.Verification, error) {
	v, err := l.engine.Verify(ctx, engine.VerifyOptions(o))
	return withFindings(v), verifyError(err)
}

// Verification implements httpapi.Verifications.
func (l Local) Verification(context.Context) (httpapi.Verification, error) {
	return withFindings(l.engine.Verification()), nil
}

// StopVerification implements httpapi.Verifications.
func (l Local) StopVerification(ctx context.Context) (httpapi.Verification, error) {
	err := l.engine.StopVerification(ctx)
	return withFindings(l.engine.Verification()), apiError(err)
}

func verifyError(err error) error {
	if errors.Is(err, engine.ErrVerifying) {
		return httpapi.NewError(coded{err, httpapi.ErrConflict}, "follow it with: caiatop verify --follow, or end it with: caiatop verify --stop")
	}
	return apiError(err)
}

// withFindings says by an empty list that nothing was found. A status has none.
func withFindings(v engine.Verification) httpapi.Verification {
	out := toVerification(v)
	if out.Findings == nil {
		out.Findings = []httpapi.Finding{}
	}
	return out
}

func toVerification(v engine.Verification) httpapi.Verification {
	out := httpapi.Verification{
		State: string(v.State), Good: v.Good(), Repair: v.Repair, Sample: v.Sample,
		Started: timeOrNil(v.Started), Ended: timeOrNil(v.Ended), Part: v.Part, Found: v.Found, Mended: v.Mended,
		Parts: make([]httpapi.VerifyPart, 0, len(v.Parts)),
	}
	for _, p := range v.Parts {
		out.Parts = append(out.Parts, httpapi.VerifyPart(p))
	}
	for _, f := range v.Findings {
		out.Findings = append(out.Findings, httpapi.Finding(f))
	}
	return out
}

// timeOrNil is t in UTC, nil if it is not known.
func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// defaultParked is what a limit of 0 means.
const defaultParked = 100

// Parked implements httpapi.Parkings.
func (l Local) Parked(ctx context.Context, limit int) (httpapi.ParkedList, error) {
	if limit == 0 {
		limit = defaultParked
	}
	found, err := l.engine.Parked(ctx, limit)
	if err != nil {
		return httpapi.ParkedList{}, apiError(err)
	}
	list := httpapi.ParkedList{Total: l.engine.Stats().Parked, Parked: make([]httpapi.Parked, 0, len(found))}
	for _, p := range found {
		list.Parked = append(list.Parked, httpapi.Parked{
			ID: p.ID.String(), Store: string(p.Store), Reason: p.Reason, Detail: p.Detail, At: p.At.UTC(), Delete: p.Delete,
			Elsewhere: append([]string{}, p.Elsewhere...), Next: withoutKeys(p.Next),
		})
	}
	return list, nil
}

// RetryParked implements httpapi.Parkings.
func (l Local) RetryParked(ctx context.Context, ids []string) (httpapi.Retried, error) {
	parsed := make([]document.ID, 0, len(ids))
	for _, id := range ids {
		p, err := document.ParseID(id)
		if err != nil {
			return httpapi.Retried{}, apiError(err)
		}
		parsed = append(parsed, p)
	}
	done, err := l.engine.RetryParked(ctx, parsed...)
	return httpapi.Retried{Done: done, Left: l.engine.Stats().Parked}, parkedError(err)
}

// DropParked implements httpapi.Parkings.
func (l Local) DropParked(ctx context.Context, id string, lose bool) error {
	parsed, err := document.ParseID(id)
	if err != nil {
		return apiError(err)
	}
	return parkedError(l.engine.DropParked(ctx, parsed, lose))
}

func parkedError(err error) error {
	if errors.Is(err, engine.ErrLastCopy) {
		return httpapi.NewError(coded{err, httpapi.ErrConflict}, "bring back a copy of the git folder or write the document again; to give it up for good: --lose")
	}
	if errors.Is(err, httpapi.ErrNotFound) {
		return err
	}
	if api := apiError(err); api != nil && errors.Is(api, httpapi.ErrNotFound) {
		return httpapi.NewError(api, "list what is set aside with: caiatop parked list")
	}
	return apiError(err)
}
