package main

import (
	"context"
	"time"

	"github.com/caiatech/caiatop/backend/gitrepo"
)

// settle waits until the maintenance of a repository has nothing to do.
func settle(ctx context.Context, r *gitrepo.Repo) error {
	if s, ok := any(r).(interface {
		Settle(ctx context.Context) error
	}); ok {
		return s.Settle(ctx)
	}
	const enough = 40
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		m := r.Maintenance()
		if m.Err != nil || m.Packs <= enough {
			return m.Err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
