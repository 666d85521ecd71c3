package tui

import (
	"context"

	"github.com/caiatech/caiatop/backend/engine"
)

// Live connects a console to an engine in this process. Close it when the
// console has ended.
type Live struct {
	*engine.Engine
	feed *engine.Subscription
}

// NewLive subscribes to e.
func NewLive(e *engine.Engine) *Live { return &Live{e, e.Subscribe()} }

// Current implements Feed.
func (l *Live) Current() *engine.Stats { return l.Stats() }

// Changes implements Feed.
func (l *Live) Changes() <-chan *engine.Stats { return l.feed.C }

// Recover implements Control. A service with another identity is never adopted
// by a single key.
func (l *Live) Recover(ctx context.Context) error { return l.Engine.Recover(ctx, false) }

// Close ends the subscription. The engine goes on.
func (l *Live) Close() { l.feed.Close() }
